//! Calls without a PBX: a daemon of its own for them, and Asterisk played by [`crate::stage`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::sync::mpsc;

use super::transcript::clean;
use crate::app::{App, StartError};
use crate::config::{Config, Listener};
use crate::io::Keeper;
use crate::stage::asterisk::{self, Played, Script};
use crate::store::Store;
use crate::terms::{CallResult, Code, Journal, Pbx, Webhook, WebhookName, What};

/// Any free port of this machine.
pub(super) const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How long each sound lasts.
const SOUND: Duration = Duration::from_secs(2);

/// Journals that wait to be taken, at most. Further ones are lost.
const JOURNALS: usize = 1_000;

/// How often one looks whether a call is over.
const LOOK: Duration = Duration::from_millis(1);

/// A reason that the daemon never gives: the dialplan writes it when it got no result.
const UNREACHABLE: &str = "unreachable";

/// A daemon for played calls. What happened in them is taken from memory.
pub(super) struct Daemon {
    app: App,
    address: SocketAddr,
    journals: mpsc::Receiver<Journal>,
}

/// What came of a played call.
#[derive(Debug)]
pub(super) struct Told {
    /// On Asterisk's side.
    pub(super) played: Played,
    /// On the daemon's. `None` where the session ended before it was a call.
    pub(super) journal: Option<Journal>,
}

impl Daemon {
    /// Starts one with these webhooks, that listens for this machine alone. `store` keeps the journals as well.
    pub(super) fn start(
        mut config: Config,
        listen: SocketAddr,
        store: Option<Store>,
    ) -> Result<Daemon, StartError> {
        config.esl = None;
        config.fastagi = Some(Listener { listen, allow: vec![listen.ip().into()], max_calls: JOURNALS });
        let (out, journals) = mpsc::channel(JOURNALS);
        let app = App::start(config, Box::new(Journals { out, store }))?;
        let address = app.address(Pbx::Asterisk).ok_or(StartError::NoListener)?;
        Ok(Daemon { app, address, journals })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Plays one call, and waits until the daemon has forgotten it.
    pub(super) async fn play(&mut self, script: Script) -> Told {
        let played = asterisk::play(self.address(), script).await;
        // Its journal is handed over before it is counted as over.
        while self.app.open_calls() > 0 {
            tokio::time::sleep(LOOK).await;
        }
        Told { played, journal: self.journals.try_recv().ok() }
    }

    /// The next call that somebody else placed.
    pub(super) async fn next(&mut self) -> Option<Journal> {
        self.journals.recv().await
    }

    /// Ends it, and the calls that are open.
    pub(super) async fn stop(self) {
        self.app.drain(Duration::ZERO, std::future::ready(())).await;
    }
}

impl Told {
    /// As the dialplan reads it: everything but `SUCCESS` is failed.
    pub(super) fn result(&self) -> CallResult {
        match self.played.variable("WEBHOOK_RESULT") == CallResult::Success.as_str() {
            true => CallResult::Success,
            false => CallResult::Failed,
        }
    }

    /// The word for it.
    pub(super) fn reason(&self) -> &str {
        match self.played.variable("WEBHOOK_RESULT") {
            "" => UNREACHABLE,
            _ => self.played.variable("WEBHOOK_REASON"),
        }
    }

    /// Name and number that the callee sees; `None` when both are hidden.
    pub(super) fn shown(&self) -> Option<(&str, &str)> {
        let caller = &self.played.caller;
        (!caller.is_hidden()).then(|| caller.shown())
    }

    /// Name and number on the callee's display, in words.
    pub(super) fn display(&self) -> String {
        match self.shown() {
            None => "an anonymous caller".to_owned(),
            Some(("", "")) => "neither name nor number".to_owned(),
            Some((name, "")) => format!("{name}, without a number"),
            Some(("", number)) => number.to_owned(),
            Some((name, number)) => format!("{name}, {number}"),
        }
    }

    /// What becomes of the call, in a sentence. The codes are masked in it: a web server may send one back.
    pub(super) fn next_phone(&self, codes: &[Code]) -> String {
        let destination = self.variables().into_iter().find(|(name, _)| *name == "WEBHOOK_DESTINATION");
        let goes = match destination {
            Some((_, number)) if !number.is_empty() => format!("Phone {} rings and shows", clean(number)),
            _ if self.result() == CallResult::Success => {
                "The dialplan goes on; the next phone shows".to_owned()
            }
            _ => "The dialplan goes on in its failed branch; the next phone shows".to_owned(),
        };
        format!("{goes}: {}.", masked(&clean(&self.display()), codes))
    }

    /// The variables that the PBX took, in the daemon's order, codes masked.
    pub(super) fn variables(&self) -> Vec<(&str, &str)> {
        let finished = self.journal.iter().flat_map(|j| &j.steps).filter_map(|step| match &step.what {
            What::Finished { variables } => Some(variables),
            _ => None,
        });
        let taken = |(name, _): &&(String, String)| self.played.variables.contains_key(name);
        finished.flatten().filter(taken).map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// A text without codes.
pub(super) fn masked(text: &str, codes: &[Code]) -> String {
    codes.iter().fold(text.to_owned(), |text, code| code.mask_in(&text))
}

/// A call that asks a webhook, so many times faster than life. Every sound that the webhook plays is there.
pub(super) fn script(webhook: &Webhook, speed: u32) -> Script {
    let prompts = webhook.ivr.iter().flat_map(|i| [&i.start_prompt, &i.error_prompt, &i.timeout_prompt]);
    let sounds: BTreeMap<String, Duration> =
        prompts.flatten().map(|prompt| (prompt.asterisk.clone(), SOUND)).collect();
    Script { path: format!("webhook/{}", webhook.name), sounds, speed, ..Script::default() }
}

/// Hands on what is to be kept.
struct Journals {
    out: mpsc::Sender<Journal>,
    store: Option<Store>,
}

impl Keeper for Journals {
    fn journal(&self, journal: Journal) {
        if let Some(store) = &self.store {
            store.journal(journal.clone());
        }
        if self.out.try_send(journal).is_err() {
            tracing::warn!("nobody takes the journals: one is lost");
        }
    }

    fn wrong_code(&self, webhook: &WebhookName, caller: &str, wall: i64) {
        if let Some(store) = &self.store {
            store.wrong_code(webhook.as_str(), caller, wall);
        }
    }

    fn right_code(&self, webhook: &WebhookName, caller: &str) {
        if let Some(store) = &self.store {
            store.right_code(webhook.as_str(), caller);
        }
    }
}
