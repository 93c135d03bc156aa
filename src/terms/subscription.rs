//! An event webhook as its owner defined it: section `[subscription.NAME]`, parsed.

use std::time::Duration;

use super::{Direction, Disposition, EventKind, Method, Secret, Template, Variable, WebhookName};

/// Who is told of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its name.
    pub name: WebhookName,
    /// For people.
    pub description: String,
    /// Switched off: nothing that happens meanwhile is kept for it.
    pub enabled: bool,
    /// What it is told; at least one, each once.
    pub events: Vec<EventKind>,
    /// Calls of which directions; at least one. `None`: all of them, and for [`EventKind::Call`] those that come in.
    pub directions: Option<Vec<Direction>>,
    /// GET or POST.
    pub method: Method,
    /// Where to tell it. Scheme, host and port hold no variable.
    pub url: Template,
    /// Headers of the request.
    pub headers: Vec<(http::HeaderName, Template)>,
    /// Body of a POST.
    pub body: EventBody,
    /// Whose calls and changes.
    pub restrict: Restrict,
    /// Whether events of one call wait for each other.
    pub order: Order,
    /// How long after it happened an event is still worth telling; one that is not listed always is.
    pub expires: Vec<(EventKind, Duration)>,
    /// Keys that sign each request (Standard Webhooks): none, one, or during a rotation two.
    pub secrets: Vec<Secret>,
    /// How long to wait after each failed attempt before the next one, without jitter. After the last of them it is
    /// given up. May be empty: one attempt.
    pub schedule: Vec<Duration>,
}

/// The body of a POST that tells an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventBody {
    /// All variables as a JSON object.
    Json,
    /// A text of the user's own. Values are escaped for JSON, XML or HTML where the content type says so,
    /// percent-encoded for a form, as they are for anything else.
    Template {
        /// The text.
        template: Template,
        /// Its Content-Type.
        content_type: String,
    },
}

/// Whose calls and changes a subscription is told. An empty list restricts nothing. Calls are restricted by `numbers`,
/// `extensions` and `dispositions`, all must allow it; changes by `people`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Restrict {
    /// Numbers that a call came from or went to.
    pub numbers: Vec<String>,
    /// Our own phones.
    pub extensions: Vec<String>,
    /// How the call came out. What has no disposition yet is not restricted by it.
    pub dispositions: Vec<Disposition>,
    /// Who made a change: for [`EventKind::User`] alone.
    pub people: Vec<String>,
}

/// Whether events of one call wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// An event waits for the ones before it.
    Strict,
    /// They may pass each other.
    None,
}

impl Subscription {
    /// When nothing else is said: 10 attempts within three and a half days.
    pub const SCHEDULE: [Duration; 9] = [
        Duration::from_secs(5),
        Duration::from_mins(5),
        Duration::from_mins(30),
        Duration::from_hours(2),
        Duration::from_hours(5),
        Duration::from_hours(10),
        Duration::from_hours(14),
        Duration::from_hours(20),
        Duration::from_hours(24),
    ];

    /// How long after it happened an event is still worth telling; `None`: always.
    pub fn expires_after(&self, event: EventKind) -> Option<Duration> {
        self.expires.iter().find(|(kind, _)| *kind == event).map(|(_, after)| *after)
    }

    /// The PBX's variables that its request names as `{var.NAME}`.
    pub fn pbx_variables(&self) -> impl Iterator<Item = &str> {
        let body = match &self.body {
            EventBody::Template { template, .. } => Some(template),
            EventBody::Json => None,
        };
        let templates = std::iter::once(&self.url).chain(self.headers.iter().map(|(_, t)| t)).chain(body);
        templates.flat_map(Template::variables).filter_map(|(_, variable)| match variable {
            Variable::Var(name) => name.strip_prefix("var."),
            _ => None,
        })
    }

    /// The Content-Type of a POST.
    pub fn content_type(&self) -> &str {
        match &self.body {
            EventBody::Json => "application/json",
            EventBody::Template { content_type, .. } => content_type,
        }
    }
}
