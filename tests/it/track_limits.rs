//! The tracker's limits, and the comparison with what the PBX has.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use switchhook::track::{
    ChannelEvent as E, ChannelInfo, EndReason, EventKind, MAX_CALLS, ORPHAN, Output, Tracker, Trunks, VANISH,
    Warning,
};

use crate::following::START;
use crate::track_cases::{TRUNK, channel, created, hangs_up};

struct Link {
    tracker: Tracker,
    now: Instant,
    wall: i64,
}

impl Link {
    fn new() -> Link {
        let now = Instant::now();
        let mut tracker = Tracker::new("main", Trunks::new(["PJSIP/callee-plain-*"]));
        tracker.snapshot(now, START, now, &[]);
        Link { tracker, now, wall: START }
    }

    fn take(&mut self, event: E) {
        self.tracker.handle_event(self.now, self.wall, event);
    }

    fn pass(&mut self, time: Duration) -> Vec<Output> {
        self.now += time;
        self.wall += i64::try_from(time.as_millis()).expect("some days");
        self.tracker.handle_timeout(self.now, self.wall);
        self.outputs()
    }

    fn outputs(&mut self) -> Vec<Output> {
        let mut said = Vec::new();
        loop {
            match self.tracker.poll_output() {
                Output::Wait(_) => return said,
                output => said.push(output),
            }
        }
    }
}

fn told(outputs: Vec<Output>) -> Vec<(EventKind, Option<EndReason>, bool)> {
    let events = outputs.into_iter().filter_map(|o| match o {
        Output::Event(e) => Some((e.event, e.reason, e.synthetic)),
        _ => None,
    });
    events.collect()
}

const TICK: Duration = Duration::from_millis(300);

#[test]
fn a_call_that_nobody_speaks_of_any_more() {
    let mut link = Link::new();
    link.take(created(&channel("a", "a", TRUNK, "0611", "500")));
    assert_eq!(told(link.pass(TICK)), [(EventKind::Call, None, false)]);
    assert_eq!(told(link.pass(ORPHAN - 2 * TICK)), []);
    let lost = Some(EndReason::Lost);
    assert_eq!(
        told(link.pass(2 * TICK)),
        [(EventKind::Disconnected, lost, true), (EventKind::Cdr, lost, true)]
    );
    assert!(link.tracker.is_empty());
}

/// A snapshot that still has the call keeps it.
#[test]
fn a_long_call_is_no_orphan() {
    let mut link = Link::new();
    let a = channel("a", "a", TRUNK, "0611", "500");
    link.take(created(&a));
    link.pass(TICK);
    for _ in 0..200 {
        link.pass(Duration::from_mins(5));
        link.tracker.snapshot(link.now, link.wall, link.now, std::slice::from_ref(&a));
    }
    assert_eq!(told(link.outputs()), []);
    link.take(hangs_up(&a, 16));
    assert_eq!(told(link.pass(TICK))[0], (EventKind::Disconnected, Some(EndReason::Hangup), false));
}

#[test]
fn a_restarted_pbx_has_none_of_its_old_calls() {
    let mut link = Link::new();
    for i in 0..50 {
        link.take(created(&channel(&format!("a{i}"), &format!("a{i}"), TRUNK, "0611", "500")));
    }
    assert_eq!(link.pass(TICK).len(), 50);
    link.tracker.link_lost();
    link.pass(Duration::from_secs(30));
    let asked = link.now;
    link.take(created(&channel("new", "new", TRUNK, "0699", "500")));
    link.tracker.snapshot(link.now, link.wall, asked, &[]);
    let mut ends = BTreeMap::new();
    let mut said = link.pass(TICK);
    said.extend(link.pass(VANISH));
    for output in said {
        if let Output::Event(e) = output {
            *ends.entry((e.event, e.reason, e.synthetic)).or_insert(0) += 1;
        }
    }
    let vanished = Some(EndReason::Vanished);
    let expected = BTreeMap::from([
        ((EventKind::Call, None, false), 1),
        ((EventKind::Disconnected, vanished, true), 50),
        ((EventKind::Cdr, vanished, true), 50),
    ]);
    assert_eq!(ends, expected);
    assert_eq!(link.tracker.len(), 1);
}

