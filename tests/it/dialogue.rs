//! Recorded conversations with PBXs, played against a session.
//!
//! A dialogue is a text file, one thing a line:
//!
//! ```text
//! # a remark
//! > 'agi_network: yes\n…'     the PBX says this in one segment
//! < 'ANSWER\n'                the session writes this in one write
//! < last 'SET …\n'            … and closes its sending side
//! run collect max=4 …         the call gives a command, see `command`
//! expect digits '12' timeout  the session says this to the call, see `shown`
//! eof                         the PBX closes its side
//! pass                        the time that the session asked for passes
//! ```
//!
//! What the session writes and says must be exactly what the file has, in its order, however TCP cuts what the PBX says.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use switchhook::call::{CallerChange, Collect, Command, CommandId, Finish, Outcome, Session, SessionOutput};
use switchhook::terms::{Ended, PbxText, Prompt, Route, VarName, What};

/// One line of a dialogue.
#[derive(Clone, Debug)]
enum Line {
    Pbx(Vec<u8>),
    Run(Command),
    /// What the session does, as [`shown`] has it.
    Session(String),
    Eof,
    Pass,
}

/// A dialogue.
pub(crate) struct Dialogue {
    name: String,
    lines: Vec<(usize, Line)>,
}

/// How what the PBX says is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// As recorded.
    Nowhere,
    /// Once, behind so many bytes.
    At(usize),
    /// Behind each byte.
    Everywhere,
}

impl Dialogue {
    /// All dialogues of a PBX, in the order of their names. There are some.
    pub(crate) fn all(pbx: &str) -> Vec<Dialogue> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues").join(pbx);
        let mut open = vec![folder];
        let mut files: Vec<PathBuf> = Vec::new();
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(fs::read_dir(&path).expect("a folder").map(|e| e.expect("an entry").path()));
            } else {
                files.push(path);
            }
        }
        files.sort();
        assert!(!files.is_empty(), "no dialogue of {pbx}");
        files.iter().map(|file| Dialogue::read(file)).collect()
    }

    fn read(file: &Path) -> Dialogue {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{name}: {e}"));
        Dialogue::parse(&name, &text)
    }

    /// Reads a dialogue.
    pub(crate) fn parse(name: &str, text: &str) -> Dialogue {
        let lines = text.lines().enumerate().filter(|(_, l)| !l.is_empty() && !l.starts_with('#'));
        let lines = lines.map(|(at, line)| {
            let at = at + 1;
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let line = match word {
                ">" => Line::Pbx(unquoted(rest).unwrap_or_else(|| panic!("{name}:{at}: {rest}"))),
                "<" => Line::Session(line.to_owned()),
                "expect" => Line::Session(rest.to_owned()),
                "run" => Line::Run(command(rest).unwrap_or_else(|| panic!("{name}:{at}: {rest}"))),
                "eof" => Line::Eof,
                "pass" => Line::Pass,
                _ => panic!("{name}:{at}: {line}"),
            };
            (at, line)
        });
        Dialogue { name: name.to_owned(), lines: lines.collect() }
    }

    /// How many bytes the PBX says.
    pub(crate) fn pbx_bytes(&self) -> usize {
        self.lines.iter().map(|(_, l)| if let Line::Pbx(bytes) = l { bytes.len() } else { 0 }).sum()
    }

    /// Plays it. `Err` says where the session did something else.
    pub(crate) fn play(&self, cut: Cut, session: &mut dyn Session, start: Instant) -> Result<(), String> {
        let (mut now, mut said, mut ids) = (start, Vec::new(), 0);
        let (mut passed, mut wait) = (0, None);
        drain(session, &mut said, &mut wait);
        for (at, line) in &self.lines {
            let place = || format!("{}:{at}, cut {cut:?}", self.name);
            match line {
                Line::Session(expected) => {
                    let got = if said.is_empty() { "nothing".to_owned() } else { said.remove(0) };
                    if got != *expected {
                        return Err(format!("{}: expected {expected}, got {got}", place()));
                    }
                    continue;
                }
                _ if !said.is_empty() => return Err(format!("{}: before it came {}", place(), said[0])),
                Line::Pbx(bytes) => {
                    for piece in pieces(bytes, passed, cut) {
                        session.handle_bytes(now, piece);
                        drain(session, &mut said, &mut wait);
                    }
                    passed += bytes.len();
                }
                Line::Run(command) => {
                    session.run(now, CommandId(ids), command.clone());
                    ids += 1;
                }
                Line::Eof => session.handle_eof(now),
                Line::Pass => {
                    now = wait.ok_or_else(|| format!("{}: nothing to wait for", place()))?;
                    session.handle_timeout(now);
                }
            }
            now += Duration::from_millis(1);
            drain(session, &mut said, &mut wait);
        }
        if said.is_empty() { Ok(()) } else { Err(format!("{}: at its end came {said:?}", self.name)) }
    }
}

