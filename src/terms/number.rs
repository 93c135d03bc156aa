//! Telephone numbers: the caller's, the called one, and where a call may be sent.

use std::fmt;

use regex::Regex;

/// A telephone number as the PBX gave it. A withheld number is the empty text everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Default, Hash)]
pub struct Number(String);

impl Number {
    /// Takes what a PBX says. `unknown` and `anonymous`, its words for a number that it has not or must not tell, become
    /// the empty text.
    pub fn from_pbx(text: &str) -> Number {
        let text = text.trim();
        let withheld = text.eq_ignore_ascii_case("unknown") || text.eq_ignore_ascii_case("anonymous");
        Number(if withheld { String::new() } else { text.to_owned() })
    }

    /// The number's text, empty when withheld.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the caller withheld it, or the PBX has none.
    pub fn is_withheld(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How numbers are written where this PBX stands. Section `[numbers]`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Numbers {
    /// The country code without `+`, such as `31`. Empty: `e164` and `national` leave a number as it is.
    pub country: String,
    /// What stands before a national number, such as `0`. May be empty.
    pub trunk_prefix: String,
    /// What stands before an international number, such as `00`.
    pub international_prefix: String,
    /// The company's id in the JSON body (`com_id`).
    pub company_id: String,
}

impl Numbers {
    /// `+` and country code, where the number can be read so; else as it is. An extension (fewer than 7 digits) is left.
    pub fn e164(&self, number: &str) -> String {
        match self.parts(number) {
            Some((country, rest)) => format!("+{country}{rest}"),
            None => number.to_owned(),
        }
    }

    /// As it is dialled inside the country: with the trunk prefix for a number of this country, with the international
    /// prefix for any other; else as it is.
    pub fn national(&self, number: &str) -> String {
        match self.parts(number) {
            Some((country, rest)) if country == self.country => format!("{}{rest}", self.trunk_prefix),
            Some((country, rest)) if !self.international_prefix.is_empty() => {
                format!("{}{country}{rest}", self.international_prefix)
            }
            _ => number.to_owned(),
        }
    }

    /// Country code and the rest. A foreign country's code is not told from its number: the first part is then empty.
    fn parts<'a>(&'a self, number: &'a str) -> Option<(&'a str, &'a str)> {
        if self.country.is_empty() || number.len() < 7 {
            return None;
        }
        let international = number.strip_prefix('+').or_else(|| {
            (!self.international_prefix.is_empty())
                .then(|| number.strip_prefix(&self.international_prefix))
                .flatten()
        });
        let (country, rest) = match international {
            Some(digits) => match digits.strip_prefix(&self.country) {
                Some(rest) => (self.country.as_str(), rest),
                None => ("", digits),
            },
            None if self.trunk_prefix.is_empty() => (self.country.as_str(), number),
            None => (self.country.as_str(), number.strip_prefix(&self.trunk_prefix)?),
        };
        let digits = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
        digits.then_some((country, rest))
    }
}

/// A destination that was checked: it can be dialled, and it cannot be read as anything but one extension.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination(String);

/// Why an answered destination was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationRefused {
    /// It holds a character that could write a dialplan.
    #[error("{0:?} is never allowed in a destination")]
    Forbidden(char),
    /// It is none of the texts that the webhook's `allow` permits, or not of the default form.
    #[error("it does not match what destination.allow permits (default: an optional +, then 1 to 32 digits)")]
    NotAllowed,
}

impl Destination {
    /// Bytes, at most: Asterisk cuts an extension at 79.
    const MAX: usize = 79;

