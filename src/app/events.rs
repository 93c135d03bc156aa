//! What happens to every call, told: followers, store and delivery put together.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_rustls::rustls;

use crate::config::Config;
use crate::delivery::{Attempts, Delivery, Subscriptions};
use crate::io::{Batch, CallChange, EventSink, Later, LinkHealth, Links};
use crate::store::{Acceptance, CallState, NewEvent, Store};
use crate::terms::Event;
use crate::track::OpenCall;
use crate::webhook::Policy;

/// Between tries while the store's queue is full.
const STORE_PAUSE: Duration = Duration::from_millis(100);

/// What attempts that are being made may take longer when the daemon stops. They are made again after the next start.
const LAST_ATTEMPTS: Duration = Duration::from_secs(5);

/// The running followers and the delivery.
pub(super) struct Events {
    keeping: Arc<Keeping>,
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
        let subscriptions = subscriptions(config);
        let delivery = Delivery::start(store.clone(), tls, subscriptions.clone())?;
        let keeping =
            Arc::new(Keeping { store: store.clone(), subscriptions: ArcSwap::from_pointee(subscriptions) });
        let mut links = Links::new(keeping.clone());
        links.set(config.asterisk.clone());
        let healths = Arc::new(ArcSwap::from_pointee(links.healths()));
        Ok(Events { keeping, links, healths, delivery })
    }

    /// Follows and tells what a newer configuration says.
    pub(super) fn reload(&mut self, config: &Config) {
        let subscriptions = subscriptions(config);
        self.keeping.subscriptions.store(Arc::new(subscriptions.clone()));
        self.delivery.set(subscriptions);
        self.links.set(config.asterisk.clone());
        self.healths.store(Arc::new(self.links.healths()));
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

fn subscriptions(config: &Config) -> Subscriptions {
    Subscriptions {
        plans: config.subscriptions.clone(),
        numbers: (*config.numbers).clone(),
        policy: Arc::new(Policy::new(config.egress.deny.clone(), config.egress.allow.clone())),
        enabled: config.subscriptions_enabled,
    }
}

/// Events go to the store, for those who subscribed.
struct Keeping {
    store: Store,
    subscriptions: ArcSwap<Subscriptions>,
}

impl EventSink for Keeping {
    fn open_calls<'a>(&'a self, pbx: &'a str) -> Later<'a, Vec<OpenCall>> {
        Box::pin(async move { self.store.open_calls(pbx).await.unwrap_or_default() })
    }

    fn accept(&self, batch: Batch) -> Later<'_, ()> {
        let subscriptions = self.subscriptions.load();
        let event = |event| {
            let event = Event::Call(Box::new(event));
            NewEvent { to: subscriptions.recipients(&event), event }
        };
        let call = |change| {
            let (calluniqueid, open) = match change {
                CallChange::Open(open) => (open.id().to_owned(), Some(*open)),
                CallChange::Over(id) => (id, None),
            };
            CallState { pbx: batch.pbx.clone(), calluniqueid, open }
        };
        let events: Vec<NewEvent> = batch.events.into_iter().map(event).collect();
        let calls = batch.calls.into_iter().map(call).collect();
        let count = events.len();
        let mut acceptance = Acceptance { events, calls };
        Box::pin(async move {
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
