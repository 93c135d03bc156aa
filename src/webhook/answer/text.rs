//! Bytes to text: which characters they are.

use std::borrow::Cow;

use encoding_rs::{Encoding, REPLACEMENT, UTF_8, WINDOWS_1252};

/// The charset of the Content-Type, if it has one that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charset(Option<&'static Encoding>);

impl Charset {
    pub(super) fn of(content_type: Option<&str>) -> Charset {
        let parameters = content_type.into_iter().flat_map(|value| value.split(';').skip(1));
        let charset = parameters.filter_map(|p| p.split_once('=')).find_map(|(name, value)| {
            let label = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("charset").then(|| Encoding::for_label(label.as_bytes()))?
        });
        Charset(charset.filter(|encoding| *encoding != REPLACEMENT))
    }

    /// The body as a text, its byte order mark kept, and what is to be said of it. UTF-8 where it is valid; else as the
    /// header says; else as Latin-1, the way browsers read it (windows-1252).
    pub(super) fn decode<'a>(self, body: &'a [u8]) -> (Cow<'a, str>, Option<String>) {
        if let Some((encoding, _)) = Encoding::for_bom(body).filter(|(encoding, _)| *encoding != UTF_8) {
            return (encoding.decode_with_bom_removal(body).0, Some(not_utf8(encoding, "")));
        }
        // A text of UTF-16 or ISO-2022-JP can be valid UTF-8 and mean something else.
        if let Some(encoding) = self.0.filter(|encoding| !encoding.is_ascii_compatible()) {
            return (encoding.decode_without_bom_handling(body).0, Some(not_utf8(encoding, "")));
        }
        if let Ok(text) = std::str::from_utf8(body) {
            return (Cow::Borrowed(text), None);
        }
        let encoding = self.bytewise();
        let said = if self.0 == Some(UTF_8) { ", although its Content-Type says so" } else { "" };
        (encoding.decode_without_bom_handling(body).0, Some(not_utf8(encoding, said)))
    }

    /// Percent-decodes a value. What is no `%XX` stays; the second value tells whether there was any.
    pub(super) fn percent_decode(self, raw: &str, plus_is_space: bool) -> (String, bool) {
        let mut out = String::with_capacity(raw.len());
        let mut stray = false;
        let mut rest = raw;
        while let Some(at) = rest.find('%') {
            push_plain(&mut out, &rest[..at], plus_is_space);
            let run = encoded_run(&rest.as_bytes()[at..]);
            if run.is_empty() {
                stray = true;
                out.push('%');
            } else {
                self.push_run(&mut out, &run);
            }
            rest = &rest[at + (run.len() * 3).max(1)..];
        }
        push_plain(&mut out, rest, plus_is_space);
        (out, stray)
    }

    fn push_run(self, out: &mut String, run: &[u8]) {
        match std::str::from_utf8(run) {
            Ok(text) => out.push_str(text),
            Err(_) => out.push_str(&self.bytewise().decode_without_bom_handling(run).0),
        }
    }

    /// What bytes are that are not UTF-8.
    fn bytewise(self) -> &'static Encoding {
        self.0.filter(|encoding| *encoding != UTF_8 && encoding.is_ascii_compatible()).unwrap_or(WINDOWS_1252)
    }
}

fn not_utf8(encoding: &'static Encoding, said: &str) -> String {
    format!("the answer is not UTF-8{said}: it was read as {}", encoding.name())
}

fn push_plain(out: &mut String, text: &str, plus_is_space: bool) {
    if plus_is_space {
        out.extend(text.chars().map(|c| if c == '+' { ' ' } else { c }));
    } else {
        out.push_str(text);
    }
}

/// The bytes of as many `%XX` as follow each other. Together, since a character can take several.
fn encoded_run(bytes: &[u8]) -> Vec<u8> {
    let hex = |b: &u8| char::from(*b).to_digit(16);
    let mut run = Vec::new();
    for triple in bytes.chunks_exact(3) {
        match triple {
            [b'%', high, low] => match (hex(high), hex(low)) {
                // Two hex digits: at most 255.
                (Some(high), Some(low)) => run.push((high * 16 + low) as u8),
                _ => break,
            },
            _ => break,
        }
    }
    run
}
