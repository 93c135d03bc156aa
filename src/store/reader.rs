//! Reading beside a running daemon: for the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use super::database::{self, OpenError};
use super::told::{self, Attempt, Backlog, Delivery, Filter, SubscriptionState};
use super::{Failures, Summary, journal, lockouts};
use crate::terms::Journal;

/// A reader meets a lock only while a corrupt WAL is mended or the last connection closes.
const READ_WAITS: Duration = Duration::from_secs(2);

/// Ids that are named when a beginning fits several calls.
const NAMED: i64 = 10;

/// A connection that reads.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    db: Connection,
}

/// Why there is no call to show.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// No call has it.
    #[error("nothing has the id {0}; it may be too old, or it ended a moment ago and is not written yet")]
    Unknown(String),
    /// Nothing was kept yet.
    #[error("there is no call in the store yet")]
    Empty,
    /// More than one call begins so.
    #[error("{beginning} is the beginning of several ids: {}", .calls.join(", "))]
    Ambiguous {
        /// What was asked for.
        beginning: String,
        /// Some of the calls that begin so.
        calls: Vec<String>,
    },
    /// It cannot be the beginning of an id.
    #[error("{0:?} is no id: give an id, its beginning, or the word last")]
    NoId(String),
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] OpenError),
}

impl Reader {
    /// Opens a database that is there, to read only.
    ///
    /// # Errors
    /// No such file, not a database, another program's or a newer version's.
    pub fn open(path: &Path) -> Result<Reader, OpenError> {
        let db = database::open_existing(path, OpenFlags::SQLITE_OPEN_READ_ONLY, READ_WAITS)?;
        Ok(Reader { path: path.to_owned(), db })
    }

    /// One call: by its id, a beginning of it that no other call has, or the word `last`.
    ///
    /// # Errors
    /// When there is not exactly one.
    pub fn call(&self, which: &str) -> Result<Journal, NotFound> {
        let id = if which == "last" { self.last()? } else { self.one(which, journal::ids_between)? };
        journal::get(&self.db, id).map_err(|e| self.failed(e).into())
    }

    /// The newest calls, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn newest(&self, count: u32) -> Result<Vec<Summary>, OpenError> {
        journal::newest(&self.db, count).map_err(|e| self.failed(e))
    }

    /// The wrong codes of every webhook and caller.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn failures(&self) -> Result<Vec<Failures>, OpenError> {
        let mut found: BTreeMap<(String, String), Vec<i64>> = BTreeMap::new();
        for wrong in lockouts::load(&self.db).map_err(|e| self.failed(e))? {
            found.entry((wrong.webhook, wrong.caller)).or_default().push(wrong.at);
        }
        let failures = found.into_iter().map(|((webhook, caller), at)| Failures { webhook, caller, at });
        Ok(failures.collect())
    }

    /// Deliveries, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn deliveries(&self, filter: &Filter) -> Result<Vec<Delivery>, OpenError> {
        told::list(&self.db, filter).map_err(|e| self.failed(e))
    }

    /// One delivery, its event as JSON, and its attempts: by its id or a beginning of it that no other one has.
    ///
    /// # Errors
    /// When there is not exactly one.
    pub fn delivery(&self, which: &str) -> Result<(Delivery, String, Vec<Attempt>), NotFound> {
        let id = self.delivery_id(which)?;
        let unknown = || NotFound::Unknown(which.to_owned());
        let found = self.deliveries(&Filter { ids: vec![id], ..Filter::default() })?;
        let delivery = found.into_iter().next().ok_or_else(unknown)?;
        let (event, attempts) = told::history(&self.db, id).map_err(|e| self.failed(e))?;
        Ok((delivery, event, attempts))
    }

    /// The id of a delivery, by a beginning of it.
    ///
    /// # Errors
    /// When there is not exactly one.
    pub fn delivery_id(&self, beginning: &str) -> Result<Uuid, NotFound> {
        self.one(beginning, told::ids_between)
    }

    /// How the subscriptions stand, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn subscriptions(&self) -> Result<Vec<SubscriptionState>, OpenError> {
        told::subscriptions(&self.db).map_err(|e| self.failed(e))
    }

    /// What is still to be told.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn backlog(&self) -> Result<Backlog, OpenError> {
        told::backlog(&self.db).map_err(|e| self.failed(e))
    }

    fn last(&self) -> Result<Uuid, NotFound> {
        let newest = self.newest(1)?;
        let id = newest.first().and_then(|call| Uuid::parse_str(&call.call).ok());
        id.ok_or(NotFound::Empty)
    }

    fn one(
        &self,
        beginning: &str,
        between: impl FnOnce(&Connection, Uuid, Uuid, i64) -> rusqlite::Result<Vec<Uuid>>,
    ) -> Result<Uuid, NotFound> {
        let (low, high) = range(beginning).ok_or_else(|| NotFound::NoId(beginning.to_owned()))?;
        let ids = between(&self.db, low, high, NAMED).map_err(|e| self.failed(e))?;
        match ids.as_slice() {
            [] => Err(NotFound::Unknown(beginning.to_owned())),
            [id] => Ok(*id),
            several => {
                let calls = several.iter().map(Uuid::to_string).collect();
                Err(NotFound::Ambiguous { beginning: beginning.to_owned(), calls })
            }
        }
    }

    fn failed(&self, e: rusqlite::Error) -> OpenError {
        OpenError::sqlite(&self.path, e)
    }
}

/// The lowest and the highest id with this beginning. Hyphens may be left out.
fn range(beginning: &str) -> Option<(Uuid, Uuid)> {
    let digits: String = beginning.chars().filter(|c| *c != '-').collect();
    let fits = (1..=32).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let padded = |with: &str| Uuid::parse_str(&format!("{digits}{}", with.repeat(32 - digits.len()))).ok();
    if fits { Some((padded("0")?, padded("f")?)) } else { None }
}
