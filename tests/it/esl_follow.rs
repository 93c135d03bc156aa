//! FreeSWITCH's inbound session on recorded conversations.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use switchhook::freeswitch::esl::login;
use switchhook::freeswitch::inbound::{Account, EVENTS, Lost, Output, Session};
use switchhook::terms::Secret;
use switchhook::track::{ChannelEvent, ChannelInfo, Disposition, Session as _};

use crate::following::{
    Follower, START, dialogue, play as play_calls, recorded_esl, shown, tests_folder, wanted,
};
use crate::link_session::{drain, given_up, survives};

const SECRET: &str = "change-this-password";

/// The account of contrib/freeswitch/directory_switchhook.xml.
fn account() -> Account {
    user("follow@switchhook", SECRET)
}

fn user(user: &str, password: &str) -> Account {
    Account { user: Some(user.to_owned()), password: Secret::new(password) }
}

fn folder() -> PathBuf {
    tests_folder().join("dialogues/esl")
}

/// Plays a recorded conversation: the session must write what was written then, byte for byte. FreeSWITCH's bytes come in
/// pieces of `piece` bytes, the first of `first`.
fn play(name: &str, account: Account, first: usize, piece: usize) -> Vec<Output> {
    let now = Instant::now();
    let mut session = Session::new(now, account);
    session.want(&wanted());
    let (mut said, mut written, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    let mut left = first;
    for (at, from_pbx, bytes) in dialogue(&folder().join(name)) {
        if !from_pbx {
            if bytes.starts_with(b"exit") {
                session.log_off(now);
            }
            expected.extend(&bytes);
        }
        let mut bytes = if from_pbx { &bytes[..] } else { &[] };
        while !bytes.is_empty() {
            let (now_read, later) = bytes.split_at(left.clamp(1, bytes.len()));
            left = if left > now_read.len() { left - now_read.len() } else { piece };
            session.handle_bytes(now, START + at, now_read);
            bytes = later;
            let (more, rest) = drain(&mut session);
            written.extend(more);
            said.extend(rest);
        }
        let (more, rest) = drain(&mut session);
        written.extend(more);
        said.extend(rest);
    }
    session.handle_eof();
    said.extend(drain(&mut session).1);
    said.retain(|o| !matches!(o, Output::Wait(_)));
    said.dedup_by(|a, b| matches!((a, b), (Output::Closed, Output::Closed)));
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&expected), "{name}");
    said
}

#[test]
fn login_subscription_snapshot_events_and_goodbye() {
    let said = play("answered.txt", account(), usize::MAX, usize::MAX);
    let [
        Output::LoggedIn { .. },
        Output::Snapshot { channels, .. },
        events @ ..,
        Output::Lost(lost),
        Output::Closed,
    ] = &said[..]
    else {
        panic!("{said:?}")
    };
    assert_eq!((channels.len(), lost), (0, &Lost::LoggedOff));
    assert!(events.len() > 10 && events.iter().all(|o| matches!(o, Output::Event(..))), "{events:?}");
}

#[test]
fn a_conversation_is_the_same_wherever_it_is_cut() {
    // When a list was asked for is no part of it.
    let comparable = |said: Vec<Output>| {
        let lines = said.into_iter().map(|output| match output {
            Output::Snapshot { at, channels, .. } => format!("{at} {channels:?}"),
            other => format!("{other:?}"),
        });
        lines.collect::<Vec<_>>()
    };
    for (name, bytes) in [("busy.txt", 3000), ("session/snapshot.txt", 4000)] {
        let whole = comparable(play(name, account(), usize::MAX, usize::MAX));
        assert!(whole.len() > 2);
        for cut in (1..bytes).step_by(7) {
            assert_eq!(comparable(play(name, account(), cut, usize::MAX)), whole, "{name} cut at {cut}");
        }
        assert_eq!(comparable(play(name, account(), 1, 1)), whole, "{name} byte by byte");
    }
}

