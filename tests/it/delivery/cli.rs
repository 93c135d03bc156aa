//! The command line beside a running daemon: this process is the daemon.

use serde_json::Value;
use switchhook::terms::Subscription;

use super::receiver::{Manner, Receiver};
use super::{acceptance, event, open, plan, start, subscriptions};
use crate::program::{Said, command, run};

#[test]
fn people_see_what_was_told_and_change_it_while_the_daemon_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("switchhook.db");
    let receiver = Receiver::start(Manner::Well);
    let address = receiver.address.to_string();
    let told = subscriptions([plan("crm", &address, Subscription::SCHEDULE.to_vec())]);
    let store = open(&path);
    let _delivery = start(&store, told.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let accept = |seq| {
        let on_disk = store.accept(acceptance(&told, event("call", seq))).expect("room");
        assert!(runtime.block_on(on_disk.wait()));
    };
    let said = |args: &[&str]| -> Said {
        run(&mut command(folder.path(), &[args, &["--store", "switchhook.db"]].concat()))
    };
    let parsed = |args: &[&str]| -> Value {
        let said = said(&[args, &["--json"]].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        serde_json::from_str(&said.stdout).expect("JSON")
    };
    // It is delivered when the store says so, a moment after the receiver has it.
    let delivered = |count: usize| {
        while parsed(&["deliveries", "list", "--status", "delivered"]).as_array().expect("a list").len()
            < count
        {}
    };

    accept(1);
    receiver.wait(|arrivals| arrivals.len() == 1);
    delivered(1);
    let list = parsed(&["deliveries", "list", "--subscription", "crm", "--number", "345678"]);
    let id = list[0]["id"].as_str().expect("an id");
    assert_eq!((&list[0]["event"], &list[0]["attempts"]), (&"ringing".into(), &1.into()));
    let shown = parsed(&["deliveries", "show", id]);
    assert_eq!(shown["content"]["calluniqueid"], "call");
    assert_eq!(shown["log"][0]["request"]["url"], format!("http://{address}/call/1"));
    assert!(
        shown["log"][0]["answer"].as_str().is_some_and(|a| a.starts_with("HTTP 200") && a.ends_with("ok"))
    );
    let text = said(&["deliveries", "show", id]).stdout;
    assert!(text.contains(": ok 200") && text.contains("  < ok"), "{text}");

    assert_eq!(parsed(&["deliveries", "retry", id])["retried"], 1);
    let arrivals = receiver.wait(|arrivals| arrivals.len() == 2);
    assert_eq!((&arrivals[1].id, arrivals[1].id.as_str()), (&arrivals[0].id, id));

    // What is paused is kept, can be stopped, and is told when it goes on.
    assert_eq!(parsed(&["subscription", "pause", "crm"])["paused"], true);
    accept(2);
    accept(3);
    let waiting = parsed(&["deliveries", "list", "--status", "paused"]);
    assert_eq!(waiting.as_array().expect("a list").len(), 2);
    assert_eq!(parsed(&["subscription", "list"])[0]["pending"], 2);
    let second = waiting[1]["id"].as_str().expect("an id");
    assert_eq!(parsed(&["deliveries", "cancel", second])["cancelled"], 1);
    assert_eq!(parsed(&["subscription", "resume", "crm"])["resumed"], true);
    let arrivals = receiver.wait(|arrivals| arrivals.len() == 3);
    assert_eq!(arrivals[2].seq, 3);

    let tested = said(&["subscription", "test", "crm"]);
    assert!(tested.stdout.starts_with("crm was told: ok (HTTP 200)"), "{tested:?}");
    let arrivals = receiver.wait(|arrivals| arrivals.len() == 4);
    assert!(arrivals[3].call.starts_with("test-"));

    // Changing everything by mistake takes more than an empty line.
    assert_eq!(said(&["deliveries", "retry"]).code, Some(64));
    assert_eq!(parsed(&["deliveries", "retry", "--subscription", "crm"])["retried"], 0);
    assert_eq!(said(&["deliveries", "list", "--from", "yesterday"]).code, Some(64));
    assert_eq!(parsed(&["deliveries", "list", "--to", "2020-01-01"]), serde_json::json!([]));
}
