//! A channel: what each command does to it and what Asterisk replies.

use std::collections::BTreeMap;
use std::time::Duration;

use super::words;
use crate::stage::caller::{Caller, Heard};
use crate::stage::{Event, Party, Presentation, Script, Shown};

/// `ANSWER` waits so long for the caller's first sound (measured: about 500 ms without any).
const ANSWERING: Duration = Duration::from_millis(500);

/// `GET DATA` without a time, and with 0 (measured: `GET DATA beep 0 2` gives up after 6 s).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(6);

/// `GET VARIABLE` is cut behind so many bytes (measured).
const GET_VARIABLE: usize = 1_023;

/// `CALLERID(name)` is cut behind so many bytes (measured).
const NAME: usize = 255;

/// Samples in a millisecond: `endpos` counts them.
const SAMPLES: u128 = 8;

/// What the channel knows of its caller.
#[derive(Debug)]
pub(super) struct CallerId {
    number: String,
    name: String,
    ani: String,
    number_presentation: Presentation,
    name_presentation: Presentation,
}

impl CallerId {
    /// From and, of an endpoint with `send_pai=yes` and `trust_id_outbound=yes`, P-Asserted-Identity of the INVITE that
    /// the callee gets (recorded).
    pub(super) fn shown(&self) -> Shown {
        let private = self.number_presentation.hides() || self.name_presentation.hides();
        let asserted = Party { name: self.name.clone(), number: self.number.clone() };
        let anonymous = || Party { name: "Anonymous".to_owned(), number: "anonymous".to_owned() };
        Shown { from: if private { anonymous() } else { asserted.clone() }, asserted, private }
    }
}

