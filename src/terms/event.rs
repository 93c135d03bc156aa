//! What is told: what happened to a call, and what a person changed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The word for it.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }
    };
}

words! {
    /// What happened.
    EventKind {
        /// It reached the PBX.
        Call = "call",
        /// A phone rings; one for each.
        Ringing = "ringing",
        /// Two parties talk.
        Connected = "connected",
        /// It was given to somebody else.
        Transferred = "transferred",
        /// It has ended. Once for each call.
        Disconnected = "disconnected",
        /// Its record; follows [`EventKind::Disconnected`].
        Cdr = "cdr",
        /// Somebody changed something; not about a call.
        User = "user",
    }
}

words! {
    /// Where a call comes from and goes to. It never changes.
    Direction {
        /// From a trunk.
        In = "in",
        /// To a trunk.
        Out = "out",
        /// Neither.
        Internal = "internal",
    }
}

words! {
    /// How a call, or one leg of it, came out.
    Disposition {
        /// Two parties talked, or the dialplan said that an application answered.
        Answered = "answered",
        /// Nobody answered.
        NoAnswer = "no_answer",
        /// The phone was busy.
        Busy = "busy",
        /// Somebody declined.
        Rejected = "rejected",
        /// The caller gave up.
        Cancelled = "cancelled",
        /// It could not be reached.
        Failed = "failed",
        /// Another phone, or another PBX in front of this one, answered.
        AnsweredElsewhere = "answered_elsewhere",
    }
}

words! {
    /// What somebody did.
    UserAction {
        /// Made it.
        Created = "created",
        /// Changed it.
        Changed = "changed",
        /// Removed it.
        Deleted = "deleted",
        /// Switched it on, or let it go on.
        Enabled = "enabled",
        /// Had it stop for a while.
        Paused = "paused",
        /// Had it sent again.
        Replayed = "replayed",
        /// Came in.
        Login = "login",
    }
}

words! {
    /// Why a call ended.
    EndReason {
        /// Somebody hung up.
        Hangup = "hangup",
        /// It was the consultation of a transfer; its parties go on in the transferred call.
        Transferred = "transferred",
        /// It picked up another call; its party goes on in that one.
        Pickup = "pickup",
        /// The PBX does not have it any more; how it ended was not seen.
        Vanished = "vanished",
        /// Nothing was heard of it for too long.
        Lost = "lost",
    }
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Event {
    /// Something happened to a call.
    Call(Box<CallEvent>),
    /// Somebody changed something.
    User(UserEvent),
}

impl Event {
    /// What happened.
    pub fn kind(&self) -> EventKind {
        match self {
            Event::Call(event) => event.event,
            Event::User(_) => EventKind::User,
        }
    }

    /// When it happened, ms since 1970.
    pub fn timestamp(&self) -> i64 {
        match self {
            Event::Call(event) => event.timestamp,
            Event::User(event) => event.timestamp,
        }
    }
}

/// Somebody changed something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEvent {
    /// When, ms since 1970.
    pub timestamp: i64,
    /// Who.
    pub actor: String,
    /// What they did.
    pub action: UserAction,
    /// What kind of thing it was done to, such as `subscription`.
    pub object: String,
    /// The thing's name.
    pub object_name: String,
}

/// One event of a call, with everything that is known of the call at that moment. Times are ms since 1970, `None` is
/// never; durations are whole seconds; unknown texts are empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallEvent {
    /// What happened.
    pub event: EventKind,
    /// 1 for the call's first event, then one more for each.
    pub seq: u32,
    /// Not seen as it happened, but found out by comparing with the PBX, or given up.
    pub synthetic: bool,
    /// The PBX's name in the configuration.
    pub pbx: String,
    /// The id that the call began with.
    pub calluniqueid: String,
    /// The consultation call of a transfer.
    pub other_calluniqueid: String,
    /// Where it comes from and goes to.
    pub direction: Direction,
    /// The caller: his number; where he is one of ours, his extension.
    pub callfrom: String,
    /// The called: the number by which the leg was called that this event is about.
    pub callto: String,
    /// The number that was dialled first.
    pub did: String,
    /// The caller's number as it is presented.
    pub callerid: String,
    /// The caller's name.
    pub callername: String,
    /// Our own phone on the leg that this event is about; where the leg leads outside, the caller's.
    pub extension: String,
    /// How it came out, once it has ended.
    pub disposition: Option<Disposition>,
    /// Why it ended, once it has.
    pub reason: Option<EndReason>,
    /// The Q.850 cause, once it has ended and where one is known.
    pub hangup_cause: Option<u16>,
    /// When this happened.
    pub timestamp: i64,
    /// When the call began.
    pub start: i64,
    /// When a phone first rang.
    pub ringing: Option<i64>,
    /// When it was first answered.
    pub answer: Option<i64>,
    /// When it ended.
    pub end: Option<i64>,
    /// Seconds since its start.
    pub duration: i64,
    /// Seconds since it was answered.
    pub talk_time: i64,
    /// The journal's id of the routed call, from the PBX's variable `WEBHOOK_CALL`.
    pub call: String,
    /// The queue that it waited in last.
    pub queue: String,
    /// The caller's account code.
    pub account: String,
    /// The recording's file, from the PBX's variable `MIXMONITOR_FILENAME` or `record_path`.
    pub recording: String,
    /// The PBX's variables.
    pub var: BTreeMap<String, String>,
    /// Each phone or trunk that was called. Only in [`EventKind::Cdr`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legs: Vec<LegRecord>,
}

