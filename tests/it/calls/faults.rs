//! A web server that misbehaves: each way has its outcome, and none of them holds up a call for longer than its time.

use std::time::Duration;

use switchhook::terms::{Journal, What};
use tokio::task::JoinSet;

use super::daemon::{Daemon, steps};
use super::pbx::{Caller, Pbx};
use super::web::{Act, Manners, Saw, Web, ok, with};
use Act::{Close, Endless, Hold, Reset, Send, Slowly};

const ACK: &str = "status=ACK";

/// A way to misbehave, and what becomes of a call to it.
struct Mode {
    name: &'static str,
    /// The rest of `[webhook.NAME]`. `@web@` is the web server.
    hook: &'static str,
    manners: Manners,
    /// Result, reason, HTTP status.
    outcome: &'static str,
    /// Requests that the server read.
    asked: Vec<&'static str>,
}

fn mode(name: &'static str, outcome: &'static str, acts: Vec<Act>) -> Mode {
    let manners = Manners { answers: vec![acts], ..Manners::default() };
    Mode { name, hook: "", manners, outcome, asked: vec!["GET /"] }
}

/// Treated so before a byte is read.
fn unread(name: &'static str, outcome: &'static str, acts: Vec<Act>) -> Mode {
    Mode {
        manners: Manners { greeting: acts, ..Manners::default() },
        asked: vec![],
        ..mode(name, outcome, vec![])
    }
}

/// First this, then a good answer to the fallback.
fn fallback(name: &'static str, outcome: &'static str, first: Vec<Act>) -> Mode {
    let answers = vec![first, vec![Send(ok(ACK))]];
    Mode {
        hook: "fallback_url = \"@web@/fallback\"",
        manners: Manners { answers, ..Manners::default() },
        asked: vec!["GET /", "GET /fallback"],
        ..mode(name, outcome, vec![])
    }
}

fn raw(text: impl Into<String>) -> Act {
    Send(text.into())
}

const OK: &str = "SUCCESS ok 200";
const BROKEN: &str = "FAILED bad_answer ";
const BAD: &str = "FAILED bad_answer 200";
const LATE: &str = "FAILED timeout ";