/// What Asterisk does upon a line.
#[derive(Debug)]
pub(super) struct Reaction {
    /// How long it takes.
    pub(super) took: Duration,
    /// What happens meanwhile, and when.
    pub(super) events: Vec<(Duration, Event)>,
    pub(super) reply: Reply,
    /// Any byte from the server ends it.
    pub(super) interruptible: bool,
    /// The reply's end when the caller hangs up meanwhile.
    pub(super) when_hung_up: HungUpReply,
    /// The caller is gone at the end of it.
    pub(super) hangs_up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HungUpReply {
    Failed,
    FailedWithPosition,
    Zero,
}

impl HungUpReply {
    pub(super) fn line(self, after: Duration) -> Vec<u8> {
        match self {
            HungUpReply::Failed => result("-1"),
            HungUpReply::FailedWithPosition => result(&format!("-1 endpos={}", samples(after))),
            HungUpReply::Zero => result("0"),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A line, with its end.
    Line(Vec<u8>),
    /// The two pieces that a usage error is.
    Usage,
    /// Asterisk is no more.
    Abort,
}

impl Reaction {
    fn at_once(reply: Reply) -> Reaction {
        Reaction {
            took: Duration::ZERO,
            events: Vec::new(),
            reply,
            interruptible: false,
            when_hung_up: HungUpReply::Failed,
            hangs_up: false,
        }
    }

    fn result(text: &str) -> Reaction {
        Reaction::at_once(Reply::Line(result(text)))
    }

    fn of_the_ear(heard: Heard, when_hung_up: HungUpReply, reply: &str) -> Reaction {
        let line = if heard.hung_up { when_hung_up.line(heard.took) } else { result(reply) };
        Reaction {
            took: heard.took,
            events: heard.pressed.into_iter().map(|(at, key)| (at, Event::Key(key))).collect(),
            reply: Reply::Line(line),
            interruptible: true,
            when_hung_up,
            hangs_up: heard.hung_up,
        }
    }

    fn with(mut self, event: Event) -> Reaction {
        self.events.insert(0, (Duration::ZERO, event));
        self
    }
}

/// The commands, by their words, whether they work on a channel that was hung up, and how many words they may have.
const COMMANDS: &[(&str, bool, std::ops::RangeInclusive<usize>)] = &[
    ("answer", false, 1..=1),
    ("channel status", false, 2..=3),
    ("exec", true, 2..=usize::MAX),
    ("get data", false, 3..=5),
    ("get full variable", true, 4..=5),
    ("get variable", true, 3..=3),
    ("hangup", false, 1..=2),
    ("noop", true, 1..=usize::MAX),
    ("set variable", true, 4..=4),
    ("stream file", false, 4..=5),
    ("verbose", true, 2..=3),
];

#[derive(Debug)]
pub(super) struct Channel {
    script: Script,
    caller: Caller,
    pub(super) caller_id: CallerId,
    variables: BTreeMap<String, Vec<u8>>,
    /// What dialplan functions were told.
    functions: BTreeMap<String, Vec<u8>>,
    pub(super) up: bool,
    pub(super) dead: bool,
    /// A sound file was missing: `AGISTATUS=FAILURE`.
    pub(super) failed: bool,
}

impl Channel {
    pub(super) fn new(script: Script) -> Channel {
        let number = script.number.clone().unwrap_or_default();
        Channel {
            caller: Caller::new(script.entries.clone()),
            caller_id: CallerId {
                ani: number.clone(),
                number,
                name: script.name.clone().unwrap_or_default(),
                number_presentation: script.presentation,
                name_presentation: script.presentation,
            },
            variables: BTreeMap::new(),
            functions: BTreeMap::new(),
            up: script.answered,
            dead: false,
            failed: false,
            script,
        }
    }

    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        let text = |(name, value): (&String, &Vec<u8>)| (name.clone(), lossy(value));
        self.variables.iter().map(text).collect()
    }

    /// Runs one line, without its end.
    pub(super) fn run(&mut self, line: &[u8]) -> Reaction {
        let Some(words) = words::split(line) else { return Reaction::at_once(Reply::Abort) };
        let texts: Vec<String> = words.iter().map(|w| lossy(w)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let known = |(name, ..): &&(&str, bool, _)| {
            let mut given = texts.iter();
            name.split(' ').all(|word| given.next().is_some_and(|g| g.eq_ignore_ascii_case(word)))
        };
        let Some((name, works_dead, count)) = COMMANDS.iter().find(known) else {
            return Reaction::at_once(Reply::Line(b"510 Invalid or unknown command\n".to_vec()));
        };
        if self.dead && !works_dead {
            let line = b"511 Command Not Permitted on a dead channel or intercept routine\n";
            return Reaction::at_once(Reply::Line(line.to_vec()));
        }
        if !count.contains(&words.len()) {
            return Reaction::at_once(Reply::Usage);
        }
        let args = texts.get(name.split(' ').count()..).unwrap_or_default();
        match *name {
            "answer" => self.answer(),
            "channel status" => self.status(args),
            "exec" => self.exec(args),
            "get data" => self.get_data(args),
            "get full variable" => self.get_full_variable(args),
            "get variable" => self.get_variable(args),
            "hangup" => Reaction { hangs_up: true, ..Reaction::result("1") },
            "noop" => Reaction::result("0"),
            "set variable" => {
                let event = self.set(args[0], words[3].clone());
                Reaction::result("1").with(event)
            }
            "stream file" => self.stream_file(args),
            _ => Reaction::result("1"),
        }
    }

    fn answer(&mut self) -> Reaction {
        let took = if self.up { Duration::ZERO } else { ANSWERING };
        self.up = true;
        Reaction { took, ..Reaction::result("0") }
    }

    fn status(&self, args: &[&str]) -> Reaction {
        match args.first() {
            Some(other) if *other != self.script.channel => Reaction::result("-1"),
            _ => Reaction::result(if self.up { "6" } else { "4" }),
        }
    }

    fn stream_file(&mut self, args: &[&str]) -> Reaction {
        let Some(length) = self.script.sounds.get(args[0]).copied() else {
            self.failed = true;
            return Reaction::result("-1 endpos=0").with(Event::SoundMissing(args[0].to_owned()));
        };
        let (heard, key) = self.caller.listen(length, args[1]);
        let key = key.map_or(0, u32::from);
        let reply = format!("{key} endpos={}", samples(heard.took));
        Reaction::of_the_ear(heard, HungUpReply::FailedWithPosition, &reply)
            .with(Event::Prompt(args[0].to_owned()))
    }

    fn get_data(&mut self, args: &[&str]) -> Reaction {
        let Some(sound) = self.sound(args[0]) else {
            return Reaction::result("-1").with(Event::SoundMissing(args[0].to_owned()));
        };
        let ms = args.get(1).and_then(|ms| ms.parse().ok()).filter(|ms| *ms > 0);
        let timeout = ms.map_or(DEFAULT_TIMEOUT, Duration::from_millis);
        let max = args.get(2).and_then(|max| max.parse().ok()).unwrap_or(1_024);
        let (heard, digits, timed_out) = self.caller.collect(sound, timeout, timeout, max);
        let reply = if timed_out { format!("{digits} (timeout)") } else { digits };
        let reaction = Reaction::of_the_ear(heard, HungUpReply::Failed, &reply);
        if args[0].is_empty() { reaction } else { reaction.with(Event::Prompt(args[0].to_owned())) }
    }

    /// A sound's length; the empty name is silence of no length.
    fn sound(&self, name: &str) -> Option<Duration> {
        if name.is_empty() { Some(Duration::ZERO) } else { self.script.sounds.get(name).copied() }
    }

    fn exec(&mut self, args: &[&str]) -> Reaction {
        let options = args[1..].join(",");
        match args[0].to_ascii_lowercase().as_str() {
            "noop" | "verbose" => Reaction::result("0"),
            "answer" => self.answer(),
            "hangup" => Reaction { hangs_up: true, ..Reaction::result("-1") },
            "wait" => {
                let seconds = options.parse().unwrap_or(0.0);
                let took = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                Reaction { took, ..Reaction::result("0") }
            }
            "set" => {
                let (name, value) = options.split_once('=').unwrap_or((&options, ""));
                let event = self.set(name, value.as_bytes().to_vec());
                Reaction::result("0").with(event)
            }
            "playback" => self.playback(&options),
            "read" => self.read(&options),
            _ => Reaction::result("-2"),
        }
    }

    fn playback(&mut self, file: &str) -> Reaction {
        if self.dead {
            return Reaction::result("0");
        }
        let length = self.script.sounds.get(file).copied();
        let status = if length.is_some() { "SUCCESS" } else { "FAILED" };
        self.set("PLAYBACKSTATUS", status.into());
        let (heard, _) = self.caller.listen(length.unwrap_or_default(), "");
        let event = match length {
            Some(_) => Event::Prompt(file.to_owned()),
            None => Event::SoundMissing(file.to_owned()),
        };
        Reaction::of_the_ear(heard, HungUpReply::Failed, "0").with(event)
    }

    /// `Read(variable,files,max,options,attempts,timeout)`. Without a timeout it takes `TIMEOUT(response)` for the first
    /// digit and `TIMEOUT(digit)` for the next (app_read.c; Asterisk's defaults are 10 s and 5 s).
    fn read(&mut self, options: &str) -> Reaction {
        let part = |n: usize| options.split(',').nth(n).unwrap_or_default();
        let (variable, file) = (part(0), part(1));
        let files: Vec<&str> = file.split('&').filter(|f| !f.is_empty()).collect();
        let Some(sound) = files.iter().map(|f| self.sound(f)).sum::<Option<Duration>>() else {
            self.set(variable, Vec::new());
            self.set("READSTATUS", "ERROR".into());
            return Reaction::result("0").with(Event::SoundMissing(file.to_owned()));
        };
        let seconds = |text: &str| {
            text.parse().ok().filter(|s| *s > 0.0).and_then(|s| Duration::try_from_secs_f64(s).ok())
        };
        let set = |name: &str| self.functions.get(name).and_then(|value| seconds(&lossy(value)));
        let first = seconds(part(5)).or_else(|| set("TIMEOUT(response)")).unwrap_or(Duration::from_secs(10));
        let between = seconds(part(5)).or_else(|| set("TIMEOUT(digit)")).unwrap_or(Duration::from_secs(5));
        let max = part(2).parse().unwrap_or(255);
        let (heard, digits, timed_out) = self.caller.collect(sound, first, between, max);
        let status = match () {
            () if heard.hung_up => "HANGUP",
            () if timed_out && digits.is_empty() => "TIMEOUT",
            () => "OK",
        };
        let event = self.set(variable, digits.into_bytes());
        self.set("READSTATUS", status.into());
        let took = heard.took;
        let mut reaction = Reaction::of_the_ear(heard, HungUpReply::Zero, "0");
        reaction.events.push((took, event));
        for file in files.iter().rev() {
            reaction = reaction.with(Event::Prompt((*file).to_owned()));
        }
        reaction
    }

    fn get_variable(&self, args: &[&str]) -> Reaction {
        match self.get(args[0]) {
            Some(value) => {
                Reaction::at_once(Reply::Line(in_parentheses(&value[..value.len().min(GET_VARIABLE)])))
            }
            None => Reaction::result("0"),
        }
    }

    fn get_full_variable(&self, args: &[&str]) -> Reaction {
        if args.get(1).is_some_and(|channel| *channel != self.script.channel) {
            return Reaction::result("0");
        }
        let mut value = Vec::new();
        let mut rest = args[0];
        while let Some((before, behind)) = rest.split_once("${") {
            value.extend_from_slice(before.as_bytes());
            let (name, after) = behind.split_once('}').unwrap_or((behind, ""));
            value.extend(self.get(name).unwrap_or_default());
            rest = after;
        }
        value.extend_from_slice(rest.as_bytes());
        Reaction::at_once(Reply::Line(in_parentheses(&value)))
    }

    /// A variable, or a function that reads one.
    fn get(&self, name: &str) -> Option<Vec<u8>> {
        let id = &self.caller_id;
        let known = match name {
            "CALLERID(num)" | "CALLERID(number)" => id.number.clone(),
            "CALLERID(name)" => id.name.clone(),
            "CALLERID(all)" => format!("\"{}\" <{}>", id.name, id.number),
            "CALLERID(ANI-num)" | "CALLERID(ani)" => id.ani.clone(),
            "CALLERID(dnid)" => self.script.dnid.clone().unwrap_or_default(),
            "CALLERID(num-pres)" | "CALLERID(pres)" => id.number_presentation.as_str().to_owned(),
            "CALLERID(name-pres)" => id.name_presentation.as_str().to_owned(),
            "CHANNEL" | "CHANNEL(name)" => self.script.channel.clone(),
            "UNIQUEID" | "CHANNEL(uniqueid)" | "CHANNEL(linkedid)" => self.script.unique_id.clone(),
            "CONTEXT" => self.script.context.clone(),
            "EXTEN" => self.script.extension.clone(),
            _ => return self.variables.get(name).or_else(|| self.functions.get(name)).cloned(),
        };
        Some(known.into_bytes())
    }

    fn set(&mut self, name: &str, mut value: Vec<u8>) -> Event {
        let text = lossy(&value);
        let id = &mut self.caller_id;
        let presentation = Presentation::parse(&text);
        match name {
            "CALLERID(num)" | "CALLERID(number)" => id.number.clone_from(&text),
            "CALLERID(name)" => {
                value.truncate(NAME);
                id.name = lossy(&value);
            }
            "CALLERID(all)" => {
                let (name, number) = text.split_once('<').unwrap_or(("", &text));
                id.name = name.trim().trim_matches('"').to_owned();
                id.number = number.trim_end_matches('>').to_owned();
            }
            "CALLERID(ANI-num)" | "CALLERID(ani)" => id.ani.clone_from(&text),
            // A word that is none changes nothing, and is answered as any other (measured).
            "CALLERID(num-pres)" => id.number_presentation = presentation.unwrap_or(id.number_presentation),
            "CALLERID(name-pres)" => id.name_presentation = presentation.unwrap_or(id.name_presentation),
            "CALLERID(pres)" => {
                id.number_presentation = presentation.unwrap_or(id.number_presentation);
                id.name_presentation = presentation.unwrap_or(id.name_presentation);
            }
            _ if name.ends_with(')') => drop(self.functions.insert(name.to_owned(), value)),
            _ => drop(self.variables.insert(name.to_owned(), value)),
        }
        Event::Set(name.to_owned(), text)
    }
}

fn result(text: &str) -> Vec<u8> {
    format!("200 result={text}\n").into_bytes()
}

fn in_parentheses(value: &[u8]) -> Vec<u8> {
    [b"200 result=1 (", value, b")\n"].concat()
}

fn samples(time: Duration) -> u128 {
    time.as_millis() * SAMPLES
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
