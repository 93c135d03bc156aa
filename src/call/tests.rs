//! A call as a table: what happens, what the call does, how it comes out. Time is virtual.

#![allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::terms::*;

/// What happens to a call, in one word each.
#[derive(Clone, Debug)]
enum Happens {
    /// The running command is done.
    Done,
    /// Digits and what ended them.
    Digits(&'static str, Ended),
    /// The running command ended because the caller hung up.
    DoneHungUp,
    Answer(Result<Answer, Failure>),
    HungUp,
    Shutdown,
    Gone,
    /// So many seconds later.
    After(u64),
    /// So many seconds later, and no timer has run yet: the daemon was frozen.
    Late(u64),
}

use Ended::{Full, Hangup, Terminator, Timeout};
use Happens::{After, Digits, Done, DoneHungUp, Gone, HungUp, Shutdown};

fn prompt(name: &str) -> Option<Prompt> {
    Some(Prompt { asterisk: name.to_owned(), freeswitch: format!("{name}.wav") })
}

fn template(text: &str) -> Template {
    Template::parse(text, Place::CallerName { code: true }).expect("a template")
}

fn webhook() -> Webhook {
    let url = Template::parse("http://crm/?code={code}", Place::Request).expect("a template");
    Webhook::new(WebhookName::parse("vip").expect("a name"), url)
}

fn ivr() -> Ivr {
    Ivr {
        answer: true,
        secret: true,
        timeout: Duration::from_secs(5),
        digit_timeout: None,
        attempts: 3,
        min_digits: 4,
        max_digits: 8,
        pattern: Some(Pattern::parse("[0-9]+").expect("a pattern")),
        start_prompt: prompt("enter"),
        error_prompt: prompt("wrong"),
        timeout_prompt: prompt("nothing"),
        repeat_start_prompt: true,
        lockout: None,
    }
}

fn with_ivr(change: impl FnOnce(&mut Ivr)) -> Webhook {
    let mut ivr = ivr();
    change(&mut ivr);
    Webhook { ivr: Some(ivr), ..webhook() }
}

fn answer(status: Status, destination: &str, callername: &str) -> Answer {
    Answer {
        status,
        destination: destination.to_owned(),
        callername: callername.to_owned(),
        pairs: vec![("status".into(), status.as_str().into()), ("ticket".into(), "T-7".into())],
        text: "the whole text".to_owned(),
        dialect: Dialect::Pairs,
        http_status: 200,
        hints: Vec::new(),
    }
}

fn ack(destination: &str, callername: &str) -> Happens {
    Happens::Answer(Ok(answer(Status::Ack, destination, callername)))
}

fn says(status: Status) -> Happens {
    Happens::Answer(Ok(answer(status, "", "")))
}

fn fails(reason: Reason) -> Happens {
    Happens::Answer(Err(Failure::new(reason, "it did not work")))
}

fn opening(change: impl FnOnce(&mut Channel)) -> Box<Opening> {
    let mut channel = Channel {
        callerid: Number::from_pbx("+31612345678"),
        number_on_channel: Number::from_pbx("+31612345678"),
        callername: "Alice".to_owned(),
        name_on_channel: "Alice".to_owned(),
        did: "0201234567".to_owned(),
        ..Channel::default()
    };
    change(&mut channel);
    Box::new(Opening { route: Ok(Route::Webhook("vip".to_owned())), channel })
}

struct Played {
    trace: String,
    finish: Option<Finish>,
    journal: Journal,
}

impl Played {
    fn variable(&self, name: &str) -> Option<&str> {
        let finish = self.finish.as_ref()?;
        finish.variables.iter().find(|(n, _)| n.as_str() == name).map(|(_, v)| v.as_str())
    }
}

fn start(opening: Box<Opening>) -> Start {
    Start { opening, call: "c1".to_owned(), wall: 0, pbx: Pbx::Asterisk, numbers: Arc::default() }
}

fn play(webhook: Webhook, events: &[Happens]) -> Played {
    play_opening(webhook, opening(|_| {}), events)
}

fn play_opening(webhook: Webhook, opening: Box<Opening>, events: &[Happens]) -> Played {
    let now = Instant::now();
    drain(Call::new(now, start(opening), Arc::new(webhook), None), now, events)
}

/// Plays the events, each after everything that the call had to do; the PBX takes the answer at the end.
fn drain(mut call: Call, mut now: Instant, events: &[Happens]) -> Played {
    let mut events = events.iter();
    let mut trace = Vec::new();
    let mut running = CommandId(u32::MAX);
    let (mut finish, mut late) = (None, false);
    loop {
        match call.poll_output() {
            Output::Command(id, command) => {
                running = id;
                trace.push(match command {
                    Command::Answer => "answer".to_owned(),
                    Command::Play(prompt) => format!("play {}", prompt.asterisk),
                    Command::Collect(collect) => {
                        let name =
                            |p: &Option<Prompt>| p.as_ref().map_or("-".to_owned(), |p| p.asterisk.clone());
                        format!("collect {} {}", name(&collect.lead), name(&collect.prompt))
                    }
                    Command::Finish(all) => {
                        finish = Some(all);
                        "finish".to_owned()
                    }
                });
            }
            Output::Ask(ask) => {
                let code = ask.code.map_or("-".to_owned(), |c| c.reveal().to_owned());
                trace.push(format!("ask {code} {}", ask.attempt));
            }
            Output::CancelAsk => trace.push("cancel".to_owned()),
            Output::WrongCode => trace.push("wrong".to_owned()),
            Output::RightCode => trace.push("right".to_owned()),
            Output::Closed => break,
            Output::Timeout(at) => {
                assert!(at > now || late, "a timeout in the past");
                match events.next() {
                    Some(Done) => call.handle_input(now, Input::Done(running, Outcome::Done)),
                    Some(DoneHungUp) => call.handle_input(now, Input::Done(running, Outcome::HungUp)),
                    Some(Digits(digits, ended)) => {
                        let code = Code::parse(digits).expect("digits");
                        call.handle_input(now, Input::Done(running, Outcome::Digits { code, ended: *ended }));
                    }
                    Some(Happens::Answer(answered)) => {
                        call.handle_input(now, Input::Answered(answered.clone()))
                    }
                    Some(HungUp) => call.handle_input(now, Input::HungUp),
                    Some(Shutdown) => call.handle_input(now, Input::Shutdown),
                    Some(Gone) => call.handle_input(now, Input::Gone),
                    Some(After(seconds)) => {
                        now += Duration::from_secs(*seconds);
                        call.handle_timeout(now);
                    }
                    Some(Happens::Late(seconds)) => {
                        now += Duration::from_secs(*seconds);
                        late = true;
                    }
                    None => {
                        assert!(finish.is_some(), "the events end before the call does: {trace:?}");
                        call.handle_input(now, Input::Done(running, Outcome::Done));
                    }
                }
            }
        }
    }
    assert!(events.next().is_none(), "the call ended before the events did: {trace:?}");
    Played { trace: trace.join(", "), finish, journal: call.into_journal() }
}

#[test]
fn outcomes() {
    let silent = |ivr: &mut Ivr| {
        ivr.error_prompt = None;
        ivr.timeout_prompt = None;
        ivr.start_prompt = None;
        ivr.attempts = 2;
    };
    let ok = CallResult::Success;
    let failed = CallResult::Failed;
    type Case = (&'static str, Webhook, Vec<Happens>, &'static str, CallResult, Reason);
    let cases: Vec<Case> = vec![
        (
            "asks at once without an IVR",
            webhook(),
            vec![ack("215", "")],
            "ask - 1, right, finish",
            ok,
            Reason::Ok,
        ),
        ("NAK without an IVR", webhook(), vec![says(Status::Nak)], "ask - 1, finish", failed, Reason::Nak),
        ("ERR", webhook(), vec![says(Status::Err)], "ask - 1, finish", failed, Reason::Err),
        ("a failure", webhook(), vec![fails(Reason::Timeout)], "ask - 1, finish", failed, Reason::Timeout),
        (
            "a destination that writes a dialplan",
            webhook(),
            vec![ack("500&PJSIP/x", "")],
            "ask - 1, right, finish",
            failed,
            Reason::DestinationRefused,
        ),
        (
            "the right code",
            with_ivr(|_| {}),
            vec![Done, Digits("1234", Terminator), ack("215", "")],
            "answer, collect - enter, ask 1234 1, right, finish",
            ok,
            Reason::Ok,
        ),
        (
            "an IVR that does not answer",
            with_ivr(|i| i.answer = false),
            vec![Digits("12345678", Full), ack("", "")],
            "collect - enter, ask 12345678 1, right, finish",
            ok,
            Reason::Ok,
        ),
        (
            "wrong, then right",
            with_ivr(|_| {}),
            vec![Done, Digits("1111", Timeout), says(Status::Nak), Digits("1234", Terminator), ack("", "")],
            "answer, collect - enter, ask 1111 1, wrong, collect wrong enter, ask 1234 2, right, finish",
            ok,
            Reason::Ok,
        ),
        (
            "wrong to the end",
            with_ivr(|i| i.attempts = 2),
            vec![
                Done,
                Digits("1111", Full),
                says(Status::Nak),
                Digits("2222", Full),
                says(Status::Nak),
                Done,
            ],
            "answer, collect - enter, ask 1111 1, wrong, collect wrong enter, ask 2222 2, wrong, play wrong, finish",
            failed,
            Reason::Nak,
        ),
        (
            "nothing to the end",
            with_ivr(|i| i.attempts = 2),
            vec![Done, Digits("", Timeout), Digits("", Timeout), Done],
            "answer, collect - enter, collect nothing enter, play nothing, finish",
            failed,
            Reason::NoInput,
        ),
        (
            "the reason is the last attempt's",
            with_ivr(|i| i.attempts = 2),
            vec![Done, Digits("", Timeout), Digits("1111", Full), says(Status::Nak), Done],
            "answer, collect - enter, collect nothing enter, ask 1111 2, wrong, play wrong, finish",
            failed,
            Reason::Nak,
        ),
        (
            "# alone, too short, pattern: no request; only the pattern counts for the lockout",
            with_ivr(|i| i.repeat_start_prompt = false),
            vec![Done, Digits("", Terminator), Digits("12", Timeout), Digits("12*4", Terminator), Done],
            "answer, collect - enter, collect wrong -, collect wrong -, wrong, play wrong, finish",
            failed,
            Reason::Nak,
        ),
        (
            "silence where there is no prompt",
            with_ivr(silent),
            vec![Done, Digits("", Timeout), Digits("1111", Full), says(Status::Nak)],
            "answer, collect - -, collect - -, ask 1111 2, wrong, finish",
            failed,
            Reason::Nak,
        ),
        (
            "ERR ends the attempts",
            with_ivr(|_| {}),
            vec![Done, Digits("1111", Full), says(Status::Err)],
            "answer, collect - enter, ask 1111 1, finish",
            failed,
            Reason::Err,
        ),
        (
            "an HTTP failure ends the attempts",
            with_ivr(|_| {}),
            vec![Done, Digits("1111", Full), fails(Reason::HttpStatus)],
            "answer, collect - enter, ask 1111 1, finish",
            failed,
            Reason::HttpStatus,
        ),
        (
            "hangup while answering",
            with_ivr(|_| {}),
            vec![DoneHungUp],
            "answer, finish",
            failed,
            Reason::Hangup,
        ),
        (
            "hangup while prompted",
            with_ivr(|_| {}),
            vec![Done, HungUp],
            "answer, collect - enter, finish",
            failed,
            Reason::Hangup,
        ),
        (
            "hangup while typing: no request",
            with_ivr(|_| {}),
            vec![Done, Digits("12", Hangup)],
            "answer, collect - enter, finish",
            failed,
            Reason::Hangup,
        ),
        (
            "hangup while the web server thinks",
            webhook(),
            vec![HungUp],
            "ask - 1, cancel, finish",
            failed,
            Reason::Hangup,
        ),
        (
            "the answer after the hangup is nobody's",
            webhook(),
            vec![HungUp, ack("215", "")],
            "ask - 1, cancel, finish",
            failed,
            Reason::Hangup,
        ),
        (
            "the daemon goes down",
            webhook(),
            vec![Shutdown],
            "ask - 1, cancel, finish",
            failed,
            Reason::Shutdown,
        ),
        (
            "the whole time is over",
            webhook(),
            vec![After(11), After(1)],
            "ask - 1, cancel, finish",
            failed,
            Reason::Timeout,
        ),
        (
            "awake again when the dialplan has gone on: nothing is written",
            webhook(),
            vec![After(14)],
            "ask - 1, cancel",
            failed,
            Reason::Timeout,
        ),
        (
            "an answer that comes when the dialplan has gone on",
            with_ivr(|i| i.answer = false),
            vec![Happens::Late(500), Digits("1234", Full)],
            "collect - enter",
            failed,
            Reason::Timeout,
        ),
        (
            "the connection is gone",
            with_ivr(|_| {}),
            vec![Done, Gone],
            "answer, collect - enter",
            failed,
            Reason::Hangup,
        ),
        ("switched off", Webhook { enabled: false, ..webhook() }, vec![], "finish", failed, Reason::Disabled),
    ];
    for (name, webhook, events, trace, result, reason) in cases {
        let played = play(webhook, &events);
        assert_eq!(played.trace, trace, "{name}");
        assert_eq!((played.journal.result, played.journal.reason), (result, reason), "{name}");
        if let Some(finish) = &played.finish {
            let last = finish.variables.last().map(|(n, v)| (n.as_str(), v.as_str()));
            assert_eq!(last, Some(("WEBHOOK_RESULT", result.as_str())), "{name}");
            assert_eq!(played.variable("WEBHOOK_REASON"), Some(reason.as_str()), "{name}");
        }
    }
}

#[test]
fn every_variable_is_written_in_every_outcome() {
    let name = |n| VarName::parse(n).expect("a name");
    let hook = || Webhook {
        save_as: Some(name("CRM_RESULT")),
        variables: vec![("ticket".to_owned(), name("CRM_TICKET"))],
        ..with_ivr(|i| i.secret = false)
    };
    let enter = [Done, Digits("1234", Full)];
    let played = |last: Happens| play(hook(), &[&enter[..], &[last]].concat());
    let good = played(ack("+31 20 1234567", "Jan"));
    let bad = played(fails(Reason::Connect));
    for (variable, of_good, of_bad) in [
        ("CRM_RESULT", "the whole text", ""),
        ("CRM_TICKET", "T-7", ""),
        ("WEBHOOK_CODE", "1234", "1234"),
        ("WEBHOOK_STATUS", "ACK", ""),
        ("WEBHOOK_DESTINATION", "+31201234567", ""),
        ("WEBHOOK_CALLERNAME", "Jan", ""),
        ("WEBHOOK_HTTP_STATUS", "200", ""),
        ("WEBHOOK_CALL", "c1", "c1"),
        ("WEBHOOK_REASON", "ok", "connect"),
        ("WEBHOOK_RESULT", "SUCCESS", "FAILED"),
    ] {
        assert_eq!(good.variable(variable), Some(of_good), "{variable}");
        assert_eq!(bad.variable(variable), Some(of_bad), "{variable}");
    }
    let secret = play(with_ivr(|_| {}), &[&enter[..], &[ack("", "")]].concat());
    assert_eq!(secret.variable("WEBHOOK_CODE"), None);
}

#[test]
fn the_journal_holds_no_code() {
    let echo = ack("1234", "code 1234");
    let played = play(with_ivr(|_| {}), &[Done, Digits("1234", Full), echo]);
    assert_eq!(played.variable("WEBHOOK_DESTINATION"), Some("1234"));
    let journal = serde_json::to_string(&played.journal).expect("JSON");
    assert!(!journal.contains("1234\"") && !journal.contains("code 1234"), "{journal}");
}

#[test]
fn the_journal_names_what_the_caller_heard() {
    let entries = [Done, Digits("", Timeout), Digits("1", Timeout), Digits("1234", Full), says(Status::Err)];
    let steps = play(with_ivr(|_| {}), &entries).journal.steps;
    let heard: Vec<Vec<String>> = steps
        .into_iter()
        .filter_map(|step| match step.what {
            What::Entry { prompts, .. } => Some(prompts),
            _ => None,
        })
        .collect();
    assert_eq!(heard, [vec!["enter"], vec!["nothing", "enter"], vec!["wrong", "enter"]]);
}

#[test]
fn what_the_callee_sees() {
    let name = |mode, text: &str| Some(CallerNameRule { mode, text: template(text) });
    let text = |t: &str| Some(PbxText::clean(t).0);
    let show = |name: Option<&str>, number: Option<&str>, present| CallerChange::Show {
        name: name.map(|n| PbxText::clean(n).0),
        number: number.and_then(text),
        present,
    };
    use CallerId::{Called, Caller, Suppressed};
    use CallerNameMode::{Prepend, Replace, Webhook as Answered};
    let withheld = |c: &mut Channel| {
        c.callerid = Number::default();
        c.callername = String::new();
        c.withheld = true;
    };
    let plain = |_: &mut Channel| {};
    type Change = fn(&mut Channel);
    type Case = (&'static str, CallerId, Option<CallerNameRule>, Change, Happens, CallerChange);
    let cases: Vec<Case> = vec![
        ("nothing asked", Caller, None, plain, ack("", "Jan"), CallerChange::Nothing),
        (
            "the answer's name",
            Caller,
            name(Answered, ""),
            plain,
            ack("", "Jan <1>"),
            show(Some("Jan 1"), None, false),
        ),
        ("no name in the answer", Caller, name(Answered, ""), plain, ack("", ""), CallerChange::Nothing),
        ("not beside NAK", Caller, name(Answered, ""), plain, says(Status::Nak), CallerChange::Nothing),
        (
            "in front",
            Caller,
            name(Prepend, "VIP: "),
            plain,
            ack("", "Jan"),
            show(Some("VIP: Alice"), None, false),
        ),
        (
            "in front once",
            Caller,
            name(Prepend, "VIP: "),
            |c| c.name_on_channel = "VIP: Alice".into(),
            ack("", ""),
            CallerChange::Nothing,
        ),
        (
            "instead",
            Caller,
            name(Replace, "{did}"),
            plain,
            ack("", ""),
            show(Some("0201234567"), None, false),
        ),
        ("our number", Called, None, plain, ack("", ""), show(None, Some("0201234567"), true)),
        (
            "our number when it fails too",
            Called,
            name(Replace, "x"),
            plain,
            says(Status::Err),
            show(None, Some("0201234567"), true),
        ),
        (
            "our number, a withheld caller's name stays hidden",
            Called,
            None,
            withheld,
            ack("", ""),
            show(Some(""), Some("0201234567"), true),
        ),
        ("hidden", Suppressed, name(Replace, "x"), plain, ack("", ""), CallerChange::Suppress),
        ("hidden when it fails too", Suppressed, None, plain, fails(Reason::Dns), CallerChange::Suppress),
    ];
    for (case, caller_id, caller_name, channel, event, expected) in cases {
        let hook = Webhook { caller_id, caller_name, ..webhook() };
        let played = play_opening(hook, opening(channel), &[event]);
        assert_eq!(played.finish.expect("an ending").caller, expected, "{case}");
    }
}

#[test]
fn a_caller_name_outside_a_webhook_sets_no_variable() {
    for (route, expected) in [
        (Route::Prepend("Sales: ".into()), Some("Sales: Alice")),
        (Route::Replace("Zoë \"GmbH\"".into()), Some("Zoë GmbH")),
        (Route::Prepend("Ali".into()), None),
    ] {
        let now = Instant::now();
        let mut opening = opening(|_| {});
        opening.route = Ok(route.clone());
        let played = drain(Call::caller_name(now, start(opening)), now, &[]);
        let finish = played.finish.expect("an ending");
        assert_eq!(finish.caller, finish::name_only(expected), "{route:?}");
        assert!(finish.variables.is_empty());
    }
}

#[test]
fn locked_out_callers_hear_nothing_and_nobody_is_asked() {
    let now = Instant::now();
    let call = Call::new(now, start(opening(|_| {})), Arc::new(with_ivr(|_| {})), Some(10));
    let played = drain(call, now, &[]);
    assert_eq!(played.trace, "finish");
    assert_eq!(played.variable("WEBHOOK_REASON"), Some("locked_out"));
}

mod any_order {
    use proptest::prelude::*;

    use super::*;

    fn event() -> impl Strategy<Value = Happens> {
        prop_oneof![
            Just(Done),
            Just(DoneHungUp),
            prop_oneof![Just(""), Just("12"), Just("1234"), Just("12*4")].prop_flat_map(|d| prop_oneof![
                Just(Timeout),
                Just(Full),
                Just(Terminator),
                Just(Hangup)
            ]
            .prop_map(move |e| Digits(d, e))),
            prop_oneof![
                Just(ack("215", "Jan")),
                Just(says(Status::Nak)),
                Just(says(Status::Err)),
                Just(fails(Reason::Dns))
            ],
            Just(HungUp),
            Just(Shutdown),
            Just(Gone),
            (1u64..400).prop_map(After),
            (1u64..400).prop_map(Happens::Late),
        ]
    }

    proptest! {
        /// Whatever happens, in whatever order: no panic, no command beside another but the finish, one finish, and an
        /// end in bounded time.
        #[test]
        fn ends(events in proptest::collection::vec(event(), 0..30), with: bool) {
            let mut now = Instant::now();
            let hook = if with { with_ivr(|_| {}) } else { webhook() };
            let mut call = Call::new(now, start(opening(|_| {})), Arc::new(hook), None);
            let (mut running, mut finishes, mut asking) = (None, 0, false);
            let mut events = events.into_iter();
            let (mut idle, mut late) = (0, false);
            loop {
                match call.poll_output() {
                    Output::Command(id, Command::Finish(_)) => {
                        finishes += 1;
                        running = Some(id);
                    }
                    Output::Command(id, _) => {
                        prop_assert!(running.is_none() && finishes == 0);
                        running = Some(id);
                    }
                    Output::Ask(_) => {
                        prop_assert!(!asking && running.is_none());
                        asking = true;
                    }
                    Output::CancelAsk => asking = false,
                    Output::WrongCode | Output::RightCode => {}
                    Output::Closed => break,
                    Output::Timeout(at) => {
                        prop_assert!(at > now || late);
                        let Some(event) = events.next() else {
                            idle += 1;
                            prop_assert!(idle < 5, "it does not end");
                            now = now.max(at);
                            call.handle_timeout(now);
                            continue;
                        };
                        let id = running.unwrap_or(CommandId(999));
                        let input = match event {
                            Done => Input::Done(id, Outcome::Done),
                            DoneHungUp => Input::Done(id, Outcome::HungUp),
                            Digits(digits, ended) => {
                                let code = Code::parse(digits).expect("digits");
                                Input::Done(id, Outcome::Digits { code, ended })
                            }
                            Happens::Answer(answered) => {
                                if !asking { continue; }
                                asking = false;
                                Input::Answered(answered)
                            }
                            HungUp => Input::HungUp,
                            Shutdown => Input::Shutdown,
                            Gone => Input::Gone,
                            After(seconds) => {
                                now += Duration::from_secs(seconds);
                                call.handle_timeout(now);
                                continue;
                            }
                            Happens::Late(seconds) => {
                                now += Duration::from_secs(seconds);
                                late = true;
                                continue;
                            }
                        };
                        if matches!(input, Input::Done(..)) { running = None; }
                        call.handle_input(now, input);
                    }
                }
            }
            prop_assert!(finishes <= 1);
        }
    }
}
