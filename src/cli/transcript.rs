//! A call's journal as a text for people: what was asked, heard, answered, understood and done.

use std::fmt::{self, Display, Formatter, Write as _};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::ink::Ink;
use crate::terms::{CallResult, Code, Dialect, Ended, EntryFault, Journal, Reason, Step, Via, What};

/// Lines of a body that are shown, at most.
const BODY_LINES: usize = 12;

/// A journal that prints itself, one line per step, each with the seconds since the beginning.
#[derive(Debug)]
pub(super) struct Transcript<'a> {
    journal: &'a Journal,
    zone: TimeZone,
    ink: Ink,
}

impl<'a> Transcript<'a> {
    /// With the machine's time zone.
    pub(super) fn new(journal: &'a Journal, ink: Ink) -> Transcript<'a> {
        Transcript { journal, zone: TimeZone::system(), ink }
    }

    /// With another time zone, in black and white.
    #[cfg(test)]
    pub(super) fn in_zone(journal: &'a Journal, zone: TimeZone) -> Transcript<'a> {
        Transcript { journal, zone, ink: Ink::NONE }
    }
}

impl Display for Transcript<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (journal, ink) = (self.journal, self.ink);
        writeln!(
            f,
            "Call {}  {}  {}",
            journal.call,
            clean(&journal.webhook),
            date(journal.started, &self.zone)
        )?;
        if !journal.linked_id.is_empty() {
            let (pbx, id) = (pbx(journal), clean(&journal.linked_id));
            writeln!(f, "{pbx}'s call {id}, channel {}", clean(&journal.unique_id))?;
        }
        writeln!(f)?;
        for step in &journal.steps {
            let at = ink.dim(format!("{:>8.3} s", seconds(step.at_us)));
            writeln!(f, "{at}  {}", sentence(journal, step))?;
            for line in details(journal, &step.what) {
                writeln!(f, "{:12}{line}", "")?;
            }
        }
        let (result, reason) = (journal.result, journal.reason);
        let attempts = match journal.attempts {
            0 => String::new(),
            1 => ", 1 attempt".to_owned(),
            n => format!(", {n} attempts"),
        };
        let word = ink.verdict(result == CallResult::Success, result.to_string());
        writeln!(f, "\n{word} ({reason}): {}", in_words(reason, journal.result))?;
        writeln!(f, "It took {}{attempts}.", span(journal.took_us))
    }
}

/// A time in a time zone, to the second.
pub(super) fn date(ms: i64, zone: &TimeZone) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(at) => at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => format!("{ms} ms"),
    }
}

/// What a reason means, in a sentence.
pub(super) fn in_words(reason: Reason, result: CallResult) -> &'static str {
    match reason {
        Reason::Ok if result == CallResult::Success => "everything went well.",
        Reason::Ok => "the session ended before the result was set.",
        Reason::Nak => "the input was wrong, and no attempt is left.",
        Reason::Err => "the web server answered ERR: something is wrong over there.",
        Reason::NoInput => "the caller pressed nothing.",
        Reason::Dns => "the web server's name could not be resolved.",
        Reason::Connect => "no connection to the web server.",
        Reason::Tls => "the web server's certificate is not trusted, or TLS failed otherwise.",
        Reason::Timeout => "the time was over.",
        Reason::HttpStatus => "the web server answered with an HTTP status that is no 2xx.",
        Reason::BadAnswer => "the web server's answer says nothing that is known here.",
        Reason::Blocked => "the address policy forbids the web server's address.",
        Reason::DestinationRefused => "the answered destination is not allowed.",
        Reason::Hangup => "the caller hung up.",
        Reason::UnknownWebhook => "no webhook of that name is configured.",
        Reason::Disabled => "the webhook is switched off.",
        Reason::LockedOut => "too many wrong codes from this caller.",
        Reason::Overload => "there were as many calls as there may be.",
        Reason::Shutdown => "the daemon was going down.",
        Reason::ProtocolError => "the PBX said something that is not its protocol.",
    }
}

