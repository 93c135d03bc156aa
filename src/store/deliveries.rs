//! Events and whom they are to be told: accepted, claimed, tried, told.
//!
//! ```text
//!            claim                 finish
//! pending ----------> pending, ------------> delivered | exhausted | pending, due later
//!  (due)              trying                 (the next one of its call is released)
//! ```
//!
//! A delivery that waits for an earlier one of its call is pending and has no due time. Whatever ends an earlier one
//! releases the next: so a claim looks at what is due and at nothing else.

use rusqlite::{Connection, OptionalExtension, params};
use tracing::error;
use uuid::Uuid;

use super::calls::{self, CallState};
use super::journal::DELETED_AT_ONCE;
use crate::terms::Event;
use crate::webhook::schedule::{self, PASSED_AFTER};

/// A due time further away than this comes from a clock that was wrong: twice the longest step of the usual schedule.
const DUE_MAX: i64 = 48 * 3_600_000;

/// How a delivery stands. A pending one of a paused subscription is shown as `paused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// It will be tried, or tried again.
    Pending,
    /// The receiver took it.
    Delivered,
    /// Given up after the last attempt. It can be asked for again.
    Exhausted,
    /// Too late to be of use.
    Expired,
    /// A person stopped it.
    Cancelled,
    /// Pending, but its subscription is paused.
    Paused,
}

impl DeliveryState {
    /// Every one of them.
    pub const ALL: [DeliveryState; 6] =
        [Self::Pending, Self::Delivered, Self::Exhausted, Self::Expired, Self::Cancelled, Self::Paused];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Paused => "paused",
        }
    }
}

/// What is to be kept for good, in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Acceptance {
    /// What happened, in order, and who is to be told. One that nobody is to be told is not kept.
    pub events: Vec<NewEvent>,
    /// The calls of these events as they are now.
    pub calls: Vec<CallState>,
}

/// An event, and who is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// What happened. One of the same PBX, call and `seq` was accepted before: nobody is told again.
    pub event: Event,
    /// The subscriptions that it matches.
    pub to: Vec<Recipient>,
}

/// A subscription that is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Its name.
    pub subscription: String,
    /// When it is too late, ms since 1970. `None`: never.
    pub expires: Option<i64>,
    /// Whether it waits for the earlier events of the call.
    pub strict: bool,
}

/// A subscription that can be told something now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Its name.
    pub subscription: String,
    /// How many attempts it may have more.
    pub at_most: usize,
}

/// Attempts to be made, and when to ask again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// Each is on the disk as an attempt that is being made.
    pub claimed: Vec<Claimed>,
    /// When the next one is due, ms since 1970, of the subscriptions that were asked for.
    pub next: Option<i64>,
}

/// An attempt to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// `webhook-id`: the same for all attempts.
    pub id: Uuid,
    /// Whom to tell.
    pub subscription: String,
    /// What.
    pub event: Event,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// How many have failed before, since it was accepted or asked for again.
    pub failed: u32,
}

/// An attempt that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// `webhook-id`.
    pub id: Uuid,
    /// The attempt's number.
    pub attempt: u32,
    /// When it ended, ms since 1970.
    pub ended: i64,
    /// Microseconds.
    pub took_us: u64,
    /// In one word: `ok`, or why it failed.
    pub result: String,
    /// The HTTP status, where there was an answer.
    pub http_status: Option<u16>,
    /// More words.
    pub detail: String,
    /// The address that answered.
    pub peer: String,
    /// What was sent, with secrets masked; to 4 KiB.
    pub request: String,
    /// What came back; to 4 KiB.
    pub answer: String,
    /// What follows from it.
    pub next: Next,
}

/// What follows from an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The receiver took it.
    Delivered,
    /// It failed and is tried again then, ms since 1970.
    Again(i64),
    /// It failed for the last time.
    Exhausted,
    /// The receiver wants nothing any more: its subscription is paused. Tried again then, once it goes on.
    Gone(i64),
}

/// Whose turn it is: the deliveries of one call for one subscription.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) subscription: String,
    pub(super) pbx: String,
    pub(super) calluniqueid: String,
}

/// Stores events, whom they are to be told, and the calls. Returns the number of deliveries.
pub(super) fn accept(db: &Connection, now: i64, acceptance: &Acceptance) -> rusqlite::Result<u64> {
    let mut deliveries = 0;
    for new in acceptance.events.iter().filter(|new| !new.to.is_empty()) {
        if let Some(event) = insert_event(db, now, &new.event)? {
            for recipient in &new.to {
                insert(db, now, event, &new.event, recipient)?;
                deliveries += 1;
            }
        }
    }
    for call in &acceptance.calls {
        calls::write(db, call)?;
    }
    Ok(deliveries)
}

