//! Sockets and tasks: listeners, the loop that drives one call, one HTTP hop, the followers of PBXs.

mod ask;
mod connect;
mod drive;
mod flight;
mod follow;
mod http;
mod listen;
mod registry;
mod worker;

pub use ask::ask_once;
pub use flight::Answers;
pub use follow::{Batch, CallChange, EventSink, Health, Later, LinkHealth, Links};
pub use http::{Http, tls_settings};
pub use registry::{Admission, Hook, Keeper, Registry};
pub use worker::{Listener, Shared, start_workers};
