//! Plays recorded conversations of both PBXs to the tracker. Shared by the tests of `track`, `ami` and `esl_follow`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use switchhook::asterisk::ami::{Decoder, channel_event};
use switchhook::freeswitch::esl::{Message, PacketReader};
use switchhook::freeswitch::inbound::channel_events;
use switchhook::track::{
    CallEvent, ChannelEvent, ChannelInfo, EventKind, Kind, Output, SessionOutput, Tracker, Trunks,
    VariableNames,
};

/// Wall time of the first event.
pub(crate) const START: i64 = 1_795_000_000_000;

/// What the recorded PBXs call their trunks.
pub(crate) const TRUNKS: [&str; 3] = ["SIP/voipgrid-siproute-*", "PJSIP/callee-plain-*", "sofia/external/*"];

pub(crate) fn tests_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

pub(crate) fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![tests_folder().join(folder)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").map(|e| e.expect("an entry").path()));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// How each line ends: Asterisk's with CR LF, FreeSWITCH's with LF.
fn line_end(path: &Path) -> &'static [u8] {
    if path.starts_with(tests_folder().join("dialogues/esl")) { b"\n" } else { b"\r\n" }
}

/// The lines of a recorded conversation: ms, whether the PBX sent it, the bytes.
pub(crate) fn dialogue(path: &Path) -> Vec<(i64, bool, Vec<u8>)> {
    let text = fs::read(path).expect("a dialogue");
    let line_end = line_end(path);
    let mut at = 0;
    let mut found: Vec<(i64, bool, Vec<u8>)> = Vec::new();
    for line in text.split(|b| *b == b'\n') {
        let (mark, rest) = match line {
            [b'@', ms @ ..] => {
                at = String::from_utf8_lossy(ms).parse().expect("ms");
                continue;
            }
            [mark @ (b'<' | b'>'), rest @ ..] => (*mark, rest),
            _ => continue,
        };
        let from_pbx = mark == b'>';
        if !matches!(found.last(), Some((t, from, _)) if *t == at && *from == from_pbx) {
            found.push((at, from_pbx, Vec::new()));
        }
        let bytes = &mut found.last_mut().expect("just pushed").2;
        bytes.extend_from_slice(rest.strip_prefix(b" ").unwrap_or(rest));
        bytes.extend_from_slice(line_end);
    }
    found
}

/// The channel events of a recorded conversation, with ms from its start.
pub(crate) fn recorded(path: &Path) -> Vec<(i64, ChannelEvent)> {
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    for (at, from_asterisk, bytes) in dialogue(path) {
        if from_asterisk && !bytes.starts_with(b"Asterisk Call Manager") {
            decoder.push(&bytes);
        }
        while let Some(block) = decoder.next_block().expect("blocks") {
            found.extend(channel_event(&block).map(|event| (at, event)));
        }
    }
    found
}

/// The variables that somebody wants in the tests.
pub(crate) fn wanted() -> VariableNames {
    VariableNames::new(["CRM_TICKET"])
}

/// The channel events of a recorded conversation with FreeSWITCH, with ms from its start.
pub(crate) fn recorded_esl(path: &Path) -> Vec<(i64, ChannelEvent)> {
    let mut reader = PacketReader::default();
    let mut found = Vec::new();
    for (at, _, bytes) in dialogue(path).into_iter().filter(|(_, from_pbx, _)| *from_pbx) {
        reader.push(&bytes);
        while let Some(packet) = reader.next_packet().expect("packets") {
            if let Message::Event(event) = Message::parse(packet).expect("a message") {
                found.extend(channel_events(&event, &wanted()).into_iter().map(|event| (at, event)));
            }
        }
    }
    found
}

/// The channel events of a log of the corpus. It has no times: what a program does follows after 1 ms, what a person does
/// after a second.
pub(crate) fn corpus(path: &Path) -> Vec<(i64, ChannelEvent)> {
    let text = fs::read_to_string(path).expect("a log").replace("\r\n", "\n").replace('\n', "\r\n");
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for block in text.split_inclusive("\r\n\r\n") {
        decoder.push(block.as_bytes());
        while let Some(block) = decoder.next_block().expect("blocks") {
            let leaves = block.is("Event", "BridgeLeave") && !block.text("Channel").starts_with("Local/");
            let leaver = leaves.then(|| block.text("Uniqueid").into_owned());
            events.push((leaver, channel_event(&block)));
        }
    }
    let enters_again = |from: usize, id: &str| {
        events[from..].iter().any(
            |(_, e)| matches!(e, Some(ChannelEvent::BridgeEnter { channel, .. }) if channel.unique_id == id),
        )
    };
    let (mut at, mut rings, mut talks) = (0, false, false);
    let mut timed = Vec::new();
    for (i, (leaver, event)) in events.iter().enumerate() {
        let party = |info: &ChannelInfo| info.kind == Kind::Party;
        let person = match event {
            Some(ChannelEvent::Created(info)) => party(info) && info.unique_id == info.linked_id,
            Some(ChannelEvent::Changed(info)) if party(info) => {
                rings |= info.state == Some(switchhook::track::State::Ringing);
                rings && info.state == Some(switchhook::track::State::Up)
            }
            Some(ChannelEvent::DialEnd { status, .. }) => {
                rings && *status != switchhook::track::DialStatus::Answer
            }
            Some(ChannelEvent::BlindTransfer { .. } | ChannelEvent::AttendedTransfer { .. }) => true,
            Some(ChannelEvent::BridgeEnter { .. }) => {
                talks = true;
                false
            }
            None => talks && leaver.as_ref().is_some_and(|id| !enters_again(i, id)),
            _ => false,
        };
        if person {
            at += 1000;
            rings = false;
            talks &= event.is_some();
        }
        if let Some(event) = event {
            at += 1;
            timed.push((at, event.clone()));
        }
    }
    timed
}

