//! Tells events to those who subscribed, from the store's queue.
//!
//! One thread asks the store what is due, for every subscription that can take more, and makes the attempts side by side.
//! A subscription has [`AT_ONCE`] attempts of its own: one whose receiver hangs fills those and nobody else's.

mod attempt;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime;
use tokio::sync::{Notify, oneshot};
use tokio::task::{Id, JoinSet, LocalSet};
use tokio_rustls::rustls;
use tokio_util::sync::CancellationToken;

use crate::clock::wall_ms;
use crate::io::Http;
use crate::store::{Claims, Recipient, Store, Want};
use crate::terms::{Event, Numbers, Order, WebhookName};
use crate::webhook::{EventPlan, Policy};

/// Attempts at a time for one subscription. A receiver that takes 100 ms gets 320 events a second.
pub const AT_ONCE: usize = 32;

/// How long an attempt may take: names, connection, request, answer with its body.
pub const ATTEMPT_TIME: Duration = Duration::from_secs(15);

/// The queue is looked at as often as this even if nothing says so: the wall clock may have been set.
const LOOK: Duration = Duration::from_secs(60);

/// The pause after the store did not answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Everybody who is told.
#[derive(Clone, Debug)]
pub struct Subscriptions {
    /// By name.
    pub plans: BTreeMap<WebhookName, Arc<EventPlan>>,
    /// How numbers are written.
    pub numbers: Numbers,
    /// Which addresses may be called.
    pub policy: Arc<Policy>,
    /// How long an attempt may take: [`ATTEMPT_TIME`], but for tests.
    pub attempt_time: Duration,
    /// The switch for all: off, nothing is kept for anybody and nothing is sent.
    pub enabled: bool,
}

impl Subscriptions {
    /// Who is to be told of an event.
    pub fn recipients(&self, event: &Event) -> Vec<Recipient> {
        let wanting = self.plans.values().filter(|plan| self.enabled && plan.wants(event));
        let recipient = |plan: &Arc<EventPlan>| {
            let subscription = plan.subscription();
            let after = subscription.expires_after(event.kind());
            let after = after.map(|after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX));
            Recipient {
                subscription: subscription.name.to_string(),
                expires: after.map(|after| event.timestamp().saturating_add(after)),
                strict: subscription.order == Order::Strict,
            }
        };
        wanting.map(recipient).collect()
    }

    /// What each can take, with so many attempts being made.
    fn wants(&self, open: &HashMap<WebhookName, usize>) -> Vec<Want> {
        let on = self.plans.iter().filter(|(_, plan)| self.enabled && plan.subscription().enabled);
        on.filter_map(|(name, _)| {
            let at_most = AT_ONCE.saturating_sub(open.get(name).copied().unwrap_or(0));
            (at_most > 0).then(|| Want { subscription: name.to_string(), at_most })
        })
        .collect()
    }
}

/// Attempts since the start, by how they came out.
#[derive(Debug, Default)]
pub struct Attempts([AtomicU64; attempt::RESULTS.len()]);

