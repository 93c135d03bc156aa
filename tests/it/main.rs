//! Everything that needs more than one module, in one test binary. No PBX is needed.

mod ami;
mod following;
mod layers;
mod track;
mod track_cases;
mod track_limits;
