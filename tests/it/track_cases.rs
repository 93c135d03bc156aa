//! Calls of which there is no recording, and the tracker's limits.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use switchhook::track::{
    CallEvent, ChannelEvent as E, ChannelInfo, DialStatus, EndReason, EventKind, Kind, MAX_CALLS, ORPHAN,
    Output, State, Tracker, Trunks, VANISH, Warning,
};

use crate::following::{Follower, START, shown};

/// `PJSIP/201-1`: the channel 1 of the phone 201.
fn channel(id: &str, linked: &str, name: &str, number: &str, exten: &str) -> ChannelInfo {
    let (technology, rest) = name.split_once('/').expect("a technology");
    let kind = match name.rsplit_once(';') {
        Some((pair, _)) if technology == "Local" => Kind::Half { pair: pair.to_owned() },
        _ => Kind::Party,
    };
    ChannelInfo {
        unique_id: id.to_owned(),
        linked_id: linked.to_owned(),
        name: name.to_owned(),
        kind,
        extension: rest.rsplit_once('-').map_or(rest, |(peer, _)| peer).to_owned(),
        number: number.to_owned(),
        exten: exten.to_owned(),
        ..ChannelInfo::default()
    }
}

fn created(info: &ChannelInfo) -> E {
    E::Created(info.clone())
}

fn dials(from: &ChannelInfo, to: &ChannelInfo) -> E {
    E::DialBegin { from: Some(from.clone()), to: to.clone() }
}

fn rings(info: &ChannelInfo) -> E {
    E::Changed(ChannelInfo { state: Some(State::Ringing), ..info.clone() })
}

fn enters(info: &ChannelInfo, bridge: &str) -> E {
    E::BridgeEnter { channel: info.clone(), bridge: bridge.to_owned() }
}

fn hangs_up(info: &ChannelInfo, cause: u16) -> E {
    E::Hangup { channel: info.clone(), cause: Some(cause) }
}

/// One second for each group of events.
fn play(groups: &[Vec<E>]) -> String {
    let mut follower = Follower::new();
    for (second, group) in (1..).zip(groups) {
        for event in group {
            follower.take(second * 1000, event.clone());
        }
    }
    shown(&follower.end())
}

const TRUNK: &str = "PJSIP/callee-plain-1";

#[test]
fn directions() {
    for (caller, callee, first) in [
        (TRUNK, "PJSIP/201-1", "A call in 0612 > 500 at -\nA ringing in 0612 > 31 at 201\n"),
        (TRUNK, TRUNK, "A call in 0612 > 500 at -\nA ringing in 0612 > 31 at -\n"),
        ("PJSIP/201-1", TRUNK, "A call out 201 > 500 at 201\nA ringing out 201 > 31 at 201\n"),
        (
            "PJSIP/201-1",
            "PJSIP/202-1",
            "A call internal 201 > 500 at 201\nA ringing internal 201 > 31 at 202\n",
        ),
    ] {
        let (a, b) = (channel("a", "a", caller, "0612", "500"), channel("b", "a", callee, "31", "s"));
        let told = play(&[
            vec![created(&a)],
            vec![created(&b), dials(&a, &b), rings(&b)],
            vec![hangs_up(&b, 16), hangs_up(&a, 16)],
        ]);
        assert!(told.starts_with(first), "{caller} {callee}: {told}");
    }
}

/// An analogue line knows no number: the one that is dialled first is the called one.
#[test]
fn a_caller_without_a_dialled_number() {
    let (a, b) = (channel("a", "a", TRUNK, "0612", "s"), channel("b", "a", "PJSIP/201-1", "31", "s"));
    let told = play(&[
        vec![created(&a), created(&b), dials(&a, &b), rings(&b)],
        vec![hangs_up(&b, 0), hangs_up(&a, 0)],
    ]);
    assert!(told.starts_with("A call in 0612 > 31 at -\nA ringing in 0612 > 31 at 201\n"), "{told}");
}

