//! What Asterisk says first: `key: value` lines, ended by an empty one.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::terms::{Channel, Number, Opening, Route};

/// Bytes of the whole block, at most. Asterisk makes it of 22 short values and of arguments that come out of one
/// buffer of 8 KiB.
pub const BLOCK_MAX: usize = 64 * 1024;

/// Lines of the block, at most: 22, and an argument for each of the 128 words that Asterisk splits at most.
pub const LINES_MAX: usize = 160;

/// The keys that Asterisk sends before the arguments, in its order, which is part of the protocol here: a line feed
/// in a caller name (it can come from a database or a web service) makes lines of the caller's choice, and they stand
/// at another place than the ones that they pretend to be. `agi_network_script` is missing when the URL has no path.
const ORDER: [&str; 22] = [
    "agi_network",
    "agi_network_script",
    "agi_request",
    "agi_channel",
    "agi_language",
    "agi_type",
    "agi_uniqueid",
    "agi_version",
    "agi_callerid",
    "agi_calleridname",
    "agi_callingpres",
    "agi_callingani2",
    "agi_callington",
    "agi_callingtns",
    "agi_dnid",
    "agi_rdnis",
    "agi_context",
    "agi_extension",
    "agi_priority",
    "agi_enhanced",
    "agi_accountcode",
    LAST,
];

/// Always there, behind everything that a caller can choose. An environment that ends before was cut by an empty line
/// in somebody's name.
const LAST: &str = "agi_threadid";

/// The bits of `agi_callingpres` that say what may be shown, and the value of a number that must not be.
const PRESENTATION: (u32, u32) = (0x60, 0x20);

/// Why an environment is none. Says nothing that a caller could have written but the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EnvironmentError {
    #[error("the environment is longer than {BLOCK_MAX} bytes")]
    TooLong,
    #[error("the environment has more than {LINES_MAX} lines")]
    TooManyLines,
    #[error("line {0} of the environment is not `agi_key: value`")]
    Shape(usize),
    #[error("the environment has {0} twice: a line feed in a caller's name or number?")]
    Twice(String),
    #[error("the environment has {0} where it does not belong: a line feed in a caller's name or number?")]
    Place(String),
    #[error("the environment ends before {LAST}: an empty line in a caller's name or number?")]
    Cut,
}

/// The lines so far.
#[derive(Default)]
pub(super) struct Environment {
    bytes: usize,
    /// How far in [`ORDER`] we are: the next key is here or behind.
    place: usize,
    /// The values of [`ORDER`]'s keys.
    values: Box<[Option<String>; ORDER.len()]>,
    /// Lines that this Asterisk says beyond those.
    others: Vec<String>,
    arguments: Vec<String>,
}

impl Environment {
    /// Takes a line without its line feed. `true`: it was the empty line, the environment is complete.
    pub(super) fn push(&mut self, line: &[u8]) -> Result<bool, EnvironmentError> {
        self.bytes += line.len() + 1;
        if self.bytes > BLOCK_MAX {
            return Err(EnvironmentError::TooLong);
        }
        if line.is_empty() {
            return if self.place == ORDER.len() { Ok(true) } else { Err(EnvironmentError::Cut) };
        }
        let known = self.values.iter().flatten().count();
        let count = known + self.others.len() + self.arguments.len() + 1;
        if count > LINES_MAX {
            return Err(EnvironmentError::TooManyLines);
        }
        let (key, value) = split(line).ok_or(EnvironmentError::Shape(count))?;
        let value = String::from_utf8_lossy(value).into_owned();
        if let Some(n) = key.strip_prefix("agi_arg_") {
            if self.place != ORDER.len() || n != (self.arguments.len() + 1).to_string() {
                return Err(EnvironmentError::Place(key.to_owned()));
            }
            self.arguments.push(value);
            return Ok(false);
        }
        if let Some(place) = ORDER.iter().position(|k| *k == key) {
            if self.values[place].is_some() {
                return Err(EnvironmentError::Twice(key.to_owned()));
            }
            let skipped_script = place == self.place + 1 && ORDER[self.place] == "agi_network_script";
            if place != self.place && !skipped_script {
                return Err(EnvironmentError::Place(key.to_owned()));
            }
            self.place = place + 1;
            self.values[place] = Some(value);
        } else if self.others.iter().any(|k| k == key) {
            return Err(EnvironmentError::Twice(key.to_owned()));
        } else {
            self.others.push(key.to_owned());
        }
        Ok(false)
    }