fn pbx(journal: &Journal) -> &str {
    match journal.pbx.as_str() {
        "asterisk" => "Asterisk",
        "freeswitch" => "FreeSWITCH",
        other => other,
    }
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

/// 840 µs, 12.3 ms, 2.51 s: three figures are enough.
fn span(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", seconds(us) * 1_000.0),
        _ => format!("{:.2} s", seconds(us)),
    }
}

/// A text from the network for a terminal: what would steer it is shown and not sent.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Besides the controls, the characters that turn the reading direction.
        if c.is_control()
            || matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", clean(text))
}

fn sentence(journal: &Journal, step: &Step) -> String {
    match &step.what {
        What::Asked { path, channel, callername } => {
            let name = if callername.is_empty() { String::new() } else { format!("{} ", quoted(callername)) };
            let number = if journal.callerid.is_empty() { "a withheld number" } else { &journal.callerid };
            let did = if journal.did.is_empty() { "an unknown number" } else { &journal.did };
            let (number, did) = (clean(number), clean(did));
            format!(
                "{} asks for {}: {name}{number} calls {did} on {}.",
                pbx(journal),
                clean(path),
                clean(channel)
            )
        }
        What::Answered => "The channel is answered.".to_owned(),
        What::Entry { attempt, prompts, digits, shown, ended } => {
            entry(*attempt, prompts, *digits, shown.as_deref(), *ended)
        }
        What::EntryRefused { fault, .. } => match fault {
            EntryFault::Nothing => "Nothing was pressed: the web server is not asked.".to_owned(),
            EntryFault::TooShort => "Too few digits: the web server is not asked.".to_owned(),
            EntryFault::Pattern => "Not of the webhook's pattern: the web server is not asked.".to_owned(),
        },
        What::Played { prompt } => format!("The caller hears {}.", clean(prompt)),
        What::SoundMissing { prompt } => {
            format!("The sound file {} is missing on the PBX: silence instead.", clean(prompt))
        }
        What::LockedOut { failures } => {
            format!("Locked out after {failures} wrong codes: no prompt, no request.")
        }
        What::Request { method, url, via, .. } => {
            let why = match via {
                Via::First => "Request",
                Via::Retry => "The same once more",
                Via::Redirect => "Redirected",
                Via::Fallback => "Request to the fallback_url",
            };
            format!("{why}: {method} {}", clean(url))
        }
        What::Resolved { host, addresses } => {
            let addresses = if addresses.is_empty() { "nowhere".to_owned() } else { addresses.join(", ") };
            format!("{} is at {addresses}.", clean(host))
        }
        What::Response { http_status, peer, reused, head_us, content_type, bytes, .. } => {
            let how = if *reused { "an open connection" } else { "a new connection" };
            let kind =
                if content_type.is_empty() { "no Content-Type".to_owned() } else { clean(content_type) };
            format!(
                "HTTP {http_status} from {peer} after {} over {how}: {kind}, {bytes} bytes",
                span(*head_us)
            )
        }
        What::RequestFailed { reason, detail } => format!("No answer ({reason}): {}", clean(detail)),
        What::Cached { age_ms } => format!("The answer of {} ago is used again.", span(age_ms * 1_000)),
        What::Joined => "Another call was asking the same: its answer is waited for.".to_owned(),
        What::Answer { status, destination, callername, dialect, .. } => {
            answer(&status.to_string(), destination, callername, *dialect)
        }
        What::NoAnswer { reason, detail } => format!("Nothing to go by ({reason}): {}", clean(detail)),
        What::DestinationRefused { destination, detail } => {
            format!("The destination {} is refused: {}", quoted(destination), clean(detail))
        }
        What::Cleaned { what } => {
            format!("{} held characters that must not reach the PBX; they were taken out.", clean(what))
        }
        What::HungUp => "The caller hangs up.".to_owned(),
        What::Deadline => "The time for the whole call is over.".to_owned(),
        What::Shutdown => "The daemon goes down.".to_owned(),
        What::Finished { variables } if variables.is_empty() => {
            "Nothing to set; the call goes on.".to_owned()
        }
        What::Finished { .. } => format!("{} gets its variables and goes on:", pbx(journal)),
        What::PbxRefused { what, reply } => {
            format!("{} did not take {}: {}", pbx(journal), clean(what), clean(reply))
        }
        What::Dialplan { advice } => format!("The dialplan: {}", clean(advice)),
        What::ProtocolError { detail } => format!("{} is out of step: {}", pbx(journal), clean(detail)),
    }
}

