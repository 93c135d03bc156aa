//! A webhook's URL: a template that is a right URL whatever its values are.

use std::ops::Range;

use url::Url;

use super::nearest::nearest;
use super::reader::Reader;
use super::text::Text;
use super::webhook::template_error;
use crate::terms::{Place, Template, Variable};

/// Reads a URL template and reports everything that is wrong with it.
pub(super) fn read(reader: &Reader<'_>, name: &str, text: &Text) -> Option<Template> {
    mask_password(reader, text);
    let written = text.written();
    let mut right = true;
    let mut wrong = |span: Range<usize>, message: String, help: &str| {
        right = false;
        reader.error_help(span, message, help);
    };
    let template = match Template::parse_with(written, Place::Request, &text.inserted) {
        Ok(template) => Some(template),
        Err(errors) => {
            errors.into_iter().for_each(|e| template_error(reader, text, e));
            None
        }
    };
    for range in stray_braces(text) {
        let known: Vec<&str> = Variable::ALL.iter().map(|v| v.name()).collect();
        let near = nearest(written[range.clone()].trim_matches(['{', '}', ' ']), &known);
        let meant = near.map_or(String::new(), |near| format!("did you mean {{{near}}}? "));
        let help = format!("{meant}A brace itself is written %7B or %7D");
        wrong(text.at(range), "this is no variable: a name has small letters alone".to_owned(), &help);
    }
    if let Some((at, c)) = written.char_indices().find(|(_, c)| c.is_whitespace() || c.is_control()) {
        wrong(text.at(at..at + c.len_utf8()), format!("{name} holds a space"), "a space in a URL is %20");
    }
    for (range, value) in &text.inserted {
        if value.reveal().contains(|c: char| c.is_whitespace() || c.is_control()) {
            let help = "it is mostly a line end behind the value";
            wrong(
                text.at(range.clone()),
                "this environment variable holds a space or a line end".to_owned(),
                help,
            );
        }
    }
    if let Some(at) = written.find('#') {
        let help = "remove it; a # that is part of a value is %23";
        wrong(text.at(at..written.len()), "what comes after # is never sent".to_owned(), help);
    }
    let template = template?;
    let problem = match template.first_variable() {
        Some(at) if text.complete && !past_authority(template.fixed_start().reveal()) => {
            let end = written[at..].find('}').map_or(written.len(), |i| at + i + 1);
            let message = "scheme, host and port cannot hold a variable".to_owned();
            Some((text.at(at..end), message, "variables may stand in the path and the query"))
        }
        _ if !text.complete => None,
        _ => fixed_part(&text.value()).err().map(|(message, help)| (text.span(), message, help)),
    };
    if let Some((span, message, help)) = problem {
        wrong(span, format!("{name}: {message}"), help);
    }
    (right && text.complete).then_some(template)
}

/// Whether this beginning of a URL holds all of scheme, host and port.
fn past_authority(start: &str) -> bool {
    start.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?', '#']))
}

fn fixed_part(url: &str) -> Result<(), (String, &'static str)> {
    let written_host =
        url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(""));
    const LIKE: &str = "a URL is written like https://crm.example.com/route?code={code}&callerid={callerid}";
    let url = Url::parse(url).map_err(|e| match e {
        url::ParseError::RelativeUrlWithoutBase => {
            ("it does not begin with https:// or http://".to_owned(), LIKE)
        }
        e => (format!("this is no URL: {e}"), LIKE),
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(("it must begin with https:// or http://".to_owned(), LIKE));
    }
    // The parser takes https:///route for the host "route".
    if url.host_str().is_none_or(str::is_empty) || written_host.is_empty() {
        return Err(("it names no host".to_owned(), LIKE));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let help =
            r#"use headers = { Authorization = "Basic ${CRM_BASIC}" }, the value is base64 of user:password"#;
        return Err(("user and password in a URL are not sent".to_owned(), help));
    }
    Ok(())
}

/// Braces that are neither a variable's nor those of `${NAME}`: a URL has no others.
fn stray_braces(text: &Text) -> Vec<Range<usize>> {
    let written = text.written();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(brace) = written[at..].find(['{', '}']).map(|i| at + i) {
        if let Some((inserted, _)) = text.inserted.iter().find(|(r, _)| r.contains(&brace)) {
            at = inserted.end;
            continue;
        }
        let inside = &written[brace + 1..];
        let end = inside.find(['{', '}', '"']).filter(|i| inside[*i..].starts_with('}'));
        at = end.map_or(brace + 1, |end| brace + end + 2);
        match end {
            _ if written[brace..].starts_with('}') => {
                at = brace + 1;
                found.push(brace..at);
            }
            Some(_) if inside.starts_with(|c: char| c.is_ascii_lowercase()) => {}
            _ => found.push(brace..at),
        }
    }
    found
}

/// `user:password@` is not shown.
fn mask_password(reader: &Reader<'_>, text: &Text) {
    let written = text.written();
    let Some(start) = written.find("://").map(|i| i + 3) else { return };
    let end = written[start..].find(['/', '?', '#']).map_or(written.len(), |i| start + i);
    if let Some(at) = written[start..end].rfind('@') {
        reader.mask(text.at(start..start + at));
    }
}
