//! Everything that needs more than one module, in one test binary. No PBX is needed.

mod agi;
mod agi_limits;
mod cli_check;
mod cli_lint;
mod config;
mod config_docs;
mod dialogue;
mod layers;
mod webhook;