/// A phone of ours that waits in the dialplan: whether it calls outside is not known yet, so `call` waits, too.
#[test]
fn a_direction_never_changes() {
    let (a, b) = (channel("a", "a", "PJSIP/201-1", "201", "0612"), channel("b", "a", TRUNK, "0612", "s"));
    let mut follower = Follower::new();
    follower.take(0, created(&a));
    follower.pass_until(20_000);
    assert_eq!(follower.told, []);
    for event in [created(&b), dials(&a, &b), rings(&b)] {
        follower.take(20_000, event);
    }
    follower.pass_until(21_000);
    assert_eq!(shown(&follower.told), "A call out 201 > 0612 at 201\nA ringing out 201 > 0612 at 201\n");
    assert_eq!(follower.told[0].timestamp, START);
    assert_eq!(follower.told[0].start, START);
}

/// The consultation is the older call, so the PBX gives all channels its linked id. The transferred call goes on all the same.
#[test]
fn the_transferred_call_goes_on_although_the_other_is_older() {
    let consults = channel("t2", "t2", "PJSIP/201-2", "201", "203");
    let target = channel("c", "t2", "PJSIP/203-1", "203", "s");
    let outside = channel("x", "x", TRUNK, "0612", "500");
    let phone = channel("t1", "x", "PJSIP/201-1", "500", "s");
    let later = channel("d", "t2", "PJSIP/204-1", "204", "s");
    let told = play(&[
        vec![created(&consults), created(&target), dials(&consults, &target), rings(&target)],
        vec![enters(&consults, "1"), enters(&target, "1")],
        vec![created(&outside), created(&phone), dials(&outside, &phone), rings(&phone)],
        vec![enters(&outside, "2"), enters(&phone, "2")],
        vec![
            enters(&outside, "1"),
            E::AttendedTransfer { transferer: phone.clone(), consultation: consults.clone() },
            hangs_up(&phone, 16),
            hangs_up(&consults, 16),
        ],
        vec![E::BlindTransfer { transferer: target.clone(), extension: "204".into() }, hangs_up(&target, 16)],
        vec![created(&later), dials(&outside, &later), rings(&later)],
        vec![enters(&outside, "3"), enters(&later, "3")],
        vec![hangs_up(&later, 16), hangs_up(&outside, 16)],
    ]);
    let expected = "A call internal 201 > 203 at 201
A ringing internal 201 > 203 at 203
A connected internal 201 > 203 at 203
B call in 0612 > 500 at -
B ringing in 0612 > 500 at 201
B connected in 0612 > 500 at 201
A disconnected internal 201 > 203 at 203, answered transferred -
A cdr internal 201 > 203 at 203
    leg 203 at 203, answered
B transferred in 0612 > 203 at 203, other A
B transferred in 0612 > 204 at -
B ringing in 0612 > 204 at 204
B connected in 0612 > 204 at 204
B disconnected in 0612 > 204 at 204, answered hangup 16
B cdr in 0612 > 204 at 204
    leg 500 at 201, answered
    leg 203 at 203, answered
    leg 204 at 204, answered
";
    assert_eq!(told, expected);
}

/// The one who transfers was called by the PBX itself (click-to-dial), and everybody hangs up in the same moment.
#[test]
fn a_transfer_and_the_end_in_one_moment() {
    let outside = channel("x", "x", TRUNK, "0612", "500");
    let phone = channel("t1", "x", "PJSIP/201-1", "500", "s");
    let consults = channel("t2", "t2", "PJSIP/201-2", "201", "s");
    let target = channel("c", "t2", "PJSIP/203-1", "203", "s");
    let told = play(&[
        vec![created(&outside), created(&phone), dials(&outside, &phone), rings(&phone)],
        vec![enters(&outside, "1"), enters(&phone, "1")],
        vec![created(&consults), E::DialBegin { from: None, to: consults.clone() }, rings(&consults)],
        vec![created(&target), dials(&consults, &target), rings(&target)],
        vec![enters(&consults, "2"), enters(&target, "2")],
        vec![
            enters(&outside, "2"),
            E::AttendedTransfer { transferer: phone.clone(), consultation: consults.clone() },
            hangs_up(&phone, 16),
            hangs_up(&consults, 16),
            hangs_up(&outside, 16),
            hangs_up(&target, 16),
        ],
    ]);
    let expected = "A call in 0612 > 500 at -
A ringing in 0612 > 500 at 201
A connected in 0612 > 500 at 201
B call internal 201 > 203 at 201
B ringing internal 201 > 203 at 203
B connected internal 201 > 203 at 203
B disconnected internal 201 > 203 at 203, answered transferred -
B cdr internal 201 > 203 at 203
    leg 203 at 203, answered
A transferred in 0612 > 203 at 203, other B
A disconnected in 0612 > 203 at 203, answered hangup 16
A cdr in 0612 > 203 at 203
    leg 500 at 201, answered
    leg 203 at 203, answered
";
    assert_eq!(told, expected);
}

