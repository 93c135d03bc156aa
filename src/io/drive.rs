//! The loop that drives one call: one task, one `select!` around the socket, the question, the time and the shutdown.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::ask::{Notes, ask};
use super::flight;
use super::registry::{Hook, Registry};
use super::worker::Worker;
use crate::call::{Ask, Call, Input, Output, Session, SessionOutput, Start};
use crate::clock::wall_ms;
use crate::terms::{Answer, Facts, Failure, Journal, Opening, Pbx, Reason, Route, What};
use crate::webhook::{self, Exchange};

/// How long the PBX may take to take what we write. The largest answer is smaller than a socket's buffer.
const WRITE_TIME: Duration = Duration::from_secs(5);

/// A time that is noticed so much too late: the process was stopped, or the machine is overloaded.
const LATE: Duration = Duration::from_millis(100);

/// Where the calls of a worker read to, one after the other: a call that waits needs no buffer of its own. An environment
/// is less than 2 KiB.
pub(super) type Scratch = RefCell<[u8; 4096]>;

type Asking = Pin<Box<dyn Future<Output = Result<Answer, Failure>>>>;

/// One connection of a PBX, from its first byte to the journal.
pub(super) struct Driver<S> {
    worker: Rc<Worker>,
    registry: Arc<Registry>,
    session: S,
    pbx: Pbx,
    overloaded: bool,
    /// A byte came. Who connects and says nothing is a health check, and nothing to tell of.
    heard: bool,
    call: Option<Call>,
    hook: Option<Arc<Hook>>,
    asking: Option<Asking>,
    notes: Notes,
}

/// What woke the loop.
enum Woken {
    Read(std::io::Result<usize>),
    Answered(Result<Answer, Failure>),
    Time,
    Shutdown,
}

impl<S: Session> Driver<S> {
    pub(super) fn new(worker: Rc<Worker>, session: S, pbx: Pbx, overloaded: bool) -> Driver<S> {
        let registry = worker.shared.registry.load_full();
        let notes = Notes::default();
        Driver {
            worker,
            registry,
            session,
            pbx,
            overloaded,
            heard: false,
            call: None,
            hook: None,
            asking: None,
            notes,
        }
    }

    /// Drives the call to its end. `opened` is called when the PBX has said what it wants.
    pub(super) async fn run(mut self, mut stream: TcpStream, opened: impl FnOnce()) {
        let mut opened = Some(opened);
        let (mut ended, mut told, mut looked) = (false, false, false);
        let shutdown = self.worker.shared.cut.clone();
        while let Some(wait) = self.settle(&mut stream).await {
            if self.call.is_some()
                && let Some(opened) = opened.take()
            {
                opened();
            }
            let woken = tokio::select! {
                biased;
                read = read(&mut stream, &self.worker.scratch), if !ended => Woken::Read(read),
                answered = answered(&mut self.asking) => Woken::Answered(answered),
                () = shutdown.cancelled(), if !told => Woken::Shutdown,
                () = tokio::time::sleep_until(wait.into()) => Woken::Time,
            };
            let now = Instant::now();
            // What came while nobody could look counts before the time that is over. It is seen after one more look.
            if matches!(woken, Woken::Time) && !looked && now > wait + LATE {
                looked = true;
                tokio::task::yield_now().await;
                continue;
            }
            looked = false;
            match woken {
                Woken::Read(Ok(n)) if n > 0 => {
                    self.heard = true;
                    self.session.handle_bytes(now, &self.worker.scratch.borrow()[..n]);
                }
                Woken::Read(_) => {
                    ended = true;
                    self.session.handle_eof(now);
                }
                Woken::Answered(answered) => {
                    self.asking = None;
                    self.input(now, Input::Answered(answered));
                }
                Woken::Time => {
                    self.take_notes();
                    self.session.handle_timeout(now);
                    if let Some(call) = &mut self.call {
                        call.handle_timeout(now);
                    }
                }
                Woken::Shutdown => {
                    told = true;
                    match self.call {
                        Some(_) => self.input(now, Input::Shutdown),
                        None => break,
                    }
                }
            }
        }
        if let Some(call) = self.call.take() {
            let journal = call.into_journal();
            log(&journal);
            self.worker.shared.keeper.journal(journal);
        }
    }

