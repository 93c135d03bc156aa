//! FreeSWITCH: the event socket, outbound, and later inbound. Pure: bytes and time come in as arguments.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod esl;
pub mod outbound;
