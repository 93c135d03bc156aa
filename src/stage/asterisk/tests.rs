//! The played Asterisk against bytes that the real one (22.10.1; 16.28.0 the same) was recorded with.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::stage::{After, Entry, Event, Party, Presentation, Shown};

const USAGE: &str = "520-Invalid command syntax.  Proper usage follows:\n";
const USAGE_END: &str = "520 End of proper usage.\n";
const DEAD: &str = "511 Command Not Permitted on a dead channel or intercept routine\n";
const UNKNOWN: &str = "510 Invalid or unknown command\n";

/// A server that says these lines one by one and insists on the replies; then it closes.
async fn dialogue(script: Script, lines: &[(&str, &str)]) -> Played {
    let (played, ()) = with_server(script, async |stream, _| {
        for (line, reply) in lines {
            stream.write_all(format!("{line}\n").as_bytes()).await.expect("a write");
            let got = if *reply == USAGE {
                let first = read(stream, |got| got.ends_with('\n')).await;
                assert!(read(stream, |got| got.ends_with(USAGE_END)).await.lines().count() > 1);
                first
            } else {
                read(stream, |got| got.len() >= reply.len()).await
            };
            assert_eq!(got, *reply, "{line}");
        }
    })
    .await;
    played
}

async fn with_server<T>(script: Script, serve: impl AsyncFnOnce(&mut TcpStream, String) -> T) -> (Played, T) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = async {
        let (mut stream, _) = listener.accept().await.expect("a call");
        let environment = read(&mut stream, |got| got.ends_with("\n\n")).await;
        serve(&mut stream, environment).await
    };
    let both = async { tokio::join!(play(address, script), server) };
    tokio::time::timeout(Duration::from_secs(20), both).await.expect("an end")
}

/// Byte by byte until it is enough, so that nothing behind it is taken.
async fn read(stream: &mut TcpStream, enough: impl Fn(&str) -> bool) -> String {
    let mut got = String::new();
    while !enough(&got) {
        got.push(char::from(stream.read_u8().await.expect("a byte")));
    }
    got
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test)
}

fn script() -> Script {
    let sounds = [("beep", 440), ("demo-congrats", 30_000)];
    Script {
        sounds: sounds.map(|(name, ms)| (name.to_owned(), Duration::from_millis(ms))).into(),
        speed: 50,
        ..Script::default()
    }
}

#[test]
fn the_environment_is_the_recorded_one() {
    let script = Script {
        path: "basics?webhook=x&tenant=7".to_owned(),
        args: ["first arg", "", "third, quoted", "100%25"].map(str::to_owned).into(),
        unique_id: "t1-1795319690.20".to_owned(),
        dnid: Some("agi-basics".to_owned()),
        extension: "agi-basics".to_owned(),
        ..script()
    };
    let (_, environment) = run(with_server(script, async |_, environment| environment));
    let lines: Vec<&str> = environment.lines().collect();
    assert!(lines[2].starts_with("agi_request: agi://127.0.0.1:"));
    assert!(lines[2].ends_with("/basics?webhook=x&tenant=7"));
    let recorded = "agi_network: yes\nagi_network_script: basics?webhook=x&tenant=7\n\
        agi_channel: PJSIP/caller-0000000a\nagi_language: en\nagi_type: PJSIP\nagi_uniqueid: t1-1795319690.20\n\
        agi_version: 22.10.1\nagi_callerid: 1001\nagi_calleridname: Alice Example\nagi_callingpres: 0\n\
        agi_callingani2: 0\nagi_callington: 0\nagi_callingtns: 0\nagi_dnid: agi-basics\nagi_rdnis: unknown\n\
        agi_context: in\nagi_extension: agi-basics\nagi_priority: 2\nagi_enhanced: 0.0\nagi_accountcode: \n\
        agi_threadid: 140358395119296\nagi_arg_1: first arg\nagi_arg_2: \nagi_arg_3: third, quoted\n\
        agi_arg_4: 100%25\n\n";
    let without_request: Vec<&str> =
        lines.iter().filter(|l| !l.starts_with("agi_request")).copied().collect();
    assert_eq!(without_request, recorded.lines().collect::<Vec<_>>());

    // From a caller without a number, and by a URL without a path.
    let script =
        Script { number: None, name: None, presentation: Presentation::Unavailable, ..Script::default() };
    let (_, environment) = run(with_server(script, async |_, environment| environment));
    assert!(
        environment.contains("\nagi_callerid: unknown\nagi_calleridname: unknown\nagi_callingpres: 67\n")
    );
    assert!(!environment.contains("agi_network_script"));
}

