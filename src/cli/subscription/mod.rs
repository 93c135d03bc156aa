//! `switchhook subscription`: who is told of events, and how that goes.

mod define;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use uuid::Uuid;

use super::actor::actor;
use super::explain::{columns, json, print};
use super::place::Place;
use super::transcript::{clean, date};
use super::{EXIT_CONFIG, colour};
use crate::clock::wall_ms;
use crate::config::{Config, Problems};
use crate::store::{
    DeliveryState, NewEvent, NotFound, Reader, Recipient, SubscriptionState, add_event, pause_subscription,
    resume_subscription,
};
use crate::terms::{CallEvent, Direction, Event, EventKind};

/// How long `test` waits for the daemon: an attempt, and what it takes to notice.
const TEST_WAITS: Duration = Duration::from_secs(18);

/// How often it looks.
const TEST_LOOK: Duration = Duration::from_millis(100);

/// Who is told of events
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Subscription {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// Every subscription, and how it stands
    List(Common),
    /// Put subscriptions into the store, beside those of the file: all that a text defines, or nothing
    ///
    /// The text has one or more [subscription.NAME] sections, as the configuration file has them, without ${NAME} and
    /// secret_file. One that is there already is replaced as a whole.
    Put {
        /// The text; without it, or with -, standard input
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// Take a subscription out of the store. Its deliveries stay in the log
    Remove(Named),
    /// Print a subscription of the store as TOML, without its secrets
    Show(Named),
    /// Keep what happens, and tell it later
    Pause(Named),
    /// Go on, with what was kept first
    Resume(Named),
    /// Have the running daemon tell it of a call that never was, and say what came back
    Test(Named),
}

#[derive(Clone, Debug, clap::Args)]
struct Common {
    /// JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Debug, clap::Args)]
struct Named {
    /// The subscription
    name: String,
    #[command(flatten)]
    common: Common,
}

/// Why it cannot be done.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    NotFound(#[from] NotFound),
    #[error(transparent)]
    Store(#[from] crate::store::OpenError),
    #[error("there is no subscription {0:?}{1}")]
    Unknown(String, String),
    #[error("{0} is not in the store but in the configuration file: change it there")]
    NotStored(String),
    #[error("{0} cannot be read: {1}")]
    Unreadable(String, std::io::Error),
    #[error("nothing was changed")]
    Wrong(#[from] Problems),
    #[error(
        "{name} was not told within {waited} s: is the daemon running, and is the subscription neither paused nor \
         switched off?"
    )]
    NotTold { name: String, waited: u64 },
}

impl Subscription {
    /// Prints or changes what is asked for.
    pub(super) fn run(self) -> ExitCode {
        let (Action::List(common)
        | Action::Put { common, .. }
        | Action::Remove(Named { common, .. })
        | Action::Show(Named { common, .. })
        | Action::Pause(Named { common, .. })
        | Action::Resume(Named { common, .. })
        | Action::Test(Named { common, .. })) = &self.action;
        match common.place.find() {
            Ok((store, config)) => match text(&self.action, &store, config.as_ref()) {
                Err(Refused::Wrong(problems)) => {
                    eprintln!("{}", problems.draw(colour(&std::io::stderr())));
                    ExitCode::from(EXIT_CONFIG)
                }
                other => print(other),
            },
            Err(exit) => exit,
        }
    }
}

fn text(action: &Action, store: &Path, config: Option<&Config>) -> Result<String, Refused> {
    if let Action::Pause(named) | Action::Resume(named) | Action::Test(named) = action {
        known(config, store, &named.name)?;
    }
    let said = |named: &Named, key: &str, changed: bool, yes: &str, no: &str| {
        if named.common.json {
            json(&serde_json::json!({ key: changed }))
        } else {
            format!("{} {}\n", clean(&named.name), if changed { yes } else { no })
        }
    };
    match action {
        Action::List(common) => list(common, store, config),
        Action::Put { file, common } => define::put(file.as_ref(), common.json, store, config),
        Action::Remove(named) => define::remove(named, store, config),
        Action::Show(named) => define::show(named, store, config),
        Action::Pause(named) => {
            let changed = pause_subscription(store, &named.name, &actor())?;
            Ok(said(named, "paused", changed, "is paused.", "was paused already."))
        }
        Action::Resume(named) => {
            let changed = resume_subscription(store, &named.name, &actor())?;
            Ok(said(named, "resumed", changed, "goes on.", "was not paused."))
        }
        Action::Test(named) => test(named, store),
    }
}

/// Whether there is such a subscription. Without a configuration nobody knows: every name is taken.
fn known(config: Option<&Config>, store: &Path, name: &str) -> Result<(), Refused> {
    let Some(config) = config else { return Ok(()) };
    let stored = Reader::open(store)?.definitions()?.into_iter().map(|definition| definition.name);
    let all: BTreeSet<String> = config.subscriptions.keys().map(ToString::to_string).chain(stored).collect();
    if all.contains(name) {
        return Ok(());
    }
    let all: Vec<String> = all.into_iter().collect();
    let all = if all.is_empty() { String::new() } else { format!("; there are: {}", all.join(", ")) };
    Err(Refused::Unknown(name.to_owned(), all))
}

/// Where a subscription is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Origin {
    File,
    Store,
}

