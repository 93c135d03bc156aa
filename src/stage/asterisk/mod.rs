//! Asterisk's side of one FastAGI session, as recorded from Asterisk 22.10.1 and 16.28.0.
//!
//! One command at a time, replies in order and in Asterisk's own framing. Also where it hurts: a line that is written
//! behind another without a half-close waits until more bytes come, bytes end a command that plays or collects, an
//! unfinished line runs at the end, a hung-up channel answers 511.
//!
//! Played: `ANSWER`, `CHANNEL STATUS`, `EXEC` (Read, Playback, Set, NoOp, Verbose, Wait, Answer, Hangup), `GET DATA`,
//! `GET FULL VARIABLE`, `GET VARIABLE`, `HANGUP`, `NOOP`, `SET VARIABLE`, `STREAM FILE`, `VERBOSE`. Any other command is
//! answered 510, as one that Asterisk does not know.

mod caller;
mod channel;
mod connection;
mod words;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use caller::{Entry, Key};
pub use channel::{CallerId, Presentation};

/// One call, as it is to happen.
#[derive(Clone, Debug)]
pub struct Script {
    /// Path and query of the URL in the dialplan, without a leading `/`, such as `webhook/vip?did=123`. Empty: the
    /// line `agi_network_script` is missing.
    pub path: String,
    /// The AGI application's further arguments.
    pub args: Vec<String>,
    /// The channel's name.
    pub channel: String,
    /// The channel's unique id.
    pub unique_id: String,
    /// The caller's number; `None` is `unknown`.
    pub number: Option<String>,
    /// The caller's name; `None` is `unknown`.
    pub name: Option<String>,
    /// How the caller wants to be shown.
    pub presentation: Presentation,
    /// The number that was dialled; `None` is `unknown`.
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
    /// So many times faster than life: every time of Asterisk's and the caller's is divided by it. At least 1.
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

/// What came of a call.
#[derive(Clone, Debug)]
pub struct Played {
    /// The channel's variables.
    pub variables: BTreeMap<String, String>,
    /// What the next phone would be told of the caller.
    pub caller: CallerId,
    /// `AGISTATUS`, as the dialplan sees it. `SUCCESS` says nothing: a daemon that dies in the middle looks so too.
    pub agi_status: AgiStatus,
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

/// What AGI() leaves in `AGISTATUS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgiStatus {
    /// The session ended, well or not.
    Success,
    /// No connection, or a sound file was missing.
    Failure,
    /// The caller hung up.
    Hangup,
}

impl AgiStatus {
    /// The word in the variable.
    pub fn as_str(self) -> &'static str {
        match self {
            AgiStatus::Success => "SUCCESS",
            AgiStatus::Failure => "FAILURE",
            AgiStatus::Hangup => "HANGUP",
        }
    }
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
    /// Asterisk wrote this.
    Sent(String),
    /// The server wrote this line, without its end.
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
    /// More quoted words on a line than Asterisk can take: a real one is dead now, with all its calls
    /// (asterisk#2069).
    PbxAborted,
}

/// Plays a call against a FastAGI server, until the server ends the session. A server that never does is waited for, as
/// Asterisk does. No connection is `AGISTATUS=FAILURE`.
pub async fn play(server: SocketAddr, script: Script) -> Played {
    connection::play(server, script).await
}

#[cfg(test)]
mod tests;
