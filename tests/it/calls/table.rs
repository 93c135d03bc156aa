//! The rows of `outcomes.rs`.

use super::pbx::Caller;

/// A call and what comes of it.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// What the web server answers: the text itself. Empty: `url` says what it does.
    pub(super) says: &'static str,
    /// Path and query on the played web server, or a whole URL.
    pub(super) url: &'static str,
    /// The rest of `[webhook.NAME]`. `@web@` is the web server.
    pub(super) hook: &'static str,
    /// The keys of `[webhook.NAME.ivr]`; empty: none.
    pub(super) ivr: &'static str,
    /// What is another about the caller.
    pub(super) caller: fn(Caller) -> Caller,
    pub(super) keys: &'static [&'static str],
    /// `WEBHOOK_RESULT`, `_REASON`, `_STATUS`, `_HTTP_STATUS`; `-` is empty.
    pub(super) result: &'static str,
    /// The other variables that are not empty.
    pub(super) sets: &'static [(&'static str, &'static str)],
    pub(super) callee: &'static str,
    /// Requests as `asked` in `outcomes.rs` shows them.
    pub(super) asked: &'static [&'static str],
    pub(super) hears: &'static [&'static str],
    pub(super) answered: bool,
    /// When the web server is asked.
    pub(super) hangs_up_when_asked: bool,
    pub(super) hung_up: bool,
}

const SUCCESS: &str = "SUCCESS ok ACK 200";
const GOOD: &[(&str, &str)] = &[("WEBHOOK_DESTINATION", "215"), ("WEBHOOK_CALLERNAME", "Jansen & Zn")];
const ALICE: &str = "Alice Example <1001>";

/// A good answer to a call without a code.
const ROW: Row = Row {
    name: "",
    says: "",
    url: "/route",
    hook: "",
    ivr: "",
    caller: |caller| caller,
    keys: &[],
    result: SUCCESS,
    sets: GOOD,
    callee: ALICE,
    asked: &["GET /route"],
    hears: &[],
    answered: false,
    hangs_up_when_asked: false,
    hung_up: false,
};

/// A right code.
const CODE: Row = Row {
    url: "/route?code={code}",
    ivr: IVR,
    keys: &["1234#"],
    asked: &["GET /route?code=1234"],
    hears: &["enter"],
    answered: true,
    ..ROW
};

const IVR: &str =
    "attempts = 2\nstart_prompt = \"enter\"\nerror_prompt = \"wrong\"\ntimeout_prompt = \"silent\"";

const ZOE: &str = "Zoë Müller & Söhne GmbH";

/// An answer that is no success.
const NO: Row = Row { sets: &[], ..ROW };

/// An answer in words.
const SAYS: Row = Row { sets: &[], asked: &["GET /say"], ..ROW };

/// A wrong code, or none.
const WRONG: Row = Row { sets: &[], result: "FAILED nak - -", asked: &[], ..CODE };

/// An answer with a name of which no PBX keeps the quotation marks.
const NAMED: Row = Row {
    says: "status=ACK&callername=Zoë Müller & Söhne \"GmbH\"",
    sets: &[("WEBHOOK_CALLERNAME", ZOE)],
    ..SAYS
};

/// What the web server is told of the caller.
const WHO: Row = Row {
    says: "status=ACK",
    url: "/?from={callerid}&name={callername}&did={did}",
    asked: &["GET /say?from=1001&name=Alice%20Example&did=100"],
    ..SAYS
};

/// A name outside a webhook: no variable at all.
const OUTSIDE: Row = Row { result: "", sets: &[], asked: &[], ..ROW };

