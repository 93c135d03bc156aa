//! One connection to Asterisk's manager: login, snapshot, events, keep-alive.

use std::collections::VecDeque;
use std::time::Instant;

use crate::terms::Secret;
use crate::track::{self, ChannelInfo, Due, MAX_CHANNELS, RESYNC, STEP, SessionOutput, Upkeep};

use super::action::{Action, ActionError};
use super::codec::{Block, CodecError, Decoder};
use super::event::{channel_event, present_channel};

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
pub type Output = SessionOutput<Warning, Lost>;

/// What the person who runs it should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// No snapshot will come.
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

/// One connection. Sans I/O, see [`track::Session`].
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
    deadline: Instant,
    upkeep: Upkeep,
    listing: Option<Listing>,
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
            deadline: now + STEP,
            upkeep: Upkeep::new(now),
            listing: None,
            logged_in_at: 0,
            event_seen: false,
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
        let mut decoder = std::mem::take(&mut self.decoder);
        decoder.push(bytes);
        if let Err(e) = self.read(now, wall, &mut decoder) {
            self.end(e);
        }
        self.decoder = decoder;
        self.set_deadline();
    }

    fn handle_eof(&mut self) {
        self.end(match self.state {
            State::AwaitBanner => Lost::Closed("before its first line (deny and permit of manager.conf?)"),
            State::AwaitChallenge | State::AwaitLogin => Lost::Closed("during the login"),
            State::AwaitGoodbye => Lost::LoggedOff,
            State::Following | State::Closed => Lost::Closed("(stopped, restarted, or we read too slowly)"),
        });
    }

    fn handle_timeout(&mut self, now: Instant) {
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

    fn log_off(&mut self, now: Instant) {
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

    fn poll_output(&mut self) -> Output {
        match self.outputs.pop_front() {
            Some(output) => output,
            None if self.state == State::Closed => Output::Closed,
            None => Output::Wait(self.deadline),
        }
    }

    fn is_refusal(lost: &Lost) -> bool {
        matches!(lost, Lost::AuthRejected { .. } | Lost::Account(_))
    }
}

impl Session {
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
                self.upkeep.list_refused();
                let username = self.account.username.clone();
                self.outputs.push_back(Output::Warning(Warning::NoSnapshot { username }));
                self.outputs.push_back(Output::NoSnapshot);
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
        self.upkeep.list_complete(now, RESYNC);
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
        self.upkeep.list_asked(now);
        self.listing = Some(Listing { id: self.id, asked: now, channels: Vec::new() });
        self.outputs.push_back(Output::Write(action.encode()));
    }

    /// What is due while following.
    fn keep_up(&mut self, now: Instant) {
        while let Some(due) = self.upkeep.due(now) {
            match due {
                Due::Silent(what) => return self.end(Lost::Timeout(what)),
                Due::List => self.ask_for_channels(now),
                Due::Ping => {
                    let action = self.action("Ping");
                    self.outputs.push_back(Output::Write(action.encode()));
                }
            }
        }
    }

    fn set_deadline(&mut self) {
        if self.state == State::Following {
            self.deadline = self.upkeep.deadline();
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