#[test]
fn a_wrong_account_is_told_from_everything_else() {
    let alone = Account { user: None, password: Secret::new("wrong") };
    for (name, account, place) in [
        ("session/wrong_password.txt", alone, "event_socket.conf.xml"),
        ("session/wrong_user.txt", user("follow@switchhook", "wrong"), "the user follow@switchhook"),
    ] {
        let said = play(name, account, usize::MAX, usize::MAX);
        let [Output::Lost(lost @ Lost::AuthRejected { .. }), Output::Closed] = &said[..] else {
            panic!("{said:?}")
        };
        assert!(Session::is_refusal(lost));
        let text = lost.to_string();
        assert!(text.contains(place) && !text.contains("wrong"), "{text}");
    }
}

#[test]
fn an_address_that_may_not_connect() {
    let said = play("session/acl.txt", account(), usize::MAX, usize::MAX);
    let [Output::Lost(lost @ Lost::AclRejected), Output::Closed] = &said[..] else { panic!("{said:?}") };
    assert!(lost.to_string().contains("apply-inbound-acl") && !Session::is_refusal(lost));
}

#[test]
fn what_is_not_permitted_is_named() {
    let said = play("session/denied.txt", user("poor@switchhook", SECRET), usize::MAX, usize::MAX);
    let [Output::LoggedIn { .. }, Output::Warning(events), Output::Warning(list), Output::NoSnapshot, ..] =
        &said[..]
    else {
        panic!("{said:?}")
    };
    let (events, list) = (events.to_string(), list.to_string());
    assert!(
        events.contains("CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_HANGUP CHANNEL_APPLICATION RECORD_START,"),
        "{events}"
    );
    assert!(events.contains("esl-allowed-events") && events.contains("poor@switchhook"), "{events}");
    assert!(list.contains("add show to its esl-allowed-api"), "{list}");
}

/// The account that is shipped may have exactly what the session asks for.
#[test]
fn the_shipped_account_has_the_events_that_are_wanted() {
    let path = tests_folder().join("../contrib/freeswitch/directory_switchhook.xml");
    let file = std::fs::read_to_string(path).expect("the account");
    let value = |name: &str| {
        let behind = file.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_default();
        behind.split('"').next().unwrap_or_default()
    };
    let wanted: Vec<&str> = EVENTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(value("esl-allowed-events").split(' ').collect::<Vec<_>>(), wanted);
    assert_eq!((value("esl-allowed-api"), value("esl-password")), ("show", SECRET));
    // FreeSWITCH lets anybody register as a user without a SIP password (measured).
    assert_eq!(value("allow-empty-password"), "false");
}

#[test]
fn a_link_that_opens_in_the_middle_of_calls() {
    let said = play("session/snapshot.txt", account(), usize::MAX, usize::MAX);
    let mut follower = Follower::restored([], 0);
    assert_eq!(follower.take_all(said), [4]);
    let told = follower.end();
    assert_eq!(
        shown(&told),
        "A call in 0612345678 > 31201234201 at -, synthetic\n\
         A connected in 0612345678 > 201 at 201, synthetic\n\
         B call in 0612345678 > 31201234202 at -, synthetic\n\
         A disconnected in 0612345678 > 201 at 201, answered hangup 16\n\
         A cdr in 0612345678 > 201 at 201\n    leg 201 at 201, answered\n\
         B disconnected in 0612345678 > 31201234202 at -, cancelled hangup 16\n\
         B cdr in 0612345678 > 31201234202 at -\n    leg 202 at 202, cancelled\n"
    );
    let names: Vec<&str> = told.iter().map(|event| event.callername.as_str()).collect();
    assert!(names.contains(&"Alice") && names.contains(&"Jansen & Zn"), "{names:?}");
}

#[test]
fn every_wait_has_an_end() {
    let request = "Content-Type: auth/request\n\n";
    let login = "Content-Type: command/reply\nReply-Text: +OK accepted\n\n";
    let subscribed =
        "Content-Type: command/reply\nReply-Text: +OK event listener enabled plain\n\n".repeat(10);
    let listed = "Content-Type: api/response\nContent-Length: 17\n\n{\"row_count\": 0}\n".repeat(2);
    for (said, lost) in [
        (vec![], "FreeSWITCH did not answer in time: no first line"),
        (vec![request], "FreeSWITCH did not answer in time: the login"),
        (vec![request, login], "FreeSWITCH did not answer in time: the keep-alive"),
        (vec![request, login, &subscribed, &listed], "FreeSWITCH did not answer in time: the keep-alive"),
    ] {
        let now = Instant::now();
        let mut session = Session::new(now, account());
        for bytes in &said {
            session.handle_bytes(now, START, bytes.as_bytes());
        }
        assert_eq!(given_up(session, now), lost, "{said:?}");
    }
}

