//! The tracker on recorded conversations: what is told, whatever the order, whatever is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use switchhook::track::{CallEvent, ChannelEvent, ChannelInfo, Disposition, EndReason, EventKind, OpenCall};

use crate::following::{Follower, corpus, files, play, recorded, recorded_esl, shown, tests_folder};

/// Every log and conversation of calls there is, by its path in `tests`.
fn logs() -> Vec<(String, Vec<(i64, ChannelEvent)>)> {
    let name = |path: &Path| path.strip_prefix(tests_folder()).expect("in tests").display().to_string();
    let corpus = files("corpus", "ami").into_iter().map(|p| (name(&p), corpus(&p)));
    let recorded = files("dialogues/ami", "txt").into_iter().map(|p| (name(&p), recorded(&p)));
    let esl = files("dialogues/esl", "txt").into_iter().map(|p| (name(&p), recorded_esl(&p)));
    let esl = esl.filter(|(name, _)| !name.contains("/session/"));
    let logs: Vec<_> = corpus.chain(recorded).chain(esl).filter(|(_, events)| !events.is_empty()).collect();
    assert!(logs.len() > 70, "only {} logs", logs.len());
    logs
}

#[test]
fn what_is_told_of_each_recorded_call() {
    let text = include_str!("calls.txt");
    let mut expected: BTreeMap<&str, String> = BTreeMap::new();
    let mut names: Vec<&str> = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        match line.strip_prefix("== ") {
            Some(list) => names = list.split(", ").collect(),
            None => {
                for name in &names {
                    let section = expected.entry(name).or_default();
                    section.push_str(line);
                    section.push('\n');
                }
            }
        }
    }
    let mut wrong = String::new();
    for (name, events) in logs() {
        let told = shown(&play(&events));
        if expected.remove(&*name).as_ref() != Some(&told) {
            wrong.push_str(&format!("== {name}\n{told}\n"));
        }
    }
    assert!(wrong.is_empty(), "not as calls.txt has it:\n{wrong}");
    assert!(expected.is_empty(), "no such logs: {:?}", expected.keys());
}

/// The same logs as another program understands them: who rang, who talked, what was transferred, how it came out.
#[test]
fn oracle_agrees() {
    let text = fs::read_to_string(tests_folder().join("corpus/expected.json")).expect("the oracle");
    let oracle: BTreeMap<String, Vec<Value>> = serde_json::from_str(&text).expect("the oracle");
    assert_eq!(oracle.len(), 13);
    for (name, hooks) in oracle {
        let told = play(&corpus(&tests_folder().join(format!("corpus/{name}.ami"))));
        let ours: Vec<String> = told.iter().filter_map(as_hook).collect();
        let mut theirs = Vec::new();
        for hook in &hooks {
            let party = |target: &Value| {
                let channel = target["channel"].as_str().expect("a channel");
                let (phone, _) = channel.trim_start_matches("SIP/").rsplit_once('-').expect("a number");
                phone.to_owned()
            };
            match hook["hook"].as_str().expect("a hook") {
                "on_b_dial" => {
                    let targets = hook["targets"].as_array().expect("targets");
                    theirs.extend(targets.iter().map(|t| format!("ringing {}", party(t))));
                }
                "on_up" => theirs.push(format!("connected {}", party(&hook["target"]))),
                "on_attended_transfer" => theirs.push("transferred".to_owned()),
                // Theirs waits for the target to ring; for a blonde one it has rung.
                "on_blind_transfer" => {
                    theirs.push("transferred".to_owned());
                    theirs.push(format!("ringing {}", party(&hook["targets"][0])));
                }
                "on_blonde_transfer" => theirs.push("transferred".to_owned()),
                "on_hangup" => theirs.push(format!("disconnected {}", hook["reason"].as_str().expect("why"))),
                _ => {}
            }
        }
        match &*name {
            "simple/ab_reject" => replace(&mut theirs, "disconnected busy", "disconnected rejected"),
            "simple/a_created_no_answer" => {
                replace(&mut theirs, "disconnected completed", "disconnected no_answer");
            }
            "xfer_misc/sip_pickup" => {
                let at = theirs.iter().position(|l| l == "connected 150010003").expect("a pickup");
                theirs.insert(at, "ringing 150010003".to_owned());
            }
            _ => {}
        }
        assert_eq!(ours, theirs, "{name}");
    }
}

