//! Section `[webhook.NAME]` and those below it, but for the IVR's.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::ivr;
use super::nearest::nearest;
use super::reader::{Part, Reader};
use super::text::Text;
use super::url;
use super::warnings;
use crate::terms::{
    Body, CallerId, CallerNameMode, CallerNameRule, Code, DestinationRule, Method, NumberFormat, Pattern,
    Place, Secret, Template, TemplateError, VarName, VarNameError, Variable, Webhook, WebhookName,
};
use crate::webhook::{Plan, PlanError};

/// A file with a secret, at most.
const MAX_SECRET_FILE: usize = 64 * 1024;

/// Texts of the file by the keys that [`PlanError`] names.
pub(super) type Texts = Vec<(String, Text)>;

/// Reads one webhook. `None` when something that it cannot be without is wrong; that was reported then.
pub(super) fn read(part: &Part<'_>, name: WebhookName) -> Option<Plan> {
    let reader = part.reader;
    let mut texts = Texts::new();
    let place = Place::Request;
    let method = part.choice("method", &[Method::Get, Method::Post]).unwrap_or(Method::Get);
    let ivr_part = part.section("ivr");
    let ivr = ivr_part.as_ref().map(ivr::read);
    let secret_code = ivr.as_ref().is_some_and(|ivr| ivr.secret);
    let cache = part.duration("cache").unwrap_or_default();
    if cache > Duration::ZERO && secret_code {
        let help = "remove cache, or write ivr.secret = false where the entry is a menu choice";
        reader.error_help(written(part, "cache"), "cache cannot keep answers to a secret code", help);
    }
    let (url, fallback_url) =
        (url_of(part, "url", place, &mut texts), url_of(part, "fallback_url", place, &mut texts));
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
        headers: headers(part, place, &mut texts),
        body: body(part, method, &mut texts),
        number_format: part
            .choice("number_format", &[NumberFormat::AsIs, NumberFormat::E164, NumberFormat::PlusOff])
            .unwrap_or(NumberFormat::AsIs),
        caller_id: part
            .choice("caller_id", &[CallerId::Caller, CallerId::Called, CallerId::Suppressed])
            .unwrap_or(CallerId::Caller),
        save_as: save_as.map(|(name, _)| name),
        secret: secret(part, "secret", &mut texts),
        cache,
        caller_name: part.section("caller_name").and_then(|p| caller_name(&p, menu)),
        destination: part.section("destination").map(|p| destination(&p)).unwrap_or_default(),
        variables,
        ivr,
        // Read also where the URL is wrong: the other mistakes are worth knowing.
        url: url.clone().or_else(|| Template::parse("http://unknown/", Place::Request).ok())?,
    };
    let plan = Plan::new(Arc::new(webhook))
        .map_err(|errors| errors.into_iter().for_each(|error| plan_error(part, &texts, error)))
        .ok();
    let plan = plan.filter(|_| url.is_some())?;
    warnings::webhook(part, &plan);
    if let (Some(part), Some(ivr)) = (&ivr_part, &plan.webhook().ivr) {
        warnings::ivr(part, ivr);
    }
    Some(plan)
}

/// Reports what cannot be asked, where it stands.
pub(super) fn plan_error(part: &Part<'_>, texts: &Texts, error: PlanError) {
    let text = texts.iter().find(|(key, _)| *key == error.key).map(|(_, text)| text);
    let span = match (text, error.at.clone()) {
        (Some(text), Some(range)) => text.at(range),
        (Some(text), None) => text.span(),
        (None, _) => written(part, &error.key),
    };
    part.reader.error_help(span, error.to_string(), error.help);
}

pub(super) fn url_of(part: &Part<'_>, key: &str, place: Place, texts: &mut Texts) -> Option<Template> {
    let text = part.template(key)?;
    let template = url::read(part.reader, key, &text, place);
    texts.push((key.to_owned(), text));
    template
}

