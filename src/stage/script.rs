//! A call as it is to happen, and what came of it: the same for both PBXs.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::caller::Entry;

/// One call, as it is to happen.
#[derive(Clone, Debug)]
pub struct Script {
    /// Path and query of the URL in the dialplan, without a leading `/`, such as `webhook/vip?did=123`. Empty: there is
    /// none.
    pub path: String,
    /// The AGI application's further arguments. FreeSWITCH's application has none.
    pub args: Vec<String>,
    /// The channel's name.
    pub channel: String,
    /// The channel's unique id.
    pub unique_id: String,
    /// The caller's number; `None`: the PBX knows none.
    pub number: Option<String>,
    /// The caller's name; `None`: the PBX knows none.
    pub name: Option<String>,
    /// How the caller wants to be shown.
    pub presentation: Presentation,
    /// The number that was dialled; `None`: the PBX knows none.
    pub dnid: Option<String>,
    /// The context in the dialplan.
    pub context: String,
    /// The extension in the dialplan.
    pub extension: String,
    /// Whether the channel is answered already.
    pub answered: bool,
    /// Sound files that are there, with their length. Any other is missing. Names as in the commands.
    pub sounds: BTreeMap<String, Duration>,
    /// What the caller types: one for each time that digits are collected. Afterwards nothing.
    pub entries: Vec<Entry>,
    /// The caller hangs up so long after the beginning, whatever is going on.
    pub hang_up_after: Option<Duration>,
    /// The caller hangs up when this is cancelled, whatever is going on: for what waits for something else than time.
    pub hang_up_when: CancellationToken,
    /// So many times faster than life: every time of the PBX's and the caller's is divided by it. At least 1.
    pub speed: u32,
}

impl Default for Script {
    /// A call of 1001 to extension 100 with no sound file and nothing typed.
    fn default() -> Script {
        Script {
            path: String::new(),
            args: Vec::new(),
            channel: "PJSIP/caller-0000000a".to_owned(),
            unique_id: "1795319690.20".to_owned(),
            number: Some("1001".to_owned()),
            name: Some("Alice Example".to_owned()),
            presentation: Presentation::AllowedNotScreened,
            dnid: Some("100".to_owned()),
            context: "in".to_owned(),
            extension: "100".to_owned(),
            answered: false,
            sounds: BTreeMap::new(),
            entries: Vec::new(),
            hang_up_after: None,
            hang_up_when: CancellationToken::new(),
            speed: 1,
        }
    }
}

/// How a number or a name may be shown, as Asterisk's `CALLERID(pres)` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "Asterisk's own words")]
pub enum Presentation {
    AllowedNotScreened,
    AllowedPassedScreen,
    AllowedFailedScreen,
    Allowed,
    ProhibNotScreened,
    ProhibPassedScreen,
    ProhibFailedScreen,
    Prohib,
    Unavailable,
}

impl Presentation {
    const ALL: [(Presentation, &'static str, u8); 9] = [
        (Presentation::AllowedNotScreened, "allowed_not_screened", 0x00),
        (Presentation::AllowedPassedScreen, "allowed_passed_screen", 0x01),
        (Presentation::AllowedFailedScreen, "allowed_failed_screen", 0x02),
        (Presentation::Allowed, "allowed", 0x03),
        (Presentation::ProhibNotScreened, "prohib_not_screened", 0x20),
        (Presentation::ProhibPassedScreen, "prohib_passed_screen", 0x21),
        (Presentation::ProhibFailedScreen, "prohib_failed_screen", 0x22),
        (Presentation::Prohib, "prohib", 0x23),
        (Presentation::Unavailable, "unavailable", 0x43),
    ];

    /// Asterisk's word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(p, ..)| *p == self).map_or("", |(_, word, _)| word)
    }

    /// `agi_callingpres`.
    pub fn code(self) -> u8 {
        Self::ALL.iter().find(|(p, ..)| *p == self).map_or(0, |(.., code)| *code)
    }

    pub(super) fn parse(word: &str) -> Option<Presentation> {
        Self::ALL.iter().find(|(_, w, _)| *w == word).map(|(p, ..)| *p)
    }

    pub(super) fn hides(self) -> bool {
        self.code() & 0x60 != 0
    }
}

