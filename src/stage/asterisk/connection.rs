//! The socket's side of a session: the environment in two segments, lines as Asterisk reads them, time.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::channel::{Channel, Reaction, Reply};
use crate::stage::caller::hangs_up;
use crate::stage::{After, Event, Moment, Played, Script};

/// Bytes of a line; what is behind them runs as a further command. Asterisk 16's limit, the smaller one (measured; 22
/// takes 8191).
const LINE: usize = 2_047;

/// The second part of a usage error comes so much later (measured: Nagle's algorithm and a delayed acknowledgement).
const USAGE_DELAY: Duration = Duration::from_millis(40);

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    channel: Channel,
    transcript: Vec<Moment>,
    began: Instant,
    speed: u32,
    hang_up_at: Option<Instant>,
    hang_up_when: CancellationToken,
    half_closed: bool,
}

/// The connection is gone, or the server has said all.
struct Over;

pub(super) async fn play(server: SocketAddr, script: Script) -> Played {
    let began = Instant::now();
    let speed = script.speed.max(1);
    let environment = environment(server, &script);
    let hang_up_at = script.hang_up_after.map(|after| began + after / speed);
    let hang_up_when = script.hang_up_when.clone();
    let channel = Channel::new(script);
    let Ok(stream) = TcpStream::connect(server).await else {
        return played(channel, Vec::new(), After::Failure);
    };
    let mut connection = Connection {
        stream,
        buffer: Vec::new(),
        channel,
        transcript: Vec::new(),
        began,
        speed,
        hang_up_at,
        hang_up_when,
        half_closed: false,
    };
    // Each of the environment's two parts is a segment of its own.
    if connection.stream.set_nodelay(true).is_ok() {
        let Over = connection.session(environment).await;
    }
    let after = match &connection.channel {
        channel if channel.dead => After::HungUp,
        channel if channel.failed => After::Failure,
        _ => After::GoesOn,
    };
    played(connection.channel, connection.transcript, after)
}

fn played(channel: Channel, transcript: Vec<Moment>, after: After) -> Played {
    Played {
        variables: channel.variables(),
        after,
        answered: channel.up,
        hung_up: channel.dead,
        caller: channel.caller_id.shown(),
        transcript,
    }
}

/// The two parts of the environment, cut where Asterisk cuts them.
fn environment(server: SocketAddr, script: &Script) -> [String; 2] {
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let script_line = match script.path.as_str() {
        "" => String::new(),
        path => format!("agi_network_script: {path}\n"),
    };
    let slash = if script.path.is_empty() { "" } else { "/" };
    let first = format!(
        "agi_network: yes\n{script_line}agi_request: agi://{server}{slash}{}\nagi_channel: {}\nagi_language: en\n\
         agi_type: PJSIP\nagi_uniqueid: {}\nagi_version: 22.10.1\nagi_callerid: {}\nagi_calleridname: {}\n\
         agi_callingpres: {}\nagi_callingani2: 0\nagi_callington: 0\nagi_callingtns: 0\nagi_dnid: {}\n\
         agi_rdnis: unknown\nagi_context: {}\n",
        script.path,
        script.channel,
        script.unique_id,
        or_unknown(&script.number),
        or_unknown(&script.name),
        script.presentation.code(),
        or_unknown(&script.dnid),
        script.context,
    );
    let mut second = format!(
        "agi_extension: {}\nagi_priority: 2\nagi_enhanced: 0.0\nagi_accountcode: \nagi_threadid: 140358395119296\n",
        script.extension
    );
    for (i, arg) in script.args.iter().enumerate() {
        second.push_str(&format!("agi_arg_{}: {arg}\n", i + 1));
    }
    second.push('\n');
    [first, second]
}

impl Connection {
    async fn session(&mut self, environment: [String; 2]) -> Over {
        for part in environment {
            if self.write(part.as_bytes()).await.is_err() {
                return Over;
            }
        }
        while let Ok(line) = self.next_line().await {
            if self.run(&line).await.is_err() {
                return Over;
            }
        }
        // Said at the end of every session, hung up or not; nobody may be listening.
        drop(self.write(b"HANGUP\n").await);
        self.stream.shutdown().await.ok();
        Over
    }

