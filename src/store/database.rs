//! The database file: opening it, its schema, and moving a corrupt one out of the way.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::changes;
use crate::clock::wall_ms;
use crate::terms::{UserAction, UserEvent};

/// Says that a SQLite file is ours: "SwHk" in its header.
const APPLICATION_ID: i32 = 0x5377_486B;

/// The oldest SQLite that is safe here: earlier ones can corrupt a WAL database when a checkpoint and a writer race
/// (sqlite.org/wal.html, "the WAL-reset bug", fixed in 3.51.3).
const OLDEST_SQLITE: i32 = 3_051_003;

/// A file of at most so many bytes is checked as a whole when it is opened; a bigger one would keep the queue waiting.
const CHECKED_WHOLE: u64 = 64 << 20;

/// Bytes of WAL that are left on the disk after a checkpoint, at most.
const WAL_LEFT: i64 = 64 << 20;

/// How long the command line waits for the daemon's lock.
const CHANGE_WAITS: Duration = Duration::from_secs(5);

/// The schema, one step per version. A step that was released is never changed.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE calls (
        id        BLOB PRIMARY KEY,     -- the 16 bytes of the UUID v7, so in order of time
        started   INTEGER NOT NULL,     -- ms since 1970
        webhook   TEXT NOT NULL,
        pbx       TEXT NOT NULL,
        did       TEXT NOT NULL,
        callerid  TEXT NOT NULL,
        result    TEXT NOT NULL,
        reason    TEXT NOT NULL,
        attempts  INTEGER NOT NULL,
        took_us   INTEGER NOT NULL,
        linked_id TEXT NOT NULL,
        unique_id TEXT NOT NULL,
        steps     TEXT NOT NULL         -- JSON
    );
    CREATE INDEX calls_started ON calls (started);
    CREATE INDEX calls_webhook ON calls (webhook, started);
    CREATE INDEX calls_callerid ON calls (callerid, started);
    CREATE INDEX calls_linked_id ON calls (linked_id);
    CREATE TABLE lockouts (
        webhook TEXT NOT NULL,
        caller  TEXT NOT NULL,          -- empty: without a number
        at      INTEGER NOT NULL        -- ms since 1970
    );
    CREATE INDEX lockouts_caller ON lockouts (webhook, caller);
    CREATE INDEX lockouts_at ON lockouts (at);
    CREATE TABLE lockout_clears (       -- what the command line asks of the daemon
        webhook TEXT,                   -- NULL: all
        caller  TEXT                    -- NULL: all
    );
", "
    CREATE TABLE events (
        id           INTEGER PRIMARY KEY, -- in order of acceptance
        at           INTEGER NOT NULL,    -- accepted, ms since 1970
        event        TEXT NOT NULL,
        pbx          TEXT NOT NULL,       -- empty: not about a call
        calluniqueid TEXT NOT NULL,
        seq          INTEGER NOT NULL,
        callfrom     TEXT NOT NULL,
        callto       TEXT NOT NULL,
        did          TEXT NOT NULL,
        body         TEXT NOT NULL,       -- JSON
        UNIQUE (pbx, calluniqueid, seq)
    );
    CREATE INDEX events_at ON events (at);
    CREATE TABLE deliveries (
        id           INTEGER PRIMARY KEY,
        webhook_id   BLOB NOT NULL UNIQUE, -- the 16 bytes of the UUID v7
        event        INTEGER NOT NULL,     -- events.id
        subscription TEXT NOT NULL,
        pbx          TEXT NOT NULL,        -- with calluniqueid: among whom there is an order
        calluniqueid TEXT NOT NULL,
        state        TEXT NOT NULL,
        attempts     INTEGER NOT NULL DEFAULT 0,
        failed       INTEGER NOT NULL DEFAULT 0, -- since it was accepted, or asked for again
        holds        INTEGER NOT NULL,     -- 1: the call's later events wait for it
        trying       INTEGER NOT NULL DEFAULT 0, -- 1: an attempt is being made
        due          INTEGER,              -- ms since 1970; NULL: waits for another one, is being tried, or is over
        expires      INTEGER,              -- ms since 1970; NULL: never
        ended        INTEGER               -- ms since 1970
    );
    CREATE INDEX deliveries_event ON deliveries (event);
    CREATE INDEX deliveries_due ON deliveries (subscription, due, id) WHERE state = 'pending' AND due IS NOT NULL;
    CREATE INDEX deliveries_call ON deliveries (subscription, pbx, calluniqueid, id) WHERE state = 'pending';
    CREATE INDEX deliveries_trying ON deliveries (id) WHERE trying = 1;
    CREATE TABLE attempts (
        delivery    INTEGER NOT NULL,      -- deliveries.id
        number      INTEGER NOT NULL,      -- from 1
        started     INTEGER NOT NULL,      -- ms since 1970; written before the attempt is made
        took_us     INTEGER,
        result      TEXT,                  -- NULL: being made
        http_status INTEGER,
        detail      TEXT,
        peer        TEXT,
        request     TEXT,
        answer      TEXT,
        PRIMARY KEY (delivery, number)
    );
    CREATE INDEX attempts_being_made ON attempts (delivery) WHERE result IS NULL;
    CREATE TABLE subscription_states (
        name          TEXT PRIMARY KEY,
        paused        TEXT,                -- why; NULL: not paused
        paused_at     INTEGER,             -- ms since 1970
        failing_since INTEGER              -- ms since 1970; NULL: the last attempt was good
    );
    CREATE TABLE open_calls (
        pbx          TEXT NOT NULL,
        calluniqueid TEXT NOT NULL,
        body         TEXT NOT NULL,        -- JSON
        PRIMARY KEY (pbx, calluniqueid)
    );