impl Attempts {
    /// The word for a result, and how many had it.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        attempt::RESULTS.into_iter().zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    fn note(&self, result: &str) {
        if let Some(at) = attempt::RESULTS.iter().position(|word| *word == result) {
            self.0[at].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The running delivery.
#[derive(Debug)]
pub struct Delivery {
    shared: Arc<Shared>,
    ended: oneshot::Receiver<()>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    subscriptions: ArcSwap<Subscriptions>,
    attempts: Arc<Attempts>,
    changed: Notify,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Delivery {
    /// Starts its thread. What is due already is told at once.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        store: Store,
        tls: Arc<rustls::ClientConfig>,
        subscriptions: Subscriptions,
    ) -> std::io::Result<Delivery> {
        let shared = Arc::new(Shared {
            store,
            subscriptions: ArcSwap::from_pointee(subscriptions),
            attempts: Arc::default(),
            changed: Notify::new(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
        });
        let (end, ended) = oneshot::channel();
        let own = shared.clone();
        std::thread::Builder::new().name("delivery".to_owned()).spawn(move || {
            match runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => LocalSet::new().block_on(&runtime, run(&own, Rc::new(Http::new(tls)))),
                Err(error) => tracing::error!(%error, "events cannot be delivered"),
            }
            drop(end);
        })?;
        Ok(Delivery { shared, ended })
    }

    /// Everybody who is told now.
    pub fn subscriptions(&self) -> Arc<Subscriptions> {
        self.shared.subscriptions.load_full()
    }

    /// The attempts since the start.
    pub fn attempts(&self) -> Arc<Attempts> {
        self.shared.attempts.clone()
    }

    /// Takes other subscriptions. Attempts that are being made go on as they began.
    pub fn set(&self, subscriptions: Subscriptions) {
        self.shared.subscriptions.store(Arc::new(subscriptions));
        self.shared.changed.notify_one();
    }

    /// Begins no more attempts and waits so long for those that are being made. What is cut off then is made again
    /// after the next start. Close the store later.
    pub async fn stop(mut self, patience: Duration) {
        self.shared.stop.cancel();
        let patient = tokio::time::timeout(patience, &mut self.ended).await;
        if patient.is_err() {
            self.shared.cut.cancel();
            // Only that it ends says something.
            self.ended.await.ok();
        }
    }
}

/// Attempts that are being made.
#[derive(Default)]
struct Open {
    running: JoinSet<()>,
    whose: HashMap<Id, WebhookName>,
    count: HashMap<WebhookName, usize>,
}

impl Open {
    fn ended(&mut self, joined: Result<(Id, ()), tokio::task::JoinError>) {
        let id = match joined {
            Ok((id, ())) => id,
            Err(error) => {
                tracing::error!(%error, "an attempt broke off; it is made again after the next start");
                error.id()
            }
        };
        if let Some(count) = self.whose.remove(&id).and_then(|name| self.count.get_mut(&name)) {
            *count -= 1;
        }
    }

    fn begin(&mut self, shared: &Arc<Shared>, http: &Rc<Http>, subs: &Arc<Subscriptions>, claims: Claims) {
        for claimed in claims.claimed {
            let found = subs.plans.iter().find(|(name, _)| name.as_str() == claimed.subscription);
            // Only what was asked for is claimed.
            let Some((name, plan)) = found else { continue };
            let (shared, http, subs, plan) = (shared.clone(), http.clone(), subs.clone(), plan.clone());
            let task = self.running.spawn_local(async move {
                let made = attempt::make(&http, &subs, &plan, &claimed).await;
                shared.attempts.note(&made.result);
                // A store that has ended finds the attempt unfinished when it starts again.
                shared.store.made(made).await.unwrap_or_default();
            });
            self.whose.insert(task.id(), name.clone());
            *self.count.entry(name.clone()).or_default() += 1;
        }
    }
}

async fn run(shared: &Arc<Shared>, http: Rc<Http>) {
    let mut open = Open::default();
    while !shared.stop.is_cancelled() {
        let subscriptions = shared.subscriptions.load_full();
        let wants = subscriptions.wants(&open.count);
        let claims = if wants.is_empty() {
            Some(Claims::default())
        } else {
            tokio::select! {
                claims = shared.store.claim(wants) => claims,
                () = shared.stop.cancelled() => break,
            }
        };
        let wait = match &claims {
            Some(claims) => claims.next.map_or(LOOK, until).min(LOOK),
            None => STORE_PAUSE,
        };
        open.begin(shared, &http, &subscriptions, claims.unwrap_or_default());
        tokio::select! {
            Some(joined) = open.running.join_next_with_id() => {
                open.ended(joined);
                while let Some(joined) = open.running.try_join_next_with_id() {
                    open.ended(joined);
                }
            }
            () = shared.store.deliveries_changed() => {}
            () = shared.changed.notified() => {}
            () = tokio::time::sleep(wait) => {}
            () = shared.stop.cancelled() => {}
        }
    }
    tokio::select! {
        () = async { while open.running.join_next().await.is_some() {} } => {}
        () = shared.cut.cancelled() => {}
    }
}

/// From now to a time in ms since 1970.
fn until(at: i64) -> Duration {
    Duration::from_millis(u64::try_from(at.saturating_sub(wall_ms())).unwrap_or(0))
}
