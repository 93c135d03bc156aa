//! The state machine of one connection.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use super::channel::opening;
use super::job::{Job, LEFT_BEHIND, SENSITIVE_VARIABLE, Step};
use super::leave::Leave;
use super::mode::{self, RESUME};
use crate::call::{Command, CommandId, FINISH_TIME, Finish, IDLE_TIME, Outcome, Session, SessionOutput};
use crate::freeswitch::esl::{self, Event, Message, PacketReader, Reply};
use crate::terms::{Opening, What};

/// For FreeSWITCH to say what it knows of the channel. It does so within milliseconds.
pub const CHANNEL_TIME: Duration = Duration::from_secs(5);

/// For the end of an application that neither plays nor collects. Without any audio from the caller each one takes 5 s.
pub const COMMAND_TIME: Duration = Duration::from_secs(15);

/// What is written first, in one write; FreeSWITCH waits 25 s for it. `connect` has to be the first, or its reply is
/// lost. Of the channel's events two are asked for: FreeSWITCH would send every digit too.
const FIRST: [&str; 4] =
    ["connect", "myevents", "filter Event-Name CHANNEL_EXECUTE_COMPLETE", "filter Event-Name CHANNEL_HANGUP"];

/// One connection of the `socket` application.
///
/// ```text
/// AwaitChannel -> [AwaitRemedy] -> Idle <-> AwaitComplete
///                                    |           |
///                                    +-----------+-> AwaitLeave -> Closed
/// end of the connection, time over, a packet out of step: any -> Closed
/// ```
pub struct OutboundSession {
    state: State,
    deadline: Instant,
    packets: PacketReader,
    /// What was written and has no reply yet: replies come in that order.
    unreplied: VecDeque<Written>,
    unique_id: String,
    /// What the channel had in [`SENSITIVE_VARIABLE`].
    sensitive: String,
    messages: u32,
    hung_up: bool,
    outputs: VecDeque<SessionOutput>,
}

/// What a session awaits.
enum State {
    /// The reply to `connect`.
    AwaitChannel,
    /// The event that what the dialplan forgot is done. Before it, leaving could lose the caller.
    AwaitRemedy {
        id: String,
        opening: Box<Opening>,
        advice: Option<What>,
    },
    /// The call has no command for us.
    Idle,
    /// The event that an application has ended.
    AwaitComplete {
        command: CommandId,
        job: Job,
        id: String,
    },
    /// FreeSWITCH takes the answer and goes on with its dialplan.
    AwaitLeave(CommandId),
    Closed,
}

/// What a reply is to.
enum Written {
    Connect,
    /// Something of our own, by its words.
    Own(&'static str),
    /// A message of a command's.
    Command(CommandId),
    /// A part of the answer, by what it sets.
    Answer(String),
    Exit,
}

impl OutboundSession {
    /// A connection that FreeSWITCH has just opened.
    pub fn new(now: Instant) -> OutboundSession {
        let mut session = OutboundSession {
            state: State::AwaitChannel,
            deadline: now + CHANNEL_TIME,
            packets: PacketReader::default(),
            unreplied: VecDeque::new(),
            unique_id: String::new(),
            sensitive: String::new(),
            messages: 0,
            hung_up: false,
            outputs: VecDeque::new(),
        };
        session.unreplied.push_back(Written::Connect);
        session.unreplied.extend(FIRST[1..].iter().copied().map(Written::Own));
        session.write(FIRST.into_iter().flat_map(esl::command).collect());
        session
    }

    fn handle_message(&mut self, now: Instant, message: Message) {
        match message {
            Message::Reply(reply) => match self.unreplied.pop_front() {
                Some(written) => self.handle_reply(now, written, reply),
                None => self.protocol_error("the PBX replied although nothing was asked"),
            },
            Message::Event(event) => self.handle_event(now, &event),
            Message::Disconnected { lingers: true } => self.hang_up(now),
            Message::Disconnected { lingers: false } => self.disconnected(now),
            Message::Api(_) | Message::AuthRequest | Message::Rejected => {
                self.protocol_error("the PBX said what it says on other connections");
            }
            Message::Other => {}
        }
    }

