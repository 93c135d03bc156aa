//! The sections of the file, but for what stands in a webhook, a subscription or a link.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::reader::{Part, Reader};
use super::text::Text;
use super::webhook::{self, written};
use super::{AmiLink, Config, Egress, EslLink, Listener, Store, link, subscription, table, warnings};
use crate::terms::{Numbers, Pbx, WebhookName};
use crate::webhook::{EventPlan, Plan};

/// Reads everything, as far as it can be read. What is wrong with it is reported to the reader.
pub(super) fn read<'a>(reader: &'a Reader<'a>, document: &'a DeTable<'a>) -> Option<Config> {
    unknown_sections(reader, document);
    let has = |name: &str| document.keys().any(|k| k.get_ref() == name);
    let listener =
        |pbx: Pbx| has(pbx.section()).then(|| listener(&section(reader, document, pbx.section())?));
    let (fastagi, esl) = (listener(Pbx::Asterisk), listener(Pbx::FreeSwitch));
    let admin = has("admin").then(|| admin(&section(reader, document, "admin")?));
    let store = section(reader, document, "store").map(|p| store(&p));
    let numbers = section(reader, document, "numbers").map(|p| numbers(&p));
    let egress = section(reader, document, "egress").map(|p| Egress {
        deny: p.networks("deny").unwrap_or_default(),
        allow: p.networks("allow").unwrap_or_default(),
    });
    let webhooks = webhooks(reader, document);
    let (asterisk, freeswitch) = links(reader, document);
    let switch = section(reader, document, "subscriptions").map(|p| p.flag("enabled").unwrap_or(true));
    let followed = has("asterisk") || has("freeswitch");
    let subscriptions = subscriptions(reader, document, followed);
    Some(Config {
        // A listener that could not be read is a mistake, not a listener that is not wanted.
        fastagi: match fastagi {
            Some(listener) => Some(listener?),
            None => None,
        },
        esl: match esl {
            Some(listener) => Some(listener?),
            None => None,
        },
        admin: match admin {
            Some(admin) => Some(admin?),
            None => None,
        },
        store: store?,
        numbers: Arc::new(numbers?),
        egress: egress?,
        webhooks,
        asterisk,
        freeswitch,
        subscriptions_enabled: switch?,
        subscriptions,
        warnings: Vec::new(),
    })
}

/// A section of the file's first level; where it is not there, its defaults hold.
fn section<'a>(reader: &'a Reader<'a>, document: &'a DeTable<'a>, name: &str) -> Option<Part<'a>> {
    let schema = table::section(name)?;
    let Some((key, value)) = document.iter().find(|(k, _)| k.get_ref() == name) else {
        return Some(Part::new(reader, schema, name.to_owned(), 0..0, &reader.nothing));
    };
    let Some(entries) = value.get_ref().as_table() else {
        reader.wrong_kind(name, &format!("a section: [{name}]"), value.get_ref(), value.span());
        return None;
    };
    Some(Part::new(reader, schema, name.to_owned(), key.span(), entries))
}

fn unknown_sections(reader: &Reader<'_>, document: &DeTable<'_>) {
    let known = [
        "fastagi",
        "esl",
        "asterisk",
        "freeswitch",
        "admin",
        "store",
        "numbers",
        "egress",
        "webhook",
        "subscriptions",
        "subscription",
    ];
    for (key, value) in document.iter() {
        let name = key.get_ref().as_ref();
        if known.contains(&name) {
            continue;
        }
        reader.mask_value(value);
        let what = if matches!(value.get_ref(), DeValue::Table(_)) { "section" } else { "key" };
        let keys = table::SECTIONS.iter().find(|s| s.keys.iter().any(|k| k.name == name));
        let help = match (nearest(name, &known), keys) {
            (_, Some(section)) if what == "key" => format!("{name} belongs in [{}]", section.path),
            (Some(near), _) => format!("did you mean {near}?"),
            (None, _) => format!("known: {}", known.map(|k| format!("[{k}]")).join(" ")),
        };
        reader.error_help(key.span(), format!("unknown {what} {name}"), help);
    }
}

/// The listener for health and metrics.
fn admin(part: &Part<'_>) -> Option<SocketAddr> {
    let listen = listen(part)?;
    warnings::admin(part, listen);
    Some(listen)
}

fn listen(part: &Part<'_>) -> Option<SocketAddr> {
    let text = part.text("listen")?;
    let address = text.value().parse::<SocketAddr>().ok();
    if address.is_none() {
        let help = "write it like 127.0.0.1:4573; 0.0.0.0 stands for all of this machine's addresses";
        part.reader.error_help(text.span(), "listen must be an IP address and a port", help);
    }
    address
}

fn listener(part: &Part<'_>) -> Option<Listener> {
    let reader = part.reader;
    let listen = listen(part);
    let allow = part.networks("allow");
    let none = part.entry("allow").is_some_and(|(_, v)| v.get_ref().as_array().is_some_and(|a| a.is_empty()));
    if none {
        reader.error_help(written(part, "allow"), "nobody may connect", "name the addresses of your PBXs");
    }
    let max_calls = part.count("max_calls").and_then(|n| usize::try_from(n).ok());
    let listener = Listener { listen: listen?, allow: allow?, max_calls: max_calls? };
    warnings::listener(part, &listener);
    Some(listener)
}

fn store(part: &Part<'_>) -> Store {
    let path = match part.text("url") {
        Some(text) => store_path(part.reader, &text).unwrap_or_default(),
        None => default_path(part.reader),
    };
    warnings::store(part, &path);
    Store { path, retention: part.duration("retention").unwrap_or_default() }
}

