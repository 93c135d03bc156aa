//! The threads that carry calls, one per core, and what they share.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::runtime;
use tokio::task::LocalSet;
use tokio_rustls::rustls;
use tokio_util::sync::CancellationToken;

use super::http::Http;
use super::listen::{Gate, accept};
use super::registry::{Keeper, Registry};
use crate::terms::Pbx;

/// What is wrong on the PBX's side is told once each, up to so many.
const TOLD: usize = 1000;

/// What all workers share.
pub struct Shared {
    /// The definitions of today.
    pub registry: ArcSwap<Registry>,
    /// Where calls leave what is to be kept.
    pub keeper: Box<dyn Keeper>,
    /// No new connection.
    pub stop: CancellationToken,
    /// Open calls end with `shutdown`.
    pub cut: CancellationToken,
    /// Calls that are open, by PBX.
    pub(super) open: [AtomicUsize; Pbx::ALL.len()],
    told: Mutex<HashSet<String>>,
}

impl Shared {
    /// Everything that the workers begin with.
    pub fn new(registry: Registry, keeper: Box<dyn Keeper>) -> Shared {
        Shared {
            registry: ArcSwap::from_pointee(registry),
            keeper,
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            open: Default::default(),
            told: Mutex::default(),
        }
    }

    /// Calls that are open.
    pub fn open_calls(&self) -> usize {
        Pbx::ALL.into_iter().map(|pbx| self.open_calls_of(pbx)).sum()
    }

    /// Calls of a PBX that are open.
    pub fn open_calls_of(&self, pbx: Pbx) -> usize {
        self.open[pbx as usize].load(Ordering::Relaxed)
    }

    pub(super) fn warn_of_missing_sound(&self, prompt: &str) {
        if self.tell_once(prompt) {
            tracing::warn!(sound = prompt, "the PBX has no such sound file; callers hear silence instead");
        }
    }

    pub(super) fn warn_of_dialplan(&self, advice: &str) {
        if self.tell_once(advice) {
            tracing::warn!(advice, "the dialplan asks in a way that works, but not always");
        }
    }

    fn tell_once(&self, text: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < TOLD && told.insert(text.to_owned())
    }
}

/// One thread's own things.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) http: Rc<Http>,
}

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    pbx: Pbx,
    socket: std::net::TcpListener,
    gate: Arc<Gate>,
}

impl Listener {
    /// Binds an address for a PBX.
    pub fn bind(pbx: Pbx, listen: SocketAddr) -> std::io::Result<Listener> {
        Ok(Listener { pbx, socket: super::listen::bind(listen)?, gate: Arc::new(Gate::new(pbx)) })
    }

    /// Whom it is for.
    pub fn pbx(&self) -> Pbx {
        self.pbx
    }

    /// The bound address: the port that was chosen where 0 was asked for.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Starts the threads. Each ends when `shared.stop` was cancelled and its last call is over.
pub fn start_workers(
    shared: &Arc<Shared>,
    listeners: &[Listener],
    tls: &Arc<rustls::ClientConfig>,
    threads: usize,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut started = Vec::with_capacity(threads);
    for index in 0..threads {
        let mut doors = Vec::with_capacity(listeners.len());
        for listener in listeners {
            doors.push((listener.socket.try_clone()?, listener.gate.clone()));
        }
        let (shared, tls) = (shared.clone(), tls.clone());
        let thread = std::thread::Builder::new().name(format!("calls-{index}"));
        started.push(thread.spawn(move || work(shared, tls, doors))?);
    }
    Ok(started)
}

fn work(shared: Arc<Shared>, tls: Arc<rustls::ClientConfig>, doors: Vec<(std::net::TcpListener, Arc<Gate>)>) {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "a worker could not start: fewer calls at once"),
    };
    LocalSet::new().block_on(&runtime, async move {
        let worker = Rc::new(Worker { shared, http: Rc::new(Http::new(tls)) });
        let mut accepting = tokio::task::JoinSet::new();
        for (socket, gate) in doors {
            accepting.spawn_local(accept(worker.clone(), socket, gate));
        }
        accepting.join_all().await;
    });
}