    fn handle_reply(&mut self, now: Instant, written: Written, reply: Reply) {
        match written {
            Written::Connect => match reply.into_channel() {
                Some(channel) => self.open(now, &channel),
                None => self.protocol_error("the reply to `connect` is not the channel's data"),
            },
            _ if reply.is_ok() => {}
            Written::Own(words) => self.refused(words.to_owned(), &reply),
            Written::Answer(what) => self.refused(what, &reply),
            Written::Exit => self.refused("exit".to_owned(), &reply),
            Written::Command(of) => match self.state {
                State::AwaitComplete { command, .. } if command == of => {
                    self.done(now, of, Outcome::Refused { reply: reply.text().into_owned() });
                }
                _ => {}
            },
        }
    }

    fn open(&mut self, now: Instant, channel: &Event) {
        if !mode::waits_for_us(channel) {
            return self.protocol_error("the channel has gone on without us");
        }
        let opening = Box::new(opening(channel));
        self.unique_id.clone_from(&opening.channel.unique_id);
        self.sensitive = channel.variable(SENSITIVE_VARIABLE).unwrap_or_default().into_owned();
        let (remedy, advice) = mode::examine(channel);
        let advice = advice.map(|advice| What::Dialplan { advice });
        match remedy {
            None => self.opened(now, opening, advice),
            Some(value) => {
                let id = self.set_own(RESUME, value);
                self.deadline = now + COMMAND_TIME;
                self.state = State::AwaitRemedy { id, opening, advice };
            }
        }
    }

    fn opened(&mut self, now: Instant, opening: Box<Opening>, advice: Option<What>) {
        self.outputs.push_back(SessionOutput::Opened(opening));
        self.outputs.extend(advice.map(SessionOutput::Note));
        self.idle(now);
    }

    fn handle_event(&mut self, now: Instant, event: &Event) {
        if event.get("Unique-ID").is_none_or(|id| id != self.unique_id) {
            return;
        }
        match event.name().as_ref() {
            "CHANNEL_HANGUP" => self.hang_up(now),
            "CHANNEL_EXECUTE_COMPLETE" => self.handle_complete(now, event),
            _ => {}
        }
    }

