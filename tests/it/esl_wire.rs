//! The event socket's packets and commands.

use proptest::prelude::*;
use std::time::Instant;
use switchhook::call::{Command, CommandId, Finish, Session, SessionOutput};
use switchhook::freeswitch::esl::{
    self, App, CONTENT_MAX, EncodeError, HEAD_MAX, HEADERS_MAX, Message, PacketError, PacketReader,
    ReadCommand, read_commands,
};
use switchhook::freeswitch::outbound::OutboundSession;
use switchhook::terms::{PbxText, VarName};

use crate::esl::channel;

/// The messages in pieces of a stream, in short.
fn read(pieces: &[&[u8]]) -> Result<Vec<String>, PacketError> {
    let mut reader = PacketReader::default();
    let mut found = Vec::new();
    for piece in pieces {
        reader.push(piece);
        while let Some(packet) = reader.next_packet()? {
            found.push(match Message::parse(packet)? {
                Message::Reply(reply) => format!("reply {}", reply.text()),
                Message::Api(content) => format!("api {}", String::from_utf8_lossy(&content)),
                Message::Event(event) => format!(
                    "event {} {}|{}",
                    event.name(),
                    event.variable("x").unwrap_or_default(),
                    String::from_utf8_lossy(event.body())
                ),
                Message::Disconnected { lingers } => format!("disconnected {lingers}"),
                Message::AuthRequest => "auth".to_owned(),
                Message::Rejected => "rejected".to_owned(),
                Message::Other => "other".to_owned(),
            });
        }
    }
    Ok(found)
}

fn event(x: &str, body: &str) -> String {
    let inner = if body.is_empty() { String::new() } else { format!("Content-Length: {}\n", body.len()) };
    let content = format!("Event-Name: CUSTOM\nvariable_x: {x}\n{inner}\n{body}");
    format!("Content-Length: {}\nContent-Type: text/event-plain\n\n{content}", content.len())
}

/// As FreeSWITCH sent them.
fn conversation() -> String {
    [
        "Content-Type: auth/request\n\n",
        "Content-Type: command/reply\nReply-Text: +OK accepted\n\n",
        "Content-Type: api/response\nContent-Length: 4\n\n1234",
        "Content-Type: api/response\nContent-Length: 16\n\n-ERR no reply\n\n\n",
        "Content-Type: command/reply\nReply-Text: +OK Job-UUID: 7a88\nJob-UUID: 7a88\n\n",
        &event("a%20b%2Bc+d%0A", ""),
        &event("ARRAY::one|:two", "a: body\n\nof its own\n"),
        "Content-Type: command/reply\nReply-Text: 100%25 %2BOK\n\n",
        "Content-Type: text/disconnect-notice\nControlled-Session-UUID: U\nContent-Disposition: linger\nChannel-Name: sofia/internal/1@2\nLinger-Time: 3\nContent-Length: 0\n\n",
        "Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n",
        "Content-Type: text/disconnect-notice\nContent-Length: 67\n\nDisconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n",
    ]
    .concat()
}

#[test]
fn packets_however_they_are_cut() {
    let all = conversation();
    let meant = [
        "auth",
        "reply +OK accepted",
        "api 1234",
        "api -ERR no reply\n\n\n",
        "reply +OK Job-UUID: 7a88",
        "event CUSTOM a b+c+d\n|",
        "event CUSTOM ARRAY::one|:two|a: body\n\nof its own\n",
        // A reply is never decoded.
        "reply 100%25 %2BOK",
        "disconnected true",
        "rejected",
        "disconnected false",
    ];
    let bytes = all.as_bytes();
    assert_eq!(read(&[bytes]).expect("packets"), meant);
    assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()).expect("packets"), meant);
    for at in 0..bytes.len() {
        let (front, back) = bytes.split_at(at);
        assert_eq!(read(&[front, back]).expect("packets"), meant, "cut at {at}");
    }
}

#[test]
fn the_length_of_the_content_is_checked_before_it_is_used() {
    for (length, error) in [
        ("-1", PacketError::Length),
        ("+4", PacketError::Length),
        ("4 ", PacketError::Length),
        ("0x4", PacketError::Length),
        ("", PacketError::Length),
        ("four", PacketError::Length),
        ("4\nContent-Length: 4", PacketError::Length),
        ("1048577", PacketError::ContentTooLong(1_048_576)),
        ("4294967300", PacketError::ContentTooLong(1_048_576)),
        ("18446744073709551617", PacketError::ContentTooLong(1_048_576)),
    ] {
        let packet = format!("Content-Type: api/response\nContent-Length: {length}\n\n1234");
        assert_eq!(read(&[packet.as_bytes()]), Err(error), "{length}");
    }
    let longest =
        format!("Content-Type: api/response\nContent-Length: {CONTENT_MAX}\n\n{}", "x".repeat(CONTENT_MAX));
    assert_eq!(read(&[longest.as_bytes()]).expect("a packet").len(), 1);
}

