//! An independent implementation of the event socket at the other end.

use std::time::{Duration, Instant};

use freeswitch_esl_tokio::EslClient;
use freeswitch_esl_tokio::mock::MockConnection;
use switchhook::call::{Command, CommandId, Finish, Outcome, Session, SessionOutput};
use switchhook::freeswitch::esl::{Message, PacketReader, read_commands};
use switchhook::freeswitch::outbound::OutboundSession;
use switchhook::terms::{PbxText, VarName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::esl::channel;

/// Our end of a connection.
struct Ours {
    stream: TcpStream,
    session: OutboundSession,
}

impl Ours {
    /// Reads and writes until the session says something to the call.
    async fn says(&mut self) -> SessionOutput {
        loop {
            match self.session.poll_output() {
                SessionOutput::Write(bytes) | SessionOutput::WriteLast(bytes) => {
                    self.stream.write_all(&bytes).await.expect("to write");
                }
                SessionOutput::Wait(_) => {
                    let mut buffer = [0; 64];
                    let n = self.stream.read(&mut buffer).await.expect("to read");
                    self.session.handle_bytes(Instant::now(), &buffer[..n]);
                }
                output => return output,
            }
        }
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Out of step, both ends would wait for each other.
    let limited = async { tokio::time::timeout(Duration::from_secs(30), test).await };
    runtime.block_on(limited).expect("an end");
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
    (one.expect("to connect"), other.expect("to accept").0)
}

/// What it says is read as it was meant, and what we say is read. It does not encode the reply to `connect` as
/// FreeSWITCH does, so that one is ours.
#[test]
fn it_plays_freeswitch() {
    run(async {
        let (theirs, ours) = pair().await;
        let mut switch = MockConnection::from_stream(theirs);
        let mut us = Ours { stream: ours, session: OutboundSession::new(Instant::now()) };
        let play_switch = async {
            for words in ["connect\n\n", "myevents\n\n"] {
                assert_eq!(switch.read_command().await.expect("a command"), words);
            }
            assert!(switch.read_command().await.expect("a command").starts_with("filter "));
            assert!(switch.read_command().await.expect("a command").starts_with("filter "));
            switch.send_raw(&channel(&[])).await.expect("to send");
            for _ in 0..3 {
                switch.reply_ok().await.expect("to reply");
            }
            let answer = switch.read_command().await.expect("a command");
            assert!(answer.starts_with("sendmsg\n") && answer.contains("\nexecute-app-name: answer\n"));
            let end =
                [("Unique-ID", "u"), ("Answer-State", "answered"), ("Application-UUID", "switchhook-1")];
            switch
                .send_event_plain_with_body("CHANNEL_EXECUTE_COMPLETE", end, "a: b\n\n")
                .await
                .expect("to send");
            switch.reply_ok().await.expect("to reply");
            assert!(switch.read_command().await.expect("a command").contains("\nexecute-app-name: set\n"));
            // It does not read bodies: ours stands in front of the next command.
            assert_eq!(switch.read_command().await.expect("a command"), "a=x: yexit\n\n");
            for _ in 0..2 {
                switch.reply_ok().await.expect("to reply");
            }
            switch.send_disconnect_notice("Disconnected, goodbye.\n").await.expect("to send");
        };
        let play_us = async {
            assert!(matches!(us.says().await, SessionOutput::Opened(_)));
            us.session.run(Instant::now(), CommandId(0), Command::Answer);
            assert_eq!(us.says().await, SessionOutput::Done(CommandId(0), Outcome::Done));
            let variables = vec![(VarName::parse("A").expect("a name"), PbxText::clean("x: y").0)];
            us.session.run(
                Instant::now(),
                CommandId(1),
                Command::Finish(Finish { variables, ..Finish::default() }),
            );
            assert_eq!(us.says().await, SessionOutput::Done(CommandId(1), Outcome::Done));
            assert_eq!(us.says().await, SessionOutput::Closed);
        };
        tokio::join!(play_switch, play_us);
    });
}

#[test]
fn its_values_are_decoded() {
    run(async {
        let (theirs, mut ours) = pair().await;
        let mut switch = MockConnection::from_stream(theirs);
        let value = "Zoë + 50%\n\"x\" %41\r\n\r\n: $";
        let lines = [("Unique-ID", "u"), ("Caller-Context", ""), ("variable_x", value)];
        switch.send_event_plain_with_body("CUSTOM", lines, "a: b\n\nc").await.expect("to send");
        switch.reply_bgapi("7a88").await.expect("to send");
        switch.reply_api("+OK\n\n").await.expect("to send");
        switch.drop_connection().await;
        let mut bytes = Vec::new();
        ours.read_to_end(&mut bytes).await.expect("to read");
        let mut packets = PacketReader::default();
        packets.push(&bytes);
        let mut next =
            || packets.next_packet().expect("packets").map(|p| Message::parse(p).expect("a message"));
        let Some(Message::Event(event)) = next() else { panic!("no event") };
        assert_eq!((event.variable("x").as_deref(), event.get("Caller-Context")), (Some(value), None));
        assert_eq!((event.name(), event.body()), ("CUSTOM".into(), &b"a: b\n\nc"[..]));
        assert!(matches!(next(), Some(Message::Reply(reply)) if reply.text() == "+OK Job-UUID: 7a88"));
        assert!(matches!(next(), Some(Message::Api(content)) if content == "+OK\n\n"));
        assert!(next().is_none());
    });
}

/// What it writes is read here as FreeSWITCH reads it.
#[test]
fn it_plays_our_part() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let play_them = async {
            let (client, _events) = EslClient::accept_outbound(&listener).await.expect("a connection");
            client.connect_session().await.expect("a channel").check().expect("a channel");
            client.execute("set", Some("a=b: c "), None).await.expect("a reply").check().expect("+OK");
        };
        let play_switch = async {
            let mut stream = TcpStream::connect(address).await.expect("to connect");
            let (mut bytes, mut read) = (Vec::new(), Vec::new());
            while read.len() < 2 {
                let mut buffer = [0; 512];
                let n = stream.read(&mut buffer).await.expect("to read");
                bytes.extend_from_slice(&buffer[..n]);
                let commands = read_commands(&bytes).unwrap_or_default();
                for _ in read.len()..commands.len() {
                    stream
                        .write_all(b"Content-Type: command/reply\nReply-Text: +OK\n\n")
                        .await
                        .expect("to write");
                }
                read = commands;
            }
            assert_eq!(read[0].line, "connect");
            assert_eq!((read[1].line.as_str(), read[1].header("execute-app-name")), ("sendmsg", Some("set")));
            assert_eq!(read[1].argument(), "a=b: c ");
        };
        tokio::join!(play_them, play_switch);
    });
}
