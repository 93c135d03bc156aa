//! Too many wrong codes: locked out over a restart, until the window is over or somebody clears it.

use super::pbx::Caller;
use super::running::{Running, ended};
use super::web::{Act, Web, ok};

const WRONG: [&str; 10] = ["1111#"; 10];

async fn outcome(daemon: &Running, caller: Caller) -> String {
    daemon.call(caller).await.outcome()
}

#[tokio::test]
async fn ten_wrong_codes_lock_out_until_somebody_clears_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let web = Web::answering(vec![Act::Send(ok("status=NAK"))]).await;
    let text = format!(
        "[webhook.codes]\nurl = \"{}\"\n[webhook.codes.ivr]\nattempts = 10\nstart_prompt = \"enter\"\n\
         lockout = {{ anonymous = 2 }}\n\
         [webhook.one]\nurl = \"{}\"\n[webhook.one.ivr]\nattempts = 1\nlockout = {{ failures = 1, anonymous = 2 }}\n",
        web.url("/?code={code}"),
        web.url("/one?code={code}"),
    );
    let alice = || Caller::of("codes").typing(&WRONG).from("0612345678");
    let withheld = |number| Caller { withheld: true, ..Caller::of("one").typing(&["1111#"]).from(number) };
    let daemon = Running::start(folder.path(), &text).await;
    assert_eq!(outcome(&daemon, alice()).await, "FAILED nak");
    assert_eq!(web.asked().len(), 10);
    let locked = daemon.call(alice()).await;
    assert_eq!(locked.outcome(), "FAILED locked_out");
    assert!(locked.heard.is_empty() && !locked.answered, "{locked:?}");
    assert_eq!(web.asked().len(), 10);
    // Another caller, and the same one for another webhook, are not.
    assert_eq!(outcome(&daemon, alice().from("0687654321").typing(&["1#"])).await, "FAILED no_input");
    assert_eq!(web.asked().len(), 11);
    // Those who withhold their number share one count, whatever the number is.
    for (number, expected) in [("1", "FAILED nak"), ("2", "FAILED nak"), ("3", "FAILED locked_out")] {
        assert_eq!(outcome(&daemon, withheld(number)).await, expected);
    }
    assert_eq!(outcome(&daemon, Caller::of("one").typing(&["1111#"])).await, "FAILED nak");
    daemon.stop().await;

    let daemon = Running::start(folder.path(), &text).await;
    daemon.says("wrong codes of before this start count", 1).await;
    let before = web.asked().len();
    assert_eq!(outcome(&daemon, alice()).await, "FAILED locked_out");
    assert_eq!(outcome(&daemon, withheld("4")).await, "FAILED locked_out");
    assert_eq!(web.asked().len(), before);

    let list = |args: &[&str]| {
        let said =
            ended(folder.path(), &[&["lockout", "list", "--config", "config.toml", "--json"], args].concat());
        let listed: Vec<serde_json::Value> = serde_json::from_str(&said.stdout).expect("JSON");
        listed
            .iter()
            .filter(|l| !l["locked_until"].is_null())
            .map(|l| l["caller"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(&["--webhook", "codes"]), ["0612345678"]);
    assert_eq!(list(&["--webhook", "one"]), ["", "1001"]);
    let cleared =
        ended(folder.path(), &["lockout", "clear", "--config", "config.toml", "--caller", "0612345678"]);
    assert_eq!(cleared.code, Some(0), "{}", cleared.stderr);
    daemon.says("lockouts were cleared", 1).await;
    assert_eq!(outcome(&daemon, alice()).await, "FAILED nak");
    assert_eq!(outcome(&daemon, withheld("4")).await, "FAILED locked_out");
    let cleared =
        ended(folder.path(), &["lockout", "clear", "--config", "config.toml", "--caller", "anonymous"]);
    assert_eq!(cleared.code, Some(0), "{}", cleared.stderr);
    daemon.says("lockouts were cleared", 2).await;
    assert_eq!(outcome(&daemon, withheld("4")).await, "FAILED nak");
    daemon.stop().await;
}

#[tokio::test]
async fn a_right_code_forgives_the_wrong_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let (wrong, right) = (vec![Act::Send(ok("status=NAK"))], vec![Act::Send(ok("status=ACK"))]);
    let answers = vec![wrong.clone(), right, wrong];
    let web = Web::start(super::web::Manners { answers, ..Default::default() }).await;
    let text = format!(
        "[webhook.codes]\nurl = \"{}\"\n[webhook.codes.ivr]\nattempts = 2\nlockout = {{ failures = 2 }}\n",
        web.url("/?code={code}")
    );
    let daemon = Running::start(folder.path(), &text).await;
    let caller = |keys| Caller::of("codes").typing(keys);
    assert_eq!(outcome(&daemon, caller(&["1#", "2#"])).await, "SUCCESS ok");
    assert_eq!(outcome(&daemon, caller(&["1#", ""])).await, "FAILED no_input");
    assert_eq!(outcome(&daemon, caller(&["1#", "1#"])).await, "FAILED locked_out");
    assert_eq!(outcome(&daemon, caller(&["1#"])).await, "FAILED locked_out");
    daemon.stop().await;
}
