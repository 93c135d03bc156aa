//! A file that is not TOML, or not even text.

use std::ops::Range;
use std::str::Utf8Error;

use super::problem::Found;

/// Mistakes of TOML's syntax: the first one of each line, as the later ones mostly follow from it.
pub(super) fn errors(text: &str, errors: &[toml::de::Error]) -> Vec<Found> {
    let mut found: Vec<Found> = errors.iter().map(|e| one(text, e)).collect();
    found.sort_by_key(|f| f.span.as_ref().map(|s| s.start));
    let line = |f: &Found| f.span.as_ref().map(|s| text[..s.start].matches('\n').count());
    found.dedup_by_key(|f| line(f));
    if let Some(last) = found.last_mut() {
        let rest = "nothing else was checked yet: keys and values come next";
        last.help = Some(last.help.take().map_or(rest.to_owned(), |help| format!("{help}\n{rest}")));
    }
    found
}

fn one(text: &str, error: &toml::de::Error) -> Found {
    let span = error.span().map(|span| {
        let floor =
            |at: usize| (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        let start = floor(span.start);
        start..floor(span.end).max(start)
    });
    let (message, help) = in_words(error.message());
    Found { warning: false, span, message, help: help.map(str::to_owned) }
}

/// The parser's message for a reader who does not know TOML's grammar.
fn in_words(message: &str) -> (String, Option<&'static str>) {
    const UNQUOTED: [&str; 5] =
        ["string values must be quoted", "invalid float", "invalid integer", "invalid date", "invalid time"];
    const UNCLOSED: [&str; 2] =
        ["invalid basic string, expected `\"`", "invalid literal string, expected `'`"];
    let message = message.trim();
    let (words, help) = if UNQUOTED.iter().any(|m| message.contains(m)) {
        ("this is no value", r#"a text stands in quotes, an address and a time too: "127.0.0.1:4573" "2s""#)
    } else if UNCLOSED.iter().any(|m| message.contains(m)) {
        ("the closing quote is missing", "a text begins and ends with the same quote, in one line")
    } else if message.contains("duplicate key") {
        ("this is there already", "keep one of them; a section cannot be opened twice either")
    } else if message.contains("key with no value") {
        ("this line has no value", "write key = value; a comment begins with #")
    } else if message.contains("escape") {
        let help =
            r"between double quotes a backslash is written \\, between single quotes \: '\+31[0-9]{9}'";
        ("this backslash stands for nothing", help)
    } else {
        return (format!("this is not TOML: {message}"), None);
    };
    (words.to_owned(), Some(help))
}

/// The file as far as it can be shown, and where it is not UTF-8.
pub(super) fn not_utf8(bytes: &[u8], error: &Utf8Error) -> (String, Found) {
    let start = error.valid_up_to();
    let text = String::from_utf8_lossy(bytes).into_owned();
    let byte = bytes.get(start).copied().unwrap_or_default();
    let found = Found {
        warning: false,
        // What came before is valid, so it is as long in `text`.
        span: Some(start..start + '\u{fffd}'.len_utf8()),
        message: format!("the file is not UTF-8: byte 0x{byte:02X}"),
        help: Some("save it as UTF-8; from Latin-1: iconv -f latin1 -t utf-8".to_owned()),
    };
    (text, found)
}

/// What may be secret in a text that could not be parsed: letters and digits behind the `=` of a line which looks as if
/// it held one. Rather too much than too little: the line's structure is still seen.
pub(super) fn likely_secrets(text: &str) -> Vec<Range<usize>> {
    const WORDS: [&str; 6] = ["secret", "password", "token", "authorization", "header", "whsec_"];
    let mut found = Vec::new();
    let mut at = 0;
    let mut secret_section = false;
    let mut goes_on = false;
    for line in text.split_inclusive('\n') {
        let small = line.to_lowercase();
        if line.trim_start().starts_with('[') {
            secret_section = small.contains("header");
            goes_on = false;
        }
        let login = small.contains("://") && small.contains('@');
        let secret = goes_on || secret_section || login || WORDS.iter().any(|w| small.contains(w));
        if secret {
            let from = if goes_on { 0 } else { line.find('=').map_or(0, |i| i + 1) };
            let plain = line[from..].char_indices().filter(|(_, c)| c.is_alphanumeric() || !c.is_ascii());
            found.extend(plain.map(|(i, c)| at + from + i..at + from + i + c.len_utf8()));
        }
        let quotes = line.matches("\"\"\"").count() + line.matches("'''").count();
        if quotes % 2 == 1 {
            goes_on = secret && !goes_on;
        }
        at += line.len();
    }
    found
}