/// One phone or trunk that was called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegRecord {
    /// The phone or trunk, from its channel's name.
    pub extension: String,
    /// The number by which it was called.
    pub number: String,
    /// When it began to ring.
    pub ringing: Option<i64>,
    /// When it was answered.
    pub answer: Option<i64>,
    /// When it ended.
    pub end: Option<i64>,
    /// How it came out.
    pub disposition: Disposition,
}

impl CallEvent {
    /// The names that a template can use, without `var.NAME`.
    pub const NAMES: &'static [&'static str] = &[
        "event",
        "calluniqueid",
        "other_calluniqueid",
        "callfrom",
        "callto",
        "status",
        "status_desc",
        "direction",
        "timestamp",
        "did",
        "callerid",
        "callername",
        "extension",
        "duration",
        "talk_time",
        "disposition",
        "reason",
        "hangup_cause",
        "start",
        "ringing",
        "answer",
        "end",
        "synthetic",
        "seq",
        "pbx",
        "call",
        "queue",
        "account",
        "recording",
    ];

    /// The number of the state in which the call is, as the hosted systems write it; empty where they have none.
    pub fn status(&self) -> &'static str {
        match (self.event, self.direction) {
            (EventKind::Ringing, Direction::Out) => "1",
            (EventKind::Ringing, _) => "0",
            (EventKind::Connected, _) => "2",
            (EventKind::Disconnected, _) => "3",
            (_, _) => "",
        }
    }

    /// The word for it.
    pub fn status_desc(&self) -> &'static str {
        match (self.event, self.direction) {
            (EventKind::Ringing, Direction::Out) => "OUTGOING_RINGING",
            (EventKind::Ringing, _) => "INCOMING_RINGING",
            (EventKind::Connected, _) => "CONNECTED",
            (EventKind::Transferred, _) => "TRANSFERRED",
            (EventKind::Disconnected, _) => "DISCONNECTED",
            (_, _) => "",
        }
    }

    /// The value of one of [`CallEvent::NAMES`], or of `var.NAME` (empty where the PBX did not say). `None`: no such
    /// name.
    pub fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        let time = |at: Option<i64>| Cow::Owned(at.map_or_else(String::new, |ms| ms.to_string()));
        Some(match name {
            "event" => Cow::Borrowed(self.event.as_str()),
            "calluniqueid" => Cow::Borrowed(&*self.calluniqueid),
            "other_calluniqueid" => Cow::Borrowed(&*self.other_calluniqueid),
            "callfrom" => Cow::Borrowed(&*self.callfrom),
            "callto" => Cow::Borrowed(&*self.callto),
            "status" => Cow::Borrowed(self.status()),
            "status_desc" => Cow::Borrowed(self.status_desc()),
            "direction" => Cow::Borrowed(self.direction.as_str()),
            "timestamp" => time(Some(self.timestamp)),
            "did" => Cow::Borrowed(&*self.did),
            "callerid" => Cow::Borrowed(&*self.callerid),
            "callername" => Cow::Borrowed(&*self.callername),
            "extension" => Cow::Borrowed(&*self.extension),
            "duration" => Cow::Owned(self.duration.to_string()),
            "talk_time" => Cow::Owned(self.talk_time.to_string()),
            "disposition" => Cow::Borrowed(self.disposition.map_or("", Disposition::as_str)),
            "reason" => Cow::Borrowed(self.reason.map_or("", EndReason::as_str)),
            "hangup_cause" => Cow::Owned(self.hangup_cause.map_or_else(String::new, |c| c.to_string())),
            "start" => time(Some(self.start)),
            "ringing" => time(self.ringing),
            "answer" => time(self.answer),
            "end" => time(self.end),
            "synthetic" => Cow::Borrowed(if self.synthetic { "true" } else { "false" }),
            "seq" => Cow::Owned(self.seq.to_string()),
            "pbx" => Cow::Borrowed(&*self.pbx),
            "call" => Cow::Borrowed(&*self.call),
            "queue" => Cow::Borrowed(&*self.queue),
            "account" => Cow::Borrowed(&*self.account),
            "recording" => Cow::Borrowed(&*self.recording),
            _ => Cow::Borrowed(self.var.get(name.strip_prefix("var.")?).map_or("", String::as_str)),
        })
    }
}
