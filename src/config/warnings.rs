//! What is allowed and probably not meant.

use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::Listener;
use super::reader::Part;
use super::text::Text;
use super::webhook::written;
use crate::terms::{Body, EventKind, Ivr, Method, Subscription, Template, Variable, Webhook};
use crate::webhook::{Origin, Plan};

/// Endings of Asterisk's sound files. Asterisk adds them itself.
const SOUND_ENDINGS: &[&str] = &[".wav", ".gsm", ".ulaw", ".alaw", ".sln", ".sln16", ".g722", ".mp3", ".ogg"];

/// What is odd about who may connect.
pub(super) fn listener(part: &Part<'_>, listener: &Listener) {
    let allow = &listener.allow;
    let everyone = allow.iter().find(|net| net.prefix_len() == 0);
    let loopback = |ip: IpAddr| ip.is_loopback();
    if !loopback(listener.listen.ip()) && allow.iter().all(|net| loopback(net.addr())) {
        let help = "add the address of your PBX to allow, or listen on 127.0.0.1";
        part.reader.warn(
            written(part, "listen"),
            "other machines can reach this address, but allow names this machine alone",
            help,
        );
    }
    if let (Some(_), false) = (everyone, loopback(listener.listen.ip())) {
        let help = "a PBX needs no password here: name the addresses of yours";
        part.reader.warn(written(part, "allow"), "everybody who reaches this address may connect", help);
    }
}

/// What is odd about who can read health and metrics.
pub(super) fn admin(part: &Part<'_>, listen: SocketAddr) {
    if !listen.ip().is_loopback() {
        let help = "listen on 127.0.0.1, or let a firewall choose who may connect";
        let message = "no password protects health and metrics: everybody who reaches this address sees them";
        part.reader.warn(written(part, "listen"), message, help);
    }
}

/// What is odd about the file of the store: it is there, and it is something else.
pub(super) fn store(part: &Part<'_>, path: &Path) {
    let help = "name a file that is not there yet, or the store of an earlier run";
    let warn = |message: &str| part.reader.warn(written(part, "url"), message, help);
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => warn("this is a folder, no file: there will be no store"),
        Ok(found) if found.is_file() && found.len() > 0 && begins_otherwise(path) => warn(
            "this file is no SQLite database, or corrupt: the daemon will move it aside and begin a new one",
        ),
        _ => {}
    }
}

/// Every SQLite file begins so (<https://www.sqlite.org/fileformat2.html>, 1.3). One that cannot be read is another
/// matter.
fn begins_otherwise(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(16).read_to_end(&mut start));
    read.is_ok() && start != b"SQLite format 3\0"
}

/// What is odd about a webhook.
pub(super) fn webhook(part: &Part<'_>, plan: &Plan) {
    let (reader, webhook) = (part.reader, plan.webhook());
    let sent: Vec<(&str, &Template)> = templates(webhook);
    match &webhook.ivr {
        None => {
            if let Some((key, _)) = sent.iter().find(|(_, t)| t.uses(&Variable::Code)) {
                let help = format!("add [webhook.{}.ivr], or remove {{code}}", webhook.name);
                reader.warn(written(part, key), "without an IVR {code} is always empty", help);
            }
        }
        Some(ivr) => {
            let fixed_keys = webhook.method == Method::Post && !matches!(webhook.body, Body::Template { .. });
            if !fixed_keys && !sent.iter().any(|(_, t)| t.uses(&Variable::Code)) {
                let help = "add code={code} to the URL";
                reader.warn(
                    written(part, "url"),
                    "the caller enters a code that your server never gets",
                    help,
                );
            }
            unencrypted(part, plan, ivr);
        }
    }
    let fresh = [Variable::Call, Variable::Timestamp, Variable::Start, Variable::CallUniqueId];
    let post = webhook.method == Method::Post && !matches!(webhook.body, Body::Template { .. });
    if !webhook.cache.is_zero() && (post || sent.iter().any(|(_, t)| fresh.iter().any(|v| t.uses(v)))) {
        let help =
            "{call} {calluniqueid} {timestamp} {start} and the JSON and form bodies differ in each call";
        reader.warn(written(part, "cache"), "no answer is ever kept: each request is another one", help);
    }
    if webhook.fallback_url.as_ref() == Some(&webhook.url) {
        let help = "name another server; to ask the same one again use retries";
        reader.warn(written(part, "fallback_url"), "the fallback is the same URL", help);
    }
}

