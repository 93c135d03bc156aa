//! A web server that does to its connections what a test says, byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::daemon::in_time;

/// What it does.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Send(String),
    /// Byte by byte, so long between.
    Slowly(String, Duration),
    /// Again and again, until the other side has enough.
    Endless(&'static str),
    Close,
    Reset,
    /// Nothing until the other side closes.
    Hold,
    /// Nothing until this is cancelled.
    When(CancellationToken),
}

/// What it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Saw {
    /// A connection, by its number from 1.
    Opened(usize),
    /// A request on it: method, target and body.
    Asked(usize, String),
    /// The other side closed it while the server was not done.
    Left(usize),
    /// The server closed it.
    Closed(usize),
}

/// How it treats everybody.
#[derive(Clone, Debug, Default)]
pub(super) struct Manners {
    /// On each connection, before a byte is read.
    pub(super) greeting: Vec<Act>,
    /// What the first request gets, the second, … The last one is used again.
    pub(super) answers: Vec<Vec<Act>>,
    /// The requests of each connection are counted, not those of all connections together.
    pub(super) each_connection: bool,
}

/// A running server. It ends when this is dropped.
pub(super) struct Web {
    pub(super) address: SocketAddr,
    saw: watch::Sender<Vec<Saw>>,
    task: AbortHandle,
}

impl Web {
    pub(super) async fn start(manners: Manners) -> Web {
        Web::listen(TcpListener::bind("127.0.0.1:0").await.expect("a port"), None, manners)
    }

    /// Answers every request so.
    pub(super) async fn answering(acts: Vec<Act>) -> Web {
        Web::start(Manners { answers: vec![acts], ..Manners::default() }).await
    }

    /// The same over TLS.
    pub(super) async fn answering_tls(tls: TlsAcceptor, acts: Vec<Act>) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Web::listen(listener, Some(tls), Manners { answers: vec![acts], ..Manners::default() })
    }

    fn listen(listener: TcpListener, tls: Option<TlsAcceptor>, manners: Manners) -> Web {
        let address = listener.local_addr().expect("an address");
        let saw = watch::Sender::new(Vec::new());
        let (tell, manners) = (saw.clone(), Arc::new(manners));
        let task = tokio::spawn(async move {
            for number in 1.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let guest = Guest { number, saw: tell.clone(), manners: manners.clone() };
                guest.note(Saw::Opened(number));
                match tls.clone() {
                    None => drop(tokio::spawn(guest.serve_tcp(stream))),
                    Some(tls) => drop(tokio::spawn(guest.serve_tls(tls, stream))),
                }
            }
        });
        Web { address, saw, task: task.abort_handle() }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn saw(&self) -> Vec<Saw> {
        self.saw.borrow().clone()
    }

    /// The requests, each as method, target and body.
    pub(super) fn asked(&self) -> Vec<String> {
        let asked = |saw| if let Saw::Asked(_, request) = saw { Some(request) } else { None };
        self.saw().into_iter().filter_map(asked).collect()
    }

    /// Waits until it saw so many of these.
    pub(super) async fn until(&self, count: usize, what: impl Fn(&Saw) -> bool) {
        let mut saw = self.saw.subscribe();
        let enough = saw.wait_for(|all| all.iter().filter(|one| what(one)).count() >= count);
        drop(in_time("the web server's side", enough).await.expect("the sender lives"));
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection.
pub(super) struct Guest {
    number: usize,
    saw: watch::Sender<Vec<Saw>>,
    manners: Arc<Manners>,
}

impl Guest {
    fn note(&self, saw: Saw) {
        self.saw.send_modify(|all| all.push(saw));
    }

    async fn serve_tcp(self, mut stream: TcpStream) {
        if self.serve(&mut stream).await {
            // Unread bytes, or this, make a reset of the close.
            stream.set_zero_linger().ok();
        }
    }

    async fn serve_tls(self, tls: TlsAcceptor, stream: TcpStream) {
        match tls.accept(stream).await {
            Ok(mut stream) => drop(self.serve(&mut stream).await),
            Err(_) => drop(self.left()),
        }
    }

    /// Serves; whether the end is a reset.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S) -> bool {
        let mut buffer = Vec::new();
        let mut acts = self.manners.greeting.clone();
        loop {
            for act in acts {
                match self.act(stream, act).await {
                    Next::Go => {}
                    Next::Left => return self.left(),
                    Next::Closed { reset } => {
                        self.note(Saw::Closed(self.number));
                        return reset;
                    }
                }
            }
            let Some(request) = read_request(stream, &mut buffer).await else { return self.left() };
            let asked = |one: &&Saw| match one {
                Saw::Asked(number, _) => *number == self.number || !self.manners.each_connection,
                _ => false,
            };
            let before = self.saw.borrow().iter().filter(asked).count();
            let answers = &self.manners.answers;
            acts = answers.get(before).or(answers.last()).cloned().unwrap_or_default();
            self.note(Saw::Asked(self.number, request));
        }
    }

    fn left(&self) -> bool {
        self.note(Saw::Left(self.number));
        false
    }

    async fn act<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S, act: Act) -> Next {
        let sent = match act {
            Act::Send(text) => stream.write_all(text.as_bytes()).await.is_ok(),
            Act::Slowly(text, pause) => 'slowly: {
                for byte in text.bytes() {
                    let mut one = [0];
                    tokio::select! {
                        read = stream.read(&mut one) => if !matches!(read, Ok(1)) { break 'slowly false },
                        () = tokio::time::sleep(pause) => {}
                    }
                    if stream.write_all(&[byte]).await.is_err() {
                        break 'slowly false;
                    }
                }
                true
            }
            Act::Endless(text) => {
                // Large pieces: the socket is full soon, and the others can work.
                let piece = text.repeat((16 << 10) / text.len());
                while stream.write_all(piece.as_bytes()).await.is_ok() {}
                false
            }
            Act::Close => {
                stream.shutdown().await.ok();
                return Next::Closed { reset: false };
            }
            Act::Reset => return Next::Closed { reset: true },
            Act::When(token) => {
                token.cancelled().await;
                true
            }
            Act::Hold => {
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await.ok();
                return Next::Left;
            }
        };
        if sent { Next::Go } else { Next::Left }
    }
}

enum Next {
    Go,
    Left,
    Closed { reset: bool },
}

/// Method, target and body of the next request; `None` at the end.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> Option<String> {
    let end = loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let length =
        head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let whole = end + length.unwrap_or(0);
    while buffer.len() < whole {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8_lossy(&buffer[end..whole]).into_owned();
    buffer.drain(..whole);
    let line = head.lines().next()?.strip_suffix(" HTTP/1.1")?;
    Some(format!("{line} {body}").trim_end().to_owned())
}

/// An answer as servers write it.
pub(super) fn ok(body: &str) -> String {
    with("200 OK", "", body)
}

/// An answer with a status and headers, each with its line end.
pub(super) fn with(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
