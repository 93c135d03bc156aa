//! Events accepted and told, with the clock an argument where the writer allows it.

use super::super::deliveries::{accept, claim, delete_before, finish, recover};
use super::*;
use crate::terms::{CallEvent, Direction, Event, EventKind};
use crate::track::{ChannelEvent, ChannelInfo, Output, State, Tracker, Trunks};

const T0: i64 = 1_795_319_690_000;
const DAY: i64 = 24 * 3_600_000;

fn event(call: &str, seq: u32) -> Event {
    let known = serde_json::json!({
        "event": "ringing", "seq": seq, "synthetic": false, "pbx": "main", "calluniqueid": call,
        "other_calluniqueid": "", "direction": "in", "callfrom": "0612345678", "callto": "201", "did": "0201234567",
        "callerid": "", "callername": "", "extension": "", "disposition": null, "reason": null, "hangup_cause": null,
        "timestamp": T0, "start": T0, "ringing": null, "answer": null, "end": null, "duration": 0, "talk_time": 0,
        "call": "", "queue": "", "account": "", "recording": "", "var": {},
    });
    let event: CallEvent = serde_json::from_value(known).expect("an event");
    assert_eq!((event.event, event.direction), (EventKind::Ringing, Direction::In));
    Event::Call(Box::new(event))
}

fn to(names: &[&str]) -> Vec<Recipient> {
    let recipient = |name: &&str| Recipient { subscription: (*name).to_owned(), expires: None, strict: true };
    names.iter().map(recipient).collect()
}

fn new(call: &str, seq: u32, names: &[&str]) -> NewEvent {
    NewEvent { event: event(call, seq), to: to(names) }
}

fn accepted(db: &Connection, events: Vec<NewEvent>) {
    accept(db, T0, &Acceptance { events, calls: Vec::new() }).expect("accepted");
}

fn wants(names: &[&str]) -> Vec<Want> {
    names.iter().map(|name| Want { subscription: (*name).to_owned(), at_most: 100 }).collect()
}

/// What is claimed then, as (call, seq, attempt).
fn claimed(db: &Connection, now: i64) -> Vec<Claimed> {
    claim(db, now, &wants(&["crm"])).expect("claims").claimed
}

fn named(claims: &[Claimed]) -> Vec<String> {
    let name = |c: &Claimed| match &c.event {
        Event::Call(e) => format!("{}.{}#{}", e.calluniqueid, e.seq, c.attempt),
        Event::User(_) => "user".to_owned(),
    };
    claims.iter().map(name).collect()
}

fn made(claimed: &Claimed, ended: i64, next: Next) -> Made {
    Made {
        id: claimed.id,
        attempt: claimed.attempt,
        ended,
        took_us: 1,
        result: if next == Next::Delivered { "ok" } else { "connect" }.to_owned(),
        http_status: None,
        detail: String::new(),
        peer: String::new(),
        request: String::new(),
        answer: String::new(),
        next,
    }
}

fn done(db: &Connection, claimed: &Claimed, ended: i64, next: Next) -> Option<&'static str> {
    finish(db, &made(claimed, ended, next)).expect("written").map(|(_, why)| why)
}

fn database() -> (tempfile::TempDir, PathBuf, Connection) {
    let (folder, path) = folder();
    let db = database::open(&path, writer::BUSY).expect("a database");
    (folder, path, db)
}

fn states(path: &Path) -> Vec<String> {
    let all = Reader::open(path).expect("a database").deliveries(&Filter::default()).expect("a list");
    all.iter().rev().map(|d| format!("{}.{} {}", d.calluniqueid, d.seq, d.state.as_str())).collect()
}

#[test]
fn an_event_waits_for_the_one_before_it_of_its_call() {
    let (_folder, _path, db) = database();
    accepted(&db, vec![new("a", 1, &["crm"]), new("a", 2, &["crm"]), new("b", 1, &["crm"])]);
    accepted(&db, vec![new("a", 3, &["crm"])]);
    let first = claimed(&db, T0);
    assert_eq!(named(&first), ["a.1#1", "b.1#1"]);
    assert!(claimed(&db, T0 + DAY).is_empty(), "they are being tried");
    done(&db, &first[0], T0 + 5, Next::Delivered);
    let second = claimed(&db, T0 + 5);
    assert_eq!(named(&second), ["a.2#1"]);
    done(&db, &second[0], T0 + 6, Next::Exhausted);
    assert_eq!(named(&claimed(&db, T0 + 6)), ["a.3#1"]);
}