#[test]
fn commands_are_answered_as_recorded() {
    let played = run(dialogue(
        script(),
        &[
            ("CHANNEL STATUS", "200 result=4\n"),
            ("ANSWER", "200 result=0\n"),
            ("answer", "200 result=0\n"),
            ("  ANSWER", "200 result=0\n"),
            ("CHANNEL STATUS", "200 result=6\n"),
            ("CHANNEL STATUS PJSIP/none-1", "200 result=-1\n"),
            ("NOOP", "200 result=0\n"),
            ("NOOP a b", "200 result=0\n"),
            ("VERBOSE \"hello \\\"q\\\" wörld\" 1", "200 result=1\n"),
            ("VERBOSE \"no level\"", "200 result=1\n"),
            ("VERBOSE", USAGE),
            ("FROBNICATE x", UNKNOWN),
            ("", UNKNOWN),
            ("GET", UNKNOWN),
            ("ANSWER\r", UNKNOWN),
            ("GET VARIABLE", USAGE),
            ("GET VARIABLE CALLERID(num)", "200 result=1 (1001)\n"),
            ("GET VARIABLE NOSUCH", "200 result=0\n"),
            ("SET VARIABLE", USAGE),
            ("SET VARIABLE V1", USAGE),
            ("SET VARIABLE V1 two words", USAGE),
            ("SET VARIABLE V1 \"\"", "200 result=1\n"),
            ("GET VARIABLE V1", "200 result=1 ()\n"),
            ("GET FULL VARIABLE ${V1}", "200 result=1 ()\n"),
            ("GET FULL VARIABLE ${CALLERID(num)}", "200 result=1 (1001)\n"),
            ("GET FULL VARIABLE \"${CALLERID(name)} x\"", "200 result=1 (Alice Example x)\n"),
            ("GET FULL VARIABLE ${CHANNEL}", "200 result=1 (PJSIP/caller-0000000a)\n"),
            ("GET FULL VARIABLE ${NOSUCH}", "200 result=1 ()\n"),
            ("GET FULL VARIABLE ${CALLERID(num)} PJSIP/none", "200 result=0\n"),
            ("GET FULL VARIABLE ${CALLERID(all)}", "200 result=1 (\"Alice Example\" <1001>)\n"),
            ("GET FULL VARIABLE plain", "200 result=1 (plain)\n"),
            ("EXEC", USAGE),
            ("EXEC NoSuchApp x", "200 result=-2\n"),
            ("EXEC Set \"V2=a b\"", "200 result=0\n"),
            ("GET VARIABLE V2", "200 result=1 (a b)\n"),
            ("EXEC Wait 0.3", "200 result=0\n"),
            ("STREAM FILE beep", USAGE),
            ("STREAM FILE beep \"\"", "200 result=0 endpos=3520\n"),
            ("EXEC Playback nosuchfile", "200 result=0\n"),
            ("GET VARIABLE PLAYBACKSTATUS", "200 result=1 (FAILED)\n"),
            ("GET DATA", USAGE),
            ("GET DATA nosuch 100 1", "200 result=-1\n"),
            ("GET DATA beep 500 2", "200 result= (timeout)\n"),
            ("EXEC Read V1,nosuch,4,,1,1", "200 result=0\n"),
            ("GET VARIABLE READSTATUS", "200 result=1 (ERROR)\n"),
            ("EXEC Read V1,beep,4,,1,1", "200 result=0\n"),
            ("GET VARIABLE V1", "200 result=1 ()\n"),
            ("GET VARIABLE READSTATUS", "200 result=1 (TIMEOUT)\n"),
        ],
    ));
    assert_eq!((played.after, played.variable("V2")), (After::GoesOn, "a b"));
    assert_eq!(played.prompts(), ["beep", "beep", "beep"]);
    let played = run(dialogue(script(), &[("STREAM FILE nosuchfile \"12\"", "200 result=-1 endpos=0\n")]));
    assert_eq!(played.after, After::Failure);
}

