//! Asterisk's side of one FastAGI session, as recorded from Asterisk 22.10.1 and 16.28.0.
//!
//! One command at a time, replies in order and in Asterisk's own framing. Also where it hurts: a line that is written
//! behind another without a half-close waits until more bytes come, bytes end a command that plays or collects, an
//! unfinished line runs at the end, a hung-up channel answers 511.
//!
//! Played: `ANSWER`, `CHANNEL STATUS`, `EXEC` (Read, Playback, Set, NoOp, Verbose, Wait, Answer, Hangup), `GET DATA`,
//! `GET FULL VARIABLE`, `GET VARIABLE`, `HANGUP`, `NOOP`, `SET VARIABLE`, `STREAM FILE`, `VERBOSE`. Any other command is
//! answered 510, as one that Asterisk does not know.

mod channel;
mod connection;
mod words;

use std::net::SocketAddr;

use super::{Played, Script};

/// Plays a call against a FastAGI server, until the server ends the session. A server that never does is waited for, as
/// Asterisk does. No connection is [`After::Failure`](super::After).
pub async fn play(server: SocketAddr, script: Script) -> Played {
    connection::play(server, script).await
}

#[cfg(test)]
mod tests;
