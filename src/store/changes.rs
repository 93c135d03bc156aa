//! Who changed what: a row in the transaction of the change itself, until the daemon has told it.

use rusqlite::{Connection, params};

use super::deliveries::{self, Acceptance, NewEvent};
use crate::terms::{UserAction, UserEvent};

/// A change that was not told yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    /// Its row.
    pub id: i64,
    /// What is to be told.
    pub event: UserEvent,
}

/// Writes down that somebody changed something.
pub(super) fn insert(db: &Connection, event: &UserEvent) -> rusqlite::Result<()> {
    let UserEvent { timestamp, actor, action, object, object_name } = event;
    db.prepare_cached("INSERT INTO changes (at, actor, action, object, object_name) VALUES (?,?,?,?,?)")?
        .execute(params![timestamp, actor, action.as_str(), object, object_name])?;
    Ok(())
}

/// What was not told yet, in order.
pub(super) fn untold(db: &Connection) -> rusqlite::Result<Vec<Untold>> {
    let mut found = db.prepare_cached(
        "SELECT id, at, actor, action, object, object_name FROM changes WHERE told = 0 ORDER BY id",
    )?;
    let rows = found.query_map([], |row| {
        let word: String = row.get(3)?;
        let action = UserAction::ALL.iter().find(|action| action.as_str() == word);
        let event = UserEvent {
            timestamp: row.get(1)?,
            actor: row.get(2)?,
            action: *action.ok_or(rusqlite::Error::InvalidQuery)?,
            object: row.get(4)?,
            object_name: row.get(5)?,
        };
        Ok(Untold { id: row.get(0)?, event })
    })?;
    rows.collect()
}

/// Accepts the event of a change, once. Returns the number of deliveries.
pub(super) fn tell(db: &Connection, now: i64, id: i64, event: &NewEvent) -> rusqlite::Result<u64> {
    let first =
        db.prepare_cached("UPDATE changes SET told = 1 WHERE id = ? AND told = 0")?.execute([id])? == 1;
    if !first {
        return Ok(0);
    }
    deliveries::accept(db, now, &Acceptance { events: vec![event.clone()], calls: Vec::new() })
}

pub(super) fn delete_before(db: &Connection, wall: i64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM changes WHERE at < ?")?.execute([wall])?;
    Ok(())
}