/// The event's row; `None` when it was accepted before.
fn insert_event(db: &Connection, now: i64, event: &Event) -> rusqlite::Result<Option<i64>> {
    let body =
        serde_json::to_string(event).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    let none = String::new();
    // What is not about a call has nothing that it could be the same as.
    let own = Uuid::now_v7().to_string();
    let (pbx, calluniqueid, seq, callfrom, callto, did) = match event {
        Event::Call(e) => (&e.pbx, &e.calluniqueid, e.seq, &e.callfrom, &e.callto, &e.did),
        Event::User(_) => (&none, &own, 0, &none, &none, &none),
    };
    let inserted = db
        .prepare_cached("INSERT OR IGNORE INTO events VALUES (NULL,?,?,?,?,?,?,?,?,?)")?
        .execute(params![now, event.kind().as_str(), pbx, calluniqueid, seq, callfrom, callto, did, body])?;
    Ok((inserted == 1).then(|| db.last_insert_rowid()))
}

fn insert(db: &Connection, now: i64, event: i64, what: &Event, to: &Recipient) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO deliveries (webhook_id, event, subscription, pbx, calluniqueid, state, holds, due, expires)
         SELECT ?1, ?2, ?3, e.pbx, e.calluniqueid, 'pending', ?4,
           CASE WHEN ?4 AND EXISTS (
             SELECT 1 FROM deliveries d WHERE d.state = 'pending' AND d.holds = 1 AND d.subscription = ?3
             AND d.pbx = e.pbx AND d.calluniqueid = e.calluniqueid)
           THEN NULL ELSE ?5 END, ?6
         FROM events e WHERE e.id = ?2",
    )?
    .execute(params![
        Uuid::now_v7().as_bytes().as_slice(),
        event,
        to.subscription,
        to.strict && matches!(what, Event::Call(_)),
        now,
        to.expires,
    ])?;
    Ok(())
}

/// Writes down the attempts that are to be made now. What is too late is expired instead.
pub(super) fn claim(db: &Connection, now: i64, wants: &[Want]) -> rusqlite::Result<Claims> {
    let mut claims = Claims::default();
    for want in wants {
        let paused = db
            .prepare_cached("SELECT 1 FROM subscription_states WHERE name = ? AND paused IS NOT NULL")?
            .exists([&want.subscription])?;
        if paused {
            continue;
        }
        let full = claims.claimed.len() + want.at_most;
        // What is expired releases others, and they may be due at once.
        loop {
            let due = due(db, now, &want.subscription, full - claims.claimed.len())?;
            let expired = due.iter().filter(|d| d.expires.is_some_and(|at| at <= now)).count();
            for delivery in due {
                if delivery.expires.is_some_and(|at| at <= now) {
                    end(db, delivery.row, DeliveryState::Expired, now)?;
                    release(db, &delivery.line(&want.subscription), now)?;
                } else if let Some(claimed) = begin(db, now, &want.subscription, &delivery)? {
                    claims.claimed.push(claimed);
                }
            }
            if expired == 0 || claims.claimed.len() >= full {
                break;
            }
        }
        let next: Option<i64> = db
            .prepare_cached(
                "SELECT min(due) FROM deliveries WHERE subscription = ? AND state = 'pending' AND due > ?",
            )?
            .query_row(params![want.subscription, now], |row| row.get(0))?;
        claims.next = claims.next.into_iter().chain(next).min();
    }
    Ok(claims)
}

struct Due {
    row: i64,
    id: Vec<u8>,
    pbx: String,
    calluniqueid: String,
    attempts: u32,
    failed: u32,
    expires: Option<i64>,
    body: String,
}

impl Due {
    fn line(&self, subscription: &str) -> Line {
        let (pbx, calluniqueid) = (self.pbx.clone(), self.calluniqueid.clone());
        Line { subscription: subscription.to_owned(), pbx, calluniqueid }
    }
}

