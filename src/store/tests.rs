use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc;

use rusqlite::Connection;
use uuid::Uuid;

use super::*;
use crate::terms::{CallResult, Event, Reason, Step, UserAction, UserEvent, What};

mod deliveries;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn journal(n: u64) -> Journal {
    let started = wall_ms();
    let id = Uuid::from_u64_pair((started.cast_unsigned() << 16) | 0x7000, 0x8000_0000_0000_0000 | n);
    Journal {
        call: id.to_string(),
        started,
        webhook: "vip".to_owned(),
        pbx: "asterisk".to_owned(),
        unique_id: "t1-1795319690.20".to_owned(),
        linked_id: "t1-1795319690.20".to_owned(),
        did: "0201234567".to_owned(),
        callerid: "0612345678".to_owned(),
        result: CallResult::Failed,
        reason: Reason::Nak,
        attempts: 3,
        took_us: n,
        steps: vec![
            Step::new(Duration::ZERO, What::Answered),
            Step::new(
                Duration::from_millis(3),
                What::Finished { variables: vec![("WEBHOOK_RESULT".to_owned(), "FAILED".to_owned())] },
            ),
        ],
    }
}

fn open(path: &Path) -> (Store, mpsc::Receiver<Notice>) {
    let (tell, told) = mpsc::channel();
    let settings = Settings { path: path.to_owned(), retention: YEAR };
    let store =
        Store::open(settings, move |notice| tell.send(notice).expect("the test listens")).expect("a thread");
    (store, told)
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("switchhook.db");
    (folder, path)
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test)
}

fn rows(path: &Path) -> i64 {
    let db = Connection::open(path).expect("a database");
    db.query_row("SELECT count(*) FROM calls", [], |row| row.get(0)).expect("a count")
}

#[test]
fn a_journal_is_read_back_as_it_was_while_the_daemon_runs() {
    let (_folder, path) = folder();
    let (store, _told) = open(&path);
    let (first, second) = (journal(1), journal(2));
    store.journal(first.clone());
    store.journal(second.clone());
    assert!(run(store.committed()));

    let reader = Reader::open(&path).expect("the daemon's database");
    assert_eq!(reader.call(&first.call).expect("the call"), first);
    assert_eq!(reader.call("last").expect("the call").call, second.call);
    assert_eq!(reader.call(&second.call.replace('-', "").to_uppercase()).expect("the call"), second);
    assert!(
        matches!(reader.call(&first.call[..8]), Err(NotFound::Ambiguous { calls, .. }) if calls.len() == 2)
    );
    assert!(matches!(reader.call("ffff"), Err(NotFound::Unknown(_))));
    assert!(matches!(reader.call("no id"), Err(NotFound::NoId(_))));
    let newest: Vec<u64> = reader.newest(10).expect("a list").iter().map(|s| s.took_us).collect();
    assert_eq!(newest, [2, 1]);

    let mode = |end: &str| {
        let file = format!("{}{end}", path.display());
        fs::metadata(file).expect("a file").permissions().mode() & 0o777
    };
    assert_eq!((mode(""), mode("-wal"), mode("-shm")), (0o600, 0o600, 0o600));
}

#[test]
fn many_records_go_in_few_commits_and_closing_writes_what_is_queued() {
    let (_folder, path) = folder();
    let (store, _told) = open(&path);
    for n in 0..5_000 {
        store.journal(journal(n));
    }
    assert!(run(store.close(Duration::from_secs(30))));
    let counts = store.counts();
    assert_eq!((counts.written, counts.dropped), (5_000, 0));
    assert!(counts.commits <= 50, "{counts:?}");
    assert_eq!(rows(&path), 5_000);
    assert!(!run(store.committed()), "the store has ended");
}

#[test]
fn what_does_not_fit_is_dropped_and_counted_and_the_rest_survives_the_lock() {
    let (_folder, path) = folder();
    drop(database::open(&path, writer::BUSY).expect("a database"));
    let other = Connection::open(&path).expect("another process");
    other.execute_batch("BEGIN EXCLUSIVE").expect("its lock");

    let (store, told) = open(&path);
    for n in 0..Store::QUEUE as u64 + 7 {
        store.journal(journal(n));
    }
    assert_eq!(store.counts().dropped, 7);
    assert_eq!(rows(&path), 0);
    other.execute_batch("ROLLBACK").expect("the lock is gone");
    assert_eq!(told.recv().expect("the store opens"), Notice::Loaded(Vec::new()));
    assert!(run(store.close(Duration::from_secs(30))));
    assert_eq!(rows(&path), Store::QUEUE as i64);
}

