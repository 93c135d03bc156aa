//! FreeSWITCH: the event socket, outbound and inbound. Pure: bytes and time come in as arguments.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod esl;
pub mod inbound;
pub mod outbound;
mod said;
