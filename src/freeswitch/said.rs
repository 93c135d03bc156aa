//! What FreeSWITCH says of a channel, in the headers of an event or of its reply to `connect`.

use crate::freeswitch::esl::Event;
use crate::terms::Number;

/// The headers. FreeSWITCH does not send what is empty.
#[derive(Clone, Copy)]
pub(super) struct Said<'a>(pub(super) &'a Event);

/// Who calls, as the channel has it.
pub(super) struct Caller {
    /// The number, whoever may see it.
    pub(super) number: String,
    /// The channel's own name; empty where it has none.
    pub(super) name: String,
    /// The number must not be shown.
    pub(super) number_hidden: bool,
    /// The name must not be shown.
    pub(super) name_hidden: bool,
}

impl Said<'_> {
    /// A header's value, empty where there is none.
    pub(super) fn get(&self, name: &str) -> String {
        self.0.get(name).unwrap_or_default().into_owned()
    }

    /// The first of these that is not empty.
    pub(super) fn first(&self, names: &[&str]) -> String {
        names.iter().map(|n| self.get(n)).find(|v| !v.is_empty()).unwrap_or_default()
    }

    /// Whether a header has exactly this value.
    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.0.get(name).is_some_and(|said| said == value)
    }

    /// Who calls.
    pub(super) fn caller(&self) -> Caller {
        let number = self.get("Caller-Caller-ID-Number");
        let number_hidden = self.is("Caller-Privacy-Hide-Number", "true");
        let name_hidden = number_hidden
            || self.is("Caller-Privacy-Hide-Name", "true")
            || number.eq_ignore_ascii_case("anonymous");
        Caller { name: self.own_name(&number), number, number_hidden, name_hidden }
    }

    /// The caller's name. One without has its number as the name, or `unknown` where there is no number either.
    fn own_name(&self, number: &str) -> String {
        let name = self.0.get("Caller-Caller-ID-Name").unwrap_or_default();
        let made_up = name == "unknown" || (name == number && self.0.variable("sip_from_display").is_none());
        if made_up { String::new() } else { name.into_owned() }
    }
}

impl Caller {
    /// The number, empty where it must not be shown.
    pub(super) fn shown_number(&self) -> Number {
        if self.number_hidden { Number::default() } else { Number::from_pbx(&self.number) }
    }

    /// The name, empty where it must not be shown.
    pub(super) fn shown_name(&self) -> &str {
        if self.name_hidden { "" } else { &self.name }
    }
}
