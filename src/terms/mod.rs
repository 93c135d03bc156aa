//! The words of telephony as this program uses them, as types that cannot hold a wrong value.
//!
//! This module names no other module of ours. What comes from outside (a PBX, a web server, the configuration)
//! becomes one of these types at the edge, once.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod answer;
mod definition;
mod encoding;
mod event;
mod facts;
mod journal;
mod number;
mod opening;
mod outcome;
mod secret;
mod subscription;
mod template;
mod text;
mod variable;

pub use answer::{Answer, Dialect, Failure};
pub use definition::{
    Body, CallerId, CallerNameMode, CallerNameRule, DestinationRule, Ivr, LockoutRule, Method, NumberFormat,
    Pattern, Prompt, Webhook, WebhookName,
};
pub use encoding::Encoding;
pub use event::{
    CallEvent, Direction, Disposition, EndReason, Event, EventKind, LegRecord, Told, UserAction, UserEvent,
};
pub use facts::Facts;
pub use journal::{Ended, EntryFault, Journal, Step, Via, What};
pub use number::{Destination, DestinationRefused, Number, Numbers};
pub use opening::{Channel, Opening, Pbx, Route, RouteError};
pub use outcome::{CallResult, Reason, Status};
pub use secret::{Code, Codes, Secret};
pub use subscription::{EventBody, Order, Restrict, Subscription};
pub use template::{Place, Template, TemplateError, Values};
pub use text::{Cleaned, PbxText, VarName, VarNameError};
pub use variable::Variable;
