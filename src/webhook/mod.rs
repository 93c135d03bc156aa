//! The contract with the user's web server: request, answer, exchange, signature, address policy. No HTTP of its own.
//!
//! A [`Plan`] is made once, when a webhook is defined. For each question it renders the [`Requests`]; an [`Exchange`]
//! has them made, one hop at a time, and ends with an answer or a failure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod answer;
mod cache;
mod event;
mod exchange;
mod plan;
mod policy;
mod request;
pub mod schedule;
mod signature;

pub use cache::{Cache, CacheKey, Hit};
pub use event::{EventPlan, EventRequest, ShownRequest};
pub use exchange::{Exchange, Hop, HopError, HopErrorKind, HopResponse, Input, Output};
pub use plan::{Origin, Plan, PlanError, USER_AGENT};
pub use policy::{Blocked, Policy};
pub use request::{Question, Requests};
pub use signature::{Key, KeyError};