fn pieces(bytes: &[u8], passed: usize, cut: Cut) -> Vec<&[u8]> {
    match cut {
        Cut::Nowhere => vec![bytes],
        Cut::Everywhere => bytes.chunks(1).collect(),
        Cut::At(at) => match at.checked_sub(passed) {
            Some(here) if here > 0 && here < bytes.len() => {
                let (front, back) = bytes.split_at(here);
                vec![front, back]
            }
            _ => vec![bytes],
        },
    }
}

fn drain(session: &mut dyn Session, said: &mut Vec<String>, wait: &mut Option<Instant>) {
    loop {
        match session.poll_output() {
            SessionOutput::Wait(until) => return *wait = Some(until),
            SessionOutput::Closed => {
                if said.last().is_none_or(|s| s != "closed") && wait.is_some() {
                    said.push("closed".to_owned());
                }
                return *wait = None;
            }
            output => said.push(shown(&output)),
        }
    }
}

/// What a session does, as dialogues have it. A code is shown, other than in the program's own logs.
pub(crate) fn shown(output: &SessionOutput) -> String {
    match output {
        SessionOutput::Write(bytes) => format!("< {}", quoted(bytes)),
        SessionOutput::WriteLast(bytes) => format!("< last {}", quoted(bytes)),
        SessionOutput::Opened(opening) => {
            let route = match &opening.route {
                Ok(Route::Webhook(name)) => format!("webhook/{name}"),
                Ok(Route::Prepend(text)) => format!("prepend {}", quoted(text.as_bytes())),
                Ok(Route::Replace(text)) => format!("replace {}", quoted(text.as_bytes())),
                Err(e) => format!("nothing {}", quoted(e.path.as_bytes())),
            };
            let channel = &opening.channel;
            let [did, number, name] =
                [&channel.did, channel.callerid.as_str(), &channel.callername].map(|t| quoted(t.as_bytes()));
            format!("opened {route} did={did} callerid={number} callername={name}")
        }
        SessionOutput::Done(_, Outcome::Done) => "done".to_owned(),
        SessionOutput::Done(_, Outcome::HungUp) => "done hungup".to_owned(),
        SessionOutput::Done(_, Outcome::Refused { reply }) => format!("refused {}", quoted(reply.as_bytes())),
        SessionOutput::Done(_, Outcome::Digits { code, ended }) => {
            let ended = match ended {
                Ended::Terminator => "terminator",
                Ended::Full => "full",
                Ended::Timeout => "timeout",
                Ended::Hangup => "hangup",
            };
            format!("digits {} {ended}", quoted(code.reveal().as_bytes()))
        }
        SessionOutput::HungUp => "hungup".to_owned(),
        SessionOutput::Note(What::SoundMissing { prompt }) => {
            format!("note sound_missing {}", quoted(prompt.as_bytes()))
        }
        SessionOutput::Note(What::PbxRefused { what, reply }) => {
            format!("note refused {what} {}", quoted(reply.as_bytes()))
        }
        SessionOutput::Note(What::ProtocolError { detail }) => format!("note protocol_error {detail}"),
        SessionOutput::Note(other) => format!("note {other:?}"),
        SessionOutput::Wait(_) => "wait".to_owned(),
        SessionOutput::Closed => "closed".to_owned(),
    }
}

