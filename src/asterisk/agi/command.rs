//! Every line that we write, and Asterisk's way of reading it.
//!
//! A line feed in a value would be a new command, a NUL would shift the replies, bytes behind 2047 run as a further
//! command on Asterisk 16, and about 200 quoted words on one line kill the whole PBX. So there is one encoder, and it
//! reads its own line again.

use std::time::Duration;

use self::Piece::{Text, Word};
use crate::terms::VarName;

/// Bytes of a line, its line feed included, less than. Asterisk 16 reads 2047 of them, Asterisk 22 8191.
const COMMAND_MAX: usize = 2000;

/// Words of a line, at most, as Asterisk keeps them.
const WORDS_MAX: usize = 127;

/// The keys that interrupt a prompt. `A` to `D` are on no telephone.
const KEYS: &str = "0123456789*#";

/// A line for Asterisk, with its line feed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line(Vec<u8>);

impl Line {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Why a line cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EncodeError {
    #[error("not written: it holds a control character")]
    Control,
    #[error("not written: it is longer than {COMMAND_MAX} bytes")]
    TooLong,
    #[error("not written: Asterisk would read something else")]
    Misread,
}

/// A part of the caller id, written as a dialplan function. A function's name in `SET VARIABLE` is called, so these
/// are the only ones there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallerIdPart {
    Name,
    Number,
    Ani,
    Presentation,
}

impl CallerIdPart {
    pub(super) const fn function(self) -> &'static str {
        match self {
            CallerIdPart::Name => "CALLERID(name)",
            CallerIdPart::Number => "CALLERID(num)",
            CallerIdPart::Ani => "CALLERID(ANI-num)",
            CallerIdPart::Presentation => "CALLERID(pres)",
        }
    }
}