/// A tracker and a clock that only moves when it is told.
pub(crate) struct Follower {
    pub(crate) tracker: Tracker,
    base: Instant,
    at: i64,
    pub(crate) told: Vec<CallEvent>,
}

impl Follower {
    pub(crate) fn new() -> Follower {
        let mut tracker = Tracker::new("main", Trunks::new(TRUNKS));
        let base = Instant::now();
        tracker.snapshot(base, START, base, &[]);
        Follower { tracker, base, at: 0, told: Vec::new() }
    }

    /// One that takes up what another one left behind.
    pub(crate) fn restored(open: impl IntoIterator<Item = switchhook::track::OpenCall>, at: i64) -> Follower {
        let mut tracker = Tracker::new("main", Trunks::new(TRUNKS));
        let base = Instant::now();
        tracker.restore(base + ms(at), open);
        Follower { tracker, base, at, told: Vec::new() }
    }

    pub(crate) fn now(&self) -> Instant {
        self.base + ms(self.at)
    }

    pub(crate) fn wall(&self) -> i64 {
        START + self.at
    }

    /// Lets time pass, and everything be done that is due.
    pub(crate) fn pass_until(&mut self, at: i64) {
        loop {
            match self.tracker.poll_output() {
                Output::Event(event) => self.told.push(*event),
                Output::Warning(_) => {}
                Output::Wait(Some(due)) if due <= self.base + ms(at) => {
                    let due = i64::try_from((due - self.base).as_millis()).expect("some days");
                    self.at = self.at.max(due);
                    self.tracker.handle_timeout(self.base + ms(self.at), START + self.at);
                }
                Output::Wait(_) => break,
            }
        }
        self.at = self.at.max(at);
    }

    pub(crate) fn take(&mut self, at: i64, event: ChannelEvent) {
        self.pass_until(at);
        self.tracker.handle_event(self.now(), self.wall(), event);
        self.pass_until(at);
    }

    /// The answer to a question of that time.
    pub(crate) fn snapshot(&mut self, asked: i64, channels: &[ChannelInfo]) {
        self.tracker.snapshot(self.now(), self.wall(), self.base + ms(asked), channels);
        self.pass_until(self.at);
    }

    /// Lets a minute pass.
    /// Takes what a session has said; how many channels each of its snapshots had.
    pub(crate) fn take_all<Warning, Lost>(&mut self, said: Vec<SessionOutput<Warning, Lost>>) -> Vec<usize> {
        let mut snapshots = Vec::new();
        for output in said {
            match output {
                SessionOutput::Snapshot { at, channels, .. } => {
                    snapshots.push(channels.len());
                    self.pass_until(at - START);
                    self.snapshot(at - START, &channels);
                }
                SessionOutput::Event(at, event) => self.take(at - START, *event),
                _ => {}
            }
        }
        snapshots
    }

    pub(crate) fn end(mut self) -> Vec<CallEvent> {
        self.pass_until(self.at + 60_000);
        self.told
    }
}

fn ms(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).expect("from the start"))
}

pub(crate) fn play(events: &[(i64, ChannelEvent)]) -> Vec<CallEvent> {
    let mut follower = Follower::new();
    for (at, event) in events {
        follower.take(*at, event.clone());
    }
    follower.end()
}

/// What a person needs to see of the events: one line each, calls named A, B, … in the order of their ids.
pub(crate) fn shown(events: &[CallEvent]) -> String {
    let mut names: BTreeMap<&str, char> = BTreeMap::new();
    for id in events.iter().map(|e| e.calluniqueid.as_str()) {
        let next = b'A' + u8::try_from(names.len()).expect("few calls");
        names.entry(id).or_insert(next.into());
    }
    let mut text = String::new();
    for event in events {
        let id = names[event.calluniqueid.as_str()];
        let (kind, direction) = (event.event.as_str(), event.direction.as_str());
        let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let (from, to, extension) = (dash(&event.callfrom), dash(&event.callto), dash(&event.extension));
        write!(text, "{id} {kind} {direction} {from} > {to} at {extension}").expect("a string");
        if let Some(other) = names.get(event.other_calluniqueid.as_str()) {
            write!(text, ", other {other}").expect("a string");
        }
        if let (Some(disposition), Some(reason)) = (event.disposition, event.reason)
            && event.event == EventKind::Disconnected
        {
            let cause = event.hangup_cause.map_or_else(|| "-".to_owned(), |c| c.to_string());
            write!(text, ", {} {} {cause}", disposition.as_str(), reason.as_str()).expect("a string");
        }
        for leg in &event.legs {
            let (number, extension) = (dash(&leg.number), dash(&leg.extension));
            write!(text, "\n    leg {number} at {extension}, {}", leg.disposition.as_str())
                .expect("a string");
        }
        if event.synthetic {
            text.push_str(", synthetic");
        }
        text.push('\n');
    }
    text
}
