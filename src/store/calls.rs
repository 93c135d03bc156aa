//! Calls that are not over: what the follower of a PBX begins with at its next start.

use rusqlite::{Connection, params};
use tracing::error;

use crate::track::OpenCall;

/// What is to be remembered of a call: with its events, in one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct CallState {
    /// The PBX's name in the configuration.
    pub pbx: String,
    /// The call.
    pub calluniqueid: String,
    /// `None`: it is over.
    pub open: Option<OpenCall>,
}

pub(super) fn write(db: &Connection, call: &CallState) -> rusqlite::Result<()> {
    let Some(open) = &call.open else {
        db.prepare_cached("DELETE FROM open_calls WHERE pbx = ? AND calluniqueid = ?")?
            .execute(params![call.pbx, call.calluniqueid])?;
        return Ok(());
    };
    let body =
        serde_json::to_string(open).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    db.prepare_cached("INSERT OR REPLACE INTO open_calls VALUES (?,?,?)")?.execute(params![
        call.pbx,
        call.calluniqueid,
        body
    ])?;
    Ok(())
}

/// All calls, each with its PBX. One that cannot be read any more is left out: the comparison with the PBX finds it again.
pub(super) fn load(db: &Connection) -> rusqlite::Result<Vec<(String, OpenCall)>> {
    let mut found = db.prepare_cached("SELECT pbx, calluniqueid, body FROM open_calls")?;
    let rows = found.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    })?;
    let mut calls = Vec::new();
    for row in rows {
        let (pbx, calluniqueid, body) = row?;
        match serde_json::from_str(&body) {
            Ok(call) => calls.push((pbx, call)),
            Err(e) => error!(pbx, calluniqueid, error = %e, "an open call cannot be read from the store"),
        }
    }
    Ok(calls)
}
