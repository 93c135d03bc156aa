//! Whole calls over real sockets: the daemon as it runs, a played PBX on one side, a played web server on the other.
//!
//! | file | what a user would miss |
//! |---|---|
//! | `outcomes.rs` | what comes of a call: one table, for every PBX |
//! | `freeswitch.rs` | what only FreeSWITCH can suffer |
//! | `faults.rs` | what becomes of a call when the web server misbehaves |
//! | `tls.rs` | which certificates are trusted |
//! | `listener.rs` | who may connect, and how many |
//! | `signals.rs` | reload, stop, exit codes: the program itself |
//! | `admin.rs` | health and metrics of the running program |
//! | `lockout.rs` | wrong codes, over a restart and until somebody clears them |
//! | `cache.rs` | one question for many calls |
//! | `secrecy.rs` | a code is nowhere |
//! | `locked_store.rs` | a store that is stopped delays nobody |

mod admin;
mod cache;
mod daemon;
mod faults;
mod freeswitch;
mod listener;
mod locked_store;
mod lockout;
mod outcomes;
mod pbx;
mod running;
mod secrecy;
mod signals;
mod table;
mod tls;
mod web;