pub(super) const ROWS: &[Row] = &[
    // ---- codes ----
    Row { name: "code-right", ..CODE },
    Row { name: "code-full", ivr: "max_digits = 4\nstart_prompt = \"enter\"", keys: &["1234"], ..CODE },
    Row { name: "code-time-over", keys: &["1234"], ..CODE },
    Row { name: "code-answered-already", caller: |c| Caller { answered: true, ..c }, ..CODE },
    Row { name: "code-unanswered", ivr: "answer = false\nstart_prompt = \"enter\"", answered: false, ..CODE },
    Row { name: "code-no-prompts", ivr: "attempts = 2", hears: &[], ..CODE },
    Row { name: "code-barge-in", keys: &[">1234#"], ..CODE },
    Row { name: "code-other-gap", ivr: "digit_timeout = \"1s\"\nstart_prompt = \"enter\"", ..CODE },
    Row {
        name: "code-wrong-then-right",
        keys: &["9999#", "1234#"],
        asked: &["GET /route?code=9999", "GET /route?code=1234"],
        hears: &["enter", "wrong", "enter"],
        ..CODE
    },
    Row {
        name: "code-prompt-once",
        ivr: "repeat_start_prompt = false\nstart_prompt = \"enter\"\nerror_prompt = \"wrong\"",
        keys: &["9999#", "1234#"],
        asked: &["GET /route?code=9999", "GET /route?code=1234"],
        hears: &["enter", "wrong"],
        ..CODE
    },
    Row {
        name: "code-wrong-to-the-end",
        keys: &["9999#", "0000#"],
        result: "FAILED nak NAK 200",
        asked: &["GET /route?code=9999", "GET /route?code=0000"],
        hears: &["enter", "wrong", "enter", "wrong"],
        ..WRONG
    },
    Row {
        name: "code-none",
        keys: &[],
        result: "FAILED no_input - -",
        hears: &["enter", "silent", "enter", "silent"],
        ..WRONG
    },
    Row { name: "code-none-then-right", keys: &["", "1234#"], hears: &["enter", "silent", "enter"], ..CODE },
    Row {
        name: "code-wrong-then-none",
        keys: &["9999#"],
        result: "FAILED no_input - -",
        asked: &["GET /route?code=9999"],
        hears: &["enter", "wrong", "enter", "silent"],
        ..WRONG
    },
    Row { name: "code-hash-alone", keys: &["#", "#"], hears: &["enter", "wrong", "enter", "wrong"], ..WRONG },
    Row {
        name: "code-too-short",
        ivr: "min_digits = 4\nattempts = 2\nstart_prompt = \"enter\"\nerror_prompt = \"wrong\"",
        keys: &["12#", "123"],
        hears: &["enter", "wrong", "enter", "wrong"],
        ..WRONG
    },
    Row {
        name: "code-pattern",
        ivr: "pattern = \"1[0-9]+\"\nattempts = 2\nstart_prompt = \"enter\"\nerror_prompt = \"wrong\"",
        keys: &["9999#", "1234#"],
        hears: &["enter", "wrong", "enter"],
        ..CODE
    },
    Row {
        name: "code-leading-zeros",
        says: "status=ACK",
        ivr: "max_digits = 12\nstart_prompt = \"enter\"",
        keys: &["001234567890"],
        sets: &[],
        asked: &["GET /say?code=001234567890"],
        ..CODE
    },
    Row {
        name: "code-star",
        says: "status=ACK",
        keys: &["*12*4#"],
        sets: &[],
        asked: &["GET /say?code=%2A12%2A4"],
        ..CODE
    },
    Row {
        name: "code-shown",
        says: "status=ACK&destination=215",
        ivr: "secret = false\nmin_digits = 1\nmax_digits = 1\nstart_prompt = \"enter\"",
        keys: &["7"],
        sets: &[("WEBHOOK_DESTINATION", "215"), ("WEBHOOK_CODE", "7")],
        asked: &["GET /say?code=7"],
        ..CODE
    },
    Row {
        name: "code-shown-none",
        ivr: "secret = false\nmin_digits = 1\nmax_digits = 1\nattempts = 1",
        keys: &[],
        result: "FAILED no_input - -",
        sets: &[("WEBHOOK_CODE", "")],
        hears: &[],
        ..WRONG
    },
    Row {
        name: "code-key-in-error-prompt",
        keys: &["9999#", ">1234#"],
        asked: &["GET /route?code=9999", "GET /route?code=1234"],
        hears: &["enter", "wrong"],
        ..CODE
    },
    Row {
        name: "code-hash-in-error-prompt",
        keys: &["9999#", ">#"],
        asked: &["GET /route?code=9999"],
        hears: &["enter", "wrong", "wrong"],
        ..WRONG
    },
    Row {
        name: "code-key-after-the-last",
        ivr: "attempts = 1\nerror_prompt = \"wrong\"",
        keys: &["9999#", ">1234#"],
        result: "FAILED nak NAK 200",
        asked: &["GET /route?code=9999"],
        hears: &["wrong"],
        ..WRONG
    },
    Row { name: "code-prompt-missing", ivr: "start_prompt = \"no-such-sound\"", hears: &[], ..CODE },
    Row {
        name: "code-error-prompt-missing",
        ivr: "attempts = 2\nstart_prompt = \"enter\"\nerror_prompt = \"no-such-sound\"",
        keys: &["9999#", "1234#"],
        asked: &["GET /route?code=9999", "GET /route?code=1234"],
        hears: &["enter", "enter"],
        ..CODE
    },
    Row {
        name: "code-all-prompts-missing",
        ivr: "attempts = 2\nstart_prompt = \"no-such\"\nerror_prompt = \"none-either\"",
        keys: &["9999#", "0000#"],
        result: "FAILED nak NAK 200",
        asked: &["GET /route?code=9999", "GET /route?code=0000"],
        hears: &[],
        ..WRONG
    },
    Row {
        name: "code-err",
        url: "/err?code={code}",
        result: "FAILED err ERR 200",
        asked: &["GET /err?code=1234"],
        ..WRONG
    },
    Row {
        name: "code-401",
        url: "/status/401?code={code}",
        result: "FAILED http_status - 401",
        asked: &["GET /status/401?code=1234"],
        ..WRONG
    },
    Row {
        name: "code-post",
        hook: "method = \"POST\"",
        url: "/route",
        asked: &["POST /route code=1234 did=100 callerid=1001 callername=Alice Example"],
        ..CODE
    },
    Row {
        name: "code-form",
        hook: "method = \"POST\"\nbody = \"form\"",
        url: "/route",
        asked: &["POST /route code=1234 did=100 callerid=1001 callername=Alice Example"],
        ..CODE
    },
    // ---- the caller hangs up ----
    Row { name: "hangup-in-prompt", keys: &[">!"], result: "FAILED hangup - -", hung_up: true, ..WRONG },
    Row { name: "hangup-typing", keys: &["12!"], result: "FAILED hangup - -", hung_up: true, ..WRONG },
    Row {
        name: "hangup-in-error-prompt",
        keys: &["9999#", ">!"],
        result: "FAILED hangup - -",
        asked: &["GET /route?code=9999"],
        hears: &["enter", "wrong"],
        hung_up: true,
        ..WRONG
    },
    Row {
        name: "hangup-web-thinks",
        url: "/slow/60000",
        hook: "timeout = \"10s\"",
        result: "FAILED hangup - -",
        asked: &["GET /slow/60000"],
        hangs_up_when_asked: true,
        hung_up: true,
        ..NO
    },
    // ---- answers ----
    Row { name: "ack", ..ROW },
    Row { name: "ack-alone", says: "status=ACK", ..SAYS },
    Row { name: "ack-slowly", url: "/slow/100", asked: &["GET /slow/100"], ..ROW },
    Row { name: "ack-json", url: "/json", asked: &["GET /json"], ..ROW },
    Row {
        name: "ack-variables",
        says: "{\"status\":\"ack\",\"destination\":215,\"Ticket\":\"T-7\",\"vip\":true,\"rest\":[1]}",
        hook: "variables = { ticket = \"CRM_TICKET\", vip = \"CRM_VIP\", none = \"CRM_NONE\" }",
        sets: &[("WEBHOOK_DESTINATION", "215"), ("CRM_TICKET", "T-7"), ("CRM_VIP", "true"), ("CRM_NONE", "")],
        ..SAYS
    },
    Row {
        name: "variables-are-set-in-failure",
        says: "status=NAK&ticket=T-8",
        hook: "save_as = \"CRM_RESULT\"\nvariables = { ticket = \"CRM_TICKET\" }",
        result: "FAILED nak NAK 200",
        sets: &[("CRM_TICKET", "T-8"), ("CRM_RESULT", "status=NAK&ticket=T-8")],
        ..SAYS
    },
    Row {
        name: "variables-without-an-answer",
        url: "/status/500",
        hook: "save_as = \"CRM_RESULT\"\nvariables = { ticket = \"CRM_TICKET\" }",
        result: "FAILED http_status - 500",
        sets: &[("CRM_TICKET", ""), ("CRM_RESULT", "")],
        asked: &["GET /status/500"],
        ..NO
    },
    Row {
        name: "save-as",
        says: "open until 17:00, then $[1+1]",
        hook: "save_as = \"CRM_RESULT\"",
        result: "SUCCESS ok - 200",
        sets: &[("CRM_RESULT", "open until 17:00, then [1+1]")],
        ..SAYS
    },
    Row {
        name: "save-as-empty",
        url: "/empty",
        hook: "save_as = \"CRM_RESULT\"",
        result: "FAILED bad_answer - 200",
        sets: &[("CRM_RESULT", "")],
        asked: &["GET /empty"],
        ..NO
    },
    Row {
        name: "value-cleaned",
        says: "status=ACK&note=a\"b\\c%0D%0Ad${EXTEN}%00",
        hook: "variables = { note = \"NOTE\" }",
        sets: &[("NOTE", "abc  d{EXTEN}")],
        ..SAYS
    },
    Row { name: "nak", url: "/nak", result: "FAILED nak NAK 200", asked: &["GET /nak"], ..NO },
    Row { name: "err", url: "/err", result: "FAILED err ERR 200", asked: &["GET /err"], ..NO },
    Row { name: "empty", url: "/empty", result: "FAILED bad_answer - 200", asked: &["GET /empty"], ..NO },
    Row { name: "html", url: "/html", result: "FAILED bad_answer - 200", asked: &["GET /html"], ..NO },
    Row { name: "notice", url: "/notice", result: "FAILED bad_answer - 200", asked: &["GET /notice"], ..NO },
    Row {
        name: "not-found",
        url: "/nothing",
        result: "FAILED http_status - 404",
        asked: &["GET /nothing"],
        ..NO
    },
    Row {
        name: "server-error",
        url: "/status/500",
        result: "FAILED http_status - 500",
        asked: &["GET /status/500"],
        ..NO
    },
    Row { name: "half", url: "/half", result: "FAILED bad_answer - -", asked: &["GET /half"], ..NO },
    Row { name: "closed", url: "/close", result: "FAILED bad_answer - -", asked: &["GET /close"], ..NO },
    Row { name: "large", url: "/big", result: "FAILED bad_answer - 200", asked: &["GET /big"], ..NO },
    Row {
        name: "slow",
        url: "/slow/60000",
        hook: "timeout = \"1s\"",
        result: "FAILED timeout - -",
        asked: &["GET /slow/60000"],
        ..NO
    },
    Row { name: "moved", url: "/moved?a=1", asked: &["GET /moved?a=1", "GET /route?a=1"], ..ROW },
    Row {
        name: "login",
        url: "/redirect",
        result: "FAILED bad_answer - 200",
        asked: &["GET /redirect", "GET /html"],
        ..NO
    },
    Row { name: "down", url: "http://127.0.0.1:1/", result: "FAILED connect - -", asked: &[], ..NO },
    Row { name: "no-such-host", url: "http://crm.invalid/", result: "FAILED dns - -", asked: &[], ..NO },
    Row { name: "metadata", url: "http://169.254.169.254/", result: "FAILED blocked - -", asked: &[], ..NO },
    Row {
        name: "fallback-server-error",
        url: "/status/503",
        hook: "fallback_url = \"@web@/route\"",
        asked: &["GET /status/503", "GET /route"],
        ..ROW
    },
    Row {
        name: "fallback-too-slow",
        url: "/slow/60000",
        hook: "timeout = \"2s\"\nfallback_url = \"@web@/route\"",
        asked: &["GET /slow/60000", "GET /route"],
        ..ROW
    },
    Row {
        name: "fallback-bad-too",
        url: "/html",
        hook: "fallback_url = \"@web@/status/500\"",
        result: "FAILED http_status - 500",
        asked: &["GET /html", "GET /status/500"],
        ..NO
    },
    Row {
        name: "fallback-not-after-nak",
        url: "/nak",
        hook: "fallback_url = \"@web@/route\"",
        result: "FAILED nak NAK 200",
        asked: &["GET /nak"],
        ..NO
    },
    Row {
        name: "fallback-not-after-404",
        url: "/nothing",
        hook: "fallback_url = \"@web@/route\"",
        result: "FAILED http_status - 404",
        asked: &["GET /nothing"],
        ..NO
    },
    Row { name: "disabled", hook: "enabled = false", result: "FAILED disabled - -", asked: &[], ..NO },
    Row {
        name: "unknown-webhook",
        caller: |c| Caller { path: "webhook/no-such".to_owned(), ..c },
        result: "FAILED unknown_webhook - -",
        asked: &[],
        ..NO
    },
    Row {
        name: "unknown-path",
        caller: |c| Caller { path: "vip".to_owned(), ..c },
        result: "FAILED unknown_webhook - -",
        asked: &[],
        ..NO
    },
    // ---- destinations ----
    Row {
        name: "destination-injected",
        says: "status=ACK&destination=500%26PJSIP/x",
        result: "FAILED destination_refused ACK 200",
        ..SAYS
    },
    Row {
        name: "destination-as-written",
        says: "status=ACK&destination=tel:+31 (0)20-123 45.67",
        sets: &[("WEBHOOK_DESTINATION", "+31201234567")],
        ..SAYS
    },
    Row {
        name: "destination-narrowed",
        says: "status=ACK&destination=1000",
        hook: "destination = { allow = [\"[0-9]{3}\"] }",
        result: "FAILED destination_refused ACK 200",
        ..SAYS
    },
    Row {
        name: "destination-widened",
        says: "status=ACK&destination=*72",
        hook: "destination = { allow = [\"[*][0-9]{2}\"] }",
        sets: &[("WEBHOOK_DESTINATION", "*72")],
        ..SAYS
    },
    Row {
        name: "destination-star",
        says: "status=ACK&destination=*72",
        result: "FAILED destination_refused ACK 200",
        ..SAYS
    },
    // ---- what the web server is told ----
    Row { name: "who", ..WHO },
    Row {
        name: "who-overridden",
        caller: |c| Caller {
            overrides: vec![("did", "31205550123"), ("callerid", "0612345678"), ("callername", "Bob, Ltd")],
            ..c
        },
        asked: &["GET /say?from=0612345678&name=Bob%2C%20Ltd&did=31205550123"],
        ..WHO
    },
    Row {
        name: "who-withheld",
        caller: |c| Caller { withheld: true, ..c },
        callee: "Anonymous <anonymous>, Alice Example <1001>",
        asked: &["GET /say?from=&name=&did=100"],
        ..WHO
    },
    Row {
        name: "who-anonymous",
        caller: |c| Caller { number: "anonymous", name: "Anonymous", ..c },
        callee: "Anonymous <anonymous>",
        asked: &["GET /say?from=&name=&did=100"],
        ..WHO
    },
    Row {
        name: "who-dropped",
        hook: "drop_empty = true",
        caller: |c| Caller { withheld: true, ..c },
        callee: "Anonymous <anonymous>, Alice Example <1001>",
        asked: &["GET /say?did=100"],
        ..WHO
    },
    Row {
        name: "who-e164",
        hook: "number_format = \"e164\"",
        caller: |c| c.from("0612345678"),
        callee: "Alice Example <0612345678>",
        asked: &["GET /say?from=%2B31612345678&name=Alice%20Example&did=100"],
        ..WHO
    },
    // ---- caller name ----
    Row { name: "name-unused", ..NAMED },
    Row {
        name: "name-webhook",
        hook: "caller_name = { mode = \"webhook\" }",
        callee: "Zoë Müller & Söhne GmbH <1001>",
        ..NAMED
    },
    Row {
        name: "name-webhook-empty",
        says: "status=ACK&callername=",
        hook: "caller_name = { mode = \"webhook\" }",
        ..SAYS
    },
    Row {
        name: "name-prepend",
        hook: "caller_name = { mode = \"prepend\", text = \"VIP: \" }",
        callee: "VIP: Alice Example <1001>",
        ..ROW
    },
    Row { name: "name-prepend-once", hook: "caller_name = { mode = \"prepend\", text = \"Alice\" }", ..ROW },
    Row {
        name: "name-replace",
        hook: "caller_name = { mode = \"replace\", text = \"Desk {did}\" }",
        callee: "Desk 100 <1001>",
        ..ROW
    },
    Row {
        name: "name-kept-on-failure",
        url: "/nak",
        hook: "caller_name = { mode = \"replace\", text = \"VIP\" }",
        result: "FAILED nak NAK 200",
        asked: &["GET /nak"],
        ..NO
    },
    Row {
        name: "name-beside-nak",
        says: "status=NAK&callername=Nobody",
        hook: "caller_name = { mode = \"webhook\" }",
        result: "FAILED nak NAK 200",
        ..SAYS
    },
    Row {
        name: "name-prepend-outside",
        caller: |c| Caller { path: "callername/prepend".to_owned(), text: "Sales, Ltd: ", ..c },
        callee: "Sales, Ltd: Alice Example <1001>",
        ..OUTSIDE
    },
    Row {
        name: "name-prepend-outside-once",
        caller: |c| Caller { path: "callername/prepend".to_owned(), text: "Alice", ..c },
        ..OUTSIDE
    },
    Row {
        name: "name-replace-outside",
        caller: |c| Caller { path: "callername/replace".to_owned(), text: "Zoë \"<Z>\", ${X}", ..c },
        callee: "Zoë Z, {X} <1001>",
        ..OUTSIDE
    },
    // ---- caller number ----
    Row { name: "number-called", hook: "caller_id = \"called\"", callee: "Alice Example <100>", ..ROW },
    Row {
        name: "number-called-withheld",
        hook: "caller_id = \"called\"",
        caller: |c| Caller { withheld: true, ..c },
        callee: " <100>",
        ..ROW
    },
    Row {
        name: "number-suppressed",
        hook: "caller_id = \"suppressed\"",
        callee: "Anonymous <anonymous>",
        ..ROW
    },
    Row {
        name: "number-suppressed-withheld",
        hook: "caller_id = \"suppressed\"",
        caller: |c| Caller { withheld: true, ..c },
        callee: "Anonymous <anonymous>",
        ..ROW
    },
    Row {
        name: "number-suppressed-named",
        hook: "caller_id = \"suppressed\"\ncaller_name = { mode = \"webhook\" }",
        callee: "Anonymous <anonymous>",
        ..NAMED
    },
    Row {
        name: "number-suppressed-failed",
        url: "/nak",
        hook: "caller_id = \"suppressed\"",
        result: "FAILED nak NAK 200",
        callee: "Anonymous <anonymous>",
        asked: &["GET /nak"],
        ..NO
    },
];
