//! What must not be logged is a type that cannot be printed.

use std::fmt;

/// The digits that the caller entered: `0-9`, `*`, at most [`Code::MAX`]. Neither `Debug` nor `Display` shows them; the
/// only way to the digits is [`Code::reveal`].
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Code(String);

impl Code {
    /// Digits, at most. FreeSWITCH writes one byte behind its buffer for 128 (read in its source), and takes no more.
    pub const MAX: usize = 127;

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

    /// `text` with every occurrence of the digits masked, percent-encoded ones (`%2A` for `*`) too: for what a web server
    /// sends back.
    pub fn mask_in(&self, text: &str) -> String {
        if self.0.is_empty() {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        let (mut kept, mut at) = (0, 0);
        while at < text.len() {
            match self.length_at(&text.as_bytes()[at..]) {
                Some(length) => {
                    out.push_str(&text[kept..at]);
                    out.push_str(Self::MASK);
                    at += length;
                    kept = at;
                }
                None => at += 1,
            }
        }
        out.push_str(&text[kept..]);
        out
    }

    /// How many bytes the digits take, if `bytes` begins with them. All of them are ASCII: a match begins and ends
    /// between characters.
    fn length_at(&self, bytes: &[u8]) -> Option<usize> {
        let hex = |b: u8| char::from(b).to_digit(16);
        let mut length = 0;
        for digit in self.0.bytes() {
            length += match bytes.get(length..)? {
                [b, ..] if *b == digit => 1,
                [b'%', high, low, ..] if hex(*high)? * 16 + hex(*low)? == u32::from(digit) => 3,
                _ => return None,
            };
        }
        Some(length)
    }

    /// What is shown in the place of a code. It does not tell the length.
    pub const MASK: &'static str = "****";
}

/// The codes of one call that a web server was told. Any of them may come back in any later answer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Codes(Vec<Code>);

impl Codes {
    /// None.
    pub const NONE: Codes = Codes(Vec::new());

    /// One more.
    pub fn add(&mut self, code: &Code) {
        if !code.is_empty() && !self.0.contains(code) {
            // The longest first: a shorter one that it begins with must not leave its rest.
            let at = self.0.partition_point(|other| other.len() >= code.len());
            self.0.insert(at, code.clone());
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `text` with each of them masked as [`Code::mask_in`] does.
    pub fn mask_in(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, code| code.mask_in(&text))
    }
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
        assert_eq!(code.mask_in("é0042é00%342"), "é****é****");
        let star = Code::parse("12*4").expect("digits");
        assert_eq!(star.mask_in("/r?code=12%2A4&a=12%2a4 12*4 12*"), "/r?code=****&a=**** **** 12*");
        let mut codes = Codes::default();
        for digits in ["0042", "", "00421", "9"] {
            codes.add(&Code::parse(digits).expect("digits"));
        }
        assert_eq!(codes.mask_in("00421 0042 9"), "**** **** ****");
        assert_eq!(Code::parse("12a"), None);
        assert_eq!(Code::parse("12#"), None);
        assert!(Code::parse("12*A").is_some());
    }
}
