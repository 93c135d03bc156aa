//! What goes into a call and what comes out of it.

use std::sync::Arc;
use std::time::Instant;

use super::{Command, CommandId, Outcome};
use crate::terms::{Answer, Code, Codes, Failure, Numbers, Opening, Pbx};

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A command ended.
    Done(CommandId, Outcome),
    /// The web server answered, or did not.
    Answered(Result<Answer, Failure>),
    /// The caller hung up.
    HungUp,
    /// The daemon is going down.
    Shutdown,
    /// The PBX's connection is gone.
    Gone,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A command for the PBX.
    Command(CommandId, Command),
    /// Ask the web server.
    Ask(Ask),
    /// The answer is not wanted any more.
    CancelAsk,
    /// The caller entered a wrong code: it counts for the lockout.
    WrongCode,
    /// The caller entered a right code: the lockout's count is cleared.
    RightCode,
    /// Nothing more now: wait for an input, and call [`super::Call::handle_timeout`] at this time.
    Timeout(Instant),
    /// The call is over; [`super::Call::into_journal`] has what happened.
    Closed,
}

/// A question for the web server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The entry, if there is an IVR.
    pub code: Option<Code>,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The codes of the attempts before that the web server was told; none where they may be shown.
    pub earlier: Codes,
}

/// What a call begins with.
#[derive(Debug)]
pub struct Start {
    /// What the PBX said.
    pub opening: Box<Opening>,
    /// `WEBHOOK_CALL`, the journal's id.
    pub call: String,
    /// Now, ms since 1970.
    pub wall: i64,
    /// Who asks.
    pub pbx: Pbx,
    /// How numbers are written here.
    pub numbers: Arc<Numbers>,
}