/// A subscription in the list.
#[derive(Debug, serde::Serialize)]
struct Listed {
    /// Null: nowhere any more, or in a file that was not read.
    from: Option<Origin>,
    /// The file has one of this name too, and that one is told.
    hidden: bool,
    /// Null: there is no configuration to say.
    enabled: Option<bool>,
    #[serde(flatten)]
    state: SubscriptionState,
}

fn list(common: &Common, store: &Path, config: Option<&Config>) -> Result<String, Refused> {
    let reader = Reader::open(store)?;
    let states = reader.subscriptions()?;
    let mut states: BTreeMap<String, SubscriptionState> =
        states.into_iter().map(|state| (state.name.clone(), state)).collect();
    let mut state = |name: &str| {
        let fresh = SubscriptionState { name: name.to_owned(), ..SubscriptionState::default() };
        states.remove(name).unwrap_or(fresh)
    };
    let enabled = |enabled: bool| config.map(|config| config.subscriptions_enabled && enabled);
    let mut listed = Vec::new();
    for (name, plan) in config.iter().flat_map(|config| &config.subscriptions) {
        let enabled = enabled(plan.subscription().enabled);
        listed.push(Listed { from: Some(Origin::File), hidden: false, enabled, state: state(name.as_str()) });
    }
    for definition in reader.definitions()? {
        let hidden = listed.iter().any(|l| l.state.name == definition.name);
        let on = definition
            .read()
            .is_ok_and(|stored| stored.is_some_and(|stored| stored.plan.subscription().enabled));
        let enabled = enabled(!hidden && on);
        let state = state(&definition.name);
        listed.push(Listed { from: Some(Origin::Store), hidden, enabled, state });
    }
    let enabled = config.map(|_| false);
    listed.extend(states.into_values().map(|state| Listed { from: None, hidden: false, enabled, state }));
    listed.sort_by(|a, b| a.state.name.cmp(&b.state.name));
    if common.json {
        return Ok(json(&listed));
    }
    if listed.is_empty() {
        return Ok("No subscriptions.\n".to_owned());
    }
    let zone = TimeZone::system();
    let header = ["NAME", "FROM", "STATE", "SINCE", "FAILING SINCE", "PENDING"].map(str::to_owned);
    let since = |at: Option<i64>| at.map_or_else(String::new, |at| date(at, &zone));
    let row = |l: &Listed| {
        let from = match l.from {
            Some(Origin::File) => "file",
            Some(Origin::Store) => "store",
            None => "",
        };
        let state = match (&l.state.paused, l.enabled) {
            _ if l.hidden => "hidden by the file".to_owned(),
            (Some(why), _) => format!("paused ({why})"),
            (None, Some(false)) => "off".to_owned(),
            (None, _) => "on".to_owned(),
        };
        let s = &l.state;
        [
            clean(&s.name),
            from.to_owned(),
            clean(&state),
            since(s.paused_at),
            since(s.failing_since),
            s.pending.to_string(),
        ]
    };
    Ok(columns(&std::iter::once(header).chain(listed.iter().map(row)).collect::<Vec<_>>()))
}

fn test(named: &Named, store: &Path) -> Result<String, Refused> {
    let recipient = Recipient { subscription: named.name.clone(), expires: None, strict: false };
    let new = NewEvent { event: sample(), to: vec![recipient] };
    let unknown = || NotFound::Unknown(named.name.clone());
    let id = add_event(store, new)?.ok_or_else(unknown)?.to_string();
    let reader = Reader::open(store)?;
    let end = Instant::now() + TEST_WAITS;
    while Instant::now() < end {
        let (delivery, _, attempts) = reader.delivery(&id)?;
        if let Some(attempt) = attempts.last()
            && let Some(result) = &attempt.result
        {
            if named.common.json {
                return Ok(json(&serde_json::json!({ "delivery": delivery, "attempt": attempt })));
            }
            let status = attempt.http_status.map_or_else(String::new, |status| format!(" (HTTP {status})"));
            let taken = delivery.state == DeliveryState::Delivered;
            let verdict = if taken { "was told" } else { "did not take it" };
            let name = clean(&named.name);
            return Ok(format!("{name} {verdict}: {result}{status}. See: switchhook deliveries show {id}\n"));
        }
        std::thread::sleep(TEST_LOOK);
    }
    Err(Refused::NotTold { name: named.name.clone(), waited: TEST_WAITS.as_secs() })
}

/// A call that never was, from a number that nobody has.
fn sample() -> Event {
    let now = wall_ms();
    Event::Call(Box::new(CallEvent {
        event: EventKind::Ringing,
        seq: 1,
        synthetic: true,
        pbx: "test".to_owned(),
        calluniqueid: format!("test-{}", Uuid::now_v7()),
        other_calluniqueid: String::new(),
        direction: Direction::In,
        callfrom: "31600000000".to_owned(),
        callto: "201".to_owned(),
        did: "31201234567".to_owned(),
        callerid: "31600000000".to_owned(),
        callername: "Switchhook test".to_owned(),
        extension: "201".to_owned(),
        disposition: None,
        reason: None,
        hangup_cause: None,
        timestamp: now,
        start: now,
        ringing: Some(now),
        answer: None,
        end: None,
        duration: 0,
        talk_time: 0,
        call: String::new(),
        queue: String::new(),
        account: String::new(),
        recording: String::new(),
        var: BTreeMap::new(),
        legs: Vec::new(),
    }))
}
