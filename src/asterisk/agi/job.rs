//! A neutral command as a row of AGI commands, one at a time: nothing is written behind a command that plays or
//! collects, it would end it.

use std::collections::VecDeque;
use std::time::Duration;

use super::command::{self, EncodeError, Line};
use super::session::COMMAND_TIME;
use crate::call::{Collect, Outcome};
use crate::call::{PLAY_TIME, PROMPT_TIME};
use crate::terms::{Code, Ended, Prompt};

/// What comes next.
pub(super) enum Step {
    /// Write this and wait so long for the reply.
    Send(Line, Duration),
    /// `-1`: no such file, or the caller hung up. `CHANNEL STATUS` tells which.
    AskStatus,
    /// There is no such sound. Call [`Job::without_sound`].
    NoSound(String),
    /// The command has ended.
    Done(Outcome),
    /// The reply is none to what was sent.
    Unexpected(&'static str),
}

/// A command of the call's. It does not print: an entry has begun in it.
pub(super) enum Job {
    Answer,
    Play(Sounds),
    Collect(Entry),
}

/// Sounds that are played one after the other. Asterisk's `&` between several is no syntax of `STREAM FILE` and
/// `GET DATA`.
pub(super) struct Sounds {
    playing: String,
    waiting: VecDeque<String>,
}

/// An entry of digits.
///
/// ```text
/// all sounds but the last    STREAM FILE f "0123456789*#"   a key ends it: it is the first digit
/// the last sound, or ""      GET DATA f timeout max
/// behind a first digit       GET DATA "" timeout max-1
/// ```
///
/// Where the time between digits is another than the time to the first one, `GET DATA f timeout 1` takes the first
/// digit. So every digit is in a reply alone; `EXEC Read` would put the code into a channel variable.
pub(super) struct Entry {
    sounds: Sounds,
    first: Code,
    timeout: Duration,
    digit_timeout: Duration,
    max_digits: usize,
    asked: Asked,
}

/// What the reply is to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// `STREAM FILE`, which a key ends.
    Sound,
    /// `GET DATA` for the first digit.
    FirstDigit,
    /// `GET DATA` for all that are missing.
    Digits,
}

impl Sounds {
    fn of<'a>(prompts: impl IntoIterator<Item = &'a Prompt>) -> Sounds {
        let names = prompts.into_iter().flat_map(|p| p.asterisk.split('&'));
        let waiting = names.map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect();
        Sounds { playing: String::new(), waiting }
    }

    /// Takes the next one; the empty name when there is none.
    fn next(&mut self) -> &str {
        self.playing = self.waiting.pop_front().unwrap_or_default();
        &self.playing
    }
}

impl Job {
    pub(super) fn play(prompt: &Prompt) -> Job {
        Job::Play(Sounds::of([prompt]))
    }

    pub(super) fn collect(wanted: &Collect) -> Job {
        Job::Collect(Entry {
            sounds: Sounds::of(wanted.lead.iter().chain(&wanted.prompt)),
            first: Code::default(),
            timeout: wanted.timeout,
            digit_timeout: wanted.digit_timeout.unwrap_or(wanted.timeout),
            max_digits: wanted.max_digits.clamp(1, Code::MAX),
            asked: Asked::Sound,
        })
    }

    /// The first step.
    pub(super) fn start(&mut self) -> Step {
        match self {
            Job::Answer => send(command::answer(), "", COMMAND_TIME),
            Job::Play(sounds) => sounds.play_next(),
            Job::Collect(entry) => entry.play_or_collect(),
        }
    }

    /// The reply `200 result=RESULT REST` came.
    pub(super) fn reply(&mut self, result: &str, rest: &str) -> Step {
        if result == "-1" {
            return Step::AskStatus;
        }
        match self {
            Job::Answer if result == "0" => Step::Done(Outcome::Done),
            Job::Play(sounds) if result == "0" => sounds.play_next(),
            Job::Answer | Job::Play(_) => Step::Unexpected("the reply is none to what was asked"),
            Job::Collect(entry) => entry.reply(result, rest),
        }
    }

    /// It was refused on a channel that lives: the sound is not there, or it does not answer.
    pub(super) fn refused(&mut self) -> Step {
        let sound = match self {
            Job::Answer => None,
            Job::Play(sounds) => Some(&sounds.playing),
            Job::Collect(entry) => Some(&entry.sounds.playing),
        };
        match sound.filter(|name| !name.is_empty()) {
            Some(name) => Step::NoSound(name.clone()),
            None => Step::Done(Outcome::Refused { reply: "200 result=-1".to_owned() }),
        }
    }