#[test]
fn digits_come_as_recorded() {
    for (entry, line, reply, keys) in [
        (Entry::after("12"), "GET DATA beep 3000 4", "200 result=12 (timeout)\n", "12"),
        (Entry::nothing(), "GET DATA beep 3000 4", "200 result= (timeout)\n", ""),
        (Entry::after("#"), "GET DATA beep 3000 4", "200 result=\n", "#"),
        (Entry::after("1#"), "GET DATA beep 3000 4", "200 result=1\n", "1#"),
        (Entry::over("1234"), "GET DATA demo-congrats 3000 4", "200 result=1234\n", "1234"),
        (Entry::after("12"), "GET DATA \"\" 2000 4", "200 result=12 (timeout)\n", "12"),
        (Entry::after("0123"), "GET DATA \"\" 2500 3", "200 result=012\n", "012"),
        (Entry::after("123"), "GET DATA beep", "200 result=123 (timeout)\n", "123"),
        (Entry::over("2"), "STREAM FILE demo-congrats \"123\"", "200 result=50 endpos=3200\n", "2"),
        (
            Entry::over("9").then_hang_up(Duration::from_millis(560)),
            "STREAM FILE demo-congrats \"1\"",
            "200 result=-1 endpos=7680\nHANGUP\n",
            "9",
        ),
        (
            Entry::over("").then_hang_up(Duration::from_secs(1)),
            "GET DATA demo-congrats 10000 4",
            "200 result=-1\nHANGUP\n",
            "",
        ),
        (
            Entry::over("").then_hang_up(Duration::from_secs(1)),
            "EXEC Read V1,demo-congrats,4,,1,5",
            "200 result=0\nHANGUP\n",
            "",
        ),
    ] {
        let script = Script { entries: vec![entry], answered: true, ..script() };
        let played = run(dialogue(script, &[(line, reply)]));
        let pressed: String = played.of_keys().collect();
        assert_eq!(pressed, keys, "{line}");
        assert_eq!(played.hung_up, reply.ends_with("HANGUP\n"));
    }
    let script = Script { entries: vec![Entry::over("12#")], ..script() };
    let read = [
        ("EXEC Read V1,beep,10,,1,3", "200 result=0\n"),
        ("GET VARIABLE V1", "200 result=1 (12)\n"),
        ("GET VARIABLE READSTATUS", "200 result=1 (OK)\n"),
    ];
    run(dialogue(script, &read));
}

impl Played {
    fn of_keys(&self) -> impl Iterator<Item = char> {
        self.transcript.iter().filter_map(|m| if let Event::Key(key) = m.event { Some(key) } else { None })
    }
}

#[test]
fn a_channel_that_was_hung_up_answers_as_recorded() {
    let script = Script {
        entries: vec![Entry::over("").then_hang_up(Duration::from_secs(1))],
        answered: true,
        ..script()
    };
    let played = run(dialogue(
        script,
        &[
            ("GET DATA demo-congrats 10000 4", "200 result=-1\n"),
            ("NOOP", "HANGUP\n200 result=0\n"),
            ("SET VARIABLE V1 after", "200 result=1\n"),
            ("GET VARIABLE V1", "200 result=1 (after)\n"),
            ("GET FULL VARIABLE ${CHANNEL}", "200 result=1 (PJSIP/caller-0000000a)\n"),
            ("CHANNEL STATUS", DEAD),
            ("STREAM FILE beep \"\"", DEAD),
            ("EXEC NoOp x", "200 result=0\n"),
            ("EXEC Playback beep", "200 result=0\n"),
            ("GET DATA beep 100 1", DEAD),
            ("ANSWER", DEAD),
            ("HANGUP", DEAD),
            ("VERBOSE \"dead\" 1", "200 result=1\n"),
            ("FROB", UNKNOWN),
        ],
    ));
    assert_eq!((played.after, played.variable("V1")), (After::HungUp, "after"));

    // While the server thinks, the line comes by itself.
    let script = Script { hang_up_after: Some(Duration::from_millis(500)), ..script_answered() };
    let (played, said) =
        run(with_server(script, async |stream, _| read(stream, |got| got.ends_with('\n')).await));
    assert_eq!((said.as_str(), played.after), ("HANGUP\n", After::HungUp));
}

fn script_answered() -> Script {
    Script { answered: true, ..script() }
}

/// Recorded: ten commands in one write, then a half-close: all replies in order, `HANGUP`, end.
#[test]
fn a_batch_with_a_half_close_behind_it_is_answered_whole() {
    let (played, said) = run(with_server(script_answered(), async |stream, _| {
        let lines: String = (0..9).map(|n| format!("SET VARIABLE V{n} \"x {n}\"\n")).collect();
        let all = format!("{lines}SET VARIABLE CALLERID(name) \"Zoë\"\n");
        stream.write_all(all.as_bytes()).await.expect("a write");
        stream.shutdown().await.expect("a half-close");
        let mut said = String::new();
        stream.read_to_string(&mut said).await.expect("the replies");
        said
    }));
    assert_eq!(said, format!("{}HANGUP\n", "200 result=1\n".repeat(10)));
    assert_eq!((played.variable("V8"), played.caller.asserted.name.as_str()), ("x 8", "Zoë"));
    assert_eq!(played.after, After::GoesOn);
}

