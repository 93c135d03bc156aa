//! Every key of the file, once: what the reader takes, what `config.example.toml` and `docs/configuration.md` say.

mod keys;

use std::time::Duration;

use self::keys::{IVR, SUBSCRIPTION, WEBHOOK};

/// A section of the file.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its path. `NAME` stands for a name of the user's own.
    pub path: &'static str,
    /// What it is, and what its absence means.
    pub help: &'static str,
    /// Its keys, in the order in which they are explained.
    pub keys: &'static [Key],
}

/// A key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What holds when it is not there.
    pub absent: Absent,
    /// Why one would set it, in one line.
    pub help: &'static str,
}

/// What holds when a key is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// This value, as TOML.
    Default(&'static str),
    /// Nothing that can be written as a value: in words.
    Means(&'static str),
    /// It must be there, written like this TOML value.
    Error(&'static str),
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count(u64, u64),
    /// A number and a unit.
    Duration(Duration, Duration),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An IP address and a port.
    Listen,
    /// Networks: `10.0.0.0/8`, or one address.
    Networks,
    /// A name or an IP address, and a port.
    Address,
    /// `sqlite://…`
    StoreUrl,
    /// Digits, at most so many; may be empty.
    Digits(usize),
    /// A URL with variables behind the host.
    Url,
    /// Header names and their templates.
    Headers,
    /// `json`, `form` or a template.
    Body,
    /// A MIME type.
    ContentType,
    /// A template for a caller name.
    CallerName,
    /// The name of a channel variable.
    Variable,
    /// The answer's keys and the channel variables that get their values.
    Variables,
    /// A signing key. Can be in a file of its own: `KEY_file`.
    SigningKey,
    /// As [`Kind::SigningKey`], or a list of two.
    SigningKeys,
    /// A password. Can be in a file of its own: `KEY_file`.
    Password,
    /// A list of these words.
    Words(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A list of times, each within these bounds.
    Durations(Duration, Duration),
    /// Names of events, each with a time within these bounds.
    Expires(Duration, Duration),
    /// `json` or a template.
    EventBody,
    /// An expression for the whole text.
    Pattern,
    /// Several of them.
    Patterns,
    /// A sound.
    Prompt,
    /// `false`, or the section of this name.
    FalseOrSection,
}

impl Kind {
    /// In words, with its bounds.
    pub fn words(&self) -> String {
        use crate::config::duration_text as text;
        match self {
            Kind::Text => "text".to_owned(),
            Kind::Flag => "`true` or `false`".to_owned(),
            Kind::Count(min, max) => format!("whole number, {min} to {max}"),
            Kind::Duration(min, max) => format!("duration, {} to {}", text(*min), text(*max)),
            Kind::Choice(words) => {
                let words: Vec<String> = words.iter().map(|w| format!("`\"{w}\"`")).collect();
                words.join(" or ")
            }
            Kind::Address => "host and port".to_owned(),
            Kind::SigningKeys => "`whsec_` and base64, or a list of two".to_owned(),
            Kind::Password => "text".to_owned(),
            Kind::Words(words) => {
                let words: Vec<String> = words.iter().map(|w| format!("`\"{w}\"`")).collect();
                format!("list of {}", words.join(" "))
            }
            Kind::Texts => "list of texts".to_owned(),
            Kind::Durations(min, max) => format!("list of durations, {} to {}", text(*min), text(*max)),
            Kind::Expires(min, max) => {
                format!("table: event = duration, {} to {}", text(*min), text(*max))
            }
            Kind::EventBody => "`\"json\"`, or a template".to_owned(),
            Kind::Listen => "IP address and port".to_owned(),
            Kind::Networks => "list of networks".to_owned(),
            Kind::StoreUrl => "`sqlite://` and a path".to_owned(),
            Kind::Digits(max) => format!("text of at most {max} digits"),
            Kind::Url => "URL template".to_owned(),
            Kind::Headers => "table: header name = template".to_owned(),
            Kind::Body => "`\"json\"`, `\"form\"`, or a template".to_owned(),
            Kind::ContentType => "MIME type".to_owned(),
            Kind::CallerName => "template".to_owned(),
            Kind::Variable => "variable name".to_owned(),
            Kind::Variables => "table: answer's key = variable name".to_owned(),
            Kind::SigningKey => "`whsec_` and base64".to_owned(),
            Kind::Pattern => "regular expression".to_owned(),
            Kind::Patterns => "list of regular expressions".to_owned(),
            Kind::Prompt => "sound, or `{ asterisk, freeswitch }`".to_owned(),
            Kind::FalseOrSection => "`false`, or the table below".to_owned(),
        }
    }
}

/// The section of this path. `None` when there is none.
pub fn section(path: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|s| s.path == path)
}

const fn key(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Key {
    Key { name, kind, absent: Absent::Default(default), help }
}

const fn optional(name: &'static str, kind: Kind, means: &'static str, help: &'static str) -> Key {
    Key { name, kind, absent: Absent::Means(means), help }
}

const fn required(name: &'static str, kind: Kind, like: &'static str, help: &'static str) -> Key {
    Key { name, kind, absent: Absent::Error(like), help }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const FASTAGI: [Key; 3] = listener(r#""127.0.0.1:4573""#);
const ESL: [Key; 3] = listener(r#""127.0.0.1:8084""#);

/// The keys of a listener for a PBX.
const fn listener(listen: &'static str) -> [Key; 3] {
    [
        key("listen", Kind::Listen, listen, "The address and port to listen on."),
        key(
            "allow",
            Kind::Networks,
            r#"["127.0.0.0/8", "::1/128"]"#,
            "Who may connect. No password protects this listener, so name your PBXs and nobody else.",
        ),
        key(
            "max_calls",
            Kind::Count(1, 100_000),
            "10000",
            "Calls at a time. One more fails at once with `overload`, so that the others go on.",
        ),
    ]
}

/// The whole file.
pub const SECTIONS: &[Section] = &[
    Section {
        path: "fastagi",
        help: "Where Asterisk connects. Without this section the listener is not opened.",
        keys: &FASTAGI,
    },
    Section {
        path: "esl",
        help: "Where FreeSWITCH connects: its outbound socket. Without this section the listener is not opened.",
        keys: &ESL,
    },
    Section {
        path: "asterisk.NAME",
        help: "An Asterisk whose calls are followed, so that subscriptions hear of them. Any number of them; the name is \
               `{pbx}`.",
        keys: &[
            key("ami", Kind::Address, r#""127.0.0.1:5038""#, "Where its manager interface (AMI) listens."),
            key("username", Kind::Text, r#""switchhook""#, "The account in `manager.conf`."),
            required("secret", Kind::Password, r#""${AMI_SECRET}""#, "The account's secret."),
            optional(
                "trunks",
                Kind::Texts,
                "every call is internal",
                "Channels that lead outside, with `*` for anything. They decide `{direction}`.",
            ),
        ],
    },
    Section {
        path: "freeswitch.NAME",
        help: "A FreeSWITCH whose calls are followed, so that subscriptions hear of them. Any number of them; the name is \
               `{pbx}`.",
        keys: &[
            key("esl", Kind::Address, r#""127.0.0.1:8021""#, "Where its event socket listens."),
            optional(
                "user",
                Kind::Text,
                "the password alone",
                "Log in as this user of the directory: `name@domain`.",
            ),
            required("password", Kind::Password, r#""${ESL_PASSWORD}""#, "The password of the event socket."),
            optional(
                "trunks",
                Kind::Texts,
                "every call is internal",
                "Channels that lead outside, with `*` for anything. They decide `{direction}`.",
            ),
        ],
    },
    Section {
        path: "admin",
        help: "Health and metrics over HTTP: `/live`, `/ready`, `/metrics`. Without this section nothing is opened.",
        keys: &[key(
            "listen",
            Kind::Listen,
            r#""127.0.0.1:8088""#,
            "The address and port to listen on. No password protects it.",
        )],
    },
    Section {
        path: "store",
        help: "Where the journal of each call and the lockouts are kept. Calls go on without it.",
        keys: &[
            optional(
                "url",
                Kind::StoreUrl,
                "`$STATE_DIRECTORY/switchhook.db`, else `./switchhook.db`",
                "The database file: `sqlite:///` and an absolute path, or `sqlite://` and a relative one.",
            ),
            key(
                "retention",
                Kind::Duration(ms(HOUR), ms(3650 * DAY)),
                r#""90d""#,
                "How long the journal of a call is kept. It holds phone numbers.",
            ),
        ],
    },
    Section {
        path: "numbers",
        help: "How numbers are written in your country: for `|e164`, `|national` and `number_format`.",
        keys: &[
            key(
                "country",
                Kind::Digits(3),
                r#""""#,
                "Country code without `+`, such as `31`. Empty: numbers stay as the PBX gives them.",
            ),
            key(
                "trunk_prefix",
                Kind::Digits(4),
                r#""0""#,
                "What is dialled before a number of your own country.",
            ),
            key(
                "international_prefix",
                Kind::Digits(6),
                r#""00""#,
                "What is dialled before a number of another country.",
            ),
            key("company_id", Kind::Text, r#""""#, "Sent as `com_id` in a JSON or form body."),
        ],
    },
    Section {
        path: "egress",
        help: "Which addresses webhooks may reach. Cloud metadata and link-local addresses are always refused.",
        keys: &[
            key("deny", Kind::Networks, "[]", "Refused as well, whatever name leads there."),
            key("allow", Kind::Networks, "[]", "Where this is not empty, only these may be reached."),
        ],
    },
    Section {
        path: "webhook.NAME",
        help: "A webhook that the dialplan asks as `webhook/NAME`. A name is a small letter or a digit, \
               then at most 62 of `a-z 0-9 _ -`.",
        keys: WEBHOOK,
    },
    Section {
        path: "webhook.NAME.ivr",
        help: "The caller must enter a code first. Without this section nothing is played or collected.",
        keys: IVR,
    },
    Section {
        path: "webhook.NAME.ivr.lockout",
        help: "A caller who enters too many wrong codes is refused for a while. `lockout = false` in the \
               section above turns this off.",
        keys: &[
            key("failures", Kind::Count(1, 1000), "10", "Wrong codes of one caller within the window."),
            key("window", Kind::Duration(ms(MINUTE), ms(DAY)), r#""30m""#, "How long a wrong code counts."),
            key(
                "anonymous",
                Kind::Count(1, 100_000),
                "100",
                "Wrong codes of all callers without a number, together.",
            ),
        ],
    },
    Section {
        path: "webhook.NAME.caller_name",
        help: "What name the callee sees, on success. Without this section the name is left alone.",
        keys: &[
            key(
                "mode",
                Kind::Choice(&["webhook", "prepend", "replace"]),
                r#""webhook""#,
                "`webhook`: the answer's `callername`. `prepend`: `text` before the name. `replace`: `text`.",
            ),
            optional("text", Kind::CallerName, "none", "Needed by `prepend` and `replace`."),
        ],
    },
    Section {
        path: "webhook.NAME.destination",
        help: "Which destinations the web server may answer. Others are refused: `destination_refused`.",
        keys: &[optional(
            "allow",
            Kind::Patterns,
            "an optional `+`, then 1 to 32 digits",
            "One of them must match the whole destination.",
        )],
    },
    Section {
        path: "subscriptions",
        help: "All subscriptions together.",
        keys: &[key("enabled", Kind::Flag, "true", "`false` switches all of them off.")],
    },
    Section {
        path: "subscription.NAME",
        help: "Who is told of which events. A name is formed like a webhook's.",
        keys: SUBSCRIPTION,
    },
    Section {
        path: "subscription.NAME.restrict",
        help: "Whose calls and changes it is told. A list that is not there restricts nothing.",
        keys: &[
            optional(
                "numbers",
                Kind::Texts,
                "all",
                "Calls from or to one of these numbers, however they are written.",
            ),
            optional("extensions", Kind::Texts, "all", "Calls of one of these phones."),
            optional(
                "dispositions",
                Kind::Words(&[
                    "answered",
                    "no_answer",
                    "busy",
                    "rejected",
                    "cancelled",
                    "failed",
                    "answered_elsewhere",
                ]),
                "all",
                "Calls that came out so, for `disconnected` and `cdr`.",
            ),
            optional("people", Kind::Texts, "all", "Who made the change, for `user` events."),
        ],
    },
];