/// A session that is logged in and has its first list.
fn following(now: Instant) -> Session {
    let mut session = Session::new(now, account());
    let replies = "Content-Type: command/reply\nReply-Text: +OK\n\n".repeat(11);
    let lists = "Content-Type: api/response\nContent-Length: 17\n\n{\"row_count\": 0}\n".repeat(2);
    for text in ["Content-Type: auth/request\n\n", &replies, &lists] {
        session.handle_bytes(now, START, text.as_bytes());
        drain(&mut session);
    }
    session
}

#[test]
fn the_list_is_asked_for_again_and_a_quiet_peer_is_asked_whether_it_is_there() {
    let mut now = Instant::now();
    let mut session = following(now);
    let (mut lists, mut pings) = (Vec::new(), 0);
    for second in 1..=400 {
        now += Duration::from_secs(1);
        session.handle_timeout(now);
        let written = String::from_utf8(drain(&mut session).0).expect("text");
        // FreeSWITCH replies in the order of the commands.
        for command in written.split_terminator("\n\n") {
            let reply = match command {
                "nolog" => "Content-Type: command/reply\nReply-Text: -ERR not loging\n\n",
                _ => "Content-Type: api/response\nContent-Length: 17\n\n{\"row_count\": 0}\n",
            };
            pings += u32::from(command == "nolog");
            session.handle_bytes(now, START, reply.as_bytes());
            let listed = matches!(drain(&mut session).1[..], [Output::Snapshot { .. }, Output::Wait(_)]);
            lists.extend(listed.then_some(second));
        }
    }
    // The first one may lack what is too young.
    assert_eq!(lists, [10, 310]);
    assert!((20..=26).contains(&pings), "{pings}");
}

#[test]
fn a_peer_out_of_step_ends_the_connection() {
    let now = Instant::now();
    for bytes in [
        "Content-Type: command/reply\nReply-Text: +OK\n\n",
        "Content-Type: api/response\nContent-Length: 2\n\n{}",
        "Content-Type: auth/request\n\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n\n\n",
        "Content-Type: text/disconnect-notice\nContent-Length: 0\n\n",
        "Content-Length: 99999999\n\n",
    ] {
        let mut session = following(now);
        session.handle_bytes(now, START, bytes.as_bytes());
        let (written, said) = drain(&mut session);
        assert!(
            written.is_empty() && matches!(said[..], [Output::Lost(_), Output::Closed]),
            "{bytes}: {said:?}"
        );
    }
}

/// FreeSWITCH's lists are behind its events: a call that has just begun is not in them, and is not over for that.
#[test]
fn a_call_that_is_too_young_for_the_list_goes_on() {
    let mut follower = Follower::new();
    let events = recorded_esl(&folder().join("noanswer.txt"));
    let ends = events.iter().position(|(_, e)| matches!(e, ChannelEvent::DialEnd { .. })).expect("it ends");
    for (at, event) in &events[..ends] {
        follower.take(*at, event.clone());
    }
    // A moment later FreeSWITCH is asked, and its database does not know the call yet.
    follower.pass_until(events[ends - 1].0 + 300);
    let mut session = Session::new(follower.now(), account());
    for text in
        ["Content-Type: auth/request\n\n", &"Content-Type: command/reply\nReply-Text: +OK\n\n".repeat(11)]
    {
        session.handle_bytes(follower.now(), follower.wall(), text.as_bytes());
    }
    let lists = "Content-Type: api/response\nContent-Length: 17\n\n{\"row_count\": 0}\n".repeat(2);
    session.handle_bytes(follower.now(), follower.wall(), lists.as_bytes());
    let asked = drain(&mut session).1.into_iter().find_map(|output| match output {
        Output::Snapshot { asked, .. } => Some(asked),
        _ => None,
    });
    follower.tracker.snapshot(follower.now(), follower.wall(), asked.expect("a list"), &[]);
    for (at, event) in &events[ends..] {
        follower.take(*at, event.clone());
    }
    let told = follower.end();
    assert!(told.iter().all(|event| !event.synthetic), "{}", shown(&told));
}

