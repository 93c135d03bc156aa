//! Looking at deliveries, and changing them beside a running daemon: for the command line. The daemon notices within
//! about a second.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::database::{Change, OpenError, change};
use super::deliveries::{self, Acceptance, DeliveryState, Line, NewEvent};
use crate::terms::UserAction;

/// Which deliveries. What is `None` or empty does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Their ids.
    pub ids: Vec<Uuid>,
    /// The subscription's name.
    pub subscription: Option<String>,
    /// The event's word.
    pub event: Option<String>,
    /// How they stand.
    pub state: Option<DeliveryState>,
    /// A number that the call came from or went to, or the end of one.
    pub number: Option<String>,
    /// Accepted then or later, ms since 1970.
    pub from: Option<i64>,
    /// Accepted before, ms since 1970.
    pub to: Option<i64>,
    /// The newest so many.
    pub limit: Option<u32>,
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Delivery {
    /// `webhook-id`.
    pub id: String,
    /// The subscription's name.
    pub subscription: String,
    /// The event's word.
    pub event: String,
    /// The call; empty where it is not about one.
    pub calluniqueid: String,
    /// The event's number within its call.
    pub seq: u32,
    /// The caller.
    pub callfrom: String,
    /// The called.
    pub callto: String,
    /// How it stands.
    pub state: DeliveryState,
    /// Attempts until now.
    pub attempts: u32,
    /// When the event was accepted, ms since 1970.
    pub accepted: i64,
    /// When it is tried again, ms since 1970; null while it waits for an earlier event of its call, and when it is
    /// over.
    pub due: Option<i64>,
    /// When it is too late, ms since 1970.
    pub expires: Option<i64>,
    /// When it was over, ms since 1970.
    pub ended: Option<i64>,
}

/// An attempt.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// ms since 1970.
    pub started: i64,
    /// Microseconds; null while it is being made or when the daemon ended meanwhile.
    pub took_us: Option<i64>,
    /// `ok`, or why it failed; null while it is being made, `interrupted` when the daemon ended meanwhile.
    pub result: Option<String>,
    /// The HTTP status.
    pub http_status: Option<u16>,
    /// More words.
    pub detail: Option<String>,
    /// The address that answered.
    pub peer: Option<String>,
    /// What was sent, to 4 KiB.
    pub request: Option<String>,
    /// What came back, to 4 KiB.
    pub answer: Option<String>,
}

/// How a subscription stands. One that has nothing to tell of has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SubscriptionState {
    /// Its name.
    pub name: String,
    /// Why it is paused: `person`, `gone` (410) or `failing` (for five days). Null: it is not.
    pub paused: Option<String>,
    /// Since when, ms since 1970.
    pub paused_at: Option<i64>,
    /// The first failure since the last success, ms since 1970.
    pub failing_since: Option<i64>,
    /// Deliveries that are pending.
    pub pending: u32,
}

/// What is still to be told, of all subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries that are pending, those of paused subscriptions too.
    pub pending: u64,
    /// When the oldest event among them was accepted, ms since 1970. `None`: nothing is pending.
    pub oldest: Option<i64>,
    /// Subscriptions that are paused.
    pub paused: u64,
}

const STATE: &str = "CASE WHEN d.state = 'pending' AND EXISTS (SELECT 1 FROM subscription_states s
    WHERE s.name = d.subscription AND s.paused IS NOT NULL) THEN 'paused' ELSE d.state END";

