//! The embedded store: SQLite on one writer thread. Nothing on the call path waits for it.
//!
//! What is to be kept goes into a bounded queue; the writer thread takes what is there and commits it together, so that
//! many records cost one `fsync`. A store that cannot be opened, is full, locked or corrupt is a loud alarm and is tried
//! again; calls go on. Reading is for the command line: it opens a connection of its own, daemon or not.
//!
//! | file | subject |
//! |---|---|
//! | `database.rs` | the file: opening, schema, moving a corrupt one aside |
//! | `writer.rs` | the writer thread: group commit, alarms, retention |
//! | `journal.rs` | what happened in each call |
//! | `deliveries.rs` | events, whom they are told, and how that came out |
//! | `calls.rs` | calls that are not over |
//! | `changes.rs` | who changed what, until it is told |
//! | `definitions.rs` | subscriptions that are not in the file |
//! | `told.rs` | looking at deliveries and changing them beside a running daemon |
//! | `lockouts.rs` | wrong codes, for the next start; what the command line clears |
//! | `reader.rs` | reading beside a running daemon |

mod calls;
mod changes;
mod database;
mod definitions;
mod deliveries;
mod journal;
mod lockouts;
mod reader;
mod told;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

pub use calls::CallState;
pub use changes::Untold;
pub use database::OpenError;
pub use definitions::{Definition, Put, put_subscriptions, remove_subscription};
pub use deliveries::{Acceptance, Claimed, Claims, DeliveryState, Made, NewEvent, Next, Recipient, Want};
pub use journal::Summary;
pub use lockouts::{Failures, WrongCode, clear_lockouts};
pub use reader::{NotFound, Reader};
pub use told::{
    Attempt, Backlog, Delivery, Filter, SubscriptionState, add_event, cancel_deliveries, pause_subscription,
    resume_subscription, retry_deliveries,
};

use crate::clock::wall_ms;
use crate::terms::{Journal, UserEvent};
use crate::track::OpenCall;

/// How often those who can wait look for room in the queue.
const ROOM_LOOK: Duration = Duration::from_millis(20);

/// Where the store is and how long it keeps what.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database file. Beside it lie its `-wal` and `-shm`.
    pub path: PathBuf,
    /// Calls older than this are deleted.
    pub retention: Duration,
}

/// What the store has to say to the daemon. It comes from the writer thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The wrong codes of before this start. Comes once, when the database is open for the first time.
    Loaded(Vec<WrongCode>),
    /// The subscriptions that the store has: when the database is open for the first time, and when they changed.
    Defined(Vec<Definition>),
    /// What people have changed and nobody was told of yet. It comes again until [`Store::tell`] was done.
    Changed(Vec<Untold>),
    /// `switchhook lockout clear` asks to forget wrong codes.
    Cleared {
        /// Of this webhook; `None` is all.
        webhook: Option<String>,
        /// Of this caller, empty for those without a number; `None` is all.
        caller: Option<String>,
    },
}

/// One change. Further subjects add theirs.
#[derive(Debug)]
enum Change {
    Journal(Box<Journal>),
    WrongCode(WrongCode),
    Forget { webhook: String, caller: String },
    Accept(Box<Acceptance>),
    Claim { now: i64, wants: Vec<Want>, reply: Option<oneshot::Sender<Claims>> },
    Made(Box<Made>),
    Note(Vec<UserEvent>),
    Tell { id: i64, event: Box<NewEvent> },
    OpenCalls { reply: Option<oneshot::Sender<Vec<(String, OpenCall)>>> },
}

/// What goes to the writer thread.
#[derive(Debug, Default)]
struct Work {
    change: Option<Change>,
    /// Told when everything up to and with this one is on the disk. Dropped when it never will be.
    committed: Option<oneshot::Sender<()>>,
}

impl Work {
    /// Whether it must not wait for company.
    fn is_waited_for(&self) -> bool {
        let answered = matches!(self.change, Some(Change::Claim { .. } | Change::OpenCalls { .. }));
        answered || self.committed.is_some()
    }
}

/// Tells when what was accepted is on the disk.
#[derive(Debug)]
pub struct OnDisk(oneshot::Receiver<()>);