    /// What was said, read.
    pub(super) fn into_opening(self) -> Opening {
        let script = self.get("agi_network_script");
        let (path, query) = script.split_once('?').unwrap_or((script, ""));
        let route = Route::parse(path, &self.arguments.join(","));
        let takes_arguments = !matches!(route, Ok(Route::Prepend(_) | Route::Replace(_)));
        let overrides = Overrides::read(query, if takes_arguments { &self.arguments } else { &[] });
        Opening { channel: self.channel(&overrides), route }
    }

    fn channel(&self, overrides: &Overrides<'_>) -> Channel {
        let given = |key: &str, own: &str| overrides.get(key).unwrap_or(own).to_owned();
        let prohibited = self.get("agi_callingpres").parse::<u32>().map_or(true, |p| {
            let (bits, prohibited) = PRESENTATION;
            p & bits == prohibited
        });
        let said = self.get("agi_callerid");
        let number_on_channel = if prohibited { Number::default() } else { Number::from_pbx(said) };
        let hidden = prohibited || said.eq_ignore_ascii_case("anonymous");
        let name_on_channel = self.known("agi_calleridname");
        let unique_id = self.get("agi_uniqueid");
        let linked_id = given("linkedid", unique_id);
        let dialled = [self.known("agi_dnid"), self.known("agi_extension")];
        let dialled = dialled.into_iter().find(|d| !d.is_empty()).unwrap_or_default();
        Channel {
            callerid: overrides.get("callerid").map_or_else(|| number_on_channel.clone(), Number::from_pbx),
            withheld: prohibited || number_on_channel.is_withheld(),
            number_on_channel,
            callername: given("callername", if hidden { "" } else { name_on_channel }),
            name_on_channel: name_on_channel.to_owned(),
            did: given("did", dialled),
            extension: given("extension", self.get("agi_extension")),
            context: given("context", self.get("agi_context")),
            name: self.get("agi_channel").to_owned(),
            start: overrides
                .get("start")
                .and_then(start)
                .or_else(|| start(&linked_id))
                .or_else(|| start(unique_id)),
            unique_id: unique_id.to_owned(),
            linked_id,
            sip_call_id: given("sip_call_id", ""),
            account: self.get("agi_accountcode").to_owned(),
            language: self.get("agi_language").to_owned(),
        }
    }

    fn get(&self, key: &str) -> &str {
        let place = ORDER.iter().position(|k| *k == key);
        place.and_then(|place| self.values[place].as_deref()).unwrap_or_default()
    }

    /// A value where `unknown`, Asterisk's word for a missing one, is none.
    fn known(&self, key: &str) -> &str {
        Some(self.get(key)).filter(|v| *v != "unknown").unwrap_or_default()
    }
}

fn split(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.windows(2).position(|w| w == b": ")?;
    let key = std::str::from_utf8(&line[..colon]).ok()?;
    let tail = key.strip_prefix("agi_")?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (!tail.is_empty() && tail.bytes().all(plain)).then_some((key, &line[colon + 2..]))
}

/// What the dialplan says in the place of the channel: `key=value` in the query, percent-encoded, and in arguments,
/// literally. A value that is empty overrides nothing, so that a dialplan can pass what it may not have.
struct Overrides<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Overrides<'a> {
    fn read(query: &'a str, arguments: &'a [String]) -> Overrides<'a> {
        let query = query.split('&').filter_map(|p| p.split_once('='));
        let query = query.map(|(k, v)| (k, percent_decode_str(v).decode_utf8_lossy()));
        let arguments = arguments.iter().filter_map(|a| a.split_once('='));
        Overrides(query.chain(arguments.map(|(k, v)| (k, Cow::Borrowed(v)))).collect())
    }

    /// The last one wins, so an argument before the query.
    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(k, v)| *k == key && !v.is_empty()).map(|(_, v)| v.as_ref())
    }
}

