//! The six callers: who they are and what they enter.

use crate::terms::{Channel, Code, Ivr, Number, Variable, Webhook};

/// A name that shows whether a server encodes and decodes.
const ODD_NAME: &str = "Zoë Müller & Söhne \"GmbH\"";

/// Not the number of anybody: Ofcom keeps 07700 900000 to 900999, and 020 7946 0000 to 0999, for films.
const UNKNOWN_NUMBER: &str = "+447700900199";

/// Digits that are made up for a code, at most.
const MAX_GUESS: usize = COUNTED.len();
const COUNTED: &str = "1234567890123456";

/// What kind of caller it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Known,
    Unknown,
    Anonymous,
    EmptyName,
    Star,
    Slow,
}

impl Kind {
    pub(super) const ALL: [Kind; 6] =
        [Kind::Known, Kind::Unknown, Kind::Anonymous, Kind::EmptyName, Kind::Star, Kind::Slow];

    /// In JSON and in the header.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Known => "known",
            Kind::Unknown => "unknown",
            Kind::Anonymous => "anonymous",
            Kind::EmptyName => "empty-name",
            Kind::Star => "star",
            Kind::Slow => "slow",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Kind::Known => "A known caller",
            Kind::Unknown => "An unknown caller",
            Kind::Anonymous => "A caller who withholds the number",
            Kind::EmptyName => "A caller without a name",
            Kind::Star => "A caller with a * in the code and an odd name",
            Kind::Slow => "The known caller, several times at once",
        }
    }
}

/// One of them.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) kind: Kind,
    pub(super) channel: Channel,
    /// What is entered, where a code is asked for.
    pub(super) code: Option<Code>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Callers {
    pub(super) all: Vec<Caller>,
    /// The user said that the server knows this code.
    pub(super) code_given: bool,
}

impl Callers {
    pub(super) fn new(webhook: &Webhook, code: Option<Code>, callerid: &str, did: &str) -> Callers {
        let code_given = code.is_some();
        let codes = webhook.ivr.as_ref().map(|ivr| Codes::new(ivr, code));
        let caller = |kind: Kind| {
            let (number, name) = match kind {
                Kind::Known | Kind::Slow => (callerid, "Alice Example"),
                Kind::Unknown => (UNKNOWN_NUMBER, "Bob Example"),
                Kind::Anonymous => ("anonymous", "Anonymous"),
                Kind::EmptyName => (callerid, ""),
                Kind::Star => (callerid, ODD_NAME),
            };
            let number = Number::from_pbx(number);
            let channel = Channel {
                number_on_channel: number.clone(),
                withheld: number.is_withheld(),
                callerid: number,
                callername: name.to_owned(),
                name_on_channel: name.to_owned(),
                did: did.to_owned(),
                extension: did.to_owned(),
                name: "PJSIP/lint-00000000".to_owned(),
                unique_id: format!("lint-{}", kind.name()),
                linked_id: format!("lint-{}", kind.name()),
                ..Channel::default()
            };
            let code = codes.as_ref().map(|codes| match kind {
                Kind::Unknown => codes.unknown.clone(),
                Kind::Star => codes.star.clone(),
                _ => codes.known.clone(),
            });
            Caller { kind, channel, code }
        };
        Callers { all: Kind::ALL.map(caller).into(), code_given }
    }
}

/// What the callers enter. Each fits the webhook's rules where any of the candidates does.
struct Codes {
    known: Code,
    unknown: Code,
    star: Code,
}

impl Codes {
    fn new(ivr: &Ivr, given: Option<Code>) -> Codes {
        let fits = |text: &str| {
            let length = (ivr.min_digits..=ivr.max_digits).contains(&text.len());
            length && ivr.pattern.as_ref().is_none_or(|p| p.matches(text))
        };
        let first = |candidates: Vec<String>, otherwise: &str| {
            let found = candidates.into_iter().find(|text| fits(text));
            Code::parse(&found.unwrap_or_else(|| otherwise.to_owned())).unwrap_or_default()
        };
        let lengths: Vec<usize> = (ivr.min_digits..=ivr.max_digits.min(MAX_GUESS)).collect();
        let known = given.unwrap_or_else(|| {
            let counted = lengths.iter().map(|n| COUNTED[..*n].to_owned());
            first(std::iter::once("1234".to_owned()).chain(counted).collect(), "1234")
        });
        let same = std::iter::once(known.len())
            .chain(lengths.iter().copied())
            .flat_map(|n| ["9", "8", "0", "1"].map(|digit| digit.repeat(n)))
            .filter(|text| text != known.reveal());
        let unknown = first(same.collect(), "9999");
        let length = known.len().clamp(ivr.min_digits, ivr.max_digits).max(1);
        let mut star = "12*4".repeat(length.div_ceil(4));
        star.truncate(length);
        if !star.contains('*') {
            star = if length == 1 { "*".to_owned() } else { "1*".to_owned() };
        }
        Codes { known, unknown, star: Code::parse(&star).unwrap_or_default() }
    }
}

/// Whether the request tells which code was entered.
pub(super) fn sends_code(webhook: &Webhook) -> bool {
    use crate::terms::{Body, Method};
    let fixed_keys = webhook.method == Method::Post && !matches!(webhook.body, Body::Template { .. });
    let own = match &webhook.body {
        Body::Template { template, .. } => template.uses(&Variable::Code),
        Body::Json | Body::Form => false,
    };
    webhook.ivr.is_some()
        && (fixed_keys
            || own
            || webhook.url.uses(&Variable::Code)
            || webhook.headers.iter().any(|(_, t)| t.uses(&Variable::Code)))
}