impl OnDisk {
    /// Waits: as long as the disk is full or the database is locked, if need be. `false` when it never will be: the
    /// record cannot be stored, or the store has ended.
    pub async fn wait(self) -> bool {
        self.0.await.is_ok()
    }
}

/// The store, as the daemon holds it. Clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    queue: SyncSender<Work>,
    shared: Arc<Shared>,
    ended: Arc<Mutex<Option<oneshot::Receiver<()>>>>,
}

/// What handle and writer thread both see.
#[derive(Debug, Default)]
struct Shared {
    written: AtomicU64,
    commits: AtomicU64,
    dropped: AtomicU64,
    /// Handed over and not on the disk.
    queued: AtomicU64,
    failing: AtomicBool,
    /// There may be something to claim.
    deliveries: Notify,
    /// Set when the store is to end, with the time until which what is queued may still be written.
    closing: OnceLock<Instant>,
    /// Pages that the database may have: a full disk.
    #[cfg(test)]
    max_pages: AtomicU64,
}

/// What the store has done since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Records on the disk.
    pub written: u64,
    /// Commits that brought them there.
    pub commits: u64,
    /// Records lost: the queue was full, or the record cannot be stored.
    pub dropped: u64,
    /// Records that are not on the disk yet.
    pub queued: u64,
    /// The database cannot be written at the moment.
    pub failing: bool,
}

impl Store {
    /// Records that wait, at most: a minute of calls at the rate that one Asterisk can do, some tens of megabytes.
    pub const QUEUE: usize = 10_000;

