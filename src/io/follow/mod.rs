//! Follows the calls of PBXs: one follower for each link, which connects, reads, tracks, and connects again.
//!
//! ```text
//! socket -> reader task -> queue, bounded by bytes -> session -> tracker -> sink
//! ```
//!
//! The reader does nothing but read: Asterisk drops whoever is slower than 100 ms, FreeSWITCH whoever has 100,000 events
//! waiting. What it read is tracked by the time at which it came. The sink may be slow; the queue is what waits for it.
//! When the queue is full the link is closed with an alarm, and what was missed is found by comparing with the PBX at the
//! next connect.

mod follower;
mod links;
mod reader;
mod tracked;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::track::{CallEvent, OpenCall, VariableNames};

pub use links::{Link, LinkHealth, Links};

/// The channel variables that somebody wants to be told. A reload swaps them under the running links.
type Wanted = ArcSwap<VariableNames>;

/// The tracking may be so far behind the arrival before it is said.
const LAG: Duration = Duration::from_secs(1);

/// What is to be kept together: events, and the calls as they are behind them.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The PBX's name in the configuration.
    pub pbx: String,
    /// In order.
    pub events: Vec<CallEvent>,
    /// The calls of these events.
    pub calls: Vec<CallChange>,
}

/// A call, as it is behind its events.
#[derive(Clone, Debug, PartialEq)]
pub enum CallChange {
    /// Open: this takes the place of what was kept of it.
    Open(Box<OpenCall>),
    /// Over: its `{calluniqueid}`.
    Over(String),
}

/// What comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where events go.
pub trait EventSink: Send + Sync {
    /// The calls that are not over, as far as they are kept, each with the name of its PBX.
    fn open_calls(&self) -> Later<'_, Vec<(String, OpenCall)>>;

    /// Keeps events and open calls in one transaction. Done when they are kept; as long as that takes, the link's queue
    /// waits.
    fn accept(&self, batch: Batch) -> Later<'_, ()>;
}

/// How a link does, for logs and metrics.
#[derive(Debug, Default)]
pub struct Health {
    /// Logged in.
    connected: AtomicBool,
    /// Logins until now.
    logins: AtomicU64,
    /// Events handed to the sink.
    events: AtomicU64,
    /// When the connection was last lost, ms since 1970; 0: never.
    lost: AtomicI64,
    /// Calls that are open there.
    calls: AtomicU64,
    /// Milliseconds between the arrival of bytes and the keeping of what they told: the last, and the most.
    lag: AtomicU64,
    max_lag: AtomicU64,
}

impl Health {
    /// Whether it is logged in.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// How often it has logged in.
    pub fn logins(&self) -> u64 {
        self.logins.load(Ordering::Relaxed)
    }

    /// How many events were kept.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// When the connection was last lost, ms since 1970. `None`: never.
    pub fn lost(&self) -> Option<i64> {
        Some(self.lost.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// Calls that are open there, as far as they were seen.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Between the arrival of bytes and the keeping of what they told: the last time.
    pub fn lag(&self) -> Duration {
        Duration::from_millis(self.lag.load(Ordering::Relaxed))
    }

    /// The longest [`Health::lag`] since the start.
    pub fn max_lag(&self) -> Duration {
        Duration::from_millis(self.max_lag.load(Ordering::Relaxed))
    }

    /// Notes a login.
    fn note_login(&self) {
        self.connected.store(true, Ordering::Relaxed);
        self.logins.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the connection is over, at this time (ms since 1970); whether it was logged in.
    fn note_lost(&self, wall: i64) -> bool {
        let was = self.connected.swap(false, Ordering::Relaxed);
        if was {
            self.lost.store(wall, Ordering::Relaxed);
        }
        was
    }

    /// Notes a lag; whether it is worth a warning: the first beyond [`LAG`] after one below.
    fn note_lag(&self, lag: Duration) -> bool {
        let ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        self.max_lag.fetch_max(ms, Ordering::Relaxed);
        let before = self.lag.swap(ms, Ordering::Relaxed);
        lag >= LAG && Duration::from_millis(before) < LAG
    }
}
