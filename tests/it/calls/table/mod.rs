//! The rows of `outcomes.rs`.

mod answers;
mod callers;
mod codes;

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

/// All of them.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    codes::ROWS.iter().chain(answers::ROWS).chain(callers::ROWS)
}
