//! Configuration to running tasks: the only place where all layers meet.

mod changes;
mod events;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::changes::changes;
use self::events::Events;
use crate::admin::{Admin, Watched};
use crate::clock::wall_ms;
use crate::config::Config;
use crate::guard::Lockout;
use crate::io::{Admission, Answers, Hook, Keeper, Listener, Registry, Shared, start_workers, tls_settings};
use crate::metrics::CallCounts;
use crate::store::{Definition, Store, Untold};
use crate::terms::{Journal, Pbx, WebhookName};
use crate::webhook::{Plan, Policy};

/// How long calls that got their `shutdown` may take to leave.
const LEAVE_TIME: Duration = Duration::from_secs(6);

/// How often a drain looks whether the calls are over.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// A running daemon.
pub struct App {
    shared: Arc<Shared>,
    /// What it started with: listeners and store are still these.
    config: Config,
    /// What was read last: the next one is compared with it.
    current: Config,
    addresses: Vec<(Pbx, SocketAddr)>,
    workers: Vec<JoinHandle<()>>,
    tls: Arc<tokio_rustls::rustls::ClientConfig>,
    calls: Arc<CallCounts>,
    events: Option<Events>,
    admin: Option<Admin>,
}

/// Why it could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration has no listener and no PBX to follow: nothing could ever happen.
    #[error(
        "the configuration gives nothing to do; add [fastagi] for Asterisk's or [esl] for FreeSWITCH's questions, or \
         [asterisk.NAME] to follow calls"
    )]
    NothingToDo,
    /// An address could not be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The TLS library refused its settings.
    #[error("TLS: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// A thread could not be started.
    #[error("cannot start a worker: {0}")]
    Worker(#[source] std::io::Error),
}

impl App {
    /// Binds the listeners for PBXs, then starts the workers. `keeper` gets what is to be kept.
    pub fn start(config: Config, keeper: Box<dyn Keeper>) -> Result<App, StartError> {
        if !config.has_work() {
            return Err(StartError::NothingToDo);
        }
        let tls = tls_settings()?;
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        for (pbx, listen) in Pbx::ALL.into_iter().filter_map(|pbx| Some((pbx, config.listener(pbx)?.listen)))
        {
            let bind = |source| StartError::Bind { address: listen, source };
            let listener = Listener::bind(pbx, listen).map_err(bind)?;
            addresses.push((pbx, listener.address().map_err(bind)?));
            listeners.push(listener);
        }
        let calls = Arc::new(CallCounts::new(config.webhooks.keys()));
        let keeper = Box::new(Counting { keeper, calls: calls.clone() });
        let shared = Arc::new(Shared::new(registry(&config, None), keeper));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = start_workers(&shared, &listeners, &tls, threads).map_err(StartError::Worker)?;
        let current = config.clone();
        Ok(App { shared, config, current, addresses, workers, tls, calls, events: None, admin: None })
    }

    /// Follows the configured PBXs and tells who subscribed. On the current tokio runtime, beside the calls' workers.
    pub fn tell_events(&mut self, store: &Store) -> Result<(), StartError> {
        let events = Events::start(&self.config, store, self.tls.clone()).map_err(StartError::Worker)?;
        self.events = Some(events);
        Ok(())
    }

    /// Takes the subscriptions that the store has beside the configuration's. Until this was called once no event is kept:
    /// it waits.
    pub fn define(&mut self, definitions: &[Definition]) {
        if let Some(events) = &mut self.events {
            events.define(definitions);
        }
    }

    /// Tells whoever subscribed what people have changed.
    pub fn tell_changes(&self, untold: Vec<Untold>) {
        if let Some(events) = &self.events {
            events.tell_changes(untold);
        }
    }

    /// Opens the listener for health and metrics, where the configuration has one, on the current tokio runtime. After
    /// [`App::tell_events`], or it knows nothing of links and deliveries.
    pub fn open_admin(&mut self, store: &Store) -> Result<(), StartError> {
        let Some(listen) = self.config.admin else { return Ok(()) };
        let watched = Watched {
            shared: self.shared.clone(),
            listeners: self.addresses.clone(),
            calls: self.calls.clone(),
            links: self.events.as_ref().map(Events::healths).unwrap_or_default(),
            attempts: self.events.as_ref().map(Events::attempts).unwrap_or_default(),
            store: store.clone(),
            store_path: self.config.store.path.clone(),
        };
        let bind = |source| StartError::Bind { address: listen, source };
        self.admin = Some(Admin::start(listen, watched).map_err(bind)?);
        Ok(())
    }

    /// Where health and metrics are shown.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// What is bound, and for whom.
    pub fn addresses(&self) -> &[(Pbx, SocketAddr)] {
        &self.addresses
    }

    /// Where a PBX connects, if it can.
    pub fn address(&self, pbx: Pbx) -> Option<SocketAddr> {
        self.addresses.iter().find(|(p, _)| *p == pbx).map(|(_, address)| *address)
    }

    /// Calls that are open.
    pub fn open_calls(&self) -> usize {
        self.shared.open_calls()
    }

    /// The lockouts, by webhook.
    pub fn lockouts(&self) -> Lockouts {
        Lockouts(self.shared.clone())
    }

