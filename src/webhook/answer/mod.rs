//! Reading what a web server answered.
//!
//! The hosted systems read `status=ACK&destination=…` with Asterisk's CURL function, which looks at neither content type
//! nor encoding, and most servers for them were written by trial. So what can only mean one thing is read so, with a hint
//! for the person who wrote the server; what cannot is refused in words that say what to change.

mod json;
mod pairs;
mod text;

use crate::terms::{Answer, Dialect, Failure, Reason, Status};
use text::Charset;

/// A body's bytes, at most. A larger answer is refused.
pub const MAX_BODY: usize = 64 << 10;

/// Keys of one answer, at most: servers send three or four.
const MAX_KEYS: usize = 256;

/// Hints of one answer, at most.
const MAX_HINTS: usize = 8;

/// Characters of the answer that are repeated in a hint or a failure, at most.
const QUOTED: usize = 60;

/// Keys and values of an answer.
#[derive(Debug, Default)]
struct Pairs {
    /// Keys in lower case, each once, with the last value.
    list: Vec<(String, String)>,
    hints: Vec<String>,
}

impl Pairs {
    fn get(&self, key: &str) -> Option<&str> {
        self.list.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    fn hint(&mut self, hint: impl Into<String>) {
        let hint = hint.into();
        if self.hints.len() < MAX_HINTS && !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
    }

    /// Fails when there are too many keys.
    fn push(&mut self, key: String, value: String) -> Result<(), String> {
        if let Some(there) = self.list.iter_mut().find(|(k, _)| *k == key) {
            there.1 = value;
            self.hint(format!("{}= is there more than once: the last one counts", quoted(&key)));
            return Ok(());
        }
        if self.list.len() == MAX_KEYS {
            return Err(format!("the answer has more than {MAX_KEYS} keys"));
        }
        self.list.push((key, value));
        Ok(())
    }
}

/// Reads an answer. `plain_text`: a 2xx answer without a status is a success, and the whole text the result (`save_as`).
///
/// # Errors
/// `http_status` for any status but 2xx, whatever the body says; `bad_answer` for what says nothing we know.
pub fn parse(
    body: &[u8],
    content_type: Option<&str>,
    http_status: u16,
    plain_text: bool,
) -> Result<Answer, Failure> {
    let charset = Charset::of(content_type);
    let (decoded, recoded) = charset.decode(body);
    let text = trimmed(&decoded);
    if !(200..300).contains(&http_status) {
        return Err(http_failure(http_status, text, charset));
    }
    let fail = |detail: String| Failure { reason: Reason::BadAnswer, http_status: Some(http_status), detail };
    if body.len() > MAX_BODY {
        return Err(fail(format!("the answer is larger than {} KiB", MAX_BODY >> 10)));
    }
    if text.is_empty() {
        return Err(fail("the answer is empty".to_owned()));
    }
    if is_markup(text) {
        return Err(fail(about_markup(text)));
    }
    let mut pairs = read(text, charset).map_err(fail)?;
    if let Some(hint) = recoded {
        pairs.hint(hint);
    }
    if decoded.starts_with('\u{FEFF}') {
        pairs.hint("the answer begins with a byte order mark: save the script without it");
    }
    let status = match pairs.get("status").map(str::trim) {
        None if plain_text && is_plain(text) => return Ok(plain(text, pairs, http_status)),
        None => return Err(fail(no_status(text))),
        Some(word) => Status::ALL.iter().copied().find(|s| s.as_str().eq_ignore_ascii_case(word)),
    };
    let Some(status) = status else {
        return Err(fail(unknown_status(pairs.get("status").unwrap_or_default())));
    };
    Ok(finish(status, pairs, text, http_status))
}

/// The body as a text, for the journal.
pub(super) fn excerpt(body: &[u8], content_type: Option<&str>) -> String {
    Charset::of(content_type).decode(body).0.into_owned()
}

fn read(text: &str, charset: Charset) -> Result<Pairs, String> {
    if text.starts_with('{') { json::read(text) } else { pairs::read(text, charset) }
}

fn finish(status: Status, mut pairs: Pairs, text: &str, http_status: u16) -> Answer {
    let destination = match (pairs.get("destination"), pairs.get("value")) {
        (Some(destination), _) => destination.to_owned(),
        (None, Some(value)) => {
            let value = value.to_owned();
            pairs.hint("value= is an old name of destination=");
            value
        }
        (None, None) => String::new(),
    };
    let mut callername = pairs.get("callername").map_or("", str::trim).to_owned();
    if status != Status::Ack && !callername.is_empty() {
        pairs.hint(format!("callername beside {status} is ignored"));
        callername.clear();
    }
    let dialect = if text.starts_with('{') { Dialect::Json } else { Dialect::Pairs };
    Answer {
        status,
        destination,
        callername,
        pairs: pairs.list,
        text: text.to_owned(),
        dialect,
        http_status,
        hints: pairs.hints,
    }
}

/// A status that stands where it cannot be read is no text to compare: it may be a refusal.
fn is_plain(text: &str) -> bool {
    text.starts_with('{') || find_ignore_case(text, "status=").is_none()
}

/// A text to be compared in the dialplan.
fn plain(text: &str, pairs: Pairs, http_status: u16) -> Answer {
    Answer {
        status: Status::Ack,
        destination: String::new(),
        callername: String::new(),
        pairs: pairs.list,
        text: text.to_owned(),
        dialect: Dialect::Text,
        http_status,
        // About the keys of an answer, which this is not.
        hints: Vec::new(),
    }
}

/// Editors put byte order marks in front, PHP one for each file that it includes.
fn trimmed(text: &str) -> &str {
    text.trim_start_matches(|c: char| c == '\u{FEFF}' || c.is_whitespace()).trim_end()
}

/// HTML or XML. Whatever stands in it, it is a page and no answer.
fn is_markup(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('<')
        && chars.next().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '!' | '?' | '/'))
}

