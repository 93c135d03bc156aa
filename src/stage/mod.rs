//! Plays a PBX and a web server against a socket: for the demonstration, `switchhook call` and tests.
//!
//! What is played was recorded from the real ones. It is written apart from the adapters, so that it does not share
//! their mistakes.

pub mod asterisk;
mod caller;
pub mod freeswitch;
mod script;
pub mod server;

pub use caller::{Entry, Key};
pub use script::{After, Event, Moment, Party, Played, Presentation, Script, Shown};