#[test]
fn a_full_disk_loses_nothing_that_fits_the_queue() {
    let (_folder, path) = folder();
    let (store, told) = open(&path);
    told.recv().expect("the store opens");
    store.shared.max_pages.store(1, Ordering::Relaxed);
    for n in 0..500 {
        store.journal(journal(n));
    }
    while !store.counts().failing {
        std::thread::yield_now();
    }
    assert_eq!(store.counts().written, 0);
    store.shared.max_pages.store(0, Ordering::Relaxed);
    assert!(run(store.committed()));
    assert_eq!((rows(&path), store.counts().failing, store.counts().dropped), (500, false, 0));
}

#[test]
fn closing_a_store_that_cannot_be_written_ends_in_time_and_says_so() {
    let (_folder, path) = folder();
    drop(database::open(&path, writer::BUSY).expect("a database"));
    let other = Connection::open(&path).expect("another process");
    other.execute_batch("BEGIN EXCLUSIVE").expect("its lock");
    let (store, _told) = open(&path);
    store.journal(journal(1));
    let began = Instant::now();
    assert!(!run(store.close(Duration::from_millis(100))));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_corrupt_database_is_moved_aside_and_a_new_one_begun() {
    let cases: [fn(&Path); 4] = [
        |path| {
            fs::write(
                path,
                b"this is no database, and longer than a header of one hundred bytes would be. ".repeat(9),
            )
            .expect("a file")
        },
        |path| damage(path, 20),
        |path| damage(path, 4096 + 3),
        // A page that writing does not come by.
        |path| damage(path, 4096 * 20),
    ];
    for (i, make_corrupt) in cases.into_iter().enumerate() {
        let (folder, path) = folder();
        let (store, _told) = open(&path);
        (0..200).for_each(|n| store.journal(journal(n)));
        assert!(run(store.close(Duration::from_secs(30))), "{i}");
        make_corrupt(&path);

        let (store, _told) = open(&path);
        store.journal(journal(9));
        assert!(run(store.close(Duration::from_secs(30))), "{i}");
        assert_eq!(rows(&path), 1, "{i}");
        let names = fs::read_dir(folder.path()).expect("the folder");
        let aside = names
            .filter(|e| e.as_ref().expect("an entry").file_name().to_string_lossy().contains(".corrupt-"));
        assert_eq!(aside.count(), 1, "{i}");
    }
}

/// Overwrites some bytes. The WAL was merged when the last connection closed.
fn damage(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("the database");
    bytes[at..at + 40].fill(0xA5);
    fs::write(path, bytes).expect("written");
}

#[test]
fn a_database_that_is_not_ours_is_left_alone() {
    for (make, wanted) in [
        ("CREATE TABLE x (y)", "is a database of another program"),
        ("PRAGMA application_id = 0x5377486B; PRAGMA user_version = 99; CREATE TABLE x (y)", "newer version"),
    ] {
        let (_folder, path) = folder();
        Connection::open(&path).expect("a database").execute_batch(make).expect("made");
        let before = fs::read(&path).expect("bytes");
        let (store, _told) = open(&path);
        store.journal(journal(1));
        assert!(!run(store.close(Duration::from_millis(100))));
        assert!(fs::read(&path).expect("bytes") == before, "the file was changed");
        let error = Reader::open(&path).expect_err("not ours").to_string();
        assert!(error.contains(wanted), "{error}");
    }
    let (_folder, path) = folder();
    assert!(Reader::open(&path).expect_err("nothing there").to_string().contains("there is no store at"));
    fs::write(&path, "no database at all, by far ".repeat(9)).expect("a file");
    assert!(Reader::open(&path).expect_err("no database").to_string().contains("is not a database"));
}

#[test]
fn wrong_codes_outlive_a_restart_and_a_clear_reaches_the_running_daemon() {
    let (_folder, path) = folder();
    let now = wall_ms();
    let (store, _told) = open(&path);
    for (caller, at) in [("0612345678", now - 3), ("", now - 2), ("0687654321", now - 1), ("0699999999", now)]
    {
        store.wrong_code("vip", caller, at);
    }
    store.wrong_code("vip", "0600000000", now - 30 * 24 * 3600 * 1000);
    store.right_code("vip", "0687654321");
    assert!(run(store.close(Duration::from_secs(30))));

    // Asked for while no daemon runs.
    assert_eq!(clear_lockouts(&path, Some("vip"), Some("0699999999"), "anna").expect("cleared"), 1);
    let (store, told) = open(&path);
    let Notice::Loaded(loaded) = told.recv().expect("a notice") else { panic!("the wrong codes come first") };
    let callers: Vec<&str> = loaded.iter().map(|w| w.caller.as_str()).collect();
    assert_eq!(callers, ["0600000000", "0612345678", ""]);
    assert!(matches!(told.recv(), Ok(Notice::Cleared { .. })));

    // And while it does.
    let failures = Reader::open(&path).expect("a database").failures().expect("a list");
    assert_eq!(failures[0], Failures { webhook: "vip".into(), caller: String::new(), at: vec![now - 2] });
    assert_eq!(clear_lockouts(&path, None, Some("0612345678"), "anna").expect("cleared"), 1);
    let cleared = Notice::Cleared { webhook: None, caller: Some("0612345678".to_owned()) };
    while told.recv_timeout(Duration::from_secs(30)).expect("a notice") != cleared {}
    drop(store);
}

#[test]
fn calls_older_than_the_retention_go() {
    let (_folder, path) = folder();
    let (store, _told) = open(&path);
    for n in 0..1_200 {
        let mut old = journal(n);
        old.started -= i64::try_from(YEAR.as_millis()).expect("ms") + 60_000;
        store.journal(old);
    }
    store.journal(journal(5_000));
    assert!(run(store.close(Duration::from_secs(30))));

    let (store, _told) = open(&path);
    while rows(&path) > 1 {
        std::thread::yield_now();
    }
    drop(store);
}

fn defined(told: &mpsc::Receiver<Notice>) -> Vec<(String, String)> {
    let named = |definition: Definition| (definition.name, definition.body);
    loop {
        if let Notice::Defined(definitions) = told.recv_timeout(Duration::from_secs(30)).expect("a notice") {
            return definitions.into_iter().map(named).collect();
        }
    }
}

#[test]
fn definitions_reach_the_running_daemon_and_outlive_a_corrupt_database() {
    let (_folder, path) = folder();
    // Made by an older version: a change upgrades it.
    database::create_version(&path, 2);
    let texts = |body: &str| [("crm".to_owned(), body.to_owned()), ("chat".to_owned(), "b".to_owned())];
    assert_eq!(put_subscriptions(&path, &texts("a"), "anna").expect("put"), [Put::Created, Put::Created]);
    let (store, told) = open(&path);
    let both = |body: &str| vec![("chat".into(), "b".into()), ("crm".into(), body.into())];
    assert_eq!(defined(&told), both("a"));
    assert_eq!(put_subscriptions(&path, &texts("c"), "anna").expect("put"), [Put::Changed, Put::Same]);
    assert_eq!(defined(&told), both("c"));

    // Its file is lost while it runs.
    fs::write(&path, "no database at all, by far ".repeat(500)).expect("a file");
    while Reader::open(&path).and_then(|reader| reader.definitions()).is_err() {
        store.journal(journal(1));
        std::thread::yield_now();
    }
    assert!(run(store.committed()));
    let kept = Reader::open(&path).expect("a new one").definitions().expect("definitions");
    assert_eq!(
        kept.iter().map(|d| (d.name.as_str(), d.body.as_str())).collect::<Vec<_>>(),
        [("chat", "b"), ("crm", "c")]
    );
    assert!(remove_subscription(&path, "crm", "anna").expect("removed"));
    assert!(!remove_subscription(&path, "crm", "anna").expect("not there"));
    assert_eq!(defined(&told), [("chat".to_owned(), "b".to_owned())]);
    assert!(run(store.close(Duration::from_secs(30))));
}

#[test]
fn a_change_is_told_once_however_often_it_is_handed_over() {
    let (_folder, path) = folder();
    let (store, told) = open(&path);
    let event = UserEvent {
        timestamp: wall_ms(),
        actor: "file".to_owned(),
        action: UserAction::Created,
        object: "webhook".to_owned(),
        object_name: "vip".to_owned(),
    };
    run(store.note(vec![event.clone()])).expect("room");
    let untold = loop {
        if let Notice::Changed(untold) = told.recv_timeout(Duration::from_secs(30)).expect("a notice") {
            break untold;
        }
    };
    assert_eq!(untold.iter().map(|untold| &untold.event).collect::<Vec<_>>(), [&event]);
    let recipient = Recipient { subscription: "audit".to_owned(), expires: None, strict: true };
    let new = NewEvent { event: Event::User(event), to: vec![recipient] };
    for _ in 0..2 {
        run(store.tell(untold[0].id, new.clone())).expect("room");
    }
    assert!(run(store.close(Duration::from_secs(30))));
    assert_eq!(
        Reader::open(&path).expect("a database").deliveries(&Filter::default()).expect("a list").len(),
        1
    );
    // Nor is it handed over after a restart.
    let (store, told) = open(&path);
    assert!(run(store.close(Duration::from_secs(30))));
    assert!(told.iter().all(|notice| !matches!(notice, Notice::Changed(_))));
}
