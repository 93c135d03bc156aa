//! What Asterisk says to a command.

/// Lines of a usage text behind `520-`, at most. The longest one of Asterisk 22 has about 20.
const USAGE_MAX: usize = 100;

/// Bytes of a refusal that are kept for the journal.
const REFUSAL_MAX: usize = 200;

/// What a line of Asterisk's is.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// `HANGUP`: the channel is gone. Comes at any time, also before the reply to a command that runs, and twice with
    /// `AGIEXITONHANGUP=yes`.
    HangUp,
    /// The reply to the oldest command without one.
    Reply(Reply),
}

/// A reply to one command. It does not print: a result can be a code.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// `200 result=RESULT REST`. The result is a text, never a number: `0042` and `12*` are digits, and nothing at all
    /// is a result too.
    Result {
        /// What stands behind `result=`, up to a space.
        result: String,
        /// What follows the space, such as `(timeout)` or `endpos=3520`; empty where there is none.
        rest: String,
    },
    /// `510`, `520`: the command is none, or not so.
    Refused(String),
    /// `511`: the channel has hung up.
    Dead(String),
}

/// A line that is nothing Asterisk says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoReply;

/// Reads replies. Keeps the place inside of a `520-` that goes over several lines.
#[derive(Default)]
pub(super) struct ReplyReader {
    usage: Option<Usage>,
}

struct Usage {
    first: String,
    lines: usize,
}

impl ReplyReader {
    /// Takes the next line. `None`: a line inside of a usage text.
    pub(super) fn read(&mut self, line: &[u8]) -> Result<Option<Said>, NoReply> {
        if line == b"HANGUP" {
            return Ok(Some(Said::HangUp));
        }
        if let Some(usage) = &mut self.usage {
            usage.lines += 1;
            if usage.lines > USAGE_MAX {
                return Err(NoReply);
            }
            if !line.starts_with(b"520 ") {
                return Ok(None);
            }
            let first = std::mem::take(&mut usage.first);
            self.usage = None;
            return Ok(Some(Said::Reply(Reply::Refused(first))));
        }
        if let Some(rest) = line.strip_prefix(b"200 result=") {
            let text = std::str::from_utf8(rest).map_err(|_| NoReply)?;
            let (result, rest) = text.split_once(' ').unwrap_or((text, ""));
            return Ok(Some(Said::Reply(Reply::Result { result: result.to_owned(), rest: rest.to_owned() })));
        }
        match line.get(..4) {
            Some(b"520-") => {
                self.usage = Some(Usage { first: refusal(line), lines: 0 });
                Ok(None)
            }
            Some(b"510 " | b"520 ") => Ok(Some(Said::Reply(Reply::Refused(refusal(line))))),
            Some(b"511 ") => Ok(Some(Said::Reply(Reply::Dead(refusal(line))))),
            _ => Err(NoReply),
        }
    }
}

fn refusal(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(REFUSAL_MAX)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(text: &str) -> Vec<String> {
        let mut reader = ReplyReader::default();
        let said = text.lines().map(|line| match reader.read(line.as_bytes()) {
            Ok(None) => String::new(),
            Ok(Some(Said::HangUp)) => "HANGUP".to_owned(),
            Ok(Some(Said::Reply(Reply::Result { result, rest }))) => format!("{result}|{rest}"),
            Ok(Some(Said::Reply(Reply::Refused(text)))) => format!("refused {text}"),
            Ok(Some(Said::Reply(Reply::Dead(text)))) => format!("dead {text}"),
            Err(NoReply) => "none".to_owned(),
        });
        said.filter(|s| !s.is_empty()).collect()
    }

    #[test]
    fn results_are_texts() {
        for (line, read) in [
            ("200 result=0042", "0042|"),
            ("200 result=12* (timeout)", "12*|(timeout)"),
            ("200 result= (timeout)", "|(timeout)"),
            ("200 result=", "|"),
            ("200 result=123456789012", "123456789012|"),
            ("200 result=50 endpos=22080", "50|endpos=22080"),
            ("200 result=-1 Gosub label not found", "-1|Gosub label not found"),
            ("200 result=1 (a) b", "1|(a) b"),
            ("510 Invalid or unknown command", "refused 510 Invalid or unknown command"),
            (
                "511 Command Not Permitted on a dead channel or intercept routine",
                "dead 511 Command Not Permitted on a dead channel or intercept routine",
            ),
        ] {
            assert_eq!(results(line), [read], "{line}");
        }
    }

    #[test]
    fn a_usage_text_goes_over_several_lines() {
        let text = "520-Invalid command syntax.  Proper usage follows:\nReturns 0 if not set.\n\
                    Example return code: 200 result=1 (testvariable)\n520 End of proper usage.\n200 result=1";
        assert_eq!(results(text), ["refused 520-Invalid command syntax.  Proper usage follows:", "1|"]);
        let endless = format!("520-Invalid\n{}", "x\n".repeat(USAGE_MAX + 1));
        assert_eq!(results(&endless), ["none"]);
    }

    #[test]
    fn anything_else_is_no_reply() {
        for line in
            ["", "200", "200 ", "200 OK", "result=1", "hangup", "HANGUP ", "100 result=1", "500 x", "511"]
        {
            assert_eq!(results(&format!("{line}\n")), ["none"], "{line:?}");
        }
        assert!(ReplyReader::default().read(b"200 result=\xff").is_err());
    }
}
