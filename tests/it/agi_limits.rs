//! FastAGI sessions: times, limits, secrets, and whatever else may come.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use switchhook::asterisk::agi::{AgiSession, BLOCK_MAX, ENVIRONMENT_TIME, LINE_MAX, LINES_MAX};
use switchhook::call::{Command, CommandId, Session, SessionOutput};

use crate::agi::{environment, outputs, plays};
use crate::dialogue::{command, shown};

#[test]
fn the_environment_has_one_time_for_all_its_bytes() {
    let start = Instant::now();
    let mut session = AgiSession::new(start);
    let mut now = start;
    for byte in environment() {
        session.handle_bytes(now, &[byte]);
        match session.poll_output() {
            SessionOutput::Wait(until) => assert_eq!(until, start + ENVIRONMENT_TIME),
            output => {
                assert_eq!(shown(&output), "note protocol_error the environment took too long");
                assert_eq!(session.poll_output(), SessionOutput::Closed);
                assert_eq!(now, start + ENVIRONMENT_TIME);
                return;
            }
        }
        now += Duration::from_millis(100);
    }
    panic!("the environment was read, {:?} after its beginning", now - start);
}

/// Who was stopped for a while looks late. A reply that is there then counts, bytes without an end do not.
#[test]
fn a_reply_counts_however_late_it_is_read() {
    for (bytes, said) in
        [("200 result=0\n", "done"), ("200 resu", "note protocol_error the PBX did not reply in time")]
    {
        let now = Instant::now();
        let mut session = AgiSession::new(now);
        session.handle_bytes(now, &environment());
        session.run(now, CommandId(0), command("answer").expect("a command"));
        outputs(&mut session);
        let SessionOutput::Wait(until) = session.poll_output() else { panic!("it does not wait") };
        session.handle_bytes(until + Duration::from_secs(5), bytes.as_bytes());
        assert_eq!(outputs(&mut session)[0], said);
    }
}

#[test]
fn limits() {
    let key = "agi_network: yes\n";
    for (bytes, error) in [
        ("x".repeat(LINE_MAX + 1), format!("a line is longer than {LINE_MAX} bytes")),
        (
            format!("{key}{}", (0..LINES_MAX).map(|n| format!("agi_new{n}: 1\n")).collect::<String>()),
            format!("the environment has more than {LINES_MAX} lines"),
        ),
        (
            (0..20).map(|n| format!("agi_new{n}: {}\n", "x".repeat(4000))).collect(),
            format!("the environment is longer than {BLOCK_MAX} bytes"),
        ),
        ("HANGUP\n".to_owned(), "line 1 of the environment is not `agi_key: value`".to_owned()),
    ] {
        let now = Instant::now();
        let mut session = AgiSession::new(now);
        session.handle_bytes(now, bytes.as_bytes());
        assert_eq!(outputs(&mut session), [format!("note protocol_error {error}"), "closed".to_owned()]);
    }
    plays(&format!(
        r"run answer
        < 'ANSWER\n'
        > '{}'
        expect note protocol_error a line is longer than {LINE_MAX} bytes
        expect closed",
        "2".repeat(LINE_MAX + 1)
    ));
}

#[test]
fn a_session_never_prints_a_code() {
    let now = Instant::now();
    let mut session = AgiSession::new(now);
    let mut printed = String::new();
    let mut look = |session: &mut AgiSession, bytes: &[u8], command: Option<&str>| {
        session.handle_bytes(now, bytes);
        let shown = format!("{session:?}");
        assert!(!shown.contains(|c: char| c.is_ascii_digit()), "{shown}");
        printed += &shown;
        if let Some(command) = command {
            session.run(now, CommandId(0), crate::dialogue::command(command).expect("a command"));
        }
        loop {
            let output = session.poll_output();
            if matches!(output, SessionOutput::Wait(_) | SessionOutput::Closed) {
                break;
            }
            printed += &format!("{output:?}");
        }
    };
    look(&mut session, &environment(), Some("collect max=9 timeout=1000 lead=a prompt=b"));
    look(&mut session, b"200 result=55 endpos=0\n200 resu", None);
    look(&mut session, b"lt=7675757\n", None);
    look(&mut session, b"200 result=7675757\n", None);
    assert!(printed.contains("AwaitReply") && printed.contains("Digits"), "{printed}");
    assert!(!printed.contains("7675757"), "{printed}");
}

