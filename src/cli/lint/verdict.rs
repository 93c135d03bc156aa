//! What each caller comes to, and whether that is what the owner of the web server wants.

use std::time::Duration;

use super::advice::{self, Advice};
use super::caller::{Caller, Callers, Kind, sends_code};
use super::play::{End, Played};
use crate::call::CallerChange;
use crate::cli::transcript::{clean, in_words};
use crate::config::duration_text;
use crate::terms::{CallerNameMode, EntryFault, Reason, Via, Webhook, What};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    Right,
    /// It works, and something about it is probably not meant.
    Look,
    Wrong,
}

/// What is said of one caller.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) level: Level,
    /// What the caller hears and comes to.
    pub(super) hears: String,
    pub(super) advice: Vec<Advice>,
}

/// Judges the callers that ask alone.
pub(super) fn judge(webhook: &Webhook, callers: &Callers, caller: &Caller, played: &Played) -> Verdict {
    let mut verdict = Verdict { level: Level::Right, hears: hears(played), advice: Vec::new() };
    let mut say = |level: Level, advice: Advice| {
        verdict.level = verdict.level.max(level);
        verdict.advice.push(advice);
    };
    if played.took.is_none() {
        not_asked(callers, caller, played, &mut say);
        return verdict;
    }
    for advice in advice::of_steps(&played.journal.steps) {
        let level = if advice.wrong { Level::Wrong } else { Level::Look };
        say(level, advice);
    }
    match played.reason() {
        Reason::Ok => accepted(webhook, caller, played, &mut say),
        Reason::Nak => {
            if caller.kind == Kind::Known {
                known_refused(webhook, callers, &mut say);
            }
        }
        Reason::Err if caller.kind == Kind::Known => {
            say(
                Level::Wrong,
                Advice::wrong(
                    "ERR means that something went wrong on your side: look into the log of your server",
                ),
            );
        }
        Reason::Err => {
            let text = "ERR ends the call at once. For input that is wrong answer status=NAK: the caller may try again";
            say(Level::Look, Advice::look(text));
        }
        _ => {
            let advice = advice::of_failure(webhook, caller.kind, &played.journal);
            say(Level::Wrong, advice);
        }
    }
    if let Some(took) = played.took.filter(|took| *took > webhook.timeout / 2 && *took < webhook.timeout) {
        say(Level::Look, slow(took, webhook.timeout));
    }
    verdict
}

fn slow(took: Duration, timeout: Duration) -> Advice {
    Advice::look(format!(
        "it took {}, more than half of the timeout ({}): the caller hears nothing meanwhile",
        milliseconds(took),
        duration_text(timeout)
    ))
}

/// The entry cannot be right: the webhook's own rules say so.
fn not_asked(callers: &Callers, caller: &Caller, played: &Played, say: &mut dyn FnMut(Level, Advice)) {
    let fault = played.journal.steps.iter().find_map(|step| match &step.what {
        What::EntryRefused { fault, .. } => Some(*fault),
        _ => None,
    });
    let rule = match fault {
        Some(EntryFault::Pattern) => "pattern",
        _ => "min_digits",
    };
    let text = format!("by {rule} this entry is wrong: your server is not asked");
    match caller.kind {
        Kind::Star | Kind::Unknown => say(Level::Right, Advice::look(text)),
        _ if callers.code_given => say(Level::Wrong, Advice::wrong(format!("{text}. Is --code right?"))),
        _ => say(Level::Look, Advice::look(format!("{text}. Name a code that fits: --code CODE"))),
    }
}

fn known_refused(webhook: &Webhook, callers: &Callers, say: &mut dyn FnMut(Level, Advice)) {
    let known = match (webhook.ivr.is_some(), callers.code_given) {
        (true, true) => {
            return say(Level::Wrong, Advice::wrong("your server does not know the code of --code"));
        }
        (true, false) => "1234 is perhaps no code of yours: name one with --code CODE",
        (false, _) => "this number is perhaps none of yours: name one with --callerid NUMBER",
    };
    say(Level::Look, Advice::look(format!("{known}; then the answer of a right one is checked too")));
}

fn accepted(webhook: &Webhook, caller: &Caller, played: &Played, say: &mut dyn FnMut(Level, Advice)) {
    let secret = webhook.ivr.as_ref().is_some_and(|ivr| ivr.secret) && sends_code(webhook);
    if secret && matches!(caller.kind, Kind::Unknown | Kind::Star) {
        say(Level::Look, Advice::look("a code that nobody has is accepted: does your server check it?"));
    }
    let Some(name) = answered_name(played) else { return };
    let destination = played.answer.as_ref().map_or("", |answer| &answer.destination);
    if let Some(advice) = advice::lost_plus(destination, &caller.channel) {
        say(Level::Look, advice);
    }
    if caller.kind != Kind::Known {
        return;
    }
    match &webhook.caller_name {
        None if !name.is_empty() => {
            let text = "callername is not used: the webhook has no section caller_name";
            say(Level::Look, Advice::look(text));
        }
        Some(rule) if rule.mode != CallerNameMode::Webhook && !name.is_empty() => {
            say(Level::Look, Advice::look("callername is not used: caller_name.mode is not \"webhook\""));
        }
        _ => {}
    }
    let variables = played.journal.steps.iter().find_map(|step| match &step.what {
        What::Finished { variables } => Some(variables),
        _ => None,
    });
    for (key, name) in &webhook.variables {
        let empty =
            variables.is_some_and(|v| v.iter().any(|(n, value)| n == name.as_str() && value.is_empty()));
        if empty {
            say(Level::Look, Advice::look(format!("the answer has no {key}: {name} is empty")));
        }
    }
}