", "
    CREATE TABLE definitions (
        kind    TEXT NOT NULL,          -- subscription
        name    TEXT NOT NULL,
        body    TEXT NOT NULL,          -- TOML, with its secrets
        changed INTEGER NOT NULL,       -- ms since 1970
        actor   TEXT NOT NULL,          -- who changed it
        PRIMARY KEY (kind, name)
    );
    CREATE TABLE changes (              -- who changed what
        id          INTEGER PRIMARY KEY,
        at          INTEGER NOT NULL,   -- ms since 1970
        actor       TEXT NOT NULL,
        action      TEXT NOT NULL,
        object      TEXT NOT NULL,
        object_name TEXT NOT NULL,
        told        INTEGER NOT NULL DEFAULT 0 -- 1: whoever subscribed is told
    );
    CREATE INDEX changes_at ON changes (at);
    CREATE INDEX changes_untold ON changes (id) WHERE told = 0;
"];

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error("there is no store at {}; has the daemon run with this configuration?", .0.display())]
    Missing(PathBuf),
    /// The file is not a SQLite database.
    #[error("{} is not a database, or it is corrupt: {cause}", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        cause: rusqlite::Error,
    },
    /// A database of some other program.
    #[error("{} is a database of another program", .0.display())]
    Foreign(PathBuf),
    /// A newer Switchhook has written it.
    #[error("{} was written by a newer version of Switchhook (schema {found}, this one knows {})", .path.display(), MIGRATIONS.len())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
    },
    /// The SQLite library is too old to be safe.
    #[error("SQLite {0} is too old: versions before 3.51.3 can corrupt a database")]
    Library(&'static str),
    /// The file cannot be created or opened.
    #[error("{}: {cause}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Anything else that SQLite says.
    #[error("{}: {cause}", .path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it says.
        cause: rusqlite::Error,
    },
}

impl OpenError {
    pub(super) fn sqlite(path: &Path, cause: rusqlite::Error) -> OpenError {
        let path = path.to_owned();
        if is_corrupt(&cause) {
            OpenError::Corrupt { path, cause }
        } else {
            OpenError::Sqlite { path, cause }
        }
    }
}

/// Opens a database to write, and makes or upgrades it. SQLite waits so long for another process's lock.
pub(super) fn open(path: &Path, busy: Duration) -> Result<Connection, OpenError> {
    let failed = |e| OpenError::sqlite(path, e);
    create(path).map_err(|cause| OpenError::Io { path: path.to_owned(), cause })?;
    let mut db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, busy)?;
    // Before anything is changed in a file that may not be ours.
    version(&db, path)?;
    close_to_others(path).map_err(|cause| OpenError::Io { path: path.to_owned(), cause })?;
    db.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).map_err(failed)?;
    db.pragma_update(None, "synchronous", "full").map_err(failed)?;
    db.pragma_update(None, "journal_size_limit", WAL_LEFT).map_err(failed)?;
    migrate(&mut db, path)?;
    if fs::metadata(path).is_ok_and(|m| m.len() <= CHECKED_WHOLE) {
        check(&db, path)?;
    }
    Ok(db)
}

/// Opens a database that must be there, and leaves it as it is.
pub(super) fn open_existing(path: &Path, flags: OpenFlags, busy: Duration) -> Result<Connection, OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing(path.to_owned()));
    }
    let db = connect(path, flags, busy)?;
    match version(&db, path)? {
        // The daemon is just making it.
        0 => Err(OpenError::Missing(path.to_owned())),
        _ => Ok(db),
    }
}

/// A change that somebody makes, in its transaction.
pub(super) struct Change<'a> {
    pub(super) db: &'a Connection,
    /// ms since 1970.
    pub(super) now: i64,
    actor: &'a str,
}