/// A snapshot does not have a channel any more whose end is on the way, and has one already whose beginning is.
#[test]
fn a_snapshot_is_no_faster_than_its_events() {
    let mut link = Link::new();
    let a = channel("a", "a", TRUNK, "0611", "500");
    let b = ChannelInfo { start: Some(START), ..channel("b", "b", TRUNK, "0612", "500") };
    link.take(created(&a));
    link.pass(TICK);
    link.tracker.snapshot(link.now, link.wall, link.now, std::slice::from_ref(&b));
    link.take(hangs_up(&a, 17));
    link.take(created(&b));
    let hangup = Some(EndReason::Hangup);
    let mut said = told(link.pass(TICK));
    said.sort();
    assert_eq!(
        said,
        [
            (EventKind::Call, None, false),
            (EventKind::Disconnected, hangup, false),
            (EventKind::Cdr, hangup, false)
        ]
    );
    assert_eq!(told(link.pass(2 * VANISH)), []);
}

/// Before the first comparison an end is seen of which the beginning was not. It tells nothing, and does not hide the call.
#[test]
fn events_before_the_first_snapshot() {
    let now = Instant::now();
    let mut link = Link { tracker: Tracker::new("main", Trunks::new([TRUNK])), now, wall: START };
    let (a, b) = (channel("a", "a", TRUNK, "0611", "500"), channel("b", "a", "PJSIP/201-1", "500", "s"));
    link.take(hangs_up(&b, 16));
    assert_eq!(told(link.pass(TICK)), []);
    let a = ChannelInfo { start: Some(START - 60_000), ..a };
    link.tracker.snapshot(link.now, link.wall, link.now, std::slice::from_ref(&a));
    assert_eq!(told(link.outputs()), [(EventKind::Call, None, true)]);
    link.take(hangs_up(&a, 16));
    assert_eq!(told(link.pass(TICK)).len(), 2);
    assert!(link.tracker.is_empty());
}

#[test]
fn the_table_is_bounded_and_nobody_is_without_an_end() {
    let mut link = Link::new();
    let mut counts = BTreeMap::new();
    let mut warned = 0;
    for i in 0..MAX_CALLS + 1000 {
        let id = format!("c{i}");
        link.take(created(&channel(&id, &id, TRUNK, "0611", "500")));
        if i % 100 == 0 {
            for output in link.pass(TICK) {
                match output {
                    Output::Event(e) => *counts.entry(e.event).or_insert(0) += 1,
                    Output::Warning(Warning::TableFull { .. }) => warned += 1,
                    _ => {}
                }
            }
        }
        assert!(link.tracker.len() <= MAX_CALLS);
    }
    for output in link.pass(TICK).into_iter().chain(link.pass(ORPHAN)) {
        if let Output::Event(e) = output {
            *counts.entry(e.event).or_insert(0) += 1;
        }
    }
    let all = MAX_CALLS + 1000;
    assert_eq!(
        counts,
        BTreeMap::from([(EventKind::Call, all), (EventKind::Disconnected, all), (EventKind::Cdr, all)])
    );
    assert!((1..=20).contains(&warned), "{warned}");
}

#[test]
fn trunks_that_match_nothing_are_told_once() {
    let mut link = Link::new();
    let mut warnings = Vec::new();
    for i in 0..100 {
        let id = format!("c{i}");
        let a = channel(&id, &id, "PJSIP/mytrunk-1", "0611", "500");
        link.take(created(&a));
        link.take(hangs_up(&a, 16));
        warnings.extend(link.pass(TICK).into_iter().filter_map(|o| match o {
            Output::Warning(w) => Some(w.to_string()),
            _ => None,
        }));
    }
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("none of 20 calls") && warnings[0].contains("PJSIP/mytrunk-1"));
}
