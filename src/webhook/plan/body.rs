//! The body of a POST: its type, and what must be true of a text of the user's own.

use std::borrow::Cow;
use std::ops::Range;

use http::HeaderValue;
use serde::de::IgnoredAny;

use super::PlanError;
use crate::terms::{Body, Encoding, Method, Numbers, Template, Values, Variable, Webhook};

/// The Content-Type, and how values are written in the body.
pub(super) fn content_type(webhook: &Webhook) -> (Option<&str>, Encoding) {
    match (webhook.method, &webhook.body) {
        (Method::Get, _) => (None, Encoding::Plain),
        (Method::Post, Body::Json) => (Some("application/json"), Encoding::Json),
        (Method::Post, Body::Form) => (Some("application/x-www-form-urlencoded"), Encoding::Percent),
        (Method::Post, Body::Template { content_type, .. }) => {
            (Some(content_type), encoding_of(content_type))
        }
    }
}

/// How values are written in a text of this type.
pub(in crate::webhook) fn encoding_of(content_type: &str) -> Encoding {
    match essence(content_type).as_str() {
        "application/x-www-form-urlencoded" => Encoding::Percent,
        kind if kind.ends_with("json") => Encoding::Json,
        kind if kind.ends_with("xml") || kind == "text/html" => Encoding::Xml,
        _ => Encoding::Plain,
    }
}

/// Without the parameters: `application/json`.
fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The header of a Content-Type.
pub(in crate::webhook) fn header_of(content_type: &str) -> Result<HeaderValue, PlanError> {
    let value = HeaderValue::from_str(content_type).ok();
    let kind = essence(content_type);
    let right = kind.split_once('/').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
    value.filter(|_| right).ok_or_else(|| {
        let help = r#"write it like "application/json" or "text/plain; charset=utf-8""#;
        PlanError::new("content_type", "this is no content type", help)
    })
}

/// A text that says it is JSON must be, whatever the caller's name and number are. `bare` says which variables need no
/// quotes: their values are always numbers, `true` or `false`.
pub(in crate::webhook) fn check_json(
    template: &Template,
    content_type: &str,
    bare: &dyn Fn(&Variable) -> bool,
) -> Option<PlanError> {
    let kind = essence(content_type);
    // Not `application/x-ndjson` and the like: they are several texts.
    let json = matches!(kind.as_str(), "application/json" | "text/json") || kind.ends_with("+json");
    if !json {
        return None;
    }
    let read = |text: &'static str| {
        let text = template.render(&Probe { text, bare, numbers: Numbers::default() }, Encoding::Json);
        serde_json::from_str::<IgnoredAny>(&text).map(|_| ()).map_err(|error| error.to_string())
    };
    let error = PROBES.iter().find_map(|probe| read(probe).err())?;
    Some(match first_outside_of_quotes(template, bare) {
        Some((range, variable)) => {
            let problem = format!("{{{}}} stands outside of quotes: its value is a text", variable.name());
            PlanError::new("body", problem, r#"write it like "{callerid}", with the quotes"#).at(range)
        }
        None => {
            // Line and column are those of the text with its values.
            let what = error.split(" at line ").next().unwrap_or_default();
            let help = r#"mend it, or write content_type = "text/plain""#;
            PlanError::new("body", format!("it is not JSON, and content_type says so: {what}"), help)
        }
    })
}

/// Values at which a text that forgets its quotes is no JSON any more. The second one has a zero in front for those that
/// keep digits alone.
const PROBES: [&str; 2] = ["", "05\"\\x"];

/// A number of which every part begins with a zero: `|last:N` of it is none.
const BARE: &str = "1000000000000";

struct Probe<'a> {
    text: &'static str,
    bare: &'a dyn Fn(&Variable) -> bool,
    numbers: Numbers,
}

impl Values for Probe<'_> {
    fn value(&self, variable: &Variable) -> Cow<'_, str> {
        Cow::Borrowed(if (self.bare)(variable) { BARE } else { self.text })
    }

    fn numbers(&self) -> &Numbers {
        &self.numbers
    }
}

fn first_outside_of_quotes<'a>(
    template: &'a Template,
    bare: &dyn Fn(&Variable) -> bool,
) -> Option<(Range<usize>, &'a Variable)> {
    let text = template.as_str();
    let (mut quoted, mut at) = (false, 0);
    template.variables().find(|(range, variable)| {
        let mut between = text[at..range.start].chars();
        while let Some(c) = between.next() {
            match c {
                '"' => quoted = !quoted,
                '\\' if quoted => drop(between.next()),
                _ => {}
            }
        }
        at = range.end;
        !quoted && !bare(variable)
    })
}
