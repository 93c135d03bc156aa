//! `switchhook run`: the daemon.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::log::{self, LogFormat};
use super::{ConfigFile, EXIT_CONFIG};
use crate::app::{App, StartError};
use crate::config::Config;
use crate::store::{self, Notice, Store};
use crate::terms::Pbx;

/// How long open calls may go on after SIGTERM before they are told to leave.
const DRAIN_TIME: Duration = Duration::from_secs(30);

/// How long the store may take to write what is queued.
const STORE_TIME: Duration = Duration::from_secs(5);

/// File descriptors beside those of calls: store, listeners, idle connections.
const SPARE_FILES: u64 = 256;

/// Run the daemon
///
/// SIGHUP reads the configuration again; a bad file changes nothing. SIGTERM stops: the listener first, then up to 30 s for
/// the calls that are open; a second one does not wait.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    config: ConfigFile,
    /// How log lines are written to standard error
    #[arg(long, value_enum, default_value_t)]
    log: LogFormat,
}

impl Run {
    /// Runs until a signal ends it.
    pub(super) fn run(self) -> ExitCode {
        log::start(self.log, "info");
        let config = match self.config.read() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        tell_warnings(&config);
        raise_file_limit(&config);
        let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
        {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "cannot start");
                return ExitCode::FAILURE;
            }
        };
        match runtime.block_on(serve(&self.config, config)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error:#}");
                match error {
                    ServeError::Start(StartError::NothingToDo) => ExitCode::from(EXIT_CONFIG),
                    _ => ExitCode::FAILURE,
                }
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{0}")]
    System(#[from] std::io::Error),
}

async fn serve(file: &ConfigFile, config: Config) -> Result<(), ServeError> {
    let mut signals = Signals::new()?;
    let (tell, mut notices) = mpsc::unbounded_channel();
    let settings = store::Settings { path: config.store.path.clone(), retention: config.store.retention };
    // The receiver lives as long as the daemon.
    let store = Store::open(settings, move |notice| drop(tell.send(notice)))?;
    let webhooks = config.webhooks.len();
    let mut app = App::start(config, Box::new(store.clone()))?;
    let routes = !app.addresses().is_empty();
    app.tell_events(&store)?;
    app.open_admin(&store)?;
    for (pbx, address) in app.addresses() {
        tracing::info!(%address, pbx = pbx.as_str(), "listening");
    }
    if let Some(address) = app.admin_address() {
        tracing::info!(%address, "health and metrics");
    }
    tracing::info!(webhooks, "ready");
    if routes && webhooks == 0 {
        tracing::info!(
            "no webhook is defined yet: add [webhook.NAME] to {} and send SIGHUP",
            file.path.display()
        );
    }
    loop {
        tokio::select! {
            Some(notice) = notices.recv() => take_notice(&mut app, notice),
            _ = signals.hangup.recv() => reload(&mut app, file),
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
        }
    }
    let open = app.open_calls();
    tracing::info!(
        open,
        patience_s = DRAIN_TIME.as_secs(),
        "stopping: no new calls; waiting for the open ones"
    );
    let cut = app.drain(DRAIN_TIME, signals.again()).await;
    if cut > 0 {
        tracing::warn!(cut, "calls were told to leave");
    }
    if !store.close(STORE_TIME).await {
        tracing::error!("the store did not take everything in time");
    }
    tracing::info!("stopped");
    Ok(())
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Somebody who asks again does not want to wait.
    async fn again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn reload(app: &mut App, file: &ConfigFile) {
    match file.load() {
        Ok(config) => {
            tell_warnings(&config);
            match app.reload(&config) {
                Ok(waiting) => {
                    tracing::info!(webhooks = config.webhooks.len(), "read the configuration again");
                    if !waiting.is_empty() {
                        tracing::warn!(keys = waiting.join(", "), "these changed keys need a restart");
                    }
                }
                Err(error) => tracing::error!("nothing was changed: {error}"),
            }
        }
        Err(problems) => {
            tracing::error!("the configuration is wrong; nothing was changed");
            eprintln!("{}", problems.draw(false));
        }
    }
}

fn tell_warnings(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{}", warning.draw(false));
    }
}

/// Wrong codes of before this start, and what the command line has changed.
fn take_notice(app: &mut App, notice: Notice) {
    let (lockouts, now) = (app.lockouts(), Instant::now());
    match notice {
        Notice::Defined(definitions) => {
            app.define(&definitions);
        }
        Notice::Changed(untold) => app.tell_changes(untold),
        Notice::Loaded(codes) => {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let mut restored = 0;
            for code in codes {
                let then = Duration::from_millis(u64::try_from(code.at).unwrap_or(0));
                let age = wall.saturating_sub(then);
                let known = lockouts.with(&code.webhook, |lockout| lockout.restore(now, &code.caller, age));
                restored += usize::from(known.is_some());
            }
            if restored > 0 {
                tracing::info!(codes = restored, "wrong codes of before this start count");
            }
        }
        Notice::Cleared { webhook, caller } => {
            lockouts.each(|name, lockout| {
                if webhook.as_deref().is_none_or(|wanted| wanted == name) {
                    lockout.clear(caller.as_deref());
                }
            });
            tracing::info!(?webhook, ?caller, "lockouts were cleared");
        }
    }
}

/// A call takes two descriptors, its own and that of its request. The soft limit of most systems is 1024; the hard one is
/// ours to take.
fn raise_file_limit(config: &Config) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let calls =
        Pbx::ALL.iter().filter_map(|pbx| config.listener(*pbx)).map(|l| l.max_calls as u64).sum::<u64>();
    let wanted = calls * 2 + SPARE_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let possible = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum: limit.maximum });
    if raised.is_err() || possible < wanted {
        tracing::warn!(
            have = possible,
            wanted,
            "few file descriptors for max_calls calls: raise LimitNOFILE, or lower max_calls"
        );
    }
}