/// The caller name of the answer, codes masked.
fn answered_name(played: &Played) -> Option<&str> {
    played.journal.steps.iter().find_map(|step| match &step.what {
        What::Answer { callername, .. } => Some(callername.as_str()),
        _ => None,
    })
}

/// In a sentence that goes on after "The caller".
fn hears(played: &Played) -> String {
    let prompts = |prompts: &[crate::terms::Prompt]| {
        let names: Vec<&str> = prompts.iter().map(|p| p.asterisk.as_str()).collect();
        if names.is_empty() { "silence".to_owned() } else { names.join(", then ") }
    };
    match &played.end {
        End::Again(again) => format!("hears {} and may enter another code", prompts(again)),
        End::Left { heard, caller } => {
            let before = if heard.is_empty() { String::new() } else { format!("hears {}, ", prompts(heard)) };
            if !played.is_success() {
                let reason = played.reason();
                let words = in_words(reason, played.journal.result).trim_end_matches('.');
                return format!("{before}goes to the failed branch ({reason}): {words}");
            }
            let variable = |wanted: &str| {
                let find =
                    |v: &Vec<(String, String)>| v.iter().find(|(n, _)| n == wanted).map(|(_, v)| v.clone());
                let mut steps = played.journal.steps.iter();
                steps.find_map(|step| match &step.what {
                    What::Finished { variables } => find(variables),
                    _ => None,
                })
            };
            let to = match variable("WEBHOOK_DESTINATION").filter(|d| !d.is_empty()) {
                Some(destination) => format!("is connected to {}", clean(&destination)),
                None => {
                    "goes to the success branch; there is no destination, the dialplan decides".to_owned()
                }
            };
            format!("{before}{to}{}", shown(caller, played))
        }
    }
}

fn shown(caller: &CallerChange, played: &Played) -> String {
    match caller {
        CallerChange::Suppress => "; neither number nor name is shown".to_owned(),
        CallerChange::Show { name: Some(_), .. } => match answered_name(played) {
            Some(name) if !name.is_empty() => format!("; the phone shows \"{}\"", clean(name)),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// What is said of those who asked at once.
pub(super) struct Rush {
    pub(super) verdict: Verdict,
    /// The one in the middle, and the slowest.
    pub(super) times: Option<(Duration, Duration)>,
}

/// Judges them. `alone` is the same caller, alone.
pub(super) fn judge_at_once(webhook: &Webhook, alone: &Played, played: &[Played]) -> Rush {
    let mut times: Vec<Duration> = played.iter().filter_map(|p| p.took).collect();
    times.sort();
    let times = times.get(times.len() / 2).copied().zip(times.last().copied());
    let count = played.len();
    let mut verdict = Verdict { level: Level::Right, hears: String::new(), advice: Vec::new() };
    let other: Vec<&Played> = played.iter().filter(|p| p.reason() != alone.reason()).collect();
    verdict.hears = match (other.first(), times) {
        (_, None) => "is not connected to anything: your server is not asked".to_owned(),
        (Some(first), _) => {
            if let Some(failed) = other.iter().find(|p| !p.is_success()) {
                verdict.level = Level::Wrong;
                verdict.advice.push(advice::of_failure(webhook, Kind::Slow, &failed.journal));
            }
            format!("has another outcome in {} of {count} calls: {}", other.len(), hears(first))
        }
        (None, Some(_)) => format!("has the same outcome in all of {count} calls: {}", alone.reason()),
    };
    let fell_back = was(&alone.journal.steps, &Via::Fallback);
    if fell_back || !matches!(alone.reason(), Reason::Ok | Reason::Nak) {
        verdict.level = Level::Wrong;
    }
    if let Some((_, most)) = times.filter(|(_, most)| *most > webhook.timeout / 2) {
        verdict.level = verdict.level.max(Level::Look);
        verdict.advice.push(advice::slow_together(most, webhook.timeout));
    }
    Rush { verdict, times }
}

pub(super) fn milliseconds(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 1.0 => format!("{:.1} ms", s * 1000.0),
        s => format!("{s:.2} s"),
    }
}

/// Whether a request of this call went elsewhere than to the URL.
pub(super) fn was(steps: &[crate::terms::Step], wanted: &Via) -> bool {
    steps.iter().any(|step| matches!(&step.what, What::Request { via, .. } if via == wanted))
}

/// ACK, NAK or ERR.
pub(super) fn status(played: &Played) -> &'static str {
    played.answer.as_ref().map_or("", |answer| answer.status.as_str())
}
