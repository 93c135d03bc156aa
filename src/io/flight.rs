//! Answers that are kept for a while, and one question for all calls that ask the same at the same time.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::ask::{Notes, ask};
use super::http::Http;
use crate::terms::{Answer, Failure, Reason, What};
use crate::webhook::{Cache, Exchange};

type Shared = Option<Result<Answer, Failure>>;

/// One webhook's kept answers, for all workers. The lock is held for one look at a map, by calls to a webhook with
/// `cache` alone.
#[derive(Clone, Debug, Default)]
pub struct Answers(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    kept: Cache,
    flying: HashMap<String, watch::Receiver<Shared>>,
}

enum Found {
    Kept(Answer, Duration),
    Flying(watch::Receiver<Shared>),
    Ours(watch::Sender<Shared>),
}

impl Answers {
    /// The answer that is kept, the one that is on its way to another call, or one of our own asking. The question is
    /// asked to its end even when the call that began it hangs up: others may wait for it.
    pub(super) async fn ask(
        self,
        http: Rc<Http>,
        exchange: Exchange,
        keep: Duration,
        notes: Notes,
    ) -> Result<Answer, Failure> {
        let key = exchange.cache_key();
        let deadline = exchange.deadline();
        let mut waiting = match self.find(&key) {
            Found::Kept(answer, age) => {
                let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
                notes.borrow_mut().push((Instant::now(), What::Cached { age_ms }));
                return Ok(answer);
            }
            Found::Flying(waiting) => {
                notes.borrow_mut().push((Instant::now(), What::Joined));
                waiting
            }
            Found::Ours(tell) => {
                let waiting = tell.subscribe();
                tokio::task::spawn_local(async move {
                    let answered = ask(http, exchange, notes).await;
                    self.land(&key, keep, &answered);
                    tell.send_replace(Some(answered));
                });
                waiting
            }
        };
        let arrived = tokio::time::timeout_at(deadline.into(), waiting.wait_for(Option::is_some)).await;
        match arrived {
            Ok(Ok(shared)) => shared.clone().unwrap_or_else(|| Err(lost())),
            // The worker that asked is gone.
            Ok(Err(_)) => Err(lost()),
            Err(_) => Err(Failure::new(Reason::Timeout, "another call's question was not answered in time")),
        }
    }

    fn find(&self, key: &str) -> Found {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((answer, age)) = inner.kept.get(Instant::now(), key) {
            return Found::Kept(answer.clone(), age);
        }
        // One whose task died without an answer is no flight any more.
        if let Some(flying) = inner.flying.get(key)
            && flying.has_changed().is_ok()
        {
            return Found::Flying(flying.clone());
        }
        let (tell, waiting) = watch::channel(None);
        inner.flying.insert(key.to_owned(), waiting);
        Found::Ours(tell)
    }

    fn land(&self, key: &str, keep: Duration, answered: &Result<Answer, Failure>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.flying.remove(key);
        if let Ok(answer) = answered {
            inner.kept.put(Instant::now(), key, answer, keep);
        }
    }
}

fn lost() -> Failure {
    Failure::new(Reason::Connect, "the call that asked is gone")
}
