//! A channel: what each application does to it, and what the next phone is told of its caller.

use std::collections::BTreeMap;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::Dialplan;
use super::packet::Headers;
use crate::stage::caller::{Caller, Heard};
use crate::stage::{Event, Party, Script, Shown};

/// Every application takes as long as one frame of audio (measured: 20 to 35 ms).
const FRAME: Duration = Duration::from_millis(20);

/// The shortest patience of `play_and_get_digits` (read in its source).
const TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Sounds with their lengths.
type Sounds = Vec<(String, Duration)>;

/// What happens, and when.
type Happening = Vec<(Duration, Event)>;

/// What an application does.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) took: Duration,
    /// What happens meanwhile, and when.
    pub(super) events: Happening,
    /// `Application-Response`
    pub(super) response: &'static str,
    /// Variables that are set at its end.
    pub(super) results: Vec<(String, String)>,
    /// The digits' variable, if it collects any.
    pub(super) digits: Option<String>,
    /// The caller is gone at the end of it.
    pub(super) hangs_up: bool,
}

impl Ran {
    fn taking(took: Duration) -> Ran {
        let (events, results) = (Vec::new(), Vec::new());
        Ran { took, events, response: "_none_", results, digits: None, hangs_up: false }
    }

    fn noting(event: Event) -> Ran {
        Ran { events: vec![(Duration::ZERO, event)], ..Ran::taking(FRAME) }
    }
}

#[derive(Debug)]
pub(super) struct Channel {
    script: Script,
    dialplan: Dialplan,
    caller: Caller,
    pub(super) variables: BTreeMap<String, String>,
    /// Variables that FreeSWITCH itself has set.
    known: BTreeMap<String, String>,
    pub(super) up: bool,
    early: bool,
    pub(super) dead: bool,
    /// `Caller-Privacy-Hide-Name` and `-Number`
    hidden: bool,
}

impl Channel {
    pub(super) fn new(script: Script, dialplan: Dialplan) -> Channel {
        let path = script.path.clone();
        let known = [
            ("sip_to_user", script.dnid.clone().unwrap_or_default()),
            ("sip_from_display", script.name.clone().unwrap_or_default()),
            ("sip_call_id", format!("{}@pbx.invalid", script.unique_id)),
            ("socket_path", path),
        ];
        let known = known.into_iter().filter(|(_, value)| !value.is_empty());
        let known: BTreeMap<String, String> = known.map(|(name, value)| (name.to_owned(), value)).collect();
        let mut variables = known.clone();
        variables.extend(dialplan.variables.clone());
        Channel {
            caller: Caller::new(script.entries.clone()),
            known,
            variables,
            up: script.answered,
            early: false,
            dead: false,
            hidden: script.presentation.hides(),
            script,
            dialplan,
        }
    }

    pub(super) fn uuid(&self) -> &str {
        &self.script.unique_id
    }

    pub(super) fn name(&self) -> &str {
        &self.script.channel
    }