/// The list is behind the events, and those of the answer came before the link was up: only the hangup tells of it.
#[test]
fn a_call_that_was_answered_around_the_connect_was_answered() {
    let events = recorded_esl(&folder().join("answered.txt"));
    let channels: Vec<ChannelInfo> = events
        .iter()
        .filter_map(|(_, event)| match event {
            ChannelEvent::Created(info) => Some(ChannelInfo { start: Some(START), ..info.clone() }),
            _ => None,
        })
        .collect();
    let hangs_up = |e: &ChannelEvent| matches!(e, ChannelEvent::HangupAsked(_) | ChannelEvent::Hangup { .. });
    let rest = events.iter().position(|(_, e)| hangs_up(e)).expect("it ends");
    let rest = &events[rest.saturating_sub(2)..];
    let mut follower = Follower::restored([], rest[0].0 - 500);
    follower.snapshot(rest[0].0 - 500, &channels);
    for (at, event) in rest {
        follower.take(*at, event.clone());
    }
    let told = follower.end();
    let kinds: Vec<&str> = told.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(kinds, ["call", "ringing", "connected", "disconnected", "cdr"]);
    assert_eq!(told[3].disposition, Some(Disposition::Answered));
}

/// Who transfers while the target rings is told at once, and not when it answers.
#[test]
fn a_blonde_transfer_is_told_before_its_target_answers() {
    let told = play_calls(&recorded_esl(&folder().join("blonde_refer.txt")));
    let at = |kind: &str| told.iter().rfind(|e| e.event.as_str() == kind).map(|e| e.timestamp);
    let (transferred, answered) = (at("transferred").expect("told"), at("connected").expect("told"));
    assert!(transferred + 1000 < answered, "{transferred} {answered}");
}

/// The called leg's events do not have the variables of the dialplan, the caller's have.
#[test]
fn a_routed_call_is_told_with_its_journal_from_the_ringing_on() {
    let told = play_calls(&recorded_esl(&folder().join("routed.txt")));
    let calls: Vec<(&str, &str)> = told.iter().map(|e| (e.event.as_str(), e.call.as_str())).collect();
    assert_eq!(calls[1..], ["ringing", "connected", "disconnected", "cdr"].map(|event| (event, "c89")));
}

