//! Values as a part of another text.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How values are written into the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Percent-encoded to RFC 3986's unreserved characters: URLs and forms.
    Percent,
    /// Escaped as inside a JSON string.
    Json,
    /// Escaped as in XML's text and attributes.
    Xml,
    /// Without control characters: header values.
    Header,
    /// As they are.
    Plain,
}

impl Encoding {
    /// Writes a value so that nothing in it is syntax in its place.
    pub fn push(self, out: &mut String, value: &str) {
        match self {
            Encoding::Percent => out.extend(utf8_percent_encode(value, RESERVED)),
            Encoding::Plain => out.push_str(value),
            Encoding::Header => out.extend(value.chars().filter(|c| !c.is_control())),
            Encoding::Json => {
                for c in value.chars() {
                    match c {
                        '"' => out.push_str("\\\""),
                        '\\' => out.push_str("\\\\"),
                        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                            // All of them are in the basic plane: one unit each.
                            out.push_str(&format!("\\u{:04x}", u32::from(c)));
                        }
                        c => out.push(c),
                    }
                }
            }
            Encoding::Xml => {
                for c in value.chars() {
                    match c {
                        '&' => out.push_str("&amp;"),
                        '<' => out.push_str("&lt;"),
                        '>' => out.push_str("&gt;"),
                        '"' => out.push_str("&quot;"),
                        '\'' => out.push_str("&#39;"),
                        // XML 1.0 has no way to write most control characters.
                        c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => {}
                        c => out.push(c),
                    }
                }
            }
        }
    }
}