/// What is odd about an IVR.
pub(super) fn ivr(part: &Part<'_>, ivr: &Ivr) {
    let reader = part.reader;
    let prompts = [
        ("start_prompt", &ivr.start_prompt),
        ("error_prompt", &ivr.error_prompt),
        ("timeout_prompt", &ivr.timeout_prompt),
    ];
    if prompts.iter().all(|(_, p)| p.is_none()) {
        let help = "add start_prompt, or play a sound before you ask the webhook";
        reader.warn(
            part.span.clone(),
            "no prompt: the caller hears silence and must know what to enter",
            help,
        );
    }
    for (key, prompt) in prompts {
        let asterisk = prompt.as_ref().map_or("", |p| &p.asterisk);
        if let Some(ending) = SOUND_ENDINGS.iter().find(|e| asterisk.ends_with(**e)) {
            let help = format!("for Asterisk write the name without {ending}");
            reader.warn(written(part, key), "Asterisk adds the file's ending itself", help);
        }
    }
}

/// What is odd about a subscription. `followed`: some PBX's calls are followed.
pub(super) fn subscription(part: &Part<'_>, subscription: &Subscription, followed: bool) {
    let reader = part.reader;
    let events = &subscription.events;
    let calls = events.iter().any(|event| *event != EventKind::User);
    if calls && !followed && subscription.enabled {
        let help = "add [asterisk.main] with username and secret, or [freeswitch.main] with password";
        reader.warn(written(part, "events"), "no PBX's calls are followed: these events never come", help);
    }
    let restrict = &subscription.restrict;
    if !restrict.people.is_empty() && !events.contains(&EventKind::User) {
        let help = r#"calls are restricted by numbers and extensions; or add "user" to events"#;
        reader.warn(written(part, "restrict"), "people restricts nothing but user events", help);
    }
    let of_calls = !restrict.numbers.is_empty() || !restrict.extensions.is_empty();
    if of_calls && !calls {
        let help = "changes are restricted by people";
        reader.warn(written(part, "restrict"), "numbers and extensions restrict calls alone", help);
    }
    let ends = events.iter().any(|event| matches!(event, EventKind::Disconnected | EventKind::Cdr));
    if !restrict.dispositions.is_empty() && !ends {
        let help = r#"how a call came out is known at its end: add "disconnected" or "cdr" to events"#;
        reader.warn(written(part, "restrict"), "dispositions restricts none of these events", help);
    }
    if let Some((event, _)) = subscription.expires.iter().find(|(event, _)| !events.contains(event)) {
        let message = format!("{} is not among the events", event.as_str());
        reader.warn(written(part, "expires"), message, "remove it, or add it to events");
    }
}

/// What is odd about the channels that lead outside.
pub(super) fn trunks(part: &Part<'_>, texts: &[Text], like: &str) {
    if texts.is_empty() {
        let message = "no trunks: every call is taken for internal";
        part.reader.warn(
            part.span.clone(),
            message,
            format!("name the channels that lead outside: trunks = {like}"),
        );
    }
    for text in texts {
        let value = text.value();
        if !value.contains('/') && !value.starts_with('*') {
            let help = format!("a channel's name begins with its technology: {like}");
            part.reader.warn(text.span(), "no channel has such a name", help);
        } else if !value.contains(['*', '?']) {
            let help = format!("a channel's name has an ending of its own in each call: {like}");
            part.reader.warn(text.span(), "no channel has such a name", help);
        }
    }
}

/// The code goes over somebody else's network for everybody to read.
fn unencrypted(part: &Part<'_>, plan: &Plan, ivr: &Ivr) {
    for (key, origin) in [("url", Some(plan.origin())), ("fallback_url", plan.fallback_origin())] {
        if ivr.secret && origin.is_some_and(|origin| !origin.tls && !is_near(origin)) {
            let help = "use https://";
            part.reader.warn(written(part, key), "the code crosses the internet unencrypted", help);
        }
    }
}

/// On this machine or this network, as far as can be told without a look-up.
fn is_near(origin: &Origin) -> bool {
    match origin.ip() {
        Some(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Some(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        None => {
            let name = &*origin.host;
            let ending = name.rsplit_once('.').map(|(_, ending)| ending);
            matches!(ending, None | Some("local" | "lan" | "internal" | "home" | "localhost" | "test"))
                || name.ends_with(".home.arpa")
        }
    }
}

/// Each template that is sent, with the key that it belongs to.
fn templates(webhook: &Webhook) -> Vec<(&'static str, &Template)> {
    let mut all = vec![("url", &webhook.url)];
    all.extend(webhook.fallback_url.as_ref().map(|t| ("fallback_url", t)));
    all.extend(webhook.headers.iter().map(|(_, t)| ("headers", t)));
    if let Body::Template { template, .. } = &webhook.body {
        all.push(("body", template));
    }
    all
}
