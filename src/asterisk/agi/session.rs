//! The state machine of one connection.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use super::codec::{LINE_MAX, LineReader};
use super::command;
use super::environment::Environment;
use super::job::{Job, Step};
use super::leave::Leave;
use super::reply::{Reply, ReplyReader, Said};
use crate::call::{Command, CommandId, FINISH_TIME, Finish, IDLE_TIME, Outcome, Session, SessionOutput};
use crate::terms::What;

/// For the whole environment, however slowly its bytes come. Asterisk sends it at once.
pub const ENVIRONMENT_TIME: Duration = Duration::from_secs(5);

/// For the reply to a command that neither plays nor collects. `ANSWER` takes half a second.
pub const COMMAND_TIME: Duration = Duration::from_secs(10);

/// One FastAGI connection.
///
/// ```text
/// AwaitEnvironment -> Idle <-> AwaitReply <-> AwaitStatus
///                       |          |              |
///                       +----------+--------------+--> AwaitLeave -> Closed
/// end of the connection, time over, a reply out of step: any -> Closed
/// ```
pub struct AgiSession {
    state: State,
    deadline: Instant,
    lines: LineReader,
    replies: ReplyReader,
    hung_up: bool,
    outputs: VecDeque<SessionOutput>,
}

/// What a session awaits.
enum State {
    AwaitEnvironment(Environment),
    /// The call has no command for us.
    Idle,
    /// The reply to a command.
    AwaitReply(CommandId, Job),
    /// The reply to `CHANNEL STATUS`: whether `-1` was a hangup.
    AwaitStatus(CommandId, Job),
    /// Asterisk takes the answer and goes on with its dialplan.
    AwaitLeave(CommandId, Leave),
    Closed,
}

impl AgiSession {
    /// A connection that Asterisk has just opened.
    pub fn new(now: Instant) -> AgiSession {
        AgiSession {
            state: State::AwaitEnvironment(Environment::default()),
            deadline: now + ENVIRONMENT_TIME,
            lines: LineReader::default(),
            replies: ReplyReader::default(),
            hung_up: false,
            outputs: VecDeque::new(),
        }
    }

    fn handle_line(&mut self, now: Instant, line: &[u8]) {
        if let State::AwaitEnvironment(environment) = &mut self.state {
            return match environment.push(line) {
                Ok(false) => {}
                Ok(true) => {
                    let opening = std::mem::take(environment).into_opening();
                    self.idle(now);
                    self.outputs.push_back(SessionOutput::Opened(Box::new(opening)));
                }
                Err(e) => self.protocol_error(e.to_string()),
            };
        }
        match self.replies.read(line) {
            Ok(None) => {}
            Ok(Some(Said::HangUp)) => self.handle_hangup(),
            Ok(Some(Said::Reply(reply))) => self.handle_reply(now, reply),
            // What it says is not told: it can be half of a reply with a code in it.
            Err(_) => self.protocol_error("the PBX said something that is no reply"),
        }
    }

