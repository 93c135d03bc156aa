//! FastAGI: Asterisk connects, says what it knows of the channel, then takes one command at a time.
//!
//! | file | what it is |
//! |---|---|
//! | `codec` | lines out of whatever segments TCP makes |
//! | `environment` | what Asterisk says first, read into an [`Opening`](crate::terms::Opening) |
//! | `reply` | what Asterisk says to a command |
//! | `command` | every line that we write, and Asterisk's way of reading it |
//! | `job` | a neutral command as a row of AGI commands |
//! | `leave` | everything for the channel in one write, and the replies to it |
//! | `session` | [`AgiSession`]: the state machine of one connection |
//!
//! Wire facts were measured with Asterisk 22.10.1 and 16.28.0; where one is named below, both do it alike.

mod codec;
mod command;
mod environment;
mod job;
mod leave;
mod reply;
mod session;

pub use codec::LINE_MAX;
pub use command::parse_command;
pub use environment::{BLOCK_MAX, LINES_MAX};
pub use session::{AgiSession, COMMAND_TIME, ENVIRONMENT_TIME};
