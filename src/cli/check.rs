//! `switchhook check`: everything that is wrong with the configuration, or what it says.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use super::{ConfigFile, colour};
use crate::config::{Config, duration_text};
use crate::terms::{Method, Pbx, Subscription, Webhook};

/// Check the configuration: print everything that is wrong with it, or what it says
///
/// Exits with 0 if the configuration is right, warnings or not, and with 78 if not.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
}

impl Check {
    pub(super) fn run(self) -> ExitCode {
        let config = match self.config.read() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        for warning in &config.warnings {
            eprintln!("{}\n", warning.draw(colour(&io::stderr())));
        }
        match write_summary(&mut io::stdout().lock(), &self.config.path.display().to_string(), &config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }
}

/// What the configuration says, for the person who wrote it. Holds no secret: `${NAME}` is shown as it was written.
fn write_summary(out: &mut impl Write, path: &str, config: &Config) -> io::Result<()> {
    let count = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let (webhooks, warnings) = (config.webhooks.len(), config.warnings.len());
    let mut parts = vec![count(webhooks, "webhook")];
    if !config.subscriptions.is_empty() {
        parts.push(count(config.subscriptions.len(), "subscription"));
    }
    parts.push(count(warnings, "warning"));
    writeln!(out, "{path} is right: {}.\n", parts.join(", "))?;
    for pbx in Pbx::ALL {
        if let Some(listener) = config.listener(pbx) {
            let allow: Vec<String> = listener.allow.iter().map(ToString::to_string).collect();
            writeln!(out, "{:<10} {}, for {}", pbx.section(), listener.listen, allow.join(" "))?;
        }
    }
    for link in &config.asterisk {
        writeln!(out, "follows    asterisk {} at {}", link.name, link.address)?;
        writeln!(out, "           its manager.conf needs: channelvars = {}", channel_variables(config))?;
    }
    for link in &config.freeswitch {
        writeln!(out, "follows    freeswitch {} at {}", link.name, link.address)?;
    }
    if !config.has_work() {
        writeln!(
            out,
            "listeners  none: `switchhook run` needs [fastagi] for Asterisk, [esl] for FreeSWITCH, or a PBX to follow"
        )?;
    }
    if let Some(admin) = config.admin {
        writeln!(out, "admin      {admin}: health and metrics")?;
    }
    let store = &config.store;
    writeln!(out, "store      {}, calls kept for {}", store.path.display(), duration_text(store.retention))?;
    for plan in config.webhooks.values() {
        write_webhook(out, plan.webhook())?;
    }
    if !config.subscriptions_enabled && !config.subscriptions.is_empty() {
        writeln!(out, "\nsubscriptions  all of them are switched off")?;
    }
    for plan in config.subscriptions.values() {
        write_subscription(out, plan.subscription())?;
    }
    Ok(())
}

/// What Asterisk must put into its events: what the shipped `manager.conf` has, and what the subscriptions name.
fn channel_variables(config: &Config) -> String {
    let mut names = vec!["WEBHOOK_CALL", "MIXMONITOR_FILENAME"];
    for name in config.subscriptions.values().flat_map(|plan| plan.subscription().pbx_variables()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(",")
}

fn write_subscription(out: &mut impl Write, subscription: &Subscription) -> io::Result<()> {
    let off = if subscription.enabled { "" } else { "  (switched off)" };
    writeln!(out, "\nsubscription {}{off}", subscription.name)?;
    if !subscription.description.is_empty() {
        writeln!(out, "           {}", subscription.description)?;
    }
    let events: Vec<&str> = subscription.events.iter().map(|event| event.as_str()).collect();
    writeln!(out, "  events   {}", events.join(" "))?;
    if let Some(directions) = &subscription.directions {
        let directions: Vec<&str> = directions.iter().map(|direction| direction.as_str()).collect();
        writeln!(out, "  calls    {}", directions.join(" "))?;
    }
    let method = match subscription.method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let signed = match subscription.secrets.len() {
        0 => "",
        1 => ", signed",
        _ => ", signed with two keys",
    };
    writeln!(out, "  request  {method} {}{signed}", shown(subscription.url.as_str()))
}

fn write_webhook(out: &mut impl Write, webhook: &Webhook) -> io::Result<()> {
    let off = if webhook.enabled { "" } else { "  (switched off)" };
    writeln!(out, "\nwebhook {}{off}", webhook.name)?;
    if !webhook.description.is_empty() {
        writeln!(out, "           {}", webhook.description)?;
    }
    let method = match webhook.method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    writeln!(out, "  request  {method} {}", shown(webhook.url.as_str()))?;
    if let Some(fallback) = &webhook.fallback_url {
        writeln!(out, "  fallback {method} {}", shown(fallback.as_str()))?;
    }
    let signed = if webhook.secret.is_some() { ", signed" } else { "" };
    writeln!(out, "  timeout  {}{signed}", duration_text(webhook.timeout))?;
    match &webhook.ivr {
        None => writeln!(out, "  code     none is asked for")?,
        Some(ivr) => {
            let kind = if ivr.secret { "secret" } else { "a menu choice" };
            let digits = match (ivr.min_digits, ivr.max_digits) {
                (1, 1) => "1 digit".to_owned(),
                (min, max) if min == max => format!("{min} digits"),
                (min, max) => format!("{min} to {max} digits"),
            };
            let (timeout, attempts) = (duration_text(ivr.timeout), ivr.attempts);
            writeln!(out, "  code     {kind}, {digits}, {timeout} for each, attempts: {attempts}")?;
        }
    }
    let guard = webhook.guard_time();
    let seconds = guard.as_secs() + u64::from(guard.subsec_nanos() > 0);
    writeln!(out, "  dialplan Gosub(switchhook-webhook,s,1({},,{seconds}))", webhook.name)
}

/// A URL as it was written, a user and password in it masked. The reader refuses them; this does not rely on it.
fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://****{}", &rest[at..]),
        None => url.to_owned(),
    }
}
