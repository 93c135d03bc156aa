//! The played FreeSWITCH against what the real one (1.11.3-dev) was recorded and measured with.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::stage::{After, Entry, Event};

const TIME: Duration = Duration::from_secs(20);

fn script() -> Script {
    let sounds = [("a.wav", 1_000), ("b.wav", 1_000)];
    Script {
        path: "webhook/vip".to_owned(),
        sounds: sounds.map(|(name, ms)| (name.to_owned(), Duration::from_millis(ms))).into(),
        speed: 100,
        ..Script::default()
    }
}

/// A dialplan with these words, and with `socket_resume` or not.
fn dialplan(words: &str, resumes: bool) -> Dialplan {
    let Dialplan { variables, .. } = Dialplan::default();
    Dialplan {
        is_async: words.contains("async"),
        is_full: words.contains("full"),
        variables: if resumes { variables } else { BTreeMap::new() },
    }
}

fn execute(application: &str, argument: &str, id: &str) -> String {
    format!(
        "sendmsg\ncall-command: execute\nexecute-app-name: {application}\nEvent-UUID: {id}\nevent-lock: true\n\
         content-type: text/plain\ncontent-length: {}\n\n{argument}",
        argument.len()
    )
}

/// A server that writes each text once what it waits for has come. Returns all that it read after the last one.
fn served(script: Script, dialplan: Dialplan, steps: &[(&str, &str)]) -> (Played, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("a call");
            let mut said = String::new();
            for (text, until) in steps {
                said.clear();
                stream.write_all(text.as_bytes()).await.expect("a write");
                read(&mut stream, &mut said, until).await;
            }
            said
        };
        let both = async { tokio::join!(play(address, script, dialplan), server) };
        tokio::time::timeout(TIME, both).await.expect("an end")
    })
}

async fn read(stream: &mut TcpStream, said: &mut String, until: &str) {
    let mut bytes = Vec::new();
    while until.is_empty() || !String::from_utf8_lossy(&bytes).contains(until) {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) if until.is_empty() => break,
            Err(e) => panic!("{e} instead of {until}"),
        }
    }
    said.push_str(&String::from_utf8_lossy(&bytes));
}

/// What is said, without what is said of the channel.
fn skeleton(said: &str) -> String {
    let kept = ["Event-Name: CHANNEL_", "Reply-Text: ", "Content-Disposition: ", "Application-UUID: "];
    let mut out = String::new();
    for line in said.lines() {
        if let Some(head) = kept.iter().find(|head| line.starts_with(**head)) {
            out.push_str(if *head == kept[3] { ":" } else { " " });
            out.push_str(line.strip_prefix(head).expect("it begins so"));
        }
    }
    out.trim_start().replace(connection::NOT_OURS, "*")
}

const CONNECT: (&str, &str) = ("connect\n\n", "\n\n");
const MYEVENTS: (&str, &str) = ("myevents\n\n", "\n\n");

#[test]
fn the_channel_is_told_encoded_and_everything_else_raw() {
    let (_, data) = served(script(), Dialplan::default(), &[CONNECT]);
    for line in [
        "Event-Name: CHANNEL_DATA",
        "Unique-ID: 1795319690.20",
        "Caller-Caller-ID-Name: Alice%20Example",
        "Caller-Destination-Number: 100",
        "variable_socket_path: webhook/vip",
        "variable_socket_resume: true",
        "variable_current_application: socket",
        "Answer-State: ringing",
        "Content-Type: command/reply",
        "Reply-Text: %2BOK%0A",
        "Socket-Mode: async",
    ] {
        assert!(data.lines().any(|l| l == line), "no {line} in\n{data}");
    }
    assert!(!data.contains("Content-Length"));
    let (_, said) = served(script(), Dialplan::default(), &[CONNECT, ("exit\n\n", "")]);
    assert_eq!(skeleton(&said), "+OK bye disconnect");
}