    /// The end of an application is that of ours if it has our id. Others are `socket` itself, what we need no end
    /// of, and what somebody else runs on the channel.
    fn handle_complete(&mut self, now: Instant, event: &Event) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::AwaitComplete { command, mut job, id }
                if event.get("Application-UUID").is_some_and(|i| i == id) =>
            {
                let step = job.completed(event);
                self.take(now, command, job, step);
            }
            State::AwaitRemedy { id, opening, advice }
                if event.get("Application-UUID").is_some_and(|i| i == id) =>
            {
                self.opened(now, opening, advice);
            }
            state => self.state = state,
        }
    }

    fn take(&mut self, now: Instant, command: CommandId, job: Job, step: Step) {
        match step {
            Step::NoSound(prompt) => {
                self.outputs.push_back(SessionOutput::Note(What::SoundMissing { prompt }));
                self.start(now, command, job);
            }
            Step::Unexpected(detail) => self.protocol_error(detail),
            Step::Done(outcome) => {
                if matches!(job, Job::Collect(_)) && outcome != Outcome::HungUp {
                    for (name, value) in self.left_behind() {
                        self.set_own(name, &value);
                    }
                }
                self.done(now, command, outcome);
            }
        }
    }

    fn start(&mut self, now: Instant, command: CommandId, mut job: Job) {
        if job.is_empty() {
            return self.done(now, command, Outcome::Done);
        }
        match job.start(|| next_id(&mut self.messages)) {
            Err(step) => self.take(now, command, job, step),
            Ok(messages) => {
                self.unreplied.extend(messages.bytes.iter().map(|_| Written::Command(command)));
                self.write(messages.bytes.concat());
                self.deadline = now + job.time();
                self.state = State::AwaitComplete { command, job, id: messages.id };
            }
        }
    }

    fn leave(&mut self, now: Instant, command: CommandId, finish: &Finish) {
        let restore = match &self.state {
            State::AwaitComplete { job: Job::Collect(_), .. } => self.left_behind(),
            State::Idle | State::AwaitComplete { .. } => Vec::new(),
            State::AwaitChannel | State::AwaitRemedy { .. } | State::AwaitLeave(_) | State::Closed => return,
        };
        let leave = Leave::compose(finish, &restore, || next_id(&mut self.messages));
        self.outputs.extend(leave.notes.into_iter().map(SessionOutput::Note));
        let mut bytes = Vec::new();
        for (what, message) in leave.messages {
            bytes.extend(message);
            self.unreplied.push_back(Written::Answer(what));
        }
        bytes.extend(esl::command("exit"));
        self.unreplied.push_back(Written::Exit);
        self.outputs.push_back(SessionOutput::WriteLast(bytes));
        self.state = State::AwaitLeave(command);
        self.deadline = now + FINISH_TIME;
    }

    /// FreeSWITCH has said good-bye: to our `exit`, or because the channel is gone.
    fn disconnected(&mut self, now: Instant) {
        if !matches!(self.state, State::AwaitLeave(_)) || !self.unreplied.is_empty() {
            self.hang_up(now);
        }
        self.end();
    }

    /// The connection has ended.
    fn end(&mut self) {
        if let State::AwaitLeave(command) = self.state {
            let own = |w: &&Written| matches!(w, Written::Answer(_) | Written::Exit);
            let missing = self.unreplied.iter().filter(own).count();
            if missing > 0 && !self.hung_up {
                let detail = format!("the PBX did not take the last {missing} messages of the answer");
                self.outputs.push_back(SessionOutput::Note(What::ProtocolError { detail }));
            }
            self.outputs.push_back(SessionOutput::Done(command, Outcome::Done));
        }
        self.state = State::Closed;
    }

    fn done(&mut self, now: Instant, command: CommandId, outcome: Outcome) {
        self.idle(now);
        let hung_up = outcome == Outcome::HungUp;
        self.outputs.push_back(SessionOutput::Done(command, outcome));
        if hung_up {
            self.hang_up(now);
        }
    }

    /// The caller hung up. What runs now has no end that matters.
    fn hang_up(&mut self, now: Instant) {
        if self.is_opening() || std::mem::replace(&mut self.hung_up, true) {
            return;
        }
        if let State::AwaitComplete { command, .. } = self.state {
            self.idle(now);
            self.outputs.push_back(SessionOutput::Done(command, Outcome::HungUp));
        }
        self.outputs.push_back(SessionOutput::HungUp);
    }

    /// What an entry leaves behind, as it was before.
    fn left_behind(&self) -> Vec<(&'static str, String)> {
        let removed = LEFT_BEHIND.into_iter().map(|name| (name, String::new()));
        removed.chain([(SENSITIVE_VARIABLE, self.sensitive.clone())]).collect()
    }

    /// Sets a variable, or removes it. Nobody has to wait for the end of it.
    fn set_own(&mut self, name: &'static str, value: &str) -> String {
        let id = next_id(&mut self.messages);
        if let Ok(bytes) = esl::set_own(name, value, &id) {
            self.unreplied.push_back(Written::Own(name));
            self.write(bytes);
        }
        id
    }

    /// Whether nobody knows of the call yet.
    fn is_opening(&self) -> bool {
        matches!(self.state, State::AwaitChannel | State::AwaitRemedy { .. })
    }

    fn refused(&mut self, what: String, reply: &Reply) {
        let reply = reply.text().into_owned();
        self.outputs.push_back(SessionOutput::Note(What::PbxRefused { what, reply }));
    }

    fn write(&mut self, bytes: Vec<u8>) {
        match self.outputs.back_mut() {
            Some(SessionOutput::Write(before)) => before.extend(bytes),
            _ => self.outputs.push_back(SessionOutput::Write(bytes)),
        }
    }

    fn idle(&mut self, now: Instant) {
        self.state = State::Idle;
        self.deadline = now + IDLE_TIME;
    }

    fn protocol_error(&mut self, detail: impl Into<String>) {
        let detail = detail.into();
        self.outputs.push_back(SessionOutput::Note(What::ProtocolError { detail }));
        self.state = State::Closed;
    }
}

