//! Everything that needs more than one module, in one test binary. No PBX is needed.

mod agi;
mod agi_limits;
mod cli_check;
mod config;
mod config_docs;
mod dialogue;
mod esl;
mod esl_channel;
mod esl_cross;
mod esl_wire;
mod layers;