fn entry(attempt: u32, prompts: &[String], digits: usize, shown: Option<&str>, ended: Ended) -> String {
    let heard = match prompts {
        [] => "silence".to_owned(),
        prompts => prompts.iter().map(|p| clean(p)).collect::<Vec<_>>().join(", then "),
    };
    let pressed = match (digits, shown) {
        (0, _) => "nothing".to_owned(),
        (_, Some(shown)) => clean(shown),
        (1, None) => format!("1 digit ({})", Code::MASK),
        (n, None) => format!("{n} digits ({})", Code::MASK),
    };
    let end = match ended {
        Ended::Terminator if digits == 0 => " but #",
        Ended::Terminator => ", then #",
        Ended::Full => "",
        Ended::Timeout if digits == 0 => "",
        Ended::Timeout => ", then waits",
        Ended::Hangup => ", then hangs up",
    };
    format!("Attempt {attempt}: the caller hears {heard} and presses {pressed}{end}.")
}

fn answer(status: &str, destination: &str, callername: &str, dialect: Dialect) -> String {
    let form = match dialect {
        Dialect::Pairs => "status=… pairs",
        Dialect::Json => "JSON",
        Dialect::Text => "a text",
    };
    let mut read = format!("Read as {form}: {status}");
    // Writing to a String cannot fail.
    if !destination.is_empty() {
        write!(read, ", destination {}", quoted(destination)).ok();
    }
    if !callername.is_empty() {
        write!(read, ", caller name {}", quoted(callername)).ok();
    }
    read + "."
}

/// The lines below a step.
fn details(journal: &Journal, what: &What) -> Vec<String> {
    match what {
        What::Request { body, .. } => body_lines(body),
        What::Response { body, .. } => body_lines(body),
        What::Answer { hints, .. } => hints.iter().map(|hint| format!("hint: {}", clean(hint))).collect(),
        What::Finished { variables } => {
            let width = variables.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            let in_dialplan = |name: &str| match journal.pbx.as_str() {
                // FreeSWITCH's are in small letters.
                "freeswitch" => name.to_ascii_lowercase(),
                _ => name.to_owned(),
            };
            let line = |(name, value): &(String, String)| {
                let name = in_dialplan(name);
                format!("{name:width$} = {}", clean(value)).trim_end().to_owned()
            };
            variables.iter().map(line).collect()
        }
        _ => Vec::new(),
    }
}

