//! `switchhook lockout`: who has entered too many wrong codes, and letting them try again.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::actor::actor;
use super::explain::{columns, json, print};
use super::place::Place;
use super::transcript::{clean, date};
use crate::clock::wall_ms;
use crate::config::Config;
use crate::store::{Failures, OpenError, Reader, clear_lockouts};
use crate::terms::{LockoutRule, Webhook};

/// What `--caller` takes for all callers without a number.
const ANONYMOUS: &str = "anonymous";

/// Who has entered too many wrong codes
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Lockout {
    /// What to do.
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// Callers with wrong codes, and until when they are locked out
    List(Which),
    /// Forget wrong codes: all, or those of a webhook, of a caller
    Clear(Which),
}

/// Whose wrong codes.
#[derive(Clone, Debug, Default, clap::Args)]
struct Which {
    /// Of this webhook alone
    #[arg(long, value_name = "NAME")]
    webhook: Option<String>,
    /// Of this caller alone; `anonymous` for all who withhold their number
    #[arg(long, value_name = "NUMBER")]
    caller: Option<String>,
    /// JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Lockout {
    /// Lists or clears. The configuration says who is locked out and until when.
    pub(super) fn run(self) -> ExitCode {
        let (Action::List(which) | Action::Clear(which)) = &self.action;
        let (store, config) = match which.place.find() {
            Ok(found) => found,
            Err(exit) => return exit,
        };
        let rules = config.map(|config| rules(&config)).unwrap_or_default();
        let now = wall_ms();
        print(match &self.action {
            Action::List(which) => list(which, &store, &rules, now),
            Action::Clear(which) => clear(which, &store),
        })
    }
}

/// The lockouts by webhook, as configured.
fn rules(config: &Config) -> BTreeMap<String, LockoutRule> {
    let rule = |webhook: &Webhook| webhook.ivr.as_ref().and_then(|ivr| ivr.lockout);
    config
        .webhooks
        .iter()
        .filter_map(|(name, plan)| Some((name.to_string(), rule(plan.webhook())?)))
        .collect()
}

/// A caller in the list.
#[derive(Debug, serde::Serialize)]
struct Listed {
    webhook: String,
    caller: String,
    failures: usize,
    /// The last wrong code, ms since 1970.
    last: i64,
    /// ms since 1970; null when not locked out, or when the webhook is not configured.
    locked_until: Option<i64>,
}

fn list(
    which: &Which,
    store: &Path,
    rules: &BTreeMap<String, LockoutRule>,
    now: i64,
) -> Result<String, OpenError> {
    let wanted = which.caller();
    let fits = |f: &Failures| {
        which.webhook.as_ref().is_none_or(|w| *w == f.webhook)
            && wanted.as_ref().is_none_or(|c| *c == f.caller)
    };
    let failures = Reader::open(store)?.failures()?;
    let listed: Vec<Listed> =
        failures.into_iter().filter(fits).filter_map(|f| judge(&f, rules.get(&f.webhook), now)).collect();
    if which.json {
        return Ok(json(&listed));
    }
    if listed.is_empty() {
        return Ok("No wrong codes.\n".to_owned());
    }
    let header = ["WEBHOOK", "CALLER", "WRONG CODES", "LAST", "LOCKED UNTIL"].map(str::to_owned);
    let zone = TimeZone::system();
    let row = |l: &Listed| {
        let caller = if l.caller.is_empty() { ANONYMOUS.to_owned() } else { clean(&l.caller) };
        let until = l.locked_until.map_or_else(|| "-".to_owned(), |at| date(at, &zone));
        [clean(&l.webhook), caller, l.failures.to_string(), date(l.last, &zone), until]
    };
    Ok(columns(&std::iter::once(header).chain(listed.iter().map(row)).collect::<Vec<_>>()))
}

/// What a caller's wrong codes mean by the webhook's rule; `None` when they are too old to mean anything.
fn judge(failures: &Failures, rule: Option<&LockoutRule>, now: i64) -> Option<Listed> {
    let window = rule.map_or(i64::MAX, |rule| ms(rule.window));
    let within: Vec<i64> =
        failures.at.iter().copied().filter(|at| now.saturating_sub(*at) < window).collect();
    let last = *within.last()?;
    let limit = rule.map(|r| if failures.caller.is_empty() { r.anonymous } else { r.failures });
    // Locked until fewer than the limit are left within the window.
    let deciding = limit.and_then(|limit| within.len().checked_sub(usize::try_from(limit).ok()?));
    let locked_until = deciding.and_then(|i| within.get(i)).map(|at| at.saturating_add(window));
    let (webhook, caller) = (failures.webhook.clone(), failures.caller.clone());
    Some(Listed { webhook, caller, failures: within.len(), last, locked_until })
}

fn clear(which: &Which, store: &Path) -> Result<String, OpenError> {
    let cleared = clear_lockouts(store, which.webhook.as_deref(), which.caller().as_deref(), &actor())?;
    Ok(if which.json {
        json(&serde_json::json!({ "cleared": cleared }))
    } else {
        format!("Forgot {cleared} wrong codes. A running daemon notices within about a second.\n")
    })
}

impl Which {
    fn caller(&self) -> Option<String> {
        self.caller.clone().map(|caller| if caller == ANONYMOUS { String::new() } else { caller })
    }
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_locked_until_the_deciding_wrong_code_is_too_old() {
        let rule = LockoutRule { failures: 3, window: Duration::from_secs(60), anonymous: 5 };
        let judged = |caller: &str, at: &[i64]| {
            let failures = Failures { webhook: "vip".into(), caller: caller.into(), at: at.to_vec() };
            judge(&failures, Some(&rule), 100_000).map(|l| (l.failures, l.last, l.locked_until))
        };
        assert_eq!(judged("06", &[10_000, 50_000, 60_000]), Some((2, 60_000, None)));
        assert_eq!(judged("06", &[50_000, 60_000, 70_000]), Some((3, 70_000, Some(110_000))));
        assert_eq!(judged("06", &[45_000, 50_000, 60_000, 70_000]), Some((4, 70_000, Some(110_000))));
        assert_eq!(judged("", &[50_000, 60_000, 70_000]), Some((3, 70_000, None)));
        assert_eq!(judged("06", &[10_000, 40_000]), None);
    }
}