    /// The variables, without those that FreeSWITCH itself sets for every call.
    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        let is_new = |(name, value): &(&String, &String)| self.known.get(*name) != Some(*value);
        self.variables.iter().filter(is_new).map(|(n, v)| (n.clone(), v.clone())).collect()
    }

    pub(super) fn is_true(&self, variable: &str) -> bool {
        self.variables.get(variable).is_some_and(|v| v == "true")
    }

    /// All that is known of it. `running`: the application and its argument.
    pub(super) fn headers(&self, event: &str, running: (&str, &str)) -> Headers {
        let script = &self.script;
        let number = script.number.clone().unwrap_or_default();
        // A caller without a name has the number as the name (measured).
        let name = script.name.clone().unwrap_or_else(|| number.clone());
        let hidden = self.hidden.to_string();
        let state = match () {
            () if self.dead => "hangup",
            () if self.up => "answered",
            () if self.early => "early",
            () => "ringing",
        };
        let mut headers: Headers = [
            ("Event-Name", event),
            ("Channel-State", "CS_EXECUTE"),
            ("Channel-Name", &script.channel),
            ("Unique-ID", &script.unique_id),
            ("Channel-Call-UUID", &script.unique_id),
            ("Answer-State", state),
            ("Hangup-Cause", if self.dead { "NORMAL_CLEARING" } else { "" }),
            ("Channel-Destination-Number", "ask"),
            ("Channel-Context", "switchhook"),
            ("Caller-Caller-ID-Name", if name.is_empty() { "unknown" } else { &name }),
            ("Caller-Caller-ID-Number", &number),
            ("Caller-Destination-Number", &script.extension),
            ("Caller-Context", &script.context),
            ("Caller-Channel-Created-Time", "1795319690000700"),
            ("Caller-Privacy-Hide-Name", &hidden),
            ("Caller-Privacy-Hide-Number", &hidden),
            ("variable_current_application", running.0),
            ("variable_current_application_data", running.1),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        headers
            .extend(self.variables.iter().map(|(name, value)| (format!("variable_{name}"), value.clone())));
        headers
    }

    /// The reply to `connect`.
    pub(super) fn data(&self, server: &str) -> Headers {
        let Dialplan { is_async, is_full, .. } = self.dialplan;
        let words = format!("{}{}", if is_async { " async" } else { "" }, if is_full { " full" } else { "" });
        let slash = if self.script.path.is_empty() { "" } else { "/" };
        let data = format!("{server}{slash}{}{words}", self.script.path);
        let mut headers = self.headers("CHANNEL_DATA", ("socket", &data));
        let more = [
            ("Content-Type", "command/reply"),
            ("Reply-Text", "+OK\n"),
            ("Socket-Mode", if is_async { "async" } else { "static" }),
            ("Control", if is_full { "full" } else { "single-channel" }),
        ];
        headers.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
        headers
    }

    /// Begins an application. `None`: there is none of that name.
    pub(super) fn run(&mut self, application: &str, argument: &str) -> Option<Ran> {
        Some(match application {
            "answer" => {
                self.up = true;
                Ran::taking(FRAME)
            }
            "export" => self.set(argument.strip_prefix("nolocal:").unwrap_or(argument)),
            "hangup" => Ran { hangs_up: true, ..Ran::taking(FRAME) },
            "log" => Ran::taking(FRAME),
            "multiunset" => {
                for name in argument.split(' ') {
                    self.variables.remove(name);
                }
                Ran::taking(FRAME)
            }
            "play_and_get_digits" => self.play_and_get_digits(argument),
            "playback" => self.playback(argument),
            "privacy" => {
                self.hidden = matches!(argument, "full" | "name" | "number" | "yes");
                Ran::noting(Event::Set("privacy".to_owned(), argument.to_owned()))
            }
            "set" => self.set(argument),
            "sleep" => Ran::taking(Duration::from_millis(argument.parse().unwrap_or(0))),
            "unset" => {
                self.variables.remove(argument);
                Ran::noting(Event::Set(argument.to_owned(), String::new()))
            }
            _ => return None,
        })
    }

    /// Exact, but for an empty value and one that begins with `ARRAY::` (measured).
    fn set(&mut self, argument: &str) -> Ran {
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        let mut ran = Ran::noting(Event::Set(name.to_owned(), value.to_owned()));
        if value.starts_with("ARRAY::") {
            ran.events.push((Duration::ZERO, Event::Array(argument.to_owned())));
        }
        match value {
            "" => drop(self.variables.remove(name)),
            value => drop(self.variables.insert(name.to_owned(), value.to_owned())),
        }
        ran
    }

    /// Its file, behind the parameters in `%[…]`. `*` ends it, unless the parameters say otherwise.
    fn playback(&mut self, argument: &str) -> Ran {
        self.early = true;
        let parameters = argument.strip_prefix("%[").and_then(|rest| rest.split_once(']'));
        let (ends, file) = match parameters {
            Some(("playback_terminators=none", file)) => ("", file),
            Some((_, file)) => ("*", file),
            None => ("*", argument),
        };
        let (sounds, mut events) = self.sounds(file);
        if sounds.is_empty() {
            return Ran { events, response: "FILE NOT FOUND", ..Ran::taking(FRAME) };
        }
        let length = sounds.iter().map(|(_, length)| *length).sum();
        let (heard, _) = self.caller.listen(length, ends);
        events.extend(prompts(&sounds, heard.took));
        events.extend(self.keys(&heard));
        Ran { events, response: "FILE PLAYED", hangs_up: heard.hung_up, ..Ran::taking(heard.took) }
    }

    /// The sounds of a file that are there, with their lengths; an event for each that is not.
    fn sounds(&self, file: &str) -> (Sounds, Happening) {
        let (mut sounds, mut events) = (Vec::new(), Vec::new());
        let list = file.strip_prefix("file_string://");
        for name in list.map_or_else(|| vec![file], |list| list.split('!').collect()) {
            match self.script.sounds.get(name) {
                Some(length) => sounds.push((name.to_owned(), *length)),
                None => events.push((Duration::ZERO, Event::SoundMissing(name.to_owned()))),
            }
        }
        (sounds, events)
    }

    /// `min max tries timeout terminators prompt bad_prompt var regex digit_timeout`
    fn play_and_get_digits(&mut self, argument: &str) -> Ran {
        self.early = true;
        let words = quoted_words(argument);
        let word = |n: usize| words.get(n).map_or("", String::as_str);
        let number = |n: usize| word(n).parse().ok();
        let max = number(1).and_then(|max: u64| usize::try_from(max).ok()).unwrap_or(0);
        let timeout = number(3).map_or(TIMEOUT_MIN, Duration::from_millis).max(TIMEOUT_MIN);
        let between = number(9).map_or(timeout, Duration::from_millis);
        let (file, variable) = (word(5), word(7));
        // What was there from before goes first (recorded).
        self.variables.remove("read_result");
        self.variables.remove(variable);
        let (sounds, mut events) = if file.is_empty() { Default::default() } else { self.sounds(file) };
        // It ends at once, and sets nothing (measured).
        if max == 0 || max > 128 || (sounds.is_empty() && !file.is_empty()) {
            return Ran { events, ..Ran::taking(FRAME) };
        }
        let length: Duration = sounds.iter().map(|(_, length)| *length).sum();
        let (heard, digits, timed_out) = self.caller.collect(length, timeout, between, max);
        let until = heard.pressed.first().map_or(length.min(heard.took), |(at, _)| *at);
        events.extend(prompts(&sounds, until));
        events.extend(self.keys(&heard));
        let ended = heard.pressed.last().is_some_and(|(_, key)| *key == '#') && !timed_out;
        let in_prompt = heard.pressed.last().is_some_and(|(at, _)| *at < length);
        let read_result = match () {
            () if heard.hung_up => "failure",
            () if timed_out => "timeout",
            () => "success",
        };
        let mut results = vec![("read_result".to_owned(), read_result.to_owned())];
        // One that ends the prompt of a single digit is not noted.
        if ended && !(max == 1 && in_prompt) {
            results.push(("read_terminator_used".to_owned(), "#".to_owned()));
        }
        if !digits.is_empty() {
            results.push((variable.to_owned(), digits));
        }
        let (digits, hangs_up) = (Some(variable.to_owned()), heard.hung_up);
        Ran { events, results, digits, hangs_up, ..Ran::taking(heard.took) }
    }

    /// Each key is also noted for the call's end, unless the dialplan has said that it is nobody's business.
    fn keys(&mut self, heard: &Heard) -> Happening {
        if !self.is_true("sensitive_dtmf") && !heard.pressed.is_empty() {
            let dialed = self.variables.entry("digits_dialed".to_owned()).or_default();
            dialed.extend(heard.pressed.iter().map(|(_, key)| key));
        }
        heard.pressed.iter().map(|(at, key)| (*at, Event::Key(*key))).collect()
    }

    /// What the next INVITE says (measured, with `sip_cid_type=pid`).
    pub(super) fn shown(&self) -> Shown {
        let own = |text: &Option<String>| text.clone().unwrap_or_default();
        let number = own(&self.script.number);
        let own_name = self.script.name.clone().unwrap_or_else(|| number.clone());
        let effective = |name: &str, own: String| match self.variables.get(name).map(String::as_str) {
            None => own,
            Some("_undef_") => String::new(),
            Some(text) => by_sofia(text),
        };
        let from = Party {
            name: effective("effective_caller_id_name", own_name),
            number: effective("effective_caller_id_number", number),
        };
        Shown { asserted: from.clone(), from, private: self.hidden }
    }
}

/// What mod_sofia makes of a name or a number: cut at `@`, then all up to the last `/` or `:` dropped, then
/// percent-decoded, where a quotation mark or a zero byte ends it (measured).
fn by_sofia(text: &str) -> String {
    let text = text.strip_prefix("^^:").unwrap_or(text);
    let text = text.split('@').next().unwrap_or_default();
    let text = text.rsplit(['/', ':']).next().unwrap_or_default();
    let decoded = percent_decode_str(text).decode_utf8_lossy().into_owned();
    decoded.split(['"', '\0']).next().unwrap_or_default().to_owned()
}

/// The sounds that begin before the caller ends them.
fn prompts(sounds: &[(String, Duration)], until: Duration) -> Happening {
    let mut at = Duration::ZERO;
    let mut events = Vec::new();
    for (name, length) in sounds {
        if at <= until && (at.is_zero() || at < until) {
            events.push((at, Event::Prompt(name.clone())));
        }
        at += *length;
    }
    events
}

/// Words between spaces; `'` groups.
fn quoted_words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("it begins with one").push(c),
        }
    }
    words
}
