//! The listeners: who may come in, how many, and what happens when there is no descriptor left.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::drive::Driver;
use super::worker::Worker;
use crate::asterisk::agi::AgiSession;
use crate::call::Session;
use crate::freeswitch::outbound::OutboundSession;
use crate::terms::Pbx;

/// Connections that the kernel keeps for us while we are busy. An Asterisk gives up after 2 s (measured).
const BACKLOG: u32 = 1024;

/// Calls above `max_calls` that still get an answer, `overload`. Beyond them a connection is closed at once: the
/// dialplan goes on without an answer.
const OVERLOAD_ANSWERS: usize = 256;

/// Connections of one peer that have not yet said what they want. A real PBX says it in its first two segments; only a
/// stranger, or a broken link, has many of them.
const UNOPENED_PER_PEER: usize = 512;

/// How long nothing is accepted when there is no descriptor or memory left. Calls that end give some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// At most one line in this time about refused connections, and one about those that cannot be accepted.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Counts connections, for all workers.
#[derive(Debug)]
pub(super) struct Gate {
    pbx: Pbx,
    unopened: Mutex<HashMap<IpAddr, usize>>,
    refused: Mutex<Rarely>,
    failed: Mutex<Rarely>,
}

/// Counts what would fill the log.
#[derive(Debug, Default)]
struct Rarely {
    since_told: u64,
    told: Option<Instant>,
}

impl Rarely {
    /// One more; how many since the last line, when it is time for one.
    fn tell(&mut self) -> Option<u64> {
        self.since_told += 1;
        if self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return None;
        }
        self.told = Some(Instant::now());
        Some(std::mem::take(&mut self.since_told))
    }
}

impl Gate {
    pub(super) fn new(pbx: Pbx) -> Gate {
        Gate { pbx, unopened: Mutex::default(), refused: Mutex::default(), failed: Mutex::default() }
    }

    /// Counts one more connection of a peer, unless there are too many.
    fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Unopened> {
        let mut unopened = self.unopened.lock().unwrap_or_else(PoisonError::into_inner);
        let count = unopened.entry(peer).or_default();
        if *count >= UNOPENED_PER_PEER {
            return None;
        }
        *count += 1;
        Some(Unopened { gate: self.clone(), peer })
    }

    fn refuse(&self, peer: SocketAddr, why: &str) {
        if let Some(count) = self.refused.lock().unwrap_or_else(PoisonError::into_inner).tell() {
            let listener = self.pbx.section();
            tracing::warn!(%peer, listener, why, count, "refused a connection");
        }
    }

    fn fail(&self, error: &io::Error) {
        if let Some(count) = self.failed.lock().unwrap_or_else(PoisonError::into_inner).tell() {
            let listener = self.pbx.section();
            tracing::error!(%error, listener, count, "cannot accept calls now; trying again");
        }
    }
}

/// A connection that has not yet said what it wants.
struct Unopened {
    gate: Arc<Gate>,
    peer: IpAddr,
}

impl Drop for Unopened {
    fn drop(&mut self) {
        let mut unopened = self.gate.unopened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = unopened.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                unopened.remove(&self.peer);
            }
        }
    }
}

/// An open call, counted for its listener.
struct Open(Rc<Worker>, Pbx);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.shared.open[self.1 as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

/// Binds a listener that several workers can share.
pub(super) fn bind(listen: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = match listen {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Accepts until `shared.stop`, then waits for the calls of this worker.
pub(super) async fn accept(worker: Rc<Worker>, listener: std::net::TcpListener, gate: Arc<Gate>) {
    let calls = TaskTracker::new();
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a worker cannot listen: fewer calls at once"),
    };
    loop {
        let accepted = tokio::select! {
            biased;
            () = worker.shared.stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => admit(&worker, &gate, &calls, stream, peer),
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                gate.fail(&error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    calls.close();
    calls.wait().await;
}

/// The peer went away between its connect and our accept.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

fn admit(worker: &Rc<Worker>, gate: &Arc<Gate>, calls: &TaskTracker, stream: TcpStream, peer: SocketAddr) {
    let ip = peer.ip().to_canonical();
    let registry = worker.shared.registry.load();
    let Some(admission) = registry.admissions.get(&gate.pbx) else { return };
    if !admission.allow.iter().any(|net| net.contains(&ip)) {
        return gate.refuse(peer, "its address is not in allow");
    }
    let Some(unopened) = gate.enter(ip) else {
        return gate.refuse(peer, "too many of its connections have not said what they want");
    };
    let open = worker.shared.open[gate.pbx as usize].fetch_add(1, Ordering::Relaxed) + 1;
    let counted = Open(worker.clone(), gate.pbx);
    if open > admission.max_calls + OVERLOAD_ANSWERS {
        return gate.refuse(peer, "max_calls calls are open");
    }
    if let Err(error) = stream.set_nodelay(true) {
        return gate.refuse(peer, &error.to_string());
    }
    let overloaded = open > admission.max_calls;
    let opened = move || drop(unopened);
    let now = Instant::now();
    match gate.pbx {
        Pbx::Asterisk => {
            let driver = Driver::new(worker.clone(), AgiSession::new(now), gate.pbx, overloaded);
            spawn(calls, driver, stream, opened, counted);
        }
        Pbx::FreeSwitch => {
            let driver = Driver::new(worker.clone(), OutboundSession::new(now), gate.pbx, overloaded);
            spawn(calls, driver, stream, opened, counted);
        }
    }
}

fn spawn<S: Session + 'static>(
    calls: &TaskTracker,
    driver: Driver<S>,
    stream: TcpStream,
    opened: impl FnOnce() + 'static,
    counted: Open,
) {
    calls.spawn_local(async move {
        driver.run(stream, opened).await;
        drop(counted);
    });
}
