//! What happens to every call, told: followers, store and delivery put together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio_rustls::rustls;

use crate::config::Config;
use crate::delivery::{ATTEMPT_TIME, Attempts, Delivery, Subscriptions};
use crate::io::{Batch, CallChange, EventSink, Later, Link, LinkHealth, Links};
use crate::store::{Acceptance, CallState, Definition, NewEvent, Store, Untold};
use crate::terms::{Event, UserEvent, WebhookName};
use crate::track::{OpenCall, VariableNames};
use crate::webhook::{EventPlan, Policy};

/// Between tries while the store's queue is full.
const STORE_PAUSE: Duration = Duration::from_millis(100);

/// What attempts that are being made may take longer when the daemon stops. They are made again after the next start.
const LAST_ATTEMPTS: Duration = Duration::from_secs(5);

type Plans = BTreeMap<WebhookName, Arc<EventPlan>>;

/// The running followers and the delivery.
pub(super) struct Events {
    keeping: Arc<Keeping>,
    /// What the file says.
    from_file: Subscriptions,
    /// What the store has beside it. `None`: it could not be read yet.
    stored: Option<Plans>,
    links: Links,
    /// How the links do, for who looks.
    healths: Arc<ArcSwap<Vec<LinkHealth>>>,
    delivery: Delivery,
}

impl Events {
    /// Starts to deliver and to follow, on the current runtime.
    pub(super) fn start(
        config: &Config,
        store: &Store,
        tls: Arc<rustls::ClientConfig>,
    ) -> std::io::Result<Events> {
        let from_file = subscriptions(config);
        let delivery = Delivery::start(store.clone(), tls, from_file.clone())?;
        let keeping = Arc::new(Keeping { store: store.clone(), subscriptions: watch::Sender::default() });
        let mut links = Links::new(keeping.clone());
        links.want(wanted(&from_file));
        links.set(followed(config));
        let healths = Arc::new(ArcSwap::from_pointee(links.healths()));
        Ok(Events { keeping, from_file, stored: None, links, healths, delivery })
    }

    /// Follows and tells what a newer configuration says, and tells its changes.
    pub(super) fn reload(&mut self, config: &Config, changes: Vec<UserEvent>) {
        self.from_file = subscriptions(config);
        self.tell_whom();
        self.links.set(followed(config));
        self.healths.store(Arc::new(self.links.healths()));
        self.note_changes(changes);
    }

    /// Tells also whom the store's definitions name.
    pub(super) fn define(&mut self, definitions: &[Definition]) {
        if self.stored.is_some() || !definitions.is_empty() {
            tracing::info!(subscriptions = definitions.len(), "took the store's subscriptions");
        }
        self.stored = Some(definitions.iter().filter_map(plan).collect());
        self.tell_whom();
    }

    /// Tells what people have changed, in order.
    pub(super) fn tell_changes(&self, untold: Vec<Untold>) {
        let keeping = self.keeping.clone();
        tokio::spawn(async move {
            let subscriptions = keeping.subscriptions().await?;
            for Untold { id, event } in untold {
                let event = Event::User(event);
                let to = subscriptions.recipients(&event);
                keeping.store.tell(id, NewEvent { event, to }).await?;
            }
            Some(())
        });
    }

    /// Writes down what a newer file has changed: it is told as what people change by the command line.
    fn note_changes(&self, changes: Vec<UserEvent>) {
        let store = self.keeping.store.clone();
        if !changes.is_empty() {
            tokio::spawn(async move { store.note(changes).await });
        }
    }

    /// Puts the file's subscriptions and the store's together. Where both have a name the file wins.
    fn tell_whom(&self) {
        let mut subscriptions = self.from_file.clone();
        for (name, plan) in self.stored.iter().flatten() {
            if subscriptions.plans.contains_key(name) {
                tracing::warn!(subscription = %name, "the store has it too: that one is hidden by the file");
                continue;
            }
            subscriptions.plans.insert(name.clone(), plan.clone());
        }
        if self.stored.is_some() {
            self.keeping.subscriptions.send_replace(Some(Arc::new(subscriptions.clone())));
        }
        self.links.want(wanted(&subscriptions));
        self.delivery.set(subscriptions);
    }

