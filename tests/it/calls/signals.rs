//! Reload, stop and exit codes of the program itself.

use std::fs;
use std::net::{SocketAddr, TcpListener};

use rustix::process::Signal;
use switchhook::store::Reader;
use tokio_util::sync::CancellationToken;

use super::pbx::Caller;
use super::running::{Running, configure, ended, refused};
use super::web::{Act, Manners, Saw, Web, ok};

/// A good answer, as soon as the token is cancelled.
async fn patient() -> (Web, CancellationToken) {
    let go = CancellationToken::new();
    (Web::answering(vec![Act::When(go.clone()), Act::Send(ok("status=ACK&new=1"))]).await, go)
}

fn asked(saw: &Saw) -> bool {
    matches!(saw, Saw::Asked(..))
}

async fn reload(daemon: &Running, folder: &tempfile::TempDir, text: &str, times: usize) {
    configure(folder.path(), text);
    daemon.signal(Signal::HUP);
    daemon.says("read the configuration again", times).await;
}

#[tokio::test]
async fn a_reload_is_for_the_calls_to_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let (slow, go) = patient().await;
    let web = Web::answering(vec![Act::Send(ok("status=NAK"))]).await;
    let hook =
        |more: &str| format!("[webhook.slow]\nurl = \"{}\"\ntimeout = \"10s\"\n{more}\n", slow.url("/"));
    let codes = format!(
        "[webhook.codes]\nurl = \"{}\"\n[webhook.codes.ivr]\nattempts = 1\nlockout = {{ failures = 2 }}\n",
        web.url("/?code={code}")
    );
    let daemon = Running::start(folder.path(), &format!("{}{codes}", hook(""))).await;
    assert_eq!(daemon.call(Caller::of("new")).await.outcome(), "FAILED unknown_webhook");
    assert_eq!(daemon.call(Caller::of("codes").typing(&["1111#"])).await.outcome(), "FAILED nak");

    let during = async {
        slow.until(1, asked).await;
        let new = format!("[webhook.new]\nurl = \"{}\"\n", web.url("/new"));
        let changed = hook("variables = { new = \"CRM_NEW\" }");
        reload(&daemon, &folder, &format!("{changed}{codes}{new}"), 1).await;
        assert_eq!(daemon.call(Caller::of("new")).await.outcome(), "FAILED nak");
        assert_eq!(daemon.call(Caller::of("codes").typing(&["1111#"])).await.outcome(), "FAILED nak");
        assert_eq!(daemon.call(Caller::of("codes").typing(&["1111#"])).await.outcome(), "FAILED locked_out");

        configure(folder.path(), "[webhook.slow]\nurl = \"ftp://x/\"\ntimeout = \"20s\"\n");
        daemon.signal(Signal::HUP);
        daemon.says("nothing was changed", 1).await;
        daemon.says("timeout must be 1s to 10s", 1).await;
        assert_eq!(daemon.call(Caller::of("new")).await.outcome(), "FAILED nak");
        go.cancel();
    };
    let (old, ()) = tokio::join!(daemon.call(Caller::of("slow")), during);
    assert_eq!((old.outcome(), old.variables.get("CRM_NEW")), ("SUCCESS ok".to_owned(), None));
    assert_eq!(daemon.call(Caller::of("slow")).await.variable("CRM_NEW"), "1");
    daemon.stop().await;
}