fn modes() -> Vec<Mode> {
    let pause = Duration::from_millis(40);
    let chunked = |body: &str| raw(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
    let head = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
    let moved = |to: &str| vec![raw(with("302 Found", &format!("Location: {to}\r\n"), ""))];
    vec![
        // ---- the connection ends ----
        unread("closed at once", BROKEN, vec![Close]),
        mode("reset before the head", BROKEN, vec![Reset]),
        mode("closed before the head", BROKEN, vec![Close]),
        mode("reset in the head", BROKEN, vec![raw("HTTP/1.1 200 OK\r\nConte"), Reset]),
        mode("closed in the head", BROKEN, vec![raw("HTTP/1.1 200 OK\r\nConte"), Close]),
        mode("reset in the body", BROKEN, vec![raw(head("Content-Length: 10\r\n") + "status"), Reset]),
        mode("closed in the body", BROKEN, vec![raw(head("Content-Length: 10\r\n") + "status"), Close]),
        mode("closed in a chunk", BROKEN, vec![chunked("a\r\nstatus"), Close]),
        mode("closed before the last chunk", BROKEN, vec![chunked("a\r\nstatus=ACK\r\n"), Close]),
        // ---- too slow ----
        unread("mute", LATE, vec![Hold]),
        mode("nothing", LATE, vec![Hold]),
        mode("half a head", LATE, vec![raw("HTTP/1.1 200 OK\r\nConte"), Hold]),
        mode("a head alone", LATE, vec![raw(head("Content-Length: 10\r\n")), Hold]),
        mode("half a body", LATE, vec![raw(head("Content-Length: 10\r\n") + "status"), Hold]),
        mode("a slow head", LATE, vec![Slowly(ok(ACK), pause)]),
        mode("a slow body", LATE, vec![raw(head("Content-Length: 99\r\n")), Slowly("x".repeat(99), pause)]),
        mode("no end of a body without a length", LATE, vec![raw(head("") + ACK), Hold]),
        mode("slow and in time", OK, vec![Slowly(ok(ACK), Duration::from_millis(1))]),
        mode(
            "continue for ever",
            LATE,
            vec![Slowly("HTTP/1.1 100 Continue\r\n\r\n".repeat(20), Duration::from_millis(5))],
        ),
        // ---- too much ----
        mode("endless body", BAD, vec![raw(head("")), Endless("status=ACK&")]),
        mode("endless chunks", BAD, vec![chunked(""), Endless("b\r\nstatus=ACK&\r\n")]),
        mode("1 MB", BAD, vec![raw(ok(&"x".repeat(1 << 20)))]),
        mode("64 KiB and no more", OK, vec![raw(ok(&format!("{ACK}&x={}", "x".repeat((64 << 10) - 13))))]),
        mode("a byte more", BAD, vec![raw(ok(&format!("{ACK}&x={}", "x".repeat((64 << 10) - 12))))]),
        mode("a huge header", BROKEN, vec![raw(head(&format!("X: {}\r\n", "x".repeat(1 << 20))))]),
        mode("endless header", BROKEN, vec![raw("HTTP/1.1 200 OK\r\nX: "), Endless("xxxxxxxxxxxxxxxx")]),
        mode("endless headers", BROKEN, vec![raw("HTTP/1.1 200 OK\r\n"), Endless("X: y\r\n")]),
        mode("1000 headers", BROKEN, vec![raw(head(&"X: y\r\n".repeat(1000)) + ACK), Close]),
        // ---- HTTP that is none ----
        mode("no HTTP", BROKEN, vec![raw("status=ACK\n"), Close]),
        mode("a mail server", BROKEN, vec![raw("220 mail.example.com ESMTP\r\n"), Hold]),
        mode("HTTP/2", BROKEN, vec![raw("\0\0\u{12}\u{4}\0\0\0\0\0"), Hold]),
        mode("bad status", BROKEN, vec![raw("HTTP/1.1 2000 OK\r\n\r\n"), Close]),
        mode("NUL in a header", BROKEN, vec![raw(head("X: a\0b\r\n")), Close]),
        mode("no chunk size", BROKEN, vec![chunked("ZZ\r\nstatus=ACK\r\n0\r\n\r\n"), Hold]),
        mode("a chunk's size overflows", BROKEN, vec![chunked("ffffffffffffffffff\r\nstatus=ACK"), Hold]),
        mode("a chunk without its end", BROKEN, vec![chunked("a\r\nstatus=ACK0\r\n\r\n"), Hold]),
        mode(
            "two lengths",
            BROKEN,
            vec![raw(head("Content-Length: 10\r\nContent-Length: 11\r\n") + ACK), Hold],
        ),
        mode("no length", BROKEN, vec![raw(head("Content-Length: ten\r\n") + ACK), Hold]),
        mode("negative length", BROKEN, vec![raw(head("Content-Length: -1\r\n") + ACK), Hold]),
        // ---- HTTP as old servers write it ----
        mode("HTTP/1.0", OK, vec![raw(format!("HTTP/1.0 200 OK\r\n\r\n{ACK}")), Close]),
        mode("until the end", OK, vec![raw(head("") + ACK), Close]),
        mode("bare line feeds", OK, vec![raw(format!("HTTP/1.1 200 OK\nContent-Length: 10\n\n{ACK}"))]),
        mode("no reason phrase", OK, vec![raw(format!("HTTP/1.1 200\r\nContent-Length: 10\r\n\r\n{ACK}"))]),
        mode("chunks", OK, vec![chunked("4\r\nstat\r\n6;x=y\r\nus=ACK\r\n0\r\nTrailer: x\r\n\r\n")]),
        mode(
            "chunks and a length",
            OK,
            vec![raw(
                head("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n") + "a\r\nstatus=ACK\r\n0\r\n\r\n"
            )],
        ),
        mode("more than the length", OK, vec![raw(head("Content-Length: 10\r\n") + "status=ACKstatus=NAK")]),
        mode("Connection: close", OK, vec![raw(with("200 OK", "Connection: close\r\n", ACK)), Close]),
        mode(
            "100 and 103 before",
            OK,
            vec![
                raw("HTTP/1.1 100 Continue\r\n\r\n"),
                raw("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"),
                raw(ok(ACK)),
            ],
        ),
        mode("identity", OK, vec![raw(with("200 OK", "Content-Encoding: identity\r\n", ACK))]),
        mode("gzip", BAD, vec![raw(with("200 OK", "Content-Encoding: gzip\r\n", "\u{1f}\u{8b}"))]),
        mode("204", "FAILED bad_answer 204", vec![raw("HTTP/1.1 204 No Content\r\n\r\n")]),
        mode(
            "101",
            "FAILED http_status 101",
            vec![raw("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), Close],
        ),
        mode("304", "FAILED http_status 304", vec![raw("HTTP/1.1 304 Not Modified\r\n\r\n")]),
        // ---- redirects ----
        Mode { asked: vec!["GET /"; 4], ..mode("to itself", "FAILED http_status 302", moved("/")) },
        mode("to another server", "FAILED http_status 302", moved("http://127.0.0.1:1/")),
        mode("nowhere", "FAILED http_status 302", vec![raw(with("302 Found", "", ""))]),
        Mode {
            hook: "method = \"POST\"\nbody = \"x\"\ncontent_type = \"text/plain\"",
            asked: vec!["POST / x"],
            ..mode(
                "of a POST",
                "FAILED http_status 307",
                vec![raw(with("307 Temporary Redirect", "Location: /a\r\n", ""))],
            )
        },
        // ---- fallback_url ----
        fallback("fallback after a reset", OK, vec![Reset]),
        fallback("fallback after silence", OK, vec![Hold]),
        fallback(
            "fallback after a slow body",
            OK,
            vec![raw(head("Content-Length: 99\r\n")), Slowly("x".repeat(99), pause)],
        ),
        fallback("fallback after HTML", OK, vec![raw(ok("<html>"))]),
        fallback("fallback after gzip", OK, vec![raw(with("200 OK", "Content-Encoding: gzip\r\n", "x"))]),
        fallback("fallback after 429", OK, vec![raw(with("429 Too Many Requests", "", ""))]),
        Mode {
            asked: vec!["GET /"],
            ..fallback("none after ERR", "FAILED err 200", vec![raw(ok("status=ERR"))])
        },
        Mode {
            asked: vec!["GET /"],
            ..fallback("none after 403", "FAILED http_status 403", vec![raw(with("403 Forbidden", "", ""))])
        },
        Mode {
            asked: vec!["GET /"],
            ..fallback("none after a redirect", "FAILED http_status 302", moved("http://127.0.0.1:1/"))
        },
        Mode {
            hook: "fallback_url = \"@web@/fallback\"\nmethod = \"POST\"\nbody = \"x\"\ncontent_type = \"text/plain\"",
            asked: vec!["POST / x", "POST /fallback x"],
            ..fallback("fallback of a POST", OK, vec![raw(with("503 Service Unavailable", "", ""))])
        },
        Mode {
            asked: vec!["GET /", "GET /fallback"],
            manners: Manners { answers: vec![vec![Hold]], ..Manners::default() },
            ..fallback("both too slow", LATE, vec![])
        },
    ]
}

#[tokio::test]
async fn every_way_to_misbehave_has_its_outcome() {
    let modes = modes();
    let (mut text, mut webs) = (String::new(), Vec::new());
    for (index, mode) in modes.iter().enumerate() {
        let web = Web::start(mode.manners.clone()).await;
        let hook = mode.hook.replace("@web@", &web.url(""));
        // Long where the time is not what is tested.
        let timeout = match (mode.outcome, hook.contains("fallback_url")) {
            (LATE, _) => "1s",
            (_, true) => "2s",
            _ => "10s",
        };
        text.push_str(&format!(
            "[webhook.m{index}]\nurl = \"{}\"\ntimeout = \"{timeout}\"\n{hook}\n",
            web.url("/")
        ));
        webs.push(web);
    }
    let daemon = Daemon::start(&text);
    let mut calling = JoinSet::new();
    for (index, (mode, web)) in modes.into_iter().zip(webs).enumerate() {
        let calls = daemon.calls();
        calling.spawn(async move {
            let (seen, journal) = calls.call(Pbx::Asterisk, Caller::of(&format!("m{index}"))).await;
            let outcome = format!("{} {}", seen.outcome(), seen.variable("WEBHOOK_HTTP_STATUS"));
            let said = format!(
                "{}: {outcome} asked {:?}, expected {} {:?}\n{:?}",
                mode.name,
                web.asked(),
                mode.outcome,
                mode.asked,
                journal.steps
            );
            (outcome == mode.outcome && web.asked() == mode.asked, said)
        });
    }
    let called = calling.join_all().await;
    daemon.stop().await;
    let wrong: Vec<String> = called.into_iter().filter(|(right, _)| !right).map(|(_, said)| said).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// More sequential calls than there are workers, each with connections of its own: one at least uses a kept one.
fn enough_calls() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from) + 1
}

/// Calls one after the other; their outcomes.
async fn one_by_one(daemon: &Daemon, webhook: &str) -> Vec<(String, Journal)> {
    let mut outcomes = Vec::new();
    for _ in 0..enough_calls() {
        let (seen, journal) = daemon.call(Caller::of(webhook)).await;
        outcomes.push((seen.outcome(), journal));
    }
    outcomes
}

fn reused(journal: &Journal) -> bool {
    journal.steps.iter().any(|step| matches!(step.what, What::Response { reused: true, .. }))
}

fn opened(web: &Web) -> usize {
    web.saw().iter().filter(|saw| matches!(saw, Saw::Opened(_))).count()
}

/// Answers the first request of each connection; what the others get is told.
async fn first_good(then: Vec<Act>) -> Web {
    let answers = vec![vec![Send(ok(ACK))], then];
    Web::start(Manners { answers, each_connection: true, ..Manners::default() }).await
}

fn hook(name: &str, web: &Web, more: &str) -> String {
    format!("[webhook.{name}]\nurl = \"{}\"\n{more}\n", web.url("/"))
}

const POST: &str = "method = \"POST\"\nbody = \"x\"\ncontent_type = \"text/plain\"";

#[tokio::test]
async fn connections_are_kept_where_both_sides_want_it() {
    let kept = Web::answering(vec![Send(ok(ACK))]).await;
    let closed = Web::answering(vec![Send(with("200 OK", "Connection: close\r\n", ACK))]).await;
    let old = Web::answering(vec![raw(format!("HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\n{ACK}"))]).await;
    let config = [hook("kept", &kept, ""), hook("closed", &closed, ""), hook("old", &old, "")].concat();
    let daemon = Daemon::start(&config);
    let calls = one_by_one(&daemon, "kept").await;
    assert!(calls.iter().all(|(outcome, _)| outcome == "SUCCESS ok"), "{calls:?}");
    let again = calls.iter().filter(|(_, journal)| reused(journal)).count();
    assert!(again > 0);
    assert_eq!(opened(&kept) + again, enough_calls());
    for (name, web) in [("closed", &closed), ("old", &old)] {
        let calls = one_by_one(&daemon, name).await;
        assert!(
            calls.iter().all(|(outcome, journal)| outcome == "SUCCESS ok" && !reused(journal)),
            "{calls:?}"
        );
        assert_eq!(opened(web), enough_calls());
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_kept_connection_that_ends_under_a_request_costs_a_get_nothing_and_a_post_is_not_sent_twice() {
    for end in [vec![Close], vec![Reset], vec![raw("HTTP/1.1 200 OK\r\nConte"), Close]] {
        let (get, post) = (first_good(end.clone()).await, first_good(end.clone()).await);
        let daemon = Daemon::start(&[hook("get", &get, ""), hook("post", &post, POST)].concat());
        let calls = one_by_one(&daemon, "get").await;
        assert!(calls.iter().all(|(outcome, _)| outcome == "SUCCESS ok"), "{end:?} {calls:?}");
        assert!(get.asked().len() > enough_calls(), "no request met the end of its connection: {end:?}");
        let calls = one_by_one(&daemon, "post").await;
        let failed = calls.iter().filter(|(outcome, _)| outcome == "FAILED bad_answer").count();
        assert!(failed > 0, "no request met the end of its connection: {end:?} {calls:?}");
        assert_eq!(post.asked().len(), enough_calls(), "{end:?}");
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_long_ago_is_not_used() {
    let web = Web::answering(vec![Send(ok(ACK)), Close]).await;
    let daemon = Daemon::start(&hook("post", &web, POST));
    for call in 1..=enough_calls() {
        let (seen, _) = daemon.call(Caller::of("post")).await;
        assert_eq!(seen.outcome(), "SUCCESS ok", "call {call}");
        web.until(call, |saw| matches!(saw, Saw::Closed(_))).await;
    }
    assert_eq!(web.asked().len(), enough_calls());
    daemon.stop().await;
}

#[tokio::test]
async fn who_hangs_up_takes_his_request_with_him() {
    let body = raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nstatus");
    let (silent, slow) = (Web::answering(vec![Hold]).await, Web::answering(vec![body, Hold]).await);
    let long = "timeout = \"10s\"";
    let config = [hook("silent", &silent, long), hook("slow", &slow, long)].concat();
    let daemon = Daemon::start(&config);
    for (name, web) in [("silent", &silent), ("slow", &slow)] {
        let caller = Caller::of(name);
        let hang_up = caller.hang_up.clone();
        let hanging = async {
            web.until(1, |saw| matches!(saw, Saw::Asked(..))).await;
            hang_up.cancel();
            web.until(1, |saw| *saw == Saw::Left(1)).await;
        };
        let ((seen, journal), ()) = tokio::join!(daemon.call(caller), hanging);
        assert!(seen.hung_up && journal.reason.as_str() == "hangup", "{journal:?}");
        let took = Duration::from_micros(journal.took_us);
        assert!(took < Duration::from_secs(10), "{name} waited for the time, not for the hangup: {took:?}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn what_was_not_sent_is_tried_again_as_often_as_configured() {
    let config =
        "[webhook.down]\nurl = \"http://127.0.0.1:1/\"\nretries = 2\nfallback_url = \"http://127.0.0.1:1/b\"";
    let daemon = Daemon::start(config);
    let (seen, journal) = daemon.call(Caller::of("down")).await;
    assert_eq!(seen.outcome(), "FAILED connect");
    let requests = steps(&journal).into_iter().filter(|step| step == "request").count();
    assert_eq!(requests, 6, "three for each URL: {:?}", journal.steps);
    daemon.stop().await;
}

#[tokio::test]
async fn a_name_of_the_hosts_file_is_asked() {
    let web = Web::answering(vec![Send(ok(ACK))]).await;
    let port = web.address.port();
    let daemon = Daemon::start(&format!("[webhook.name]\nurl = \"http://localhost:{port}/\"\n"));
    let (seen, journal) = daemon.call(Caller::of("name")).await;
    assert_eq!(seen.outcome(), "SUCCESS ok", "{journal:?}");
    daemon.stop().await;
}