    /// How the links do, also after a reload.
    pub(super) fn healths(&self) -> Arc<ArcSwap<Vec<LinkHealth>>> {
        self.healths.clone()
    }

    /// The attempts to tell.
    pub(super) fn attempts(&self) -> Arc<Attempts> {
        self.delivery.attempts()
    }

    /// Stops: the followers first, so that what they have seen is kept.
    pub(super) async fn stop(self) {
        self.links.stop().await;
        self.delivery.stop(LAST_ATTEMPTS).await;
    }
}

/// The PBXs whose calls are followed.
fn followed(config: &Config) -> Vec<Link> {
    let asterisk = config.asterisk.iter().cloned().map(Link::Asterisk);
    asterisk.chain(config.freeswitch.iter().cloned().map(Link::FreeSwitch)).collect()
}

/// The channel variables that somebody is told.
fn wanted(subscriptions: &Subscriptions) -> VariableNames {
    VariableNames::new(subscriptions.plans.values().flat_map(|plan| plan.subscription().pbx_variables()))
}

fn subscriptions(config: &Config) -> Subscriptions {
    Subscriptions {
        plans: config.subscriptions.clone(),
        numbers: (*config.numbers).clone(),
        policy: Arc::new(Policy::new(config.egress.deny.clone(), config.egress.allow.clone())),
        attempt_time: ATTEMPT_TIME,
        enabled: config.subscriptions_enabled,
    }
}

/// A definition of the store, unless it cannot be read.
fn plan(definition: &Definition) -> Option<(WebhookName, Arc<EventPlan>)> {
    match definition.read() {
        Ok(stored) => stored.map(|stored| (stored.plan.subscription().name.clone(), stored.plan)),
        Err(problems) => {
            tracing::error!("a subscription of the store is told nothing:\n{}", problems.draw(false));
            None
        }
    }
}

/// Events go to the store, for those who subscribed.
struct Keeping {
    store: Store,
    /// `None` until the store's definitions are known: what happens before waits, as it would for the store.
    subscriptions: watch::Sender<Option<Arc<Subscriptions>>>,
}

impl Keeping {
    /// Everybody who is told, once that is known.
    async fn subscriptions(&self) -> Option<Arc<Subscriptions>> {
        let mut subscriptions = self.subscriptions.subscribe();
        let known = subscriptions.wait_for(Option::is_some).await.ok()?;
        known.clone()
    }
}

impl EventSink for Keeping {
    fn open_calls(&self) -> Later<'_, Vec<(String, OpenCall)>> {
        Box::pin(async move { self.store.open_calls().await.unwrap_or_default() })
    }

    fn accept(&self, batch: Batch) -> Later<'_, ()> {
        let call = |change| {
            let (calluniqueid, open) = match change {
                CallChange::Open(open) => (open.id().to_owned(), Some(*open)),
                CallChange::Over(id) => (id, None),
            };
            CallState { pbx: batch.pbx.clone(), calluniqueid, open }
        };
        let calls = batch.calls.into_iter().map(call).collect();
        Box::pin(async move {
            let Some(subscriptions) = self.subscriptions().await else { return };
            let event = |event| {
                let event = Event::Call(Box::new(event));
                NewEvent { to: subscriptions.recipients(&event), event }
            };
            let events: Vec<NewEvent> = batch.events.into_iter().map(event).collect();
            let count = events.len();
            let mut acceptance = Acceptance { events, calls };
            loop {
                match self.store.accept(acceptance) {
                    Ok(kept) => {
                        if !kept.wait().await {
                            tracing::error!(pbx = batch.pbx, events = count, "events could not be kept");
                        }
                        return;
                    }
                    Err(back) => acceptance = *back,
                }
                tokio::time::sleep(STORE_PAUSE).await;
            }
        })
    }
}
