//! A neutral command as applications. Each ends with an event of its own.

use std::time::Duration;

use super::session::COMMAND_TIME;
use crate::call::{Collect, Outcome};
use crate::call::{PLAY_TIME, PROMPT_TIME};
use crate::freeswitch::esl::{App, EncodeError, Event, execute, set_own};
use crate::terms::{Code, Ended, Prompt};

/// The channel variable that holds an entry's digits from its end until we remove it. There is no way without one.
pub const DIGITS_VARIABLE: &str = "switchhook_digits";

/// Digits of one entry, at most. `play_and_get_digits` refuses more than 128, and writes one byte behind its buffer
/// for 128 of them (read in its source).
pub const DIGITS_MAX: usize = 127;

/// The shortest time that `play_and_get_digits` takes (read in its source).
const TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Where FreeSWITCH puts the key that ended an entry. It leaves an older one there, so it is removed before each.
const TERMINATOR_VARIABLE: &str = "read_terminator_used";

/// Keeps each key out of FreeSWITCH's log, its events, and `digits_dialed` at the call's end (measured).
pub(super) const SENSITIVE_VARIABLE: &str = "sensitive_dtmf";

/// The variables that an entry leaves behind.
pub(super) const LEFT_BEHIND: [&str; 2] = [DIGITS_VARIABLE, TERMINATOR_VARIABLE];

/// In front of a sound that no key shall end: without it `*` does.
const NO_KEY: &str = "%[playback_terminators=none]";

/// Several sounds, one behind the other, as one file. A file that is not there is passed over.
const SOUNDS: &str = "file_string://";

/// What comes next.
pub(super) enum Step {
    /// There is no such sound. Start again: it is left out now.
    NoSound(String),
    /// The command has ended.
    Done(Outcome),
    /// The event is none that can be.
    Unexpected(&'static str),
}

/// A command of the call's.
pub(super) enum Job {
    Answer,
    Play(String),
    Collect(Entry),
}

/// An entry of digits: one `play_and_get_digits` with one try, no least number and no expression. Its prompts are
/// one file, so that a key in the first one is the first digit.
pub(super) struct Entry {
    sounds: Vec<String>,
    timeout: Duration,
    digit_timeout: Duration,
    max_digits: usize,
}

/// What a job writes: the messages, and the id of the one whose end is the job's.
pub(super) struct Messages {
    pub(super) bytes: Vec<Vec<u8>>,
    pub(super) id: String,
}

impl Job {
    pub(super) fn play(prompt: &Prompt) -> Job {
        Job::Play(prompt.freeswitch.clone())
    }

    pub(super) fn collect(wanted: &Collect) -> Job {
        let sounds = wanted.lead.iter().chain(&wanted.prompt).map(|p| p.freeswitch.trim());
        Job::Collect(Entry {
            sounds: sounds.filter(|s| !s.is_empty()).map(str::to_owned).collect(),
            timeout: wanted.timeout.max(TIMEOUT_MIN),
            digit_timeout: wanted.digit_timeout.unwrap_or(wanted.timeout),
            max_digits: wanted.max_digits.clamp(1, DIGITS_MAX),
        })
    }

    /// How long it may take.
    pub(super) fn time(&self) -> Duration {
        match self {
            Job::Answer => COMMAND_TIME,
            Job::Play(_) => PLAY_TIME,
            Job::Collect(entry) => {
                let digits = u32::try_from(entry.max_digits).unwrap_or(u32::MAX);
                PROMPT_TIME + entry.timeout + entry.digit_timeout.saturating_mul(digits)
            }
        }
    }

