//! `status=ACK&destination=…`

use super::text::Charset;
use super::{Pairs, quoted};

/// Splits at `&`, then at the first `=`. What has no key of its own belongs to the value before it: servers do not
/// encode the `&` in a name.
pub(super) fn read(text: &str, charset: Charset) -> Result<Pairs, String> {
    let mut pairs = Pairs::default();
    let mut open: Option<Open<'_>> = None;
    let mut at = 0;
    for piece in text.split('&') {
        let start = at;
        at += piece.len() + 1;
        if piece.is_empty() {
            continue;
        }
        match (key_of(piece), &mut open) {
            (Some(key), open) => {
                if let Some(done) = open.replace(Open::new(key, start, piece)) {
                    done.close(text, charset, &mut pairs)?;
                }
            }
            (None, Some(open)) => {
                open.end = start + piece.len();
                open.glued = true;
            }
            // Nothing that it could belong to: whatever follows is no answer.
            (None, None) => return Ok(Pairs::default()),
        }
    }
    if let Some(done) = open {
        done.close(text, charset, &mut pairs)?;
    }
    Ok(pairs)
}

/// A value that may go on.
struct Open<'a> {
    key: &'a str,
    /// Bytes of the value in the text.
    begin: usize,
    end: usize,
    glued: bool,
}

impl<'a> Open<'a> {
    fn new(key: &'a str, start: usize, piece: &str) -> Open<'a> {
        let equals = piece.find('=').unwrap_or(piece.len());
        let begin = (start + equals + 1).min(start + piece.len());
        Open { key: key.trim_matches(['\r', '\n', '\t']), begin, end: start + piece.len(), glued: false }
    }

    fn close(self, text: &str, charset: Charset, pairs: &mut Pairs) -> Result<(), String> {
        let key = charset.percent_decode(self.key, false).0.to_lowercase();
        let raw = &text[self.begin..self.end];
        let is_name = key == "callername";
        // urlencode() of PHP and Python writes a space as `+`; a number's `+` must not become one, a name's that is a
        // number neither.
        let plus_is_space = is_name && !raw.contains(' ') && !raw.contains("%20");
        let kept = if is_name && begins_as_number(raw) { "+" } else { "" };
        let (value, stray) = charset.percent_decode(&raw[kept.len()..], plus_is_space);
        let value = format!("{kept}{value}");
        if self.glued {
            pairs.hint(format!("the & in the value of {} is not encoded: write %26", quoted(&key)));
        }
        if stray {
            pairs.hint(format!("the % in the value of {} is not encoded: write %25", quoted(&key)));
        }
        if let Some(rest) = key.strip_prefix("amp;") {
            pairs.hint(format!("&amp; is HTML: write & before {}", quoted(rest)));
        }
        pairs.push(key, value)
    }
}

/// What stands before the first `=`, if it can be a key: not empty, and without a space.
fn key_of(piece: &str) -> Option<&str> {
    let (key, _) = piece.split_once('=')?;
    let bare = key.trim_matches(['\r', '\n', '\t']);
    (!bare.is_empty() && !bare.contains(char::is_whitespace)).then_some(key)
}

/// `+31612345678`
fn begins_as_number(raw: &str) -> bool {
    raw.strip_prefix('+').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}
