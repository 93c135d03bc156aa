//! The shape that the sessions of both PBXs have: bytes and time go in, what happens to channels comes out.

use std::fmt::Display;
use std::time::{Duration, Instant};

use super::{ChannelEvent, ChannelInfo, VariableNames};

/// For each step to the login. A PBX may let a wrong password wait for a second.
pub const STEP: Duration = Duration::from_secs(10);

/// Channels of a snapshot, at most. More than any PBX has.
pub const MAX_CHANNELS: usize = 100_000;

/// Without a byte for so long, the PBX is asked whether it is there.
const PING: Duration = Duration::from_secs(15);

/// For its answer.
const PONG: Duration = Duration::from_secs(10);

/// For the whole list of channels.
const SNAPSHOT: Duration = Duration::from_secs(60);

/// Between snapshots: what went wrong unseen is mended, and long calls are known to be there.
pub const RESYNC: Duration = Duration::from_mins(5);

/// One connection to a PBX whose calls are followed. Sans I/O: after every call of a `handle_…` take
/// [`Session::poll_output`] until it is [`SessionOutput::Wait`] or [`SessionOutput::Closed`].
pub trait Session {
    /// What the person who runs it should know.
    type Warning: Display;
    /// Why the link is over.
    type Lost: Display;

    /// Bytes came, at `wall` ms since 1970.
    fn handle_bytes(&mut self, now: Instant, wall: i64, bytes: &[u8]);

    /// The PBX closed its side.
    fn handle_eof(&mut self);

    /// The time of the last [`SessionOutput::Wait`] has come.
    fn handle_timeout(&mut self, now: Instant);

    /// Leaves in good order.
    fn log_off(&mut self, now: Instant);

    /// What is to be done next.
    fn poll_output(&mut self) -> SessionOutput<Self::Warning, Self::Lost>;

    /// From now on these channel variables are wanted. Where the PBX itself says which ones it sends, nothing changes.
    fn want(&mut self, _: &VariableNames) {}

    /// Whether the PBX refused the account, so that trying again changes nothing and can lock us out.
    fn is_refusal(lost: &Self::Lost) -> bool;
}

/// What is to be done, or happened.
#[derive(Debug, PartialEq)]
pub enum SessionOutput<Warning, Lost> {
    /// Write this.
    Write(Vec<u8>),
    /// Logged in.
    LoggedIn {
        /// The version of what answered, such as `11.0.0`; empty where it does not say.
        version: String,
    },
    /// Something happened to channels, at this time (ms since 1970).
    Event(i64, Box<ChannelEvent>),
    /// What channels there are. Comes after the login and from then on every five minutes.
    Snapshot {
        /// When the PBX was asked, or from when on its list may not have everything: what was heard of later is not doubted.
        asked: Instant,
        /// When its answer was complete, ms since 1970.
        at: i64,
        /// The channels.
        channels: Vec<ChannelInfo>,
    },
    /// No snapshot will come.
    NoSnapshot,
    /// Something that the person who runs it should know. The link goes on.
    Warning(Warning),
    /// The link is over. Nothing but [`SessionOutput::Closed`] comes behind it.
    Lost(Lost),
    /// Nothing more now: read, and call [`Session::handle_timeout`] at this time.
    Wait(Instant),
    /// The connection can be dropped.
    Closed,
}

/// The times of a link that is logged in: when the PBX is asked whether it is there, and when for its channels.
#[derive(Debug)]
pub struct Upkeep {
    heard: Instant,
    /// When a ping was sent that is not answered.
    pinged: Option<Instant>,
    /// When a list was asked for that is not complete.
    asked: Option<Instant>,
    /// When the next list is due; `None` while one is under way, or when the PBX gives none.
    resync: Option<Instant>,
}

/// What is due on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Ask whether the PBX is there.
    Ping,
    /// Ask for its channels.
    List,
    /// It did not answer: end the link. In words, what it did not answer.
    Silent(&'static str),
}

impl Upkeep {
    /// Something was heard right now.
    pub fn new(now: Instant) -> Upkeep {
        Upkeep { heard: now, pinged: None, asked: None, resync: None }
    }

    /// Bytes came. That they came is what counts.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.pinged = None;
    }

    /// The PBX was asked for its channels.
    pub fn list_asked(&mut self, now: Instant) {
        self.asked = Some(now);
        self.resync = None;
    }

    /// The list is complete; the next one is due after `pause`, mostly [`RESYNC`].
    pub fn list_complete(&mut self, now: Instant, pause: Duration) {
        self.asked = None;
        self.resync = Some(now + pause);
    }

    /// The PBX gives no list, now and later.
    pub fn list_refused(&mut self) {
        self.asked = None;
        self.resync = None;
    }

    /// What is due now. Ask again until it is `None`.
    pub fn due(&mut self, now: Instant) -> Option<Due> {
        if self.pinged.is_some_and(|at| now >= at + PONG) {
            return Some(Due::Silent("the keep-alive"));
        }
        if self.asked.is_some_and(|at| now >= at + SNAPSHOT) {
            return Some(Due::Silent("the list of channels"));
        }
        if self.resync.is_some_and(|at| now >= at) {
            self.resync = None;
            return Some(Due::List);
        }
        if self.pinged.is_none() && now >= self.heard + PING {
            self.pinged = Some(now);
            return Some(Due::Ping);
        }
        None
    }

    /// When something is due next.
    pub fn deadline(&self) -> Instant {
        let alive = self.pinged.map_or(self.heard + PING, |at| at + PONG);
        let listed = self.asked.map(|at| at + SNAPSHOT);
        [listed, self.resync].into_iter().flatten().fold(alive, Instant::min)
    }
}
