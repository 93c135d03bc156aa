//! The shape that the sessions of both PBXs have: bytes and time go in, bytes and events come out.

use std::time::{Duration, Instant};

use super::{Command, CommandId, Outcome};
use crate::terms::{Opening, What};

/// For one sound to be played.
pub const PLAY_TIME: Duration = Duration::from_secs(600);

/// For the sounds that are played before digits; the times of the digits are added.
pub const PROMPT_TIME: Duration = Duration::from_secs(600);

/// Between two commands. A call that has nothing to say for so long has been forgotten.
pub const IDLE_TIME: Duration = Duration::from_secs(120);

/// For the PBX to take the answer and go.
pub const FINISH_TIME: Duration = Duration::from_secs(5);

/// One connection of a PBX that asks about one call. Sans I/O: after every call of a `handle_…` or of
/// [`Session::run`], take [`Session::poll_output`] until it is [`SessionOutput::Wait`] or [`SessionOutput::Closed`].
pub trait Session {
    /// Bytes came from the PBX.
    fn handle_bytes(&mut self, now: Instant, bytes: &[u8]);

    /// The PBX closed its side.
    fn handle_eof(&mut self, now: Instant);

    /// The time of the last [`SessionOutput::Wait`] has come.
    fn handle_timeout(&mut self, now: Instant);

    /// Starts a command. One at a time, but [`Command::Finish`] may come at any time after the opening.
    fn run(&mut self, now: Instant, id: CommandId, command: Command);

    /// What is to be done next.
    fn poll_output(&mut self) -> SessionOutput;
}

/// What a session wants.
#[derive(Debug, PartialEq)]
pub enum SessionOutput {
    /// Write this, whole, in one write where the kernel takes it.
    Write(Vec<u8>),
    /// Write this, then close our sending side.
    WriteLast(Vec<u8>),
    /// The PBX has said what it wants. Comes once, before everything below.
    Opened(Box<Opening>),
    /// A command ended.
    Done(CommandId, Outcome),
    /// The caller hung up. Comes at most once.
    HungUp,
    /// For the journal.
    Note(What),
    /// Nothing more now: read, and call [`Session::handle_timeout`] at this time.
    Wait(Instant),
    /// The session is over. The connection can be dropped.
    Closed,
}