/// More than fits any other packet.
#[test]
fn a_long_list() {
    let row =
        |n: u32| format!(r#"{{"uuid":"u{n}","direction":"inbound","initial_dest":"{}"}}"#, "5".repeat(1000));
    let rows: Vec<String> = (0..3000).map(row).collect();
    let list = format!(r#"{{"row_count":3000,"rows":[{}]}}"#, rows.join(","));
    let now = Instant::now();
    let mut session = Session::new(now, account());
    let head = format!("Content-Type: api/response\nContent-Length: {}\n\n", list.len());
    let none = "Content-Type: api/response\nContent-Length: 17\n\n{\"row_count\": 0}\n";
    let replies = "Content-Type: command/reply\nReply-Text: +OK\n\n".repeat(11);
    for text in ["Content-Type: auth/request\n\n", &replies, &head, &list, none] {
        session.handle_bytes(now, START, text.as_bytes());
    }
    let (_, said) = drain(&mut session);
    let [Output::LoggedIn { .. }, Output::Snapshot { channels, .. }, Output::Wait(_)] = &said[..] else {
        panic!("no list")
    };
    assert_eq!(channels.len(), 3000);
}

#[test]
fn a_list_that_is_none() {
    let now = Instant::now();
    let mut session = Session::new(now, account());
    let replies = "Content-Type: command/reply\nReply-Text: +OK\n\n".repeat(11);
    let list = "Content-Type: api/response\nContent-Length: 9\n\n-ERR no x";
    for text in ["Content-Type: auth/request\n\n", &replies, list] {
        session.handle_bytes(now, START, text.as_bytes());
    }
    let (_, said) = drain(&mut session);
    assert!(
        matches!(said[..], [Output::LoggedIn { .. }, Output::Lost(Lost::List(_)), Output::Closed]),
        "{said:?}"
    );
}

/// Neither user nor password can be more than the one line that logs in.
#[test]
fn an_account_is_one_line() {
    let written = |user: Option<&str>, password: &str| login(user, &Secret::new(password)).ok();
    assert_eq!(written(None, "ClueCon:1 2"), Some(b"auth ClueCon:1 2\n\n".to_vec()));
    assert_eq!(written(Some("a@b"), "p:q@r"), Some(b"userauth a@b:p:q@r\n\n".to_vec()));
    for (user, password) in [
        (None, "x\n\napi system reboot"),
        (None, "x\r"),
        (None, "unload mod_event_socket"),
        (Some("a@b\napi status"), "x"),
        (Some("a:x@b"), "y"),
        (Some("a@b:x"), "y"),
        (Some("@b"), "y"),
        (Some("a"), "y"),
    ] {
        assert_eq!(written(user, password), None, "{user:?} {password:?}");
        let mut session = Session::new(
            Instant::now(),
            Account { user: user.map(str::to_owned), password: Secret::new(password) },
        );
        session.handle_bytes(Instant::now(), START, b"Content-Type: auth/request\n\n");
        let (written, said) = drain(&mut session);
        assert!(written.is_empty(), "{user:?} {password:?}");
        let [Output::Lost(lost @ Lost::Account(_)), Output::Closed] = &said[..] else { panic!("{said:?}") };
        assert!(Session::is_refusal(lost) && !lost.to_string().contains(password), "{lost}");
    }
}

/// What somebody wants is read from then on; nothing else of the hundreds of variables is.
#[test]
fn variables_are_read_for_those_who_want_them() {
    let now = Instant::now();
    let event = "Event-Name: CHANNEL_CREATE\nUnique-ID: u\nvariable_crm_ticket: T%2D7\nvariable_pin: 1234\n\
                 variable_webhook_call: c88\n\n";
    let packet = format!("Content-Length: {}\nContent-Type: text/event-plain\n\n{event}", event.len());
    let mut session = following(now);
    let read = |session: &mut Session| {
        session.handle_bytes(now, START, packet.as_bytes());
        let (_, said) = drain(session);
        let [Output::Event(_, event), ..] = &said[..] else { panic!("{said:?}") };
        let ChannelEvent::Created(info) = &**event else { panic!("{event:?}") };
        info.variables.clone()
    };
    let call = ("webhook_call".to_owned(), "c88".to_owned());
    assert_eq!(read(&mut session), std::slice::from_ref(&call));
    session.want(&wanted());
    assert_eq!(read(&mut session), [call, ("crm_ticket".to_owned(), "T-7".to_owned())]);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    /// Whatever a peer sends, and however it is cut, the session waits or is over.
    #[test]
    fn no_bytes_bring_it_down(
        words in proptest::collection::vec((0usize..WORDS.len(), 0usize..60), 0..40),
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..20),
    ) {
        let now = Instant::now();
        let session = following(now);
        let words = words.into_iter().map(|(word, cut)| (WORDS[word], cut));
        survives(session, now, words, &bytes);
    }
}

const WORDS: &[&str] = &[
    "Content-Length: 58\nContent-Type: text/event-plain\n\nEvent-Name: CHANNEL_CREATE\nUnique-ID: a\nChannel-Name: /@\n\n",
    "Content-Length: 62\nContent-Type: text/event-plain\n\nEvent-Name: CHANNEL_BRIDGE\nUnique-ID: a\nBridge-A-Unique-ID: b\n\n",
    "Content-Length: 62\nContent-Type: text/event-plain\n\nEvent-Name: CHANNEL_HANGUP\nUnique-ID: a\nvariable_transfer_to: att\n\n",
    "Content-Type: command/reply\nReply-Text: -ERR\n\n",
    "Content-Type: api/response\nContent-Length: 2\n\n{}",
    "Content-Type: text/disconnect-notice\n\n",
    "Content-Length: 1\n",
    "\n\n",
    "\n",
    ": : :",
];
