//! The writer thread: takes what is queued, commits it together, and does not give up.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::database::{self, OpenError};
use super::deliveries::{self, Claims};
use super::{
    Change, Definition, Notice, Settings, Shared, Work, calls, changes, definitions, journal, lockouts,
    wall_before, wall_ms,
};
use crate::track::OpenCall;

/// How long SQLite itself waits for another process's lock; after that it is a failure and tried again.
pub(super) const BUSY: Duration = Duration::from_millis(500);

/// Records in one commit, at most: a transaction stays within some megabytes.
const BATCH: usize = 1_000;

/// How long a record that nobody waits for may wait for company: fewer commits, fewer writes to the disk.
const GATHER: Duration = Duration::from_millis(50);

/// How long the thread sleeps between two looks at the queue while it gathers; a record that somebody waits for waits so
/// long at most.
const NAP: Duration = Duration::from_millis(2);

/// How often the thread looks for what other processes changed, and deletes what is too old.
const TICK: Duration = Duration::from_secs(1);

/// How often too old records are deleted.
const DELETE_EVERY: Duration = Duration::from_secs(60);

/// The pause after a failure. It doubles up to the longest.
const RETRY: Duration = Duration::from_millis(250);

/// The longest pause between two tries.
const RETRY_LONGEST: Duration = Duration::from_secs(10);

/// How often a pause is broken to look whether the store is closed.
const LOOK: Duration = Duration::from_millis(50);

/// How often a failure that lasts is said again.
const ALARM_EVERY: Duration = Duration::from_secs(60);

/// How often lost records are said.
const DROPPED_EVERY: Duration = Duration::from_secs(5);

/// A second corrupt database within this time is the disk's fault: it is not moved aside but reported.
const ASIDE_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Writer {
    settings: Settings,
    work: Receiver<Work>,
    shared: Arc<Shared>,
    notices: Box<dyn FnMut(Notice) + Send>,
    db: Option<Connection>,
    /// What was taken from the queue and is not committed yet.
    batch: VecDeque<Work>,
    loaded: bool,
    /// The definitions as they were last told.
    defined: Option<Vec<Definition>>,
    /// This process has written down changes: they are told at the next look.
    noted: bool,
    /// Attempts that were handed out and have not come back.
    being_made: HashSet<Uuid>,
    data_version: i64,
    pause: Duration,
    /// Since when the database fails, and when that was last said.
    failing: Option<(Instant, Instant)>,
    dropped_said: (u64, Option<Instant>),
    moved_aside: Option<Instant>,
    /// The database is a new one in the place of a corrupt one: the definitions are put back.
    begins_anew: bool,
    next_tick: Instant,
    next_deletion: Instant,
    more_to_delete: bool,
}

/// Why a commit did not work.
enum Fault {
    Open(OpenError),
    Sqlite(rusqlite::Error),
}

impl Writer {
    pub(super) fn new(
        settings: Settings,
        work: Receiver<Work>,
        shared: Arc<Shared>,
        notices: Box<dyn FnMut(Notice) + Send>,
    ) -> Writer {
        Writer {
            settings,
            work,
            shared,
            notices,
            db: None,
            batch: VecDeque::new(),
            loaded: false,
            defined: None,
            noted: false,
            being_made: HashSet::new(),
            data_version: 0,
            pause: RETRY,
            failing: None,
            dropped_said: (0, None),
            moved_aside: None,
            begins_anew: false,
            next_tick: Instant::now(),
            next_deletion: Instant::now(),
            more_to_delete: false,
        }
    }

    /// Until the store is closed and everything is written, or the time for that is over, or no handle is left.
    pub(super) fn run(mut self) {
        loop {
            let result = self.open().and_then(|()| self.commit()).and_then(|()| self.tick());
            let worked = result.is_ok();
            match result {
                Ok(()) => self.recovered(),
                Err(fault) => self.failed(fault),
            }
            self.say_dropped();
            if !self.wait(worked) {
                break;
            }
        }
        self.say_dropped();
        if !self.batch.is_empty() {
            error!(lost = self.batch.len(), "the store ended before everything was written");
        }
    }

