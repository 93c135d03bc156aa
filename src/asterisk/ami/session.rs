//! One connection to Asterisk's manager: login, snapshot, events, keep-alive.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::terms::Secret;
use crate::track::{ChannelEvent, ChannelInfo};

use super::action::{Action, ActionError};
use super::codec::{Block, CodecError, Decoder};
use super::event::{channel_event, present_channel};

/// For each step to the login. Asterisk lets a wrong password wait for a second (measured).
const STEP: Duration = Duration::from_secs(10);

/// Without a byte for so long, Asterisk is asked whether it is there.
const PING: Duration = Duration::from_secs(15);

/// For its answer.
const PONG: Duration = Duration::from_secs(10);

/// For the whole list of channels.
const SNAPSHOT: Duration = Duration::from_secs(60);

/// Between snapshots: what went wrong unseen is mended, and long calls are known to be there.
const RESYNC: Duration = Duration::from_mins(5);

/// Channels of a snapshot, at most. More than any Asterisk has.
const MAX_CHANNELS: usize = 100_000;

/// The event classes that are wanted. `call` has the channels, `agent` the queues, `user` the dialplan's UserEvent.
const CLASSES: &str = "call,agent,user";

/// Who logs in: a section of manager.conf.
#[derive(Clone, Debug)]
pub struct Account {
    /// The section's name.
    pub username: String,
    /// Its `secret`. Only a digest of it is sent.
    pub secret: Secret,
}

/// What is to be done, or happened.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Write this.
    Write(Vec<u8>),
    /// Logged in.
    LoggedIn {
        /// The manager's version, such as `11.0.0`.
        version: String,
    },
    /// Something happened to channels, at this time (ms since 1970).
    Event(i64, Box<ChannelEvent>),
    /// What channels there are. Comes after the login and from then on every five minutes.
    Snapshot {
        /// When Asterisk was asked.
        asked: Instant,
        /// When its answer was complete, ms since 1970.
        at: i64,
        /// The channels.
        channels: Vec<ChannelInfo>,
    },
    /// Something that the person who runs it should know. The link goes on.
    Warning(Warning),
    /// The link is over. Nothing but [`Output::Closed`] comes behind it.
    Lost(Lost),
    /// Nothing more now: read, and call [`Session::handle_timeout`] at this time.
    Wait(Instant),
    /// The connection can be dropped.
    Closed,
}

/// What the person who runs it should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// No snapshot will come: tell the tracker.
    #[error(
        "Asterisk does not let the account list channels (permission denied), so calls that were under way at a \
         reconnect are not known: set `write = reporting` in [{username}] of manager.conf"
    )]
    NoSnapshot {
        /// The account.
        username: String,
    },
    /// There are calls, but no event of them came.
    #[error(
        "Asterisk has calls, but sent no event of them: set `read = call,agent,user` in [{username}] of manager.conf"
    )]
    NoEvents {
        /// The account.
        username: String,
    },
}