    fn handle_hangup(&mut self) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::AwaitLeave(id, leave) if leave.has_all() => self.left(id, leave),
            State::AwaitLeave(id, leave) => self.state = State::AwaitLeave(id, leave),
            state => {
                self.state = state;
                self.hang_up();
            }
        }
    }

    fn handle_reply(&mut self, now: Instant, reply: Reply) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::AwaitReply(id, mut job) => match reply {
                Reply::Result { result, rest } => {
                    let step = job.reply(&result, &rest);
                    self.take(now, id, job, step);
                }
                Reply::Refused(reply) => self.done(now, id, Outcome::Refused { reply }),
                Reply::Dead(_) => self.done(now, id, Outcome::HungUp),
            },
            State::AwaitStatus(id, mut job) => match reply {
                Reply::Result { result, .. } if result.parse::<u8>().is_ok() => {
                    let step = job.refused();
                    self.take(now, id, job, step);
                }
                Reply::Result { .. } | Reply::Dead(_) => self.done(now, id, Outcome::HungUp),
                Reply::Refused(reply) => self.done(now, id, Outcome::Refused { reply }),
            },
            State::AwaitLeave(id, mut leave) => match leave.reply(reply) {
                Ok(()) => self.state = State::AwaitLeave(id, leave),
                Err(_) => self.protocol_error("the PBX replied to more than was written"),
            },
            State::AwaitEnvironment(_) | State::Idle => {
                self.protocol_error("the PBX replied although nothing was asked");
            }
            State::Closed => {}
        }
    }

    /// Does what the command wants next.
    fn take(&mut self, now: Instant, id: CommandId, mut job: Job, mut step: Step) {
        loop {
            step = match step {
                Step::NoSound(prompt) => {
                    self.outputs.push_back(SessionOutput::Note(What::SoundMissing { prompt }));
                    job.without_sound()
                }
                Step::Done(outcome) => return self.done(now, id, outcome),
                Step::Unexpected(detail) => return self.protocol_error(detail),
                Step::AskStatus if self.hung_up => return self.done(now, id, Outcome::HungUp),
                Step::AskStatus => {
                    let Ok(line) = command::channel_status() else {
                        return self.done(now, id, Outcome::HungUp);
                    };
                    self.write(now, line, COMMAND_TIME);
                    self.state = State::AwaitStatus(id, job);
                    return;
                }
                Step::Send(line, time) => {
                    self.write(now, line, time);
                    self.state = State::AwaitReply(id, job);
                    return;
                }
            };
        }
    }

    fn start(&mut self, now: Instant, id: CommandId, mut job: Job) {
        match self.state {
            State::Idle if self.hung_up => self.done(now, id, Outcome::HungUp),
            State::Idle => {
                let step = job.start();
                self.take(now, id, job, step);
            }
            State::Closed => {}
            // A second command behind one that plays would end that one.
            _ => {
                let reply = "not written: another command is running".to_owned();
                self.outputs.push_back(SessionOutput::Done(id, Outcome::Refused { reply }));
            }
        }
    }

    fn leave(&mut self, now: Instant, id: CommandId, finish: &Finish) {
        let cut_short = match self.state {
            State::Idle => false,
            State::AwaitReply(..) | State::AwaitStatus(..) => true,
            State::AwaitEnvironment(_) | State::AwaitLeave(..) | State::Closed => return,
        };
        let (leave, bytes, notes) = Leave::begin(finish, cut_short);
        self.outputs.extend(notes.into_iter().map(SessionOutput::Note));
        self.outputs.push_back(SessionOutput::WriteLast(bytes));
        self.state = State::AwaitLeave(id, leave);
        self.deadline = now + FINISH_TIME;
    }

    fn left(&mut self, id: CommandId, leave: Leave) {
        self.outputs.extend(leave.end(self.hung_up).into_iter().map(SessionOutput::Note));
        self.outputs.push_back(SessionOutput::Done(id, Outcome::Done));
        self.state = State::Closed;
    }

    fn done(&mut self, now: Instant, id: CommandId, outcome: Outcome) {
        self.idle(now);
        let hung_up = outcome == Outcome::HungUp;
        self.outputs.push_back(SessionOutput::Done(id, outcome));
        if hung_up {
            self.hang_up();
        }
    }

    fn hang_up(&mut self) {
        if !std::mem::replace(&mut self.hung_up, true) {
            self.outputs.push_back(SessionOutput::HungUp);
        }
    }

    fn write(&mut self, now: Instant, line: command::Line, time: Duration) {
        self.outputs.push_back(SessionOutput::Write(line.into_bytes()));
        self.deadline = now + time;
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

impl Session for AgiSession {
    fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        let mut rest = bytes;
        while !matches!(self.state, State::Closed)
            && let Some(line) = self.lines.next(&mut rest)
        {
            match line {
                Ok(line) => self.handle_line(now, &line),
                Err(_) => self.protocol_error(format!("a line is longer than {LINE_MAX} bytes")),
            }
        }
        // A peer that never stops talking does not keep its time from running out. A reply that is there counts, however
        // late it is read.
        self.handle_timeout(now);
    }

    fn handle_eof(&mut self, _now: Instant) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::AwaitLeave(id, leave) => self.left(id, leave),
            State::AwaitEnvironment(_) => {
                self.protocol_error("the connection ended before the environment did");
            }
            State::Idle | State::AwaitReply(..) | State::AwaitStatus(..) if self.lines.is_inside_line() => {
                self.protocol_error("the connection ended inside a line");
            }
            State::Idle | State::AwaitReply(..) | State::AwaitStatus(..) | State::Closed => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        let late = match &self.state {
            State::AwaitEnvironment(_) => "the environment took too long",
            State::Idle => "nothing was asked of the PBX for too long",
            State::AwaitReply(..) | State::AwaitStatus(..) => "the PBX did not reply in time",
            State::AwaitLeave(..) => "the PBX did not take the answer in time",
            State::Closed => return,
        };
        self.protocol_error(late);
    }

    fn run(&mut self, now: Instant, id: CommandId, command: Command) {
        match command {
            Command::Answer => self.start(now, id, Job::Answer),
            Command::Play(prompt) => self.start(now, id, Job::play(&prompt)),
            Command::Collect(wanted) => self.start(now, id, Job::collect(&wanted)),
            Command::Finish(finish) => self.leave(now, id, &finish),
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
impl fmt::Debug for AgiSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::AwaitEnvironment(_) => "AwaitEnvironment",
            State::Idle => "Idle",
            State::AwaitReply(..) => "AwaitReply",
            State::AwaitStatus(..) => "AwaitStatus",
            State::AwaitLeave(..) => "AwaitLeave",
            State::Closed => "Closed",
        };
        f.debug_struct("AgiSession")
            .field("state", &state)
            .field("hung_up", &self.hung_up)
            .finish_non_exhaustive()
    }
}
