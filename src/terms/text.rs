//! Texts that leave for a PBX, and the names of channel variables.

use std::borrow::Cow;
use std::fmt;

/// A text that is safe to hand to a PBX. Its only constructor cleans.
///
/// It holds no control character, no `"`, no `\`, and no `$` in front of `{` or `[`, so that neither AGI's quoting nor
/// a dialplan's expansion can read syntax in it, and it is at most [`PbxText::MAX`] bytes long.
#[derive(Clone, PartialEq, Eq, Default, Hash)]
pub struct PbxText(String);

/// What [`PbxText::clean`] had to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Cleaned {
    /// Characters that were dropped or replaced by a space.
    pub changed: bool,
    /// Characters behind the limit that were cut off.
    pub cut: bool,
}

impl Cleaned {
    /// Whether the text is another one than before.
    pub fn any(self) -> bool {
        self.changed || self.cut
    }
}

impl PbxText {
    /// Bytes, at most. An AGI line holds 2047 of them on Asterisk 16 and runs the rest as a further command
    /// (measured); this leaves room for the command and the name.
    pub const MAX: usize = 1000;

    /// Characters of a caller name, at most: phones show fewer.
    pub const MAX_NAME: usize = 60;

    /// Cleans a text for a PBX and tells what it changed. CR and LF become a space, other control characters, `"` and
    /// `\` go, and so does a `$` that would stand before `{` or `[`.
    pub fn clean(text: &str) -> (PbxText, Cleaned) {
        Self::keep(text, Self::MAX, usize::MAX, |_| true)
    }

    /// Cleans a caller name: as [`PbxText::clean`], and without `<`, `>` and the characters that turn the reading
    /// direction, at most [`PbxText::MAX_NAME`] characters.
    pub fn clean_name(text: &str) -> (PbxText, Cleaned) {
        Self::keep(text, Self::MAX, Self::MAX_NAME, |c| !matches!(c, '<' | '>') && !turns_direction(c))
    }

