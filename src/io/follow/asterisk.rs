//! The follower of one Asterisk.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::reader::{Chunk, End, Incoming};
use super::tracked::{Tracked, until};
use super::{EventSink, Health};
use crate::asterisk::ami::{Account, Lost, Output, Session, Warning};
use crate::clock::wall_ms;
use crate::config::AmiLink;

/// For the name and the connection.
const CONNECT: Duration = Duration::from_secs(10);

/// For one write. What is written is short: Asterisk that does not take it does not read.
const WRITE: Duration = Duration::from_secs(5);

/// For Asterisk's goodbye.
const LEAVE: Duration = Duration::from_secs(1);

/// Between a lost link and the next try, at least and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// A link that was up for so long was a good one: its next pauses begin short again.
const GOOD: Duration = Duration::from_secs(10);

/// Follows an Asterisk until `stop`. `again`: an account that was refused may be right now.
pub(super) async fn follow(
    link: AmiLink,
    sink: Arc<dyn EventSink>,
    health: Arc<Health>,
    stop: CancellationToken,
    again: Arc<Notify>,
) {
    let restored = Tracked::restore(link.name.as_str(), &link.trunks, sink, health.clone());
    let mut tracked = tokio::select! {
        () = stop.cancelled() => return,
        tracked = restored => tracked,
    };
    let mut pause = PAUSES.0;
    let mut said = String::new();
    loop {
        let Some(connected) = tracked.meanwhile(&stop, connect(&link.address)).await else { break };
        let ended = match connected {
            Ok(socket) => {
                let since = Instant::now();
                let lost = Connection::new(&link, socket, &mut tracked).run(&stop).await;
                if health.note_lost(wall_ms()) {
                    said.clear();
                    if since.elapsed() >= GOOD {
                        pause = PAUSES.0;
                    }
                }
                tracked.tracker.link_lost();
                lost
            }
            Err(error) => Ended::Unreachable(error),
        };
        if stop.is_cancelled() {
            break;
        }
        if let Ended::Lost(lost @ (Lost::AuthRejected { .. } | Lost::Account(_))) = &ended {
            tracing::error!(pbx = %link.name, "{lost}. Not tried again until the configuration is reloaded");
            if tracked.meanwhile(&stop, again.notified()).await.is_none() {
                break;
            }
            continue;
        }
        pause = next_pause(pause);
        ended.say(&link, &mut said, pause);
        if tracked.meanwhile(&stop, tokio::time::sleep(pause)).await.is_none() {
            break;
        }
    }
    tracked.finish().await;
}

/// Why there is no connection.
enum Ended {
    Unreachable(std::io::Error),
    /// The queue between reader and tracker was full.
    Full,
    Lost(Lost),
}

impl Ended {
    /// Once for each reason in a row.
    fn say(&self, link: &AmiLink, said: &mut String, pause: Duration) {
        let text = match self {
            Ended::Unreachable(error) => format!("cannot connect to {}: {error}", link.address),
            Ended::Full => "events came faster than they could be kept".to_owned(),
            Ended::Lost(lost) => lost.to_string(),
        };
        let pause_ms = pause.as_millis();
        let pbx = link.name.as_str();
        if *said == text {
            return tracing::debug!(pbx, pause_ms, "{text}");
        }
        tracing::warn!(pbx, pause_ms, "the link to the PBX is down, trying again: {text}");
        *said = text;
    }
}

async fn connect(address: &str) -> std::io::Result<TcpStream> {
    let connecting = async {
        let mut last = None;
        for address in lookup_host(address).await? {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_keepalive(true)?;
            socket.set_nodelay(true)?;
            match socket.connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| std::io::Error::other("the name has no address")))
    };
    let slow = |_| std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time");
    tokio::time::timeout(CONNECT, connecting).await.map_err(slow)?
}

/// At random up to three times the last one, so that many followers do not come back in step.
fn next_pause(last: Duration) -> Duration {
    let (least, most) = PAUSES;
    let upto = (last * 3).min(most);
    least + (upto - least).mul_f64(chance())
}

/// At random from 0 to 1.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    // Without chance the pause is the longest.
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

/// One connection.
struct Connection<'a> {
    link: &'a AmiLink,
    session: Session,
    tracked: &'a mut Tracked,
    incoming: Incoming,
    /// `None` once the queue was full: both halves dropped are a closed connection.
    outgoing: Option<OwnedWriteHalf>,
    /// To be written.
    out: Vec<u8>,
    lost: Option<Lost>,
    /// When what the session is to do next is due.
    due: Instant,
}