    /// What to write, with ids out of `id`. A sound whose name cannot be written is not there.
    pub(super) fn start(&mut self, mut id: impl FnMut() -> String) -> Result<Messages, Step> {
        let mut bytes = Vec::new();
        if matches!(self, Job::Collect(_)) {
            for name in LEFT_BEHIND {
                bytes.extend(set_own(name, "", &id()));
            }
            bytes.extend(set_own(SENSITIVE_VARIABLE, "true", &id()));
        }
        let last = id();
        let message = match self {
            Job::Answer => execute(App::Answer, "", &last),
            Job::Play(sound) => execute(App::Playback, &format!("{NO_KEY}{sound}"), &last),
            Job::Collect(entry) => entry.message(&last),
        };
        match message {
            Ok(message) => {
                bytes.push(message);
                Ok(Messages { bytes, id: last })
            }
            Err(e) => {
                Err(self.without_sound().unwrap_or(Step::Done(Outcome::Refused { reply: e.to_string() })))
            }
        }
    }

    /// Its application has ended.
    pub(super) fn completed(&mut self, event: &Event) -> Step {
        if event.get("Answer-State").is_some_and(|s| s == "hangup") {
            return Step::Done(Outcome::HungUp);
        }
        match self {
            Job::Answer => Step::Done(Outcome::Done),
            Job::Play(_) if event.get("Application-Response").is_some_and(|r| r == "FILE NOT FOUND") => {
                self.without_sound().unwrap_or(Step::Done(Outcome::Done))
            }
            Job::Play(_) => Step::Done(Outcome::Done),
            // No result at all: the prompt could not be opened, and not a key was waited for.
            Job::Collect(_) if event.variable("read_result").is_none() => {
                let reply = "play_and_get_digits collected nothing".to_owned();
                self.without_sound().unwrap_or(Step::Done(Outcome::Refused { reply }))
            }
            Job::Collect(entry) => entry.digits(event),
        }
    }

    /// Leaves out the sounds; `None` where there is none.
    fn without_sound(&mut self) -> Option<Step> {
        let sounds = match self {
            Job::Answer => return None,
            Job::Play(sound) => std::mem::take(sound),
            Job::Collect(entry) => std::mem::take(&mut entry.sounds).join("!"),
        };
        (!sounds.is_empty()).then_some(Step::NoSound(sounds))
    }

    /// Whether it has nothing to do: a sound that is not there was left out.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Job::Play(sound) if sound.is_empty())
    }
}

impl Entry {
    /// Least, most, tries, timeout, end, prompt, prompt when it is wrong, variable, expression, digit timeout. A word
    /// between quotes can hold spaces, and be empty.
    fn message(&self, id: &str) -> Result<Vec<u8>, EncodeError> {
        let sounds: Vec<_> = self.sounds.iter().map(|s| s.strip_prefix(SOUNDS).unwrap_or(s)).collect();
        let file = match (&self.sounds[..], &sounds[..]) {
            ([], _) => String::new(),
            ([sound], _) => sound.clone(),
            (_, several) => format!("{SOUNDS}{}", several.join("!")),
        };
        if file.contains('\'') {
            return Err(EncodeError::Misread);
        }
        let (most, timeout) = (self.max_digits, self.timeout.as_millis());
        let digit_timeout = self.digit_timeout.as_millis();
        let argument = format!("0 {most} 1 {timeout} # '{file}' '' {DIGITS_VARIABLE} '' {digit_timeout}");
        execute(App::PlayAndGetDigits, &argument, id)
    }

    /// The digits are in the variable, whatever `read_result` says of them; what ended them is told by the key that
    /// FreeSWITCH noted, and by their number. `#` that interrupts the prompt of a one-digit entry is not noted, but
    /// counts as a success then.
    fn digits(&self, event: &Event) -> Step {
        // `F` is a hook flash.
        let digits = event.variable(DIGITS_VARIABLE).unwrap_or_default().replace('F', "");
        let Some(code) = Code::parse(&digits) else {
            return Step::Unexpected("the digits of an entry hold what is no digit");
        };
        let noted = event.variable(TERMINATOR_VARIABLE).is_some();
        let success = event.variable("read_result").is_some_and(|r| r == "success");
        let ended = match code.len() {
            n if n > self.max_digits => return Step::Unexpected("an entry has too many digits"),
            _ if noted => Ended::Terminator,
            n if n == self.max_digits => Ended::Full,
            0 if success => Ended::Terminator,
            _ => Ended::Timeout,
        };
        Step::Done(Outcome::Digits { code, ended })
    }
}
