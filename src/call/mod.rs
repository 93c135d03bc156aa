//! One call, whatever the PBX: what is asked of the caller, what is asked of the web server, what comes out.
//!
//! A [`Call`] names no socket and no clock. The shell gives it what happened and takes what is to be done, until it is
//! closed:
//!
//! ```text
//! handle_input / handle_timeout  ->  poll_output until Timeout or Closed  ->  …
//! ```

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod command;
mod event;
mod finish;
mod session;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use command::{CallerChange, Collect, Command, CommandId, Finish, Outcome};
pub use event::{Ask, Input, Output, Start};
pub use session::{FINISH_TIME, IDLE_TIME, PLAY_TIME, PROMPT_TIME, Session, SessionOutput};

use crate::terms::{
    Answer, CallResult, Code, Codes, Destination, Ended, EntryFault, Failure, Ivr, Journal, Numbers, Opening,
    Pbx, PbxText, Prompt, Reason, Route, Status, Step, VarName, Webhook, What,
};

/// How long behind its deadline a call may still write to the PBX. The dialplan's guard fires 3 s behind it; whoever was
/// frozen and wakes up later than that would write onto a caller who talks to somebody.
const TOO_LATE: Duration = Duration::from_secs(2);

/// What a call awaits.
///
/// ```text
/// with IVR      AwaitAnswer -> AwaitEntry -> AwaitVerdict -> AwaitLeave -> Closed
///                                ^  (wrong)      |
///                                +---------------+--> AwaitLastPrompt -> AwaitLeave
/// without                                  AwaitVerdict -> AwaitLeave -> Closed
/// refused, callername                                      AwaitLeave -> Closed
/// hangup, shutdown, deadline     any of the first four  -> AwaitLeave
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The PBX answers the channel.
    AwaitAnswer,
    /// The caller enters a code.
    AwaitEntry,
    /// The web server decides.
    AwaitVerdict,
    /// The caller hears why the last attempt was wrong.
    AwaitLastPrompt(Reason),
    /// The PBX takes the variables and goes on.
    AwaitLeave,
    Closed,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    webhook: Option<Arc<Webhook>>,
    numbers: Arc<Numbers>,
    opening: Box<Opening>,
    state: State,
    started: Instant,
    deadline: Instant,
    attempt: u32,
    /// What the running entry plays, for the journal.
    prompts: Vec<String>,
    code: Option<Code>,
    /// The codes that the web server was told, where they must not be shown.
    secret: Codes,
    answer: Option<Answer>,
    failure: Option<Failure>,
    next_command: u32,
    running: Option<CommandId>,
    outputs: VecDeque<Output>,
    journal: Journal,
}

impl Call {
    /// A call that asks a webhook. `locked` says how many wrong codes have locked this caller out.
    pub fn new(now: Instant, start: Start, webhook: Arc<Webhook>, locked: Option<u32>) -> Call {
        let deadline = now + webhook.call_deadline();
        let mut call =
            Call::begin(now, start, webhook.name.as_str().to_owned(), Some(webhook.clone()), deadline);
        match (&webhook.ivr, locked) {
            _ if !webhook.enabled => call.fail(now, Failure::new(Reason::Disabled, "enabled = false")),
            (_, Some(failures)) => {
                call.note(now, What::LockedOut { failures });
                call.fail(now, Failure::new(Reason::LockedOut, "too many wrong codes"));
            }
            (None, None) => call.ask(),
            (Some(ivr), None) if ivr.answer => {
                call.state = State::AwaitAnswer;
                call.command(Command::Answer);
            }
            (Some(ivr), None) => call.collect(ivr, None),
        }
        call
    }

    /// A call that fails at once: no such webhook, too many calls.
    pub fn refused(now: Instant, start: Start, webhook: String, failure: Failure) -> Call {
        let mut call = Call::begin(now, start, webhook, None, now + FINISH_TIME);
        call.fail(now, failure);
        call
    }

    /// A call that only changes the caller's name, outside a webhook. It sets no result variable.
    pub fn caller_name(now: Instant, start: Start) -> Call {
        let mut call = Call::begin(now, start, "callername".to_owned(), None, now + FINISH_TIME);
        let change = match &call.opening.route {
            Ok(Route::Prepend(text)) => finish::prepended(text, &call.opening.channel.name_on_channel),
            Ok(Route::Replace(text)) => Some(text.clone()),
            Ok(Route::Webhook(_)) | Err(_) => None,
        };
        call.journal.result = CallResult::Success;
        call.journal.reason = Reason::Ok;
        let finish = Finish { caller: finish::name_only(change.as_deref()), variables: Vec::new() };
        call.leave(now, finish);
        call
    }