#[test]
fn replies_and_events_come_as_recorded() {
    let two = execute("set", "a=1", "u1") + &execute("playback", "a.wav", "u2");
    let nested = execute("playback", "b.wav", "u1") + &execute("playback", "a.wav", "u2");
    let nested = nested.replace("event-lock: true\n", "");
    let unknown = execute("frobnicate", "", "u1");
    let digits = execute("play_and_get_digits", "4 6 1 5000 # 'a.wav' '' pin '' 1000", "u1");
    for (words, text, until, wanted) in [
        // Queued, in order; somebody else's event before each reply.
        (
            "async full",
            two.as_str(),
            "UUID: u2\n\n",
            "EXECUTE_COMPLETE:* +OK EXECUTE:u1 EXECUTE_COMPLETE:* +OK EXECUTE_COMPLETE:u1 EXECUTE:u2",
        ),
        // Without event-lock the second one runs inside the first one.
        (
            "async full",
            &nested,
            "PLAYED\nApplication-UUID: u1\n\n",
            "EXECUTE_COMPLETE:* +OK EXECUTE:u1 EXECUTE_COMPLETE:* +OK EXECUTE:u2 EXECUTE_COMPLETE:u2 \
             EXECUTE_COMPLETE:u1",
        ),
        // Not async: the reply comes at the end, then the events.
        (
            "full",
            &two,
            "PLAYED\nApplication-UUID: u2\n\n",
            "+OK EXECUTE:u1 EXECUTE_COMPLETE:u1 +OK EXECUTE:u2 EXECUTE_COMPLETE:u2",
        ),
        (
            "async full",
            &unknown,
            "goodbye.",
            "EXECUTE_COMPLETE:* +OK HANGUP UNPARK EXECUTE_COMPLETE:* STATE STATE HANGUP_COMPLETE disconnect",
        ),
        // The caller hangs up in it.
        (
            "async full",
            &digits,
            "goodbye.",
            "EXECUTE_COMPLETE:* +OK EXECUTE:u1 HANGUP EXECUTE_COMPLETE:u1 UNPARK EXECUTE_COMPLETE:* STATE STATE \
             HANGUP_COMPLETE disconnect",
        ),
        ("full", &digits, "goodbye.", "+OK EXECUTE:u1 HANGUP EXECUTE_COMPLETE:u1 disconnect"),
        ("async full", "sendmsg\n\n", "\n\n", "+OK"),
        ("async full", "sendmsg other\n\n", "\n\n", "-ERR invalid session id [other]"),
        ("async", "api status\n\n", "\n\n", "-ERR command not found"),
        ("async full", "linger 5\n\n", "\n\n", "+OK will linger 5 seconds"),
    ] {
        let entries = match text == digits {
            true => vec![Entry::over("12").then_hang_up(Duration::from_millis(100))],
            false => Vec::new(),
        };
        let steps = [CONNECT, MYEVENTS, (text, until)];
        let (_, said) = served(Script { entries, ..script() }, dialplan(words, true), &steps);
        assert_eq!(skeleton(&said), wanted, "{words}: {text}");
    }
}

#[test]
fn a_hangup_ends_what_runs_and_lingers() {
    let script = Script {
        entries: vec![Entry::over("12")],
        hang_up_after: Some(Duration::from_secs(10)),
        answered: true,
        ..script()
    };
    let digits = execute("play_and_get_digits", "0 6 1 60000 # 'a.wav' '' pin '' 60000", "u1");
    let steps = [CONNECT, MYEVENTS, ("linger 2\n\n", "\n\n"), (digits.as_str(), "goodbye.")];
    let (played, said) = served(script, Dialplan::default(), &steps);
    assert!(skeleton(&said).ends_with("HANGUP_COMPLETE linger disconnect"), "{said}");
    let end = said.split("CHANNEL_EXECUTE_COMPLETE").nth(2).expect("an end");
    for line in ["Answer-State: hangup", "variable_pin: 12", "variable_read_result: failure"] {
        assert!(end.lines().any(|l| l == line), "no {line} in {end}");
    }
    assert_eq!((played.after, played.hung_up), (After::HungUp, true));
}