/// An id for a message. It tells this connection's from each other; events of other channels do not come.
fn next_id(messages: &mut u32) -> String {
    *messages += 1;
    format!("switchhook-{messages}")
}

impl Session for OutboundSession {
    fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        self.packets.push(bytes);
        while !matches!(self.state, State::Closed) {
            let message = self.packets.next_packet().and_then(|p| p.map(Message::parse).transpose());
            match message {
                Ok(Some(message)) => self.handle_message(now, message),
                Ok(None) => break,
                // What it says is not told: a code can be in it.
                Err(e) => self.protocol_error(e.to_string()),
            }
        }
        // A peer that never stops talking does not keep its time from running out.
        self.handle_timeout(now);
    }

    fn handle_eof(&mut self, _now: Instant) {
        let leaves = matches!(self.state, State::AwaitLeave(_) | State::Closed);
        if !leaves && self.packets.is_inside_packet() {
            self.protocol_error("the connection ended inside a packet");
        } else if matches!(self.state, State::AwaitChannel) {
            self.protocol_error("the connection ended before the channel's data came");
        } else {
            self.end();
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        let late = match &self.state {
            State::AwaitChannel => "the PBX did not say what it knows of the channel",
            State::Idle => "nothing was asked of the PBX for too long",
            State::AwaitRemedy { .. } | State::AwaitComplete { .. } => {
                "the PBX did not end an application in time"
            }
            State::AwaitLeave(_) => "the PBX did not take the answer in time",
            State::Closed => return,
        };
        self.protocol_error(late);
    }

    fn run(&mut self, now: Instant, id: CommandId, command: Command) {
        let job = match command {
            Command::Finish(finish) => return self.leave(now, id, &finish),
            Command::Answer => Job::Answer,
            Command::Play(prompt) => Job::play(&prompt),
            Command::Collect(wanted) => Job::collect(&wanted),
        };
        match self.state {
            State::Idle if self.hung_up => self.done(now, id, Outcome::HungUp),
            State::Idle => self.start(now, id, job),
            // A call gives one command at a time, and none before the opening.
            _ => debug_assert!(matches!(self.state, State::Closed), "a command at the wrong time: {self:?}"),
        }
    }

    fn poll_output(&mut self) -> SessionOutput {
        match self.outputs.pop_front() {
            Some(output) => output,
            None if matches!(self.state, State::Closed) => SessionOutput::Closed,
            None => SessionOutput::Wait(self.deadline),
        }
    }
}

/// Shows what is awaited and nothing that was said: a code may be in it.
impl fmt::Debug for OutboundSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::AwaitChannel => "AwaitChannel",
            State::AwaitRemedy { .. } => "AwaitRemedy",
            State::Idle => "Idle",
            State::AwaitComplete { .. } => "AwaitComplete",
            State::AwaitLeave(_) => "AwaitLeave",
            State::Closed => "Closed",
        };
        f.debug_struct("OutboundSession")
            .field("state", &state)
            .field("hung_up", &self.hung_up)
            .finish_non_exhaustive()
    }
}
