//! The manager session on recorded conversations.

use std::time::{Duration, Instant};

use switchhook::asterisk::ami::{Account, Lost, Output, Session, Warning};
use switchhook::terms::Secret;
use switchhook::track::{ChannelEvent, Session as _};

use crate::following::{Follower, START, dialogue, files, recorded, shown, tests_folder};
use crate::link_session::{drain, given_up, survives};

fn account(username: &str, secret: &str) -> Account {
    Account { username: username.to_owned(), secret: Secret::new(secret) }
}

/// Plays a recorded conversation: the session must write what was written then, byte for byte. Asterisk's bytes come in
/// pieces of `piece` bytes, the first of `first`.
fn play(name: &str, account: Account, first: usize, piece: usize) -> Vec<Output> {
    let lines = dialogue(&tests_folder().join("dialogues/ami/22").join(name));
    let mut now = Instant::now();
    let mut session = Session::new(now, account);
    let mut said = Vec::new();
    let mut written = Vec::new();
    let mut left = first;
    for (at, from_asterisk, bytes) in lines {
        if !from_asterisk {
            // A person would wait; the session does these when it is time, or when it is told.
            if bytes.starts_with(b"Action: Ping") {
                now += Duration::from_secs(15);
                session.handle_timeout(now);
            } else if bytes.starts_with(b"Action: Logoff") {
                session.log_off(now);
            }
            let (more, rest) = drain(&mut session);
            written.extend(more);
            said.extend(rest);
            assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&bytes), "{name}");
            written.clear();
            continue;
        }
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            let (now_read, later) = bytes.split_at(left.clamp(1, bytes.len()));
            left = if left > now_read.len() { left - now_read.len() } else { piece };
            session.handle_bytes(now, START + at, now_read);
            bytes = later;
            let (more, rest) = drain(&mut session);
            written.extend(more);
            said.extend(rest);
        }
    }
    session.handle_eof();
    said.extend(drain(&mut session).1);
    said.retain(|o| !matches!(o, Output::Wait(_)));
    said
}

#[test]
fn login_snapshot_ping_and_goodbye() {
    let said = play("login.txt", account("switchhook", "s3cret"), usize::MAX, usize::MAX);
    let [Output::LoggedIn { version }, Output::Snapshot { channels, .. }, Output::Lost(Lost::LoggedOff), ..] =
        &said[..]
    else {
        panic!("{said:?}")
    };
    assert_eq!((&**version, channels.len()), ("11.0.0", 0));
}

#[test]
fn a_wrong_account_is_told_from_everything_else() {
    for (name, user) in [("wrong_password.txt", "switchhook"), ("unknown_user.txt", "nobody")] {
        let secret = if user == "nobody" { "s3cret" } else { "wrong" };
        let said = play(name, account(user, secret), usize::MAX, usize::MAX);
        let [Output::Lost(lost @ Lost::AuthRejected { username, .. }), Output::Closed, ..] = &said[..] else {
            panic!("{said:?}")
        };
        assert_eq!(username, user);
        assert!(!lost.to_string().contains(secret), "{lost}");
    }
}

#[test]
fn permission_denied_names_the_line() {
    let said = play("no_write.txt", account("poor", "s3cret"), usize::MAX, usize::MAX);
    let [Output::LoggedIn { .. }, Output::Warning(warning @ Warning::NoSnapshot { .. }), ..] = &said[..]
    else {
        panic!("{said:?}")
    };
    let text = warning.to_string();
    assert!(text.contains("write = reporting") && text.contains("[poor]") && text.contains("manager.conf"));
}

#[test]
fn a_conversation_is_the_same_wherever_it_is_cut() {
    for (name, user, bytes) in [("login.txt", "switchhook", 600), ("snapshot.txt", "switchhook", 3500)] {
        let comparable = |said: Vec<Output>| {
            let lines = said.into_iter().map(|output| match output {
                Output::Snapshot { at, channels, .. } => format!("{at} {channels:?}"),
                other => format!("{other:?}"),
            });
            lines.collect::<Vec<_>>()
        };
        let whole = comparable(play(name, account(user, "s3cret"), usize::MAX, usize::MAX));
        assert!(whole.len() > 2);
        for cut in 1..bytes {
            let parts = comparable(play(name, account(user, "s3cret"), cut, usize::MAX));
            assert_eq!(parts, whole, "{name} cut at {cut}");
        }
        assert_eq!(comparable(play(name, account(user, "s3cret"), 1, 1)), whole, "{name} byte by byte");
    }
}

