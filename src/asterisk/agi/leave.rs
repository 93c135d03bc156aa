//! Everything for the channel in one write, and the replies to it.

use super::command::{self, CallerIdPart, EncodeError, Line};
use super::reply::Reply;
use crate::call::{CallerChange, Finish};
use crate::terms::What;

/// What is written of the caller when he must not be shown, in this order. The number in `CALLERID(ANI-num)` would be
/// seen in P-Asserted-Identity, whatever the presentation says.
const SUPPRESS: [(CallerIdPart, &str); 4] = [
    (CallerIdPart::Number, ""),
    (CallerIdPart::Name, ""),
    (CallerIdPart::Ani, ""),
    (CallerIdPart::Presentation, "prohib"),
];

/// The leaving: lines in one write with a half-close behind, and the replies to them. Shown with Asterisk 22 and 16: all
/// lines are taken and replied to, then comes `HANGUP` or the end.
pub(super) struct Leave {
    /// Of each line, what it sets.
    names: Vec<String>,
    /// A command was running, so one reply more may come, before ours. A command that plays or collects is ended by
    /// our first byte and has none.
    cut_short: bool,
    /// Refusals of the replies so far; `None` is a good one.
    replies: Vec<Option<String>>,
}

/// What a reply changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyReplies;

impl Leave {
    /// The bytes to write, and a note for each line that cannot be written. The others are written all the same.
    pub(super) fn begin(finish: &Finish, cut_short: bool) -> (Leave, Vec<u8>, Vec<What>) {
        let (mut names, mut bytes, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for (name, line) in lines(finish) {
            match line {
                Ok(line) => {
                    bytes.extend(line.into_bytes());
                    names.push(name);
                }
                Err(e) => notes.push(What::PbxRefused { what: name, reply: e.to_string() }),
            }
        }
        (Leave { names, cut_short, replies: Vec::new() }, bytes, notes)
    }

    /// A reply came.
    pub(super) fn reply(&mut self, reply: Reply) -> Result<(), TooManyReplies> {
        if self.has_all() {
            return Err(TooManyReplies);
        }
        self.replies.push(match reply {
            Reply::Result { .. } => None,
            Reply::Refused(text) | Reply::Dead(text) => Some(text),
        });
        Ok(())
    }

    /// Whether no further reply can come.
    pub(super) fn has_all(&self) -> bool {
        self.replies.len() == self.names.len() + usize::from(self.cut_short)
    }

    /// Asterisk has gone on with its dialplan: what it refused. The last replies belong to the lines.
    ///
    /// After a hangup an Asterisk with `AGIEXITONHANGUP=yes` leaves without taking any line.
    pub(super) fn end(mut self, hung_up: bool) -> Vec<What> {
        let (taken, all) = (self.replies.len(), self.names.len());
        if taken < all {
            return vec![if hung_up {
                let reply = format!("{taken} of {all} lines were taken, the caller had hung up");
                What::PbxRefused { what: "answer".to_owned(), reply }
            } else {
                What::ProtocolError { detail: format!("the PBX took {taken} of {all} lines of the answer") }
            }];
        }
        let own = self.replies.split_off(taken - all);
        let refused = self.names.into_iter().zip(own);
        refused.filter_map(|(what, reply)| Some(What::PbxRefused { what, reply: reply? })).collect()
    }
}

/// The caller first, the variables behind, so that the result stays last.
fn lines(finish: &Finish) -> Vec<(String, Result<Line, EncodeError>)> {
    let caller = caller_lines(&finish.caller)
        .into_iter()
        .map(|(part, value)| (part.function().to_owned(), command::set_caller_id(part, value)));
    let variables = finish
        .variables
        .iter()
        .map(|(name, value)| (name.to_string(), command::set_variable(name, value.as_str())));
    caller.chain(variables).collect()
}

fn caller_lines(change: &CallerChange) -> Vec<(CallerIdPart, &str)> {
    match change {
        CallerChange::Nothing => Vec::new(),
        CallerChange::Suppress => SUPPRESS.to_vec(),
        CallerChange::Show { name, number, present } => [
            name.as_ref().map(|n| (CallerIdPart::Name, n.as_str())),
            number.as_ref().map(|n| (CallerIdPart::Number, n.as_str())),
            present.then_some((CallerIdPart::Presentation, "allowed")),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}
