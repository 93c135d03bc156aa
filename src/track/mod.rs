//! Follows the calls of one PBX: what happens to channels goes in, what happened to calls comes out.
//!
//! ```text
//! handle_event / handle_timeout / snapshot  ->  poll_output until Wait  ->  …
//! ```
//!
//! A call is the channels that the PBX joins by one id. It keeps the id that it began with; where a transfer joins two
//! calls, the transferred one goes on and the consultation ends.
//!
//! A PBX tells what its threads do in an order that differs from run to run. So an event is no step of a machine: it adds
//! a fact (it rang, it was in that bridge, it is gone), and facts only grow. A call is looked at when nothing was heard of
//! it for [`SETTLE`]; what the facts say and was not told yet is told then, always in the same order.
//!
//! Every call that was told has exactly one `disconnected`, whatever happens: its channels hung up, or a comparison with
//! the PBX ([`Tracker::snapshot`]) did not find them, or nothing was heard of it for [`ORPHAN`], or the table was full.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod call;
mod channel;
mod disposition;
mod ended;
mod facts;
mod session;
mod telling;
mod trunks;
mod variables;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

pub use call::OpenCall;
pub use channel::{ChannelEvent, ChannelInfo, DialStatus, Kind, MAX_TEXT, MAX_VALUE, State, cut};
pub use session::{Due, MAX_CHANNELS, RESYNC, STEP, Session, SessionOutput, Upkeep};
pub use trunks::Trunks;
pub use variables::VariableNames;

pub use crate::terms::{CallEvent, Direction, Disposition, EndReason, EventKind, LegRecord};

use ended::Ended;

/// Quiet time after which a call is looked at. Events of one moment come within a few ms of each other, in any order.
pub const SETTLE: Duration = Duration::from_millis(50);

/// A call is looked at after this time even if it is never quiet.
pub const SETTLE_MAX: Duration = Duration::from_millis(200);

/// How long a channel that a snapshot does not hold may still tell that it hung up: its event can be on the way.
pub const VANISH: Duration = Duration::from_secs(2);

/// A call of which nothing was heard for so long, by event or snapshot, is given up. Longer than a PBX is ever away.
pub const ORPHAN: Duration = Duration::from_hours(6);

/// Calls at a time. More than one PBX carries; the longest unheard ones are given up for new ones.
pub const MAX_CALLS: usize = 20_000;

/// Calls after which it is said that none of them came over a trunk.
const TRUNK_CHECK: u32 = 20;

/// What comes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Something happened to a call. Keep [`Tracker::open_call`] of its id together with it: `None` when it is over.
    Event(Box<CallEvent>),
    /// Something that the person who runs it should know.
    Warning(Warning),
    /// Nothing more now. Call [`Tracker::handle_timeout`] at this time, if there is one.
    Wait(Option<Instant>),
}

/// What the person who runs it should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// No channel matched the configured trunks.
    #[error(
        "none of {calls} calls came over a trunk, so every call is taken for internal: \
         give the names of the channels that lead outside in `trunks`, such as \"PJSIP/mytrunk-*\"; seen: {seen}"
    )]
    NoTrunk {
        /// Calls until now.
        calls: u32,
        /// Some channels' names.
        seen: String,
    },
    /// The table of calls is full.
    #[error(
        "more than {limit} calls at a time: {given_up} of which nothing was heard for longest were given up"
    )]
    TableFull {
        /// [`MAX_CALLS`].
        limit: usize,
        /// How many were ended.
        given_up: usize,
    },
}

/// Follows the calls of one PBX.
#[derive(Debug)]
pub struct Tracker {
    pbx: String,
    trunks: Trunks,
    max_calls: usize,
    calls: HashMap<u64, Call>,
    next_key: u64,
    of_channel: HashMap<String, u64>,
    of_linked: HashMap<String, u64>,
    due: BTreeSet<(Instant, u64)>,
    ended: Ended,
    /// What the PBX had when we came has been compared.
    compared: bool,
    outputs: VecDeque<Output>,
    calls_told: u32,
    trunk_seen: bool,
}

