//! Everything for the channel in one write, with `exit` behind it.
//!
//! Shown with a real FreeSWITCH, `async full` and `socket_resume=true`: ten variables set so, the dialplan goes on with
//! all of them.

use super::job::LEFT_BEHIND;
use crate::call::{CallerChange, Finish};
use crate::freeswitch::esl::{self, App, EncodeError, UNDEFINED};
use crate::terms::What;

/// The variables that the called leg gets its caller from.
const NAME: &str = "effective_caller_id_name";
const NUMBER: &str = "effective_caller_id_number";

/// What is seen of a caller who must not be.
const ANONYMOUS: &str = "anonymous";

/// The messages, in the order in which they are written.
pub(super) struct Leave {
    /// What each one sets, and its bytes.
    pub(super) messages: Vec<(String, Vec<u8>)>,
    /// For each one that cannot be written.
    pub(super) notes: Vec<What>,
}

impl Leave {
    /// `cut_short`: an entry was running. FreeSWITCH ends it when we leave, then does what stands behind it.
    pub(super) fn compose(finish: &Finish, cut_short: bool, id: impl FnMut() -> String) -> Leave {
        let mut leave = Composer { id, leave: Leave { messages: Vec::new(), notes: Vec::new() } };
        if cut_short {
            for name in LEFT_BEHIND {
                leave.run(name, |id| esl::unset(name, id));
            }
        }
        leave.caller(&finish.caller);
        for (name, value) in &finish.variables {
            if !leave.run(name.as_str(), |id| esl::set(name, value, id)) {
                // Rather nothing than what was there before.
                leave.run(name.as_str(), |id| esl::unset(&name.as_str().to_ascii_lowercase(), id));
            }
        }
        leave.leave
    }
}

struct Composer<F> {
    id: F,
    leave: Leave,
}

impl<F: FnMut() -> String> Composer<F> {
    fn caller(&mut self, change: &CallerChange) {
        match change {
            CallerChange::Nothing => {}
            CallerChange::Suppress => {
                self.set(NAME, ANONYMOUS);
                self.set(NUMBER, ANONYMOUS);
                self.run("privacy", |id| esl::execute(App::Privacy, "full", id));
            }
            CallerChange::Show { name, number, present } => {
                if let Some(name) = name {
                    // Removing the variable would show the caller's own name again.
                    self.set(NAME, if name.is_empty() { UNDEFINED } else { name.as_str() });
                }
                if let Some(number) = number {
                    self.set(NUMBER, number.as_str());
                }
                if *present {
                    self.run("privacy", |id| esl::execute(App::Privacy, "no", id));
                }
            }
        }
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.run(name, |id| esl::set_own(name, value, id));
    }

    fn run(&mut self, what: &str, encode: impl FnOnce(&str) -> Result<Vec<u8>, EncodeError>) -> bool {
        match encode(&(self.id)()) {
            Ok(bytes) => {
                self.leave.messages.push((what.to_owned(), bytes));
                true
            }
            Err(e) => {
                self.leave.notes.push(What::PbxRefused { what: what.to_owned(), reply: e.to_string() });
                false
            }
        }
    }
}