fn due(db: &Connection, now: i64, subscription: &str, at_most: usize) -> rusqlite::Result<Vec<Due>> {
    db.prepare_cached(
        "SELECT d.id, d.webhook_id, d.pbx, d.calluniqueid, d.attempts, d.failed, d.expires, e.body
         FROM deliveries d JOIN events e ON e.id = d.event
         WHERE d.subscription = ? AND d.state = 'pending' AND d.due <= ? ORDER BY d.due, d.id LIMIT ?",
    )?
    .query_map(params![subscription, now, i64::try_from(at_most).unwrap_or(i64::MAX)], |row| {
        Ok(Due {
            row: row.get(0)?,
            id: row.get(1)?,
            pbx: row.get(2)?,
            calluniqueid: row.get(3)?,
            attempts: row.get(4)?,
            failed: row.get(5)?,
            expires: row.get(6)?,
            body: row.get(7)?,
        })
    })?
    .collect()
}

/// Writes the attempt before it is made. `None`: what is stored cannot be read any more.
fn begin(db: &Connection, now: i64, subscription: &str, delivery: &Due) -> rusqlite::Result<Option<Claimed>> {
    let (Ok(id), Ok(event)) = (Uuid::from_slice(&delivery.id), serde_json::from_str(&delivery.body)) else {
        error!(row = delivery.row, "a delivery cannot be read from the store and is given up");
        end(db, delivery.row, DeliveryState::Exhausted, now)?;
        release(db, &delivery.line(subscription), now)?;
        return Ok(None);
    };
    let attempt = delivery.attempts + 1;
    db.prepare_cached("UPDATE deliveries SET trying = 1, due = NULL, attempts = ? WHERE id = ?")?
        .execute(params![attempt, delivery.row])?;
    db.prepare_cached("INSERT INTO attempts (delivery, number, started) VALUES (?,?,?)")?
        .execute(params![delivery.row, attempt, now])?;
    let subscription = subscription.to_owned();
    Ok(Some(Claimed { id, subscription, event, attempt, failed: delivery.failed }))
}

/// Writes how an attempt came out, and what follows. Returns the subscription that
/// was paused by it, and why. Twice is once.
pub(super) fn finish(db: &Connection, made: &Made) -> rusqlite::Result<Option<(String, &'static str)>> {
    let Some((row, line, state, failed)) = trying(db, made)? else { return Ok(None) };
    db.prepare_cached(
        "UPDATE attempts SET took_us = ?, result = ?, http_status = ?, detail = ?, peer = ?, request = ?, answer = ?
         WHERE delivery = ? AND number = ?",
    )?
    .execute(params![
        i64::try_from(made.took_us).unwrap_or(i64::MAX),
        made.result,
        made.http_status,
        made.detail,
        made.peer,
        made.request,
        made.answer,
        row,
        made.attempt,
    ])?;
    let failed = failed + 1;
    // Stopped by a person while it was on its way: only that it arrived changes that.
    let stopped = state != DeliveryState::Pending.as_str();
    match made.next {
        Next::Delivered => end(db, row, DeliveryState::Delivered, made.ended)?,
        _ if stopped => {
            db.prepare_cached("UPDATE deliveries SET trying = 0 WHERE id = ?")?.execute([row])?;
        }
        Next::Exhausted => end(db, row, DeliveryState::Exhausted, made.ended)?,
        Next::Again(due) | Next::Gone(due) => {
            db.prepare_cached(
                "UPDATE deliveries SET trying = 0, due = ?, failed = ?, holds = holds AND ? < ? WHERE id = ?",
            )?
            .execute(params![due, failed, failed, PASSED_AFTER, row])?;
        }
    }
    release(db, &line, made.ended)?;
    let paused = judge(db, &line.subscription, made)?;
    Ok(paused.map(|why| (line.subscription, why)))
}

type Trying = (i64, Line, String, u32);

fn trying(db: &Connection, made: &Made) -> rusqlite::Result<Option<Trying>> {
    db.prepare_cached(
        "SELECT id, subscription, pbx, calluniqueid, state, failed FROM deliveries
         WHERE webhook_id = ? AND trying = 1 AND attempts = ?",
    )?
    .query_row(params![made.id.as_bytes().as_slice(), made.attempt], |row| {
        let line = Line { subscription: row.get(1)?, pbx: row.get(2)?, calluniqueid: row.get(3)? };
        Ok((row.get(0)?, line, row.get(4)?, row.get(5)?))
    })
    .optional()
}

