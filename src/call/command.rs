//! What a call wants of its PBX, in words that both PBXs understand, and what the PBX says to it.

use std::time::Duration;

use crate::terms::{Code, Ended, PbxText, Prompt, VarName};

/// Names one command of one call, so that what comes back is not taken for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u32);

/// One thing for the PBX to do. Only [`Command::Finish`] may be given while another one runs: it ends that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Answer the channel, if it is not answered.
    Answer,
    /// Play a sound to its end. Keys change nothing.
    Play(Prompt),
    /// Play prompts and collect one entry.
    Collect(Collect),
    /// Set everything, the result last, and leave.
    Finish(Finish),
}

/// One entry of digits. Any key interrupts a prompt and is the entry's first digit. `#` ends the entry and is no part
/// of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collect {
    /// What is said of the entry before: the error or the timeout prompt.
    pub lead: Option<Prompt>,
    /// The start prompt; `None` is silence.
    pub prompt: Option<Prompt>,
    /// To the first digit, from the prompt's end; and between digits.
    pub timeout: Duration,
    /// Between digits, where it must be another time.
    pub digit_timeout: Option<Duration>,
    /// Digits, at most.
    pub max_digits: usize,
}

/// Everything that a call leaves behind on its channel.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Finish {
    /// What the callee will see.
    pub caller: CallerChange,
    /// Channel variables in the order in which they are set. The result is the last one.
    pub variables: Vec<(VarName, PbxText)>,
}

/// What changes of the caller's name and number.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum CallerChange {
    /// Neither.
    #[default]
    Nothing,
    /// The name, the number, or both. `present` asks to show them although the caller withheld his own.
    Show {
        /// The new name.
        name: Option<PbxText>,
        /// The new number.
        number: Option<PbxText>,
        /// The number is one that may be shown, whoever calls.
        present: bool,
    },
    /// Neither number nor name is shown.
    Suppress,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// An entry, possibly empty.
    Digits {
        /// The digits, without `#`.
        code: Code,
        /// What ended the entry.
        ended: Ended,
    },
    /// The caller hung up meanwhile.
    HungUp,
    /// The PBX refused it.
    Refused {
        /// Its reply.
        reply: String,
    },
}
