//! Everything that needs more than one module, in one test binary. No PBX is needed.

mod agi;
mod agi_limits;
mod calls;
mod cli_check;
mod config;
mod config_docs;
mod dialogue;
mod layers;
mod webhook;
