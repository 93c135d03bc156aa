//! One connection to FreeSWITCH's event socket: login, subscription, snapshot, events, keep-alive.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::freeswitch::esl::{EncodeError, Event, Message, PacketError, PacketReader, Reply, command, login};
use crate::terms::Secret;
use crate::track::{
    self, ChannelInfo, Due, MAX_CHANNELS, RESYNC, STEP, SessionOutput, Upkeep, VariableNames,
};

use super::event::channel_events;
use super::list::{ListError, bridges, channels};

/// Bytes of a list of channels, at most: one has about 1.2 KiB (measured).
const LIST_MAX: usize = 64 * 1024 * 1024;

/// How far its lists are behind its events, at most: FreeSWITCH writes them to a database of its own. 0.2 s are usual, 0.5 s
/// were seen at 50 calls a second.
const LIST_LAG: Duration = Duration::from_secs(5);

/// Between the first list and the second one, which has what was too young for the first.
const SECOND_LIST: Duration = Duration::from_secs(10);

/// Each event with the command that subscribes to it.
macro_rules! events {
    ($($name:literal,)+) => { [$(($name, concat!("event plain ", $name))),+] };
}

/// The events that are wanted: what `esl-allowed-events` of an account must hold. They are subscribed to one by one, since
/// an account that may not have one of a list gets none of it (read in its source).
pub const EVENTS: [(&str, &str); 10] = events![
    "CHANNEL_CREATE",
    "CHANNEL_PROGRESS",
    "CHANNEL_PROGRESS_MEDIA",
    "CHANNEL_ANSWER",
    "CHANNEL_BRIDGE",
    "CHANNEL_UNBRIDGE",
    "CHANNEL_HANGUP",
    "CHANNEL_HANGUP_COMPLETE",
    "CHANNEL_APPLICATION",
    "RECORD_START",
];

/// A command that every account may send and that changes nothing: its reply shows that FreeSWITCH is there.
const PING: &str = "nolog";

/// Who logs in.
#[derive(Clone, Debug)]
pub struct Account {
    /// `name@domain` of the directory; `None`: the password of event_socket.conf.xml alone.
    pub user: Option<String>,
    /// The password.
    pub password: Secret,
}

impl Account {
    /// Where it is made, for those who must mend it.
    fn place(&self) -> String {
        match &self.user {
            Some(user) => format!("the user {user} of the directory"),
            None => "event_socket.conf.xml".to_owned(),
        }
    }
}

/// What is to be done, or happened.
pub type Output = SessionOutput<Warning, Lost>;

/// What the person who runs it should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// No snapshot will come.
    #[error(
        "FreeSWITCH does not let {place} list channels (permission denied), so calls that were under way at a reconnect \
         are not known: add show to its esl-allowed-api"
    )]
    NoSnapshot {
        /// The account.
        place: String,
    },
    /// Some events do not come.
    #[error(
        "FreeSWITCH does not let {place} have the events {events}, so calls are told wrongly or not at all: add them to \
         its esl-allowed-events"
    )]
    EventsDenied {
        /// The account.
        place: String,
        /// Their names.
        events: String,
    },
}

