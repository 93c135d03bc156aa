//! Everything that needs more than one module, in one test binary. No PBX is needed.

mod agi;
mod agi_limits;
mod ami;
mod calls;
mod canary;
mod cli_call;
mod cli_check;
mod cli_demo;
mod cli_lint;
mod config;
mod config_docs;
mod config_events;
mod delivery;
mod dialogue;
mod esl;
mod esl_channel;
mod esl_cross;
mod esl_wire;
mod following;
mod layers;
mod program;
mod readme;
mod track;
mod track_cases;
mod track_limits;
mod webhook;