fn body_lines(body: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        body.lines().take(BODY_LINES).map(|line| format!("| {}", clean(line))).collect();
    let left = body.lines().count().saturating_sub(BODY_LINES);
    if left > 0 {
        lines.push(format!("… and {left} more lines"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::Status;

    fn journal(steps: Vec<(u64, What)>) -> Journal {
        let steps = steps.into_iter().map(|(ms, what)| Step::new(Duration::from_millis(ms), what)).collect();
        Journal {
            call: "019aaa5e-2f10-7000-8000-000000000001".to_owned(),
            started: 1_795_319_690_123,
            webhook: "vip".to_owned(),
            pbx: "asterisk".to_owned(),
            unique_id: "t1-1795319690.20".to_owned(),
            linked_id: "t1-1795319690.20".to_owned(),
            did: "0201234567".to_owned(),
            callerid: "0612345678".to_owned(),
            result: CallResult::Success,
            reason: Reason::Ok,
            attempts: 2,
            took_us: 9_812_345,
            steps,
        }
    }

    #[test]
    fn a_call_reads_like_a_story() {
        let entry = |attempt, prompts: &[&str], digits, ended| What::Entry {
            attempt,
            prompts: prompts.iter().map(|p| (*p).to_owned()).collect(),
            digits,
            shown: None,
            ended,
        };
        let asked = What::Asked {
            path: "webhook/vip".into(),
            channel: "PJSIP/trunk-0000002a".into(),
            callername: "Alice".into(),
        };
        let request = What::Request {
            method: "GET".into(),
            url: "https://crm.example.com/route?code=****&callerid=0612345678".into(),
            body: String::new(),
            via: Via::First,
        };
        let response = What::Response {
            http_status: 200,
            peer: "192.0.2.7:443".into(),
            reused: false,
            head_us: 80_400,
            content_type: "text/plain".into(),
            body: "status=ACK&destination=215&callername=Jansen & Zn\n\u{1b}[31mred".into(),
            bytes: 58,
        };
        let answer = What::Answer {
            status: Status::Ack,
            destination: "215".into(),
            callername: "Jansen & Zn".into(),
            dialect: Dialect::Pairs,
            hints: vec!["callername holds a raw &: write it as %26".into()],
        };
        let variables = vec![
            ("WEBHOOK_STATUS".into(), "ACK".into()),
            ("WEBHOOK_CALLERNAME".into(), "Jansen & Zn".into()),
            ("WEBHOOK_CODE".into(), String::new()),
        ];
        let journal = journal(vec![
            (0, asked),
            (502, What::Answered),
            (5_000, entry(1, &["custom/enter-your-code"], 0, Ended::Timeout)),
            (5_000, What::EntryRefused { attempt: 1, fault: EntryFault::Nothing }),
            (9_700, entry(2, &["custom/no-code", "custom/enter-your-code"], 4, Ended::Terminator)),
            (9_701, request),
            (9_705, What::Resolved { host: "crm.example.com".into(), addresses: vec!["192.0.2.7".into()] }),
            (9_785, response),
            (9_786, answer),
            (9_786, What::Finished { variables }),
        ]);
        insta::assert_snapshot!(Transcript::in_zone(&journal, TimeZone::UTC));
    }

    /// Every step has a sentence with what it holds, and nothing in it can steer a terminal.
    #[test]
    fn texts_from_the_network_cannot_steer_the_terminal() {
        let evil = || "\u{1b}]0;x\u{7}\r\n\u{202e}x".to_owned();
        let journal = journal(vec![
            (0, What::Asked { path: evil(), channel: evil(), callername: evil() }),
            (
                1,
                What::Entry {
                    attempt: 1,
                    prompts: vec![evil()],
                    digits: 1,
                    shown: Some(evil()),
                    ended: Ended::Full,
                },
            ),
            (2, What::Request { method: "POST".into(), url: evil(), body: evil(), via: Via::Fallback }),
            (3, What::RequestFailed { reason: Reason::Connect, detail: evil() }),
            (4, What::NoAnswer { reason: Reason::BadAnswer, detail: evil() }),
            (5, What::DestinationRefused { destination: evil(), detail: evil() }),
            (6, What::PbxRefused { what: evil(), reply: evil() }),
            (7, What::Finished { variables: vec![("A".into(), evil())] }),
        ]);
        let text = Transcript::in_zone(&journal, TimeZone::UTC).to_string();
        assert!(text.matches("\\u{1b}]0;x").count() >= 12, "{text}");
        assert!(!text.contains(['\u{1b}', '\u{7}', '\r', '\u{202e}']));
    }
}
