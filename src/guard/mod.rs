//! Protection against guessing: who has entered too many wrong codes. Time is an argument.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod lockout;

pub use lockout::{Lockout, WrongCodes};
