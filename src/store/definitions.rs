//! Definitions that people made beside the file: texts, as the configuration reads them.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior, params};

use super::database::{OpenError, change};
use crate::config::{Problems, StoredPlan, parse_stored};
use crate::terms::UserAction;

/// What is defined. Further kinds will be kept in the same table.
const SUBSCRIPTION: &str = "subscription";

/// A subscription that is kept in the store.
#[derive(Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// TOML: `[subscription.NAME]` and its keys. May hold secrets.
    pub body: String,
    /// When it was last changed, ms since 1970.
    pub changed: i64,
    /// Who changed it.
    pub actor: String,
}

impl Definition {
    /// Reads the text. It was right when it was put into the store; a newer version may have put there what this one does
    /// not know. `None`: it defines nothing, which is never put there.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self) -> Result<Option<StoredPlan>, Problems> {
        // Whether some PBX's calls are followed was warned of when it was put there.
        let stored =
            parse_stored(&format!("subscription {} of the store", self.name), self.body.as_bytes(), true)?;
        Ok(stored.subscriptions.into_values().next())
    }
}

impl std::fmt::Debug for Definition {
    /// Without the text, which may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Definition { name, changed, actor, .. } = self;
        f.debug_struct("Definition")
            .field("name", name)
            .field("changed", changed)
            .field("actor", actor)
            .finish_non_exhaustive()
    }
}

/// What became of a definition that was put into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// There was none of its name.
    Created,
    /// It took another one's place.
    Changed,
    /// It was there, just so.
    Same,
}

/// All of them, by name.
pub(super) fn load(db: &Connection) -> rusqlite::Result<Vec<Definition>> {
    db.prepare_cached("SELECT name, body, changed, actor FROM definitions WHERE kind = ? ORDER BY name")?
        .query_map([SUBSCRIPTION], |row| {
            Ok(Definition { name: row.get(0)?, body: row.get(1)?, changed: row.get(2)?, actor: row.get(3)? })
        })?
        .collect()
}

/// Puts back what was there.
pub(super) fn restore(db: &mut Connection, definitions: &[Definition]) -> rusqlite::Result<()> {
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for definition in definitions {
        write(&change, definition)?;
    }
    change.commit()
}

fn write(db: &Connection, Definition { name, body, changed, actor }: &Definition) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO definitions VALUES (?,?,?,?,?)")?.execute(params![
        SUBSCRIPTION,
        name,
        body,
        changed,
        actor
    ])?;
    Ok(())
}

/// Puts subscriptions, names and texts, into the store: all of them or none. They must have been read without a mistake.
/// `actor` is who does it. Returns what became of each.
///
/// # Errors
/// When there is no such database or it stays locked.
pub fn put_subscriptions(
    path: &Path,
    definitions: &[(String, String)],
    actor: &str,
) -> Result<Vec<Put>, OpenError> {
    change(path, actor, |change| {
        let before = load(change.db)?;
        let put = |(name, body): &(String, String)| {
            let put = match before.iter().find(|definition| definition.name == *name) {
                Some(same) if same.body == *body => return Ok(Put::Same),
                Some(_) => Put::Changed,
                None => Put::Created,
            };
            let (name, body, actor) = (name.clone(), body.clone(), actor.to_owned());
            let action = if put == Put::Created { UserAction::Created } else { UserAction::Changed };
            change.tell(action, SUBSCRIPTION, &name)?;
            write(change.db, &Definition { name, body, changed: change.now, actor })?;
            Ok(put)
        };
        definitions.iter().map(put).collect()
    })
}

/// Takes a subscription out of the store. Its deliveries stay in the log. `false` when there is none of this name.
///
/// # Errors
/// When there is no such database or it stays locked.
pub fn remove_subscription(path: &Path, name: &str, actor: &str) -> Result<bool, OpenError> {
    change(path, actor, |change| {
        let removed = change
            .db
            .execute("DELETE FROM definitions WHERE kind = ? AND name = ?", params![SUBSCRIPTION, name])?
            == 1;
        if removed {
            change.tell(UserAction::Deleted, SUBSCRIPTION, name)?;
        }
        Ok(removed)
    })
}
