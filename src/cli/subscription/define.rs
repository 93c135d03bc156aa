//! Subscriptions that are kept in the store: put there, taken out, shown.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::super::actor::actor;
use super::super::colour;
use super::super::explain::json;
use super::super::transcript::{clean, date};
use super::{Named, Refused, known};
use crate::config::{Config, parse_stored};
use crate::store::{Definition, Put, Reader, put_subscriptions, remove_subscription};

/// What the daemon does by itself.
const NOTICES: &str = "A running daemon notices within about a second.";

/// The text from a file, or from standard input. Returns also how it is called.
fn read(file: Option<&PathBuf>) -> Result<(String, Vec<u8>), Refused> {
    let Some(path) = file.filter(|path| path.as_os_str() != "-") else {
        if std::io::stdin().is_terminal() {
            eprintln!("Type [subscription.NAME] and its keys; end with Ctrl-D.");
        }
        let mut text = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut text);
        return read
            .map(|_| ("stdin".to_owned(), text))
            .map_err(|error| Refused::Unreadable("stdin".into(), error));
    };
    let name = path.display().to_string();
    let text = std::fs::read(path).map_err(|error| Refused::Unreadable(name.clone(), error))?;
    Ok((name, text))
}

/// Puts everything that a text defines into the store, or nothing of it.
pub(super) fn put(
    file: Option<&PathBuf>,
    as_json: bool,
    store: &Path,
    config: Option<&Config>,
) -> Result<String, Refused> {
    let (name, text) = read(file)?;
    let stored = parse_stored(&name, &text, config.is_none_or(Config::follows))?;
    for warning in &stored.warnings {
        eprintln!("{}\n", warning.draw(colour(&std::io::stderr())));
    }
    let bodies: Vec<(String, String)> =
        stored.subscriptions.iter().map(|(name, stored)| (name.to_string(), stored.body.clone())).collect();
    let results = put_subscriptions(store, &bodies, &actor())?;
    let mut said: BTreeMap<&str, &str> = BTreeMap::new();
    for ((name, _), result) in bodies.iter().zip(results) {
        let word = match result {
            Put::Created => "created",
            Put::Changed => "changed",
            Put::Same => "unchanged",
        };
        said.insert(name, word);
        if is_in_file(config, name) {
            eprintln!("warning: {name} is hidden by the file, which has a subscription of this name too");
        }
    }
    if as_json {
        return Ok(json(&said));
    }
    let lines: String = said.iter().map(|(name, word)| format!("{name}: {word}.\n")).collect();
    Ok(format!("{lines}{NOTICES}\n"))
}

/// Takes one out.
pub(super) fn remove(named: &Named, store: &Path, config: Option<&Config>) -> Result<String, Refused> {
    let name = &named.name;
    if !remove_subscription(store, name, &actor())? {
        return Err(not_stored(config, store, name));
    }
    if named.common.json {
        return Ok(json(&serde_json::json!({ "removed": true })));
    }
    let states = Reader::open(store)?.subscriptions()?;
    let pending = states.iter().find(|state| state.name == *name).map_or(0, |state| state.pending);
    let left = match pending {
        // The file has one of this name too: it tells them.
        _ if is_in_file(config, name) => String::new(),
        0 => String::new(),
        pending => format!(
            "{pending} of its deliveries are pending and are not made any more. They stay in the log: \
             switchhook deliveries list --subscription {name}\n"
        ),
    };
    Ok(format!("{name} was removed. {NOTICES}\n{left}"))
}

/// Shows one as TOML, without its secrets.
pub(super) fn show(named: &Named, store: &Path, config: Option<&Config>) -> Result<String, Refused> {
    let name = &named.name;
    let definitions = Reader::open(store)?.definitions()?;
    let definition = definitions.iter().find(|definition| definition.name == *name);
    let plan = definition.map(Definition::read).transpose()?.flatten();
    let (Some(definition), Some(plan)) = (definition, plan) else {
        return Err(not_stored(config, store, name));
    };
    let Definition { changed, actor, .. } = definition;
    if named.common.json {
        let value =
            serde_json::json!({ "name": name, "changed": changed, "actor": actor, "toml": plan.shown() });
        return Ok(json(&value));
    }
    let hidden = config.is_some_and(|config| config.subscriptions.contains_key(name.as_str()));
    let hidden =
        if hidden { "# Hidden by the file, which has a subscription of this name too.\n" } else { "" };
    let changed = date(*changed, &TimeZone::system());
    Ok(format!("# From the store; last changed {changed} by {}.\n{hidden}{}", clean(actor), plan.shown()))
}

fn is_in_file(config: Option<&Config>, name: &str) -> bool {
    config.is_some_and(|config| config.subscriptions.contains_key(name))
}

/// Why there is nothing of this name in the store.
fn not_stored(config: Option<&Config>, store: &Path, name: &str) -> Refused {
    match known(config, store, name) {
        Err(unknown) => unknown,
        Ok(()) if is_in_file(config, name) => Refused::NotStored(name.to_owned()),
        Ok(()) => Refused::Unknown(name.to_owned(), " in the store".to_owned()),
    }
}