/// A command out of `answer`, `play [SOUND]`, `collect max=N timeout=MS [gap=MS] [lead=SOUND] [prompt=SOUND]`,
/// `finish [suppress] [present] [name='…'] [number='…'] [VARIABLE='…'] …`.
pub(crate) fn command(text: &str) -> Option<Command> {
    let mut words = words(text)?.into_iter();
    let prompt = |name: &str| Prompt { asterisk: name.to_owned(), freeswitch: name.to_owned() };
    let (first, _) = words.next()?;
    Some(match first.as_str() {
        "answer" => Command::Answer,
        "play" => Command::Play(prompt(&words.next().map_or_else(String::new, |(name, _)| name))),
        "collect" => {
            let mut wanted = Collect {
                lead: None,
                prompt: None,
                timeout: Duration::ZERO,
                digit_timeout: None,
                max_digits: 0,
            };
            for (key, value) in words {
                let value = value?;
                match key.as_str() {
                    "lead" => wanted.lead = Some(prompt(&value)),
                    "prompt" => wanted.prompt = Some(prompt(&value)),
                    "timeout" => wanted.timeout = Duration::from_millis(value.parse().ok()?),
                    "gap" => wanted.digit_timeout = Some(Duration::from_millis(value.parse().ok()?)),
                    "max" => wanted.max_digits = value.parse().ok()?,
                    _ => return None,
                }
            }
            Command::Collect(wanted)
        }
        "finish" => {
            let mut finish = Finish::default();
            let (mut shows, mut name, mut number, mut present) = (false, None, None, false);
            for (key, value) in words {
                let value = value.map(|v| PbxText::clean(&v).0);
                shows |= matches!(key.as_str(), "name" | "number" | "present");
                match key.as_str() {
                    "suppress" => finish.caller = CallerChange::Suppress,
                    "present" => present = true,
                    "name" => name = value,
                    "number" => number = value,
                    _ => finish.variables.push((VarName::parse(&key).ok()?, value?)),
                }
            }
            if shows {
                finish.caller = CallerChange::Show { name, number, present };
            }
            Command::Finish(finish)
        }
        _ => return None,
    })
}

/// Words, and `key=value` where the value may be in quotes.
fn words(text: &str) -> Option<Vec<(String, Option<String>)>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let (key, behind) = rest.split_at(end);
        let mut value = None;
        rest = behind.trim_start();
        if let Some(given) = behind.strip_prefix('=') {
            let end = match given.strip_prefix('\'') {
                Some(inside) => inside.find('\'')? + 2,
                None => given.find(' ').unwrap_or(given.len()),
            };
            let (one, more) = given.split_at(end);
            value = match one.starts_with('\'') {
                true => Some(String::from_utf8(unquoted(one)?).ok()?),
                false => Some(one.to_owned()),
            };
            rest = more.trim_start();
        }
        found.push((key.to_owned(), value));
    }
    Some(found)
}

/// Bytes as a dialogue has them: in single quotes, with `\n \r \t \\ \' \xNN`.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("'");
    for b in bytes {
        match b {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b'\\' => out.push_str("\\\\"),
            b'\'' => out.push_str("\\x27"),
            0x20..=0x7E => out.push(char::from(*b)),
            _ => out.push_str(&format!("\\x{b:02x}")),
        }
    }
    out.push('\'');
    out
}

fn unquoted(text: &str) -> Option<Vec<u8>> {
    let inside = text.strip_prefix('\'')?.strip_suffix('\'')?.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < inside.len() {
        let (byte, used) = match (inside[at], inside.get(at + 1)) {
            (b'\\', Some(b'n')) => (b'\n', 2),
            (b'\\', Some(b'r')) => (b'\r', 2),
            (b'\\', Some(b't')) => (b'\t', 2),
            (b'\\', Some(b'x')) => {
                let hex = std::str::from_utf8(inside.get(at + 2..at + 4)?).ok()?;
                (u8::from_str_radix(hex, 16).ok()?, 4)
            }
            (b'\\', Some(other)) => (*other, 2),
            (b'\\', None) => return None,
            (plain, _) => (plain, 1),
        };
        out.push(byte);
        at += used;
    }
    Some(out)
}