    fn keep(
        text: &str,
        max_bytes: usize,
        max_chars: usize,
        extra: impl Fn(char) -> bool,
    ) -> (PbxText, Cleaned) {
        let mut cleaned = Cleaned::default();
        let mut out = String::with_capacity(text.len().min(max_bytes));
        let mut chars = 0;
        for c in text.chars() {
            let c = match c {
                '\r' | '\n' => ' ',
                '"' | '\\' => '\0',
                c if c.is_control() || !extra(c) => '\0',
                c => c,
            };
            if c == '\0' {
                cleaned.changed = true;
                continue;
            }
            if out.len() + c.len_utf8() > max_bytes || chars == max_chars {
                cleaned.cut = true;
                break;
            }
            // `$` goes when what follows it, after the cleaning, would make it an expression.
            if matches!(c, '{' | '[') {
                while out.ends_with('$') {
                    out.pop();
                    chars -= 1;
                    cleaned.changed = true;
                }
            }
            out.push(c);
            chars += 1;
        }
        cleaned.changed |= text.contains(['\r', '\n']);
        (PbxText(out), cleaned)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Bidirectional controls (Unicode's Bidi_Control): a name with them can show other digits than it holds.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Debug for PbxText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for PbxText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&'static str> for PbxText {
    /// For the program's own words. Cleans like every other way in.
    fn from(text: &'static str) -> Self {
        Self::clean(text).0
    }
}

/// The name of a channel variable, `[A-Z][A-Z0-9_]{0,63}`. It comes from the configuration alone: a name that ends in
/// `)` is a function write on Asterisk (measured: `SHELL(...)` runs), so a web server must never choose one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VarName(Cow<'static, str>);

/// Why a text is no name for a channel variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VarNameError {
    /// Not of the form.
    #[error("a variable name is a capital letter, then at most 63 of A-Z 0-9 _")]
    Form,
    /// A name that the program or the PBX keeps for itself.
    #[error("names that begin with {0} are kept for the program and the PBX")]
    Reserved(&'static str),
}

impl VarName {
    /// Beginnings that a configuration cannot use. The later ones steer FreeSWITCH in lower case.
    const RESERVED: [&'static str; 6] =
        ["WEBHOOK_", "SWITCHHOOK_", "EXECUTE_ON_", "API_", "EFFECTIVE_", "SIP_"];

    /// Reads a name from the configuration.
    pub fn parse(text: &str) -> Result<VarName, VarNameError> {
        let mut bytes = text.bytes();
        let starts = bytes.next().is_some_and(|b| b.is_ascii_uppercase());
        let goes_on = bytes.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if !starts || !goes_on || text.len() > 64 {
            return Err(VarNameError::Form);
        }
        if let Some(beginning) = Self::RESERVED.into_iter().find(|r| text.starts_with(r)) {
            return Err(VarNameError::Reserved(beginning));
        }
        Ok(VarName(Cow::Owned(text.to_owned())))
    }

    /// One of the program's own result variables, `WEBHOOK_…`.
    pub(crate) fn own(name: &'static str) -> VarName {
        debug_assert!(name.starts_with("WEBHOOK_"));
        VarName(Cow::Borrowed(name))
    }

    /// The name in upper case, as Asterisk gets it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VarName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_leaves_no_syntax() {
        for (given, kept) in [
            ("Jansen & Zn", "Jansen & Zn"),
            ("Zoë Müller & Söhne \"GmbH\"", "Zoë Müller & Söhne GmbH"),
            ("a\r\nX: y", "a  X: y"),
            ("a\\r\\nX", "arnX"),
            ("${system(touch x)}", "{system(touch x)}"),
            ("$$\\{x}", "{x}"),
            ("$\"{x}", "{x}"),
            ("$[1+1] $5", "[1+1] $5"),
            ("nul\0bell\u{7}c1\u{85}", "nulbellc1"),
        ] {
            let (text, cleaned) = PbxText::clean(given);
            assert_eq!(text.as_str(), kept, "{given:?}");
            assert_eq!(cleaned.any(), given != kept, "{given:?}");
        }
    }

    #[test]
    fn cleaning_cuts_between_characters() {
        let (text, cleaned) = PbxText::clean(&"é".repeat(600));
        assert_eq!(text.as_str().len(), 1000);
        assert!(cleaned.cut && !cleaned.changed);
        let (name, _) = PbxText::clean_name(&"é".repeat(61));
        assert_eq!(name.as_str().chars().count(), 60);
        assert_eq!(PbxText::clean_name("a\u{202E}<sip:x>b").0.as_str(), "asip:xb");
    }

    #[test]
    fn names_of_variables() {
        assert!(VarName::parse("CRM_RESULT2").is_ok());
        for bad in ["", "crm", "1A", "A-B", "SHELL(x)", "A B", "É", &"A".repeat(65)] {
            assert_eq!(VarName::parse(bad), Err(VarNameError::Form), "{bad}");
        }
        for bad in [
            "WEBHOOK_RESULT",
            "SWITCHHOOK_X",
            "EXECUTE_ON_ANSWER",
            "API_HANGUP_HOOK",
            "SIP_H_X",
            "EFFECTIVE_X",
        ] {
            assert!(matches!(VarName::parse(bad), Err(VarNameError::Reserved(_))), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_cleaned_can_be_read_as_syntax(text: String) {
            let (clean, _) = PbxText::clean(&text);
            let clean = clean.as_str();
            proptest::prop_assert!(clean.len() <= PbxText::MAX);
            proptest::prop_assert!(!clean.contains(['"', '\\', '\r', '\n', '\0']));
            let expression = clean.contains("${") || clean.contains("$[");
            proptest::prop_assert!(!expression);
            let again = PbxText::clean(clean).0;
            proptest::prop_assert_eq!(again.as_str(), clean);
        }
    }
}