/// What leaving does: the table in the facts, with the worst of several outcomes.
#[test]
fn who_leaves_in_the_wrong_way_loses_the_caller() {
    let set = execute("set", "a=1", "u1");
    for (words, resumes, text, after) in [
        ("async full", true, "exit\n\n", After::GoesOn),
        ("async full", true, "", After::GoesOn),
        ("async full", false, "exit\n\n", After::Parked),
        ("async full", false, "", After::Parked),
        ("async full", false, "resume\n\nexit\n\n", After::GoesOn),
        ("async", true, "exit\n\n", After::GoesOn),
        ("full", true, "exit\n\n", After::Stuck),
        ("full", true, "", After::Stuck),
        ("full", false, "exit\n\n", After::GoesOn),
        ("full", false, "resume\n\nexit\n\n", After::Stuck),
        ("", false, "", After::GoesOn),
    ] {
        // Without a text it is closed.
        let steps = if text.is_empty() { vec![CONNECT] } else { vec![CONNECT, (text, "goodbye")] };
        let (played, _) = served(script(), dialplan(words, resumes), &steps);
        assert_eq!(played.after, after, "{words} {resumes} {text}");
    }
    // The first command is not `connect`.
    let (played, said) = served(script(), dialplan("async full", false), &[("exit\n\n", "goodbye")]);
    assert_eq!((skeleton(&said).as_str(), played.after), ("disconnect", After::Parked));
    // What waits behind what runs is done, and ends it.
    let text = execute("playback", "a.wav", "u1") + &set + "exit\n\n";
    let (played, _) = served(script(), Dialplan::default(), &[CONNECT, (&text, "goodbye")]);
    assert_eq!((played.variable("a"), played.after), ("1", After::GoesOn));
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    assert_eq!(runtime.block_on(play(nowhere, script(), Dialplan::default())).after, After::Failure);
}

/// Measured, with a sound of 1 s and one that is not there.
#[test]
fn digits_are_collected_as_measured() {
    for (argument, entry, wanted) in [
        ("0 8 1 3000 # 'a.wav' '' pin '' 1000", Entry::after("1234#"), "1234 success #"),
        ("0 8 1 3000 # 'a.wav' '' pin '' 1000", Entry::over("1234#"), "1234 success #"),
        ("0 8 1 3000 # 'a.wav' '' pin '' 1000", Entry::after("12345678"), "12345678 success "),
        ("0 8 1 3000 # 'a.wav' '' pin '' 1000", Entry::after("1234"), "1234 timeout "),
        ("0 8 1 3000 # 'a.wav' '' pin '' 1000", Entry::after("#"), " success #"),
        ("0 8 1 3000 # 'a.wav' '' pin '' 1000", Entry::nothing(), " timeout "),
        ("0 8 1 3000 # '' '' pin '' 1000", Entry::after("12#"), "12 success #"),
        ("0 8 1 3000 # 'nope.wav' '' pin '' 1000", Entry::after("12#"), "  "),
        ("0 8 1 3000 # 'file_string://nope!a.wav' '' pin '' 1000", Entry::after("12#"), "12 success #"),
        ("0 8 1 3000 # 'file_string://nope!nope2' '' pin '' 1000", Entry::after("12#"), "  "),
        ("0 200 1 3000 # 'a.wav' '' pin '' 1000", Entry::after("12#"), "  "),
    ] {
        let text = execute("play_and_get_digits", argument, "u1");
        let script = Script { entries: vec![entry.clone()], ..script() };
        let steps = [CONNECT, MYEVENTS, (text.as_str(), "_none_\nApplication-UUID: u1\n\n")];
        let (_, said) = served(script, Dialplan::default(), &steps);
        let end = said.rsplit("Event-Name: CHANNEL_EXECUTE_COMPLETE").next().expect("an end");
        let value = |name: &str| end.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
        let values = ["variable_pin: ", "variable_read_result: ", "variable_read_terminator_used: "];
        let got = values.map(value).join(" ").replace("%23", "#");
        assert_eq!(got, wanted, "{argument} {entry:?}");
    }
}

