//! The tracker of a link between bytes and sink, over all its connections.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::{Batch, CallChange, EventSink, Health};
use crate::clock::wall_ms;
use crate::track::{CallEvent, Output, SETTLE_MAX, Tracker, Trunks};

/// A tracker, and where its events go.
pub(super) struct Tracked {
    pbx: String,
    pub(super) tracker: Tracker,
    sink: Arc<dyn EventSink>,
    pub(super) health: Arc<Health>,
    /// Told by the tracker, not yet kept.
    told: Vec<CallEvent>,
}

impl Tracked {
    /// Takes up the calls that were open when the program ended.
    pub(super) async fn restore(
        pbx: &str,
        trunks: &[String],
        sink: Arc<dyn EventSink>,
        health: Arc<Health>,
    ) -> Tracked {
        let mut tracker = Tracker::new(pbx, Trunks::new(trunks));
        let mut open = sink.open_calls().await;
        open.retain(|(of, _)| of == pbx);
        if !open.is_empty() {
            tracing::info!(
                pbx,
                calls = open.len(),
                "calls were open at the last stop: the PBX will be asked"
            );
        }
        tracker.restore(Instant::now(), open.into_iter().map(|(_, call)| call));
        health.calls.store(tracker.len() as u64, Ordering::Relaxed);
        Tracked { pbx: pbx.to_owned(), tracker, sink, health, told: Vec::new() }
    }

    /// Does what was due until a time, each thing at its own.
    pub(super) fn pass_until(&mut self, now: Instant, wall: i64) {
        while let Some(due) = self.take_told()
            && due <= now
        {
            self.tracker.handle_timeout(due, wall);
        }
    }

    /// When something is due next.
    pub(super) fn due(&mut self) -> Option<Instant> {
        self.take_told()
    }

    /// Something happened that may be told.
    fn take_told(&mut self) -> Option<Instant> {
        loop {
            match self.tracker.poll_output() {
                Output::Event(event) => self.told.push(*event),
                Output::Warning(warning) => tracing::warn!(pbx = self.pbx, "{warning}"),
                Output::Wait(due) => return due,
            }
        }
    }

    /// Hands over what was told, with the calls as they are now.
    pub(super) async fn keep(&mut self) {
        self.take_told();
        self.health.calls.store(self.tracker.len() as u64, Ordering::Relaxed);
        if self.told.is_empty() {
            return;
        }
        let events = std::mem::take(&mut self.told);
        let ids: BTreeSet<&str> = events.iter().map(|event| &*event.calluniqueid).collect();
        let calls = ids.into_iter().map(|id| match self.tracker.open_call(id) {
            Some(open) => CallChange::Open(Box::new(open.clone())),
            None => CallChange::Over(id.to_owned()),
        });
        let batch = Batch { pbx: self.pbx.clone(), calls: calls.collect(), events };
        let count = batch.events.len() as u64;
        self.sink.accept(batch).await;
        self.health.events.fetch_add(count, Ordering::Relaxed);
    }

    /// Waits for something while the tracker's time goes on. `None` when it is time to stop.
    pub(super) async fn meanwhile<T>(
        &mut self,
        stop: &CancellationToken,
        doing: impl Future<Output = T>,
    ) -> Option<T> {
        let mut doing = pin!(doing);
        loop {
            let due = self.due();
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                done = &mut doing => return Some(done),
                () = until(due) => {
                    self.pass_until(Instant::now(), wall_ms());
                    self.keep().await;
                }
            }
        }
    }

    /// Gives up every call: nobody will ever see its end.
    pub(super) async fn give_up(&mut self) {
        self.tracker.give_up(Instant::now(), wall_ms());
        self.keep().await;
    }

    /// Tells what was seen and would have been told in a moment.
    pub(super) async fn finish(&mut self) {
        self.pass_until(Instant::now() + SETTLE_MAX, wall_ms());
        self.keep().await;
    }
}

/// Until a time; for ever without one.
pub(super) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
