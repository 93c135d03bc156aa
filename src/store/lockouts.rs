//! Wrong codes: the guard decides from memory, this is for the next start. And what the command line clears.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::database::{OpenError, change};
use crate::terms::UserAction;

/// Wrong codes that are loaded at a start, at most, the newest: as many as a guard would remember of busy days.
const LOADED: u32 = 100_000;

/// Wrong codes older than this are deleted. A lockout's window reaches no further over a restart.
pub(super) const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// A wrong code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongCode {
    /// The webhook's name.
    pub webhook: String,
    /// The caller's number, empty when withheld.
    pub caller: String,
    /// ms since 1970.
    pub at: i64,
}

/// A caller's wrong codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures {
    /// The webhook's name.
    pub webhook: String,
    /// The caller's number, empty for all who withhold it.
    pub caller: String,
    /// When, ms since 1970, in order.
    pub at: Vec<i64>,
}

/// Asks to forget the wrong codes of a webhook and a caller, `None` for all. Works with and without a running daemon,
/// which notices within about a second. `actor` is who asks. Returns how many wrong codes were stored.
///
/// # Errors
/// When there is no such database or it stays locked.
pub fn clear_lockouts(
    path: &Path,
    webhook: Option<&str>,
    caller: Option<&str>,
    actor: &str,
) -> Result<usize, OpenError> {
    change(path, actor, |change| {
        let forgotten = forget(change.db, webhook, caller)?;
        change.db.execute("INSERT INTO lockout_clears VALUES (?,?)", params![webhook, caller])?;
        change.tell(UserAction::Deleted, "lockout", webhook.unwrap_or("all"))?;
        Ok(forgotten)
    })
}

pub(super) fn insert(db: &Connection, wrong: &WrongCode) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO lockouts VALUES (?,?,?)")?.execute(params![
        wrong.webhook,
        wrong.caller,
        wrong.at
    ])?;
    Ok(())
}

/// Deletes; `None` is every webhook, every caller.
pub(super) fn forget(
    db: &Connection,
    webhook: Option<&str>,
    caller: Option<&str>,
) -> rusqlite::Result<usize> {
    db.prepare_cached(
        "DELETE FROM lockouts WHERE (?1 IS NULL OR webhook = ?1) AND (?2 IS NULL OR caller = ?2)",
    )?
    .execute(params![webhook, caller])
}

pub(super) fn delete_before(db: &Connection, wall: i64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM lockouts WHERE at < ?")?.execute([wall])?;
    Ok(())
}

/// The newest wrong codes, in order of time.
pub(super) fn load(db: &Connection) -> rusqlite::Result<Vec<WrongCode>> {
    let mut found = db.prepare("SELECT webhook, caller, at FROM lockouts ORDER BY at DESC LIMIT ?")?;
    let rows = found.query_map([LOADED], |row| {
        Ok(WrongCode { webhook: row.get(0)?, caller: row.get(1)?, at: row.get(2)? })
    })?;
    let mut wrong = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    wrong.reverse();
    Ok(wrong)
}

/// What the command line asked to clear since the last time. It is done in the table once more: what was queued then
/// has come in behind it.
pub(super) fn take_clears(db: &mut Connection) -> rusqlite::Result<Vec<(Option<String>, Option<String>)>> {
    let change = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let clears = change
        .prepare("SELECT webhook, caller FROM lockout_clears ORDER BY rowid")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(Option<String>, Option<String>)>>>()?;
    for (webhook, caller) in &clears {
        forget(&change, webhook.as_deref(), caller.as_deref())?;
    }
    change.execute("DELETE FROM lockout_clears", [])?;
    change.commit()?;
    Ok(clears)
}