#[test]
fn after_three_failures_the_next_one_waits_no_longer() {
    let (_folder, _path, db) = database();
    accepted(&db, vec![new("a", 1, &["crm"]), new("a", 2, &["crm"]), new("a", 3, &["crm"])]);
    for attempt in 1..=3 {
        let now = T0 + 10 * i64::from(attempt);
        let first = claimed(&db, now);
        assert_eq!(named(&first), [format!("a.1#{attempt}")]);
        assert_eq!(first[0].failed, attempt - 1);
        done(&db, &first[0], now, Next::Again(now + 10));
    }
    // The third one still waits for the second one.
    assert_eq!(named(&claimed(&db, T0 + 30)), ["a.2#1"]);
    assert_eq!(named(&claimed(&db, T0 + 40)), ["a.1#4"]);
}

#[test]
fn events_without_an_order_pass_each_other() {
    let (_folder, _path, db) = database();
    let mut events = vec![new("a", 1, &["crm"]), new("a", 2, &["crm"])];
    events.iter_mut().for_each(|e| e.to[0].strict = false);
    accepted(&db, events);
    assert_eq!(named(&claimed(&db, T0)), ["a.1#1", "a.2#1"]);
}

#[test]
fn what_is_too_late_expires_and_releases_the_next() {
    let (_folder, path, db) = database();
    let mut events = vec![new("a", 1, &["crm"]), new("a", 2, &["crm"]), new("a", 3, &["crm"])];
    events[0].to[0].expires = Some(T0 + 100);
    events[1].to[0].expires = Some(T0 + 100);
    accepted(&db, events);
    assert_eq!(named(&claimed(&db, T0 + 100)), ["a.3#1"]);
    assert_eq!(states(&path), ["a.1 expired", "a.2 expired", "a.3 pending"]);
}

#[test]
fn an_event_that_was_accepted_before_is_not_told_again() {
    let (_folder, path, db) = database();
    accepted(&db, vec![new("a", 1, &["crm", "slack"])]);
    accepted(&db, vec![new("a", 1, &["crm", "slack"]), new("a", 2, &[])]);
    assert_eq!(states(&path).len(), 2);
}

#[test]
fn a_claim_says_when_to_ask_again() {
    let (_folder, _path, db) = database();
    accepted(&db, vec![new("a", 1, &["crm"]), new("b", 1, &["slack"])]);
    let first = claimed(&db, T0);
    done(&db, &first[0], T0, Next::Again(T0 + 5_000));
    let asked = claim(&db, T0, &wants(&["crm"])).expect("claims");
    assert_eq!((asked.claimed.len(), asked.next), (0, Some(T0 + 5_000)));
    assert_eq!(claim(&db, T0, &wants(&["other"])).expect("claims"), Claims::default());
}

#[test]
fn a_subscription_that_is_gone_or_fails_for_five_days_is_paused_and_goes_on_where_it_was() {
    let (_folder, path, db) = database();
    accepted(&db, vec![new("a", 1, &["crm"])]);
    let first = claimed(&db, T0);
    assert_eq!(done(&db, &first[0], T0, Next::Gone(T0 + 5)), Some("gone"));
    assert!(claimed(&db, T0 + 5).is_empty());
    assert_eq!(states(&path), ["a.1 paused"]);
    assert!(resume_subscription(&path, "crm", "anna").expect("resumed"));
    assert!(!resume_subscription(&path, "crm", "anna").expect("not paused"));
    let again = claimed(&db, T0 + 5);
    assert_eq!(named(&again), ["a.1#2"]);

    assert_eq!(done(&db, &again[0], T0 + 10, Next::Again(T0 + 20)), None);
    let again = claimed(&db, T0 + 20);
    assert_eq!(done(&db, &again[0], T0 + 9 + 5 * DAY, Next::Again(T0 + 30)), None);
    let again = claimed(&db, T0 + 30);
    assert_eq!(done(&db, &again[0], T0 + 10 + 5 * DAY, Next::Again(T0 + 40)), Some("failing"));
    let state = &Reader::open(&path).expect("a database").subscriptions().expect("a list")[0];
    assert_eq!((state.paused.as_deref(), state.pending), (Some("failing"), 1));

    // One success, and the days are counted anew.
    assert!(resume_subscription(&path, "crm", "anna").expect("resumed"));
    let again = claimed(&db, T0 + 6 * DAY);
    done(&db, &again[0], T0 + 6 * DAY, Next::Delivered);
    accepted(&db, vec![new("b", 1, &["crm"])]);
    let first = claimed(&db, T0 + 12 * DAY);
    assert_eq!(done(&db, &first[0], T0 + 12 * DAY, Next::Again(T0 + 13 * DAY)), None);
    assert!(pause_subscription(&path, "crm", "anna").expect("paused"));
    assert!(!pause_subscription(&path, "crm", "anna").expect("paused already"));
    assert!(claimed(&db, T0 + 13 * DAY).is_empty());
}

