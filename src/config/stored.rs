//! Definitions that are kept in the store: the file's own sections, one by one, as texts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::{Table, Value};

use super::{Problem, Problems, parse_with, sections};
use crate::terms::{Code, Template, WebhookName};
use crate::webhook::EventPlan;

/// What a text defines.
#[derive(Clone, Debug)]
pub struct Stored {
    /// By name.
    pub subscriptions: BTreeMap<WebhookName, StoredPlan>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Problem>,
}

/// A subscription, and the text that defines it and nothing else.
#[derive(Clone, Debug)]
pub struct StoredPlan {
    /// Ready to be told.
    pub plan: Arc<EventPlan>,
    /// As it is kept: `[subscription.NAME]` and its keys. May hold secrets.
    pub body: String,
}

impl StoredPlan {
    /// The text as people may see it: without the signing keys, and headers masked that may be tokens.
    pub fn shown(&self) -> String {
        let subscription = self.plan.subscription();
        let mut section = section(&self.body, subscription.name.as_str()).unwrap_or_default();
        let masked = || Value::String(Code::MASK.to_owned());
        // Given back so, it is refused: no key, no header is lost by taking what is shown and changing something else.
        if let Some(secret) = section.get_mut("secret") {
            *secret = masked();
        }
        if let Some(Value::Table(headers)) = section.get_mut("headers") {
            for (name, value) in headers {
                let is_own = |(own, template): &(http::HeaderName, Template)| {
                    own.as_str().eq_ignore_ascii_case(name) && template.is_fixed()
                };
                if subscription.headers.iter().any(is_own) {
                    *value = masked();
                }
            }
        }
        body(subscription.name.as_str(), section)
    }
}

/// Reads a text with one or more `[subscription.NAME]`, as a definition for the store: it may name neither an environment
/// variable nor a file. `name` is how the text is called in messages; `followed`: some PBX's calls are followed.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_stored(name: &str, bytes: &[u8], followed: bool) -> Result<Stored, Problems> {
    let (plans, warnings) = parse_with(name, Path::new("."), bytes, None, |reader, document| {
        Some(sections::read_stored(reader, document, followed))
    })?;
    // It was read as TOML already.
    let text = String::from_utf8_lossy(bytes);
    let stored = |(name, plan): (WebhookName, Arc<EventPlan>)| {
        let section = section(&text, name.as_str()).unwrap_or_default();
        let body = body(name.as_str(), section);
        (name, StoredPlan { plan, body })
    };
    Ok(Stored { subscriptions: plans.into_iter().map(stored).collect(), warnings })
}

fn section(text: &str, name: &str) -> Option<Table> {
    let document: Table = text.trim_start_matches('\u{feff}').parse().ok()?;
    document.get("subscription")?.get(name)?.as_table().cloned()
}

fn body(name: &str, section: Table) -> String {
    let named = Table::from_iter([(name.to_owned(), Value::Table(section))]);
    Table::from_iter([("subscription".to_owned(), Value::Table(named))]).to_string()
}