#[test]
fn a_link_that_opens_in_the_middle_of_a_call() {
    let said = play("snapshot.txt", account("switchhook", "s3cret"), usize::MAX, usize::MAX);
    let mut follower = Follower::restored([], 0);
    assert_eq!(follower.take_all(said), [2]);
    let told = follower.end();
    assert_eq!(
        shown(&told),
        "A call internal caller > live at caller, synthetic\n\
         A connected internal caller > live at callee, synthetic\n\
         A disconnected internal caller > live at callee, answered hangup 16\n\
         A cdr internal caller > live at callee\n    leg live at callee, answered\n"
    );
    assert_eq!((&*told[0].call, &*told[0].callerid), ("c88", "1001"));
}

#[test]
fn every_wait_has_an_end() {
    let banner: &[u8] = b"Asterisk Call Manager/11.0.0\r\n";
    let challenge: &[u8] = b"Response: Success\r\nActionID: 1\r\nChallenge: 1\r\n\r\n";
    let login: &[u8] = b"Response: Success\r\nActionID: 2\r\nMessage: Authentication accepted\r\n\r\n";
    let listed: &[u8] = b"Event: CoreShowChannelsComplete\r\nActionID: 3\r\n\r\n";
    for (said, lost) in [
        (vec![], "Asterisk did not answer in time: no first line"),
        (vec![banner], "Asterisk did not answer in time: the login"),
        (vec![banner, challenge], "Asterisk did not answer in time: the login"),
        (vec![banner, challenge, login], "Asterisk did not answer in time: the keep-alive"),
        (vec![banner, challenge, login, listed], "Asterisk did not answer in time: the keep-alive"),
    ] {
        let now = Instant::now();
        let mut session = Session::new(now, account("a", "b"));
        for bytes in &said {
            session.handle_bytes(now, START, bytes);
        }
        assert_eq!(given_up(session, now), lost, "{said:?}");
    }
}

/// A list that never ends is given up, although Asterisk is alive; a finished one is asked for again.
#[test]
fn the_list_of_channels() {
    let mut now = Instant::now();
    let open = || {
        let mut session = Session::new(now, account("a", "b"));
        for bytes in [
            "Asterisk Call Manager/11.0.0\r\n",
            "Response: Success\r\nActionID: 1\r\nChallenge: 1\r\n\r\nResponse: Success\r\nActionID: 2\r\n\r\n",
        ] {
            session.handle_bytes(now, START, bytes.as_bytes());
        }
        session
    };
    let alive = b"Event: Other\r\n\r\n";
    let mut endless = open();
    let mut good = open();
    good.handle_bytes(now, START, b"Event: CoreShowChannelsComplete\r\nActionID: 3\r\n\r\n");
    drain(&mut good);
    let mut asked_again = 0;
    for second in 1..=360 {
        now += Duration::from_secs(1);
        for session in [&mut endless, &mut good] {
            session.handle_bytes(now, START + second * 1000, alive);
            session.handle_timeout(now);
        }
        let (written, _) = drain(&mut good);
        if String::from_utf8_lossy(&written).contains("CoreShowChannels") {
            asked_again = second;
            // Asterisk has had a call for a minute, of which it never said a word.
            let rows = "Event: CoreShowChannel\r\nActionID: 4\r\nChannel: PJSIP/a-1\r\nUniqueid: 1\r\nLinkedid: 1\r\n\
                        Duration: 00:01:00\r\n\r\nEvent: CoreShowChannelsComplete\r\nActionID: 4\r\n\r\n";
            good.handle_bytes(now, START + second * 1000, rows.as_bytes());
            let (_, said) = drain(&mut good);
            let text = format!("{said:?}");
            assert!(text.contains("NoEvents") && text.contains("Snapshot"), "{text}");
        }
    }
    assert_eq!(asked_again, 300);
    let (_, said) = drain(&mut endless);
    assert!(
        said.iter().any(|o| matches!(o, Output::Lost(Lost::Timeout("the list of channels")))),
        "{said:?}"
    );
}

