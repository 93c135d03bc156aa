//! What a web server answered, read; or why there is no answer.

use super::{Reason, Status};

/// An answer that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// ACK, NAK or ERR. With `save_as`, a text without a status counts as ACK.
    pub status: Status,
    /// The destination as it was answered, not yet checked; empty when there is none.
    pub destination: String,
    /// The caller name; empty when there is none.
    pub callername: String,
    /// Every key and value of the answer's top level, keys in lower case, a duplicate's last value only.
    pub pairs: Vec<(String, String)>,
    /// The whole answer, trimmed: what `save_as` saves.
    pub text: String,
    /// How it was read.
    pub dialect: Dialect,
    /// The HTTP status, always 2xx.
    pub http_status: u16,
    /// What was forgiven, in words for the person who wrote the server.
    pub hints: Vec<String>,
}

/// The forms in which web servers answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `status=ACK&destination=…`
    Pairs,
    /// A JSON object with the same keys.
    Json,
    /// A text to be compared in the dialplan.
    Text,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The word for it.
    pub reason: Reason,
    /// The HTTP status, where there was one.
    pub http_status: Option<u16>,
    /// In words, for the journal.
    pub detail: String,
}

impl Failure {
    /// A failure without an HTTP status.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Failure {
        Failure { reason, http_status: None, detail: detail.into() }
    }
}
