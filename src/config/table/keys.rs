//! The keys of the long sections.

use super::{DAY, Key, Kind, SECOND, key, ms, optional, required};

pub(super) const WEBHOOK: &[Key] = &[
    key("description", Kind::Text, r#""""#, "For people."),
    key("enabled", Kind::Flag, "true", "Switched off, every call fails at once with `disabled`."),
    key("method", Kind::Choice(&["GET", "POST"]), r#""GET""#, "A GET has no body."),
    required(
        "url",
        Kind::Url,
        r#""https://crm.example.com/route?callerid={callerid}""#,
        "Where to ask. Variables may stand in the path and the query.",
    ),
    optional("fallback_url", Kind::Url, "none", "Asked when the first one does not work."),
    key(
        "timeout",
        Kind::Duration(ms(SECOND), ms(10 * SECOND)),
        r#""2s""#,
        "For everything together, from DNS to the fallback. The caller waits this long at most.",
    ),
    key(
        "retries",
        Kind::Count(0, 5),
        "0",
        "How often to try again within the same time, where nothing was sent yet.",
    ),
    key("drop_empty", Kind::Flag, "false", "Leaves query parameters without a value out of the URL."),
    key("headers", Kind::Headers, "{}", "Sent with the request."),
    key(
        "body",
        Kind::Body,
        r#""json""#,
        "What a POST sends: all values as JSON or as a form, or a text of your own.",
    ),
    optional("content_type", Kind::ContentType, "none", "Needed by a body of your own."),
    key(
        "number_format",
        Kind::Choice(&["as_is", "e164", "plus_off"]),
        r#""as_is""#,
        "How `{did}`, `{callerid}` and the numbers of a JSON or form body are written.",
    ),
    key(
        "caller_id",
        Kind::Choice(&["caller", "called", "suppressed"]),
        r#""caller""#,
        "What the callee sees: the caller's number, the number called, or nothing. Also where the webhook failed.",
    ),
    optional(
        "save_as",
        Kind::Variable,
        "none",
        "The channel variable that gets the whole text of the answer.",
    ),
    optional(
        "secret",
        Kind::SigningKey,
        "not signed",
        "Signs the request, so that your server knows who asks.",
    ),
    key(
        "cache",
        Kind::Duration(ms(0), ms(DAY)),
        r#""0s""#,
        "Keeps ACK answers this long and asks not again for the same request. Not with a secret code.",
    ),
    key("variables", Kind::Variables, "{}", "Further values of the answer for the dialplan."),
];

pub(super) const IVR: &[Key] = &[
    key("answer", Kind::Flag, "true", "Answers the channel first: many trunks carry no digits before."),
    key(
        "secret",
        Kind::Flag,
        "true",
        "`false`: the entry is a menu choice. It may be shown, `WEBHOOK_CODE` is set, and nobody is locked out.",
    ),
    key(
        "timeout",
        Kind::Duration(ms(SECOND), ms(60 * SECOND)),
        r#""5s""#,
        "How long to wait for the first digit after the prompt, and for each further one.",
    ),
    optional(
        "digit_timeout",
        Kind::Duration(ms(SECOND), ms(60 * SECOND)),
        "`timeout`",
        "Another time between digits, where it must be shorter or longer.",
    ),
    key("attempts", Kind::Count(1, 10), "3", "How many entries a caller has."),
    key("min_digits", Kind::Count(1, 127), "1", "A shorter entry is wrong, and your server is not asked."),
    key("max_digits", Kind::Count(1, 127), "8", "The entry ends here. `#` ends it earlier."),
    optional(
        "pattern",
        Kind::Pattern,
        "any digits",
        "The whole entry must match, or your server is not asked.",
    ),
    optional("start_prompt", Kind::Prompt, "silence", "Played before an entry."),
    optional("error_prompt", Kind::Prompt, "silence", "Played after a wrong entry."),
    optional("timeout_prompt", Kind::Prompt, "silence", "Played when nothing was pressed."),
    key(
        "repeat_start_prompt",
        Kind::Flag,
        "true",
        "Plays the start prompt before each attempt, not the first alone.",
    ),
    optional(
        "lockout",
        Kind::FalseOrSection,
        "on, with the defaults below",
        "What protects the code from guessing.",
    ),
];

/// The words of `events`.
const EVENTS: &[&str] = &["call", "ringing", "connected", "transferred", "disconnected", "cdr", "user"];

pub(super) const SUBSCRIPTION: &[Key] = &[
    key("description", Kind::Text, r#""""#, "For people."),
    key("enabled", Kind::Flag, "true", "Switched off, nothing that happens meanwhile is kept for it."),
    required(
        "events",
        Kind::Words(EVENTS),
        r#"["ringing", "connected", "disconnected"]"#,
        "What it is told. docs/events.md says when each happens.",
    ),
    optional(
        "directions",
        Kind::Words(&["in", "out", "internal"]),
        "all; for `call` those that come in",
        "Calls of which directions.",
    ),
    key("method", Kind::Choice(&["GET", "POST"]), r#""GET""#, "A GET has no body."),
    required(
        "url",
        Kind::Url,
        r#""https://crm.example.com/{event}/{callfrom}""#,
        "Where to tell it. Variables may stand in the path and the query.",
    ),
    optional("headers", Kind::Headers, "none", "Sent with the request."),
    key(
        "body",
        Kind::EventBody,
        r#""json""#,
        "What a POST sends: all variables as JSON, or a text of your own.",
    ),
    optional("content_type", Kind::ContentType, "none", "Needed by a body of your own."),
    key(
        "order",
        Kind::Choice(&["strict", "none"]),
        r#""strict""#,
        "`strict`: an event waits for the earlier ones of its call. `none`: they may pass each other.",
    ),
    optional(
        "expires",
        Kind::Expires(ms(SECOND), ms(30 * DAY)),
        "never",
        "How old an event may be when it is sent. One that is older is kept as `expired`.",
    ),
    optional(
        "secret",
        Kind::SigningKeys,
        "not signed",
        "Signs each request, so that your server knows who tells it. Two while you change from one to the other.",
    ),
    key(
        "schedule",
        Kind::Durations(ms(SECOND), ms(7 * DAY)),
        r#"["5s", "5m", "30m", "2h", "5h", "10h", "14h", "20h", "24h"]"#,
        "How long to wait after each failed attempt before the next one. After the last it is given up.",
    ),
];
