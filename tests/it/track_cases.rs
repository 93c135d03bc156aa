//! Calls of which there is no recording.

use switchhook::terms::{Encoding, Event, Numbers, Place, Template, Told, Variable};
use switchhook::track::{CallEvent, ChannelEvent as E, ChannelInfo, DialStatus, EventKind, Kind, State};

use crate::following::{Follower, START, shown};

/// `PJSIP/201-1`: the channel 1 of the phone 201.
pub(crate) fn channel(id: &str, linked: &str, name: &str, number: &str, exten: &str) -> ChannelInfo {
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

pub(crate) fn created(info: &ChannelInfo) -> E {
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

pub(crate) fn hangs_up(info: &ChannelInfo, cause: u16) -> E {
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

pub(crate) const TRUNK: &str = "PJSIP/callee-plain-1";

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
    let empty = ["other_calluniqueid", "actor", "action", "object", "object_name"];
    for variable in Variable::known(Place::Event) {
        let (name, value) = (variable.name(), end.value(variable));
        assert_eq!(value.is_empty(), empty.contains(&name), "{name} is {value:?}");
    }
    let numbers = Numbers::default();
    let told = Told { event: &Event::Call(Box::new(end.clone())), numbers: &numbers };
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
        let template = Template::parse(&format!("{{{name}}}"), Place::Event).expect(name);
        assert_eq!(template.render(&told, Encoding::Plain), value, "{name}");
    }
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
