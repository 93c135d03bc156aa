//! Plays a PBX and a web server against a socket: for the demonstration, `switchhook call` and tests.
//!
//! What is played was recorded from the real ones. It is written apart from the adapters, so that it does not share
//! their mistakes.

pub mod asterisk;
pub mod server;