/// What came of a call.
#[derive(Clone, Debug)]
pub struct Played {
    /// The channel's variables.
    pub variables: BTreeMap<String, String>,
    /// What the next phone would be told of the caller.
    pub caller: Shown,
    /// What becomes of the channel.
    pub after: After,
    /// Whether the channel is answered.
    pub answered: bool,
    /// Whether the caller is gone.
    pub hung_up: bool,
    /// Everything that happened, in order.
    pub transcript: Vec<Moment>,
}

impl Played {
    /// A variable, empty when it was never set.
    pub fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    /// The lines that the server sent, in order.
    pub fn commands(&self) -> Vec<&str> {
        self.of(|e| if let Event::Received(line) = e { Some(line) } else { None })
    }

    /// The prompts that the caller heard, in order.
    pub fn prompts(&self) -> Vec<&str> {
        self.of(|e| if let Event::Prompt(name) = e { Some(name) } else { None })
    }

    fn of(&self, pick: impl Fn(&Event) -> Option<&String>) -> Vec<&str> {
        self.transcript.iter().filter_map(|m| pick(&m.event)).map(String::as_str).collect()
    }
}

/// What the INVITE to the next phone says of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// In From: what the phone shows.
    pub from: Party,
    /// In P-Asserted-Identity: what a trunk that is trusted is told, hidden or not.
    pub asserted: Party,
    /// It has `Privacy: id`.
    pub private: bool,
}

/// A name and a number.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Party {
    /// The display name; empty: none.
    pub name: String,
    /// The user part of the URI.
    pub number: String,
}

impl Shown {
    /// Whether the phone shows neither name nor number.
    pub fn is_anonymous(&self) -> bool {
        self.from.number.eq_ignore_ascii_case("anonymous")
    }

    /// The header lines.
    pub fn invite(&self) -> String {
        let party = |Party { name, number }: &Party| match name.as_str() {
            "" => format!("<sip:{number}@pbx.invalid>"),
            name => format!("\"{name}\" <sip:{number}@pbx.invalid>"),
        };
        let privacy = if self.private { "id" } else { "none" };
        let (from, asserted) = (party(&self.from), party(&self.asserted));
        format!("From: {from}\r\nP-Asserted-Identity: {asserted}\r\nPrivacy: {privacy}\r\n")
    }
}

/// What becomes of the channel when the server has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The dialplan goes on. It says nothing of the session: a daemon that dies in the middle looks so too. Asterisk's
    /// `AGISTATUS` is `SUCCESS`.
    GoesOn,
    /// The dialplan goes on and can know that something failed: there was no connection, or Asterisk missed a sound file.
    /// `AGISTATUS` is `FAILURE`.
    Failure,
    /// The caller is gone. `AGISTATUS` is `HANGUP`.
    HungUp,
    /// FreeSWITCH left the channel parked: dead air.
    Parked,
    /// FreeSWITCH's channel is stuck in `CS_RESET`: the caller hears nothing.
    Stuck,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since the beginning, in real time, whatever the speed.
    pub at: Duration,
    /// What.
    pub event: Event,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The PBX wrote this.
    Sent(String),
    /// The server wrote this: a line without its end, or a command with all of its lines and its body.
    Received(String),
    /// The caller heard a sound file, or its beginning.
    Prompt(String),
    /// A sound file that is not there was asked for.
    SoundMissing(String),
    /// The caller pressed a key.
    Key(char),
    /// A channel variable, or what a dialplan function was told.
    Set(String, String),
    /// The caller hung up.
    HungUp,
    /// The server closed its sending side.
    HalfClosed,
    /// Bytes came while a command played or collected: it ended without a reply.
    Interrupted,
    /// FreeSWITCH expanded `${…}` or a backslash in what an application was given. `${system(…)}` would have run a shell.
    Expanded(String),
    /// FreeSWITCH took a value as several values.
    Array(String),
    /// FreeSWITCH took a command for another one, or could not read it.
    Misread(String),
    /// An application that FreeSWITCH does not know: the call is hung up.
    UnknownApplication(String),
    /// More quoted words on a line than Asterisk can take: a real one is dead now, with all its calls
    /// (asterisk#2069).
    PbxAborted,
}
