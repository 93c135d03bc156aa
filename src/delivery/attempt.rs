//! One attempt: render, resolve, vet, send, judge.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Instant;

use uuid::Uuid;

use super::{Subscriptions, wall_ms};
use crate::io::Http;
use crate::store::{Claimed, Made, Next};
use crate::webhook::schedule::{self, Verdict};
use crate::webhook::{EventPlan, EventRequest, Hop, HopError, HopErrorKind, HopResponse};

/// Bytes of an answer that are read. What is longer is a good answer too; nothing reads it.
const READ: usize = 64 << 10;

/// Bytes of an answer that are kept.
const KEPT: usize = 4 << 10;

/// Every word for how an attempt can come out.
pub(super) const RESULTS: [&str; 9] =
    ["ok", "http_status", "timeout", "dns", "connect", "tls", "bad_answer", "blocked", "bad_request"];

/// Why there was no answer.
struct Failed {
    word: &'static str,
    detail: String,
}

/// Makes an attempt and says what follows from it.
pub(super) async fn make(
    http: &Http,
    subscriptions: &Subscriptions,
    plan: &EventPlan,
    claimed: &Claimed,
) -> Made {
    let begun = Instant::now();
    let id = claimed.id.to_string();
    let rendered = plan.render(&claimed.event, &subscriptions.numbers, &id, wall_ms());
    let (request, answered) = match rendered {
        Ok(rendered) => {
            let shown = serde_json::to_string(&rendered.shown).unwrap_or_default();
            let send = send(http, subscriptions, plan, rendered, begun);
            let answered = match tokio::time::timeout(subscriptions.attempt_time, send).await {
                Ok(answered) => answered,
                Err(_) => Err(Failed {
                    word: "timeout",
                    detail: format!("no whole answer within {} s", subscriptions.attempt_time.as_secs()),
                }),
            };
            (shown, answered)
        }
        Err(error) => (String::new(), Err(Failed { word: "bad_request", detail: error.to_string() })),
    };
    let ended = wall_ms();
    let mut made = Made {
        id: claimed.id,
        attempt: claimed.attempt,
        ended,
        took_us: u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
        result: String::new(),
        http_status: None,
        detail: String::new(),
        peer: String::new(),
        request,
        answer: String::new(),
        next: Next::Exhausted,
    };
    let mut asked = None;
    let mut verdict = Verdict::Failed;
    match answered {
        Ok(response) => {
            verdict = schedule::verdict(response.status);
            asked = schedule::retry_after(&response.headers, ended);
            if verdict == Verdict::Delivered { "ok" } else { "http_status" }.clone_into(&mut made.result);
            if (300..400).contains(&response.status) {
                "a redirect is not followed".clone_into(&mut made.detail);
            }
            made.http_status = Some(response.status);
            made.peer = response.peer.to_string();
            made.answer = shown(&response);
        }
        Err(failed) => {
            failed.word.clone_into(&mut made.result);
            made.detail = failed.detail;
        }
    }
    let steps = &plan.subscription().schedule;
    let again = schedule::wait(steps, claimed.failed + 1, asked, chance());
    let again = again.map(|wait| ended.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)));
    made.next = match (verdict, again) {
        (Verdict::Delivered, _) => Next::Delivered,
        (Verdict::Gone, again) => Next::Gone(again.unwrap_or(ended)),
        // The same event would be rendered the same way.
        (Verdict::Failed, Some(due)) if made.result != "bad_request" => Next::Again(due),
        (Verdict::Failed, _) => Next::Exhausted,
    };
    made
}

async fn send(
    http: &Http,
    subscriptions: &Subscriptions,
    plan: &EventPlan,
    rendered: EventRequest,
    begun: Instant,
) -> Result<HopResponse, Failed> {
    let origin = plan.origin();
    let found = match origin.ip() {
        Some(ip) => vec![ip],
        None => http.resolve(&origin.host).await.map_err(|detail| Failed { word: "dns", detail })?,
    };
    let mut addresses = Vec::with_capacity(found.len());
    let mut refused = String::new();
    for ip in found {
        match subscriptions.policy.check(ip) {
            Ok(()) => addresses.push(SocketAddr::new(ip, origin.port)),
            Err(blocked) => refused = blocked.to_string(),
        }
    }
    if addresses.is_empty() {
        return Err(Failed { word: "blocked", detail: refused });
    }
    let hop = Hop {
        origin: origin.clone(),
        addresses,
        request: rendered.request,
        deadline: begun + subscriptions.attempt_time,
        limit: READ,
    };
    http.hop(hop).await.map_err(|HopError { kind, detail, .. }| {
        let word = match kind {
            HopErrorKind::Connect => "connect",
            HopErrorKind::Tls => "tls",
            HopErrorKind::Timeout => "timeout",
            HopErrorKind::BadResponse => "bad_answer",
        };
        Failed { word, detail }
    })
}

/// An answer as people may see it.
fn shown(response: &HopResponse) -> String {
    let mut text = format!("HTTP {}\n", response.status);
    for (name, value) in &response.headers {
        let value = match name.as_str() {
            "set-cookie" | "authorization" => "****".into(),
            _ => String::from_utf8_lossy(value.as_bytes()),
        };
        // Writing to a text does not fail.
        writeln!(text, "{name}: {value}").unwrap_or_default();
    }
    text.push('\n');
    text.push_str(&String::from_utf8_lossy(&response.body));
    text.truncate(text.floor_char_boundary(KEPT));
    text
}

/// A random number.
fn chance() -> u32 {
    // The last 62 bits of a UUID v7 are random, but for a counter at their beginning (RFC 9562, 5.7).
    u32::from_le_bytes(Uuid::now_v7().into_bytes()[12..].try_into().unwrap_or_default())
}