/// A piece of a line.
enum Piece<'a> {
    /// Ours: a word that needs no quotes.
    Word(&'a str),
    /// Somebody's: it goes between quotes.
    Text(&'a str),
}

/// `ANSWER`
pub(super) fn answer() -> Result<Line, EncodeError> {
    encode(&[Word("ANSWER")])
}

/// `CHANNEL STATUS`
pub(super) fn channel_status() -> Result<Line, EncodeError> {
    encode(&[Word("CHANNEL"), Word("STATUS")])
}

/// `STREAM FILE`, ended by any key or by none.
pub(super) fn stream_file(file: &str, keys_end_it: bool) -> Result<Line, EncodeError> {
    encode(&[Word("STREAM"), Word("FILE"), Text(file), Text(if keys_end_it { KEYS } else { "" })])
}

/// `GET DATA`. Without a file it collects in silence. A time of 0 would be Asterisk's own 6 s.
pub(super) fn get_data(file: &str, timeout: Duration, max_digits: usize) -> Result<Line, EncodeError> {
    let timeout = timeout.as_millis().max(1).to_string();
    encode(&[Word("GET"), Word("DATA"), Text(file), Word(&timeout), Word(&max_digits.to_string())])
}

/// `SET VARIABLE` for a variable.
pub(super) fn set_variable(name: &VarName, value: &str) -> Result<Line, EncodeError> {
    encode(&[Word("SET"), Word("VARIABLE"), Word(name.as_str()), Text(value)])
}

/// `SET VARIABLE` for a part of the caller id.
pub(super) fn set_caller_id(part: CallerIdPart, value: &str) -> Result<Line, EncodeError> {
    encode(&[Word("SET"), Word("VARIABLE"), Word(part.function()), Text(value)])
}

fn encode(pieces: &[Piece<'_>]) -> Result<Line, EncodeError> {
    let mut line = String::with_capacity(64);
    for piece in pieces {
        let (Word(text) | Text(text)) = piece;
        if text.chars().any(char::is_control) {
            return Err(EncodeError::Control);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        match piece {
            Word(word) => line.push_str(word),
            Text(text) => push_quoted(&mut line, text),
        }
    }
    if line.len() + 1 >= COMMAND_MAX {
        return Err(EncodeError::TooLong);
    }
    if !reads_as(&line, pieces) {
        return Err(EncodeError::Misread);
    }
    line.push('\n');
    Ok(Line(line.into_bytes()))
}

/// Whether Asterisk reads these words out of the line, no more and no other.
fn reads_as(line: &str, pieces: &[Piece<'_>]) -> bool {
    let mut left = "".chars();
    let mut words = pieces.iter().map(|piece| {
        let (Word(text) | Text(text)) = piece;
        text.chars()
    });
    let mut right = true;
    read_words(line, |read| match read {
        Read::Word => match words.next() {
            Some(word) if left.as_str().is_empty() => left = word,
            _ => right = false,
        },
        Read::Char(c) => right &= left.next() == Some(c),
    });
    right && left.as_str().is_empty() && words.next().is_none()
}

fn push_quoted(line: &mut String, text: &str) {
    line.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            line.push('\\');
        }
        line.push(c);
    }
    line.push('"');
}

/// The words of a command line without its line feed, as Asterisk reads them.
///
/// A word begins behind a space or tab, and at a quote that stands there, so `""` is an empty word. Between quotes a
/// space is a character like others; a quote inside a word begins or ends nothing but that (`a"b"c` is `abc`). A
/// backslash makes the next character a plain one, whichever it is (`\n` is `n`). A quote that is not closed reaches to
/// the line's end. What is behind the 127th word is dropped here; a real Asterisk drops it when it is not quoted, and
/// is killed by it when it is.
///
/// Every rule was seen on the wire; the lines are in the test `as_asterisk_read_it`.
pub fn parse_command(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    read_words(line, |read| match read {
        Read::Word => words.push(String::new()),
        Read::Char(c) => {
            if let Some(word) = words.last_mut() {
                word.push(c);
            }
        }
    });
    words
}

/// What Asterisk reads out of a line, piece by piece.
enum Read {
    /// A word begins.
    Word,
    /// A character of it.
    Char(char),
}

fn read_words(line: &str, mut take: impl FnMut(Read)) {
    let mut words = 0;
    let (mut quoted, mut escaped, mut between) = (false, false, true);
    for c in line.chars() {
        match c {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '"' if !escaped => {
                quoted = !quoted;
                if quoted && between {
                    if words == WORDS_MAX {
                        break;
                    }
                    words += 1;
                    take(Read::Word);
                    between = false;
                }
                continue;
            }
            ' ' | '\t' if !escaped && !quoted => {
                between = true;
                continue;
            }
            _ => {}
        }
        escaped = false;
        if between {
            if words == WORDS_MAX {
                break;
            }
            words += 1;
            take(Read::Word);
            between = false;
        }
        take(Read::Char(c));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(line: Result<Line, EncodeError>) -> Result<String, EncodeError> {
        line.map(|l| String::from_utf8(l.into_bytes()).expect("UTF-8"))
    }

    #[test]
    fn lines() {
        let name = VarName::parse("CRM_RESULT").expect("a name");
        let set = |value: &str| text(set_variable(&name, value));
        assert_eq!(text(answer()).as_deref(), Ok("ANSWER\n"));
        assert_eq!(text(channel_status()).as_deref(), Ok("CHANNEL STATUS\n"));
        assert_eq!(text(stream_file("beep", false)).as_deref(), Ok("STREAM FILE \"beep\" \"\"\n"));
        assert_eq!(text(stream_file("beep", true)).as_deref(), Ok("STREAM FILE \"beep\" \"0123456789*#\"\n"));
        let data = text(get_data("", Duration::from_millis(2500), 3));
        assert_eq!(data.as_deref(), Ok("GET DATA \"\" 2500 3\n"));
        assert_eq!(set("").as_deref(), Ok("SET VARIABLE CRM_RESULT \"\"\n"));
        assert_eq!(
            set(r#"a "b\c" ${x}, é"#).as_deref(),
            Ok("SET VARIABLE CRM_RESULT \"a \\\"b\\\\c\\\" ${x}, é\"\n")
        );
        let caller = text(set_caller_id(CallerIdPart::Name, "Zoë Müller & Söhne"));
        assert_eq!(caller.as_deref(), Ok("SET VARIABLE CALLERID(name) \"Zoë Müller & Söhne\"\n"));
    }

    #[test]
    fn what_would_be_another_command_is_not_written() {
        let name = VarName::parse("A").expect("a name");
        for value in ["a\nANSWER", "a\r", "a\0b", "\u{85}"] {
            assert_eq!(set_variable(&name, value), Err(EncodeError::Control), "{value:?}");
        }
        assert_eq!(set_variable(&name, &"x".repeat(COMMAND_MAX)), Err(EncodeError::TooLong));
        assert_eq!(set_variable(&name, &"\"".repeat(COMMAND_MAX / 2)), Err(EncodeError::TooLong));
        let longest = text(set_variable(&name, &"x".repeat(COMMAND_MAX - 19))).expect("a line");
        assert_eq!(longest.len(), COMMAND_MAX - 1);
    }

    /// `SET VARIABLE V1 …` as it was sent, and what Asterisk 22 and 16 then had in `V1`. `None`: refused, for it has not
    /// two words behind `VARIABLE`.
    #[test]
    fn as_asterisk_read_it() {
        for (sent, read) in [
            ("plain", Some("plain")),
            ("two words", None),
            (r#""two words""#, Some("two words")),
            (r#""say \"hi\"""#, Some(r#"say "hi""#)),
            (r#""back\\slash""#, Some(r"back\slash")),
            (r#""single\slash""#, Some("singleslash")),
            (r#""a\nb""#, Some("anb")),
            (r#""tail\\""#, Some(r"tail\")),
            (r#""a,b;c|d""#, Some("a,b;c|d")),
            (r#""${EXTEN}""#, Some("${EXTEN}")),
            (r#""Zoë 日本 €😀""#, Some("Zoë 日本 €😀")),
            ("\"tab\there\"", Some("tab\there")),
            (r#""  lead trail  ""#, Some("  lead trail  ")),
            (r#""paren)x(y""#, Some("paren)x(y")),
            (r#""unterminated"#, Some("unterminated")),
            (r#"a"b"c"#, Some("abc")),
            (r"a\ b", Some("a b")),
            (r#""""#, Some("")),
            ("", None),
        ] {
            let words = parse_command(&format!("SET VARIABLE V1 {sent}"));
            let value = (words.len() == 4).then(|| words[3].as_str());
            assert_eq!(value, read, "{sent}");
        }
        assert_eq!(parse_command("  ANSWER"), ["ANSWER"]);
        assert!(parse_command("").is_empty());
    }

    #[test]
    fn many_quoted_words_do_not_grow() {
        assert_eq!(parse_command(&"\"\" ".repeat(500)).len(), WORDS_MAX);
        assert_eq!(parse_command(&"a ".repeat(500)).len(), WORDS_MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn asterisk_reads_what_was_meant(value: String) {
            let name = VarName::parse("A").expect("a name");
            match text(set_variable(&name, &value)) {
                Ok(line) => {
                    prop_assert!(line.len() < COMMAND_MAX);
                    let inside = line.strip_suffix('\n').expect("a line feed");
                    prop_assert!(!inside.contains(['\n', '\r', '\0']));
                    prop_assert_eq!(parse_command(inside), ["SET", "VARIABLE", "A", value.as_str()]);
                }
                Err(EncodeError::Control) => prop_assert!(value.chars().any(char::is_control)),
                Err(EncodeError::TooLong) => prop_assert!(value.len() > 900),
                Err(EncodeError::Misread) => prop_assert!(false, "{value:?} is read otherwise"),
            }
        }

        #[test]
        fn syntax_survives_too(value in "[\"\\\\ \t$a]{0,40}") {
            let line = text(encode(&[Word("NOOP"), Text(&value.replace('\t', " "))])).expect("a line");
            prop_assert_eq!(parse_command(line.trim_end_matches('\n')), ["NOOP".to_owned(), value.replace('\t', " ")]);
        }
    }
}