#[test]
fn attempts_that_were_cut_off_are_due_again_with_the_same_id() {
    let (_folder, path, db) = database();
    accepted(&db, vec![new("a", 1, &["crm"]), new("b", 1, &["crm"]), new("a", 2, &["crm"])]);
    let first = claimed(&db, T0);
    // This one is still being made by this very daemon.
    let own = first[1].id;
    assert_eq!(recover(&db, T0 + 7, &|id| id == own).expect("recovered"), 1);
    let again = claimed(&db, T0 + 7);
    assert_eq!(named(&again), ["a.1#2"]);
    assert_eq!((again[0].id, again[0].failed), (first[0].id, 0));
    // The result of the attempt that was cut off comes too late to matter.
    done(&db, &first[0], T0 + 8, Next::Exhausted);
    let reader = Reader::open(&path).expect("a database");
    let (delivery, _, attempts) = reader.delivery(&first[0].id.to_string()).expect("the delivery");
    let results: Vec<Option<&str>> = attempts.iter().map(|a| a.result.as_deref()).collect();
    assert_eq!((delivery.state, results), (DeliveryState::Pending, vec![Some("interrupted"), None]));

    // A due time from a clock that was years ahead.
    done(&db, &again[0], T0 + 8, Next::Again(T0 + 3_650 * DAY));
    recover(&db, T0, &|_| false).expect("recovered");
    assert_eq!(named(&claimed(&db, T0 + 2 * DAY)), ["b.1#2", "a.1#3"]);
}

#[test]
fn people_have_deliveries_tried_again_or_stopped() {
    let (_folder, path, db) = database();
    accepted(&db, vec![new("a", 1, &["crm"]), new("a", 2, &["crm"]), new("b", 1, &["crm", "slack"])]);
    let of = |call: &str, seq: u32| {
        let all = Reader::open(&path).expect("a database").deliveries(&Filter::default()).expect("a list");
        let found =
            all.into_iter().find(|d| d.calluniqueid == call && d.seq == seq && d.subscription == "crm");
        Filter { ids: vec![found.expect("a delivery").id.parse().expect("an id")], ..Filter::default() }
    };
    let first = claimed(&db, T0);
    done(&db, &first[0], T0, Next::Exhausted);
    let now = wall_ms() + 60_000;
    let second = claimed(&db, now);
    assert_eq!(named(&second), ["a.2#1"]);
    // Nothing waits for what is asked for again, and it has its whole schedule.
    assert_eq!(retry_deliveries(&path, &of("a", 1), "anna").expect("again"), 1);
    let again = claimed(&db, now);
    assert_eq!((named(&again), again[0].failed), (vec!["a.1#2".to_owned()], 0));
    assert_eq!(retry_deliveries(&path, &of("a", 1), "anna").expect("on its way"), 0);

    // Stopped while it was on its way: it arrived, or it is over.
    assert_eq!(cancel_deliveries(&path, &of("a", 1), "anna").expect("stopped"), 1);
    done(&db, &again[0], now, Next::Again(now));
    assert_eq!(cancel_deliveries(&path, &of("a", 2), "anna").expect("stopped"), 1);
    done(&db, &second[0], now, Next::Delivered);
    assert_eq!(states(&path), ["a.1 cancelled", "a.2 delivered", "b.1 pending", "b.1 pending"]);
    let slack = Filter { subscription: Some("slack".to_owned()), ..Filter::default() };
    assert_eq!(cancel_deliveries(&path, &slack, "anna").expect("stopped"), 1);
    assert!(claim(&db, now, &wants(&["slack"])).expect("claims").claimed.is_empty());
    // Who did it is written down, where something was done.
    let changes = changes::untold(&db).expect("a list").into_iter().map(|untold| untold.event);
    let done: Vec<_> = changes
        .map(|c| format!("{} {} {} {}", c.actor, c.action.as_str(), c.object, c.object_name))
        .collect();
    let (replayed, deleted) = ("anna replayed deliveries crm", "anna deleted deliveries");
    let deleted = [format!("{deleted} crm"), format!("{deleted} crm"), format!("{deleted} slack")];
    assert_eq!(done, [&[replayed.to_owned()], &deleted[..]].concat());

    let count =
        |filter: Filter| Reader::open(&path).expect("a database").deliveries(&filter).expect("a list").len();
    let word = |text: &str| Some(text.to_owned());
    assert_eq!(count(Filter { state: Some(DeliveryState::Cancelled), ..Filter::default() }), 2);
    assert_eq!(count(Filter { number: word("12345678"), ..Filter::default() }), 4);
    assert_eq!(count(Filter { number: word("201"), limit: Some(3), ..Filter::default() }), 3);
    assert_eq!(count(Filter { number: word("202"), ..Filter::default() }), 0);
    assert_eq!(count(Filter { event: word("connected"), ..Filter::default() }), 0);
    assert_eq!(count(Filter { from: Some(T0), to: Some(T0 + 1), ..Filter::default() }), 4);
    assert_eq!(count(Filter { from: Some(T0 + 1), ..Filter::default() }), 0);
    assert_eq!(count(Filter { to: Some(T0), ..Filter::default() }), 0);
}