    /// Waits for work, or for the time to try again. `false` when it is all over.
    fn wait(&mut self, worked: bool) -> bool {
        if let Some(until) = self.shared.closing.get().copied() {
            self.gather(Instant::now());
            if self.batch.is_empty() || Instant::now() >= until {
                return false;
            }
            if !worked {
                std::thread::sleep(RETRY.min(until.saturating_duration_since(Instant::now())));
            }
            return true;
        }
        if !worked {
            // Nothing is taken from the queue meanwhile: its bound is the bound. So nothing wakes this thread, and it
            // looks now and then whether the store is closed or no handle is left.
            let until = Instant::now() + self.pause;
            while Instant::now() < until && self.shared.closing.get().is_none() {
                if Arc::strong_count(&self.shared) == 1 {
                    return false;
                }
                std::thread::sleep(LOOK.min(self.pause));
            }
            self.pause = (self.pause * 2).min(RETRY_LONGEST);
            return true;
        }
        if self.more_to_delete {
            self.gather(Instant::now());
            return true;
        }
        match self.work.recv_timeout(self.next_tick.saturating_duration_since(Instant::now())) {
            Ok(first) => {
                self.batch.push_back(first);
                self.gather(Instant::now() + GATHER);
                true
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        }
    }

    /// Takes what is queued, and what comes until then unless somebody waits for it.
    fn gather(&mut self, until: Instant) {
        while self.batch.len() < BATCH {
            let waited_for = self.batch.back().is_some_and(Work::is_waited_for);
            match self.work.try_recv() {
                Ok(work) => self.batch.push_back(work),
                Err(_) if waited_for || self.shared.closing.get().is_some() => break,
                Err(_) => match until.checked_duration_since(Instant::now()) {
                    // Asleep, not waiting at the queue: a call that leaves something there need not wake this thread.
                    Some(left) => std::thread::sleep(left.min(NAP)),
                    None => break,
                },
            }
        }
    }

    fn open(&mut self) -> Result<(), Fault> {
        if self.db.is_some() {
            return Ok(());
        }
        let mut db = database::open(&self.settings.path, BUSY).map_err(Fault::Open)?;
        if let Some(defined) = self.defined.as_ref().filter(|_| self.begins_anew) {
            definitions::restore(&mut db, defined).map_err(Fault::Sqlite)?;
        }
        self.begins_anew = false;
        let clears = lockouts::take_clears(&mut db).map_err(Fault::Sqlite)?;
        self.recover(&mut db).map_err(Fault::Sqlite)?;
        if !self.loaded {
            let wrong = lockouts::load(&db).map_err(Fault::Sqlite)?;
            info!(path = %self.settings.path.display(), "the store is open");
            (self.notices)(Notice::Loaded(wrong));
            self.loaded = true;
        }
        self.tell(clears);
        self.data_version = data_version(&db).map_err(Fault::Sqlite)?;
        self.tell_definitions(definitions::load(&db).map_err(Fault::Sqlite)?);
        // Those of before this start too.
        self.noted = true;
        self.db = Some(db);
        self.shared.deliveries.notify_one();
        Ok(())
    }

    /// Attempts of a daemon that ended; and of this one, where it is not known whether a commit worked.
    fn recover(&self, db: &mut Connection) -> rusqlite::Result<()> {
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let left = deliveries::recover(&change, wall_ms(), &|id| self.being_made.contains(&id))?;
        change.commit()?;
        if left > 0 {
            info!(attempts = left, "attempts that were cut off are made again");
        }
        Ok(())
    }

    /// Everything in the batch in one transaction. It stays in the batch until it is on the disk.
    fn commit(&mut self) -> Result<(), Fault> {
        let Some(db) = &mut self.db else { return Ok(()) };
        let mut records = 0;
        let mut effects = Vec::new();
        if self.batch.iter().any(|work| work.change.is_some()) {
            #[cfg(test)]
            db.pragma_update_and_check(
                None,
                "max_page_count",
                self.shared.max_pages.load(Relaxed).cast_signed(),
                |_| Ok(()),
            )
            .map_err(Fault::Sqlite)?;
            let change =
                db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(Fault::Sqlite)?;
            for (at, work) in self.batch.iter_mut().enumerate() {
                match apply_whole(&change, work.change.as_ref()) {
                    Ok((written, effect)) => {
                        records += written;
                        effects.extend(effect.map(|effect| (at, effect)));
                    }
                    Err(e) if database::is_of_the_record(&e) => {
                        error!(error = %e, "a record cannot be stored and is lost");
                        self.shared.dropped.fetch_add(1, Relaxed);
                        // Whoever waits for it must not hear that it is on the disk.
                        *work = Work::default();
                    }
                    Err(e) => return Err(Fault::Sqlite(e)),
                }
            }
            change.commit().map_err(Fault::Sqlite)?;
            self.shared.commits.fetch_add(1, Relaxed);
            self.shared.written.fetch_add(records, Relaxed);
        }
        for (at, effect) in effects {
            self.tell_effect(at, effect);
        }
        self.shared.queued.fetch_sub(self.batch.len() as u64, Relaxed);
        for work in self.batch.drain(..) {
            if let Some(committed) = work.committed {
                // Whoever waited may have gone.
                committed.send(()).ok();
            }
        }
        Ok(())
    }

    /// What follows from a change that is on the disk now.
    fn tell_effect(&mut self, at: usize, effect: Effect) {
        let change = self.batch.get_mut(at).and_then(|work| work.change.as_mut());
        match (effect, change) {
            (Effect::Noted, _) => self.noted = true,
            (Effect::Accepted, _) => self.shared.deliveries.notify_one(),
            (Effect::Claimed(claims), Some(Change::Claim { reply, .. })) => {
                let ids: Vec<Uuid> = claims.claimed.iter().map(|claimed| claimed.id).collect();
                // Where nobody waits any more nobody makes them.
                if reply.take().is_some_and(|reply| reply.send(claims).is_ok()) {
                    self.being_made.extend(ids);
                }
            }
            (Effect::Made { paused }, Some(Change::Made(made))) => {
                self.being_made.remove(&made.id);
                if let Some((subscription, why)) = paused {
                    error!(subscription, why, "a subscription was paused: its receiver takes nothing");
                }
            }
            (Effect::OpenCalls(calls), Some(Change::OpenCalls { reply })) => {
                if let Some(reply) = reply.take() {
                    // Whoever waited may have gone.
                    reply.send(calls).ok();
                }
            }
            _ => {}
        }
    }

    /// About once a second: what did the command line ask? And once a minute: what is too old?
    fn tick(&mut self) -> Result<(), Fault> {
        let Some(db) = &mut self.db else { return Ok(()) };
        let now = Instant::now();
        if self.more_to_delete || now >= self.next_deletion {
            self.next_deletion = now + DELETE_EVERY;
            lockouts::delete_before(db, wall_before(lockouts::KEPT)).map_err(Fault::Sqlite)?;
            let before = wall_before(self.settings.retention);
            changes::delete_before(db, before).map_err(Fault::Sqlite)?;
            let more_calls = journal::delete_before(db, before).map_err(Fault::Sqlite)?;
            let change =
                db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(Fault::Sqlite)?;
            let more_events = deliveries::delete_before(&change, before, wall_ms()).map_err(Fault::Sqlite)?;
            change.commit().map_err(Fault::Sqlite)?;
            self.more_to_delete = more_calls || more_events;
        }
        if now < self.next_tick && !self.noted {
            return Ok(());
        }
        self.next_tick = now + TICK;
        let seen = data_version(db).map_err(Fault::Sqlite)?;
        let others = seen != self.data_version;
        let untold =
            if others || self.noted { changes::untold(db).map_err(Fault::Sqlite)? } else { Vec::new() };
        self.noted = false;
        if others {
            let clears = lockouts::take_clears(db).map_err(Fault::Sqlite)?;
            let defined = definitions::load(db).map_err(Fault::Sqlite)?;
            self.data_version = seen;
            self.tell(clears);
            self.tell_definitions(defined);
            self.shared.deliveries.notify_one();
        }
        if !untold.is_empty() {
            (self.notices)(Notice::Changed(untold));
        }
        Ok(())
    }

    fn tell(&mut self, clears: Vec<(Option<String>, Option<String>)>) {
        for (webhook, caller) in clears {
            (self.notices)(Notice::Cleared { webhook, caller });
        }
    }

    fn tell_definitions(&mut self, defined: Vec<Definition>) {
        if self.defined.as_ref() != Some(&defined) {
            self.defined = Some(defined.clone());
            (self.notices)(Notice::Defined(defined));
        }
    }

    fn failed(&mut self, fault: Fault) {
        let path = &self.settings.path;
        let corrupt = match &fault {
            Fault::Open(e) => matches!(e, OpenError::Corrupt { .. }),
            Fault::Sqlite(e) => database::is_corrupt(e),
        };
        let what = match fault {
            Fault::Open(e) => e.to_string(),
            Fault::Sqlite(e) => OpenError::sqlite(path, e).to_string(),
        };
        // A connection that failed is not used again: it may hold half a transaction or a file that was replaced.
        self.db = None;
        let now = Instant::now();
        if corrupt && self.moved_aside.is_none_or(|at| now.saturating_duration_since(at) > ASIDE_EVERY) {
            self.moved_aside = Some(now);
            self.pause = Duration::ZERO;
            match database::move_aside(path, wall_ms()) {
                Ok(aside) => {
                    self.begins_anew = true;
                    error!(error = %what, aside = %aside.display(), "the store is corrupt: it was moved aside, a new one begins")
                }
                Err(e) => error!(error = %what, "the store is corrupt and cannot be moved aside: {e}"),
            }
            return;
        }
        self.shared.failing.store(true, Relaxed);
        match &mut self.failing {
            Some((_, said)) if now.saturating_duration_since(*said) < ALARM_EVERY => {}
            Some((since, said)) => {
                *said = now;
                let minutes = now.saturating_duration_since(*since).as_secs() / 60;
                error!(error = %what, minutes, "the store still cannot be written; calls go on");
            }
            None => {
                self.failing = Some((now, now));
                error!(error = %what, "the store cannot be written; calls go on, their journals wait");
            }
        }
        self.pause = self.pause.max(RETRY);
    }

    fn recovered(&mut self) {
        self.pause = RETRY;
        if let Some((since, _)) = self.failing.take() {
            self.shared.failing.store(false, Relaxed);
            warn!(after = ?since.elapsed(), "the store works again");
        }
    }

    fn say_dropped(&mut self) {
        let dropped = self.shared.dropped.load(Relaxed);
        let (said, at) = self.dropped_said;
        let due = at.is_none_or(|at| at.elapsed() >= DROPPED_EVERY);
        if dropped > said && due {
            warn!(lost = dropped - said, in_all = dropped, "records for the store were lost");
            self.dropped_said = (dropped, Some(Instant::now()));
        }
    }
}

/// What follows from a change, once it is on the disk.
enum Effect {
    Accepted,
    Noted,
    Claimed(Claims),
    Made { paused: Option<(String, &'static str)> },
    OpenCalls(Vec<(String, OpenCall)>),
}

/// Does one change, or nothing of it. Returns how many records it is.
fn apply_whole(db: &Connection, change: Option<&Change>) -> rusqlite::Result<(u64, Option<Effect>)> {
    let Some(change) = change else { return Ok((0, None)) };
    db.prepare_cached("SAVEPOINT change")?.execute([])?;
    match apply(db, change) {
        Ok(applied) => db.prepare_cached("RELEASE change")?.execute([]).map(|_| applied),
        Err(e) => {
            // A full disk has ended the whole transaction already; then there is nothing to go back to.
            db.execute_batch("ROLLBACK TO change; RELEASE change").ok();
            Err(e)
        }
    }
}

fn apply(db: &Connection, change: &Change) -> rusqlite::Result<(u64, Option<Effect>)> {
    let effect = match change {
        Change::Journal(journal) => journal::insert(db, journal).map(|()| None)?,
        Change::WrongCode(wrong) => lockouts::insert(db, wrong).map(|()| None)?,
        Change::Forget { webhook, caller } => {
            lockouts::forget(db, Some(webhook), Some(caller)).map(|_| None)?
        }
        Change::Accept(acceptance) => {
            let deliveries = deliveries::accept(db, wall_ms(), acceptance)?;
            (deliveries > 0).then_some(Effect::Accepted)
        }
        Change::Note(events) => {
            events.iter().try_for_each(|event| changes::insert(db, event))?;
            Some(Effect::Noted)
        }
        Change::Tell { id, event } => {
            (changes::tell(db, wall_ms(), *id, event)? > 0).then_some(Effect::Accepted)
        }
        Change::Claim { now, wants, .. } => {
            return Ok((0, Some(Effect::Claimed(deliveries::claim(db, *now, wants)?))));
        }
        Change::Made(made) => {
            let paused = deliveries::finish(db, made)?;
            Some(Effect::Made { paused })
        }
        Change::OpenCalls { .. } => return Ok((0, Some(Effect::OpenCalls(calls::load(db)?)))),
    };
    Ok((1, effect))
}

/// Changes when another connection has written (sqlite.org/pragma.html#pragma_data_version).
fn data_version(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "data_version", |row| row.get(0))
}