    /// Takes a new configuration. Calls that are open keep what they began with. Returns the keys that are another than
    /// at the start and that only a restart applies.
    ///
    /// # Errors
    /// With nothing to do, as at the start. Nothing was changed then.
    pub fn reload(&mut self, config: &Config) -> Result<Vec<&'static str>, StartError> {
        if !config.has_work() {
            return Err(StartError::NothingToDo);
        }
        let before = self.shared.registry.load_full();
        self.shared.registry.store(Arc::new(registry(config, Some(&before))));
        self.calls.set(config.webhooks.keys());
        if let Some(events) = &mut self.events {
            events.reload(config, changes(&self.current, config, wall_ms()));
        }
        self.current = config.clone();
        Ok(self.config.needs_restart(config))
    }

    /// Stops: the listener first, then up to `patience` for the calls that are open, then the rest with `shutdown`; the
    /// followers last, they tell of those calls. Returns how many were cut. `hurry` ends the patience.
    pub async fn drain(self, patience: Duration, hurry: impl Future<Output = ()>) -> usize {
        self.shared.stop.cancel();
        let over = async |within: Duration| {
            let end = Instant::now() + within;
            while self.shared.open_calls() > 0 && Instant::now() < end {
                tokio::time::sleep(DRAIN_LOOK).await;
            }
        };
        tokio::select! {
            () = over(patience) => {}
            () = hurry => {}
        }
        let cut = self.shared.open_calls();
        self.shared.cut.cancel();
        over(LEAVE_TIME).await;
        if let Some(events) = self.events {
            events.stop().await;
        }
        if let Some(admin) = self.admin {
            admin.stop();
        }
        if self.shared.open_calls() == 0 {
            for worker in self.workers {
                if worker.join().is_err() {
                    tracing::error!("a worker had panicked");
                }
            }
        }
        cut
    }
}

/// Counts the calls that are handed over.
struct Counting {
    keeper: Box<dyn Keeper>,
    calls: Arc<CallCounts>,
}

impl Keeper for Counting {
    fn journal(&self, journal: Journal) {
        self.calls.note(&journal);
        self.keeper.journal(journal);
    }

    fn wrong_code(&self, webhook: &WebhookName, caller: &str, wall: i64) {
        self.keeper.wrong_code(webhook, caller, wall);
    }

    fn right_code(&self, webhook: &WebhookName, caller: &str) {
        self.keeper.right_code(webhook, caller);
    }
}

impl Keeper for Store {
    fn journal(&self, journal: Journal) {
        Store::journal(self, journal);
    }

    fn wrong_code(&self, webhook: &WebhookName, caller: &str, wall: i64) {
        Store::wrong_code(self, webhook.as_str(), caller, wall);
    }

    fn right_code(&self, webhook: &WebhookName, caller: &str) {
        Store::right_code(self, webhook.as_str(), caller);
    }
}

/// The lockouts of the running webhooks.
#[derive(Clone)]
pub struct Lockouts(Arc<Shared>);

impl Lockouts {
    /// Does something with a webhook's lockout; `None` when it has none.
    pub fn with<T>(&self, webhook: &str, act: impl FnOnce(&mut Lockout) -> T) -> Option<T> {
        self.0.registry.load().hooks.get(webhook)?.with_lockout(act)
    }

    /// Does something with every lockout.
    pub fn each(&self, mut act: impl FnMut(&str, &mut Lockout)) {
        for (name, hook) in &self.0.registry.load().hooks {
            hook.with_lockout(|lockout| act(name.as_str(), lockout));
        }
    }
}

/// The run-time side of a configuration. What callers have entered wrongly lives on over a reload.
fn registry(config: &Config, before: Option<&Registry>) -> Registry {
    let run = |(name, plan): (&WebhookName, &Arc<Plan>)| {
        let earlier = before.and_then(|b| b.hooks.get(name));
        (name.clone(), Arc::new(hook(plan.clone(), earlier)))
    };
    Registry {
        hooks: config.webhooks.iter().map(run).collect(),
        numbers: config.numbers.clone(),
        policy: Arc::new(Policy::new(config.egress.deny.clone(), config.egress.allow.clone())),
        admissions: Pbx::ALL
            .into_iter()
            .filter_map(|pbx| Some((pbx, admission(pbx, config, before)?)))
            .collect(),
    }
}

/// What a listener lets in. One that a new configuration takes away stays open, as it was, until the restart.
fn admission(pbx: Pbx, config: &Config, before: Option<&Registry>) -> Option<Admission> {
    match config.listener(pbx) {
        Some(listener) => Some(Admission { allow: listener.allow.clone(), max_calls: listener.max_calls }),
        None => before.and_then(|before| before.admissions.get(&pbx).cloned()),
    }
}

fn hook(plan: Arc<Plan>, earlier: Option<&Arc<Hook>>) -> Hook {
    let webhook = plan.webhook();
    let rule = webhook.ivr.as_ref().filter(|ivr| ivr.secret).and_then(|ivr| ivr.lockout);
    let lockout = rule.map(|rule| {
        let kept = earlier.and_then(|hook| hook.lockout.clone());
        if let Some(lockout) = kept {
            lockout.lock().unwrap_or_else(std::sync::PoisonError::into_inner).set_rule(rule);
            return lockout;
        }
        Arc::new(Mutex::new(Lockout::new(rule)))
    });
    let answers = plan.is_cacheable().then(Answers::default);
    Hook { plan, lockout, answers }
}