/// Recorded (agi_readahead): what was written ahead waits in Asterisk's buffer for the socket's next bytes.
#[test]
fn a_line_that_was_written_ahead_stalls_until_more_comes() {
    let (_, said) = run(with_server(script_answered(), async |stream, _| {
        stream.write_all(b"SET VARIABLE A 1\nSET VARIABLE B 2\n").await.expect("a write");
        read(stream, |got| got.ends_with('\n')).await;
        let silent = tokio::time::timeout(Duration::from_millis(100), stream.peek(&mut [0])).await.is_err();
        stream.write_all(b"NOOP\n").await.expect("a write");
        (silent, read(stream, |got| got.ends_with('\n')).await)
    }));
    assert_eq!(said, (true, "200 result=1\n".to_owned()));
}

/// Recorded: bytes end what plays, without a reply; an unfinished line runs at the end.
#[test]
fn bytes_interrupt_what_plays_and_half_a_line_runs_at_the_end() {
    let (played, said) = run(with_server(script_answered(), async |stream, _| {
        stream.write_all(b"GET DATA demo-congrats 5000 4\n").await.expect("a write");
        stream.write_all(b"SET VARIABLE V1 half").await.expect("a write");
        stream.shutdown().await.expect("a half-close");
        let mut said = String::new();
        stream.read_to_string(&mut said).await.expect("the rest");
        said
    }));
    assert_eq!((said.as_str(), played.variable("V1")), ("200 result=1\nHANGUP\n", "half"));
    assert!(played.transcript.iter().any(|m| m.event == Event::Interrupted));
}

/// Recorded at the callee: name and number in From and P-Asserted-Identity.
#[test]
fn the_callee_sees_what_was_recorded() {
    let set = |name: &str, value: &str| format!("SET VARIABLE CALLERID({name}) \"{value}\"");
    let long = "L".repeat(300);
    for (sets, shown, asserted) in [
        (vec![("name", "Acme Support"), ("num", "1000")], ("Acme Support", "1000"), ("Acme Support", "1000")),
        (
            vec![("name", "Zoë Müller 日本"), ("num", "+4930123456")],
            ("Zoë Müller 日本", "+4930123456"),
            ("Zoë Müller 日本", "+4930123456"),
        ),
        (
            vec![("name", "Bob \\\"The\\\" \\\\ B"), ("num", "1001")],
            ("Bob \"The\" \\ B", "1001"),
            ("Bob \"The\" \\ B", "1001"),
        ),
        (
            vec![("name", "Secret"), ("num", "1002"), ("pres", "prohib")],
            ("Anonymous", "anonymous"),
            ("Secret", "1002"),
        ),
        (
            vec![("name", "Secret"), ("num", "1003"), ("pres", "unavailable")],
            ("Anonymous", "anonymous"),
            ("Secret", "1003"),
        ),
        (
            vec![("name", "HiddenName"), ("num", "1008"), ("name-pres", "prohib")],
            ("Anonymous", "anonymous"),
            ("HiddenName", "1008"),
        ),
        (vec![("name", "Name Only"), ("num", "")], ("Name Only", ""), ("Name Only", "")),
        (vec![("name", ""), ("num", ""), ("pres", "nonsense")], ("", ""), ("", "")),
        (vec![("name", &long)], (&long[..255], "1001"), (&long[..255], "1001")),
    ] {
        let lines: Vec<String> = sets.iter().map(|(name, value)| set(name, value)).collect();
        let lines: Vec<(&str, &str)> = lines.iter().map(|l| (l.as_str(), "200 result=1\n")).collect();
        let played = run(dialogue(script(), &lines));
        let party = |(name, number): (&str, &str)| Party { name: name.to_owned(), number: number.to_owned() };
        let private = shown.1 == "anonymous";
        let shown = Shown { from: party(shown), asserted: party(asserted), private };
        assert_eq!(played.caller, shown, "{sets:?}");
    }
}

#[test]
fn no_server_is_a_failure() {
    let address = run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("an address")
    });
    assert_eq!(run(play(address, script())).after, After::Failure);
}
