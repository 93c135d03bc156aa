//! Answers that are kept for a while, and one question for all calls that ask the same at the same time.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::ask::{Notes, ask};
use super::http::Http;
use crate::terms::{Answer, Failure, Reason, What};
use crate::webhook::{Cache, CacheKey, Exchange, Hit};

type Shared = Option<Result<Arc<Answer>, Failure>>;

/// One webhook's kept answers, for all workers. The lock is held for one look at a map, by calls to a webhook with
/// `cache` alone.
#[derive(Clone, Debug, Default)]
pub struct Answers(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    kept: Cache,
    flying: HashMap<CacheKey, watch::Receiver<Shared>>,
}

/// One call's question.
pub(super) struct Question {
    pub(super) key: CacheKey,
    pub(super) exchange: Exchange,
    /// How long the answer is kept.
    pub(super) keep: Duration,
    /// How long this call waits, whoever asks.
    pub(super) deadline: Instant,
}

enum Found {
    Kept(Hit),
    Flying(watch::Receiver<Shared>),
    Ours(watch::Sender<Shared>),
}

impl Answers {
    /// The answer that is kept, the one that is on its way to another call, or one of our own asking. The question is
    /// asked to its end even when the call that began it hangs up: others may wait for it.
    pub(super) async fn ask(
        self,
        http: Rc<Http>,
        question: Question,
        notes: Notes,
    ) -> Result<Answer, Failure> {
        let mut waiting = match self.find(&question.key) {
            Found::Kept(Hit { answer, age }) => {
                let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
                notes.borrow_mut().push((Instant::now(), What::Cached { age_ms }));
                return Ok((*answer).clone());
            }
            Found::Flying(waiting) => {
                notes.borrow_mut().push((Instant::now(), What::Joined));
                waiting
            }
            Found::Ours(tell) => {
                let waiting = tell.subscribe();
                tokio::task::spawn_local(async move {
                    let answered = ask(http, question.exchange, notes).await.map(Arc::new);
                    self.land(question.key, question.keep, &answered);
                    tell.send_replace(Some(answered));
                });
                waiting
            }
        };
        let arrived =
            tokio::time::timeout_at(question.deadline.into(), waiting.wait_for(Option::is_some)).await;
        match arrived {
            Ok(Ok(shared)) => match &*shared {
                Some(Ok(answer)) => Ok((**answer).clone()),
                Some(Err(failure)) => Err(failure.clone()),
                None => Err(lost()),
            },
            // The worker that asked is gone.
            Ok(Err(_)) => Err(lost()),
            Err(_) => Err(Failure::new(Reason::Timeout, "another call's question was not answered in time")),
        }
    }

    fn find(&self, key: &CacheKey) -> Found {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hit) = inner.kept.get(Instant::now(), key) {
            return Found::Kept(hit);
        }
        // One whose task died without an answer is no flight any more.
        if let Some(flying) = inner.flying.get(key)
            && flying.has_changed().is_ok()
        {
            return Found::Flying(flying.clone());
        }
        let (tell, waiting) = watch::channel(None);
        inner.flying.insert(key.clone(), waiting);
        Found::Ours(tell)
    }

    fn land(&self, key: CacheKey, keep: Duration, answered: &Result<Arc<Answer>, Failure>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.flying.remove(&key);
        if let Ok(answer) = answered {
            inner.kept.put(Instant::now(), key, answer.clone(), keep);
        }
    }
}

fn lost() -> Failure {
    Failure::new(Reason::Connect, "the call that asked is gone")
}
