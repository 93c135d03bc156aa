//! A webhook's URL as it is written: what no URL should hold. Scheme, host and port are checked in
//! [`crate::webhook::Plan`].

use std::ops::Range;

use super::nearest::nearest;
use super::reader::Reader;
use super::text::Text;
use super::webhook::template_error;
use crate::terms::{Place, Template, Variable};

/// Reads a URL template and reports everything that is wrong with how it is written.
pub(super) fn read(reader: &Reader<'_>, name: &str, text: &Text, place: Place) -> Option<Template> {
    mask_password(reader, text);
    let written = text.written();
    let mut right = true;
    let mut wrong = |span: Range<usize>, message: String, help: &str| {
        right = false;
        reader.error_help(span, message, help);
    };
    let parsed = Template::parse_with(written, place, &text.inserted);
    let mistakes = parsed.as_ref().err().cloned().unwrap_or_default();
    let seen = |range: &Range<usize>| {
        mistakes.iter().any(|m| m.range.start < range.end && range.start < m.range.end)
    };
    for range in stray_braces(text).into_iter().filter(|range| !seen(range)) {
        let known: Vec<&str> = Variable::known(place).map(Variable::name).collect();
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
    mistakes.iter().for_each(|mistake| template_error(reader, text, mistake, place));
    parsed.ok().filter(|_| right && text.complete)
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
            Some(_) if inside.starts_with(|c: char| c.is_ascii_alphabetic()) => {}
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
