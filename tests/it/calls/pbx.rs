//! A caller and a dialplan in words that fit every PBX.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use switchhook::stage::asterisk::{self, Entry, Event, Presentation, Script};
use tokio_util::sync::CancellationToken;

/// The PBXs that can be played. What comes of a call is the same on all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pbx {
    Asterisk,
}

impl Pbx {
    pub(super) const ALL: [Pbx; 1] = [Pbx::Asterisk];
}

/// Sounds that are there, each 2 s long.
const SOUNDS: [&str; 3] = ["enter", "wrong", "silent"];

/// So many times faster than life.
const SPEED: u32 = 1_000;

/// One call, as it is to happen.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// `webhook/NAME`, `callername/prepend`, …
    pub(super) path: String,
    /// `key=value` in the place of what the channel says.
    pub(super) overrides: Vec<(&'static str, &'static str)>,
    /// The text of `callername/…`.
    pub(super) text: &'static str,
    pub(super) number: &'static str,
    pub(super) name: &'static str,
    /// The caller asked not to be shown.
    pub(super) withheld: bool,
    /// The dialplan has answered.
    pub(super) answered: bool,
    /// What is typed, an entry each. `>` first: over the prompt. `!` last: then the caller hangs up.
    pub(super) keys: Vec<&'static str>,
    /// The caller hangs up when this is cancelled.
    pub(super) hang_up: CancellationToken,
    pub(super) unique_id: String,
}

impl Caller {
    /// Alice, 1001, calls 100.
    pub(super) fn of(webhook: &str) -> Caller {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Caller {
            path: format!("webhook/{webhook}"),
            overrides: Vec::new(),
            text: "",
            number: "1001",
            name: "Alice Example",
            withheld: false,
            answered: false,
            keys: Vec::new(),
            hang_up: CancellationToken::new(),
            unique_id: format!("1795319690.{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        }
    }

    pub(super) fn typing(self, keys: &[&'static str]) -> Caller {
        Caller { keys: keys.to_vec(), ..self }
    }

    pub(super) fn from(self, number: &'static str) -> Caller {
        Caller { number, ..self }
    }
}

/// What the dialplan, the callee and the caller had of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Channel variables, names in capital letters.
    pub(super) variables: BTreeMap<String, String>,
    /// The variable that was set last.
    pub(super) last: String,
    /// `NAME <NUMBER>` as the callee's phone shows them, and behind a comma what else a trusted trunk is told.
    pub(super) callee: String,
    /// The prompts that the caller heard, in order.
    pub(super) heard: Vec<String>,
    /// The channel is answered.
    pub(super) answered: bool,
    pub(super) hung_up: bool,
}

impl Seen {
    /// A variable, empty when it was never set.
    pub(super) fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    /// `FAILED timeout`; a lone space where the daemon said nothing.
    pub(super) fn outcome(&self) -> String {
        format!("{} {}", self.variable("WEBHOOK_RESULT"), self.variable("WEBHOOK_REASON"))
    }
}

impl Pbx {
    /// Plays the call against the daemon.
    pub(super) async fn play(self, daemon: SocketAddr, caller: Caller) -> Seen {
        match self {
            Pbx::Asterisk => asterisk(daemon, caller).await,
        }
    }
}

async fn asterisk(daemon: SocketAddr, caller: Caller) -> Seen {
    let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    // Asterisk cuts the text of an application's argument at its commas.
    let args: Vec<String> = match caller.text {
        "" => caller.overrides.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        text => text.split(',').map(str::to_owned).collect(),
    };
    let withheld = Presentation::ProhibNotScreened;
    let played = asterisk::play(
        daemon,
        Script {
            path: caller.path,
            args,
            unique_id: caller.unique_id,
            number: known(caller.number),
            name: known(caller.name),
            presentation: if caller.withheld { withheld } else { Presentation::AllowedNotScreened },
            answered: caller.answered,
            sounds: SOUNDS.map(|name| (name.to_owned(), Duration::from_secs(2))).into(),
            entries: caller.keys.iter().map(|keys| entry(keys)).collect(),
            hang_up_when: caller.hang_up,
            speed: SPEED,
            ..Script::default()
        },
    )
    .await;
    let last = played.transcript.iter().rev().find_map(|moment| match &moment.event {
        Event::Set(name, _) => Some(name.clone()),
        _ => None,
    });
    let shown = |(name, number): (&str, &str)| format!("{name} <{number}>");
    let mut callee = shown(played.caller.shown());
    if played.caller.is_hidden() && played.caller.asserted() != ("", "") {
        callee = format!("{callee}, {}", shown(played.caller.asserted()));
    }
    Seen {
        heard: played.prompts().into_iter().map(str::to_owned).collect(),
        last: last.unwrap_or_default(),
        callee,
        answered: played.answered,
        hung_up: played.hung_up,
        variables: played.variables,
    }
}

fn entry(keys: &str) -> Entry {
    let (keys, over) = keys.strip_prefix('>').map_or((keys, false), |keys| (keys, true));
    let entry = if over { Entry::over(keys) } else { Entry::after(keys) };
    if keys.ends_with('!') { entry.then_hang_up(Duration::from_millis(100)) } else { entry }
}