impl<'a> Connection<'a> {
    fn new(link: &'a AmiLink, socket: TcpStream, tracked: &'a mut Tracked) -> Connection<'a> {
        let (incoming, outgoing) = socket.into_split();
        let now = Instant::now();
        let account = Account { username: link.username.clone(), secret: link.secret.clone() };
        Connection {
            link,
            session: Session::new(now, account),
            tracked,
            incoming: Incoming::start(incoming),
            outgoing: Some(outgoing),
            out: Vec::new(),
            lost: None,
            due: now,
        }
    }

    /// Until it is over.
    async fn run(mut self, stop: &CancellationToken) -> Ended {
        let mut leave: Option<Instant> = None;
        while self.lost.is_none() {
            let due = [Some(self.due), self.tracked.due(), leave].into_iter().flatten().min();
            tokio::select! {
                biased;
                () = stop.cancelled(), if leave.is_none() => {
                    leave = Some(Instant::now() + LEAVE);
                    self.session.log_off(Instant::now());
                }
                chunks = self.incoming.next() => {
                    let Some(first) = chunks.first().map(|chunk| chunk.at) else {
                        if let Some(ended) = self.reading_ended().await {
                            return ended;
                        }
                        continue;
                    };
                    self.take(chunks);
                    self.keep().await;
                    self.note_lag(first.elapsed());
                }
                () = until(due) => {
                    let now = Instant::now();
                    if leave.is_some_and(|at| at <= now) {
                        return Ended::Lost(Lost::LoggedOff);
                    }
                    self.session.handle_timeout(now);
                    self.tracked.pass_until(now, wall_ms());
                    self.keep().await;
                }
            }
            self.take_outputs(Instant::now());
            self.write().await;
        }
        Ended::Lost(self.lost.unwrap_or(Lost::LoggedOff))
    }

    /// What came, each at its own time.
    fn take(&mut self, chunks: Vec<Chunk>) {
        for Chunk { at, wall, bytes } in chunks {
            self.tracked.pass_until(at, wall);
            self.session.handle_bytes(at, wall, &bytes);
            self.take_outputs(at);
        }
    }

    fn take_outputs(&mut self, now: Instant) {
        let tracker = &mut self.tracked.tracker;
        let pbx = self.link.name.as_str();
        loop {
            match self.session.poll_output() {
                Output::Write(bytes) => self.out.extend(bytes),
                Output::LoggedIn { version } => {
                    self.tracked.health.note_login();
                    tracing::info!(pbx, address = self.link.address, ami = version, "following calls");
                }
                Output::Event(at, event) => tracker.handle_event(now, at, *event),
                Output::Snapshot { asked, at, channels } => {
                    tracing::debug!(pbx, channels = channels.len(), open = tracker.len(), "compared");
                    tracker.snapshot(now, at, asked, &channels);
                }
                Output::Warning(warning) => {
                    tracing::warn!(pbx, "{warning}");
                    if matches!(warning, Warning::NoSnapshot { .. }) {
                        tracker.no_snapshot(now);
                    }
                }
                Output::Lost(lost) => self.lost = Some(lost),
                Output::Wait(due) => {
                    self.due = due;
                    return;
                }
                Output::Closed => {
                    self.lost.get_or_insert(Lost::LoggedOff);
                    return;
                }
            }
        }
    }

    /// Hands over what was told. As long as that takes, the queue may fill: then the connection is closed at once.
    async fn keep(&mut self) {
        let mut keeping = pin!(self.tracked.keep());
        if self.outgoing.is_some() {
            tokio::select! {
                biased;
                () = &mut keeping => return,
                end = self.incoming.end() => if let End::Full = end {
                    self.outgoing = None;
                    tracing::error!(
                        pbx = %self.link.name,
                        "events come faster than they can be kept: the link is closed; what is missed is found by \
                         comparing with the PBX"
                    );
                },
            }
        }
        keeping.await;
    }

    /// Nothing more will be read.
    async fn reading_ended(&mut self) -> Option<Ended> {
        match self.incoming.end().await {
            End::Full => return Some(Ended::Full),
            End::Closed(Some(error)) => {
                tracing::debug!(pbx = %self.link.name, %error, "the connection broke");
            }
            End::Closed(None) => {}
        }
        self.session.handle_eof();
        self.take_outputs(Instant::now());
        None
    }

    async fn write(&mut self) {
        let Some(outgoing) = self.outgoing.as_mut().filter(|_| !self.out.is_empty()) else { return };
        let written = tokio::time::timeout(WRITE, outgoing.write_all(&self.out)).await;
        self.out.clear();
        if !matches!(written, Ok(Ok(()))) {
            // The reader or the session's own time limit ends the connection.
            tracing::debug!(pbx = %self.link.name, "the PBX took nothing");
        }
    }

    fn note_lag(&self, lag: Duration) {
        if self.tracked.health.note_lag(lag) {
            tracing::warn!(
                pbx = %self.link.name,
                lag_ms = lag.as_millis(),
                "events are kept late: the store or the machine is slow"
            );
        }
    }
}
