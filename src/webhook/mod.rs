//! The contract with the user's web server: request, answer, exchange, signature, address policy. No HTTP of its own.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