/// What a PBX or somebody else may do to a session.
#[derive(Clone, Debug)]
enum Act {
    Bytes(Vec<u8>),
    Run(Command),
    Eof,
    Pass,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let line = prop::sample::select(vec![
        "200 result=0\n",
        "200 result=1\n",
        "200 result=-1\n",
        "200 result=6\n",
        "200 result=\n",
        "200 result= (timeout)\n",
        "200 result=12 (timeout)\n",
        "200 result=0 endpos=3520\n",
        "200 result=49 endpos=3520\n",
        "HANGUP\n",
        "510 Invalid or unknown command\n",
        "511 Command Not Permitted on a dead channel or intercept routine\n",
        "520-Invalid\nusage\n520 End of proper usage.\n",
        "520-Invalid\n",
    ]);
    let commands = [
        "answer",
        "play a&b",
        "collect max=4 timeout=1000 lead=a prompt=b",
        "collect max=1 timeout=1000",
        "collect max=4 timeout=1000 gap=500 prompt=b",
        "finish name='x' CRM_A='a' CRM_RESULT='x'",
    ];
    let commands: Vec<Command> = commands.iter().map(|c| command(c).expect("a command")).collect();
    let act = prop_oneof![
        8 => line.prop_map(|l| Act::Bytes(l.into())),
        6 => prop::sample::select(commands).prop_map(Act::Run),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Act::Bytes),
        1 => Just(Act::Bytes(environment())),
        1 => Just(Act::Eof),
        1 => Just(Act::Pass),
    ];
    (any::<bool>(), prop::collection::vec(act, 0..30)).prop_map(|(opened, mut acts)| {
        if opened {
            acts.insert(0, Act::Bytes(environment()));
        }
        acts
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// Whatever comes: a command ends at most once, a hangup and an opening are said at most once, nothing is written
    /// behind the last write, and the session ends without anybody's help.
    #[test]
    fn nothing_breaks_a_session(acts in acts()) {
        let mut now = Instant::now();
        let mut session = AgiSession::new(now);
        let (mut wait, mut said, mut next) = (None, Vec::new(), 0);
        let passes = std::iter::repeat_n(Act::Pass, 3);
        for act in acts.into_iter().chain(passes) {
            match act {
                Act::Bytes(bytes) => session.handle_bytes(now, &bytes),
                Act::Run(command) => {
                    session.run(now, CommandId(next), command);
                    next += 1;
                }
                Act::Eof => session.handle_eof(now),
                Act::Pass => {
                    now = wait.unwrap_or(now);
                    session.handle_timeout(now);
                }
            }
            now += Duration::from_millis(1);
            loop {
                match session.poll_output() {
                    SessionOutput::Wait(until) => {
                        prop_assert!(until >= now);
                        wait = Some(until);
                        break;
                    }
                    SessionOutput::Closed => break,
                    output => said.push(output),
                }
                prop_assert!(said.len() < 500);
            }
        }
        prop_assert_eq!(session.poll_output(), SessionOutput::Closed);
        let count = |wanted: &dyn Fn(&SessionOutput) -> bool| said.iter().filter(|o| wanted(o)).count();
        prop_assert!(count(&|o| matches!(o, SessionOutput::HungUp)) <= 1);
        prop_assert!(count(&|o| matches!(o, SessionOutput::Opened(_))) <= 1);
        for id in 0..next {
            let done = count(&|o| matches!(o, SessionOutput::Done(of, _) if *of == CommandId(id)));
            prop_assert!(done <= 1, "{} times {:?}", done, said);
        }
        if let Some(last) = said.iter().position(|o| matches!(o, SessionOutput::WriteLast(_))) {
            let more = said[last + 1..].iter().any(|o| matches!(o, SessionOutput::Write(_) | SessionOutput::WriteLast(_)));
            prop_assert!(!more, "{:?}", said);
        }
    }
}
