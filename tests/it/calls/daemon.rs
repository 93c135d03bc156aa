//! The daemon in this process: `App` with the text of a configuration, and what it keeps.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use switchhook::app::App;
use switchhook::config;
use switchhook::io::Keeper;
use switchhook::terms::{Journal, WebhookName};
use tokio::sync::watch;

use super::pbx::{Caller, Pbx, Seen};

/// No call here takes so long. What takes longer hangs.
const LONGEST: Duration = Duration::from_secs(60);

/// A running daemon.
pub(super) struct Daemon {
    app: App,
    kept: Arc<Kept>,
}

/// What was kept.
#[derive(Default)]
pub(super) struct Kept {
    journals: watch::Sender<Vec<Journal>>,
}

struct Keeps(Arc<Kept>);

impl Keeper for Keeps {
    fn journal(&self, journal: Journal) {
        self.0.journals.send_modify(|journals| journals.push(journal));
    }

    fn wrong_code(&self, _: &WebhookName, _: &str, _: i64) {}

    fn right_code(&self, _: &WebhookName, _: &str) {}
}

/// A configuration with the listener on any free port, unless the text has a listener of its own.
pub(super) fn config_of(text: &str) -> config::Config {
    let listener = if text.contains("[fastagi]") { "" } else { "[fastagi]\nlisten = \"127.0.0.1:0\"\n" };
    let text = format!("{listener}{text}");
    config::parse("test.toml", Path::new("."), text.as_bytes(), &|_| None)
        .unwrap_or_else(|problems| panic!("{}", problems.draw(false)))
}

impl Daemon {
    pub(super) fn start(text: &str) -> Daemon {
        let kept = Arc::new(Kept::default());
        let app = App::start(config_of(text), Box::new(Keeps(kept.clone()))).expect("a daemon");
        Daemon { app, kept }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.app.address(switchhook::terms::Pbx::Asterisk).expect("a listener")
    }

    pub(super) fn calls(&self) -> Calls {
        Calls { address: self.address(), kept: self.kept.clone() }
    }

    pub(super) async fn call(&self, caller: Caller) -> (Seen, Journal) {
        self.calls().call(Pbx::Asterisk, caller).await
    }

    /// Waits until so many connections are open.
    pub(super) async fn until_open(&self, count: usize) {
        let open = async {
            while self.app.open_calls() != count {
                tokio::task::yield_now().await;
            }
        };
        in_time("the calls' opening", open).await;
    }

    /// Ends; no call is open any more.
    pub(super) async fn stop(self) {
        self.app.drain(LONGEST, std::future::pending()).await;
    }
}

/// Places calls; for tasks.
#[derive(Clone)]
pub(super) struct Calls {
    address: SocketAddr,
    kept: Arc<Kept>,
}

impl Calls {
    /// A call, and its journal.
    pub(super) async fn call(&self, pbx: Pbx, caller: Caller) -> (Seen, Journal) {
        let unique_id = caller.unique_id.clone();
        let seen = in_time(&unique_id, pbx.play(self.address, caller)).await;
        let journal = self.journal(&unique_id).await;
        assert!(journal.steps.is_sorted_by_key(|step| step.at_us), "not in order: {:?}", journal.steps);
        (seen, journal)
    }

    /// The journal of a channel's call, once it is over.
    pub(super) async fn journal(&self, unique_id: &str) -> Journal {
        let mut journals = self.kept.journals.subscribe();
        let find = |journals: &Vec<Journal>| journals.iter().find(|j| j.unique_id == unique_id).cloned();
        let over = in_time(unique_id, journals.wait_for(|all| find(all).is_some())).await;
        find(&over.expect("the daemon lives")).expect("it was there")
    }
}

/// Whatever it is, it comes to an end.
pub(super) async fn in_time<T>(what: &str, doing: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(LONGEST, doing).await;
    done.unwrap_or_else(|_| panic!("{what} hangs"))
}

/// The names of the steps, in order.
pub(super) fn steps(journal: &Journal) -> Vec<String> {
    let name = |step| serde_json::to_value(step).expect("JSON")["step"].as_str().expect("a name").to_owned();
    journal.steps.iter().map(name).collect()
}