/// The newest deliveries, the newest first.
pub(super) fn list(db: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Delivery>> {
    let (condition, values) = condition(filter);
    let mut found = db.prepare(&format!(
        "SELECT d.webhook_id, d.subscription, e.event, d.pbx, e.calluniqueid, e.seq, e.callfrom, e.callto,
         {STATE} AS state, d.attempts, e.at, d.due, d.expires, d.ended
         FROM deliveries d JOIN events e ON e.id = d.event WHERE {condition} ORDER BY d.id DESC LIMIT {}",
        filter.limit.map_or(-1, i64::from)
    ))?;
    let rows = found.query_map(rusqlite::params_from_iter(values), delivery)?;
    rows.collect()
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let state: String = row.get("state")?;
    let about_a_call = !row.get::<_, String>("pbx")?.is_empty();
    Ok(Delivery {
        id: id(row)?.to_string(),
        subscription: row.get("subscription")?,
        event: row.get("event")?,
        calluniqueid: if about_a_call { row.get("calluniqueid")? } else { String::new() },
        seq: row.get("seq")?,
        callfrom: row.get("callfrom")?,
        callto: row.get("callto")?,
        state: DeliveryState::ALL
            .into_iter()
            .find(|s| s.as_str() == state)
            .ok_or(rusqlite::Error::InvalidQuery)?,
        attempts: row.get("attempts")?,
        accepted: row.get("at")?,
        due: row.get("due")?,
        expires: row.get("expires")?,
        ended: row.get("ended")?,
    })
}

/// The condition over `deliveries d` and `events e`, and its values.
fn condition(filter: &Filter) -> (String, Vec<Box<dyn ToSql>>) {
    let mut parts = vec!["1".to_owned()];
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let mut add = |part: &str, value: Box<dyn ToSql>| {
        values.push(value);
        parts.push(part.replace('?', &format!("?{}", values.len())));
    };
    if let Some(name) = &filter.subscription {
        add("d.subscription = ?", Box::new(name.clone()));
    }
    if let Some(event) = &filter.event {
        add("e.event = ?", Box::new(event.clone()));
    }
    if let Some(state) = filter.state {
        add(&format!("{STATE} = ?"), Box::new(state.as_str()));
    }
    if let Some(number) = &filter.number {
        add(
            "(substr(e.callfrom, -length(?)) = ? OR substr(e.callto, -length(?)) = ? OR substr(e.did, -length(?)) = ?)",
            Box::new(number.clone()),
        );
    }
    if let Some(from) = filter.from {
        add("e.at >= ?", Box::new(from));
    }
    if let Some(to) = filter.to {
        add("e.at < ?", Box::new(to));
    }
    if !filter.ids.is_empty() {
        // Hexadecimal digits of our own making.
        let ids: Vec<String> = filter.ids.iter().map(|id| format!("x'{}'", id.simple())).collect();
        parts.push(format!("d.webhook_id IN ({})", ids.join(",")));
    }
    (parts.join(" AND "), values)
}

/// The ids that lie between two, both included; at most `limit`.
pub(super) fn ids_between(db: &Connection, low: Uuid, high: Uuid, limit: i64) -> rusqlite::Result<Vec<Uuid>> {
    db.prepare(
        "SELECT webhook_id FROM deliveries WHERE webhook_id BETWEEN ? AND ? ORDER BY webhook_id LIMIT ?",
    )?
    .query_map(params![low.as_bytes().as_slice(), high.as_bytes().as_slice(), limit], id)?
    .collect()
}

/// The event of a delivery, as JSON, and the attempts.
pub(super) fn history(db: &Connection, id: Uuid) -> rusqlite::Result<(String, Vec<Attempt>)> {
    let (row, body): (i64, String) = db.query_row(
        "SELECT d.id, e.body FROM deliveries d JOIN events e ON e.id = d.event WHERE d.webhook_id = ?",
        [id.as_bytes().as_slice()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let attempts = db
        .prepare("SELECT * FROM attempts WHERE delivery = ? ORDER BY number")?
        .query_map([row], |row| {
            Ok(Attempt {
                number: row.get("number")?,
                started: row.get("started")?,
                took_us: row.get("took_us")?,
                result: row.get("result")?,
                http_status: row.get("http_status")?,
                detail: row.get("detail")?,
                peer: row.get("peer")?,
                request: row.get("request")?,
                answer: row.get("answer")?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok((body, attempts))
}

/// How the subscriptions stand, by name.
pub(super) fn subscriptions(db: &Connection) -> rusqlite::Result<Vec<SubscriptionState>> {
    db.prepare(
        "SELECT n.name, s.paused, s.paused_at, s.failing_since,
           (SELECT count(*) FROM deliveries d WHERE d.subscription = n.name AND d.state = 'pending') AS pending
         FROM (SELECT name FROM subscription_states
               UNION SELECT DISTINCT subscription FROM deliveries WHERE state = 'pending') n
         LEFT JOIN subscription_states s ON s.name = n.name ORDER BY n.name",
    )?
    .query_map([], |row| {
        Ok(SubscriptionState {
            name: row.get(0)?,
            paused: row.get(1)?,
            paused_at: row.get(2)?,
            failing_since: row.get(3)?,
            pending: row.get(4)?,
        })
    })?
    .collect()
}

/// What is still to be told.
pub(super) fn backlog(db: &Connection) -> rusqlite::Result<Backlog> {
    // Events have their numbers in the order of their acceptance.
    db.query_row(
        "SELECT p.pending, (SELECT at FROM events WHERE id = p.first),
           (SELECT count(*) FROM subscription_states WHERE paused IS NOT NULL)
         FROM (SELECT count(*) AS pending, min(event) AS first FROM deliveries WHERE state = 'pending') p",
        [],
        |row| {
            let number = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
            Ok(Backlog { pending: number(0)?, oldest: row.get(1)?, paused: number(2)? })
        },
    )
}

fn id(row: &Row<'_>) -> rusqlite::Result<Uuid> {
    let bytes: Vec<u8> = row.get("webhook_id")?;
    Uuid::from_slice(&bytes).map_err(|_| rusqlite::Error::InvalidQuery)
}

/// Has deliveries tried again at once: exhausted, expired, cancelled and delivered ones with a new schedule, and
/// pending ones whose next attempt is later. What is on its way or waits for an earlier event of its call is left
/// alone; no event waits for one that is asked for again. Returns how many.
///
/// # Errors
/// When there is no such database or it stays locked.
pub fn retry_deliveries(path: &Path, filter: &Filter, actor: &str) -> Result<usize, OpenError> {
    change(path, actor, |change| {
        let now = change.now;
        let (condition, values) = condition(filter);
        let mut again = change.db.prepare(&format!(
            "UPDATE deliveries SET due = {now},
               failed = CASE state WHEN 'pending' THEN failed ELSE 0 END,
               holds = CASE state WHEN 'pending' THEN holds ELSE 0 END,
               expires = CASE state WHEN 'pending' THEN expires END, state = 'pending', ended = NULL
             WHERE trying = 0 AND (state <> 'pending' OR due > {now}) AND id IN
               (SELECT d.id FROM deliveries d JOIN events e ON e.id = d.event WHERE {condition})
             RETURNING subscription"
        ))?;
        let names = again.query_map(rusqlite::params_from_iter(values), |row| row.get(0))?;
        let names: Vec<String> = names.collect::<rusqlite::Result<_>>()?;
        tell_of(&change, UserAction::Replayed, names.iter())?;
        Ok(names.len())
    })
}

/// Stops deliveries that are pending. An attempt that is being made goes on; if it arrives, it is delivered. Returns how
/// many.
///
/// # Errors
/// When there is no such database or it stays locked.
pub fn cancel_deliveries(path: &Path, filter: &Filter, actor: &str) -> Result<usize, OpenError> {
    change(path, actor, |change| {
        let (db, now) = (change.db, change.now);
        let (condition, values) = condition(filter);
        let found: Vec<(i64, Line)> = db
            .prepare(&format!(
                "SELECT d.id, d.subscription, d.pbx, d.calluniqueid FROM deliveries d JOIN events e ON e.id = d.event
                 WHERE d.state = 'pending' AND {condition}"
            ))?
            .query_map(rusqlite::params_from_iter(values), |row| {
                let line = Line { subscription: row.get(1)?, pbx: row.get(2)?, calluniqueid: row.get(3)? };
                Ok((row.get(0)?, line))
            })?
            .collect::<rusqlite::Result<_>>()?;
        for (row, _) in &found {
            // `trying` stays: the attempt that is being made comes back.
            db.prepare_cached(
                "UPDATE deliveries SET state = 'cancelled', due = NULL, holds = 0, ended = ? WHERE id = ?",
            )?
            .execute(params![now, row])?;
        }
        for (_, line) in &found {
            deliveries::release(db, line, now)?;
        }
        tell_of(&change, UserAction::Deleted, found.iter().map(|(_, line)| &line.subscription))?;
        Ok(found.len())
    })
}

/// Pauses a subscription: what happens meanwhile is kept. `false` when it was paused already.
///
/// # Errors
/// When there is no such database or it stays locked.
pub fn pause_subscription(path: &Path, name: &str, actor: &str) -> Result<bool, OpenError> {
    change(path, actor, |change| {
        let changed = change.db.execute(
            "INSERT INTO subscription_states (name, paused, paused_at) VALUES (?1, 'person', ?2)
             ON CONFLICT (name) DO UPDATE SET paused = 'person', paused_at = ?2 WHERE paused IS NULL",
            params![name, change.now],
        )?;
        tell_if(&change, changed == 1, UserAction::Paused, name)
    })
}

/// Lets a paused subscription go on: what was kept is delivered. `false` when it was not paused.
///
/// # Errors
/// When there is no such database or it stays locked.
pub fn resume_subscription(path: &Path, name: &str, actor: &str) -> Result<bool, OpenError> {
    change(path, actor, |change| {
        let changed = change.db.execute(
            "UPDATE subscription_states SET paused = NULL, paused_at = NULL, failing_since = NULL
             WHERE name = ? AND paused IS NOT NULL",
            [name],
        )?;
        tell_if(&change, changed == 1, UserAction::Enabled, name)
    })
}

/// Tells that deliveries were changed, once for each subscription.
fn tell_of<'a>(
    change: &Change<'_>,
    action: UserAction,
    subscriptions: impl Iterator<Item = &'a String>,
) -> rusqlite::Result<()> {
    let names: BTreeSet<&String> = subscriptions.collect();
    names.into_iter().try_for_each(|name| change.tell(action, "deliveries", name))
}

/// Tells of a subscription's change, if it is one.
fn tell_if(change: &Change<'_>, changed: bool, action: UserAction, name: &str) -> rusqlite::Result<bool> {
    if changed {
        change.tell(action, "subscription", name)?;
    }
    Ok(changed)
}

/// Adds an event that the running daemon tells, and returns the id of its first delivery.
///
/// # Errors
/// When there is no such database or it stays locked.
pub fn add_event(path: &Path, event: NewEvent) -> Result<Option<Uuid>, OpenError> {
    // Nothing was changed: there is no change to tell, and nobody who made it.
    change(path, "", |Change { db, now, .. }| {
        deliveries::accept(db, now, &Acceptance { events: vec![event], calls: Vec::new() })?;
        db.query_row("SELECT webhook_id FROM deliveries WHERE id = last_insert_rowid()", [], id).optional()
    })
}