/// Why the link is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Asterisk refused the account. Trying again changes nothing and can lock us out.
    #[error(
        "Asterisk refused the login of {username} ({message}): name and secret must be those of a section of \
         manager.conf, and its deny and permit must let us in"
    )]
    AuthRejected {
        /// The account.
        username: String,
        /// Asterisk's words.
        message: String,
    },
    /// The login was refused for another reason; it may be accepted later.
    #[error("Asterisk did not accept the login: {0}")]
    LoginFailed(String),
    /// Name or secret cannot be sent.
    #[error("the account cannot be used: {0}")]
    Account(ActionError),
    /// Asterisk closed the connection.
    #[error("Asterisk closed the connection {0}")]
    Closed(&'static str),
    /// Nothing came in time.
    #[error("Asterisk did not answer in time: {0}")]
    Timeout(&'static str),
    /// The peer speaks something else.
    #[error("{0}")]
    Codec(#[from] CodecError),
    /// A list of channels without an end.
    #[error("more than {MAX_CHANNELS} channels")]
    TooManyChannels,
    /// We left.
    #[error("logged off")]
    LoggedOff,
}

/// What a session awaits.
///
/// ```text
/// AwaitBanner -> AwaitChallenge -> AwaitLogin -> Following -> AwaitGoodbye -> Closed
///                                   (snapshot, ping: within Following)
/// timeout, end of file, no AMI: any -> Closed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    AwaitBanner,
    AwaitChallenge,
    AwaitLogin,
    Following,
    AwaitGoodbye,
    Closed,
}

/// A list of channels that is under way.
#[derive(Debug)]
struct Listing {
    id: u64,
    asked: Instant,
    channels: Vec<ChannelInfo>,
}

/// One connection. Sans I/O: after every call of a `handle_…` take [`Session::poll_output`] until it is
/// [`Output::Wait`] or [`Output::Closed`].
#[derive(Debug)]
pub struct Session {
    account: Account,
    decoder: Decoder,
    state: State,
    version: String,
    /// The id of the last action.
    id: u64,
    /// The id of the last step to the login.
    step: u64,
    heard: Instant,
    deadline: Instant,
    /// When a ping was sent that is not answered.
    pinged: Option<Instant>,
    listing: Option<Listing>,
    /// When the next snapshot is due; `None` when Asterisk gives none.
    resync: Option<Instant>,
    logged_in_at: i64,
    event_seen: bool,
    outputs: VecDeque<Output>,
}

impl Session {
    /// A connection that was just opened.
    pub fn new(now: Instant, account: Account) -> Session {
        Session {
            account,
            decoder: Decoder::default(),
            state: State::AwaitBanner,
            version: String::new(),
            id: 0,
            step: 0,
            heard: now,
            deadline: now + STEP,
            pinged: None,
            listing: None,
            resync: None,
            logged_in_at: 0,
            event_seen: false,
            outputs: VecDeque::new(),
        }
    }

    /// Bytes came, at `wall` ms since 1970.
    pub fn handle_bytes(&mut self, now: Instant, wall: i64, bytes: &[u8]) {
        if self.state == State::Closed {
            return;
        }
        self.heard = now;
        self.pinged = None;
        let mut decoder = std::mem::take(&mut self.decoder);
        decoder.push(bytes);
        if let Err(e) = self.read(now, wall, &mut decoder) {
            self.end(e);
        }
        self.decoder = decoder;
        self.set_deadline();
    }

    /// Asterisk closed its side.
    pub fn handle_eof(&mut self) {
        self.end(match self.state {
            State::AwaitBanner => Lost::Closed("before its first line (deny and permit of manager.conf?)"),
            State::AwaitChallenge | State::AwaitLogin => Lost::Closed("during the login"),
            State::AwaitGoodbye => Lost::LoggedOff,
            State::Following | State::Closed => Lost::Closed("(stopped, restarted, or we read too slowly)"),
        });
    }

    /// The time of the last [`Output::Wait`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        match self.state {
            State::AwaitBanner => self.end(Lost::Timeout("no first line")),
            State::AwaitChallenge | State::AwaitLogin => self.end(Lost::Timeout("the login")),
            State::AwaitGoodbye => self.end(Lost::LoggedOff),
            State::Following => self.keep_up(now),
            State::Closed => {}
        }
        self.set_deadline();
    }

    /// Leaves in good order.
    pub fn log_off(&mut self, now: Instant) {
        match self.state {
            State::Following => {
                let action = self.action("Logoff");
                self.outputs.push_back(Output::Write(action.encode()));
                self.state = State::AwaitGoodbye;
                self.deadline = now + STEP;
            }
            State::AwaitGoodbye | State::Closed => {}
            _ => self.end(Lost::LoggedOff),
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        match self.outputs.pop_front() {
            Some(output) => output,
            None if self.state == State::Closed => Output::Closed,
            None => Output::Wait(self.deadline),
        }
    }

    fn read(&mut self, now: Instant, wall: i64, decoder: &mut Decoder) -> Result<(), Lost> {
        if self.state == State::AwaitBanner {
            let Some(version) = decoder.banner()? else { return Ok(()) };
            self.version = version;
            let action = self.action("Challenge").with("AuthType", "MD5").map_err(Lost::Account)?;
            self.take_step(now, State::AwaitChallenge, action);
        }
        while self.state != State::Closed
            && let Some(block) = decoder.next_block()?
        {
            self.handle_block(now, wall, &block)?;
        }
        Ok(())
    }

    fn handle_block(&mut self, now: Instant, wall: i64, block: &Block<'_>) -> Result<(), Lost> {
        if block.bytes("Response").is_some() {
            return self.handle_response(now, wall, block);
        }
        if !matches!(self.state, State::Following | State::AwaitGoodbye) {
            return Ok(());
        }
        if let Some(listing) = &mut self.listing
            && block.text("ActionID").parse() == Ok(listing.id)
        {
            if block.is("Event", "CoreShowChannel") {
                if listing.channels.len() == MAX_CHANNELS {
                    return Err(Lost::TooManyChannels);
                }
                listing.channels.extend(present_channel(block, wall));
            } else if block.is("Event", "CoreShowChannelsComplete") {
                self.listed(now, wall);
            }
            return Ok(());
        }
        if let Some(event) = channel_event(block) {
            self.event_seen = true;
            self.outputs.push_back(Output::Event(wall, Box::new(event)));
        }
        Ok(())
    }

    fn handle_response(&mut self, now: Instant, wall: i64, block: &Block<'_>) -> Result<(), Lost> {
        let id: Option<u64> = block.text("ActionID").parse().ok();
        let success = block.is("Response", "Success");
        match self.state {
            State::AwaitChallenge | State::AwaitLogin if id == Some(self.step) && !success => {
                return Err(self.refused(&block.text("Message")));
            }
            State::AwaitChallenge if id == Some(self.step) => {
                let digest =
                    md5::compute(format!("{}{}", block.text("Challenge"), self.account.secret.reveal()));
                let username = self.account.username.clone();
                let action = self
                    .action("Login")
                    .with("AuthType", "MD5")
                    .and_then(|a| a.with("Username", &username))
                    .and_then(|a| a.with("Key", &format!("{digest:x}")))
                    .and_then(|a| a.with("Events", CLASSES))
                    .map_err(Lost::Account)?;
                self.take_step(now, State::AwaitLogin, action);
            }
            State::AwaitLogin if id == Some(self.step) => {
                self.state = State::Following;
                self.logged_in_at = wall;
                self.outputs.push_back(Output::LoggedIn { version: self.version.clone() });
                self.ask_for_channels(now);
            }
            State::Following if !success && id.is_some() && id == self.listing.as_ref().map(|l| l.id) => {
                self.listing = None;
                self.resync = None;
                let username = self.account.username.clone();
                self.outputs.push_back(Output::Warning(Warning::NoSnapshot { username }));
            }
            State::AwaitGoodbye if block.is("Response", "Goodbye") => return Err(Lost::LoggedOff),
            // The answer to a ping: that bytes came is what counts.
            _ => {}
        }
        Ok(())
    }

    /// A login that was refused. `Authentication failed` says that the account is wrong (measured on 22 and 16, for an
    /// unknown name, too); other words, such as that it is in use, can change.
    fn refused(&self, message: &str) -> Lost {
        if message.eq_ignore_ascii_case("Authentication failed") {
            let username = self.account.username.clone();
            return Lost::AuthRejected { username, message: message.to_owned() };
        }
        Lost::LoginFailed(message.to_owned())
    }

    fn listed(&mut self, now: Instant, wall: i64) {
        let Some(listing) = self.listing.take() else { return };
        self.resync = Some(now + RESYNC);
        // The clock of the list has whole seconds.
        let since = self.logged_in_at + 5_000;
        let silent =
            !self.event_seen && listing.channels.iter().any(|c| c.start.is_some_and(|at| at > since));
        if silent {
            self.event_seen = true;
            let username = self.account.username.clone();
            self.outputs.push_back(Output::Warning(Warning::NoEvents { username }));
        }
        let (asked, channels) = (listing.asked, listing.channels);
        self.outputs.push_back(Output::Snapshot { asked, at: wall, channels });
    }

    fn ask_for_channels(&mut self, now: Instant) {
        let action = self.action("CoreShowChannels");
        self.listing = Some(Listing { id: self.id, asked: now, channels: Vec::new() });
        self.outputs.push_back(Output::Write(action.encode()));
    }

    /// What is due while following.
    fn keep_up(&mut self, now: Instant) {
        if self.pinged.is_some_and(|at| now >= at + PONG) {
            return self.end(Lost::Timeout("the keep-alive"));
        }
        if self.listing.as_ref().is_some_and(|listing| now >= listing.asked + SNAPSHOT) {
            return self.end(Lost::Timeout("the list of channels"));
        }
        if self.listing.is_none() && self.resync.is_some_and(|at| now >= at) {
            self.resync = None;
            self.ask_for_channels(now);
        }
        if self.pinged.is_none() && now >= self.heard + PING {
            let action = self.action("Ping");
            self.pinged = Some(now);
            self.outputs.push_back(Output::Write(action.encode()));
        }
    }

    fn set_deadline(&mut self) {
        if self.state == State::Following {
            let alive = self.pinged.map_or(self.heard + PING, |at| at + PONG);
            let listed = self.listing.as_ref().map(|listing| listing.asked + SNAPSHOT);
            self.deadline = [listed, self.resync].into_iter().flatten().fold(alive, Instant::min);
        }
    }

    fn action(&mut self, name: &'static str) -> Action {
        self.id += 1;
        Action::new(name, self.id)
    }

    fn take_step(&mut self, now: Instant, state: State, action: Action) {
        self.step = self.id;
        self.state = state;
        self.deadline = now + STEP;
        self.outputs.push_back(Output::Write(action.encode()));
    }

    fn end(&mut self, lost: Lost) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.outputs.push_back(Output::Lost(lost));
        }
    }
}
