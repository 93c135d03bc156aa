//! The mistakes that web servers make, by what they look like from here, and how to mend each.

use std::time::Duration;

use super::caller::Kind;
use super::verdict::{milliseconds, was};
use crate::config::duration_text;
use crate::terms::{Channel, Journal, Method, Reason, Step, Via, Webhook, What};

/// What to do about something.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Advice {
    /// What it is and what to do.
    pub(super) text: String,
    /// A line of code each, with the language's name.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) examples: &'static [(&'static str, &'static str)],
    #[serde(skip)]
    pub(super) wrong: bool,
}

impl Advice {
    pub(super) fn wrong(text: impl Into<String>) -> Advice {
        Advice { text: text.into(), examples: &[], wrong: true }
    }

    pub(super) fn look(text: impl Into<String>) -> Advice {
        Advice { text: text.into(), examples: &[], wrong: false }
    }

    fn with(self, examples: &'static [(&'static str, &'static str)]) -> Advice {
        Advice { examples, ..self }
    }
}

type Examples = &'static [(&'static str, &'static str)];

const ENCODE: Examples = &[
    ("PHP", "echo http_build_query($answer, '', '&', PHP_QUERY_RFC3986);"),
    ("Python", "body = urllib.parse.urlencode(answer, quote_via=urllib.parse.quote)"),
];
const NOTICES: Examples = &[("PHP", "ini_set('display_errors', '0');  // the log still has them")];
const OPTIONAL: Examples = &[
    ("PHP", "$number = $_GET['callerid'] ?? '';"),
    ("Python", "number = query.get(\"callerid\", [\"\"])[0]"),
];
const NOBODY: Examples = &[
    ("PHP", "if ($customer === null) { exit('status=NAK'); }"),
    ("Python", "if customer is None: return \"status=NAK\""),
];
const ANSWER: Examples = &[
    ("PHP", "header('Content-Type: text/plain'); echo 'status=ACK&destination=215';"),
    ("Python", "return Response(\"status=ACK&destination=215\", mimetype=\"text/plain\")"),
];
const LOGIN: Examples = &[("configuration", "headers = { Authorization = \"Bearer ${CRM_TOKEN}\" }")];
const VALIDATION: Examples = &[
    ("FastAPI", "def route(code: str = \"\", callerid: str = \"\"):"),
    ("Laravel", "'callerid' => 'nullable|string',"),
];
const LATER: Examples = &[
    ("PHP", "echo 'status=ACK'; fastcgi_finish_request();  // and the slow part below"),
    ("Python", "threading.Thread(target=write_to_crm, daemon=True).start()"),
];
const SESSIONS: Examples = &[
    ("PHP", "session_write_close();  // a session lets one request in at a time"),
    ("Python", "ThreadingHTTPServer instead of HTTPServer; gunicorn --workers 4"),
];

/// What stands out in a call that has an answer, and what its answer was forgiven.
pub(super) fn of_steps(steps: &[Step]) -> Vec<Advice> {
    let mut found = Vec::new();
    let failed = steps.iter().find_map(|step| match &step.what {
        What::RequestFailed { reason, detail } => Some(format!("({reason}) {detail}")),
        _ => None,
    });
    if let Some(failed) = failed.as_ref().filter(|_| was(steps, &Via::Fallback)) {
        found.push(Advice::wrong(format!("url failed and fallback_url was asked: {failed}")));
    } else if let Some(failed) = failed.filter(|_| was(steps, &Via::Retry)) {
        found.push(Advice::look(format!("it was asked again, as the first request failed: {failed}")));
    }
    found.extend(redirected(steps));
    for step in steps {
        match &step.what {
            What::Answer { hints, .. } => found.extend(hints.iter().map(|hint| forgiven(hint))),
            What::Cleaned { what } => {
                found.push(Advice::look(format!(
                    "{what} held characters that must not reach the PBX, or was too long"
                )));
            }
            _ => {}
        }
    }
    found
}

/// Each redirect is one more request while the caller waits.
fn redirected(steps: &[Step]) -> Option<Advice> {
    let urls: Vec<(&str, &Via)> = steps
        .iter()
        .filter_map(|step| match &step.what {
            What::Request { url, via, .. } => Some((url.as_str(), via)),
            _ => None,
        })
        .collect();
    let at = urls.iter().rposition(|(_, via)| **via == Via::Redirect)?;
    let path = |url: &str| url.split('?').next().unwrap_or_default().to_owned();
    let (from, to) = (path(urls[at.saturating_sub(1)].0), path(urls[at].0));
    let what = if format!("{from}/") == to || from == format!("{to}/") {
        "the form of the path with the other ending in /"
    } else {
        "another path"
    };
    Some(Advice::look(format!(
        "your server redirects to {what}: each call asks twice, and a POST would fail. Write {to} as the url"
    )))
}

fn forgiven(hint: &str) -> Advice {
    let advice = Advice::look(format!("read all the same: {hint}"));
    if hint.contains("is not encoded") || hint.contains("not UTF-8") { advice.with(ENCODE) } else { advice }
}

/// A destination that had a `+`.
pub(super) fn lost_plus(destination: &str, channel: &Channel) -> Option<Advice> {
    let digits = destination.trim_start();
    let number = digits.len() >= 7 && digits.bytes().all(|b| b.is_ascii_digit());
    let space = digits.len() < destination.len();
    let had = [channel.callerid.as_str(), &channel.did];
    let echoed = had.iter().any(|n| n.strip_prefix('+') == Some(digits));
    (number && (space || echoed)).then(|| {
        Advice::look("the + in front of the destination is lost: it was read as a space. Write it as %2B")
            .with(ENCODE)
    })
}