    /// Passes on what session and call have to say to each other until both wait. `None` when the connection is done.
    async fn settle(&mut self, stream: &mut TcpStream) -> Option<Instant> {
        loop {
            let session_wait = loop {
                let now = Instant::now();
                match self.session.poll_output() {
                    SessionOutput::Write(bytes) => self.write(stream, &bytes, false).await,
                    SessionOutput::WriteLast(bytes) => self.write(stream, &bytes, true).await,
                    SessionOutput::Opened(opening) => self.begin(now, opening),
                    SessionOutput::Done(id, outcome) => self.input(now, Input::Done(id, outcome)),
                    SessionOutput::HungUp => self.input(now, Input::HungUp),
                    SessionOutput::Note(what) => self.note(now, what),
                    SessionOutput::Wait(at) => break at,
                    SessionOutput::Closed => {
                        self.input(now, Input::Gone);
                        return None;
                    }
                }
            };
            let Some(call) = &mut self.call else { return Some(session_wait) };
            let now = Instant::now();
            match call.poll_output() {
                Output::Command(id, command) => self.session.run(now, id, command),
                Output::Ask(question) => self.ask(now, &question),
                Output::CancelAsk => self.asking = None,
                Output::WrongCode => self.count_code(now, false),
                Output::RightCode => self.count_code(now, true),
                Output::Timeout(at) => return Some(at.min(session_wait)),
                Output::Closed => return None,
            }
        }
    }

    async fn write(&mut self, stream: &mut TcpStream, bytes: &[u8], last: bool) {
        let written = tokio::time::timeout(WRITE_TIME, async {
            stream.write_all(bytes).await?;
            if last { stream.shutdown().await } else { Ok(()) }
        });
        if !matches!(written.await, Ok(Ok(()))) {
            // Reading tells why: the connection is gone, or the session's own time ends it.
            self.session.handle_eof(Instant::now());
        }
    }

    fn begin(&mut self, now: Instant, opening: Box<Opening>) {
        let start = |opening| Start {
            opening,
            call: Uuid::now_v7().to_string(),
            wall: wall_ms(),
            pbx: self.pbx,
            numbers: self.registry.numbers.clone(),
        };
        let failure = |reason, detail: String| Failure::new(reason, detail);
        let call = match opening.route.clone() {
            Ok(Route::Prepend(_) | Route::Replace(_)) => Call::caller_name(now, start(opening)),
            Err(unknown) => {
                let failure = failure(Reason::UnknownWebhook, unknown.to_string());
                Call::refused(now, start(opening), unknown.path, failure)
            }
            Ok(Route::Webhook(name)) if self.overloaded => Call::refused(
                now,
                start(opening),
                name,
                failure(Reason::Overload, "max_calls calls are open".into()),
            ),
            Ok(Route::Webhook(name)) => match self.registry.hooks.get(name.as_str()) {
                Some(hook) => {
                    let locked = hook.locked(now, opening.channel.callerid.as_str());
                    if hook.webhook().ivr.is_some() && hook.webhook().enabled && locked.is_none() {
                        self.prepare(hook);
                    }
                    self.hook = Some(hook.clone());
                    Call::new(now, start(opening), hook.webhook().clone(), locked)
                }
                None => {
                    let detail = format!("the configuration has no [webhook.{name}]");
                    Call::refused(now, start(opening), name, failure(Reason::UnknownWebhook, detail))
                }
            },
        };
        self.call = Some(call);
    }

    /// Connects while the caller listens to the prompt. A server that takes the connection and then says nothing does not
    /// keep it.
    fn prepare(&self, hook: &Hook) {
        let (http, policy) = (self.worker.http.clone(), self.registry.policy.clone());
        let (origin, within) = (hook.plan.origin().clone(), hook.webhook().timeout);
        tokio::task::spawn_local(async move {
            // Too late is no matter: the request connects anew, and tells.
            tokio::time::timeout(within, http.prepare(&origin, &policy)).await.ok();
        });
    }