/// Why the link is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// FreeSWITCH refused the account. Trying again changes nothing.
    #[error(
        "FreeSWITCH refused the login ({message}): the password must be the one of {place}{}",
        if *.is_user { " (esl-password)" } else { "" }
    )]
    AuthRejected {
        /// The account.
        place: String,
        /// It is a user of the directory.
        is_user: bool,
        /// FreeSWITCH's words.
        message: String,
    },
    /// This address may not connect.
    #[error(
        "FreeSWITCH refused our address: apply-inbound-acl of event_socket.conf.xml must name a list of acl.conf.xml that \
         allows it"
    )]
    AclRejected,
    /// User or password cannot be sent.
    #[error("the account cannot be used: {0}")]
    Account(EncodeError),
    /// FreeSWITCH closed the connection.
    #[error("FreeSWITCH closed the connection {0}")]
    Closed(&'static str),
    /// Nothing came in time.
    #[error("FreeSWITCH did not answer in time: {0}")]
    Timeout(&'static str),
    /// The peer speaks something else.
    #[error("this is no event socket of FreeSWITCH, or it is out of step: {0}")]
    Packet(#[from] PacketError),
    /// A reply to nothing, or another one than was asked for.
    #[error("this is no event socket of FreeSWITCH, or it is out of step: {0}")]
    OutOfStep(&'static str),
    /// The list of channels cannot be read.
    #[error("the list of channels cannot be read: {0}")]
    List(String),
    /// A list of channels without an end.
    #[error("more than {MAX_CHANNELS} channels")]
    TooManyChannels,
    /// We left.
    #[error("logged off")]
    LoggedOff,
}

impl From<ListError> for Lost {
    fn from(error: ListError) -> Lost {
        Lost::List(error.to_string())
    }
}

/// What a session awaits.
///
/// ```text
/// AwaitRequest -> AwaitLogin -> Following -> AwaitGoodbye -> Closed
///                                (subscription, snapshot, ping: within Following)
/// timeout, end of file, no event socket: any -> Closed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    AwaitRequest,
    AwaitLogin,
    Following,
    AwaitGoodbye,
    Closed,
}

/// A command whose reply has not come. FreeSWITCH replies in the order of the commands (measured).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Login,
    Event(&'static str),
    Channels,
    Bridges,
    Ping,
    Exit,
}

/// A list of channels that is under way.
#[derive(Debug)]
struct Listing {
    asked: Instant,
    channels: Vec<ChannelInfo>,
}

/// One connection. Sans I/O, see [`track::Session`].
pub struct Session {
    account: Account,
    reader: PacketReader,
    state: State,
    asked: VecDeque<Asked>,
    /// Events that the account may not have.
    denied: Vec<&'static str>,
    listing: Option<Listing>,
    /// There was a list on this connection.
    listed: bool,
    upkeep: Upkeep,
    deadline: Instant,
    wanted: VariableNames,
    outputs: VecDeque<Output>,
}

impl Session {
    /// A connection that was just opened.
    pub fn new(now: Instant, account: Account) -> Session {
        Session {
            account,
            reader: PacketReader::with_content_max(LIST_MAX),
            state: State::AwaitRequest,
            asked: VecDeque::new(),
            denied: Vec::new(),
            listing: None,
            listed: false,
            upkeep: Upkeep::new(now),
            deadline: now + STEP,
            wanted: VariableNames::default(),
            outputs: VecDeque::new(),
        }
    }
}

impl track::Session for Session {
    type Warning = Warning;
    type Lost = Lost;

    fn handle_bytes(&mut self, now: Instant, wall: i64, bytes: &[u8]) {
        if self.state == State::Closed {
            return;
        }
        self.upkeep.heard(now);
        self.reader.push(bytes);
        if let Err(lost) = self.read(now, wall) {
            self.end(lost);
        }
        self.set_deadline();
    }

    fn handle_eof(&mut self) {
        self.end(match self.state {
            State::AwaitRequest => Lost::Closed("before its first line"),
            State::AwaitLogin => Lost::Closed("during the login"),
            State::AwaitGoodbye => Lost::LoggedOff,
            State::Following | State::Closed => Lost::Closed("(stopped, restarted, or we read too slowly)"),
        });
    }

    fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        match self.state {
            State::AwaitRequest => self.end(Lost::Timeout("no first line")),
            State::AwaitLogin => self.end(Lost::Timeout("the login")),
            State::AwaitGoodbye => self.end(Lost::LoggedOff),
            State::Following => self.keep_up(now),
            State::Closed => {}
        }
        self.set_deadline();
    }

    fn log_off(&mut self, now: Instant) {
        match self.state {
            State::Following => {
                self.send("exit", Asked::Exit);
                self.state = State::AwaitGoodbye;
                self.deadline = now + STEP;
            }
            State::AwaitGoodbye | State::Closed => {}
            State::AwaitRequest | State::AwaitLogin => self.end(Lost::LoggedOff),
        }
    }

    fn poll_output(&mut self) -> Output {
        match self.outputs.pop_front() {
            Some(output) => output,
            None if self.state == State::Closed => Output::Closed,
            None => Output::Wait(self.deadline),
        }
    }

    fn want(&mut self, names: &VariableNames) {
        self.wanted = names.clone();
    }

    fn is_refusal(lost: &Lost) -> bool {
        matches!(lost, Lost::AuthRejected { .. } | Lost::Account(_))
    }
}

impl Session {
    fn read(&mut self, now: Instant, wall: i64) -> Result<(), Lost> {
        while self.state != State::Closed
            && let Some(packet) = self.reader.next_packet()?
        {
            match Message::parse(packet)? {
                Message::AuthRequest => self.log_in(now)?,
                Message::Rejected => return Err(Lost::AclRejected),
                Message::Reply(reply) => self.handle_reply(now, &reply)?,
                Message::Api(content) => self.handle_list(now, wall, &content)?,
                Message::Event(event) => self.handle_event(wall, &event),
                Message::Disconnected { .. } => self.handle_goodbye(),
                Message::Other => {}
            }
        }
        Ok(())
    }

    fn log_in(&mut self, now: Instant) -> Result<(), Lost> {
        if self.state != State::AwaitRequest {
            return Err(Lost::OutOfStep("a request for the password in the middle"));
        }
        let account = &self.account;
        let bytes = login(account.user.as_deref(), &account.password).map_err(Lost::Account)?;
        self.outputs.push_back(Output::Write(bytes));
        self.asked.push_back(Asked::Login);
        self.state = State::AwaitLogin;
        self.deadline = now + STEP;
        Ok(())
    }

    fn handle_reply(&mut self, now: Instant, reply: &Reply) -> Result<(), Lost> {
        let asked = self.asked.pop_front().ok_or(Lost::OutOfStep("a reply to nothing"))?;
        match asked {
            Asked::Login if reply.is_ok() => {
                self.state = State::Following;
                self.outputs.push_back(Output::LoggedIn { version: String::new() });
                for (name, subscribe) in EVENTS {
                    self.send(subscribe, Asked::Event(name));
                }
                self.ask_for_channels(now);
            }
            Asked::Login => {
                return Err(Lost::AuthRejected {
                    place: self.account.place(),
                    is_user: self.account.user.is_some(),
                    message: reply.text().into_owned(),
                });
            }
            Asked::Event(name) => {
                self.denied.extend((!reply.is_ok()).then_some(name));
                if EVENTS.last().is_some_and(|(last, _)| *last == name) && !self.denied.is_empty() {
                    let events = std::mem::take(&mut self.denied).join(" ");
                    let warning = Warning::EventsDenied { place: self.account.place(), events };
                    self.outputs.push_back(Output::Warning(warning));
                }
            }
            // Permission denied. Both lists are one command.
            Asked::Channels => {
                self.listing = None;
                self.upkeep.list_refused();
                let warning = Warning::NoSnapshot { place: self.account.place() };
                self.outputs.push_back(Output::Warning(warning));
                self.outputs.push_back(Output::NoSnapshot);
            }
            Asked::Exit => return Err(Lost::LoggedOff),
            Asked::Bridges | Asked::Ping => {}
        }
        Ok(())
    }

    fn handle_list(&mut self, now: Instant, wall: i64, content: &[u8]) -> Result<(), Lost> {
        let asked = self.asked.pop_front();
        match (asked, &mut self.listing) {
            (Some(Asked::Channels), Some(listing)) => {
                listing.channels = channels(content)?;
                if listing.channels.len() > MAX_CHANNELS {
                    return Err(Lost::TooManyChannels);
                }
            }
            (Some(Asked::Bridges), Some(_)) => {
                let Some(Listing { asked, mut channels }) = self.listing.take() else { return Ok(()) };
                let mut bridge_of = HashMap::new();
                for (one, other) in bridges(content)? {
                    let bridge = format!("{one}+{other}");
                    bridge_of.insert(one, bridge.clone());
                    bridge_of.insert(other, bridge);
                }
                for channel in &mut channels {
                    channel.bridge = bridge_of.get(&channel.unique_id).cloned();
                }
                let pause = if self.listed { RESYNC } else { SECOND_LIST };
                self.listed = true;
                self.upkeep.list_complete(now, pause);
                let asked = asked.checked_sub(LIST_LAG).unwrap_or(asked);
                self.outputs.push_back(Output::Snapshot { asked, at: wall, channels });
            }
            _ => return Err(Lost::OutOfStep("a list that was not asked for")),
        }
        Ok(())
    }

    fn handle_event(&mut self, wall: i64, event: &Event) {
        if !matches!(self.state, State::Following | State::AwaitGoodbye) {
            return;
        }
        let events = channel_events(event, &self.wanted);
        self.outputs.extend(events.into_iter().map(|event| Output::Event(wall, Box::new(event))));
    }

    /// FreeSWITCH says that it closes the connection. Behind a wrong password that comes too; the reply was read then.
    fn handle_goodbye(&mut self) {
        self.end(match self.state {
            State::AwaitGoodbye => Lost::LoggedOff,
            State::Following => Lost::Closed("(it said goodbye: stopped, or mod_event_socket was unloaded)"),
            _ => Lost::Closed("during the login"),
        });
    }

    fn ask_for_channels(&mut self, now: Instant) {
        self.listing = Some(Listing { asked: now, channels: Vec::new() });
        self.upkeep.list_asked(now);
        self.send("api show channels as json", Asked::Channels);
        self.send("api show bridged_calls as json", Asked::Bridges);
    }

    /// What is due while following.
    fn keep_up(&mut self, now: Instant) {
        while let Some(due) = self.upkeep.due(now) {
            match due {
                Due::Silent(what) => return self.end(Lost::Timeout(what)),
                Due::List => self.ask_for_channels(now),
                Due::Ping => self.send(PING, Asked::Ping),
            }
        }
    }

    fn set_deadline(&mut self) {
        if self.state == State::Following {
            self.deadline = self.upkeep.deadline();
        }
    }

    fn send(&mut self, words: &'static str, asked: Asked) {
        self.outputs.push_back(Output::Write(command(words)));
        self.asked.push_back(asked);
    }

    fn end(&mut self, lost: Lost) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.outputs.push_back(Output::Lost(lost));
        }
    }
}