#[test]
fn what_is_too_old_goes_and_what_waited_for_it_does_not() {
    let (_folder, path, db) = database();
    accepted(&db, vec![new("a", 1, &["crm"])]);
    accept(&db, T0 + 100, &Acceptance { events: vec![new("a", 2, &["crm"])], calls: Vec::new() })
        .expect("accepted");
    let first = claimed(&db, T0);
    done(&db, &first[0], T0, Next::Again(T0 + DAY));
    assert!(!delete_before(&db, T0 + 100, T0 + 200).expect("deleted"));
    assert_eq!(named(&claimed(&db, T0 + 200)), ["a.2#1"]);
    assert_eq!(states(&path), ["a.2 pending"]);
    let left: i64 = db.query_row("SELECT count(*) FROM attempts", [], |row| row.get(0)).expect("a count");
    assert_eq!(left, 1);
}

fn open_call() -> (CallState, Event) {
    let mut tracker = Tracker::new("main".to_owned(), Trunks::new(["PJSIP/trunk-*"]));
    let info = ChannelInfo {
        unique_id: "1.1".to_owned(),
        linked_id: "1.1".to_owned(),
        name: "PJSIP/trunk-1".to_owned(),
        state: Some(State::Down),
        exten: "201".to_owned(),
        ..ChannelInfo::default()
    };
    let now = Instant::now();
    tracker.snapshot(now, T0, now, &[]);
    tracker.handle_event(now, T0, ChannelEvent::Created(info));
    tracker.handle_timeout(now + Duration::from_secs(1), T0);
    loop {
        match tracker.poll_output() {
            Output::Event(event) => {
                let open = tracker.open_call(&event.calluniqueid).cloned();
                assert!(open.is_some());
                let calluniqueid = event.calluniqueid.clone();
                return (CallState { pbx: "main".to_owned(), calluniqueid, open }, Event::Call(event));
            }
            Output::Warning(_) => {}
            Output::Wait(_) => panic!("a call was to begin"),
        }
    }
}

#[test]
fn open_calls_are_kept_with_their_events_over_a_restart() {
    let (_folder, path) = folder();
    let (state, event) = open_call();
    let begun = Acceptance { events: vec![NewEvent { event, to: to(&["crm"]) }], calls: vec![state.clone()] };
    let (store, _told) = open(&path);
    run(async {
        assert!(store.accept(begun).expect("room").wait().await);
        let claims = store.claim(wants(&["crm"])).await.expect("claims");
        assert_eq!(claims.claimed.len(), 1);
        assert!(store.close(Duration::from_secs(30)).await);
    });
    let (store, _told) = open(&path);
    run(async {
        let json = |call: &OpenCall| serde_json::to_string(call).expect("JSON");
        let restored = store.open_calls().await.expect("calls");
        assert_eq!(restored.len(), 1);
        assert_eq!(restored[0].0, "main");
        assert_eq!(json(&restored[0].1), json(state.open.as_ref().expect("open")));
        let again = store.claim(wants(&["crm"])).await.expect("claims");
        assert_eq!(again.claimed[0].attempt, 2);
        let over = CallState { open: None, ..state };
        assert!(
            store.accept(Acceptance { events: Vec::new(), calls: vec![over] }).expect("room").wait().await
        );
        assert!(store.open_calls().await.expect("calls").is_empty());
    });
}

