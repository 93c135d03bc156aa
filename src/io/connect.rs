//! Connections to web servers: addresses tried side by side, TLS, and the connections that are kept.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, pki_types::ServerName};

use crate::webhook::{HopError, HopErrorKind, Origin};

/// How long the first address has for itself before the next one is tried beside it (RFC 8305 advises 250 ms).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Idle connections kept per origin. More calls at once than this open new ones.
const IDLE_PER_ORIGIN: usize = 64;

/// How long an idle connection is kept where the server does not say: shorter than the usual 5 s of web servers would
/// lose most of the gain, and one that was closed meanwhile is noticed.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// An open connection that can take a request.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    pub(super) peer: SocketAddr,
    /// It has carried a request before.
    pub(super) reused: bool,
}

/// The connections of one worker.
pub(super) struct Connector {
    tls: TlsConnector,
    idle: RefCell<HashMap<Origin, Vec<Idle>>>,
}

struct Idle {
    connection: Connection,
    until: Instant,
}

impl Connector {
    pub(super) fn new(tls: Arc<rustls::ClientConfig>) -> Connector {
        Connector { tls: TlsConnector::from(tls), idle: RefCell::new(HashMap::new()) }
    }

    /// A kept connection to one of these addresses, the youngest first.
    pub(super) fn take(&self, origin: &Origin, addresses: &[SocketAddr]) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(origin)?;
        let now = Instant::now();
        kept.retain(|i| i.until > now && !i.connection.sender.is_closed());
        // The policy vetted these addresses; one that it refuses now is not used because it was allowed once.
        let at = kept
            .iter()
            .rposition(|i| i.connection.sender.is_ready() && addresses.contains(&i.connection.peer))?;
        Some(kept.remove(at).connection)
    }

    /// Whether there is one to take.
    pub(super) fn has(&self, origin: &Origin) -> bool {
        let now = Instant::now();
        let ready = |i: &Idle| i.until > now && i.connection.sender.is_ready();
        self.idle.borrow().get(origin).is_some_and(|kept| kept.iter().any(ready))
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(&self, origin: Origin, connection: Connection, time: Option<Duration>) {
        let until = Instant::now() + time.map_or(IDLE_TIME, |t| t.min(IDLE_TIME));
        let mut idle = self.idle.borrow_mut();
        let kept = idle.entry(origin).or_default();
        if kept.len() == IDLE_PER_ORIGIN {
            kept.remove(0);
        }
        kept.push(Idle { connection, until });
    }

    /// Opens a connection to the first address that takes it.
    pub(super) async fn open(
        self: &Rc<Self>,
        origin: &Origin,
        addresses: &[SocketAddr],
    ) -> Result<Connection, HopError> {
        let (stream, peer) = connect_any(addresses).await?;
        // A request is one small write: waiting for more only delays it.
        if let Err(e) = stream.set_nodelay(true) {
            return Err(connect_error(&e.to_string()));
        }
        if !origin.tls {
            return handshake(stream, peer).await;
        }
        let name = ServerName::try_from(origin.host.to_string()).map_err(|e| tls_error(&e.to_string()))?;
        let stream = self.tls.connect(name, stream).await.map_err(|e| tls_error(&e.to_string()))?;
        handshake(stream, peer).await
    }
}

async fn connect_any(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), HopError> {
    let mut waiting = addresses.iter().copied();
    let mut trying = JoinSet::new();
    let mut last = None;
    loop {
        if let Some(address) = waiting.next() {
            trying.spawn(async move { (TcpStream::connect(address).await, address) });
        } else if trying.is_empty() {
            return Err(last.unwrap_or_else(|| connect_error("the name has no address")));
        }
        let next = tokio::time::sleep(NEXT_ADDRESS);
        tokio::select! {
            Some(joined) = trying.join_next() => match joined {
                Ok((Ok(stream), address)) => return Ok((stream, address)),
                Ok((Err(e), address)) => last = Some(connect_error(&format!("{address}: {e}"))),
                Err(e) => last = Some(connect_error(&e.to_string())),
            },
            () = next, if waiting.len() > 0 => {}
        }
    }
}

async fn handshake<T>(stream: T, peer: SocketAddr) -> Result<Connection, HopError>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| connect_error(&e.to_string()))?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%peer, %error, "a connection to a web server ended");
        }
    });
    Ok(Connection { sender, peer, reused: false })
}

fn connect_error(detail: &str) -> HopError {
    HopError { kind: HopErrorKind::Connect, sent: false, detail: detail.to_owned() }
}

fn tls_error(detail: &str) -> HopError {
    HopError { kind: HopErrorKind::Tls, sent: false, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// An address where a connect waits for minutes: nobody accepts, and the kernel keeps no more.
    async fn full() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        let listener = socket.listen(1).expect("a listener");
        let (address, mut kept) = (listener.local_addr().expect("an address"), Vec::new());
        while let Ok(Ok(stream)) = tokio::time::timeout(NEXT_ADDRESS, TcpStream::connect(address)).await {
            kept.push(stream);
        }
        (address, listener, kept)
    }

    #[tokio::test]
    async fn an_address_that_is_dead_does_not_keep_from_the_next_one() {
        let (live, gone) = (TcpListener::bind("127.0.0.1:0").await, TcpListener::bind("127.0.0.1:0").await);
        let address = |listener: &TcpListener| listener.local_addr().expect("an address");
        let (live, gone) = (live.expect("a port"), gone.expect("a port"));
        let refused = address(&gone);
        drop(gone);
        let (silent, _listener, _kept) = full().await;
        for dead in [vec![refused], vec![silent], vec![silent, refused, silent]] {
            let addresses = [dead, vec![address(&live)]].concat();
            let connected = tokio::time::timeout(Duration::from_secs(20), connect_any(&addresses)).await;
            let (_, peer) = connected.expect("no wait for the dead ones").expect("a connection");
            assert_eq!(peer, address(&live), "{addresses:?}");
        }
        let error = connect_any(&[refused, refused]).await.expect_err("nobody is there");
        assert_eq!((error.kind, error.sent), (HopErrorKind::Connect, false));
    }
}