    /// Checks an answered destination. `Ok(None)` when there is none. It is trimmed, a leading `tel:` goes, and `(0)`
    /// behind a country code, spaces, `-`, `.`, `(` and `)` go where only digits and a leading `+` are left then.
    ///
    /// `allow` narrows the default form or permits more; each expression must match the whole text. Some characters are
    /// refused whatever it says: a web server must not be able to write a dialplan.
    pub fn parse(text: &str, allow: Option<&[Regex]>) -> Result<Option<Destination>, DestinationRefused> {
        let text = text.trim();
        let text = match text.get(..4) {
            Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => text[4..].trim_start(),
            _ => text,
        };
        if text.is_empty() {
            return Ok(None);
        }
        let text = without_punctuation(text).unwrap_or_else(|| text.to_owned());
        if let Some(bad) = text.chars().find(|c| is_dialplan_syntax(*c)) {
            return Err(DestinationRefused::Forbidden(bad));
        }
        let allowed = match allow {
            Some(patterns) => patterns.iter().any(|p| p.is_match(&text)),
            None => is_plain_number(&text),
        };
        if !allowed || text.len() > Self::MAX {
            return Err(DestinationRefused::NotAllowed);
        }
        Ok(Some(Destination(text)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_dialplan_syntax(c: char) -> bool {
    matches!(
        c,
        ',' | '&'
            | '|'
            | '$'
            | '{'
            | '}'
            | '('
            | ')'
            | '['
            | ']'
            | '"'
            | '\''
            | '\\'
            | '/'
            | '@'
            | ':'
            | ';'
            | '%'
    ) || c.is_whitespace()
        || c.is_control()
}

fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (1..=32).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

/// `+31 (0)20-123 45 67` as `+31201234567`; `None` when something else than digits would be left.
fn without_punctuation(text: &str) -> Option<String> {
    let joined: String = match text.strip_prefix('+').and_then(|rest| rest.split_once("(0)")) {
        Some((country, rest)) if !country.trim().is_empty() => format!("+{country}{rest}"),
        _ => text.to_owned(),
    };
    let bare: String = joined.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect();
    let digits = bare.strip_prefix('+').unwrap_or(&bare);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nl() -> Numbers {
        Numbers {
            country: "31".into(),
            trunk_prefix: "0".into(),
            international_prefix: "00".into(),
            ..Numbers::default()
        }
    }

    #[test]
    fn numbers_are_written_as_asked() {
        for (given, e164, national) in [
            ("0201234567", "+31201234567", "0201234567"),
            ("+31201234567", "+31201234567", "0201234567"),
            ("0031201234567", "+31201234567", "0201234567"),
            ("+4930123456", "+4930123456", "004930123456"),
            ("004930123456", "+4930123456", "004930123456"),
            ("201", "201", "201"),
            ("", "", ""),
            ("alice.jones", "alice.jones", "alice.jones"),
        ] {
            assert_eq!(nl().e164(given), e164, "{given}");
            assert_eq!(nl().national(given), national, "{given}");
        }
        assert_eq!(Numbers::default().e164("0201234567"), "0201234567");
    }

    #[test]
    fn a_withheld_number_is_empty() {
        for word in ["unknown", "anonymous", "Anonymous", ""] {
            assert!(Number::from_pbx(word).is_withheld(), "{word}");
        }
        assert_eq!(Number::from_pbx("0042").as_str(), "0042");
    }

    #[test]
    fn destinations() {
        let ok = |text: &str| Destination::parse(text, None).map(|d| d.map(|d| d.0));
        assert_eq!(ok("  215 \n"), Ok(Some("215".into())));
        assert_eq!(ok("tel:+31612345678"), Ok(Some("+31612345678".into())));
        assert_eq!(ok("+31 (0)20-123.45 67"), Ok(Some("+31201234567".into())));
        assert_eq!(ok("(020) 123 45 67"), Ok(Some("0201234567".into())));
        assert_eq!(ok(" "), Ok(None));
        assert_eq!(ok("tel:"), Ok(None));
        for bad in [
            "500&PJSIP/x",
            "Local/x@ctx",
            "5,U(sub)",
            "${X}",
            "a|b",
            "٣٤٥",
            "*72",
            "5 00 x",
            "sip:a@b",
            "1;2",
            "50%",
            "1\u{0}2",
        ] {
            assert!(ok(bad).is_err(), "{bad}");
        }
        assert!(ok(&"1".repeat(33)).is_err());
    }

    #[test]
    fn allow_narrows_or_permits_more_but_never_syntax() {
        let allow = |patterns: &[&str]| -> Vec<Regex> {
            patterns.iter().map(|p| Regex::new(&format!("^(?:{p})$")).expect("pattern")).collect()
        };
        let any = allow(&[".*"]);
        assert!(Destination::parse("*72", Some(&any)).is_ok());
        assert_eq!(Destination::parse("500&600", Some(&any)), Err(DestinationRefused::Forbidden('&')));
        let narrow = allow(&["[0-9]{3}"]);
        assert!(Destination::parse("0900123456", Some(&narrow)).is_err());
        assert!(Destination::parse("2151", Some(&narrow)).is_err());
    }
}