#[test]
fn headers_have_limits() {
    let long = format!("Content-Type: {}", "x".repeat(HEAD_MAX));
    assert_eq!(read(&[long.as_bytes()]), Err(PacketError::HeadTooLong));
    assert_eq!(read(&[format!("{long}\n\n").as_bytes()]), Err(PacketError::HeadTooLong));
    let many = format!("{}\n", "a: b\n".repeat(HEADERS_MAX + 1));
    assert_eq!(read(&[many.as_bytes()]), Err(PacketError::TooManyHeaders));
    for bad in ["\n\n", "x\n\n", ": x\n\n", "Content-Type: api/response\nx\n\n", "a: b\n\n"] {
        assert_eq!(read(&[bad.as_bytes()]), Err(PacketError::Shape), "{bad:?}");
    }
    // An event's own headers too.
    for bad in ["", "\n", "x\n\n", "Event-Name: X\n"] {
        let packet = format!("Content-Length: {}\nContent-Type: text/event-plain\n\n{bad}", bad.len());
        assert_eq!(read(&[packet.as_bytes()]), Err(PacketError::Shape), "{bad:?}");
    }
}

#[test]
fn what_an_encoded_value_reads_as() {
    for (wire, text) in [
        ("%2BOK%0A", "+OK\n"),
        ("+", "+"),
        ("%zz%4", "%zz%4"),
        ("%e9latin1", "\u{FFFD}latin1"),
        ("%C3%A9", "é"),
        ("", ""),
        (" two", " two"),
    ] {
        assert_eq!(
            read(&[event(wire, "").as_bytes()]).expect("an event"),
            [format!("event CUSTOM {text}|")],
            "{wire}"
        );
    }
}

/// FreeSWITCH's own reading of what other programs did to it (measured).
#[test]
fn how_freeswitch_reads_commands() {
    let one = |bytes: &str| {
        read_commands(bytes.as_bytes()).map(|c| c.into_iter().map(|c| c.line).collect::<Vec<_>>())
    };
    assert_eq!(one("connect\n\nexit\n\n").expect("commands"), ["connect", "exit"]);
    assert_eq!(one("\n\r\nexit\n\n").expect("commands"), ["exit"]);
    assert_eq!(one("exit\n"), None);
    assert_eq!(one("x\nContent-Length: -1\n\n"), None);
    assert_eq!(one("x\nContent-Length: 5\n\n1234"), None);
    let injected = "sendmsg\nexecute-app-arg: x=1\nEvent-UUID: forged\nEvent-UUID: ours\n\napi status\n\n";
    let read = read_commands(injected.as_bytes()).expect("commands");
    assert_eq!((read[0].header("event-uuid"), read[1].line.as_str()), (Some("forged"), "api status"));
    let hijacked = "sendmsg\nexecute-app-arg: a=please do not Unload mod_event_socket\n\n";
    assert_eq!(one(hijacked).expect("a command"), ["api bgapi unload mod_event_socket"]);
    let both = "sendmsg\nexecute-app-arg: header\ncontent-length: 4\n\nbody";
    assert_eq!(read_commands(both.as_bytes()).expect("a command")[0].argument(), "header");
}

#[test]
fn what_freeswitch_would_expand_is_not_written() {
    for (value, error) in [
        ("a\nX: y", EncodeError::Control),
        ("a\n\napi status", EncodeError::Control),
        ("a\r", EncodeError::Control),
        ("a\0", EncodeError::Control),
        ("a\u{85}", EncodeError::Control),
        ("${system(touch x)}", EncodeError::Expanded),
        ("$${x}", EncodeError::Expanded),
        (r"\${x}", EncodeError::Expanded),
        (r"a\nb", EncodeError::Expanded),
    ] {
        assert_eq!(esl::execute(App::Set, &format!("a={value}"), "1"), Err(error), "{value:?}");
        assert_eq!(esl::execute(App::Answer, "", value), Err(error), "{value:?}");
    }
    assert_eq!(esl::execute(App::Set, &"x".repeat(8193), "1"), Err(EncodeError::TooLong));
    // An id is a header: words that name a module would make it another command, spaces would go.
    assert_eq!(esl::execute(App::Set, "a=b", "unload mod_event_socket"), Err(EncodeError::Misread));
    assert_eq!(esl::execute(App::Set, "a=b", " 1"), Err(EncodeError::Misread));
}

