//! How Asterisk cuts a line into words: by spaces and tabs, `"` groups, `\` takes the next character as it is
//! (res_agi.c, `parse_args`; measured).

/// Words, at most; what is behind them is ignored. The check is missing where a word begins with a quote: Asterisk then
/// writes behind its array and dies (asterisk#2069).
const MAX: usize = 127;

/// A line's words, or `None` where Asterisk would have died.
pub(super) fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let (mut quoted, mut escaped, mut between) = (false, false, true);
    for byte in line.iter().copied().take_while(|b| *b != 0) {
        match byte {
            b'"' if !escaped => {
                quoted = !quoted;
                if quoted && between {
                    if words.len() > MAX {
                        return None;
                    }
                    words.push(Vec::new());
                    between = false;
                }
            }
            b' ' | b'\t' if !quoted && !escaped => between = true,
            b'\\' if !escaped => escaped = true,
            _ => {
                escaped = false;
                if between {
                    if words.len() >= MAX {
                        continue;
                    }
                    words.push(Vec::new());
                    between = false;
                }
                words.last_mut()?.push(byte);
            }
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: the argument behind `SET VARIABLE V1`, and what the variable held (Asterisk 22 and 16).
    #[test]
    fn words_are_cut_as_recorded() {
        for (sent, value) in [
            ("plain", "plain"),
            ("\"two words\"", "two words"),
            ("\"say \\\"hi\\\"\"", "say \"hi\""),
            ("\"back\\\\slash\"", "back\\slash"),
            ("\"single\\slash\"", "singleslash"),
            ("\"tail\\\\\"", "tail\\"),
            ("\"${EXTEN}\"", "${EXTEN}"),
            ("\"tab\there\"", "tab\there"),
            ("\"cr\rhere\"", "cr\rhere"),
            ("\"  lead trail  \"", "  lead trail  "),
            ("\"unterminated", "unterminated"),
            ("a\"b\"c", "abc"),
            ("a\\ b", "a b"),
            ("\"\"", ""),
        ] {
            let words = split(format!("SET VARIABLE V1 {sent}").as_bytes()).expect("few words");
            assert_eq!(words.len(), 4, "{sent}");
            assert_eq!(words[3], value.as_bytes(), "{sent}");
        }
    }

    #[test]
    fn many_plain_words_are_cut_off_and_many_quoted_ones_kill() {
        assert_eq!(split("a ".repeat(300).as_bytes()).map(|w| w.len()), Some(127));
        assert_eq!(split("\"a\" ".repeat(126).as_bytes()).map(|w| w.len()), Some(126));
        assert_eq!(split("\"a\" ".repeat(200).as_bytes()), None);
    }
}
