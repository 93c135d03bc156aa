//! Everything that needs more than one module, in one test binary. No PBX is needed.

mod cli_check;
mod config;
mod config_docs;
mod layers;
