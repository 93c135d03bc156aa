//! What must not be logged is a type that cannot be printed.

use std::fmt;

/// The digits that the caller entered: `0-9`, `*`, at most [`Code::MAX`]. Neither `Debug` nor `Display` shows them; the
/// only way to the digits is [`Code::reveal`].
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Code(String);

impl Code {
    /// Digits, at most. FreeSWITCH ends a collection at once when asked for more than 128 (measured).
    pub const MAX: usize = 128;

    /// Takes the digits of an entry. `None` when there is anything else than `0-9`, `*`, `#`, `A-D` or too many of
    /// them; `#` ends an entry and is never part of it.
    pub fn parse(digits: &str) -> Option<Code> {
        let fits = digits.len() <= Self::MAX;
        let all = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'*' | b'A'..=b'D'));
        (fits && all).then(|| Code(digits.to_owned()))
    }

    /// The digits. Whoever calls this answers for where they go.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// How many digits there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was entered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `text` with every occurrence of the digits masked, for what a web server sends back.
    pub fn mask_in(&self, text: &str) -> String {
        if self.0.is_empty() { text.to_owned() } else { text.replace(&self.0, Self::MASK) }
    }

    /// What is shown in the place of a code. It does not tell the length.
    pub const MASK: &'static str = "****";
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}

/// A password, a token, a signing key.
#[derive(Clone, PartialEq, Eq, Default, Hash)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret. Whoever calls this answers for where it goes.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_secrets_do_not_print() {
        let code = Code::parse("0042").expect("digits");
        assert_eq!(code.reveal(), "0042");
        assert!(!format!("{code:?} {:?}", Secret::new("hunter2")).contains("0042"));
        assert_eq!(code.mask_in("code 0042 is wrong"), "code **** is wrong");
        assert_eq!(Code::parse("12a"), None);
        assert_eq!(Code::parse("12#"), None);
        assert!(Code::parse("12*A").is_some());
    }
}
