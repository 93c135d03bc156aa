//! Section `[subscription.NAME]` and the one below it.

use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::nearest::nearest;
use super::reader::Part;
use super::table::{self, Kind};
use super::text::Text;
use super::warnings;
use super::webhook::{Texts, headers, plan_error, secret, template, url_of, written};
use crate::terms::{
    Direction, Disposition, EventBody, EventKind, Method, Order, Place, Restrict, Secret, Subscription,
    Template, WebhookName,
};
use crate::webhook::EventPlan;

/// Keys that sign at a time, at most: one, and the one that follows it.
const MAX_KEYS: usize = 2;

/// Attempts beside the first, at most: each is a row of the store.
const MAX_RETRIES: usize = 20;

/// Reads one subscription. `followed`: some PBX's calls are followed. `None` when something that it cannot be without is
/// wrong; that was reported then.
pub(super) fn read(part: &Part<'_>, name: WebhookName, followed: bool) -> Option<EventPlan> {
    let mut texts = Texts::new();
    let method = part.choice("method", &[Method::Get, Method::Post]).unwrap_or(Method::Get);
    let events = part.words("events", EventKind::ALL);
    let url = url_of(part, "url", Place::Event, &mut texts);
    let subscription = Subscription {
        name,
        description: part.text("description").map(|t| t.value()).unwrap_or_default(),
        enabled: part.flag("enabled").unwrap_or(true),
        directions: part.words("directions", Direction::ALL),
        method,
        headers: headers(part, Place::Event, &mut texts),
        body: body(part, method, &mut texts),
        restrict: part.section("restrict").map(|p| restrict(&p)).unwrap_or_default(),
        order: part.choice("order", &[Order::Strict, Order::None]).unwrap_or(Order::Strict),
        expires: expires(part),
        secrets: secrets(part, &mut texts),
        schedule: schedule(part),
        events: events.clone().unwrap_or_default(),
        // Read also where the URL is wrong: the other mistakes are worth knowing.
        url: url.clone().or_else(|| Template::parse("http://unknown/", Place::Event).ok())?,
    };
    let plan = EventPlan::new(Arc::new(subscription))
        .map_err(|errors| errors.into_iter().for_each(|error| plan_error(part, &texts, error)))
        .ok();
    let plan = plan.filter(|_| url.is_some() && events.is_some_and(|events| !events.is_empty()))?;
    warnings::subscription(part, plan.subscription(), followed);
    Some(plan)
}

fn body(part: &Part<'_>, method: Method, texts: &mut Texts) -> EventBody {
    let reader = part.reader;
    let (body, content_type) = (part.template("body"), part.text("content_type"));
    let own = body.filter(|text| text.value() != "json");
    if method == Method::Get && own.is_some() {
        let help = r#"write method = "POST", or remove body"#;
        reader.error_help(written(part, "body"), "a GET has no body", help);
    }
    match (own, content_type) {
        (Some(text), Some(content_type)) => {
            let compiled = template(reader, &text, Place::Event).filter(|_| text.complete);
            let value = content_type.value();
            texts.extend([("body".to_owned(), text), ("content_type".to_owned(), content_type)]);
            // The type is checked also where the text is wrong.
            match compiled.or_else(|| Template::parse("{}", Place::Event).ok()) {
                Some(template) => EventBody::Template { template, content_type: value },
                None => EventBody::Json,
            }
        }
        (Some(text), None) => {
            template(reader, &text, Place::Event);
            if part.entry("content_type").is_none() {
                let help = r#"write content_type = "application/json", say; or body = "json""#;
                reader.error_help(text.span(), "a body of your own needs a content_type", help);
            }
            EventBody::Json
        }
        (None, Some(content_type)) => {
            let help = r#"remove it; "json" has a type of its own"#;
            reader.error_help(content_type.span(), "content_type goes with a body of your own", help);
            EventBody::Json
        }
        (None, None) => EventBody::Json,
    }
}

fn restrict(part: &Part<'_>) -> Restrict {
    let list = |key: &str, like: &str| {
        let texts = part.entry(key).and_then(|_| part.texts(key, like)).unwrap_or_default();
        texts.iter().map(Text::value).collect()
    };
    Restrict {
        numbers: list("numbers", r#"["31201234567"]"#),
        extensions: list("extensions", r#"["201"]"#),
        dispositions: part.words("dispositions", Disposition::ALL).unwrap_or_default(),
        people: list("people", r#"["anna"]"#),
    }
}

fn expires(part: &Part<'_>) -> Vec<(EventKind, Duration)> {
    let reader = part.reader;
    let key = table::section("subscription.NAME").and_then(|s| s.keys.iter().find(|k| k.name == "expires"));
    let Some(Kind::Expires(min, max)) = key.map(|k| k.kind) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, span, value) in part.pairs("expires", r#"{ ringing = "30s" }"#) {
        let Some(event) = EventKind::ALL.iter().find(|e| e.as_str() == name) else {
            let known: Vec<&str> = EventKind::ALL.iter().map(|e| e.as_str()).collect();
            let help = match nearest(&name, &known) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("known: {}", known.join(" ")),
            };
            reader.error_help(span, format!("{name} is no event"), help);
            continue;
        };
        let after = reader.duration(&name, value.get_ref(), value.span(), (min, max));
        found.extend(after.map(|after| (*event, after)));
    }
    found
}

fn schedule(part: &Part<'_>) -> Vec<Duration> {
    let schedule = part.durations("schedule").unwrap_or_default();
    if schedule.len() > MAX_RETRIES {
        let message = format!("schedule can have at most {MAX_RETRIES} times");
        part.reader.error(written(part, "schedule"), message);
    }
    schedule
}

/// One key or two; in a file of their own one on each line.
fn secrets(part: &Part<'_>, texts: &mut Texts) -> Vec<Secret> {
    let reader = part.reader;
    let list = part.entry("secret").filter(|(_, value)| matches!(value.get_ref(), DeValue::Array(_)));
    let keys: Vec<Secret> = match list {
        Some((_, value)) => {
            reader.mask_value(value);
            if let Some((span, _)) = part.entry("secret_file") {
                reader.error_help(span, "secret and secret_file are both there", "remove one of them");
            }
            let like = r#"["${NEW_SECRET}", "${OLD_SECRET}"]"#;
            let texts = part.texts("secret", like).unwrap_or_default();
            texts.iter().map(|text| Secret::new(text.value())).collect()
        }
        None => {
            let all = secret(part, "secret", texts);
            let lines = all.iter().flat_map(|all| all.reveal().lines());
            lines.filter(|line| !line.trim().is_empty()).map(Secret::new).collect()
        }
    };
    let there = part.entry("secret").or_else(|| part.entry("secret_file"));
    if let Some((span, _)) = there.filter(|_| keys.len() > MAX_KEYS) {
        let help = "the new key, and the old one until your server knows the new one";
        reader.error_help(span, "at most two keys sign at a time", help);
    }
    keys
}
