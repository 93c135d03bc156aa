//! What a template can name, and in which place.

use super::Place;

/// Variables with the digits that a caller typed. FreeSWITCH writes all of a call's into the first one (measured), what
/// `bind_digit_action` has matched into the second (read in its source); the third is our own, for the code.
const OF_TYPED_DIGITS: [&str; 3] = ["digits_dialed", "last_matching_digits", "switchhook_digits"];

/// What a variable belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// Routed calls alone.
    Routed,
    /// Routed calls and events.
    Both,
    /// Events alone.
    Event,
}

macro_rules! variables {
    ($($(#[$doc:meta])* $variant:ident = $name:literal in $of:ident,)+) => {
        /// What a template can name.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Variable {
            $($(#[$doc])* $variant,)+
            /// A variable of the PBX: all that stands between the braces, `var.NAME`.
            Var(Box<str>),
        }

        impl Variable {
            /// Every one that has a name of its own.
            const ALL: &'static [(Variable, Of)] = &[$((Variable::$variant, Of::$of),)+];

            /// Its name between the braces.
            pub fn name(&self) -> &str {
                match self {
                    $(Variable::$variant => $name,)+
                    Variable::Var(name) => name,
                }
            }
        }
    };
}

variables! {
    /// The digits that the caller entered.
    Code = "code" in Routed,
    /// What happened.
    Event = "event" in Event,
    /// The number that was called.
    Did = "did" in Both,
    /// The caller's number.
    CallerId = "callerid" in Both,
    /// The caller's name.
    CallerName = "callername" in Both,
    /// The journal's id.
    Call = "call" in Both,
    /// The PBX's id of the call.
    CallUniqueId = "calluniqueid" in Both,
    /// The consultation call of a transfer.
    OtherCallUniqueId = "other_calluniqueid" in Event,
    /// The caller's number.
    CallFrom = "callfrom" in Both,
    /// The number that was called.
    CallTo = "callto" in Both,
    /// The number of the call's state.
    Status = "status" in Event,
    /// The word for it.
    StatusDesc = "status_desc" in Event,
    /// Where the call comes from and goes to.
    Direction = "direction" in Event,
    /// In a routed call the extension in the dialplan, in an event our own phone.
    Extension = "extension" in Both,
    /// The account code.
    Account = "account" in Both,
    /// When the request is made or the event happened, ms since 1970.
    Timestamp = "timestamp" in Both,
    /// When the call entered the PBX, ms since 1970.
    Start = "start" in Both,
    /// When a phone first rang, ms since 1970.
    Ringing = "ringing" in Event,
    /// When the call was first answered, ms since 1970.
    Answer = "answer" in Event,
    /// When the call ended, ms since 1970.
    End = "end" in Event,
    /// Seconds since the start.
    Duration = "duration" in Event,
    /// Seconds since the answer.
    TalkTime = "talk_time" in Event,
    /// How the call came out.
    Disposition = "disposition" in Event,
    /// Why the call ended.
    Reason = "reason" in Event,
    /// The Q.850 cause.
    HangupCause = "hangup_cause" in Event,
    /// Found out by comparing with the PBX.
    Synthetic = "synthetic" in Event,
    /// The event's place among those of its call.
    Seq = "seq" in Event,
    /// The PBX's name in the configuration.
    Pbx = "pbx" in Event,
    /// The queue.
    Queue = "queue" in Event,
    /// The recording's file.
    Recording = "recording" in Event,
    /// Who changed something.
    Actor = "actor" in Event,
    /// What they did.
    Action = "action" in Event,
    /// What kind of thing it was done to.
    Object = "object" in Event,
    /// The thing's name.
    ObjectName = "object_name" in Event,
}

impl Variable {
    /// Those that can be named in this place, but for `var.NAME`.
    pub fn known(place: Place) -> impl Iterator<Item = &'static Variable> {
        let fits = move |(variable, of): &&(Variable, Of)| match place {
            Place::Request | Place::CallerName { code: true } => *of != Of::Event,
            Place::CallerName { code: false } => *of != Of::Event && *variable != Variable::Code,
            Place::Event => *of != Of::Routed,
        };
        Self::ALL.iter().filter(fits).map(|(variable, _)| variable)
    }

    /// Whether it is a variable of a PBX in which the digits are that a caller typed.
    pub(super) fn holds_digits(name: &str) -> bool {
        OF_TYPED_DIGITS.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// The one of this name, as far as it can be named in this place.
    pub(super) fn parse(name: &str, place: Place) -> Option<Variable> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'(' | b')');
        match name.strip_prefix("var.").filter(|_| place == Place::Event) {
            Some(of_pbx) if Self::holds_digits(of_pbx) => None,
            Some(of_pbx) if !of_pbx.is_empty() && of_pbx.bytes().all(plain) => {
                Some(Variable::Var(name.into()))
            }
            _ => Self::known(place).find(|v| v.name() == name).cloned(),
        }
    }
}
