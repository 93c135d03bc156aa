//! FreeSWITCH's side of one outbound socket, as recorded from FreeSWITCH 1.11.3-dev.
//!
//! `async` or not, `full` or not, with or without `socket_resume`. Also where it hurts: the reply to `connect` is
//! encoded and every other one is not; events come between a command and its reply; a message without `event-lock` runs
//! inside the one before; an unknown application hangs the call up; a caller who hangs up ends what runs, and the
//! connection; who leaves in the wrong way leaves the channel in dead air.
//!
//! Played: `connect`, `exit`, `filter`, `getvar`, `linger`, `myevents`, `noevents`, `nolinger`, `resume`, and `sendmsg`
//! that executes answer, export, hangup, log, multiunset, play_and_get_digits (with one try and no expression), playback,
//! privacy, set, sleep or unset. What a server must never send is carried out as harmlessly as can be and noted:
//! [`Event::Expanded`](super::Event::Expanded), [`Event::Array`](super::Event::Array),
//! [`Event::Misread`](super::Event::Misread).

mod channel;
mod command;
mod connection;
mod packet;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::{Played, Script};

/// How the dialplan runs the `socket` application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialplan {
    /// With the word `async`.
    pub is_async: bool,
    /// With the word `full`.
    pub is_full: bool,
    /// Channel variables that it has set before.
    pub variables: BTreeMap<String, String>,
}

impl Default for Dialplan {
    /// As `contrib/freeswitch` has it: `async full`, with `socket_resume=true`.
    fn default() -> Dialplan {
        let variables = [("socket_resume".to_owned(), "true".to_owned())].into();
        Dialplan { is_async: true, is_full: true, variables }
    }
}

/// Plays a call against an outbound socket server, until the server leaves or the caller hangs up. A server that does
/// nothing is waited for, as FreeSWITCH does. No connection is [`After::Failure`](super::After).
pub async fn play(server: SocketAddr, script: Script, dialplan: Dialplan) -> Played {
    connection::play(server, script, dialplan).await
}

#[cfg(test)]
mod tests;