fn as_hook(event: &CallEvent) -> Option<String> {
    let joined = matches!(event.reason, Some(EndReason::Transferred | EndReason::Pickup));
    match event.event {
        EventKind::Ringing => Some(format!("ringing {}", event.extension)),
        EventKind::Connected => Some(format!("connected {}", event.extension)),
        EventKind::Transferred => Some("transferred".to_owned()),
        EventKind::Disconnected if !joined => {
            let how = event.disposition.expect("a disposition");
            let how = if how == Disposition::Answered { "completed" } else { how.as_str() };
            Some(format!("disconnected {how}"))
        }
        _ => None,
    }
}

fn replace(lines: &mut [String], from: &str, to: &str) {
    let line = lines.iter_mut().find(|l| *l == from).expect("what differs");
    *line = to.to_owned();
}

/// What must not depend on the order of events, by call. The ms of one moment do, and which of two phones rang first.
fn essence(told: &[CallEvent]) -> BTreeMap<String, Vec<String>> {
    let mut calls: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in told {
        let mut event = event.clone();
        let seconds = |ms: i64| (ms + 500) / 1000;
        event.timestamp = seconds(event.timestamp);
        event.start = seconds(event.start);
        for time in [&mut event.ringing, &mut event.answer, &mut event.end] {
            *time = None;
        }
        for leg in &mut event.legs {
            (leg.ringing, leg.answer, leg.end) = (None, None, None);
        }
        (event.seq, event.timestamp, event.start, event.duration, event.talk_time) = (0, 0, 0, 0, 0);
        event.legs.sort_by(|a, b| a.extension.cmp(&b.extension));
        calls.entry(event.calluniqueid.clone()).or_default().push(format!("{event:?}"));
    }
    for lines in calls.values_mut() {
        let ringing = |line: &String| line.contains("event: Ringing");
        for run in lines.chunk_by_mut(|a, b| ringing(a) && ringing(b)) {
            run.sort();
        }
    }
    calls
}

/// Numbers without end from one number.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % n.max(1) as u64).expect("small")
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// Any order within windows of 50 ms. Only what one thread of the PBX says of one channel stays as it was: its beginning,
/// its states and its end. `beginnings_first`: nothing names a channel before its beginning.
fn shuffled(
    events: &[(i64, ChannelEvent)],
    dice: &mut Dice,
    beginnings_first: bool,
) -> Vec<(i64, ChannelEvent)> {
    let own = |event: &ChannelEvent| match event {
        ChannelEvent::Created(info) | ChannelEvent::Changed(info) => Some(info.unique_id.clone()),
        ChannelEvent::Hangup { channel, .. } => Some(channel.unique_id.clone()),
        _ => None,
    };
    let mut result = Vec::new();
    for window in events.chunk_by(|a, b| a.0 / 50 == b.0 / 50) {
        let mut order: Vec<usize> = (0..window.len()).collect();
        dice.shuffle(&mut order);
        let channels: BTreeSet<String> = window.iter().filter_map(|(_, e)| own(e)).collect();
        for channel in channels {
            let is_its = |i: &usize| own(&window[*i].1).as_ref() == Some(&channel);
            let mut sorted: Vec<usize> = order.iter().copied().filter(is_its).collect();
            sorted.sort_unstable();
            let mut sorted = sorted.into_iter();
            for slot in order.iter_mut().filter(|i| is_its(i)) {
                *slot = sorted.next().expect("as many as slots");
            }
        }
        if beginnings_first {
            let begins = |i: &usize| matches!(window[*i].1, ChannelEvent::Created(_));
            let (first, rest): (Vec<usize>, Vec<usize>) = order.iter().partition(|i| begins(i));
            order = first.into_iter().chain(rest).collect();
        }
        result.extend(window.iter().zip(order).map(|((at, _), i)| (*at, window[i].1.clone())));
    }
    result
}