    fn begin(
        now: Instant,
        start: Start,
        name: String,
        webhook: Option<Arc<Webhook>>,
        deadline: Instant,
    ) -> Call {
        let channel = &start.opening.channel;
        let path = match &start.opening.route {
            Ok(Route::Webhook(name)) => format!("webhook/{name}"),
            Ok(Route::Prepend(_)) => "callername/prepend".to_owned(),
            Ok(Route::Replace(_)) => "callername/replace".to_owned(),
            Err(e) => e.path.clone(),
        };
        let asked =
            What::Asked { path, channel: channel.name.clone(), callername: channel.callername.clone() };
        let journal = Journal {
            call: start.call,
            started: start.wall,
            webhook: name,
            pbx: start.pbx.as_str().to_owned(),
            unique_id: channel.unique_id.clone(),
            linked_id: channel.linked_id.clone(),
            did: channel.did.clone(),
            callerid: channel.callerid.as_str().to_owned(),
            result: CallResult::Failed,
            reason: Reason::ProtocolError,
            attempts: 0,
            took_us: 0,
            steps: vec![Step::new(Duration::ZERO, asked)],
        };
        Call {
            webhook,
            numbers: start.numbers,
            opening: start.opening,
            state: State::AwaitLeave,
            started: now,
            deadline,
            attempt: 0,
            prompts: Vec::new(),
            code: None,
            secret: Codes::NONE,
            answer: None,
            failure: None,
            next_command: 0,
            running: None,
            outputs: VecDeque::new(),
            journal,
        }
    }

    /// What the PBX said of the channel.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The journal's id.
    pub fn id(&self) -> &str {
        &self.journal.call
    }

    /// Adds a step to the journal.
    pub fn note(&mut self, now: Instant, what: What) {
        self.journal.steps.push(Step::new(now.saturating_duration_since(self.started), what));
    }

