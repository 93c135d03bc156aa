//! Everything that needs more than one module, in one test binary. No PBX is needed.

mod agi;
mod agi_limits;
mod dialogue;
mod layers;
