//! A caller and a dialplan in words that fit every PBX.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use switchhook::stage::freeswitch::{self, Dialplan};
use switchhook::stage::{After, Entry, Event, Moment, Party, Played, Presentation, Script, Shown, asterisk};
use tokio_util::sync::CancellationToken;

/// The PBXs that can be played. What comes of a call is the same on all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pbx {
    Asterisk,
    FreeSwitch,
}

impl Pbx {
    pub(super) const ALL: [Pbx; 2] = [Pbx::Asterisk, Pbx::FreeSwitch];
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
    /// The caller hangs up so many ms after the beginning, by the clock on the wall.
    pub(super) hangs_up_after_ms: Option<u64>,
    /// Variables that hold what a webhook before has left. For a PBX on which nothing is what an empty one is.
    pub(super) stale: Vec<String>,
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
            hangs_up_after_ms: None,
            stale: Vec::new(),
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
    /// The header lines of the callee's INVITE.
    pub(super) invite: String,
    /// The prompts that the caller heard, in order.
    pub(super) heard: Vec<String>,
    /// The channel is answered.
    pub(super) answered: bool,
    pub(super) hung_up: bool,
    /// What becomes of the channel.
    pub(super) after: After,
    pub(super) transcript: Vec<Moment>,
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
            Pbx::FreeSwitch => freeswitch(daemon, caller, Dialplan::default()).await,
        }
    }
}

async fn asterisk(daemon: SocketAddr, caller: Caller) -> Seen {
    // Asterisk cuts the text of an application's argument at its commas.
    let args: Vec<String> = match caller.text {
        "" => caller.overrides.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        text => text.split(',').map(str::to_owned).collect(),
    };
    Seen::of(asterisk::play(daemon, Script { args, ..script(caller) }).await)
}

/// Names are written as on Asterisk, and what FreeSWITCH does by itself is left out.
pub(super) async fn freeswitch(daemon: SocketAddr, caller: Caller, mut dialplan: Dialplan) -> Seen {
    let set = caller.overrides.iter().copied().chain(Some(("text", caller.text)));
    let set = set.filter(|(_, value)| !value.is_empty());
    let set: Vec<(String, String)> =
        set.map(|(key, value)| (format!("switchhook_{key}"), value.to_owned())).collect();
    let overrides: Vec<String> = set.iter().map(|(name, _)| name.clone()).collect();
    dialplan.variables.extend(set);
    let stale = caller.stale.iter().map(|name| (name.to_ascii_lowercase(), "stale".to_owned()));
    dialplan.variables.extend(stale);
    let mut played = freeswitch::play(daemon, script(caller), dialplan).await;
    // Shown with a small letter.
    if played.caller.is_anonymous() {
        played.caller.from.name = "Anonymous".to_owned();
        played.caller.asserted = played.caller.from.clone();
    }
    for moment in &mut played.transcript {
        if let Event::Set(name, _) = &mut moment.event {
            *name = name.to_ascii_uppercase();
        }
    }
    let own = |name: &str| {
        ["read_result", "socket_resume"].contains(&name)
            || name.starts_with("effective_caller_id_")
            || overrides.contains(&name.to_owned())
    };
    let variables = std::mem::take(&mut played.variables).into_iter().filter(|(name, _)| !own(name));
    played.variables = variables.map(|(name, value)| (name.to_ascii_uppercase(), value)).collect();
    Seen::of(played)
}

fn script(caller: Caller) -> Script {
    let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let withheld = Presentation::ProhibNotScreened;
    Script {
        path: caller.path,
        unique_id: caller.unique_id,
        number: known(caller.number),
        name: known(caller.name),
        presentation: if caller.withheld { withheld } else { Presentation::AllowedNotScreened },
        answered: caller.answered,
        sounds: SOUNDS.map(|name| (name.to_owned(), Duration::from_secs(2))).into(),
        entries: caller.keys.iter().map(|keys| entry(keys)).collect(),
        hang_up_after: caller.hangs_up_after_ms.map(|ms| Duration::from_millis(ms) * SPEED),
        hang_up_when: caller.hang_up,
        speed: SPEED,
        ..Script::default()
    }
}

impl Seen {
    fn of(played: Played) -> Seen {
        let last = played.transcript.iter().rev().find_map(|moment| match &moment.event {
            Event::Set(name, _) => Some(name.clone()),
            _ => None,
        });
        let shown = |party: &Party| format!("{} <{}>", party.name, party.number);
        let Shown { from, asserted, .. } = &played.caller;
        let mut callee = shown(from);
        if asserted != from && *asserted != Party::default() {
            callee = format!("{callee}, {}", shown(asserted));
        }
        Seen {
            heard: played.prompts().into_iter().map(str::to_owned).collect(),
            last: last.unwrap_or_default(),
            callee,
            invite: played.caller.invite(),
            after: played.after,
            answered: played.answered,
            hung_up: played.hung_up,
            transcript: played.transcript,
            variables: played.variables,
        }
    }
}

fn entry(keys: &str) -> Entry {
    let (keys, over) = keys.strip_prefix('>').map_or((keys, false), |keys| (keys, true));
    let entry = if over { Entry::over(keys) } else { Entry::after(keys) };
    if keys.ends_with('!') { entry.then_hang_up(Duration::from_millis(100)) } else { entry }
}