#[derive(Debug)]
struct Call {
    open: OpenCall,
    /// The last event or snapshot.
    seen: Instant,
    /// The first event that was not looked at yet.
    dirty: Option<Instant>,
    /// When channels that a snapshot did not hold are given up.
    doubted: Option<Instant>,
    /// It goes on in another call.
    joins: Option<Join>,
    /// Calls that go on in this one and were not looked at yet.
    awaits: Vec<u64>,
    /// Its entry in `due`.
    armed: Instant,
}

#[derive(Clone, Debug)]
struct Join {
    into: u64,
    reason: EndReason,
    at: i64,
    /// The number by which the leg was called that a pickup takes over.
    number: String,
    /// Nobody said so: legs of both calls hear each other.
    guessed: bool,
}

impl Tracker {
    /// Follows the PBX of this name in the configuration.
    pub fn new(pbx: impl Into<String>, trunks: Trunks) -> Tracker {
        Tracker {
            pbx: pbx.into(),
            trunks,
            max_calls: MAX_CALLS,
            calls: HashMap::new(),
            next_key: 0,
            of_channel: HashMap::new(),
            of_linked: HashMap::new(),
            due: BTreeSet::new(),
            ended: Ended::default(),
            compared: false,
            outputs: VecDeque::new(),
            calls_told: 0,
            trunk_seen: false,
        }
    }

    /// Takes up calls that were open when the program ended. Before the first event; the snapshot after it tells which of
    /// them there still are.
    pub fn restore(&mut self, now: Instant, calls: impl IntoIterator<Item = OpenCall>) {
        for open in calls {
            let key = self.insert(now, open);
            self.rearm(key);
        }
    }

    /// The open call of this id, as it is to be kept with its events.
    pub fn open_call(&self, calluniqueid: &str) -> Option<&OpenCall> {
        let call = self.calls.get(self.of_linked.get(calluniqueid)?)?;
        (call.open.id == calluniqueid).then_some(&call.open)
    }

    /// Every call that was told and is not over.
    pub fn open_calls(&self) -> impl Iterator<Item = &OpenCall> {
        self.calls.values().map(|call| &call.open).filter(|open| open.announced)
    }

    /// How many calls are followed now.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is no call.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The link to the PBX is gone: until the next snapshot, calls of which the beginning was not seen are not told.
    pub fn link_lost(&mut self) {
        self.compared = false;
    }

    /// The PBX is not followed any more: every call ends now, and is told to be lost.
    pub fn give_up(&mut self, now: Instant, wall: i64) {
        let all: Vec<u64> = self.calls.keys().copied().collect();
        for key in all {
            self.finish(now, key, EndReason::Lost, wall, true);
        }
    }

    /// The PBX gives no snapshot: calls are told from what events say alone.
    pub fn no_snapshot(&mut self, now: Instant) {
        self.compared = true;
        let untold: Vec<u64> =
            self.calls.iter().filter(|(_, call)| !call.open.announced).map(|(key, _)| *key).collect();
        for key in untold {
            self.touch(key, now);
        }
    }

    /// Something happened, at `wall` ms since 1970.
    pub fn handle_event(&mut self, now: Instant, wall: i64, event: ChannelEvent) {
        self.ended.forget(now);
        self.take(now, wall, event);
    }

    /// The time of the last [`Output::Wait`] has come.
    pub fn handle_timeout(&mut self, now: Instant, wall: i64) {
        self.ended.forget(now);
        while let Some((at, key)) = self.due.first().copied()
            && at <= now
        {
            let Some(call) = self.calls.get(&key) else {
                self.due.remove(&(at, key));
                continue;
            };
            if now >= call.seen + ORPHAN {
                self.finish(now, key, EndReason::Lost, wall, true);
            } else if call.doubted.is_some_and(|at| at <= now) {
                self.give_up_doubted(now, key, wall);
            } else {
                self.settle(now, key, wall, false);
            }
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Wait(self.due.first().map(|(at, _)| *at)))
    }