fn one(bytes: &[u8]) -> ReadCommand {
    let mut commands = read_commands(bytes).expect("commands");
    assert_eq!(commands.len(), 1);
    commands.remove(0)
}

fn small(name: &VarName) -> String {
    name.as_str().to_ascii_lowercase()
}

proptest! {
    /// Whatever the value is, FreeSWITCH reads one command with our headers, and the value arrives as it is.
    #[test]
    fn values_never_become_headers(text in "(?s).{0,60}|[\\\\$\\{\\}\r\n :=,'\"^%\\[\\]]{0,30}|ARRAY::.{0,5}") {
        let name = VarName::parse("CRM_RESULT").expect("a name");
        let (value, _) = PbxText::clean(&text);
        match esl::set(&name, &value, "switchhook-1") {
            Ok(bytes) => {
                let read = one(&bytes);
                let names: Vec<&str> = read.headers.iter().map(|(n, _)| n.as_str()).collect();
                prop_assert_eq!(names, ["call-command", "execute-app-name", "Event-UUID", "event-lock", "content-type", "content-length"]);
                prop_assert_eq!(read.argument(), format!("{}={}", small(&name), value.as_str()));
                let expanded = read.argument().contains("${") || read.argument().contains('\\');
                prop_assert!(!expanded);
            }
            Err(e) => {
                prop_assert_eq!(e, EncodeError::Array);
                prop_assert!(value.as_str().starts_with("ARRAY::"));
            }
        }
        // The encoder refuses by itself what was not cleaned.
        if let Ok(bytes) = esl::execute(App::Set, &text, "1") {
            prop_assert_eq!(one(&bytes).argument(), text);
        }
    }

    /// The whole answer is so many commands as it has parts, and `exit`.
    #[test]
    fn an_answer_is_its_commands(texts in prop::collection::vec(".{0,20}", 1..8)) {
        let now = Instant::now();
        let mut session = OutboundSession::new(now);
        session.handle_bytes(now, channel(&[]).as_bytes());
        let name = VarName::parse("A").expect("a name");
        let variables: Vec<_> = texts.iter().map(|t| (name.clone(), PbxText::clean(t).0)).collect();
        let count = variables.len();
        session.run(now, CommandId(0), Command::Finish(Finish { variables, ..Finish::default() }));
        let bytes = loop {
            match session.poll_output() {
                SessionOutput::WriteLast(bytes) => break bytes,
                SessionOutput::Wait(_) | SessionOutput::Closed => panic!("nothing was written"),
                _ => {}
            }
        };
        let read = read_commands(&bytes).expect("commands");
        prop_assert_eq!(read.len(), count + 1);
        prop_assert!(read[..count].iter().all(|c| c.line == "sendmsg" && c.headers.len() == 6));
        prop_assert_eq!(&read[count].line, "exit");
    }

    /// Nothing breaks a session, and it ends.
    #[test]
    fn any_bytes(
        pieces in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            "(Content-Length|Content-Type|Event-Name|Unique-ID|Application-UUID|Reply-Text): (command/reply|text/event-plain|[0-9-]{1,3}|u|\\+OK|switchhook-1|CHANNEL_HANGUP)?\n{1,2}".prop_map(String::into_bytes),
            Just(channel(&[]).into_bytes()),
            Just(conversation().into_bytes()),
        ], 0..12),
        opened: bool,
    ) {
        let mut now = Instant::now();
        let mut session = OutboundSession::new(now);
        let (mut hangups, mut ids, mut steps) = (0, 0, 0);
        let first = opened.then(|| channel(&[]).into_bytes());
        let mut pieces = first.into_iter().chain(pieces);
        loop {
            steps += 1;
            prop_assert!(steps < 1000, "it does not end");
            match session.poll_output() {
                SessionOutput::Closed => break,
                SessionOutput::HungUp => hangups += 1,
                SessionOutput::Opened(_) => {
                    session.run(now, CommandId(ids), Command::Answer);
                    ids += 1;
                }
                SessionOutput::Wait(until) => match pieces.next() {
                    Some(piece) => session.handle_bytes(now, &piece),
                    None => {
                        prop_assert!(until > now);
                        now = until;
                        session.handle_timeout(now);
                    }
                },
                _ => {}
            }
        }
        prop_assert!(hangups <= 1);
    }
}