    /// Goes on without the sound that is not there: the attempt is not lost.
    pub(super) fn without_sound(&mut self) -> Step {
        match self {
            Job::Answer => Step::Done(Outcome::Done),
            Job::Play(sounds) => sounds.play_next(),
            Job::Collect(entry) if entry.asked == Asked::Sound => entry.play_or_collect(),
            Job::Collect(entry) => entry.collect_in_silence(),
        }
    }
}

impl Sounds {
    fn play_next(&mut self) -> Step {
        match self.next() {
            "" => Step::Done(Outcome::Done),
            name => send(command::stream_file(name, false), name, PLAY_TIME),
        }
    }
}

impl Entry {
    fn play_or_collect(&mut self) -> Step {
        let is_last = self.sounds.waiting.len() <= 1;
        self.sounds.next();
        if is_last {
            self.asked = if self.needs_two() { Asked::FirstDigit } else { Asked::Digits };
            self.collect()
        } else {
            let name = &self.sounds.playing;
            send(command::stream_file(name, true), name, PLAY_TIME)
        }
    }

    fn needs_two(&self) -> bool {
        self.digit_timeout != self.timeout && self.max_digits > 1
    }

    fn collect_in_silence(&mut self) -> Step {
        self.sounds.playing.clear();
        self.collect()
    }

    /// `GET DATA` for what `asked` says.
    fn collect(&self) -> Step {
        let (timeout, digits) = match self.asked {
            Asked::FirstDigit => (self.timeout, 1),
            Asked::Sound | Asked::Digits if self.first.is_empty() => (self.timeout, self.max_digits),
            Asked::Sound | Asked::Digits => (self.digit_timeout, self.max_digits - 1),
        };
        let name = &self.sounds.playing;
        let digits_time = timeout.saturating_mul(u32::try_from(digits).unwrap_or(u32::MAX));
        send(command::get_data(name, timeout, digits), name, PROMPT_TIME + digits_time)
    }

    fn reply(&mut self, result: &str, rest: &str) -> Step {
        match self.asked {
            Asked::Sound => match key(result) {
                None if result == "0" => self.play_or_collect(),
                None => Step::Unexpected("the reply to STREAM FILE is no key"),
                Some('#') => self.ended(Ended::Terminator),
                Some(digit) => self.begun_with(digit),
            },
            Asked::FirstDigit => match (result.len(), rest, result.chars().next()) {
                (0, "", _) => self.ended(Ended::Terminator),
                (0, "(timeout)", _) => self.ended(Ended::Timeout),
                (1, "", Some(digit)) => self.begun_with(digit),
                _ => Step::Unexpected("the reply to GET DATA is not one digit"),
            },
            Asked::Digits => self.rest(result, rest),
        }
    }

    fn begun_with(&mut self, digit: char) -> Step {
        let Some(first) = Code::parse(digit.encode_utf8(&mut [0; 4])) else {
            return Step::Unexpected("a digit is none");
        };
        self.first = first;
        if self.max_digits == 1 {
            return self.ended(Ended::Full);
        }
        self.asked = Asked::Digits;
        self.collect_in_silence()
    }

    fn rest(&mut self, result: &str, rest: &str) -> Step {
        let Some(code) = Code::parse(&format!("{}{result}", self.first.reveal())) else {
            return Step::Unexpected("the reply to GET DATA holds what is no digit");
        };
        let ended = match (rest, code.len()) {
            (_, len) if len > self.max_digits => return Step::Unexpected("GET DATA gave too many digits"),
            ("(timeout)", _) => Ended::Timeout,
            ("", len) if len == self.max_digits => Ended::Full,
            ("", _) => Ended::Terminator,
            _ => return Step::Unexpected("the reply to GET DATA is none"),
        };
        self.first = code;
        self.ended(ended)
    }

    fn ended(&mut self, ended: Ended) -> Step {
        Step::Done(Outcome::Digits { code: std::mem::take(&mut self.first), ended })
    }
}

/// A key as `STREAM FILE` tells it: its ASCII code in decimal.
fn key(result: &str) -> Option<char> {
    let code: u8 = result.parse().ok()?;
    Some(char::from(code)).filter(|c| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D'))
}

/// A sound whose name cannot be written is not there either; what has no sound is refused.
fn send(line: Result<Line, EncodeError>, sound: &str, time: Duration) -> Step {
    match line {
        Ok(line) => Step::Send(line, time),
        Err(e) if sound.is_empty() => Step::Done(Outcome::Refused { reply: e.to_string() }),
        Err(_) => Step::NoSound(sound.to_owned()),
    }
}
