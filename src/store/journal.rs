//! What happened in each call, as rows.

use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use crate::terms::{CallResult, Journal, Reason};

/// Rows that one step of the retention deletes, at most: some ten milliseconds.
pub(super) const DELETED_AT_ONCE: usize = 500;

/// A call in a list.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// `WEBHOOK_CALL`.
    pub call: String,
    /// ms since 1970.
    pub started: i64,
    /// The webhook's name.
    pub webhook: String,
    /// The number that was called.
    pub did: String,
    /// The caller's number, empty when withheld.
    pub callerid: String,
    /// Whether it succeeded.
    pub result: CallResult,
    /// Why.
    pub reason: Reason,
    /// Microseconds.
    pub took_us: u64,
}

/// Stores a journal. One of the same id is replaced.
pub(super) fn insert(db: &Connection, journal: &Journal) -> rusqlite::Result<()> {
    let unfit = |e: Box<dyn std::error::Error + Send + Sync>| rusqlite::Error::ToSqlConversionFailure(e);
    let id = Uuid::parse_str(&journal.call).map_err(|e| unfit(e.into()))?;
    let steps = serde_json::to_string(&journal.steps).map_err(|e| unfit(e.into()))?;
    db.prepare_cached("INSERT OR REPLACE INTO calls VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)")?.execute(
        params![
            id.as_bytes().as_slice(),
            journal.started,
            journal.webhook,
            journal.pbx,
            journal.did,
            journal.callerid,
            journal.result.as_str(),
            journal.reason.as_str(),
            journal.attempts,
            i64::try_from(journal.took_us).unwrap_or(i64::MAX),
            journal.linked_id,
            journal.unique_id,
            steps,
        ],
    )?;
    Ok(())
}

/// Deletes some of the calls that are older, and says whether there may be more.
pub(super) fn delete_before(db: &Connection, wall: i64) -> rusqlite::Result<bool> {
    let deleted = db
        .prepare_cached("DELETE FROM calls WHERE id IN (SELECT id FROM calls WHERE started < ? LIMIT ?)")?
        .execute(params![wall, i64::try_from(DELETED_AT_ONCE).unwrap_or(i64::MAX)])?;
    Ok(deleted == DELETED_AT_ONCE)
}

/// The ids, oldest first, that lie between two, both included; at most `limit`.
pub(super) fn ids_between(db: &Connection, low: Uuid, high: Uuid, limit: i64) -> rusqlite::Result<Vec<Uuid>> {
    let mut found = db.prepare("SELECT id FROM calls WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?")?;
    let ids = found.query_map(params![low.as_bytes().as_slice(), high.as_bytes().as_slice(), limit], id)?;
    ids.collect()
}

/// One call.
pub(super) fn get(db: &Connection, id: Uuid) -> rusqlite::Result<Journal> {
    db.query_row("SELECT * FROM calls WHERE id = ?", [id.as_bytes().as_slice()], |row| {
        let steps: String = row.get("steps")?;
        Ok(Journal {
            call: self::id(row)?.to_string(),
            started: row.get("started")?,
            webhook: row.get("webhook")?,
            pbx: row.get("pbx")?,
            unique_id: row.get("unique_id")?,
            linked_id: row.get("linked_id")?,
            did: row.get("did")?,
            callerid: row.get("callerid")?,
            result: word(row, "result")?,
            reason: word(row, "reason")?,
            attempts: row.get("attempts")?,
            took_us: took(row)?,
            steps: serde_json::from_str(&steps).map_err(unreadable)?,
        })
    })
}

/// The newest calls, the newest first.
pub(super) fn newest(db: &Connection, count: u32) -> rusqlite::Result<Vec<Summary>> {
    let mut found = db.prepare(
        "SELECT id, started, webhook, did, callerid, result, reason, took_us FROM calls
         ORDER BY started DESC, id DESC LIMIT ?",
    )?;
    let rows = found.query_map([count], |row| {
        Ok(Summary {
            call: id(row)?.to_string(),
            started: row.get("started")?,
            webhook: row.get("webhook")?,
            did: row.get("did")?,
            callerid: row.get("callerid")?,
            result: word(row, "result")?,
            reason: word(row, "reason")?,
            took_us: took(row)?,
        })
    })?;
    rows.collect()
}

fn id(row: &Row<'_>) -> rusqlite::Result<Uuid> {
    let bytes: Vec<u8> = row.get("id")?;
    Uuid::from_slice(&bytes).map_err(unreadable)
}

fn took(row: &Row<'_>) -> rusqlite::Result<u64> {
    row.get::<_, i64>("took_us").map(|us| u64::try_from(us).unwrap_or(0))
}

fn word<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_value(serde_json::Value::String(text)).map_err(unreadable)
}

fn unreadable(e: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e))
}