    /// Something happened.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        if self.is_underway() && now >= self.deadline + TOO_LATE {
            return self.abandon(now);
        }
        match input {
            Input::Done(id, outcome) if self.running == Some(id) => {
                self.running = None;
                self.handle_done(now, outcome);
            }
            // A command that was cut short by the end of the call.
            Input::Done(..) => {}
            Input::Answered(answered) if self.state == State::AwaitVerdict => {
                self.handle_verdict(now, answered)
            }
            Input::Answered(_) => {}
            Input::HungUp => self.cut(now, What::HungUp, Reason::Hangup, "the caller hung up"),
            Input::Shutdown => self.cut(now, What::Shutdown, Reason::Shutdown, "the daemon is going down"),
            Input::Gone => self.handle_gone(now),
        }
    }

    /// The time of the last [`Output::Timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        if self.is_underway() && now >= self.deadline + TOO_LATE {
            self.abandon(now);
        } else if self.is_underway() {
            self.cut(now, What::Deadline, Reason::Timeout, "the time for the whole call was over");
        } else if self.state == State::AwaitLeave {
            self.note(
                now,
                What::ProtocolError { detail: "the PBX did not take the answer in time".to_owned() },
            );
            self.close(now);
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        match self.outputs.pop_front() {
            Some(output) => output,
            None if self.state == State::Closed => Output::Closed,
            None => Output::Timeout(self.deadline),
        }
    }

    /// What happened, once the call is closed.
    pub fn into_journal(self) -> Journal {
        self.journal
    }

    /// Whether anything is still open: not yet leaving.
    fn is_underway(&self) -> bool {
        !matches!(self.state, State::AwaitLeave | State::Closed)
    }

    fn handle_done(&mut self, now: Instant, outcome: Outcome) {
        match (self.state, outcome) {
            (State::AwaitLeave, _) => self.close(now),
            (_, Outcome::HungUp) => self.handle_input(now, Input::HungUp),
            (State::AwaitAnswer, outcome) => {
                match outcome {
                    Outcome::Refused { reply } => {
                        self.note(now, What::PbxRefused { what: "answer".to_owned(), reply });
                    }
                    _ => self.note(now, What::Answered),
                }
                self.next_entry(None);
            }
            (State::AwaitEntry, Outcome::Digits { code, ended }) => self.handle_entry(now, code, ended),
            (State::AwaitEntry, outcome) => {
                let detail = format!("an entry of digits was answered with {outcome:?}");
                self.note(now, What::ProtocolError { detail: detail.clone() });
                self.fail(now, Failure::new(Reason::ProtocolError, detail));
            }
            (State::AwaitLastPrompt(reason), _) => {
                self.fail(now, Failure::new(reason, "no attempt is left"));
            }
            (State::AwaitVerdict | State::Closed, _) => {}
        }
    }

    fn handle_entry(&mut self, now: Instant, code: Code, ended: Ended) {
        let Some(webhook) = self.webhook.clone() else { return };
        let Some(ivr) = &webhook.ivr else { return };
        let shown = (!ivr.secret).then(|| code.reveal().to_owned());
        let prompts = std::mem::take(&mut self.prompts);
        self.note(now, What::Entry { attempt: self.attempt, prompts, digits: code.len(), shown, ended });
        let fault = match ended {
            Ended::Hangup => return self.handle_input(now, Input::HungUp),
            Ended::Timeout if code.is_empty() => Some(EntryFault::Nothing),
            _ if code.len() < ivr.min_digits => Some(EntryFault::TooShort),
            _ if ivr.pattern.as_ref().is_some_and(|p| !p.matches(code.reveal())) => Some(EntryFault::Pattern),
            _ => None,
        };
        self.code = Some(code);
        match fault {
            None => self.ask(),
            Some(fault) => {
                self.note(now, What::EntryRefused { attempt: self.attempt, fault });
                if fault == EntryFault::Pattern {
                    self.outputs.push_back(Output::WrongCode);
                }
                self.wrong(now, if fault == EntryFault::Nothing { Reason::NoInput } else { Reason::Nak });
            }
        }
    }

    fn handle_verdict(&mut self, now: Instant, answered: Result<Answer, Failure>) {
        let answer = match answered {
            Ok(answer) => answer,
            Err(failure) => {
                self.note(
                    now,
                    What::NoAnswer { reason: failure.reason, detail: self.masked(&failure.detail) },
                );
                return self.fail(now, failure);
            }
        };
        self.note(
            now,
            What::Answer {
                status: answer.status,
                destination: self.masked(&answer.destination),
                callername: self.masked(&answer.callername),
                dialect: answer.dialect,
                hints: answer.hints.clone(),
            },
        );
        let status = answer.status;
        self.answer = Some(answer);
        match status {
            Status::Ack => {
                self.outputs.push_back(Output::RightCode);
                self.succeed(now);
            }
            Status::Nak if self.code.is_some() => {
                self.outputs.push_back(Output::WrongCode);
                self.wrong(now, Reason::Nak);
            }
            Status::Nak => self.fail(now, Failure::new(Reason::Nak, "the web server said NAK")),
            Status::Err => self.fail(now, Failure::new(Reason::Err, "the web server said ERR")),
        }
    }

    /// Ends what is underway: nobody waits for the verdict any more.
    fn cut(&mut self, now: Instant, what: What, reason: Reason, detail: &str) {
        if self.is_underway() {
            self.note(now, what);
            self.cancel_ask();
            self.fail(now, Failure::new(reason, detail));
        }
    }

    /// The dialplan has gone on without us: nothing may be written any more.
    fn abandon(&mut self, now: Instant) {
        self.note(now, What::Deadline);
        self.cancel_ask();
        self.journal.reason = Reason::Timeout;
        self.close(now);
    }

    /// The PBX's connection ended before we were done.
    fn handle_gone(&mut self, now: Instant) {
        if self.is_underway() {
            self.cancel_ask();
            self.journal.reason =
                match self.journal.steps.iter().any(|s| matches!(s.what, What::ProtocolError { .. })) {
                    true => Reason::ProtocolError,
                    false => Reason::Hangup,
                };
        }
        if self.state != State::Closed {
            self.close(now);
        }
    }

    /// An attempt was wrong: the next one, or the end.
    fn wrong(&mut self, now: Instant, reason: Reason) {
        let Some(webhook) = self.webhook.clone() else { return };
        let Some(ivr) = &webhook.ivr else { return };
        let prompt = if reason == Reason::NoInput { &ivr.timeout_prompt } else { &ivr.error_prompt };
        if self.attempt < ivr.attempts {
            self.answer = None;
            return self.next_entry(prompt.clone());
        }
        match prompt {
            Some(prompt) => {
                self.note(now, What::Played { prompt: self.prompt_name(prompt) });
                self.state = State::AwaitLastPrompt(reason);
                self.command(Command::Play(prompt.clone()));
            }
            None => self.fail(now, Failure::new(reason, "no attempt is left")),
        }
    }

    fn next_entry(&mut self, lead: Option<Prompt>) {
        if let Some(webhook) = self.webhook.clone()
            && let Some(ivr) = &webhook.ivr
        {
            self.collect(ivr, lead);
        }
    }

    fn collect(&mut self, ivr: &Ivr, lead: Option<Prompt>) {
        self.attempt += 1;
        self.journal.attempts = self.attempt;
        let prompt =
            if self.attempt == 1 || ivr.repeat_start_prompt { ivr.start_prompt.clone() } else { None };
        let names = lead.iter().chain(&prompt).map(|p| self.prompt_name(p));
        self.prompts = names.filter(|name| !name.is_empty()).collect();
        self.state = State::AwaitEntry;
        self.command(Command::Collect(Collect {
            lead,
            prompt,
            timeout: ivr.timeout,
            digit_timeout: ivr.digit_timeout,
            max_digits: ivr.max_digits,
        }));
    }

    fn prompt_name(&self, prompt: &Prompt) -> String {
        if self.journal.pbx == Pbx::FreeSwitch.as_str() {
            prompt.freeswitch.clone()
        } else {
            prompt.asterisk.clone()
        }
    }

    fn ask(&mut self) {
        self.state = State::AwaitVerdict;
        let earlier = self.secret.clone();
        let secret = self.webhook.as_ref().and_then(|w| w.ivr.as_ref()).is_none_or(|ivr| ivr.secret);
        if let Some(code) = self.code.as_ref().filter(|_| secret) {
            self.secret.add(code);
        }
        let (code, attempt) = (self.code.clone(), self.attempt.max(1));
        self.outputs.push_back(Output::Ask(Ask { code, attempt, earlier }));
    }

    fn command(&mut self, command: Command) {
        let id = CommandId(self.next_command);
        self.next_command += 1;
        self.running = Some(id);
        self.outputs.push_back(Output::Command(id, command));
    }

    fn cancel_ask(&mut self) {
        if self.state == State::AwaitVerdict {
            self.outputs.push_back(Output::CancelAsk);
        }
    }

    fn succeed(&mut self, now: Instant) {
        let allow = self.webhook.as_ref().and_then(|w| w.destination.allow.as_deref());
        let answered = self.answer.as_ref().map_or("", |a| a.destination.as_str());
        match Destination::parse(answered, allow) {
            Ok(destination) => {
                self.journal.result = CallResult::Success;
                self.journal.reason = Reason::Ok;
                self.leave_with(now, destination.as_ref());
            }
            Err(refused) => {
                let (destination, detail) = (self.masked(answered), refused.to_string());
                self.note(now, What::DestinationRefused { destination, detail: detail.clone() });
                self.fail(now, Failure::new(Reason::DestinationRefused, detail));
            }
        }
    }

    fn fail(&mut self, now: Instant, failure: Failure) {
        self.journal.result = CallResult::Failed;
        self.journal.reason = failure.reason;
        self.failure = Some(failure);
        self.leave_with(now, None);
    }

    fn leave_with(&mut self, now: Instant, destination: Option<&Destination>) {
        let (finish, cleaned) = finish::compose(&finish::Ending {
            webhook: self.webhook.as_deref(),
            numbers: &self.numbers,
            channel: &self.opening.channel,
            journal: &self.journal,
            code: self.code.as_ref(),
            answer: self.answer.as_ref(),
            http_status: self.failure.as_ref().and_then(|f| f.http_status),
            destination,
        });
        for what in cleaned {
            self.note(now, What::Cleaned { what });
        }
        self.leave(now, finish);
    }

    fn leave(&mut self, now: Instant, finish: Finish) {
        // An id that holds the code's digits by chance is no code.
        let shown = |(name, value): &(VarName, PbxText)| match finish::is_ours(name) {
            true => (name.to_string(), value.to_string()),
            false => (name.to_string(), self.masked(value.as_str())),
        };
        let variables = finish.variables.iter().map(shown).collect();
        self.note(now, What::Finished { variables });
        self.state = State::AwaitLeave;
        self.deadline = now + FINISH_TIME;
        self.command(Command::Finish(finish));
    }

    fn close(&mut self, now: Instant) {
        self.journal.took_us =
            u64::try_from(now.saturating_duration_since(self.started).as_micros()).unwrap_or(u64::MAX);
        self.state = State::Closed;
    }

    /// A text without the codes in it, unless they may be shown.
    fn masked(&self, text: &str) -> String {
        self.secret.mask_in(text)
    }
}

#[cfg(test)]
mod tests;
