//! The event socket that we connect to: what happens to FreeSWITCH's channels.
//!
//! | file | what it is |
//! |---|---|
//! | `event` | from FreeSWITCH's events to [`ChannelEvent`](crate::track::ChannelEvent) |
//! | `channel` | what an event or a list says of one channel |
//! | `cause` | FreeSWITCH's words for why a channel ended |
//! | `list` | the answers to `show channels` and `show bridged_calls` |
//! | `session` | [`Session`]: the state machine of one connection |
//!
//! Wire facts were measured with FreeSWITCH 1.11.3-dev; the conversations are in `tests/dialogues/esl`.

mod cause;
mod channel;
mod event;
mod list;
mod session;

pub use event::channel_events;
pub use session::{Account, EVENTS, Lost, Output, Session, Warning};
