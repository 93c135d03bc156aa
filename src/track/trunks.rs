//! Which channels lead outside.

/// Patterns of channel names, `*` for anything and `?` for one character, upper and lower case alike.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Trunks(Vec<String>);

impl Trunks {
    /// From the configuration's `trunks`.
    pub fn new<T: AsRef<str>>(patterns: impl IntoIterator<Item = T>) -> Trunks {
        Trunks(patterns.into_iter().map(|p| p.as_ref().to_ascii_lowercase()).collect())
    }

    /// The patterns.
    pub fn patterns(&self) -> &[String] {
        &self.0
    }

    /// Whether a channel of this name leads outside.
    pub fn leads_outside(&self, channel: &str) -> bool {
        let name = channel.to_ascii_lowercase();
        self.0.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
    }
}

/// Goes back to the last `*` only, so the time is bounded by the product of both lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p + 1, t));
                p += 1;
            }
            Some(b) if *b == b'?' || *b == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match back {
                Some((after, from)) => {
                    back = Some((after, from + 1));
                    p = after;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("PJSIP/trunk-*", "PJSIP/trunk-0000002a", true),
            ("PJSIP/trunk-*", "PJSIP/trunkless-0000002a", false),
            ("pjsip/trunk-*", "PJSIP/TRUNK-1", true),
            ("SIP/*-siproute-*", "SIP/voipgrid-siproute-docker-00000009", true),
            ("sofia/external/*", "sofia/external/31201234567@10.0.0.1", true),
            ("sofia/external/*", "sofia/internal/201@10.0.0.1", false),
            ("PJSIP/??-*", "PJSIP/t1-01", true),
            ("PJSIP/??-*", "PJSIP/t-01", false),
            ("*", "", true),
            ("", "PJSIP/x", false),
        ] {
            assert_eq!(Trunks::new([pattern]).leads_outside(name), expected, "{pattern} {name}");
        }
        assert!(!Trunks::default().leads_outside("PJSIP/trunk-1"));
    }
}
