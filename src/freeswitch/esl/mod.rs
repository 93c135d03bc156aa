//! FreeSWITCH's event socket protocol, whoever connected: packets in, commands out.
//!
//! | file | what it is |
//! |---|---|
//! | `codec` | packets out of whatever segments TCP makes |
//! | `message` | what a packet says; values are decoded when they are asked for |
//! | `command` | every byte that we write, and FreeSWITCH's way of reading it |
//!
//! Wire facts were measured with FreeSWITCH 1.11.3-dev.

mod codec;
mod command;
mod message;

pub use codec::{CONTENT_MAX, HEAD_MAX, HEADERS_MAX, Packet, PacketError, PacketReader};
pub(in crate::freeswitch) use command::set_own;
pub use command::{App, EncodeError, ReadCommand, command, execute, login, read_commands, set};
pub use message::{Event, Headers, Message, Reply, UNDEFINED};
