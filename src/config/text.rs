//! A text of the file: what was written, where each byte of it stands, and what `${NAME}` in it became.

use std::ops::Range;

use crate::terms::Secret;

/// A text as the reader hands it out.
#[derive(Clone, Debug)]
pub(super) struct Text {
    written: String,
    span: Range<usize>,
    /// For each byte of `written`, and its end: the byte of the file. `None`: not known.
    places: Option<Vec<usize>>,
    pub(super) inserted: Vec<(Range<usize>, Secret)>,
    /// Every `${NAME}` in it is set. If not, that was reported, and [`Text::value`] is of no use.
    pub(super) complete: bool,
}

impl Text {
    /// `span` is the value's, quotes included.
    pub(super) fn new(written: &str, source: &str, span: Range<usize>) -> Text {
        let raw = source.get(span.clone()).unwrap_or_default();
        let places = places(raw, written).map(|mut places| {
            places.iter_mut().for_each(|p| *p += span.start);
            places
        });
        Text { written: written.to_owned(), span, places, inserted: Vec::new(), complete: true }
    }

    /// As it was written, TOML's escapes undone.
    pub(super) fn written(&self) -> &str {
        &self.written
    }

    /// With the values of `${NAME}`. May hold a secret: no message repeats it.
    pub(super) fn value(&self) -> String {
        let mut out = String::with_capacity(self.written.len());
        let mut at = 0;
        for (range, value) in &self.inserted {
            out.push_str(&self.written[at..range.start]);
            out.push_str(value.reveal());
            at = range.end;
        }
        out.push_str(&self.written[at..]);
        out
    }

    /// The whole value in the file, quotes included.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Where these bytes of [`Text::written`] stand in the file; the whole value where that is not known.
    pub(super) fn at(&self, range: Range<usize>) -> Range<usize> {
        match &self.places {
            Some(places) if range.start < range.end && range.end < places.len() => {
                places[range.start]..places[range.end]
            }
            _ => self.span(),
        }
    }

    /// Every `${NAME}`: the range, and the name or `None` where it is no name.
    pub(super) fn references(&self) -> Vec<(Range<usize>, Option<&str>)> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(start) = self.written[at..].find("${").map(|i| at + i) {
            let inside = &self.written[start + 2..];
            let name = inside.find('}').map(|end| &inside[..end]).filter(|name| is_name(name));
            at = start + 2 + name.map_or(0, |n| n.len() + 1);
            found.push((start..at, name));
        }
        found
    }
}

/// As the shell has them.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// For each byte of a decoded TOML string, and its end, the byte of `raw`, which is the string with its quotes.
fn places(raw: &str, decoded: &str) -> Option<Vec<usize>> {
    let quote = raw.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let width =
        if raw.len() >= 6 && raw[1..].starts_with([quote]) && raw[2..].starts_with([quote]) { 3 } else { 1 };
    let end = raw.len().checked_sub(width).filter(|end| *end >= width)?;
    let mut at = width;
    if width == 3 {
        let body = &raw[at..end];
        at += if body.starts_with("\r\n") { 2 } else { usize::from(body.starts_with('\n')) };
    }
    let mut places = Vec::with_capacity(decoded.len() + 1);
    let mut wanted = decoded.chars();
    while at < end {
        let rest = &raw[at..end];
        let mut chars = rest.chars();
        let first = chars.next()?;
        let taken = match (first, chars.next()) {
            ('\\', Some(c)) if quote == '"' => match c {
                'x' => 4,
                'u' => 6,
                'U' => 10,
                // A line ending behind a backslash: nothing, up to the next text.
                c if c.is_whitespace() => {
                    at += rest.len() - rest[1..].trim_start_matches([' ', '\t', '\r', '\n']).len();
                    continue;
                }
                c => 1 + c.len_utf8(),
            },
            ('\r', Some('\n')) if wanted.as_str().starts_with('\n') => 2,
            _ => first.len_utf8(),
        };
        let c = wanted.next()?;
        places.resize(places.len() + c.len_utf8(), at);
        at += taken;
    }
    places.push(end);
    (wanted.next().is_none() && places.len() == decoded.len() + 1).then_some(places)
}

#[cfg(test)]
mod tests {
    use toml::de::DeValue;

    use super::*;

    fn decoded(raw: &str) -> String {
        DeValue::parse(raw).expect(raw).get_ref().as_str().expect(raw).to_owned()
    }

    #[test]
    fn every_character_is_found_again() {
        for (raw, wanted, place) in [
            (r#""a{x}""#, "{x}", "{x}"),
            (r#"'a\{x}'"#, "{x}", "{x}"),
            (r#""\"\\\t{x}""#, "{x}", "{x}"),
            (r#""é\u00e9\U0001F600{x}\x41""#, "{x}", "{x}"),
            (r#""a\u007bx}""#, "{x}", r"\u007bx}"),
            ("\"\"\"\na\n{x}\n\"\"\"", "{x}", "{x}"),
            ("\"\"\"\r\na\r\n{x}\"\"\"", "{x}", "{x}"),
            ("\"\"\"a \\\n   b{x}\"\"\"", "{x}", "{x}"),
            ("'''\n\\n{x}'''", "{x}", "{x}"),
        ] {
            let text = Text::new(&decoded(raw), raw, 0..raw.len());
            let at = text.written().find(wanted).expect(raw);
            assert_eq!(&raw[text.at(at..at + wanted.len())], place, "{raw}");
        }
    }

    proptest::proptest! {
        #[test]
        fn places_are_found_for_every_string_of_toml(raw in r#"("([a-z{}é]|\\[nt"\\]|\\u00[0-9a-f]{2}|\\x[0-7]f){0,9}")|('''[a-z\\\n"{]{0,9}''')|("""[a-zé\n{]{0,5}(\\ *\n *)?[a-z]{0,3}""")"#) {
            let decoded = decoded(&raw);
            let places = places(&raw, &decoded).expect("known");
            proptest::prop_assert_eq!(places.len(), decoded.len() + 1);
            for (i, c) in decoded.char_indices().filter(|(_, c)| c.is_ascii_lowercase()) {
                let there = raw[places[i]..].chars().next();
                proptest::prop_assert!(there == Some(c) || there == Some('\\'));
            }
        }
    }

    #[test]
    fn references_are_names_in_braces() {
        let text = Text::new("a${B_1}$${c}${}${1x}${", "", 0..0);
        let found: Vec<_> = text.references().into_iter().map(|(r, n)| (r.start, n)).collect();
        assert_eq!(found, [(1, Some("B_1")), (8, Some("c")), (12, None), (15, None), (20, None)]);
    }
}