/// Where a key stands, else the section's name.
pub(super) fn written(part: &Part<'_>, key: &str) -> Range<usize> {
    part.written(key).unwrap_or_else(|| part.span.clone())
}

/// A template in a header, a body or a name.
pub(super) fn template(reader: &Reader<'_>, text: &Text, place: Place) -> Option<Template> {
    let compiled = Template::parse_with(text.written(), place, &text.inserted);
    compiled.map_err(|errors| errors.iter().for_each(|e| template_error(reader, text, e, place))).ok()
}

/// Reports a mistake in a template.
pub(super) fn template_error(reader: &Reader<'_>, text: &Text, error: &TemplateError, place: Place) {
    let known: Vec<&str> = Variable::known(place).map(Variable::name).collect();
    let wrong = &text.written()[error.range.clone()];
    let help = match nearest(wrong, &known) {
        // It is a variable, in the wrong place.
        Some(near) if near == wrong => "remove it".to_owned(),
        Some(near) => format!("did you mean {{{near}}}?"),
        None => "a variable is written {callerid}, with filters {callername|default:unknown}".to_owned(),
    };
    reader.error_help(text.at(error.range.clone()), error.problem.as_str(), help);
}

pub(super) fn headers(part: &Part<'_>, place: Place, texts: &mut Texts) -> Vec<(http::HeaderName, Template)> {
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
        if headers.iter().any(|(h, _)| *h == header) {
            let help = "names of headers are the same in small and capital letters";
            reader.error_help(key, format!("the header {name} is there twice"), help);
        }
        let Some(text) = reader.template(&name, value.get_ref(), value.span()) else { continue };
        if reader.is_stored() && text.written() == Code::MASK {
            let help = "this is how `subscription show` shows what may be a secret: write the value";
            reader.error_help(text.span(), format!("the header {name} is masked"), help);
        }
        if let Some(template) = template(reader, &text, place).filter(|_| text.complete) {
            texts.push((format!("headers.{header}"), text));
            headers.push((header, template));
        }
    }
    headers
}

fn body(part: &Part<'_>, method: Method, texts: &mut Texts) -> Body {
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
            let complete = text.complete;
            texts.extend([("body".to_owned(), text), ("content_type".to_owned(), content_type)]);
            // Checked also where the text is wrong.
            let empty = || Template::parse("{}", Place::Request).ok();
            match compiled.filter(|_| complete).or_else(empty) {
                Some(template) => Body::Template { template, content_type: value },
                None => Body::Json,
            }
        }
        _ => Body::Json,
    }
}

/// A secret, from the file or from a file of its own.
pub(super) fn secret(part: &Part<'_>, key: &str, texts: &mut Texts) -> Option<Secret> {
    let reader = part.reader;
    let file = format!("{key}_file");
    if let Some((_, value)) = part.entry(key) {
        reader.mask_value(value);
        if value.get_ref().as_str().is_none() {
            reader.mask(value.span());
        }
    }
    let (text, value) = match (part.entry(key), part.entry(&file)) {
        (_, Some((span, _))) if reader.is_stored() => {
            let help =
                format!("the daemon's secrets belong to the file: write {key} itself, or define it there");
            reader.error_help(span, format!("{file} is not taken in a definition for the store"), help);
            return None;
        }
        (Some(_), Some((span, _))) => {
            reader.error_help(span, format!("{key} and {file} are both there"), "remove one of them");
            return None;
        }
        (_, Some((_, value))) => {
            let text = reader.text(&file, value.get_ref(), value.span())?;
            let value = read_file(reader, &file, &text)?;
            (text, value)
        }
        _ => {
            let text = part.text(key)?;
            let value = text.value();
            (text, value)
        }
    };
    texts.push((key.to_owned(), text));
    Some(Secret::new(value))
}

/// What stands in a file, without the line end behind it.
fn read_file(reader: &Reader<'_>, key: &str, path: &Text) -> Option<String> {
    let wrong = |why: String| {
        let help = format!(
            "{key} is the path of a file that holds the secret and nothing else; \
             it is looked for beside the configuration file"
        );
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
