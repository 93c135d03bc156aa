//! Calls without a PBX: a daemon of its own for them, and the PBX played by [`crate::stage`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::sync::mpsc;

use super::transcript::clean;
use crate::app::{App, StartError};
use crate::config::{Config, Listener};
use crate::io::Keeper;
use crate::stage::freeswitch::Dialplan;
use crate::stage::{Played, Script, asterisk, freeswitch};
use crate::store::Store;
use crate::terms::{CallResult, Code, Journal, Pbx, Prompt, Webhook, WebhookName, What};

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

/// Which PBX is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PlayedPbx {
    #[default]
    Asterisk,
    #[value(name = "freeswitch")]
    FreeSwitch,
}

impl PlayedPbx {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            PlayedPbx::Asterisk => "Asterisk",
            PlayedPbx::FreeSwitch => "FreeSWITCH",
        }
    }

    /// A channel's name there.
    pub(super) fn channel(self, peer: &str, at: usize) -> String {
        match self {
            PlayedPbx::Asterisk => format!("PJSIP/{peer}-{at:08x}"),
            PlayedPbx::FreeSwitch => format!("sofia/{peer}/{at}@pbx.invalid"),
        }
    }

    fn pbx(self) -> Pbx {
        match self {
            PlayedPbx::Asterisk => Pbx::Asterisk,
            PlayedPbx::FreeSwitch => Pbx::FreeSwitch,
        }
    }
}

/// A daemon for played calls. What happened in them is taken from memory.
pub(super) struct Daemon {
    pbx: PlayedPbx,
    app: App,
    address: SocketAddr,
    journals: mpsc::Receiver<Journal>,
}

/// What came of a played call.
#[derive(Debug)]
pub(super) struct Told {
    pbx: PlayedPbx,
    /// On the PBX's side.
    pub(super) played: Played,
    /// On the daemon's. `None` where the session ended before it was a call.
    pub(super) journal: Option<Journal>,
}

impl Daemon {
    /// Starts one with these webhooks, that listens for this machine alone. `store` keeps the journals as well.
    pub(super) fn start(
        pbx: PlayedPbx,
        mut config: Config,
        listen: SocketAddr,
        store: Option<Store>,
    ) -> Result<Daemon, StartError> {
        let listener = Some(Listener { listen, allow: vec![listen.ip().into()], max_calls: JOURNALS });
        (config.fastagi, config.esl) = match pbx {
            PlayedPbx::Asterisk => (listener, None),
            PlayedPbx::FreeSwitch => (None, listener),
        };
        let (out, journals) = mpsc::channel(JOURNALS);
        let app = App::start(config, Box::new(Journals { out, store }))?;
        let address = app.address(pbx.pbx()).ok_or(StartError::NothingToDo)?;
        Ok(Daemon { pbx, app, address, journals })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Plays one call, and waits until the daemon has forgotten it.
    pub(super) async fn play(&mut self, script: Script) -> Told {
        let played = match self.pbx {
            PlayedPbx::Asterisk => asterisk::play(self.address(), script).await,
            PlayedPbx::FreeSwitch => freeswitch::play(self.address(), script, Dialplan::default()).await,
        };
        // Its journal is handed over before it is counted as over.
        while self.app.open_calls() > 0 {
            tokio::time::sleep(LOOK).await;
        }
        Told { pbx: self.pbx, played, journal: self.journals.try_recv().ok() }
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
        match self.variable("WEBHOOK_RESULT") == CallResult::Success.as_str() {
            true => CallResult::Success,
            false => CallResult::Failed,
        }
    }

    /// The word for it.
    pub(super) fn reason(&self) -> &str {
        match self.variable("WEBHOOK_RESULT") {
            "" => UNREACHABLE,
            _ => self.variable("WEBHOOK_REASON"),
        }
    }

    /// A variable by its name in the configuration, as the dialplan sees it; empty when it is not set.
    pub(super) fn variable(&self, name: &str) -> &str {
        self.played.variable(&self.name(name))
    }

    /// A variable's name in the dialplan: FreeSWITCH's are written in small letters.
    fn name(&self, name: &str) -> String {
        match self.pbx {
            PlayedPbx::Asterisk => name.to_owned(),
            PlayedPbx::FreeSwitch => name.to_ascii_lowercase(),
        }
    }

    /// Name and number that the callee sees; `None` when both are hidden.
    pub(super) fn shown(&self) -> Option<(&str, &str)> {
        let shown = &self.played.caller;
        (!shown.is_anonymous()).then_some((&shown.from.name, &shown.from.number))
    }

    /// Whether the callee's side is asked not to show them.
    pub(super) fn is_private(&self) -> bool {
        self.played.caller.private || self.played.caller.is_anonymous()
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
        let destination = self.taken().find(|(name, _)| name == "WEBHOOK_DESTINATION");
        let goes = match destination {
            Some((_, number)) if !number.is_empty() => format!("Phone {} rings and shows", clean(number)),
            _ if self.result() == CallResult::Success => {
                "The dialplan goes on; the next phone shows".to_owned()
            }
            _ => "The dialplan goes on in its failed branch; the next phone shows".to_owned(),
        };
        format!("{goes}: {}.", masked(&clean(&self.display()), codes))
    }

    /// The variables that the PBX took, in the daemon's order, codes masked: names in the dialplan, values.
    pub(super) fn variables(&self) -> Vec<(String, &str)> {
        self.taken().map(|(name, value)| (self.name(name), value.as_str())).collect()
    }

    /// By their names in the configuration. FreeSWITCH keeps no empty ones, which a dialplan sees as empty.
    fn taken(&self) -> impl Iterator<Item = &(String, String)> {
        let finished = self.journal.iter().flat_map(|j| &j.steps).filter_map(|step| match &step.what {
            What::Finished { variables } => Some(variables),
            _ => None,
        });
        let taken = |(name, value): &&(String, String)| {
            self.played.variables.contains_key(&self.name(name))
                || (self.pbx == PlayedPbx::FreeSwitch && value.is_empty() && !self.played.hung_up)
        };
        finished.flatten().filter(taken)
    }
}

/// A text without codes.
pub(super) fn masked(text: &str, codes: &[Code]) -> String {
    codes.iter().fold(text.to_owned(), |text, code| code.mask_in(&text))
}

/// A call that asks a webhook, so many times faster than life. Every sound that the webhook plays is there.
pub(super) fn script(pbx: PlayedPbx, webhook: &Webhook, speed: u32) -> Script {
    let name = |prompt: &Prompt| match pbx {
        PlayedPbx::Asterisk => prompt.asterisk.clone(),
        PlayedPbx::FreeSwitch => prompt.freeswitch.clone(),
    };
    let prompts = webhook.ivr.iter().flat_map(|i| [&i.start_prompt, &i.error_prompt, &i.timeout_prompt]);
    let sounds: BTreeMap<String, Duration> = prompts.flatten().map(|prompt| (name(prompt), SOUND)).collect();
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