/// Whoever meets in a conference keeps his own call.
#[test]
fn a_conference_joins_no_calls() {
    let a = channel("a", "a", TRUNK, "0611", "800");
    let b = channel("b", "b", TRUNK, "0612", "800");
    let b_later = ChannelInfo { linked_id: "a".into(), ..b.clone() };
    let told = play(&[
        vec![created(&a), enters(&a, "room")],
        vec![created(&b), enters(&b, "room"), E::Changed(b_later.clone())],
        vec![hangs_up(&a, 16)],
        vec![hangs_up(&b_later, 16)],
    ]);
    let expected = "A call in 0611 > 800 at -
B call in 0612 > 800 at -
A disconnected in 0611 > 800 at -, no_answer hangup 16
A cdr in 0611 > 800 at -
B disconnected in 0612 > 800 at -, no_answer hangup 16
B cdr in 0612 > 800 at -
";
    assert_eq!(told, expected);
}

#[test]
fn picked_up_with_an_event_of_its_own() {
    let (a, b) = (channel("a", "a", TRUNK, "0611", "500"), channel("b", "a", "PJSIP/201-1", "500", "s"));
    let c = channel("c", "c", "PJSIP/202-1", "202", "*8");
    let told = play(&[
        vec![created(&a), created(&b), dials(&a, &b), rings(&b)],
        vec![created(&c), E::Pickup { by: c.clone(), target: b.clone() }, hangs_up(&b, 26)],
        vec![enters(&a, "1"), enters(&c, "1")],
        vec![hangs_up(&c, 16), hangs_up(&a, 16)],
    ]);
    let expected = "A call in 0611 > 500 at -
A ringing in 0611 > 500 at 201
B call internal 202 > *8 at 202
B disconnected internal 202 > *8 at 202, answered pickup -
B cdr internal 202 > *8 at 202
A ringing in 0611 > 500 at 202
A connected in 0611 > 500 at 202
A disconnected in 0611 > 500 at 202, answered hangup 16
A cdr in 0611 > 500 at 202
    leg 500 at 201, answered_elsewhere
    leg 500 at 202, answered
";
    assert_eq!(told, expected);
}

#[test]
fn a_channel_with_another_name() {
    let (a, b) = (channel("a", "a", TRUNK, "0611", "500"), channel("b", "a", "PJSIP/201-1", "500", "s"));
    let renamed = ChannelInfo { linked_id: String::new(), ..channel("b", "b", "PJSIP/209-1", "", "") };
    let stranger = ChannelInfo { unique_id: "z".into(), ..renamed.clone() };
    let told = play(&[
        vec![created(&a), created(&b), dials(&a, &b)],
        vec![E::Renamed { channel: renamed }, E::Renamed { channel: stranger }, rings(&b)],
        vec![hangs_up(&b, 0), hangs_up(&a, 0)],
    ]);
    assert!(
        told.starts_with("A call in 0611 > 500 at -\nA ringing in 0611 > 500 at 209\nA disconnected"),
        "{told}"
    );
}

