//! `switchhook lint`: calls the user's own web server as six callers and says what each of them would hear, and why.
//!
//! Each caller is a [`crate::call::Call`] whose commands go nowhere and whose question goes over HTTP, as in a real
//! call: nothing here reads an answer by rules of its own.

mod advice;
mod caller;
mod play;
mod report;
mod verdict;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime;
use tokio::task::LocalSet;

use self::caller::{Callers, Kind};
use self::play::{Line, Played};
use self::report::Report;
use super::{ConfigFile, DEFAULT_CONFIG, EXIT_USAGE, colour};
use crate::config::{self, Config};
use crate::io::{Http, tls_settings};
use crate::terms::{Code, Place, Template, Webhook, WebhookName};
use crate::webhook::{Plan, Policy, USER_AGENT};

/// What a URL without variables is asked with.
const USUAL: &str = "code={code}&callerid={callerid}&did={did}&callername={callername}";

/// How many ask at the same time, to see whether the server keeps up.
const AT_ONCE: usize = 5;

/// Tells the server's owner who asks.
const HEADER: http::HeaderName = http::HeaderName::from_static("x-switchhook-lint");

/// Call your web server as six callers and say what each of them would hear
///
/// Real requests are made, ten in all; each has the header X-Switchhook-Lint. Nothing is dialled.
///
/// Exits with 0 if all is right, warnings or not, with 1 if something is wrong, with 64 for a wrong command line and
/// with 78 for a wrong configuration.
#[derive(Debug, clap::Args)]
pub(super) struct Lint {
    /// A webhook of the configuration, or a URL; where a URL has no {variable} the usual ones are added
    #[arg(value_name = "NAME|URL")]
    target: String,
    /// The configuration file, for a NAME
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// A code that your server knows [default: 1234, which it may not know]
    #[arg(long)]
    code: Option<String>,
    /// A number that your server knows
    #[arg(long, value_name = "NUMBER", default_value = "+447700900100")]
    callerid: String,
    /// The number that was called
    #[arg(long, value_name = "NUMBER", default_value = "02079460000")]
    did: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is asked, and what is to be said of it first.
struct Target {
    webhook: Webhook,
    config: Config,
    preface: Vec<String>,
}

impl Lint {
    pub(super) fn run(self) -> ExitCode {
        let code = match self.code.as_deref().map(Code::parse) {
            None => None,
            Some(Some(code)) if !code.is_empty() => Some(code),
            // Without the text: it was meant to be a code.
            Some(_) => return usage("--code: a code has the digits 0-9 and *, at most 128 of them"),
        };
        let target = match self.target() {
            Ok(target) => target,
            Err(exit) => return exit,
        };
        match self.ask(target, code) {
            Ok(report) => {
                let written = if self.json { report.json() } else { report.to_string() };
                match io::stdout().write_all(written.as_bytes()) {
                    Ok(()) if !report.is_wrong() => ExitCode::SUCCESS,
                    _ => ExitCode::FAILURE,
                }
            }
            Err(error) => {
                eprintln!("switchhook: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn target(&self) -> Result<Target, ExitCode> {
        if self.target.contains("://") {
            return self.ad_hoc();
        }
        if WebhookName::parse(&self.target).is_none() {
            return Err(usage("this is neither a webhook's name nor a URL with http:// or https://"));
        }
        let config = ConfigFile { path: self.config.clone() }.read()?;
        let Some(plan) = config.webhooks.get(self.target.as_str()) else {
            let known: Vec<&str> = config.webhooks.keys().map(WebhookName::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(" ") };
            let path = self.config.display();
            return Err(usage(&format!("{path} has no [webhook.{}]; it has: {known}", self.target)));
        };
        let webhook = Webhook::clone(plan.webhook());
        let off =
            "It is switched off (enabled = false): calls fail without asking. It is asked here all the same.";
        let preface = if webhook.enabled { Vec::new() } else { vec![off.to_owned()] };
        Ok(Target { webhook, config, preface })
    }

    /// A webhook with the defaults, and all that makes an answer visible. It is read as if it stood in a file, so that
    /// its mistakes are drawn.
    fn ad_hoc(&self) -> Result<Target, ExitCode> {
        let mut preface = Vec::new();
        let mut url = self.target.clone();
        if !url.contains('{') {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(USUAL);
            preface.push(format!("The URL has no variables; these were added: {USUAL}"));
        }
        let mut text = format!("[webhook.lint]\nurl = {}\n", toml::Value::from(url.as_str()));
        if url.contains("{code") {
            text.push_str("[webhook.lint.ivr]\nmax_digits = 127\n");
        }
        text.push_str("[webhook.lint.caller_name]\n");
        let config =
            config::parse("URL", Path::new("."), text.as_bytes(), &|_| None).map_err(|problems| {
                eprintln!("{}", problems.draw(colour(&io::stderr())));
                ExitCode::from(EXIT_USAGE)
            })?;
        let plan = config.webhooks.values().next().ok_or(ExitCode::from(EXIT_USAGE))?;
        let webhook = Webhook::clone(plan.webhook());
        Ok(Target { webhook, config, preface })
    }

    fn ask(&self, target: Target, code: Option<Code>) -> Result<Report, String> {
        let Target { mut webhook, config, preface } = target;
        webhook.enabled = true;
        let callers = Callers::new(&webhook, code, &self.callerid, &self.did);
        let tls = tls_settings().map_err(|error| format!("TLS: {error}"))?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let policy = Arc::new(Policy::new(config.egress.deny.clone(), config.egress.allow.clone()));
        let played = LocalSet::new().block_on(&runtime, async {
            let http = Rc::new(Http::new(tls));
            let line = |kind: Kind| -> Result<Line, String> {
                let plan = marked(&webhook, kind)?;
                Ok(Line { http: http.clone(), plan, policy: policy.clone(), numbers: config.numbers.clone() })
            };
            let mut played = Vec::with_capacity(Kind::ALL.len());
            for caller in &callers.all {
                let line = line(caller.kind)?;
                played.push(match caller.kind {
                    Kind::Slow => play::at_once(&line, caller, AT_ONCE).await,
                    _ => vec![play::one(&line, caller).await],
                });
            }
            Ok::<Vec<Vec<Played>>, String>(played)
        })?;
        Ok(Report::new(&self.target, preface, &webhook, &callers, &played))
    }
}

/// The webhook with what shows its server's owner that nobody really calls.
fn marked(webhook: &Webhook, kind: Kind) -> Result<Arc<Plan>, String> {
    let mut webhook = webhook.clone();
    let text = |text: &str| Template::parse(text, Place::Request).map_err(|_| "a fixed header".to_owned());
    webhook.headers.retain(|(name, _)| *name != HEADER);
    webhook.headers.push((HEADER, text(kind.name())?));
    if !webhook.headers.iter().any(|(name, _)| *name == http::header::USER_AGENT) {
        webhook.headers.push((http::header::USER_AGENT, text(&format!("{USER_AGENT} (lint)"))?));
    }
    let plan = Plan::new(Arc::new(webhook));
    plan.map(Arc::new).map_err(|errors| errors.first().map(ToString::to_string).unwrap_or_default())
}

fn usage(message: &str) -> ExitCode {
    eprintln!("switchhook lint: {message}");
    ExitCode::from(EXIT_USAGE)
}
