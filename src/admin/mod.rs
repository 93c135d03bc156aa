//! The admin listener: health and metrics over HTTP, for whoever watches the daemon.
//!
//! A connection is one request and has a time of its own, however slowly its client writes or reads.

mod watched;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub use watched::Watched;

/// What clients may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections at a time. One more waits in the kernel until one of them is over.
    connections: usize,
    /// For the head of a request.
    head: Duration,
    /// For a whole exchange, from the connection to the last byte of the answer.
    exchange: Duration,
}

const LIMITS: Limits =
    Limits { connections: 64, head: Duration::from_secs(5), exchange: Duration::from_secs(10) };

/// Bytes of a request that are held in memory, at most. No handler reads a body: what comes of one is not kept.
const HELD: usize = 16 << 10;

/// How long nothing is accepted when there is no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The open listener.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Admin {
    /// Binds the address and answers, on the current runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(listen: SocketAddr, watched: Watched) -> std::io::Result<Admin> {
        let socket = std::net::TcpListener::bind(listen)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from_std(socket)?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(serve(listener, router(watched), LIMITS));
        Ok(Admin { address, task })
    }

    /// The bound address: the port that was chosen where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes it, and what is open.
    pub fn stop(self) {
        self.task.abort();
    }
}

fn router(watched: Watched) -> Router {
    Router::new()
        .route("/live", get(async || "ok\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .fallback(unknown)
        .with_state(Arc::new(watched))
}

async fn ready(State(watched): State<Arc<Watched>>) -> Response {
    let (ready, text) = watched.parts();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, text).into_response()
}

async fn metrics(State(watched): State<Arc<Watched>>) -> Response {
    // It asks the database.
    let text = tokio::task::spawn_blocking(move || watched.page().text());
    match text.await {
        Ok(Ok(text)) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn unknown() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, "there is nothing here; there are: /live /ready /metrics\n")
}

async fn serve(listener: TcpListener, router: Router, limits: Limits) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if open.len() < limits.connections => match accepted {
                Ok((stream, _)) => {
                    open.spawn(exchange(stream, router.clone(), limits));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection for health and metrics");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = open.join_next() => {}
        }
    }
}

async fn exchange(stream: TcpStream, router: Router, limits: Limits) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HELD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(limits.exchange, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a request for health or metrics broke off"),
        Err(_) => tracing::debug!("a request for health or metrics took too long"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(60);

    /// A server that hangs for ever at `/hangs`, and nowhere else.
    async fn server(limits: Limits) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/live", get(async || "ok\n"));
        let router = router.route("/hangs", get(async || std::future::pending::<&str>().await));
        tokio::spawn(serve(listener, router, limits));
        address
    }

    async fn connect(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(text.as_bytes()).await.expect("a request");
        stream
    }

    /// Everything until the end, which a test waits for at most a minute.
    async fn answer(mut stream: TcpStream) -> String {
        let mut text = Vec::new();
        let read = tokio::time::timeout(LONG, stream.read_to_end(&mut text)).await;
        // A reset where bytes of ours were never read.
        read.expect("an end").ok();
        String::from_utf8_lossy(&text).into_owned()
    }

    #[tokio::test]
    async fn who_does_not_end_its_request_is_cut_off_and_holds_nobody_up() {
        let limits = Limits { connections: 2, head: SHORT, exchange: LONG };
        let address = server(limits).await;
        let mute = connect(address, "").await;
        let half = connect(address, "GET /live HTTP/1.1\r\nHost: a\r\nX-").await;
        // It is served when one of them is over.
        let third = answer(connect(address, "GET /live HTTP/1.1\r\nHost: a\r\n\r\n").await).await;
        assert!(third.starts_with("HTTP/1.1 200 OK") && third.ends_with("ok\n"), "{third}");
        for stream in [mute, half] {
            let said = answer(stream).await;
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
        }
    }

    #[tokio::test]
    async fn an_exchange_has_an_end() {
        let address = server(Limits { connections: 2, head: LONG, exchange: SHORT }).await;
        assert_eq!(answer(connect(address, "GET /hangs HTTP/1.1\r\nHost: a\r\n\r\n").await).await, "");
    }

    #[tokio::test]
    async fn a_body_is_not_waited_for() {
        let address = server(Limits { connections: 2, head: LONG, exchange: LONG }).await;
        for method in ["GET", "POST"] {
            let head = format!("{method} /live HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nab");
            let said = answer(connect(address, &head).await).await;
            let wanted = if method == "GET" { "HTTP/1.1 200" } else { "HTTP/1.1 405" };
            assert!(said.starts_with(wanted), "{said}");
        }
    }
}