    /// Starts the writer thread, which opens the database. Returns at once; whatever is wrong with the file is logged,
    /// tried again, and never an error here. `notices` is called on the writer thread and must not block.
    ///
    /// # Errors
    /// Only when the system gives no thread.
    pub fn open(
        settings: Settings,
        notices: impl FnMut(Notice) + Send + 'static,
    ) -> Result<Store, std::io::Error> {
        let (queue, work) = sync_channel(Self::QUEUE);
        let (end, ended) = oneshot::channel();
        let shared = Arc::new(Shared::default());
        let writer = writer::Writer::new(settings, work, shared.clone(), Box::new(notices));
        std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            writer.run();
            drop(end);
        })?;
        Ok(Store { queue, shared, ended: Arc::new(Mutex::new(Some(ended))) })
    }

    /// Keeps a call's journal. Never waits: when the queue is full the journal is dropped and counted.
    pub fn journal(&self, journal: Journal) {
        self.send(Change::Journal(Box::new(journal)));
    }

    /// Keeps a wrong code for the next start. `at` is ms since 1970; `caller` is empty when withheld.
    pub fn wrong_code(&self, webhook: &str, caller: &str, at: i64) {
        let (webhook, caller) = (webhook.to_owned(), caller.to_owned());
        self.send(Change::WrongCode(WrongCode { webhook, caller, at }));
    }

    /// Forgets a caller's wrong codes, after a right one.
    pub fn right_code(&self, webhook: &str, caller: &str) {
        self.send(Change::Forget { webhook: webhook.to_owned(), caller: caller.to_owned() });
    }

    /// Keeps events, whom they are to be told, and the calls as they are now: all of it or nothing. Never waits here:
    /// [`OnDisk`] tells when it is accepted, and before that it is not.
    ///
    /// # Errors
    /// The queue is full, or the store has ended: it comes back.
    pub fn accept(&self, acceptance: Acceptance) -> Result<OnDisk, Box<Acceptance>> {
        let (committed, done) = oneshot::channel();
        let change = Some(Change::Accept(Box::new(acceptance)));
        match self.put(Work { change, committed: Some(committed) }) {
            Ok(()) => Ok(OnDisk(done)),
            Err(TrySendError::Full(work) | TrySendError::Disconnected(work)) => match work.change {
                Some(Change::Accept(acceptance)) => Err(acceptance),
                // It is the one that was sent.
                _ => Err(Box::default()),
            },
        }
    }

    /// Writes down the attempts that are to be made now and returns them. Waits as long as nothing can be written. One
    /// at a time asks; who stops waiting loses what was claimed until the next start. `None`: the store has ended.
    pub async fn claim(&self, wants: Vec<Want>) -> Option<Claims> {
        let (reply, claims) = oneshot::channel();
        self.send_surely(Change::Claim { now: wall_ms(), wants, reply: Some(reply) }).await?;
        claims.await.ok()
    }

    /// Writes how an attempt came out. A later [`Store::claim`] knows it. Waits while the queue is full. `None`: the
    /// store has ended.
    pub async fn made(&self, made: Made) -> Option<()> {
        self.send_surely(Change::Made(Box::new(made))).await
    }

    /// Writes down what was changed. It comes back as [`Notice::Changed`]. Waits while the queue is full. `None`: the store
    /// has ended.
    pub async fn note(&self, changes: Vec<UserEvent>) -> Option<()> {
        self.send_surely(Change::Note(changes)).await
    }

    /// Keeps the event of a change and whom it is to be told, unless that was done already. Waits while the queue is full.
    /// `None`: the store has ended.
    pub async fn tell(&self, id: i64, event: NewEvent) -> Option<()> {
        self.send_surely(Change::Tell { id, event: Box::new(event) }).await
    }

    /// Waits until there may be something new to claim: accepted, or changed by another process. For one who waits.
    pub async fn deliveries_changed(&self) {
        self.shared.deliveries.notified().await;
    }

    /// The calls that are not over, each with the name of its PBX. Waits as long as the database cannot be read. `None`:
    /// the store has ended.
    pub async fn open_calls(&self) -> Option<Vec<(String, OpenCall)>> {
        let (reply, calls) = oneshot::channel();
        self.send_surely(Change::OpenCalls { reply: Some(reply) }).await?;
        calls.await.ok()
    }

    /// Waits until everything given before is on the disk. `false` when it is not and will not be: the queue is full,
    /// or the store has ended.
    pub async fn committed(&self) -> bool {
        let (committed, done) = oneshot::channel();
        match self.put(Work { change: None, committed: Some(committed) }) {
            Ok(()) => done.await.is_ok(),
            Err(_) => false,
        }
    }

    /// What the store has done.
    pub fn counts(&self) -> Counts {
        let Shared { written, commits, dropped, queued, failing, .. } = &*self.shared;
        Counts {
            written: written.load(Ordering::Relaxed),
            commits: commits.load(Ordering::Relaxed),
            dropped: dropped.load(Ordering::Relaxed),
            queued: queued.load(Ordering::Relaxed),
            failing: failing.load(Ordering::Relaxed),
        }
    }

    /// Writes what is queued, for so long at most, and ends the writer thread. `false` when something was left or the
    /// store was closed already. Records that come later are lost.
    pub async fn close(&self, deadline: Duration) -> bool {
        let Some(ended) = self.ended.lock().ok().and_then(|mut ended| ended.take()) else { return false };
        // Set once: `ended` was taken once.
        self.shared.closing.set(Instant::now() + deadline).ok();
        // Wakes an idle writer. A full queue is awake.
        drop(self.put(Work::default()));
        // The writer may be inside SQLite for a moment when the time is over.
        let in_time = tokio::time::timeout(deadline + writer::BUSY, ended).await.is_ok();
        in_time && !self.shared.failing.load(Ordering::Relaxed)
    }

    /// For those who can wait until there is room.
    async fn send_surely(&self, change: Change) -> Option<()> {
        let mut work = Work { change: Some(change), committed: None };
        loop {
            work = match self.put(work) {
                Ok(()) => return Some(()),
                Err(TrySendError::Disconnected(_)) => return None,
                Err(TrySendError::Full(work)) => work,
            };
            tokio::time::sleep(ROOM_LOOK).await;
        }
    }

    fn put(&self, work: Work) -> Result<(), TrySendError<Work>> {
        // Before the writer thread can take it off.
        self.shared.queued.fetch_add(1, Ordering::Relaxed);
        self.queue.try_send(work).inspect_err(|_| {
            self.shared.queued.fetch_sub(1, Ordering::Relaxed);
        })
    }

    fn send(&self, change: Change) {
        match self.put(Work { change: Some(change), committed: None }) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                // The writer thread says so in the log: the call path must not.
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A time in ms since 1970, so long before now.
fn wall_before(age: Duration) -> i64 {
    wall_ms().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