/// systemd sets `STATE_DIRECTORY` for a unit with `StateDirectory=`: one path or several with `:` between.
fn default_path(reader: &Reader<'_>) -> PathBuf {
    let state = (reader.env)("STATE_DIRECTORY").unwrap_or_default();
    let folder = state.split(':').find(|folder| !folder.is_empty()).unwrap_or(".");
    PathBuf::from(folder).join("switchhook.db")
}

fn store_path(reader: &Reader<'_>, text: &Text) -> Option<PathBuf> {
    let value = text.value();
    let like = r#"write "sqlite:///var/lib/switchhook/switchhook.db", or "sqlite://switchhook.db" for a relative path"#;
    if value.starts_with("postgres://") || value.starts_with("postgresql://") {
        // It has a password in it.
        reader.mask(text.span().start + 1..text.span().end - 1);
        reader.error_help(text.span(), "PostgreSQL is not part of this version", like);
        return None;
    }
    match value.strip_prefix("sqlite://") {
        Some(path)
            if !path.is_empty()
                && !path.ends_with('/')
                && !path.contains(['?', '\0'])
                && path != ":memory:" =>
        {
            Some(PathBuf::from(path))
        }
        _ => {
            reader.error_help(text.span(), "the store's url must be sqlite:// and the path of a file", like);
            None
        }
    }
}

fn numbers(part: &Part<'_>) -> Numbers {
    let digits = |key: &str, max: usize| {
        let text = part.text(key)?;
        let value = text.value();
        if value.len() > max || !value.bytes().all(|b| b.is_ascii_digit()) {
            let help = "without + or spaces; empty where there is none";
            part.reader.error_help(text.span(), format!("{key} must be at most {max} digits"), help);
        }
        Some(value)
    };
    Numbers {
        country: digits("country", 3).unwrap_or_default(),
        trunk_prefix: digits("trunk_prefix", 4).unwrap_or_default(),
        international_prefix: digits("international_prefix", 6).unwrap_or_default(),
        company_id: part.text("company_id").map(|t| t.value()).unwrap_or_default(),
    }
}

/// The sections below one of the file's first level, each with a name of the user's own. `kind` is such a section in
/// words, `like` an example of its name.
fn named<'a>(
    reader: &'a Reader<'a>,
    document: &'a DeTable<'a>,
    (first, kind, like): (&str, &str, &str),
) -> Vec<(WebhookName, Part<'a>)> {
    let mut found = Vec::new();
    let Some((_, value)) = document.iter().find(|(k, _)| k.get_ref() == first) else { return found };
    let Some(entries) = value.get_ref().as_table() else {
        let wanted = format!("a section with a name: [{first}.NAME]");
        reader.wrong_kind(first, &wanted, value.get_ref(), value.span());
        return found;
    };
    let Some(schema) = table::section(&format!("{first}.NAME")) else { return found };
    for (key, value) in entries.iter() {
        let name = key.get_ref().as_ref();
        let Some(entries) = value.get_ref().as_table() else {
            reader.mask_value(value);
            let is_key = schema.keys.iter().any(|k| k.name == name);
            let help = if is_key {
                format!("{kind} has a name: write [{first}.{like}] above {name}")
            } else {
                format!("{kind} is a section: [{first}.{like}]")
            };
            reader.error_help(key.span(), format!("{name} stands in no {first}"), help);
            continue;
        };
        let parsed = WebhookName::parse(name);
        if parsed.is_none() {
            reader.error_help(key.span(), format!("this is no name for {kind}"), WebhookName::FORM);
        }
        let part = Part::new(reader, schema, format!("{first}.{name}"), key.span(), entries);
        // Read also where the name is wrong: its other mistakes are worth knowing.
        found.extend(parsed.or_else(|| WebhookName::parse("unnamed")).map(|name| (name, part)));
    }
    found
}

fn webhooks<'a>(reader: &'a Reader<'a>, document: &'a DeTable<'a>) -> BTreeMap<WebhookName, Arc<Plan>> {
    let parts = named(reader, document, ("webhook", "a webhook", "vip"));
    let plans = parts.iter().filter_map(|(name, part)| webhook::read(part, name.clone()));
    plans.map(|plan| (plan.webhook().name.clone(), Arc::new(plan))).collect()
}

fn subscriptions<'a>(
    reader: &'a Reader<'a>,
    document: &'a DeTable<'a>,
    followed: bool,
) -> BTreeMap<WebhookName, Arc<EventPlan>> {
    let parts = named(reader, document, ("subscription", "a subscription", "crm"));
    let plans = parts.iter().filter_map(|(name, part)| subscription::read(part, name.clone(), followed));
    plans.map(|plan| (plan.subscription().name.clone(), Arc::new(plan))).collect()
}

/// The PBXs whose calls are followed.
fn links<'a>(reader: &'a Reader<'a>, document: &'a DeTable<'a>) -> (Vec<AmiLink>, Vec<EslLink>) {
    let asterisk = named(reader, document, ("asterisk", "an Asterisk", "main"));
    let freeswitch = named(reader, document, ("freeswitch", "a FreeSWITCH", "second"));
    for (name, part) in &freeswitch {
        let help = "its calls are routed all the same; the section does nothing";
        reader.warn(part.span.clone(), "FreeSWITCH's calls are not followed in this version", help);
        // The open calls of a PBX are found by its name.
        if asterisk.iter().any(|(other, _)| other == name) {
            let help = format!("another name: [freeswitch.{name}-fs], say");
            reader.error_help(part.span.clone(), format!("there is an [asterisk.{name}] too"), help);
        }
    }
    (
        asterisk.iter().filter_map(|(name, part)| link::ami(part, name.clone())).collect(),
        freeswitch.iter().filter_map(|(name, part)| link::esl(part, name.clone())).collect(),
    )
}
