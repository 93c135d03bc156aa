//! What the admin listener shows.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use crate::clock::wall_ms;
use crate::delivery::Attempts;
use crate::io::{LinkHealth, Shared};
use crate::metrics::{self, CallCounts, Page};
use crate::store::{Reader, Store};
use crate::terms::Pbx;

/// The parts of the daemon that are watched.
pub struct Watched {
    /// The calls' workers.
    pub shared: Arc<Shared>,
    /// The listeners for PBXs.
    pub listeners: Vec<(Pbx, SocketAddr)>,
    /// What is counted of calls.
    pub calls: Arc<CallCounts>,
    /// The followers of PBXs, as they are now.
    pub links: Arc<ArcSwap<Vec<LinkHealth>>>,
    /// Attempts to tell events.
    pub attempts: Arc<Attempts>,
    /// The store.
    pub store: Store,
    /// Its file.
    pub store_path: PathBuf,
}

impl Watched {
    /// Whether every part is well, and one line for each of them.
    pub(super) fn parts(&self) -> (bool, String) {
        let mut text = String::new();
        let mut ready = true;
        let mut line = |well: bool, part: &str, how: &str| {
            ready &= well;
            // Writing to a text does not fail.
            writeln!(text, "{part}: {how}").unwrap_or_default();
        };
        let stopping = self.shared.stop.is_cancelled();
        for (pbx, address) in &self.listeners {
            let how =
                if stopping { "stopping, no new calls".into() } else { format!("listening on {address}") };
            line(!stopping, pbx.section(), &how);
        }
        match self.store.counts().failing {
            false => line(true, "store", "works"),
            true => line(false, "store", "cannot be written; calls go on, and what is to be kept waits"),
        }
        for LinkHealth { pbx, name, health } in &**self.links.load() {
            let how = match health.lost() {
                _ if health.is_connected() => "following".to_owned(),
                Some(at) => format!("not connected since {}", date(at)),
                None => "not connected since the start".to_owned(),
            };
            line(health.is_connected(), &format!("{} {name}", pbx.as_str()), &how);
        }
        (ready, text)
    }

    /// The metrics. Reads the database: not for a thread that others wait for.
    pub(super) fn page(&self) -> Page {
        let mut page = Page::default();
        page.level(&metrics::BUILD, [env!("CARGO_PKG_VERSION")], 1.0);
        self.calls.show(&mut page);
        for (pbx, _) in &self.listeners {
            page.level(&metrics::OPEN_CALLS, [pbx.section()], self.shared.open_calls_of(*pbx) as f64);
        }
        for LinkHealth { name, health, .. } in &**self.links.load() {
            let pbx = [name.as_str()];
            page.level(&metrics::LINK_CONNECTED, pbx, f64::from(u8::from(health.is_connected())));
            page.count(&metrics::LINK_LOGINS, pbx, health.logins());
            page.count(&metrics::LINK_EVENTS, pbx, health.events());
            page.level(&metrics::LINK_LAG, pbx, health.lag().as_secs_f64());
            page.level(&metrics::LINK_MAX_LAG, pbx, health.max_lag().as_secs_f64());
            page.level(&metrics::LINK_CALLS, pbx, health.calls() as f64);
        }
        for (result, count) in self.attempts.counts() {
            page.count(&metrics::ATTEMPTS, [result], count);
        }
        // A store that cannot be read says so by `switchhook_store_up`.
        if let Ok(backlog) = Reader::open(&self.store_path).and_then(|reader| reader.backlog()) {
            let age = backlog.oldest.map_or(0, |at| wall_ms().saturating_sub(at).max(0));
            page.level(&metrics::PENDING, [], backlog.pending as f64);
            page.level(&metrics::OLDEST, [], age as f64 / 1000.0);
            page.level(&metrics::PAUSED, [], backlog.paused as f64);
        }
        let store = self.store.counts();
        page.level(&metrics::STORE_UP, [], f64::from(u8::from(!store.failing)));
        page.level(&metrics::STORE_QUEUED, [], store.queued as f64);
        page.count(&metrics::STORE_LOST, [], store.dropped);
        page
    }
}

/// To the second, in UTC.
fn date(wall: i64) -> String {
    Timestamp::from_second(wall / 1000).map_or_else(|_| wall.to_string(), |at| at.to_string())
}