#[test]
fn a_full_disk_accepts_nothing_and_recovers_with_nothing_lost() {
    let (_folder, path) = folder();
    let (store, told) = open(&path);
    told.recv().expect("the store opens");
    store.shared.max_pages.store(1, Ordering::Relaxed);
    let many = (0..200).map(|seq| new("a", seq, &["crm"])).collect();
    let on_disk = store.accept(Acceptance { events: many, calls: Vec::new() }).expect("room");
    while !store.counts().failing {
        std::thread::yield_now();
    }
    let mut waiting = Box::pin(on_disk.wait());
    run(async {
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("it is not on the disk"),
            () = std::future::ready(()) => {}
        }
    });
    assert!(states(&path).is_empty());
    store.shared.max_pages.store(0, Ordering::Relaxed);
    assert!(run(waiting));
    assert_eq!((states(&path).len(), store.counts().failing), (200, false));
}

#[test]
fn a_locked_database_accepts_nothing_until_the_lock_is_gone_and_a_full_queue_gives_back() {
    let (_folder, path) = folder();
    drop(database::open(&path, writer::BUSY).expect("a database"));
    let other = Connection::open(&path).expect("another process");
    other.execute_batch("BEGIN IMMEDIATE").expect("its lock");
    let (store, _told) = open(&path);
    let first =
        store.accept(Acceptance { events: vec![new("a", 1, &["crm"])], calls: Vec::new() }).expect("room");
    let last = loop {
        match store.accept(Acceptance { events: vec![new("a", 2, &["crm"])], calls: Vec::new() }) {
            Ok(_) => {}
            Err(back) => break back,
        }
    };
    assert_eq!(last.events, [new("a", 2, &["crm"])]);
    while !store.counts().failing {
        std::thread::yield_now();
    }
    assert!(states(&path).is_empty());
    other.execute_batch("ROLLBACK").expect("the lock is gone");
    assert!(run(first.wait()));
    assert!(run(store.committed()));
    assert_eq!(states(&path), ["a.1 pending", "a.2 pending"]);
}

#[test]
fn a_corrupt_database_is_replaced_and_what_waits_is_accepted_by_the_new_one() {
    let (_folder, path) = folder();
    fs::write(&path, "no database at all, by far ".repeat(90)).expect("a file");
    let (store, _told) = open(&path);
    let on_disk = store.accept(Acceptance { events: vec![new("a", 1, &["crm"])], calls: Vec::new() });
    assert!(run(on_disk.expect("room").wait()));
    assert_eq!(states(&path), ["a.1 pending"]);
}

#[test]
fn another_process_wakes_the_one_who_tells() {
    let (_folder, path) = folder();
    let (store, _told) = open(&path);
    run(async {
        assert!(store.committed().await);
        // Once for the opening.
        store.deliveries_changed().await;
        let id = add_event(&path, new("a", 1, &["crm"])).expect("added").expect("a delivery");
        store.deliveries_changed().await;
        assert_eq!(store.claim(wants(&["crm"])).await.expect("claims").claimed[0].id, id);
    });
}

#[test]
fn a_database_of_the_first_version_is_upgraded_with_its_calls() {
    let (_folder, path) = folder();
    database::create_version(&path, 1);
    let db = Connection::open(&path).expect("a database");
    db.execute("INSERT INTO lockouts VALUES ('vip', '06', 1)", []).expect("a row");
    drop(db);
    let error = Reader::open(&path).expect("a database").deliveries(&Filter::default());
    assert!(error.is_err(), "no such table yet");
    let db = database::open(&path, writer::BUSY).expect("upgraded");
    accepted(&db, vec![new("a", 1, &["crm"])]);
    let kept: i64 = db.query_row("SELECT count(*) FROM lockouts", [], |row| row.get(0)).expect("a count");
    assert_eq!((kept, states(&path).len()), (1, 1));
}
