//! Remembers what is over, so that a late event does not begin it again.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long it is remembered. Events are never later than the reader's queue is long.
const KEPT: Duration = Duration::from_mins(5);

/// Ids, at most: some minutes of 200 calls a second with four ids each. The oldest go first.
const MAX_KEPT: usize = 200_000;

/// Ids of channels and calls that are over.
#[derive(Debug, Default)]
pub(super) struct Ended {
    at: HashMap<String, Instant>,
    order: VecDeque<(Instant, String)>,
}

impl Ended {
    pub(super) fn add(&mut self, now: Instant, id: String) {
        if self.order.len() >= MAX_KEPT {
            self.drop_first();
        }
        self.at.insert(id.clone(), now);
        self.order.push_back((now, id));
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.at.contains_key(id)
    }

    pub(super) fn forget(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(at, _)| now >= *at + KEPT) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some((at, id)) = self.order.pop_front()
            && self.at.get(&id) == Some(&at)
        {
            self.at.remove(&id);
        }
    }
}
