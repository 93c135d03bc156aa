//! What is allowed and probably not meant.

use std::net::IpAddr;

use url::{Host, Url};

use super::FastAgi;
use super::reader::Part;
use super::webhook::written;
use crate::terms::{Body, Ivr, Method, Template, Variable, Webhook};

/// Endings of Asterisk's sound files. Asterisk adds them itself.
const SOUND_ENDINGS: &[&str] = &[".wav", ".gsm", ".ulaw", ".alaw", ".sln", ".sln16", ".g722", ".mp3", ".ogg"];

/// What is odd about who may connect.
pub(super) fn fastagi(part: &Part<'_>, fastagi: &FastAgi) {
    let allow = &fastagi.allow;
    let everyone = allow.iter().find(|net| net.prefix_len() == 0);
    let loopback = |ip: IpAddr| ip.is_loopback();
    if !loopback(fastagi.listen.ip()) && allow.iter().all(|net| loopback(net.addr())) {
        let help = "add the address of your PBX to allow, or listen on 127.0.0.1";
        part.reader.warn(
            written(part, "listen"),
            "other machines can reach this address, but allow names this machine alone",
            help,
        );
    }
    if let (Some(_), false) = (everyone, loopback(fastagi.listen.ip())) {
        let help = "FastAGI has no password: name the addresses of your PBXs";
        part.reader.warn(written(part, "allow"), "everybody who reaches this address may connect", help);
    }
}

/// What is odd about a webhook.
pub(super) fn webhook(part: &Part<'_>, webhook: &Webhook) {
    let reader = part.reader;
    let sent: Vec<(&str, &Template)> = templates(webhook);
    match &webhook.ivr {
        None => {
            if let Some((key, _)) = sent.iter().find(|(_, t)| t.uses(Variable::Code)) {
                let help = format!("add [webhook.{}.ivr], or remove {{code}}", webhook.name);
                reader.warn(written(part, key), "without an IVR {code} is always empty", help);
            }
        }
        Some(ivr) => {
            let fixed_keys = webhook.method == Method::Post && !matches!(webhook.body, Body::Template { .. });
            if !fixed_keys && !sent.iter().any(|(_, t)| t.uses(Variable::Code)) {
                let help = "add code={code} to the URL";
                reader.warn(
                    written(part, "url"),
                    "the caller enters a code that your server never gets",
                    help,
                );
            }
            unencrypted(part, webhook, ivr);
        }
    }
    let fresh = [Variable::Call, Variable::Timestamp, Variable::Start, Variable::CallUniqueId];
    let post = webhook.method == Method::Post && !matches!(webhook.body, Body::Template { .. });
    if !webhook.cache.is_zero() && (post || sent.iter().any(|(_, t)| fresh.iter().any(|v| t.uses(*v)))) {
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
    if ivr.digit_timeout.is_some() && ivr.secret {
        let help = "remove it if timeout will do between digits as well";
        let message = "with digit_timeout Asterisk shows the code for a moment, on its console and to AMI";
        reader.warn(written(part, "digit_timeout"), message, help);
    }
}

/// The code goes over somebody else's network for everybody to read.
fn unencrypted(part: &Part<'_>, webhook: &Webhook, ivr: &Ivr) {
    for (key, template) in [("url", Some(&webhook.url)), ("fallback_url", webhook.fallback_url.as_ref())] {
        let origin = template.and_then(Webhook::origin);
        if ivr.secret && origin.is_some_and(|url| url.scheme() == "http" && !is_near(&url)) {
            let help = "use https://";
            part.reader.warn(written(part, key), "the code crosses the internet unencrypted", help);
        }
    }
}

/// On this machine or this network, as far as can be told without a look-up.
fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Some(Host::Ipv6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Some(Host::Domain(name)) => {
            let ending = name.rsplit_once('.').map(|(_, ending)| ending);
            matches!(ending, None | Some("local" | "lan" | "internal" | "home" | "localhost" | "test"))
                || name.ends_with(".home.arpa")
        }
        None => false,
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