/// Why a call without an answer has none.
pub(super) fn of_failure(webhook: &Webhook, kind: Kind, journal: &Journal) -> Advice {
    let detail = journal.steps.iter().rev().find_map(|step| match &step.what {
        What::NoAnswer { detail, .. } | What::DestinationRefused { detail, .. } => Some(detail.as_str()),
        _ => None,
    });
    let detail = detail.unwrap_or_default();
    let response = journal.steps.iter().rev().find_map(|step| match &step.what {
        What::Response { http_status, body, .. } => Some((*http_status, body.as_str())),
        _ => None,
    });
    let (text, examples): (&str, Examples) = match (journal.reason, response) {
        (Reason::Dns, _) => {
            ("is the host's name right, and known on this machine? getent hosts NAME tells", &[])
        }
        (Reason::Connect, _) => {
            ("does the web server run, on that port, and may this machine reach it? curl -v URL tells", &[])
        }
        (Reason::Tls, _) => (
            "the server must send the whole chain of certificates (fullchain.pem), for this name; an authority of your \
             own is named with SSL_CERT_FILE",
            &[],
        ),
        (Reason::Timeout, _) => ("answer first and do the slow part afterwards", LATER),
        (Reason::Blocked, _) => ("see section [egress]; some addresses are never asked", &[]),
        (Reason::HttpStatus, Some((status, _))) => of_status(status, webhook, kind),
        (Reason::BadAnswer, Some((_, body))) => of_body(body, detail, kind),
        (Reason::BadAnswer, None) => {
            ("the server closed the connection without an answer: look into its log", &[])
        }
        (Reason::DestinationRefused, _) => {
            ("answer a number, or permit this destination: [webhook.NAME.destination] allow = ['\\*72']", &[])
        }
        _ => ("", &[]),
    };
    let text = match (detail.is_empty(), text.is_empty()) {
        (false, false) => format!("{detail}. {}{}", text[..1].to_uppercase(), &text[1..]),
        (false, true) => detail.to_owned(),
        (true, _) => text.to_owned(),
    };
    Advice::wrong(text).with(examples)
}

fn of_status(status: u16, webhook: &Webhook, kind: Kind) -> (&'static str, Examples) {
    match status {
        301 | 302 | 303 | 307 | 308 if webhook.method == Method::Post => (
            "write the URL that it leads to as url; if that is a login page, let this path through without one",
            LOGIN,
        ),
        300..=399 => ("if it leads to a login, let this path through without one, or send a key", LOGIN),
        401 | 403 | 407 => ("send the key that it wants, or let this path through without a login", LOGIN),
        404 | 410 => ("the path is wrong, or the application has no route for it", &[]),
        405 => ("set method to the one that the route has", &[]),
        400 | 422 => (
            "its validation refuses a parameter, perhaps an empty one: make them optional, as texts",
            VALIDATION,
        ),
        429 => ("all calls come from one address: take this path out of the rate limit", &[]),
        500 if matches!(kind, Kind::Anonymous | Kind::EmptyName) => {
            ("the script fails where a value is empty: look into the server's log", OPTIONAL)
        }
        500 => ("the script fails: look into the server's log", OPTIONAL),
        502..=504 => {
            ("the proxy in front of the application does not reach it, or does not wait for it", &[])
        }
        _ => ("answer with HTTP 200; status=NAK or status=ERR says the rest", ANSWER),
    }
}

fn of_body(body: &str, detail: &str, kind: Kind) -> (&'static str, Examples) {
    let has = |words: &[&str]| {
        let small = body.to_ascii_lowercase();
        words.iter().any(|word| small.contains(word))
    };
    if body.trim().is_empty() && !detail.contains("encoded") {
        return match kind {
            Kind::Anonymous => ("your script has no answer for a caller without a number", NOBODY),
            Kind::Known | Kind::Slow => {
                ("the script ends before it writes an answer, or fails silently", ANSWER)
            }
            _ => ("your script has no answer for this caller", NOBODY),
        };
    }
    if has(&["status="]) && has(&["notice", "warning", "deprecated", "<br"]) {
        return ("your script's messages are in the answer: write them to the log", NOTICES);
    }
    if has(&["traceback", "fatal error", "exception", "stack trace"]) {
        return (
            "the script fails, and its error page comes with HTTP 200: look into the server's log",
            OPTIONAL,
        );
    }
    if has(&["password", "login", "log in", "sign in"]) && has(&["<"]) {
        return ("this is a login page: let this path through without a login, or send a key", LOGIN);
    }
    if has(&["<html", "<!doctype"]) {
        return ("this is a page for people, with HTTP 200. Answer one line of text", ANSWER);
    }
    if detail.contains("encoded (") {
        return ("switch compression off for this path: no Accept-Encoding was sent", &[]);
    }
    ("answer one line of text", ANSWER)
}

/// Those who ask at once wait for each other.
pub(super) fn slow_together(most: Duration, timeout: Duration) -> Advice {
    let text = format!(
        "the slowest took {}, more than half of the timeout ({}). Do requests wait for each other?",
        milliseconds(most),
        duration_text(timeout)
    );
    Advice::look(text).with(SESSIONS)
}
