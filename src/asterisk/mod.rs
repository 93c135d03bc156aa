//! Asterisk: FastAGI and AMI. Pure: bytes and time come in as arguments.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod agi;
pub mod ami;
