//! Switchhook stands beside an existing Asterisk or FreeSWITCH and gives it routing webhooks: in the middle of a
//! call the dialplan asks, the user's own web server decides, and the answer comes back as channel variables.
//!
//! The modules, from the inside out. The pure ones name no socket, no clock and no task: bytes and time come in as
//! arguments, what is to be done comes out as values.
//!
//! | module | what it is | names |
//! |---|---|---|
//! | [`terms`] | the field's words as types, the definitions, the journal | nothing of ours |
//! | [`call`] | one call, whatever the PBX | `terms` |
//! | [`webhook`] | request, answer, exchange, signature, address policy | `terms` |
//! | [`guard`] | lockout after wrong codes | `terms` |
//! | [`track`] | follows a PBX's calls: channel events in, call events out | `terms` |
//! | [`asterisk`] | FastAGI and AMI: codecs, commands, sessions | `call`, `track`, `terms` |
//! | [`freeswitch`] | the event socket: codec, commands, outbound session | `call`, `terms` |
//! | `clock` | now, ms since 1970 | nothing of ours |
//! | [`config`] | the file: one table of keys, every problem at once | pure modules |
//! | [`io`] | listeners, the loop that drives one call, one HTTP hop, followers of PBXs | `config`, pure modules |
//! | [`store`] | SQLite: the journal, the lockouts, events and their deliveries | `config`, pure modules |
//! | [`delivery`] | tells events to those who subscribed | `store`, `io`, `config`, pure modules |
//! | [`metrics`] | every metric in one table; what is counted of calls | `terms` |
//! | [`admin`] | health and metrics over HTTP | `metrics`, `delivery`, `store`, `io`, pure modules |
//! | [`stage`] | plays a PBX and a web server, for the demonstration, `call` and tests | pure modules |
//! | [`app`] | configuration to running tasks; reload and drain | all of the above |
//! | [`cli`] | one file per subcommand | `app` |

pub mod admin;
pub mod app;
pub mod asterisk;
pub mod call;
pub mod cli;
mod clock;
pub mod config;
pub mod delivery;
pub mod freeswitch;
pub mod guard;
pub mod io;
pub mod metrics;
pub mod stage;
pub mod store;
pub mod terms;
pub mod track;
pub mod webhook;
