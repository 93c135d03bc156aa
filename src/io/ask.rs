//! Runs one exchange with a web server: the sans-I/O state machine above, names and hops below.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

use super::http::Http;
use crate::terms::{Answer, Failure, What};
use crate::webhook::{Exchange, Input, Output};

/// What an exchange said of itself, with the time: kept outside, so that it outlives an exchange that is dropped when
/// the caller hangs up.
pub(super) type Notes = Rc<RefCell<Vec<(Instant, What)>>>;

type Step = Pin<Box<dyn Future<Output = Input>>>;

/// Asks, and waits for the answer or the failure. Dropping it drops the request.
pub(super) async fn ask(http: Rc<Http>, mut exchange: Exchange, notes: Notes) -> Result<Answer, Failure> {
    let mut step: Option<Step> = None;
    loop {
        let wait = loop {
            match exchange.poll_output() {
                Output::Resolve { host } => {
                    let http = http.clone();
                    step = Some(Box::pin(async move { Input::Resolved(http.resolve(&host).await) }));
                }
                Output::Hop(hop) => {
                    let http = http.clone();
                    step = Some(Box::pin(async move {
                        match http.hop(*hop).await {
                            Ok(response) => Input::Responded(response),
                            Err(error) => Input::Failed(error),
                        }
                    }));
                }
                Output::Note(what) => notes.borrow_mut().push((Instant::now(), what)),
                Output::Timeout(at) => break at,
                Output::Done(done) => return done,
            }
        };
        let input = match &mut step {
            Some(running) => tokio::time::timeout_at(wait.into(), running).await.ok(),
            None => {
                tokio::time::sleep_until(wait.into()).await;
                None
            }
        };
        match input {
            Some(input) => {
                step = None;
                exchange.handle_input(Instant::now(), input);
            }
            None => exchange.handle_timeout(Instant::now()),
        }
    }
}

/// Asks once, outside of any call: the answer or the failure, and what the exchange said of itself. Within a
/// [`tokio::task::LocalSet`], as all of [`Http`].
pub async fn ask_once(http: Rc<Http>, exchange: Exchange) -> (Result<Answer, Failure>, Vec<(Instant, What)>) {
    let notes = Notes::default();
    let answered = ask(http, exchange, notes.clone()).await;
    (answered, notes.take())
}