    fn ask(&mut self, now: Instant, question: &Ask) {
        let (Some(call), Some(hook)) = (&self.call, &self.hook) else { return };
        let channel = &call.opening().channel;
        if let Some(failures) = hook.locked(now, channel.callerid.as_str()) {
            self.note(now, What::LockedOut { failures });
            return self
                .input(now, Input::Answered(Err(Failure::new(Reason::LockedOut, "too many wrong codes"))));
        }
        let facts = Facts {
            channel,
            call: call.id(),
            code: question.code.as_ref(),
            format: hook.webhook().number_format,
            numbers: &self.registry.numbers,
            now: wall_ms(),
        };
        let requests = hook.plan.render(&webhook::Question {
            facts,
            attempt: question.attempt,
            earlier: &question.earlier,
        });
        let key = hook.answers.as_ref().map(|_| requests.cache_key(&hook.plan));
        let exchange = Exchange::new(now, hook.plan.clone(), self.registry.policy.clone(), requests);
        let (http, notes) = (self.worker.http.clone(), self.notes.clone());
        self.asking = Some(match (&hook.answers, key) {
            (Some(answers), Some(key)) => {
                let (keep, deadline) = (hook.webhook().cache, now + hook.webhook().timeout);
                Box::pin(answers.clone().ask(http, flight::Question { key, exchange, keep, deadline }, notes))
            }
            _ => Box::pin(ask(http, exchange, notes)),
        });
    }

    fn count_code(&self, now: Instant, right: bool) {
        let (Some(call), Some(hook)) = (&self.call, &self.hook) else { return };
        let caller = call.opening().channel.callerid.as_str();
        let name = &hook.webhook().name;
        let keeper = &self.worker.shared.keeper;
        if right {
            if hook.with_lockout(|lockout| lockout.right_code(caller)) == Some(true) {
                keeper.right_code(name, caller);
            }
        } else if hook.with_lockout(|lockout| lockout.wrong_code(now, caller)).is_some() {
            keeper.wrong_code(name, caller, wall_ms());
        }
    }

    fn input(&mut self, now: Instant, input: Input) {
        self.take_notes();
        if let Some(call) = &mut self.call {
            call.handle_input(now, input);
        }
    }

    /// What the exchange has to say comes before what the call makes of it.
    fn take_notes(&mut self) {
        if let Some(call) = &mut self.call {
            for (at, what) in self.notes.borrow_mut().drain(..) {
                call.note(at, what);
            }
        }
    }

    fn note(&mut self, now: Instant, what: What) {
        match &what {
            What::SoundMissing { prompt } => self.worker.shared.warn_of_missing_sound(prompt),
            What::PbxRefused { what, reply } => {
                tracing::warn!(pbx = self.pbx.as_str(), what, reply, "the PBX refused something")
            }
            What::Dialplan { advice } => self.worker.shared.warn_of_dialplan(advice),
            What::ProtocolError { .. } if !self.heard => {}
            What::ProtocolError { detail } => {
                tracing::warn!(pbx = self.pbx.as_str(), detail, "a PBX is out of step")
            }
            _ => {}
        }
        if let Some(call) = &mut self.call {
            call.note(now, what);
        }
    }
}

/// How many bytes came. They are in `scratch` until the task waits again.
async fn read(stream: &mut TcpStream, scratch: &Scratch) -> std::io::Result<usize> {
    poll_fn(|context| {
        let mut scratch = scratch.borrow_mut();
        let mut bytes = ReadBuf::new(&mut *scratch);
        let polled = Pin::new(&mut *stream).poll_read(context, &mut bytes);
        polled.map_ok(|()| bytes.filled().len())
    })
    .await
}

/// The answer, or for ever nothing where nothing is asked.
async fn answered(asking: &mut Option<Asking>) -> Result<Answer, Failure> {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

fn log(journal: &Journal) {
    tracing::info!(
        call = journal.call,
        webhook = journal.webhook,
        result = journal.result.as_str(),
        reason = journal.reason.as_str(),
        ms = journal.took_us / 1000,
        "call"
    );
}