#[test]
fn keys_are_told_unless_the_dialplan_says_that_they_are_nobodys_business() {
    for sensitive in [false, true] {
        let set = execute("set", &format!("sensitive_dtmf={sensitive}"), "u1");
        let text = set + &execute("play_and_get_digits", "0 8 1 3000 # '' '' pin '' 1000", "u2");
        let steps = [CONNECT, MYEVENTS, (text.as_str(), "_none_\nApplication-UUID: u2\n\n")];
        let script = Script { entries: vec![Entry::after("739#")], ..script() };
        let (played, said) = served(script, Dialplan::default(), &steps);
        assert_eq!(said.matches("Event-Name: DTMF").count(), if sensitive { 0 } else { 4 });
        assert_eq!(played.variable("digits_dialed"), if sensitive { "" } else { "739#" });
    }
}

/// Each line is one that a server must not write.
#[test]
fn what_a_server_must_not_write_is_noted() {
    let header = |argument: &str| {
        format!("sendmsg\ncall-command: execute\nexecute-app-name: set\nexecute-app-arg: {argument}\n\n")
    };
    let set = |value: &str| execute("set", value, "u1");
    let trap = |e: &Event| {
        matches!(e, Event::Expanded(_) | Event::Array(_) | Event::Misread(_) | Event::UnknownApplication(_))
    };
    for (text, a, trapped) in [
        (set("a=x y=z,'q' %41 ^^:b $5"), "x y=z,'q' %41 ^^:b $5", false),
        (set("a="), "", false),
        (set("a=${system(touch x)}"), "${system(touch x)}", true),
        (set("a=b\\n"), "b\\n", true),
        (set("a=ARRAY::b|:c"), "ARRAY::b|:c", true),
        (header("a=b\nexecute-app-arg: a=c"), "b", false),
        (header("a=b\r"), "", true),
        (header("a=b\n\napi status"), "b", true),
        (header("a=unload mod_event_socket"), "", true),
        (execute("system", "touch x", "u1"), "", true),
    ] {
        let text = text + "exit\n\n";
        let (played, _) = served(script(), Dialplan::default(), &[CONNECT, (&text, "goodbye")]);
        assert_eq!(played.variable("a"), a, "{text}");
        assert_eq!(
            played.transcript.iter().any(|m| trap(&m.event)),
            trapped,
            "{text}: {:?}",
            played.transcript
        );
    }
}

/// Measured: what the callee's INVITE says.
#[test]
fn the_callee_sees_what_was_measured() {
    let name = |text: &str| execute("set", &format!("effective_caller_id_name={text}"), "n");
    let number = |text: &str| execute("set", &format!("effective_caller_id_number={text}"), "m");
    let privacy = |text: &str| execute("privacy", text, "p");
    for (text, from, private) in [
        (String::new(), "\"Alice Example\" <sip:1001@", false),
        (name("Zoë Müller & Söhne"), "\"Zoë Müller & Söhne\" <sip:1001@", false),
        (name("Sales: Alice Example"), "\" Alice Example\" <sip:1001@", false),
        (name("Sales%3A Alice%2FBob %40 x"), "\"Sales: Alice/Bob @ x\" <sip:1001@", false),
        (name("Alice@home"), "\"Alice\" <sip:1001@", false),
        (name("50%25 off"), "\"50% off\" <sip:1001@", false),
        (name("x%250d%250aX"), "\"x%0d%0aX\" <sip:1001@", false),
        (name("x%0d%0aX-Evil%3A y"), "\"x\r\nX-Evil: y\" <sip:1001@", false),
        (name("a%22b"), "\"a\" <sip:1001@", false),
        (name("^^:y"), "\"y\" <sip:1001@", false),
        (name("_undef_"), "<sip:1001@", false),
        (name("x") + &name(""), "\"Alice Example\" <sip:1001@", false),
        (number("300"), "\"Alice Example\" <sip:300@", false),
        (privacy("full"), "\"Alice Example\" <sip:1001@", true),
        (name("anonymous") + &number("anonymous") + &privacy("full"), "\"anonymous\" <sip:anonymous@", true),
    ] {
        let text = text + "exit\n\n";
        let (played, _) = served(script(), Dialplan::default(), &[CONNECT, (&text, "goodbye")]);
        let invite = played.caller.invite();
        assert!(invite.starts_with(&format!("From: {from}")), "{text}: {invite}");
        assert_eq!(invite.contains("Privacy: id"), private, "{text}");
    }
}
