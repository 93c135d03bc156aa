//! Section `[webhook.NAME]` and those below it, but for the IVR's.

use std::ops::Range;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::ivr;
use super::nearest::nearest;
use super::reader::{Part, Reader};
use super::text::Text;
use super::url;
use super::warnings;
use crate::terms::{
    Body, CallerId, CallerNameMode, CallerNameRule, DestinationRule, Method, NumberFormat, Pattern, Place,
    Secret, Template, TemplateError, VarName, VarNameError, Variable, Webhook, WebhookName,
};

/// A file with a secret, at most.
const MAX_SECRET_FILE: usize = 64 * 1024;

/// Headers that are the program's own, or the HTTP client's.
const OWN_HEADERS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// Reads one webhook. `None` when something that it cannot be without is wrong; that was reported then.
pub(super) fn read(part: &Part<'_>, name: WebhookName) -> Option<Webhook> {
    let reader = part.reader;
    let method = part.choice("method", &[Method::Get, Method::Post]).unwrap_or(Method::Get);
    let ivr_part = part.section("ivr");
    let ivr = ivr_part.as_ref().map(ivr::read);
    let secret_code = ivr.as_ref().is_some_and(|ivr| ivr.secret);
    let cache = part.duration("cache").unwrap_or_default();
    if cache > Duration::ZERO && secret_code {
        let help = "remove cache, or write ivr.secret = false where the entry is a menu choice";
        reader.error_help(written(part, "cache"), "cache cannot keep answers to a secret code", help);
    }
    let read_url = |key: &str| part.template(key).and_then(|text| url::read(reader, key, &text));
    let (url, fallback_url) = (read_url("url"), read_url("fallback_url"));
    let save_as = part.text("save_as").and_then(|text| variable(reader, &text).map(|v| (v, text.span())));
    let variables = variables(part, save_as.as_ref());
    let menu = ivr.as_ref().is_some_and(|ivr| !ivr.secret);
    let webhook = Webhook {
        name,
        description: part.text("description").map(|t| t.value()).unwrap_or_default(),
        enabled: part.flag("enabled").unwrap_or(true),
        method,
        fallback_url,
        timeout: part.duration("timeout").unwrap_or_default(),
        retries: part.count("retries").and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
        drop_empty: part.flag("drop_empty").unwrap_or_default(),
        headers: headers(part),
        body: body(part, method),
        number_format: part
            .choice("number_format", &[NumberFormat::AsIs, NumberFormat::E164, NumberFormat::PlusOff])
            .unwrap_or(NumberFormat::AsIs),
        caller_id: part
            .choice("caller_id", &[CallerId::Caller, CallerId::Called, CallerId::Suppressed])
            .unwrap_or(CallerId::Caller),
        save_as: save_as.map(|(name, _)| name),
        secret: secret(part),
        cache,
        caller_name: part.section("caller_name").and_then(|p| caller_name(&p, menu)),
        destination: part.section("destination").map(|p| destination(&p)).unwrap_or_default(),
        variables,
        ivr,
        url: url?,
    };
    warnings::webhook(part, &webhook);
    if let (Some(part), Some(ivr)) = (&ivr_part, &webhook.ivr) {
        warnings::ivr(part, ivr);
    }
    Some(webhook)
}

/// Where a key stands, else the section's name.
pub(super) fn written(part: &Part<'_>, key: &str) -> Range<usize> {
    part.written(key).unwrap_or_else(|| part.span.clone())
}

/// A template in a header, a body or a name.
fn template(reader: &Reader<'_>, text: &Text, place: Place) -> Option<Template> {
    let compiled = Template::parse_with(text.written(), place, &text.inserted);
    compiled.map_err(|errors| errors.into_iter().for_each(|e| template_error(reader, text, e))).ok()
}

/// Reports a mistake in a template.
pub(super) fn template_error(reader: &Reader<'_>, text: &Text, error: TemplateError) {
    let known: Vec<&str> = Variable::ALL.iter().map(|v| v.name()).collect();
    let wrong = &text.written()[error.range.clone()];
    let help = match nearest(wrong, &known) {
        // It is a variable, in the wrong place.
        Some(near) if near == wrong => "remove it".to_owned(),
        Some(near) => format!("did you mean {{{near}}}?"),
        None => "a variable is written {callerid}, with filters {callername|default:unknown}".to_owned(),
    };
    reader.error_help(text.at(error.range), error.problem, help);
}