#[test]
fn what_is_no_manager_or_never_ends_is_left() {
    let now = Instant::now();
    for bytes in [b"HTTP/1.1 400 Bad Request\r\n".to_vec(), vec![b'A'; 1000], b"\r\n".to_vec()] {
        let mut session = Session::new(now, account("a", "b"));
        session.handle_bytes(now, START, &bytes);
        assert!(matches!(drain(&mut session).1[..], [Output::Lost(Lost::Codec(_)), Output::Closed]));
    }
    let mut session = Session::new(now, account("a\r\nAction: Originate", "b"));
    session.handle_bytes(now, START, b"Asterisk Call Manager/11.0.0\r\n");
    session.handle_bytes(now, START, b"Response: Success\r\nActionID: 1\r\nChallenge: 1\r\n\r\n");
    let (written, said) = drain(&mut session);
    assert!(!written.windows(9).any(|w| w == b"Originate"));
    assert!(matches!(said[..], [Output::Lost(Lost::Account(_)), Output::Closed]), "{said:?}");
}

/// Responses of other actions, late ones and forged ones change nothing.
#[test]
fn a_response_belongs_to_its_action() {
    let now = Instant::now();
    let mut session = Session::new(now, account("a", "b"));
    session.handle_bytes(now, START, b"Asterisk Call Manager/11.0.0\r\n");
    drain(&mut session);
    for other in [
        "Response: Success\r\nActionID: 7\r\nChallenge: 1\r\n\r\n",
        "Response: Success\r\nChallenge: 1\r\n\r\n",
        "Response: Error\r\nActionID: 2\r\nMessage: Authentication failed\r\n\r\n",
        "Event: Newchannel\r\nChannel: PJSIP/a-1\r\nUniqueid: 1\r\n\r\n",
    ] {
        session.handle_bytes(now, START, other.as_bytes());
        let (written, said) = drain(&mut session);
        assert!(written.is_empty() && said.len() == 1, "{other}: {said:?}");
    }
}

/// Every event of the recorded conversations that concerns a channel is read.
#[test]
fn both_versions_are_read_alike() {
    let (mut old, mut new) = (0, 0);
    for path in files("dialogues/ami/16", "txt") {
        let same = tests_folder().join("dialogues/ami/22").join(path.file_name().expect("a name"));
        let kinds = |path| {
            let mut kinds: Vec<String> = recorded(path).iter().map(|(_, e)| kind(e)).collect();
            kinds.sort();
            kinds
        };
        assert_eq!(kinds(&path), kinds(&same), "{}", path.display());
        old += kinds(&path).len();
        new += kinds(&same).len();
    }
    assert!(old > 100 && new == old, "{old} {new}");
}

fn kind(event: &ChannelEvent) -> String {
    let text = format!("{event:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    /// Whatever a peer sends, and however it is cut, the session waits or is over.
    #[test]
    fn no_bytes_bring_it_down(
        words in proptest::collection::vec((0usize..WORDS.len(), 0usize..40), 0..40),
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..20),
    ) {
        let now = Instant::now();
        let mut session = Session::new(now, account("a", "b"));
        session.handle_bytes(now, START, b"Asterisk Call Manager/11.0.0\r\n");
        let words = words.into_iter().map(|(word, cut)| (WORDS[word], cut));
        survives(session, now, words, &bytes);
    }
}

const WORDS: &[&str] = &[
    "Response: Success\r\nActionID: 1\r\nChallenge: 1\r\n\r\n",
    "Response: Success\r\nActionID: 2\r\n\r\n",
    "Response: Error\r\nActionID: 3\r\nMessage: Permission denied\r\n\r\n",
    "Event: CoreShowChannel\r\nActionID: 3\r\nUniqueid: 1\r\nDuration: 99999999999999999999:1\r\n\r\n",
    "Event: CoreShowChannel\r\nActionID: 3\r\nUniqueid: 1\r\nDuration: 9223372036854775807\r\n\r\n",
    "Event: CoreShowChannelsComplete\r\nActionID: 3\r\n\r\n",
    "Event: Hangup\r\nUniqueid: \u{fc}\r\nCause: 99999\r\nChanVariable: =\r\n\r\n",
    "Event: Rename\r\nUniqueid: 1\r\nChannel: ;;//--\r\nNewname: -;1\r\n\r\n",
    "\r\n\r\n",
    ":\r\n\r\n",
    "\r\n",
    ": : :",
    "Event",
];
