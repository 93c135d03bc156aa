//! `switchhook subscription`: who is told of events, and how that goes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use uuid::Uuid;

use super::explain::{columns, json, print};
use super::place::Place;
use super::transcript::{clean, date};
use crate::clock::wall_ms;
use crate::config::Config;
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
    #[error("there is no subscription {0:?} in the configuration{1}")]
    Unknown(String, String),
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
        | Action::Pause(Named { common, .. })
        | Action::Resume(Named { common, .. })
        | Action::Test(Named { common, .. })) = &self.action;
        match common.place.find() {
            Ok((store, config)) => print(text(&self.action, &store, config.as_ref())),
            Err(exit) => exit,
        }
    }
}

fn text(action: &Action, store: &Path, config: Option<&Config>) -> Result<String, Refused> {
    if let (Action::Pause(named) | Action::Resume(named) | Action::Test(named), Some(config)) =
        (action, config)
    {
        known(config, &named.name)?;
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
        Action::Pause(named) => {
            let changed = pause_subscription(store, &named.name)?;
            Ok(said(named, "paused", changed, "is paused.", "was paused already."))
        }
        Action::Resume(named) => {
            let changed = resume_subscription(store, &named.name)?;
            Ok(said(named, "resumed", changed, "goes on.", "was not paused."))
        }
        Action::Test(named) => test(named, store),
    }
}

fn known(config: &Config, name: &str) -> Result<(), Refused> {
    let mut names = config.subscriptions.keys().map(|n| n.as_str());
    if names.any(|n| n == name) {
        return Ok(());
    }
    let all: Vec<&str> = config.subscriptions.keys().map(|n| n.as_str()).collect();
    let all = if all.is_empty() { String::new() } else { format!("; there are: {}", all.join(", ")) };
    Err(Refused::Unknown(name.to_owned(), all))
}

/// A subscription in the list.
#[derive(Debug, serde::Serialize)]
struct Listed {
    /// Null: there is no configuration to say.
    enabled: Option<bool>,
    #[serde(flatten)]
    state: SubscriptionState,
}

fn list(common: &Common, store: &Path, config: Option<&Config>) -> Result<String, Refused> {
    let states = Reader::open(store)?.subscriptions()?;
    let mut states: BTreeMap<String, SubscriptionState> =
        states.into_iter().map(|state| (state.name.clone(), state)).collect();
    let mut listed = Vec::new();
    for (name, plan) in config.iter().flat_map(|config| &config.subscriptions) {
        let fresh = SubscriptionState { name: name.to_string(), ..SubscriptionState::default() };
        let state = states.remove(name.as_str()).unwrap_or(fresh);
        let all = config.is_some_and(|config| config.subscriptions_enabled);
        listed.push(Listed { enabled: Some(all && plan.subscription().enabled), state });
    }
    let no_longer = config.map(|_| false);
    listed.extend(states.into_values().map(|state| Listed { enabled: no_longer, state }));
    if common.json {
        return Ok(json(&listed));
    }
    if listed.is_empty() {
        return Ok("No subscriptions.\n".to_owned());
    }
    let zone = TimeZone::system();
    let header = ["NAME", "STATE", "SINCE", "FAILING SINCE", "PENDING"].map(str::to_owned);
    let since = |at: Option<i64>| at.map_or_else(String::new, |at| date(at, &zone));
    let row = |l: &Listed| {
        let state = match (&l.state.paused, l.enabled) {
            (Some(why), _) => format!("paused ({why})"),
            (None, Some(false)) => "off".to_owned(),
            (None, _) => "on".to_owned(),
        };
        let s = &l.state;
        [clean(&s.name), clean(&state), since(s.paused_at), since(s.failing_since), s.pending.to_string()]
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