#[tokio::test]
async fn a_reload_applies_who_may_come_and_tells_what_it_cannot_apply() {
    let folder = tempfile::tempdir().expect("a folder");
    let (slow, go) = patient().await;
    let hook = format!("[webhook.slow]\nurl = \"{}\"\ntimeout = \"10s\"\n", slow.url("/"));
    let daemon = Running::start(folder.path(), &hook).await;
    let fastagi = |more: &str| format!("[fastagi]\nlisten = \"127.0.0.1:0\"\n{more}\n{hook}");
    let during = async {
        slow.until(1, asked).await;
        reload(&daemon, &folder, &fastagi("max_calls = 1"), 1).await;
        assert_eq!(daemon.call(Caller::of("slow")).await.outcome(), "FAILED overload");
        go.cancel();
    };
    let (seen, ()) = tokio::join!(daemon.call(Caller::of("slow")), during);
    assert_eq!(seen.outcome(), "SUCCESS ok");

    reload(&daemon, &folder, &fastagi("allow = [\"192.0.2.1\"]"), 2).await;
    assert_eq!(daemon.call(Caller::of("slow")).await.outcome(), " ");
    assert!(!daemon.said().contains("need a restart"), "{}", daemon.said());

    // Told as long as it is so.
    let moved = format!("[fastagi]\nlisten = \"127.0.0.2:0\"\n{hook}");
    for times in 1..=2 {
        reload(&daemon, &folder, &moved, 2 + times).await;
        daemon.says("these changed keys need a restart", times).await;
    }
    assert!(daemon.said().contains("fastagi.listen"), "{}", daemon.said());
    reload(&daemon, &folder, &fastagi(""), 5).await;
    assert_eq!(daemon.call(Caller::of("slow")).await.outcome(), "SUCCESS ok");
    let said = daemon.said();
    assert_eq!(said.matches("need a restart").count(), 2, "as it runs, nothing is to be restarted: {said}");

    // No listener at all: as at a start.
    fs::write(folder.path().join("config.toml"), &hook).expect("a file");
    daemon.signal(Signal::HUP);
    daemon.says("nothing was changed", 1).await;
    assert_eq!(daemon.call(Caller::of("slow")).await.outcome(), "SUCCESS ok");
    daemon.stop().await;
}

#[tokio::test]
async fn an_open_call_ends_well_although_the_daemon_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let (slow, go) = patient().await;
    let hook = format!("[webhook.slow]\nurl = \"{}\"\ntimeout = \"10s\"\n", slow.url("/"));
    let daemon = Running::start(folder.path(), &hook).await;
    let during = async {
        slow.until(1, asked).await;
        daemon.signal(Signal::TERM);
        refused(daemon.address).await;
        go.cancel();
    };
    let (seen, ()) = tokio::join!(daemon.call(Caller::of("slow")), during);
    assert_eq!(seen.outcome(), "SUCCESS ok");
    let (code, said) = daemon.end().await;
    assert_eq!(code, Some(0), "{said}");
    let reader = Reader::open(&folder.path().join("switchhook.db")).expect("a store");
    let journal = reader.call(seen.variable("WEBHOOK_CALL")).expect("the last call");
    assert_eq!(journal.reason.as_str(), "ok");
}

#[tokio::test]
async fn who_stops_it_twice_does_not_wait_for_open_calls() {
    let folder = tempfile::tempdir().expect("a folder");
    let slow = Web::start(Manners { answers: vec![vec![Act::Hold]], ..Manners::default() }).await;
    let hook = format!("[webhook.slow]\nurl = \"{}\"\ntimeout = \"10s\"\n", slow.url("/"));
    let daemon = Running::start(folder.path(), &hook).await;
    let during = async {
        slow.until(1, asked).await;
        daemon.signal(Signal::TERM);
        daemon.says("stopping", 1).await;
        refused(daemon.address).await;
        daemon.signal(Signal::TERM);
    };
    let (seen, ()) = tokio::join!(daemon.call(Caller::of("slow")), during);
    assert_eq!(seen.outcome(), "FAILED shutdown");
    let (code, said) = daemon.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("calls were told to leave"), "{said}");
}

#[test]
fn exit_codes() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let taken = taken.local_addr().expect("an address");
    for (text, args, code, said) in [
        ("", &["run", "--cnofig", "x"][..], 64, "--config"),
        ("", &["run", "--config", "none.toml"], 78, "none.toml cannot be read: there is no such file"),
        (
            "[fastagi]\nlisten = \"x\"\n",
            &["run", "--config", "c.toml"],
            78,
            "listen must be an IP address and a port",
        ),
        ("[numbers]\n", &["run", "--config", "c.toml"], 78, "add [fastagi] for Asterisk"),
        (
            &format!("[fastagi]\nlisten = \"{taken}\"\n"),
            &["run", "--config", "c.toml"],
            1,
            &format!("cannot listen on {taken}: Address already in use"),
        ),
    ] {
        fs::write(folder.path().join("c.toml"), text).expect("a file");
        let ended = ended(folder.path(), args);
        assert_eq!(ended.code, Some(code), "{text}{args:?}\n{}", ended.stderr);
        assert!(ended.stderr.contains(said), "{text}{args:?}\n{}", ended.stderr);
    }
}
