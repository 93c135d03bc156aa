//! AMI, Asterisk's manager interface, as far as following calls needs it. Pure: bytes and time come in as arguments.
//!
//! Wire facts were measured with Asterisk 22.10.1 and 16.28.0; the conversations are in `tests/dialogues/ami`.

mod action;
mod codec;
mod event;
mod session;

pub use action::{Action, ActionError};
pub use codec::{Block, CodecError, Decoder};
pub use event::{channel_event, present_channel};
pub use session::{Account, Lost, Output, Session, Warning};