/// A time in ms since 1970, out of such a number, out of `CDR(start,u)` (`1795318099.123456`), or out of an Asterisk id
/// (`system-1795318099.2`, where `.2` is a counter).
fn start(text: &str) -> Option<i64> {
    let number = text.rsplit_once('-').map_or(text, |(_, n)| n);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 15 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    if whole >= 100_000_000_000 {
        return Some(whole);
    }
    let ms = if fraction.len() == 6 { fraction[..3].parse().ok()? } else { 0 };
    Some(whole * 1000 + ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Asterisk 22 sent it, with some lines replaced.
    fn block(changes: &[(&str, &str)], arguments: &[&str]) -> String {
        let plain = [
            "yes",
            "webhook/vip",
            "agi://127.0.0.1:4573/webhook/vip",
            "PJSIP/trunk-00000001",
            "en",
            "PJSIP",
            "t1-1795318099.2",
            "22.10.1",
            "1001",
            "Alice Example",
            "0",
            "0",
            "0",
            "0",
            "31201234567",
            "unknown",
            "in",
            "s",
            "2",
            "0.0",
            "",
            "140202029872832",
        ];
        let value = |key: &str, plain: &str| {
            changes.iter().find(|(k, _)| *k == key).map_or(plain, |(_, v)| v).to_owned()
        };
        let lines = ORDER.iter().zip(plain).map(|(key, plain)| format!("{key}: {}\n", value(key, plain)));
        let arguments = arguments.iter().enumerate().map(|(i, a)| format!("agi_arg_{}: {a}\n", i + 1));
        lines.chain(arguments).chain(["\n".to_owned()]).collect()
    }

    fn read(block: &[u8]) -> Result<Opening, EnvironmentError> {
        let mut environment = Environment::default();
        for line in block.split(|b| *b == b'\n') {
            if environment.push(line)? {
                return Ok(environment.into_opening());
            }
        }
        Err(EnvironmentError::Cut)
    }

    fn opening(changes: &[(&str, &str)], arguments: &[&str]) -> Opening {
        read(block(changes, arguments).as_bytes()).expect("an environment")
    }

    #[test]
    fn a_channel_as_it_is() {
        let Opening { route, channel } = opening(&[("agi_accountcode", "acme")], &["first arg", ""]);
        assert_eq!(route, Ok(Route::Webhook("vip".into())));
        assert_eq!((channel.callerid.as_str(), channel.number_on_channel.as_str()), ("1001", "1001"));
        assert_eq!(
            (channel.callername.as_str(), channel.name_on_channel.as_str()),
            ("Alice Example", "Alice Example")
        );
        assert_eq!(
            (channel.did.as_str(), channel.extension.as_str(), channel.context.as_str()),
            ("31201234567", "s", "in")
        );
        assert_eq!((channel.name.as_str(), channel.account.as_str()), ("PJSIP/trunk-00000001", "acme"));
        assert_eq!(
            (channel.unique_id.as_str(), channel.linked_id.as_str()),
            ("t1-1795318099.2", "t1-1795318099.2")
        );
        assert_eq!((channel.language.as_str(), channel.start), ("en", Some(1_795_318_099_000)));
        assert!(!channel.withheld);
    }

    #[test]
    fn a_missing_script_line_is_a_path_that_asks_for_nothing() {
        let block = block(&[], &[]).replace("agi_network_script: webhook/vip\n", "");
        assert_eq!(read(block.as_bytes()).expect("an environment").route.unwrap_err().path, "");
    }

    #[test]
    fn unknown_is_no_value() {
        let changes = [("agi_dnid", "unknown"), ("agi_extension", "700"), ("agi_calleridname", "unknown")];
        let channel = opening(&changes, &[]).channel;
        assert_eq!((channel.did.as_str(), channel.callername.as_str()), ("700", ""));
        let channel = opening(&[("agi_dnid", "unknown"), ("agi_extension", "unknown")], &[]).channel;
        assert_eq!(channel.did, "");
    }

    #[test]
    fn a_withheld_number_is_empty_and_its_name_stays_here() {
        // Number, name, presentation as Asterisk sends them; then number, name, withheld.
        for (number, name, pres, callername, withheld) in [
            ("+4930999", "Real N", "32", "", true),
            ("4444", "Rpid N", "33", "", true),
            ("4444", "Rpid N", "35", "", true),
            ("anonymous", "Anonymous", "0", "", true),
            ("unknown", "Front Door", "67", "Front Door", true),
            ("1001", "Alice Example", "0", "Alice Example", false),
            ("1001", "Alice Example", "3", "Alice Example", false),
            ("1001", "Alice Example", "x", "", true),
        ] {
            let changes = [("agi_callerid", number), ("agi_calleridname", name), ("agi_callingpres", pres)];
            let channel = opening(&changes, &[]).channel;
            assert_eq!(
                (channel.callername.as_str(), channel.withheld),
                (callername, withheld),
                "{number} {pres}"
            );
            assert_eq!(channel.callerid.as_str(), if withheld { "" } else { number }, "{number} {pres}");
            assert_eq!(channel.callerid, channel.number_on_channel);
            assert_eq!(channel.name_on_channel, name);
        }
    }

    #[test]
    fn arguments_override_the_query_and_both_the_channel() {
        let script =
            ("agi_network_script", "webhook/vip?did=%2B31%20x&callerid=+31%zz&linkedid=q&secret=1&start=");
        let channel =
            opening(&[script], &["linkedid=a=b,c", "callername= Zoë %41", "did=", "start=1795318099.123456"])
                .channel;
        assert_eq!((channel.did.as_str(), channel.callerid.as_str()), ("+31 x", "+31%zz"));
        assert_eq!((channel.linked_id.as_str(), channel.callername.as_str()), ("a=b,c", " Zoë %41"));
        assert_eq!(
            (channel.number_on_channel.as_str(), channel.name_on_channel.as_str()),
            ("1001", "Alice Example")
        );
        assert_eq!(channel.start, Some(1_795_318_099_123));
        let channel =
            opening(&[], &["extension=300", "context=from-trunk", "sip_call_id=a@b", "callerid=anonymous"])
                .channel;
        assert_eq!((channel.extension.as_str(), channel.context.as_str()), ("300", "from-trunk"));
        assert_eq!((channel.sip_call_id.as_str(), channel.callerid.as_str()), ("a@b", ""));
    }

    #[test]
    fn the_text_of_a_caller_name_is_the_arguments_joined_again() {
        let script = ("agi_network_script", "callername/prepend?did=7");
        let Opening { route, channel } = opening(&[script], &["Sales", " did=5", "", "x: "]);
        assert_eq!(route, Ok(Route::Prepend("Sales, did=5,,x: ".into())));
        assert_eq!(channel.did, "7");
        let script = ("agi_network_script", "callername/replace");
        assert_eq!(opening(&[script], &[]).route, Ok(Route::Replace(String::new())));
    }

    #[test]
    fn times() {
        for (text, ms) in [
            ("1795318099123", Some(1_795_318_099_123)),
            ("1795318099", Some(1_795_318_099_000)),
            ("1795318099.2", Some(1_795_318_099_000)),
            ("pbx-a-1795318099.12", Some(1_795_318_099_000)),
            ("1795318099.900001", Some(1_795_318_099_900)),
            ("", None),
            ("soon", None),
            ("1795318099.x", None),
            ("9999999999999999", None),
        ] {
            assert_eq!(start(text), ms, "{text}");
        }
    }

    #[test]
    fn text_is_read_whatever_its_bytes_and_nothing_is_unescaped() {
        let name = ("agi_calleridname", r#"Bob \"The\" B\\ack"#);
        assert_eq!(opening(&[name], &[]).channel.callername, r#"Bob \"The\" B\\ack"#);
        assert_eq!(opening(&[("agi_calleridname", "Zoë: 日本")], &[]).channel.callername, "Zoë: 日本");
        let mut bytes = block(&[("agi_calleridname", "M~ller")], &[]).into_bytes();
        bytes.iter_mut().filter(|b| **b == b'~').for_each(|b| *b = 0xFC);
        assert_eq!(read(&bytes).expect("an environment").channel.callername, "M\u{FFFD}ller");
    }

    /// A line feed in a caller's name makes lines. Whatever they are, the session ends.
    #[test]
    fn forged_lines() {
        let place = |key: &str| EnvironmentError::Place(key.to_owned());
        for (name, error) in [
            ("x\nagi_callerid: 112", EnvironmentError::Twice("agi_callerid".into())),
            ("x\nagi_callingpres: 0", EnvironmentError::Twice("agi_callingpres".into())),
            ("x\nagi_arg_1: did=112", place("agi_arg_1")),
            ("x\nagi_dnid: 112", place("agi_dnid")),
            ("x\nagi_network_script: webhook/other", EnvironmentError::Twice("agi_network_script".into())),
            ("x\n\n", EnvironmentError::Cut),
            ("x\n", EnvironmentError::Cut),
            ("x\nhello", EnvironmentError::Shape(11)),
            ("x\nagi_: 1", EnvironmentError::Shape(11)),
            ("x\nagi_Callerid: 1", EnvironmentError::Shape(11)),
            ("x\nHANGUP", EnvironmentError::Shape(11)),
        ] {
            assert_eq!(read(block(&[("agi_calleridname", name)], &[]).as_bytes()), Err(error), "{name:?}");
        }
        let without = block(&[("agi_calleridname", "x\nagi_network_script: webhook/other")], &[]);
        let without = without.replacen("agi_network_script: webhook/vip\n", "", 1);
        assert_eq!(read(without.as_bytes()), Err(place("agi_network_script")));
        // A key that we do not know and that is there once changes nothing: a later Asterisk may send it.
        assert!(read(block(&[("agi_calleridname", "x\nagi_new: 1")], &[]).as_bytes()).is_ok());
    }

    #[test]
    fn the_block_has_limits() {
        let long = "x".repeat(BLOCK_MAX / 16);
        assert_eq!(read(block(&[], &[long.as_str(); 16]).as_bytes()), Err(EnvironmentError::TooLong));
        assert_eq!(read(block(&[], &["x"; LINES_MAX - 21]).as_bytes()), Err(EnvironmentError::TooManyLines));
        assert!(read(block(&[], &["x"; LINES_MAX - 22]).as_bytes()).is_ok());
    }
}