impl Change<'_> {
    /// Writes down what was changed, for the daemon to tell.
    pub(super) fn tell(&self, action: UserAction, object: &str, name: &str) -> rusqlite::Result<()> {
        let (actor, object, object_name) = (self.actor.to_owned(), object.to_owned(), name.to_owned());
        changes::insert(self.db, &UserEvent { timestamp: self.now, actor, action, object, object_name })
    }
}

/// Makes a change beside a running daemon, or without one: all of it or nothing. `actor` is who makes it. A database of an
/// older version is upgraded first.
pub(super) fn change<T>(
    path: &Path,
    actor: &str,
    act: impl FnOnce(Change<'_>) -> rusqlite::Result<T>,
) -> Result<T, OpenError> {
    let mut db = open_existing(path, OpenFlags::SQLITE_OPEN_READ_WRITE, CHANGE_WAITS)?;
    migrate(&mut db, path)?;
    let run = |db: &mut Connection| {
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = act(Change { db: &change, now: wall_ms(), actor })?;
        change.commit().map(|()| result)
    };
    run(&mut db).map_err(|e| OpenError::sqlite(path, e))
}

fn connect(path: &Path, flags: OpenFlags, busy: Duration) -> Result<Connection, OpenError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(OpenError::Library(rusqlite::version()));
    }
    let failed = |e| OpenError::sqlite(path, e);
    let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    db.busy_timeout(busy).map_err(failed)?;
    Ok(db)
}

fn create(path: &Path) -> io::Result<()> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(drop)
}

/// Readable for its owner alone: it holds telephone numbers and names. `-wal` and `-shm` get the same mode from SQLite.
fn close_to_others(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 == 0 { Ok(()) } else { fs::set_permissions(path, Permissions::from_mode(0o600)) }
}

/// The schema's version; 0 when the file is empty.
fn version(db: &Connection, path: &Path) -> Result<i64, OpenError> {
    let number = |name| {
        db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(|e| OpenError::sqlite(path, e))
    };
    let found = number("user_version")?;
    let ours = number("application_id")? == i64::from(APPLICATION_ID);
    let empty = number("schema_version")? == 0;
    match usize::try_from(found) {
        _ if !ours && !empty => Err(OpenError::Foreign(path.to_owned())),
        Ok(known) if known <= MIGRATIONS.len() => Ok(found),
        _ => Err(OpenError::TooNew { path: path.to_owned(), found }),
    }
}

fn migrate(db: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let found = usize::try_from(version(db, path)?).unwrap_or(0);
    for (i, step) in MIGRATIONS.iter().enumerate().skip(found) {
        let upgrade = |db: &mut Connection| {
            let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            change.execute_batch(step)?;
            change.pragma_update(None, "application_id", APPLICATION_ID)?;
            change.pragma_update(None, "user_version", i64::try_from(i + 1).unwrap_or(i64::MAX))?;
            change.commit()
        };
        upgrade(db).map_err(|e| OpenError::sqlite(path, e))?;
    }
    Ok(())
}

fn check(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let verdict: Result<String, _> = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match verdict {
        Ok(ok) if ok == "ok" => Ok(()),
        Ok(damage) => {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            let cause = rusqlite::Error::SqliteFailure(code, Some(damage));
            Err(OpenError::Corrupt { path: path.to_owned(), cause })
        }
        Err(e) => Err(OpenError::sqlite(path, e)),
    }
}

/// Moves a corrupt database out of the way, its WAL with it so that what can be read of it still can.
pub(super) fn move_aside(path: &Path, wall: i64) -> io::Result<PathBuf> {
    let with = |base: &Path, end: &str| {
        let mut name = base.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let aside = with(path, &format!(".corrupt-{}", wall / 1000));
    fs::rename(path, &aside)?;
    for end in ["-wal", "-shm"] {
        match fs::rename(with(path, end), with(&aside, end)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(aside)
}

pub(super) fn is_corrupt(e: &rusqlite::Error) -> bool {
    matches!(e.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Whether the record is to blame, not the database: trying it again would bring the same.
pub(super) fn is_of_the_record(e: &rusqlite::Error) -> bool {
    match e.sqlite_error_code() {
        Some(code) => matches!(
            code,
            ErrorCode::ConstraintViolation
                | ErrorCode::TooBig
                | ErrorCode::TypeMismatch
                | ErrorCode::ParameterOutOfRange
        ),
        // Not from SQLite: a value that cannot be bound.
        None => true,
    }
}

/// A database as an older version of the program left it.
#[cfg(test)]
pub(super) fn create_version(path: &Path, version: usize) {
    let db = Connection::open(path).expect("a database");
    for step in &MIGRATIONS[..version] {
        db.execute_batch(step).expect("a schema");
    }
    db.pragma_update(None, "application_id", APPLICATION_ID).expect("an id");
    db.pragma_update(None, "user_version", i64::try_from(version).expect("a number")).expect("a version");
}
