//! A store that is stopped delays nobody.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use switchhook::store::Reader;

use super::pbx::Caller;
use super::running::Running;
use super::web::{Act, Web, ok};

/// How long the store itself waits for a lock before it says that it cannot write.
const STORE_WAITS: Duration = Duration::from_millis(500);

const CALLS: u32 = 100;

#[tokio::test]
async fn calls_go_on_while_another_process_holds_the_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("switchhook.db");
    let web = Web::answering(vec![Act::Send(ok("status=ACK"))]).await;
    let text = format!(
        "[webhook.codes]\nurl = \"{}\"\n[webhook.codes.ivr]\nattempts = 1\npattern = \"1+\"\nlockout = {{ failures = 1 }}\n",
        web.url("/?code={code}")
    );
    Running::start(folder.path(), &text).await.stop().await;
    let lock = Connection::open(&path).expect("the database");
    lock.execute_batch("BEGIN EXCLUSIVE; CREATE TABLE held (x)").expect("the lock");

    let daemon = Running::start(folder.path(), &text).await;
    let begun = Instant::now();
    for _ in 0..CALLS {
        assert_eq!(daemon.call(Caller::of("codes").typing(&["1#"])).await.outcome(), "SUCCESS ok");
    }
    // Not one in five waited for the store.
    assert!(begun.elapsed() < STORE_WAITS * CALLS / 5, "{:?}", begun.elapsed());
    daemon.says("the store cannot be written; calls go on", 1).await;
    // What callers did is known all the same.
    assert_eq!(daemon.call(Caller::of("codes").typing(&["2#"])).await.outcome(), "FAILED nak");
    assert_eq!(daemon.call(Caller::of("codes").typing(&["1#"])).await.outcome(), "FAILED locked_out");

    lock.execute_batch("ROLLBACK").expect("the end of the lock");
    daemon.says("the store works again", 1).await;
    daemon.stop().await;
    let kept = Reader::open(&path).expect("a store").newest(1_000).expect("the calls");
    assert_eq!(kept.len(), CALLS as usize + 2);
}
