//! What is told: what happened to a call, and what a person changed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Numbers, Values, Variable};

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

    /// The value of a variable; empty where there is none.
    pub fn value(&self, variable: &Variable) -> Cow<'_, str> {
        match self {
            Event::Call(event) => event.value(variable),
            Event::User(event) => event.value(variable),
        }
    }
}

/// What a template can name, for one event.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The event.
    pub event: &'a Event,
    /// How numbers are written here.
    pub numbers: &'a Numbers,
}

impl Values for Told<'_> {
    fn value(&self, variable: &Variable) -> Cow<'_, str> {
        self.event.value(variable)
    }

    fn numbers(&self) -> &Numbers {
        self.numbers
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

    /// The value of a variable; empty where there is none.
    pub fn value(&self, variable: &Variable) -> Cow<'_, str> {
        let time = |at: Option<i64>| Cow::Owned(at.map_or_else(String::new, |ms| ms.to_string()));
        match variable {
            Variable::Event => Cow::Borrowed(self.event.as_str()),
            Variable::CallUniqueId => Cow::Borrowed(&*self.calluniqueid),
            Variable::OtherCallUniqueId => Cow::Borrowed(&*self.other_calluniqueid),
            Variable::CallFrom => Cow::Borrowed(&*self.callfrom),
            Variable::CallTo => Cow::Borrowed(&*self.callto),
            Variable::Status => Cow::Borrowed(self.status()),
            Variable::StatusDesc => Cow::Borrowed(self.status_desc()),
            Variable::Direction => Cow::Borrowed(self.direction.as_str()),
            Variable::Timestamp => time(Some(self.timestamp)),
            Variable::Did => Cow::Borrowed(&*self.did),
            Variable::CallerId => Cow::Borrowed(&*self.callerid),
            Variable::CallerName => Cow::Borrowed(&*self.callername),
            Variable::Extension => Cow::Borrowed(&*self.extension),
            Variable::Duration => Cow::Owned(self.duration.to_string()),
            Variable::TalkTime => Cow::Owned(self.talk_time.to_string()),
            Variable::Disposition => Cow::Borrowed(self.disposition.map_or("", Disposition::as_str)),
            Variable::Reason => Cow::Borrowed(self.reason.map_or("", EndReason::as_str)),
            Variable::HangupCause => {
                Cow::Owned(self.hangup_cause.map_or_else(String::new, |c| c.to_string()))
            }
            Variable::Start => time(Some(self.start)),
            Variable::Ringing => time(self.ringing),
            Variable::Answer => time(self.answer),
            Variable::End => time(self.end),
            Variable::Synthetic => Cow::Borrowed(if self.synthetic { "true" } else { "false" }),
            Variable::Seq => Cow::Owned(self.seq.to_string()),
            Variable::Pbx => Cow::Borrowed(&*self.pbx),
            Variable::Call => Cow::Borrowed(&*self.call),
            Variable::Queue => Cow::Borrowed(&*self.queue),
            Variable::Account => Cow::Borrowed(&*self.account),
            Variable::Recording => Cow::Borrowed(&*self.recording),
            Variable::Var(name) => {
                // Asterisk's users write capitals, FreeSWITCH's small letters.
                let name = name.strip_prefix("var.").unwrap_or(name);
                let any_case = || self.var.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v);
                Cow::Borrowed(self.var.get(name).or_else(any_case).map_or("", String::as_str))
            }
            Variable::Code | Variable::Actor | Variable::Action | Variable::Object | Variable::ObjectName => {
                Cow::Borrowed("")
            }
        }
    }
}

impl UserEvent {
    /// The value of a variable; empty where there is none.
    pub fn value(&self, variable: &Variable) -> Cow<'_, str> {
        match variable {
            Variable::Event => Cow::Borrowed(EventKind::User.as_str()),
            Variable::Timestamp => Cow::Owned(self.timestamp.to_string()),
            Variable::Actor => Cow::Borrowed(&*self.actor),
            Variable::Action => Cow::Borrowed(self.action.as_str()),
            Variable::Object => Cow::Borrowed(&*self.object),
            Variable::ObjectName => Cow::Borrowed(&*self.object_name),
            _ => Cow::Borrowed(""),
        }
    }
}