/// Keeps since when a subscription fails, and pauses it when that is enough.
fn judge(db: &Connection, subscription: &str, made: &Made) -> rusqlite::Result<Option<&'static str>> {
    if made.next == Next::Delivered {
        db.prepare_cached(
            "UPDATE subscription_states SET failing_since = NULL WHERE name = ? AND failing_since IS NOT NULL",
        )?
        .execute([subscription])?;
        return Ok(None);
    }
    let (since, paused): (i64, bool) = db
        .prepare_cached(
            "INSERT INTO subscription_states (name, failing_since) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET failing_since = coalesce(failing_since, ?2)
             RETURNING failing_since, paused IS NOT NULL",
        )?
        .query_row(params![subscription, made.ended], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let why = match made.next {
        _ if paused => return Ok(None),
        Next::Gone(_) => "gone",
        _ if schedule::pauses(since, made.ended) => "failing",
        _ => return Ok(None),
    };
    db.prepare_cached("UPDATE subscription_states SET paused = ?, paused_at = ? WHERE name = ?")?
        .execute(params![why, made.ended, subscription])?;
    Ok(Some(why))
}

pub(super) fn end(db: &Connection, row: i64, state: DeliveryState, now: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE deliveries SET state = ?, trying = 0, due = NULL, holds = 0, ended = ? WHERE id = ?",
    )?
    .execute(params![state.as_str(), now, row])?;
    Ok(())
}

/// Makes the first one that waits due, unless it still has something to wait for.
pub(super) fn release(db: &Connection, line: &Line, now: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE deliveries SET due = ?4 WHERE id = (
           SELECT id FROM deliveries w WHERE w.subscription = ?1 AND w.pbx = ?2 AND w.calluniqueid = ?3
           AND w.state = 'pending' AND w.due IS NULL AND w.trying = 0 ORDER BY w.id LIMIT 1)
         AND NOT EXISTS (
           SELECT 1 FROM deliveries h WHERE h.subscription = ?1 AND h.pbx = ?2 AND h.calluniqueid = ?3
           AND h.state = 'pending' AND h.holds = 1 AND h.id < deliveries.id)",
    )?
    .execute(params![line.subscription, line.pbx, line.calluniqueid, now])?;
    Ok(())
}

/// Attempts that nobody makes any more, because the daemon ended, are due again, but for those in `being_made`. Whether
/// they arrived is not known: they count neither as delivered nor as failed.
pub(super) fn recover(
    db: &Connection,
    now: i64,
    being_made: &dyn Fn(Uuid) -> bool,
) -> rusqlite::Result<usize> {
    let mut left: Vec<(i64, Vec<u8>)> = db
        .prepare_cached("SELECT id, webhook_id FROM deliveries WHERE trying = 1")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    left.retain(|(_, id)| Uuid::from_slice(id).map_or(true, |id| !being_made(id)));
    for (row, _) in &left {
        db.prepare_cached(
            "UPDATE attempts SET result = 'interrupted' WHERE delivery = ? AND result IS NULL",
        )?
        .execute([row])?;
        db.prepare_cached(
            "UPDATE deliveries SET trying = 0, due = CASE state WHEN 'pending' THEN ? END WHERE id = ?",
        )?
        .execute(params![now, row])?;
    }
    db.prepare_cached("UPDATE deliveries SET due = ?1 + ?2 WHERE state = 'pending' AND due > ?1 + ?2")?
        .execute(params![now, DUE_MAX])?;
    Ok(left.len())
}

/// Deletes some of the events that are older, with all that was told of them, and says whether there may be more. What
/// waits for one of them is released.
pub(super) fn delete_before(db: &Connection, wall: i64, now: i64) -> rusqlite::Result<bool> {
    let limit = i64::try_from(DELETED_AT_ONCE).unwrap_or(i64::MAX);
    let old = "SELECT id FROM events WHERE at < ? ORDER BY at LIMIT ?";
    let ids: Vec<i64> = db
        .prepare_cached(old)?
        .query_map(params![wall, limit], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for event in &ids {
        let lines: Vec<Line> = db
            .prepare_cached(
                "SELECT subscription, pbx, calluniqueid FROM deliveries WHERE event = ? AND state = 'pending'",
            )?
            .query_map([event], |row| {
                Ok(Line { subscription: row.get(0)?, pbx: row.get(1)?, calluniqueid: row.get(2)? })
            })?
            .collect::<rusqlite::Result<_>>()?;
        db.prepare_cached(
            "DELETE FROM attempts WHERE delivery IN (SELECT id FROM deliveries WHERE event = ?)",
        )?
        .execute([event])?;
        db.prepare_cached("DELETE FROM deliveries WHERE event = ?")?.execute([event])?;
        db.prepare_cached("DELETE FROM events WHERE id = ?")?.execute([event])?;
        for line in &lines {
            release(db, line, now)?;
        }
    }
    Ok(ids.len() == DELETED_AT_ONCE)
}
