//! All that was found, for people and as JSON.

use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::advice::Advice;
use super::caller::{Callers, Kind};
use super::play::Played;
use super::verdict::{Level, Verdict, judge, judge_at_once, milliseconds, status};
use crate::cli::transcript::clean;
use crate::config::duration_text;
use crate::terms::{Code, Step, Webhook, What};

/// Lines of an answer that are shown, and characters of each, at most.
const LINES: usize = 4;
const WIDTH: usize = 110;

/// The whole result.
#[derive(Debug, serde::Serialize)]
pub(super) struct Report {
    target: String,
    /// With its variables; `${NAME}` as it was written.
    url: String,
    timeout_ms: u64,
    result: Level,
    #[serde(skip)]
    preface: Vec<String>,
    callers: Vec<Entry>,
}

/// One caller.
#[derive(Debug, serde::Serialize)]
struct Entry {
    caller: &'static str,
    verdict: Level,
    callerid: String,
    callername: String,
    /// The caller's story in a sentence that begins with "The caller".
    hears: String,
    /// `WEBHOOK_REASON`; for a code that is wrong `nak`.
    reason: &'static str,
    /// ACK, NAK or ERR, as answered.
    status: &'static str,
    /// How long the web server took; null: it was not asked. For those at once, the slowest.
    took_ms: Option<f64>,
    /// For those at once: the one in the middle.
    #[serde(skip_serializing_if = "Option::is_none")]
    median_ms: Option<f64>,
    advice: Vec<Advice>,
    /// The journal of the call; of the slowest one for those at once.
    steps: Vec<Step>,
    #[serde(skip)]
    title: &'static str,
    #[serde(skip)]
    has_code: bool,
    #[serde(skip)]
    did: String,
    #[serde(skip)]
    times: Option<(Duration, Duration)>,
}

impl Report {
    pub(super) fn new(
        target: &str,
        preface: Vec<String>,
        webhook: &Webhook,
        callers: &Callers,
        played: &[Vec<Played>],
    ) -> Report {
        let alone = played.first().and_then(|calls| calls.first());
        let entries = callers.all.iter().zip(played).filter_map(|(caller, calls)| {
            let slowest = calls.iter().max_by_key(|call| call.took)?;
            let (verdict, times) = match (caller.kind, alone) {
                (Kind::Slow, Some(alone)) => {
                    let rush = judge_at_once(webhook, alone, calls);
                    (rush.verdict, rush.times)
                }
                _ => (judge(webhook, callers, caller, slowest), None),
            };
            let Verdict { level, hears, advice } = verdict;
            let ms = |time: Duration| (time.as_secs_f64() * 10_000.0).round() / 10.0;
            Some(Entry {
                caller: caller.kind.name(),
                verdict: level,
                callerid: caller.channel.callerid.as_str().to_owned(),
                callername: caller.channel.callername.clone(),
                hears,
                reason: slowest.reason().as_str(),
                status: status(slowest),
                took_ms: slowest.took.map(ms),
                median_ms: times.map(|(median, _)| ms(median)),
                advice,
                steps: slowest.journal.steps.clone(),
                title: caller.kind.title(),
                has_code: caller.code.is_some(),
                did: caller.channel.did.clone(),
                times,
            })
        });
        let callers: Vec<Entry> = entries.collect();
        Report {
            target: target.to_owned(),
            url: webhook.url.as_str().to_owned(),
            timeout_ms: u64::try_from(webhook.timeout.as_millis()).unwrap_or(u64::MAX),
            result: callers.iter().map(|c| c.verdict).max().unwrap_or(Level::Wrong),
            preface,
            callers,
        }
    }

    pub(super) fn is_wrong(&self) -> bool {
        self.result == Level::Wrong
    }

    pub(super) fn json(&self) -> String {
        // All of it is texts, numbers and lists.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for line in &self.preface {
            writeln!(f, "{}\n", clean(line))?;
        }
        let mut told = HashSet::new();
        for (at, entry) in self.callers.iter().enumerate() {
            let level = match entry.verdict {
                Level::Right => "right",
                Level::Look => "LOOK AT THIS",
                Level::Wrong => "WRONG",
            };
            writeln!(f, "{} of {}: {} -- {level}", at + 1, self.callers.len(), entry.title)?;
            if entry.caller != Kind::Slow.name() {
                entry.who(f)?;
                entry.exchanges(f)?;
            }
            if let Some((median, most)) = entry.times {
                let timeout = duration_text(Duration::from_millis(self.timeout_ms));
                let (median, most) = (milliseconds(median), milliseconds(most));
                writeln!(f, "  median {median}, slowest {most}; the timeout is {timeout}")?;
            }
            writeln!(f, "  The caller {}.", entry.hears)?;
            for advice in &entry.advice {
                write_advice(f, advice, told.insert(advice.text.clone()))?;
            }
            writeln!(f)?;
        }
        self.summary(f)
    }
}

impl Report {
    fn summary(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let of = |level: Level| {
            self.callers.iter().filter(|c| c.verdict == level).map(|c| c.caller).collect::<Vec<_>>()
        };
        let (wrong, look) = (of(Level::Wrong), of(Level::Look));
        write!(f, "{} of {} callers are right", of(Level::Right).len(), self.callers.len())?;
        if !look.is_empty() {
            write!(f, "; look at: {}", look.join(", "))?;
        }
        if !wrong.is_empty() {
            write!(f, "; wrong: {}", wrong.join(", "))?;
        }
        writeln!(f, ".")
    }
}

impl Entry {
    fn who(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let number = if self.callerid.is_empty() { "a withheld number" } else { &self.callerid };
        let name = if self.callername.is_empty() { "no name" } else { &self.callername };
        let code = if self.has_code { format!(" and enters {}", Code::MASK) } else { String::new() };
        writeln!(f, "  {} ({}) calls {}{code}", clean(number), clean(name), clean(&self.did))
    }

    fn exchanges(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            match &step.what {
                What::Request { method, url, body, .. } => {
                    writeln!(f, "  {method} {}", clean(url))?;
                    write_lines(f, body)?;
                }
                What::Response { http_status, head_us, content_type, body, bytes, .. } => {
                    let kind = if content_type.is_empty() {
                        "no Content-Type".to_owned()
                    } else {
                        clean(content_type)
                    };
                    let time = milliseconds(Duration::from_micros(*head_us));
                    writeln!(f, "  HTTP {http_status} after {time}: {kind}, {bytes} bytes")?;
                    write_lines(f, body)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The first lines of a body.
fn write_lines(f: &mut Formatter<'_>, body: &str) -> fmt::Result {
    for line in body.lines().take(LINES) {
        let short: String = line.chars().take(WIDTH).collect();
        let more = if short.len() < line.len() { "…" } else { "" };
        writeln!(f, "  | {}{more}", clean(&short))?;
    }
    if body.lines().nth(LINES).is_some() {
        writeln!(f, "  | …")?;
    }
    Ok(())
}

/// The examples with it the first time only.
fn write_advice(f: &mut Formatter<'_>, advice: &Advice, first: bool) -> fmt::Result {
    writeln!(f, "  {} {}", if advice.wrong { "!" } else { "-" }, clean(&advice.text))?;
    for (language, line) in advice.examples.iter().filter(|_| first) {
        writeln!(f, "      {language}: {line}")?;
    }
    Ok(())
}
