//! One question for many calls that ask the same.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::daemon::{Daemon, steps};
use super::pbx::{Caller, Pbx};
use super::web::{Act, Manners, Saw, Web, ok, with};

fn hook(web: &Web, more: &str) -> String {
    format!("[webhook.kept]\nurl = \"{}\"\ntimeout = \"10s\"\n{more}\n", web.url("/?from={callerid}"))
}

fn asked(saw: &Saw) -> bool {
    matches!(saw, Saw::Asked(..))
}

#[tokio::test]
async fn fifty_calls_at_once_are_one_request() {
    let go = CancellationToken::new();
    let web = Web::answering(vec![Act::When(go.clone()), Act::Send(ok("status=ACK&destination=215"))]).await;
    let daemon = Daemon::start(&hook(&web, "cache = \"60s\""));
    let leader = Caller::of("kept");
    let hang_up = leader.hang_up.clone();
    let mut calling = JoinSet::new();
    let calls = daemon.calls();
    let first = tokio::spawn(async move { calls.call(Pbx::Asterisk, leader).await });
    web.until(1, asked).await;
    for _ in 0..49 {
        let calls = daemon.calls();
        calling.spawn(async move { calls.call(Pbx::Asterisk, Caller::of("kept")).await });
    }
    daemon.until_open(50).await;
    // The one who asked goes away; the others have their answer all the same.
    hang_up.cancel();
    let (_, journal) = first.await.expect("a call");
    assert_eq!(journal.reason.as_str(), "hangup");
    go.cancel();
    for (seen, journal) in calling.join_all().await {
        assert_eq!((seen.outcome().as_str(), seen.variable("WEBHOOK_DESTINATION")), ("SUCCESS ok", "215"));
        let steps = steps(&journal);
        assert!(steps.iter().any(|s| s == "joined" || s == "cached"), "{steps:?}");
    }
    let (seen, journal) = daemon.call(Caller::of("kept")).await;
    assert_eq!(seen.outcome(), "SUCCESS ok");
    assert!(steps(&journal).contains(&"cached".to_owned()), "{:?}", journal.steps);
    assert_eq!(web.asked(), ["GET /?from=1001"]);
    // Another caller is another question.
    daemon.call(Caller::of("kept").from("1002")).await;
    assert_eq!(web.asked(), ["GET /?from=1001", "GET /?from=1002"]);
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_no_good_answer_is_not_kept() {
    let answers = vec![
        vec![Act::Reset],
        vec![Act::Send(with("500 Oh", "", ""))],
        vec![Act::Send(ok("status=NAK"))],
        vec![Act::Send(ok("status=ERR"))],
        vec![Act::Send(ok("<html>"))],
        vec![Act::Send(ok("status=ACK"))],
    ];
    let web = Web::start(Manners { answers, ..Manners::default() }).await;
    let daemon = Daemon::start(&hook(&web, "cache = \"60s\""));
    for expected in ["bad_answer", "http_status", "nak", "err", "bad_answer", "ok", "ok"] {
        let (_, journal) = daemon.call(Caller::of("kept")).await;
        assert_eq!(journal.reason.as_str(), expected, "{journal:?}");
    }
    assert_eq!(web.asked().len(), 6);
    daemon.stop().await;
}

#[tokio::test]
async fn many_who_ask_at_once_fail_at_once_and_the_next_asks_anew() {
    let go = CancellationToken::new();
    let answers = vec![
        vec![Act::When(go.clone()), Act::Send(with("503 Oh", "", ""))],
        vec![Act::Send(ok("status=ACK"))],
    ];
    let web = Web::start(Manners { answers, ..Manners::default() }).await;
    let daemon = Daemon::start(&hook(&web, "cache = \"60s\""));
    let mut calling = JoinSet::new();
    for _ in 0..20 {
        let calls = daemon.calls();
        calling.spawn(async move { calls.call(Pbx::Asterisk, Caller::of("kept")).await });
    }
    daemon.until_open(20).await;
    web.until(1, asked).await;
    go.cancel();
    let outcomes: Vec<String> =
        calling.join_all().await.into_iter().map(|(seen, _)| seen.outcome()).collect();
    // Whoever came to ask after the failure had the good answer.
    assert!(outcomes.iter().all(|o| o == "FAILED http_status" || o == "SUCCESS ok"), "{outcomes:?}");
    assert!(outcomes.iter().any(|o| o == "FAILED http_status"), "{outcomes:?}");
    assert_eq!(daemon.call(Caller::of("kept")).await.0.outcome(), "SUCCESS ok");
    assert_eq!(web.asked().len(), 2);
    daemon.stop().await;
}

#[tokio::test]
async fn a_menu_choice_is_part_of_the_question_and_a_secret_code_is_never_kept() {
    let web = Web::answering(vec![Act::Send(ok("status=ACK"))]).await;
    let ivr = |secret: &str| format!("cache = \"60s\"\n[webhook.kept.ivr]\nmax_digits = 1\n{secret}");
    let text = hook(&web, &ivr("secret = false")).replace("?from", "?code={code}&from");
    let daemon = Daemon::start(&text);
    for key in ["1", "2", "1"] {
        assert_eq!(daemon.call(Caller::of("kept").typing(&[key])).await.0.outcome(), "SUCCESS ok");
    }
    assert_eq!(web.asked(), ["GET /?code=1&from=1001", "GET /?code=2&from=1001"]);
    daemon.stop().await;
    let text = format!("[fastagi]\n{}", hook(&web, &ivr("")));
    let refused = switchhook::config::parse("t", std::path::Path::new("."), text.as_bytes(), &|_| None);
    assert!(
        refused.is_err_and(|problems| problems
            .draw(false)
            .contains("cache cannot keep answers to a secret code"))
    );
}