/// FreeSWITCH says of both legs at once that they hear each other.
#[test]
fn bridged_at_once_and_times() {
    let (a, b) = (channel("a", "a", TRUNK, "0611", "500"), channel("b", "a", "sofia/201", "500", "s"));
    let mut follower = Follower::new();
    follower.take(0, created(&a));
    follower.take(1_500, dials(&a, &b));
    follower.take(2_000, E::DialRinging { to: b.clone() });
    follower.take(5_000, E::Bridged { one: a.clone(), other: b.clone() });
    follower.take(10_900, hangs_up(&a, 16));
    follower.take(10_905, hangs_up(&b, 16));
    let told = follower.end();
    let times: Vec<_> = told
        .iter()
        .map(|e| (e.event, e.timestamp - START, e.duration, e.talk_time, e.ringing.map(|t| t - START)))
        .collect();
    let expected = [
        (EventKind::Call, 0, 0, 0, None),
        (EventKind::Ringing, 2_000, 2, 0, Some(2_000)),
        (EventKind::Connected, 5_000, 5, 0, Some(2_000)),
        (EventKind::Disconnected, 10_905, 10, 5, Some(2_000)),
        (EventKind::Cdr, 10_905, 10, 5, Some(2_000)),
    ];
    assert_eq!(times, expected);
    let statuses: Vec<_> = told.iter().map(|e| (e.status(), e.status_desc())).collect();
    let words = [("", ""), ("0", "INCOMING_RINGING"), ("2", "CONNECTED"), ("3", "DISCONNECTED"), ("", "")];
    assert_eq!(statuses, words);
}

#[test]
fn every_name_has_a_value() {
    let (a, b) = (channel("a", "a", TRUNK, "0611", "500"), channel("b", "a", "PJSIP/201-1", "500", "s"));
    let mut follower = Follower::new();
    let with = ChannelInfo {
        caller_name: "Zoë".into(),
        account: "acc".into(),
        variables: vec![
            ("WEBHOOK_CALL".into(), "c88".into()),
            ("MIXMONITOR_FILENAME".into(), "x.wav".into()),
            ("CRM".into(), "7".into()),
        ],
        ..a.clone()
    };
    for event in [
        created(&with),
        E::QueueJoined { channel: a.clone(), queue: "sales".into() },
        dials(&a, &b),
        rings(&b),
        enters(&a, "1"),
        enters(&b, "1"),
        hangs_up(&b, 16),
        hangs_up(&a, 16),
    ] {
        follower.take(1000, event);
    }
    let told = follower.end();
    let end = told.iter().find(|e| e.event == EventKind::Disconnected).expect("an end");
    for name in CallEvent::NAMES {
        let value = end.value(name).expect(name);
        assert_eq!(value.is_empty(), *name == "other_calluniqueid", "{name} is {value:?}");
    }
    for (name, value) in [
        ("call", "c88"),
        ("recording", "x.wav"),
        ("var.CRM", "7"),
        ("var.NOSUCH", ""),
        ("queue", "sales"),
        ("account", "acc"),
        ("callername", "Zoë"),
        ("reason", "hangup"),
        ("pbx", "main"),
        ("synthetic", "false"),
    ] {
        assert_eq!(end.value(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(end.value("nosuch"), None);
    let json = serde_json::to_string(end).expect("JSON");
    assert_eq!(&serde_json::from_str::<CallEvent>(&json).expect("JSON"), end);
}

/// Ten agents rung every three seconds for hours: the call does not grow without end, and the one who answers is known.
#[test]
fn a_call_with_thousands_of_legs() {
    let a = channel("a", "a", TRUNK, "0611", "500");
    let mut follower = Follower::new();
    follower.take(0, created(&a));
    let mut at = 0;
    for i in 0..3000 {
        let leg = channel(&format!("leg{i}"), "a", "PJSIP/201-1", "500", "s");
        at += 1000;
        for event in [created(&leg), dials(&a, &leg), rings(&leg)] {
            follower.take(at, event);
        }
        if i == 2999 {
            follower.take(at, enters(&a, "1"));
            follower.take(at, enters(&leg, "1"));
        }
        follower.take(at, E::DialEnd { to: leg.clone(), status: DialStatus::NoAnswer });
        follower.take(at, hangs_up(&leg, 0));
    }
    follower.pass_until(at + 1000);
    let open = follower.tracker.open_call("a").expect("the call");
    assert!(serde_json::to_string(open).expect("JSON").len() < 64 * 1024);
    follower.take(at + 1000, hangs_up(&a, 16));
    let told = follower.end();
    let count = |kind| told.iter().filter(|e| e.event == kind).count();
    assert_eq!((count(EventKind::Ringing), count(EventKind::Connected)), (3000, 1));
    assert!(told.last().is_some_and(|cdr| cdr.legs.len() <= 100 && cdr.answer.is_some()));
}

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