/// What holds for everything that is ever told, whatever came in. `events`: what the PBX really said, once and in order.
fn check_lives(told: &[CallEvent], events: &[(i64, ChannelEvent)]) -> Result<(), TestCaseError> {
    // No channel is told twice to have answered: in all there are not more answers than channels.
    let channels: BTreeSet<&str> = events
        .iter()
        .filter_map(|(_, event)| match event {
            ChannelEvent::Created(info) => Some(&*info.unique_id),
            _ => None,
        })
        .collect();
    let answers = told.iter().filter(|e| e.event == EventKind::Connected).count();
    prop_assert!(answers <= channels.len(), "{} answers: {}", answers, shown(told));
    let mut calls: BTreeMap<&str, Vec<&CallEvent>> = BTreeMap::new();
    for event in told {
        calls.entry(&event.calluniqueid).or_default().push(event);
    }
    for (id, events) in calls {
        let kinds: Vec<EventKind> = events.iter().map(|e| e.event).collect();
        let seqs: Vec<u32> = events.iter().map(|e| e.seq).collect();
        let ends = kinds.iter().filter(|k| **k == EventKind::Disconnected).count();
        prop_assert_eq!(kinds[0], EventKind::Call, "{}: {:?}", id, kinds);
        prop_assert!(!kinds[1..].contains(&EventKind::Call), "{}: {:?}", id, kinds);
        prop_assert_eq!(seqs, (1..).take(events.len()).collect::<Vec<u32>>(), "{}", id);
        prop_assert_eq!(ends, 1, "{}: {:?}", id, kinds);
        prop_assert_eq!(&kinds[kinds.len() - 2..], [EventKind::Disconnected, EventKind::Cdr], "{}", id);
        let directions: BTreeSet<&str> = events.iter().map(|e| e.direction.as_str()).collect();
        prop_assert_eq!(directions.len(), 1);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_one_moment_changes_nothing(seed: u64) {
        let mut dice = Dice(seed);
        for (name, events) in logs() {
            let expected = essence(&play(&events));
            // Who picks up has another linked id from the moment on at which he is in the other call: then it cannot be seen
            // any more that he began one of his own.
            let beginnings_first = name.contains("pickup") || dice.below(2) == 0;
            let told = essence(&play(&shuffled(&events, &mut dice, beginnings_first)));
            prop_assert_eq!(told, expected, "{} with seed {}", name, seed);
        }
    }

    /// Events are lost, come twice, come in any order at any time; then the PBX says that it has no channel.
    #[test]
    fn every_call_ends_once_whatever_comes(seed: u64) {
        let mut dice = Dice(seed);
        for (name, events) in logs() {
            let mut played: Vec<(i64, ChannelEvent)> = Vec::new();
            for event in &events {
                played.extend(std::iter::repeat_n(event.clone(), [0, 1, 1, 2][dice.below(4)]));
            }
            if dice.below(2) == 0 {
                let mut payload: Vec<ChannelEvent> = played.iter().map(|(_, e)| e.clone()).collect();
                dice.shuffle(&mut payload);
                played = played.iter().map(|(at, _)| *at).zip(payload).collect();
            }
            let mut follower = Follower::new();
            for (at, event) in played {
                follower.take(at, event);
            }
            follower.pass_until(120_000);
            follower.snapshot(120_000, &[]);
            follower.pass_until(180_000);
            prop_assert!(follower.tracker.is_empty(), "{} keeps calls", name);
            check_lives(&follower.end(), &events)?;
        }
    }

    /// The PBX is compared with again and again. Its list is a few events ahead of those that were read, or behind.
    #[test]
    fn a_comparison_in_between_changes_nothing(seed: u64) {
        let mut dice = Dice(seed);
        for (name, events) in logs() {
            let expected = essence(&play(&events));
            let mut follower = Follower::new();
            for (i, (at, event)) in events.iter().enumerate() {
                follower.take(*at, event.clone());
                if dice.below(4) == 0 {
                    // Asked a few events ago, answered since; what happened after that may be in the list already.
                    let asked = i.saturating_sub(dice.below(5));
                    let same_moment = |other: &&(i64, ChannelEvent)| (other.0 - at).abs() < 20;
                    let ahead = events[i + 1..].iter().take_while(same_moment).count();
                    let listed = asked + dice.below(i + 1 + ahead - asked);
                    follower.snapshot(events[asked].0, &present(&events[..=listed]));
                }
            }
            prop_assert_eq!(essence(&follower.end()), expected, "{} with seed {}", name, seed);
        }
    }

    /// The program is killed in the middle; what the store kept is taken up again and compared with what the PBX has then.
    #[test]
    fn every_call_ends_once_over_a_restart(seed: u64) {
        let mut dice = Dice(seed);
        for (name, events) in logs() {
            let killed = dice.below(events.len());
            let started = killed + dice.below(events.len() - killed);
            let mut before = Follower::new();
            let mut stored: BTreeMap<String, OpenCall> = BTreeMap::new();
            for (at, event) in &events[..killed] {
                let told = before.told.len();
                before.take(*at, event.clone());
                for event in &before.told[told..] {
                    match before.tracker.open_call(&event.calluniqueid) {
                        Some(open) => stored.insert(event.calluniqueid.clone(), open.clone()),
                        None => stored.remove(&event.calluniqueid),
                    };
                }
            }
            let json = serde_json::to_string(&stored.into_values().collect::<Vec<_>>()).expect("JSON");
            let stored: Vec<OpenCall> = serde_json::from_str(&json).expect("JSON");
            let at = events[started].0;
            let mut after = Follower::restored(stored, at);
            after.snapshot(at, &present(&events[..started]));
            for (at, event) in &events[started..] {
                after.take(*at, event.clone());
            }
            after.pass_until(120_000);
            after.snapshot(120_000, &[]);
            after.pass_until(180_000);
            let mut told = before.told;
            told.extend(after.end());
            check_lives(&told, &events).map_err(|e| TestCaseError::fail(format!("{name}: {e}")))?;
        }
    }
}

/// The channels that the PBX has after these events.
fn present(events: &[(i64, ChannelEvent)]) -> Vec<ChannelInfo> {
    let mut channels: BTreeMap<String, ChannelInfo> = BTreeMap::new();
    for (at, event) in events {
        match event {
            ChannelEvent::Created(info) => {
                let start = Some(crate::following::START + at);
                channels.insert(info.unique_id.clone(), ChannelInfo { start, ..info.clone() });
            }
            ChannelEvent::Changed(info) => {
                if let Some(known) = channels.get_mut(&info.unique_id) {
                    *known = ChannelInfo { start: known.start, bridge: known.bridge.take(), ..info.clone() };
                }
            }
            ChannelEvent::BridgeEnter { channel, bridge } => {
                if let Some(known) = channels.get_mut(&channel.unique_id) {
                    known.bridge = Some(bridge.clone());
                }
            }
            ChannelEvent::Bridged { one, other } => {
                for id in [&one.unique_id, &other.unique_id] {
                    if let Some(known) = channels.get_mut(id) {
                        known.bridge = Some(format!("{}+{}", one.unique_id, other.unique_id));
                    }
                }
            }
            ChannelEvent::Hangup { channel, .. } => _ = channels.remove(&channel.unique_id),
            _ => {}
        }
    }
    channels.into_values().collect()
}