    /// Compares with the channels that the PBX has. `asked` is when it was asked: what was heard of later is not doubted.
    /// What it has and we do not begins now; what we have and it does not ends after [`VANISH`]. All that is `synthetic`.
    pub fn snapshot(&mut self, now: Instant, wall: i64, asked: Instant, channels: &[ChannelInfo]) {
        let mut news = BTreeSet::new();
        // The one that began a call first: who is there before him would be taken for the caller.
        let (first, rest): (Vec<_>, Vec<_>) = channels.iter().partition(|c| c.unique_id == c.linked_id);
        for info in first.into_iter().chain(rest) {
            // While events come, what is young will tell of itself: the list can be faster than its event.
            let age = info.start.map(|start| wall - start);
            let young = self.compared && age.is_some_and(|age| age < VANISH.as_millis() as i64);
            let fresh = match self.of_channel.get(&info.unique_id).and_then(|key| self.calls.get_mut(key)) {
                Some(call) => {
                    call.seen = call.seen.max(now);
                    let channel = call.open.channel(&info.unique_id);
                    channel.is_some_and(|c| c.seen.replace(now).is_none() && c.gone.is_none())
                }
                None => !young,
            };
            if fresh {
                news.extend(self.learn_present(now, wall, info));
            }
        }
        let listed: BTreeSet<&str> = channels.iter().map(|c| c.unique_id.as_str()).collect();
        let keys: Vec<u64> = self.calls.keys().copied().collect();
        for key in keys {
            let Some(call) = self.calls.get_mut(&key) else { continue };
            for channel in &mut call.open.channels {
                let listed = listed.contains(&*channel.unique_id);
                channel.doubted =
                    !listed && channel.seen.is_none_or(|seen| seen < asked) && channel.gone.is_none();
            }
            let missing = call.open.channels.iter().any(|c| c.doubted);
            call.doubted = missing.then_some(now + VANISH);
            self.rearm(key);
        }
        self.compared = true;
        for key in news {
            self.settle(now, key, wall, true);
        }
    }

    /// The doubted channels are gone, unless something was heard of them since.
    fn give_up_doubted(&mut self, now: Instant, key: u64, wall: i64) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.doubted = None;
        for channel in call.open.channels.iter_mut().filter(|c| c.doubted) {
            channel.gone.get_or_insert(wall);
        }
        if call.open.is_over() {
            self.finish(now, key, EndReason::Vanished, wall, true);
        } else {
            self.rearm(key);
        }
    }

    fn insert(&mut self, now: Instant, open: OpenCall) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        for id in &open.linked_ids {
            self.of_linked.insert(id.clone(), key);
        }
        for channel in &open.channels {
            self.of_channel.insert(channel.unique_id.clone(), key);
        }
        let armed = now + ORPHAN;
        self.due.insert((armed, key));
        self.calls.insert(
            key,
            Call { open, seen: now, dirty: None, doubted: None, joins: None, awaits: Vec::new(), armed },
        );
        key
    }

    /// Something was heard of a call: it is looked at when it is quiet.
    fn touch(&mut self, key: u64, now: Instant) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.seen = now;
            call.dirty.get_or_insert(now);
        }
        self.rearm(key);
    }

    fn rearm(&mut self, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let settle = call.dirty.map(|first| (call.seen + SETTLE).min(first + SETTLE_MAX));
        let at = [settle, call.doubted].into_iter().flatten().min().unwrap_or(call.seen + ORPHAN);
        self.due.remove(&(call.armed, key));
        call.armed = at;
        self.due.insert((at, key));
    }

    /// Makes room for one more call.
    fn make_room(&mut self, now: Instant, wall: i64) {
        if self.calls.len() < self.max_calls {
            return;
        }
        // Several at a time: looking for the oldest costs a walk over all.
        let mut oldest: Vec<(Instant, u64)> =
            self.calls.iter().map(|(key, call)| (call.seen, *key)).collect();
        oldest.sort_unstable();
        oldest.truncate((self.max_calls / 64).max(1));
        let warning = Warning::TableFull { limit: self.max_calls, given_up: oldest.len() };
        self.outputs.push_back(Output::Warning(warning));
        for (_, key) in oldest {
            self.finish(now, key, EndReason::Lost, wall, true);
        }
    }
}