    /// The next line without its end. Asterisk waits for the socket and then reads from its buffer: a line that came
    /// together with the one before stays there until more bytes come, or the end.
    async fn next_line(&mut self) -> Result<Vec<u8>, Over> {
        self.readable_or_hangup().await?;
        loop {
            if let Some(end) = self.buffer.iter().take(LINE).position(|b| *b == b'\n') {
                let line = self.buffer.drain(..=end).take(end).collect();
                return Ok(line);
            }
            if self.buffer.len() >= LINE {
                return Ok(self.buffer.drain(..LINE).collect());
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        // An unfinished line runs at the end (recorded).
        if self.buffer.is_empty() { Err(Over) } else { Ok(std::mem::take(&mut self.buffer)) }
    }

    async fn readable_or_hangup(&mut self) -> Result<(), Over> {
        loop {
            let mut byte = [0];
            tokio::select! {
                biased;
                () = hangs_up(self.hang_up_at, &self.hang_up_when) => self.hang_up().await?,
                peeked = self.stream.peek(&mut byte) => {
                    if !matches!(peeked, Ok(1)) && !self.half_closed {
                        self.half_closed = true;
                        self.note(Event::HalfClosed);
                    }
                    return Ok(());
                }
            }
        }
    }

    async fn run(&mut self, line: &[u8]) -> Result<(), Over> {
        self.note(Event::Received(String::from_utf8_lossy(line).into_owned()));
        let Reaction { took, events, reply, interruptible, when_hung_up, hangs_up } = self.channel.run(line);
        let begin = Instant::now();
        let end = begin + took / self.speed;
        let passed = self.pass(end, interruptible).await;
        for (at, event) in events {
            let at = begin + at / self.speed;
            if at <= Instant::now() {
                self.transcript.push(Moment { at: at.saturating_duration_since(self.began), event });
            }
        }
        match passed {
            Passed::Interrupted => self.note(Event::Interrupted),
            Passed::HungUp => {
                let after = begin.elapsed() * self.speed;
                self.write(&when_hung_up.line(after)).await?;
                self.hang_up().await?;
            }
            Passed::Whole => {
                self.reply(reply).await?;
                if hangs_up {
                    self.hang_up().await?;
                }
            }
        }
        Ok(())
    }

    /// Lets the time of a command pass.
    async fn pass(&mut self, end: Instant, interruptible: bool) -> Passed {
        if end <= Instant::now() {
            return Passed::Whole;
        }
        let mut byte = [0];
        tokio::select! {
            biased;
            () = hangs_up(self.hang_up_at, &self.hang_up_when) => Passed::HungUp,
            _ = self.stream.peek(&mut byte), if interruptible => Passed::Interrupted,
            () = sleep_until(end) => Passed::Whole,
        }
    }

    async fn reply(&mut self, reply: Reply) -> Result<(), Over> {
        match reply {
            Reply::Line(line) => self.write(&line).await,
            Reply::Usage => {
                self.write(b"520-Invalid command syntax.  Proper usage follows:\n").await?;
                sleep_until(Instant::now() + USAGE_DELAY / self.speed).await;
                self.write(
                    b"How the command is to be used, over one line or several.\n520 End of proper usage.\n",
                )
                .await
            }
            Reply::Abort => {
                self.note(Event::PbxAborted);
                Err(Over)
            }
        }
    }

    async fn hang_up(&mut self) -> Result<(), Over> {
        self.hang_up_at = None;
        self.hang_up_when = CancellationToken::new();
        if self.channel.dead {
            return Ok(());
        }
        self.channel.dead = true;
        self.note(Event::HungUp);
        self.write(b"HANGUP\n").await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Over> {
        self.note(Event::Sent(String::from_utf8_lossy(bytes).into_owned()));
        self.stream.write_all(bytes).await.map_err(|_| Over)
    }

    fn note(&mut self, event: Event) {
        self.transcript.push(Moment { at: self.began.elapsed(), event });
    }
}

enum Passed {
    Whole,
    Interrupted,
    HungUp,
}