fn about_markup(text: &str) -> String {
    let start = text.get(..9).unwrap_or_default();
    let page = start.eq_ignore_ascii_case("<!doctype")
        || start.get(..5).is_some_and(|s| s.eq_ignore_ascii_case("<html"));
    if !page && find_ignore_case(text, "status=").is_some() {
        return format!("text before status=: a PHP notice? The answer begins {}", quoted(text));
    }
    format!("the answer is HTML: a login page, or an error page? It begins {}", quoted(text))
}

fn no_status(text: &str) -> String {
    let bare = Status::ALL.iter().find(|s| text.eq_ignore_ascii_case(s.as_str()));
    if let Some(status) = bare {
        return format!("the answer is {status} alone: write status={status}");
    }
    if text.starts_with('{') {
        return "the JSON has no \"status\"".to_owned();
    }
    if text.starts_with('[') {
        return "the answer is a JSON array: an object is expected, {\"status\":\"ACK\"}".to_owned();
    }
    let at = find_ignore_case(text, "status=");
    match at {
        Some(1) if text.starts_with('"') => {
            "the answer is in quotes: it was encoded as JSON; send it as plain text".to_owned()
        }
        Some(_) => format!("text before status=: a PHP notice? The answer begins {}", quoted(text)),
        None => format!("no status= in the answer, which begins {}", quoted(text)),
    }
}

fn unknown_status(word: &str) -> String {
    let must = "it must be ACK, NAK or ERR";
    let known = Status::ALL.iter().find(|s| {
        let start = word.trim_start().get(..3);
        start.is_some_and(|start| start.eq_ignore_ascii_case(s.as_str()))
    });
    let behind =
        |status: &Status| word.trim_start().get(status.as_str().len()..).unwrap_or_default().to_owned();
    match known.map(behind).as_deref().map(str::chars).and_then(|mut c| c.next()) {
        Some('\r' | '\n') if word.contains('=') => {
            format!("status is {}: pairs are separated by &, not by line breaks", quoted(word))
        }
        Some('\r' | '\n' | '<' | ' ') => {
            format!("text behind the status: a PHP notice? status is {}", quoted(word))
        }
        Some('&') => format!("status is {}: behind an & comes key=value", quoted(word)),
        _ => format!("status is {}: {must}", quoted(word)),
    }
}

fn http_failure(http_status: u16, text: &str, charset: Charset) -> Failure {
    let mut detail = format!("HTTP {http_status}");
    let reason = http::StatusCode::from_u16(http_status).ok().and_then(|s| s.canonical_reason());
    if let Some(reason) = reason {
        detail.push(' ');
        detail.push_str(reason);
    }
    let said = if is_markup(text) { None } else { read(text, charset).ok() };
    let said = said.as_ref().and_then(|pairs| pairs.get("status")).map(str::trim);
    let said = said.and_then(|word| Status::ALL.iter().find(|s| s.as_str().eq_ignore_ascii_case(word)));
    if let Some(status) = said {
        detail.push_str(&format!(", body says {status}: an answer counts with HTTP 200 alone"));
    }
    let hint = match http_status {
        401 | 403 => "; does the server want another key or password?",
        404 | 410 => "; is the path of the URL right?",
        405 => "; does the server want the other method, GET or POST?",
        429 => "; the server allows this PBX too few requests",
        _ => "",
    };
    detail.push_str(hint);
    Failure { reason: Reason::HttpStatus, http_status: Some(http_status), detail }
}

/// The beginning of a text from outside, on one line.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn find_ignore_case(text: &str, wanted: &str) -> Option<usize> {
    text.as_bytes().windows(wanted.len()).position(|w| w.eq_ignore_ascii_case(wanted.as_bytes()))
}