fn headers(part: &Part<'_>) -> Vec<(http::HeaderName, Template)> {
    let reader = part.reader;
    let mut headers: Vec<(http::HeaderName, Template)> = Vec::new();
    if let Some((_, value)) = part.entry("headers") {
        reader.mask_value(value);
    }
    for (name, key, value) in part.pairs("headers", r#"headers = { Authorization = "Bearer ${CRM_TOKEN}" }"#)
    {
        let Ok(header) = http::HeaderName::from_bytes(name.as_bytes()) else {
            let help = "a header's name has letters, digits and -";
            reader.error_help(key, "this is no name of a header", help);
            continue;
        };
        if OWN_HEADERS.contains(&header.as_str()) {
            let help = match header.as_str() {
                "content-type" => "use content_type, beside body",
                "host" => "the host is the one in url",
                _ => "remove it",
            };
            reader.error_help(key.clone(), format!("the header {name} is written by the program"), help);
        }
        if headers.iter().any(|(h, _)| *h == header) {
            let help = "names of headers are the same in small and capital letters";
            reader.error_help(key, format!("the header {name} is there twice"), help);
        }
        let Some(text) = reader.template(&name, value.get_ref(), value.span()) else { continue };
        if text.value().contains(|c: char| c.is_control()) {
            let help = "look for \\n, and for a line end in an environment variable";
            reader.error_help(
                text.span(),
                "a header's value cannot hold a line end or control character",
                help,
            );
        }
        if let Some(template) = template(reader, &text, Place::Request) {
            headers.push((header, template));
        }
    }
    headers
}

fn body(part: &Part<'_>, method: Method) -> Body {
    let reader = part.reader;
    let (body, content_type) = (part.template("body"), part.text("content_type"));
    let kind = body.as_ref().map(Text::value);
    let own = !matches!(kind.as_deref(), Some("json" | "form") | None);
    if method == Method::Get && (own || kind.as_deref() == Some("form")) {
        reader.error_help(
            written(part, "body"),
            "a GET has no body",
            r#"write method = "POST", or remove body"#,
        );
    }
    if let (Some(text), false) = (&content_type, own) {
        let help = r#"remove it; "json" and "form" have a type of their own"#;
        reader.error_help(text.span(), "content_type goes with a body of your own", help);
    }
    match (kind.as_deref(), body) {
        (Some("form"), _) => Body::Form,
        (_, Some(text)) if own => {
            let compiled = template(reader, &text, Place::Request);
            let Some(content_type) = content_type else {
                if part.entry("content_type").is_none() {
                    let help = r#"write content_type = "text/plain", say; or body = "json", body = "form""#;
                    reader.error_help(text.span(), "a body of your own needs a content_type", help);
                }
                return Body::Json;
            };
            let value = content_type.value();
            let right = value.split_once('/').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
            if !right || http::HeaderValue::from_str(&value).is_err() {
                let help = r#"write it like "application/json" or "text/plain; charset=utf-8""#;
                reader.error_help(content_type.span(), "this is no content type", help);
            }
            compiled.map_or(Body::Json, |template| Body::Template { template, content_type: value })
        }
        _ => Body::Json,
    }
}

/// The signing key, from the file or from a file of its own.
fn secret(part: &Part<'_>) -> Option<Secret> {
    let reader = part.reader;
    if let Some((_, value)) = part.entry("secret") {
        reader.mask_value(value);
        if value.get_ref().as_str().is_none() {
            reader.mask(value.span());
        }
    }
    let (span, value) = match (part.entry("secret"), part.entry("secret_file")) {
        (Some(_), Some((key, _))) => {
            reader.error_help(key, "secret and secret_file are both there", "remove one of them");
            return None;
        }
        (_, Some((_, value))) => {
            let text = reader.text("secret_file", value.get_ref(), value.span())?;
            (text.span(), read_file(reader, &text)?)
        }
        _ => {
            let text = part.text("secret")?;
            (text.span(), text.value())
        }
    };
    let key = value.strip_prefix("whsec_").and_then(|base64| BASE64_STANDARD.decode(base64).ok());
    // The lengths that Standard Webhooks allows.
    if !key.is_some_and(|key| (24..=64).contains(&key.len())) {
        let help = r#"make one: echo "whsec_$(openssl rand -base64 32)""#;
        reader.error_help(span, "a signing key is whsec_ and then 24 to 64 bytes in base64", help);
        return None;
    }
    Some(Secret::new(value))
}

/// What stands in a file, without the line end behind it.
fn read_file(reader: &Reader<'_>, path: &Text) -> Option<String> {
    let wrong = |why: String| {
        let help = "secret_file is the path of a file that holds the secret and nothing else; \
                    it is looked for beside the configuration file";
        reader.error_help(path.span(), why, help);
    };
    let bytes = match std::fs::read(reader.folder.join(path.value())) {
        Ok(bytes) => bytes,
        Err(e) => {
            wrong(format!("the file cannot be read: {e}"));
            return None;
        }
    };
    let text = (bytes.len() <= MAX_SECRET_FILE).then(|| String::from_utf8(bytes).ok()).flatten();
    let Some(text) = text else {
        wrong("the file holds something else than a text".to_owned());
        return None;
    };
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Some(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn caller_name(part: &Part<'_>, code_may_be_shown: bool) -> Option<CallerNameRule> {
    let reader = part.reader;
    let modes = [CallerNameMode::Webhook, CallerNameMode::Prepend, CallerNameMode::Replace];
    let mode = part.choice("mode", &modes);
    let text = part.template("text");
    let template = match &text {
        Some(text) => template(reader, text, Place::CallerName { code: code_may_be_shown }),
        None => Template::parse("", Place::Request).ok(),
    };
    let empty = text.as_ref().is_none_or(|t| t.complete && t.value().is_empty());
    match mode? {
        CallerNameMode::Webhook if !empty => {
            let help = r#"remove text, or write mode = "prepend" or mode = "replace""#;
            reader.error_help(written(part, "text"), "the answer gives the name, text is not used", help);
        }
        CallerNameMode::Prepend | CallerNameMode::Replace
            if empty && part.entry("text").is_none_or(|_| text.is_some()) =>
        {
            let help = r#"write text = "Sales: ", say"#;
            reader.error_help(written(part, "mode"), "this mode needs a text", help);
        }
        _ => {}
    }
    Some(CallerNameRule { mode: mode?, text: template? })
}

fn destination(part: &Part<'_>) -> DestinationRule {
    let Some(texts) = part.texts("allow", r#"["[0-9]{3}", "\\+31[0-9]{9}"]"#) else {
        return DestinationRule::default();
    };
    if texts.is_empty()
        && part.entry("allow").is_some_and(|(_, v)| v.get_ref().as_array().is_some_and(|a| a.is_empty()))
    {
        let help = "name what may be dialled, or remove allow: then it is an optional + and 1 to 32 digits";
        part.reader.error_help(written(part, "allow"), "an empty list allows no destination at all", help);
    }
    let patterns = texts.iter().filter_map(|text| pattern(part.reader, text));
    DestinationRule { allow: Some(patterns.map(|p| p.regex().clone()).collect()) }
}

/// A regular expression; what is wrong with it is underlined.
pub(super) fn pattern(reader: &Reader<'_>, text: &Text) -> Option<Pattern> {
    let value = text.value();
    let error = match Pattern::parse(&value) {
        Ok(pattern) => return Some(pattern),
        Err(error) => error.to_string(),
    };
    // The crate draws: the expression, carets below it, `error: …`. All indented by four.
    let lines: Vec<&str> = error.lines().collect();
    let why = lines.iter().rev().find_map(|l| l.strip_prefix("error: ")).unwrap_or("it is too large");
    let carets = lines.iter().find(|l| l.contains('^') && l.trim_matches([' ', '^']).is_empty());
    let span = match carets {
        Some(line) if text.inserted.is_empty() && lines.get(1) == Some(&format!("    {value}").as_str()) => {
            let byte = |char: usize| value.char_indices().nth(char).map_or(value.len(), |(i, _)| i);
            let start = line.find('^').unwrap_or(4).saturating_sub(4);
            let end = line.rfind('^').unwrap_or(4).saturating_sub(3);
            text.at(byte(start)..byte(end))
        }
        _ => text.span(),
    };
    reader.error_help(span, format!("this is no regular expression: {why}"), "such as [0-9]{4,8}");
    None
}

fn variables(part: &Part<'_>, save_as: Option<&(VarName, Range<usize>)>) -> Vec<(String, VarName)> {
    let reader = part.reader;
    let mut found: Vec<(String, VarName)> = Vec::new();
    for (key, span, value) in part.pairs("variables", r#"ticket = "CRM_TICKET""#) {
        let key = key.to_lowercase();
        if key.trim().is_empty() {
            reader.error_help(span.clone(), "this key is empty", "it is a key of your server's answer");
        }
        if found.iter().any(|(k, _)| *k == key) {
            let help = "keys of an answer are the same in small and capital letters";
            reader.error_help(span, format!("the key {key} is there twice"), help);
        }
        let Some(text) = reader.text(&key, value.get_ref(), value.span()) else { continue };
        let Some(name) = variable(reader, &text) else { continue };
        let taken = found.iter().find(|(_, v)| *v == name).map(|(k, _)| k.as_str());
        if let Some(by) = taken.or_else(|| save_as.filter(|(v, _)| *v == name).map(|_| "save_as")) {
            let message = format!("{name} is used by {by} already");
            reader.error_help(text.span(), message, "each value needs a variable of its own");
        }
        found.push((key, name));
    }
    found
}

fn variable(reader: &Reader<'_>, text: &Text) -> Option<VarName> {
    let value = text.value();
    match VarName::parse(&value) {
        Ok(name) => Some(name),
        Err(e) => {
            let upper = value.to_uppercase().replace(['-', '.', ' '], "_");
            let help = match (&e, VarName::parse(&upper)) {
                (VarNameError::Form, Ok(_)) if text.inserted.is_empty() => format!("write {upper}"),
                _ => "write a name of your own, such as CRM_TICKET".to_owned(),
            };
            reader.error_help(text.span(), e.to_string(), help);
            None
        }
    }
}
