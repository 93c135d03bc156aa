//! The `socket` application: FreeSWITCH connects in the middle of a call, and gives the channel into our hands until we
//! leave.
//!
//! | file | what it is |
//! |---|---|
//! | `channel` | what FreeSWITCH says of the channel, read into an [`Opening`](crate::terms::Opening) |
//! | `mode` | how the dialplan called us, and what follows from it |
//! | `job` | a neutral command as applications |
//! | `leave` | everything for the channel in one write |
//! | `session` | [`OutboundSession`]: the state machine of one connection |

mod channel;
mod job;
mod leave;
mod mode;
mod session;

pub use job::{DIGITS_MAX, DIGITS_VARIABLE};
pub use session::{CHANNEL_TIME, COMMAND_TIME, OutboundSession};
