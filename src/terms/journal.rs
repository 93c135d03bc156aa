//! What happened in one call, step by step. `switchhook explain` prints it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CallResult, Dialect, Reason, Status};

/// One call, from the question to the answer. Holds no code: it is masked before it comes here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// `WEBHOOK_CALL`.
    pub call: String,
    /// When the PBX asked, ms since 1970.
    pub started: i64,
    /// What was asked for: a webhook's name, or `callername`.
    pub webhook: String,
    /// `asterisk` or `freeswitch`.
    pub pbx: String,
    /// The PBX's id of the channel.
    pub unique_id: String,
    /// The PBX's id of the call.
    pub linked_id: String,
    /// The number that was called.
    pub did: String,
    /// The caller's number, empty when withheld.
    pub callerid: String,
    /// Whether it succeeded.
    pub result: CallResult,
    /// Why.
    pub reason: Reason,
    /// How many times the caller was asked for a code.
    pub attempts: u32,
    /// From the question to the end of the session, microseconds.
    pub took_us: u64,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Microseconds since the PBX asked.
    pub at_us: u64,
    /// What it was.
    #[serde(flatten)]
    pub what: What,
}

impl Step {
    /// A step so long after the beginning.
    pub fn new(since_start: Duration, what: What) -> Step {
        Step { at_us: u64::try_from(since_start.as_micros()).unwrap_or(u64::MAX), what }
    }
}

/// What can happen in a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum What {
    /// The PBX asked.
    Asked {
        /// The path, without its query.
        path: String,
        /// The channel's name.
        channel: String,
        /// The caller's name as it arrived.
        callername: String,
    },
    /// The channel was answered, so that digits can be heard.
    Answered,
    /// Prompts were played and digits collected.
    Entry {
        /// The attempt, from 1.
        attempt: u32,
        /// The prompts, in their order.
        prompts: Vec<String>,
        /// How many digits came; which ones is secret.
        digits: usize,
        /// The entry itself, where it is no secret (`ivr.secret = false`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shown: Option<String>,
        /// What ended it.
        ended: Ended,
    },
    /// The entry was not asked about: it cannot be right.
    EntryRefused {
        /// The attempt, from 1.
        attempt: u32,
        /// Why.
        fault: EntryFault,
    },
    /// A prompt was played with nothing to collect.
    Played {
        /// Its name.
        prompt: String,
    },
    /// A sound file is not there; the entry was collected in silence.
    SoundMissing {
        /// Its name.
        prompt: String,
    },
    /// This caller has entered too many wrong codes.
    LockedOut {
        /// Wrong codes within the window.
        failures: u32,
    },
    /// A request was made.
    Request {
        /// `GET` or `POST`.
        method: String,
        /// The URL, code masked.
        url: String,
        /// The body, code masked, cut at 4 KiB; empty for GET.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        body: String,
        /// Why this request.
        via: Via,
    },
    /// The server's name was resolved.
    Resolved {
        /// The host.
        host: String,
        /// Its addresses.
        addresses: Vec<String>,
    },
    /// An HTTP answer came.
    Response {
        /// Its status.
        http_status: u16,
        /// The address that was asked.
        peer: String,
        /// Whether an open connection was used.
        reused: bool,
        /// From the request to the head of the answer, microseconds.
        head_us: u64,
        /// The Content-Type, as sent.
        content_type: String,
        /// The body, code masked, cut at 4 KiB.
        body: String,
        /// The body's bytes.
        bytes: usize,
    },
    /// A request brought no HTTP answer, or one that does not count and leads to the fallback.
    RequestFailed {
        /// The word for it.
        reason: Reason,
        /// In words.
        detail: String,
    },
    /// The answer was kept from an earlier call.
    Cached {
        /// Its age, ms.
        age_ms: u64,
    },
    /// Another call was asking the same: its answer was waited for.
    Joined,
    /// The answer was read.
    Answer {
        /// ACK, NAK or ERR.
        status: Status,
        /// As answered, code masked.
        destination: String,
        /// As answered, code masked.
        callername: String,
        /// How it was read.
        dialect: Dialect,
        /// What was forgiven.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hints: Vec<String>,
    },
    /// There is no answer.
    NoAnswer {
        /// The word for it.
        reason: Reason,
        /// In words.
        detail: String,
    },
    /// The answered destination was refused.
    DestinationRefused {
        /// As answered, code masked.
        destination: String,
        /// Why.
        detail: String,
    },
    /// A text was cleaned before it went to the PBX.
    Cleaned {
        /// The variable, or `caller name`.
        what: String,
    },
    /// The caller hung up.
    HungUp,
    /// The time for the whole call was over.
    Deadline,
    /// The daemon is going down.
    Shutdown,
    /// The variables were handed to the PBX.
    Finished {
        /// Name and value in their order, the result last; codes masked.
        variables: Vec<(String, String)>,
    },
    /// The PBX did not take something.
    PbxRefused {
        /// What it was: a command, or a variable's name.
        what: String,
        /// The PBX's reply.
        reply: String,
    },
    /// The dialplan calls us in a way that works, but not always.
    Dialplan {
        /// What it should say.
        advice: String,
    },
    /// The PBX said something that is not its protocol, or stopped replying.
    ProtocolError {
        /// In words.
        detail: String,
    },
}

/// What ended an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// `#`.
    Terminator,
    /// As many digits as there may be.
    Full,
    /// The time ran out.
    Timeout,
    /// The caller hung up.
    Hangup,
}

/// Why an entry cannot be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryFault {
    /// Nothing was pressed.
    Nothing,
    /// `#` alone, or fewer digits than `min_digits`.
    TooShort,
    /// Not of the webhook's `pattern`.
    Pattern,
}

/// Why a request was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The first one.
    First,
    /// The same again: nothing of the one before was sent.
    Retry,
    /// The answer before pointed here.
    Redirect,
    /// `fallback_url`.
    Fallback,
}
