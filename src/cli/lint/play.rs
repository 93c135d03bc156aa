//! One caller's call: the same state machines as a real one, without a PBX.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::caller::Caller;
use crate::call::{Ask, Call, CallerChange, Command, Input, Outcome, Output, Start};
use crate::clock::wall_ms;
use crate::io::{Http, ask_once};
use crate::terms::{
    Answer, CallResult, Ended, Facts, Failure, Journal, Numbers, Opening, Prompt, Reason, Route,
};
use crate::webhook::{Exchange, Plan, Policy, Question};

/// What a call needs.
pub(super) struct Line {
    pub(super) http: Rc<Http>,
    pub(super) plan: Arc<Plan>,
    pub(super) policy: Arc<Policy>,
    pub(super) numbers: Arc<Numbers>,
}

/// A call that was played.
pub(super) struct Played {
    /// How long the web server took; `None`: it was not asked.
    pub(super) took: Option<Duration>,
    pub(super) end: End,
    /// What was answered, codes not masked: to be judged, never to be shown.
    pub(super) answer: Option<Answer>,
    /// What happened, codes masked.
    pub(super) journal: Journal,
}

/// What the caller comes to.
#[derive(Debug)]
pub(super) enum End {
    /// The entry was wrong: these prompts, and another attempt.
    Again(Vec<Prompt>),
    /// The PBX goes on, after these prompts.
    Left { heard: Vec<Prompt>, caller: CallerChange },
}

impl Played {
    pub(super) fn reason(&self) -> Reason {
        match self.end {
            End::Again(_) => Reason::Nak,
            End::Left { .. } => self.journal.reason,
        }
    }

    pub(super) fn is_success(&self) -> bool {
        matches!(self.end, End::Left { .. }) && self.journal.result == CallResult::Success
    }
}

/// Plays it, up to the second attempt or the end.
pub(super) async fn one(line: &Line, caller: &Caller) -> Played {
    let webhook = line.plan.webhook().clone();
    let opening = Opening {
        route: Ok(Route::Webhook(webhook.name.as_str().to_owned())),
        channel: caller.channel.clone(),
    };
    let start = Start {
        opening: Box::new(opening),
        call: Uuid::now_v7().to_string(),
        wall: wall_ms(),
        pbx: crate::terms::Pbx::Asterisk,
        numbers: line.numbers.clone(),
    };
    let mut call = Call::new(Instant::now(), start, webhook, None);
    let (mut took, mut answer, mut heard, mut entered) = (None, None, Vec::new(), false);
    let end = loop {
        match call.poll_output() {
            Output::Command(id, Command::Collect(_)) if !entered => {
                entered = true;
                let code = caller.code.clone().unwrap_or_default();
                let entry = Outcome::Digits { code, ended: Ended::Terminator };
                call.handle_input(Instant::now(), Input::Done(id, entry));
            }
            Output::Command(_, Command::Collect(again)) => {
                break End::Again(again.lead.into_iter().chain(again.prompt).collect());
            }
            Output::Command(id, Command::Answer) => {
                call.handle_input(Instant::now(), Input::Done(id, Outcome::Done));
            }
            Output::Command(id, Command::Play(prompt)) => {
                heard.push(prompt);
                call.handle_input(Instant::now(), Input::Done(id, Outcome::Done));
            }
            Output::Command(_, Command::Finish(finish)) => {
                break End::Left { heard, caller: finish.caller };
            }
            Output::Ask(question) => {
                let begun = Instant::now();
                let answered = ask(line, &mut call, &question).await;
                took = Some(begun.elapsed());
                answer = answered.as_ref().ok().cloned();
                call.handle_input(Instant::now(), Input::Answered(answered));
            }
            Output::CancelAsk | Output::WrongCode | Output::RightCode => {}
            // Nothing else is ever waited for.
            Output::Timeout(_) | Output::Closed => {
                break End::Left { heard, caller: CallerChange::Nothing };
            }
        }
    };
    Played { took, end, answer, journal: call.into_journal() }
}

/// So many of them side by side.
pub(super) async fn at_once(line: &Line, caller: &Caller, count: usize) -> Vec<Played> {
    let mut all: Vec<_> = (0..count).map(|_| Box::pin(one(line, caller))).collect();
    let mut played = Vec::with_capacity(count);
    std::future::poll_fn(|context| {
        all.retain_mut(|call| match call.as_mut().poll(context) {
            std::task::Poll::Ready(done) => {
                played.push(done);
                false
            }
            std::task::Poll::Pending => true,
        });
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    played
}

async fn ask(line: &Line, call: &mut Call, question: &Ask) -> Result<Answer, Failure> {
    let facts = Facts {
        channel: &call.opening().channel,
        call: call.id(),
        code: question.code.as_ref(),
        format: line.plan.webhook().number_format,
        numbers: &line.numbers,
        now: wall_ms(),
    };
    let requests =
        line.plan.render(&Question { facts, earlier: &question.earlier, attempt: question.attempt });
    let exchange = Exchange::new(Instant::now(), line.plan.clone(), line.policy.clone(), requests);
    let (answered, notes) = ask_once(line.http.clone(), exchange).await;
    for (at, what) in notes {
        call.note(at, what);
    }
    answered
}
