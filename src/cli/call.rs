//! `switchhook call`: one call against the configured webhook, with no PBX.

use std::fmt;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value};

use super::explain::json;
use super::ink::Ink;
use super::log::{self, LogFormat};
use super::play::{self, ANY_PORT, Daemon, PlayedPbx, Told, masked};
use super::transcript::Transcript;
use super::{ConfigFile, EXIT_USAGE, say};
use crate::app::StartError;
use crate::config::Config;
use crate::stage::{Entry, Presentation, Script};
use crate::terms::{CallResult, Code, Step, Webhook};

/// Prompts and typing take this much less time than they would. The web server takes its own.
const SPEED: u32 = 100;

/// Play one call against a configured webhook, with no PBX, and explain it
///
/// Asks your web server as a call would. No daemon has to run, and nothing is kept: a caller who is locked out in the
/// running daemon is not locked out here, and wrong codes do not add up. Prompts and typing are played 100 times faster
/// than life.
///
/// Exits with 0 if the call succeeded, 1 if it failed, 64 if this command line is wrong, 78 if the configuration is.
#[derive(Debug, clap::Args)]
pub(super) struct Call {
    /// The webhook's name
    name: String,
    /// The number that is called
    #[arg(long, value_name = "NUMBER", default_value = "100")]
    did: String,
    /// The caller's number; left out, the PBX knows none
    #[arg(long, value_name = "NUMBER")]
    callerid: Option<String>,
    /// The caller's name
    #[arg(long, value_name = "NAME")]
    callername: Option<String>,
    /// The caller withholds number and name
    #[arg(long)]
    withheld: bool,
    /// What the caller types, `#` included where he ends with it. Again for the next attempt; none: he types nothing
    #[arg(long = "code", value_name = "DIGITS")]
    codes: Vec<Keys>,
    /// The PBX that is played
    #[arg(long, value_name = "PBX", default_value = "asterisk")]
    pbx: PlayedPbx,
    /// JSON: one object
    ///
    /// Its keys are result, reason, status, http_status (a number or null), destination, callername, caller_number,
    /// presentation, variables, attempts and steps. Name, number and presentation are what the callee sees: `allowed`, or
    /// `prohibited` with both empty; FreeSWITCH itself lets name and number of a caller who withholds them through. The
    /// steps are the journal's.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Keys of a telephone. A secret: they do not print.
#[derive(Clone)]
struct Keys(String);

impl From<String> for Keys {
    fn from(keys: String) -> Keys {
        Keys(keys)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Code::MASK)
    }
}

impl Keys {
    /// The code that they are; `None` when there is something that is no key.
    fn code(&self) -> Option<Code> {
        Code::parse(self.0.split('#').next().unwrap_or_default())
            .filter(|_| self.0.bytes().all(|b| matches!(b, b'0'..=b'9' | b'*' | b'#' | b'A'..=b'D')))
    }
}

impl Call {
    pub(super) fn run(self) -> ExitCode {
        log::start(LogFormat::Human, "warn");
        let Some(codes) = self.codes.iter().map(Keys::code).collect::<Option<Vec<Code>>>() else {
            // The value is not repeated: it may be a code with one wrong letter in it.
            return usage(&format!(
                "--code takes the keys of a telephone: 0-9 * # A-D, at most {} of them",
                Code::MAX
            ));
        };
        let config = match self.config.read() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        let Some(webhook) = config.webhooks.get(self.name.as_str()).map(|plan| plan.webhook().clone()) else {
            return usage(&no_such_webhook(&self.name, &config));
        };
        let runtime = match super::runtime() {
            Ok(runtime) => runtime,
            Err(exit) => return exit,
        };
        let script = self.script(&webhook);
        // What is no secret is not masked.
        let secret = webhook.ivr.as_ref().is_none_or(|ivr| ivr.secret);
        let codes = if secret { codes } else { Vec::new() };
        match runtime.block_on(play_one(self.pbx, config, script)) {
            Ok(told) => {
                let text =
                    if self.json { json(&report(&told, &codes)) } else { story(self.pbx, &told, &codes) };
                say(&text);
                match told.result() {
                    CallResult::Success => ExitCode::SUCCESS,
                    CallResult::Failed => ExitCode::FAILURE,
                }
            }
            Err(error) => {
                eprintln!("switchhook: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn script(&self, webhook: &Webhook) -> Script {
        let known = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Script {
            unique_id: format!("{}.1", now.as_secs()),
            channel: self.pbx.channel("played", 1),
            number: known(&self.callerid),
            name: known(&self.callername),
            // As a trusted trunk says it with `Privacy: id`.
            presentation: match self.withheld {
                true => Presentation::ProhibNotScreened,
                false => Presentation::AllowedNotScreened,
            },
            dnid: Some(self.did.clone()),
            extension: self.did.clone(),
            entries: self.codes.iter().map(|keys| Entry::after(&keys.0)).collect(),
            ..play::script(self.pbx, webhook, SPEED)
        }
    }
}

fn usage(message: &str) -> ExitCode {
    eprintln!("error: {message}\n\nFor more information, try '--help'.");
    ExitCode::from(EXIT_USAGE)
}

fn no_such_webhook(name: &str, config: &Config) -> String {
    let names: Vec<&str> = config.webhooks.keys().map(|name| name.as_str()).collect();
    match names.as_slice() {
        [] => "the configuration has no webhook yet: add [webhook.NAME]".to_owned(),
        names => format!("the configuration has no webhook {name:?}; it has: {}", names.join(", ")),
    }
}

async fn play_one(pbx: PlayedPbx, config: Config, script: Script) -> Result<Told, StartError> {
    let mut daemon = Daemon::start(pbx, config, ANY_PORT, None)?;
    let told = daemon.play(script).await;
    daemon.stop().await;
    Ok(told)
}

/// For people.
fn story(pbx: PlayedPbx, told: &Told, codes: &[Code]) -> String {
    let ink = Ink::of(&std::io::stdout());
    let explained = match &told.journal {
        Some(journal) => Transcript::new(journal, ink).to_string(),
        None => format!(
            "FAILED (unreachable): the daemon could not read what {} said of the call, and left.\n",
            pbx.name()
        ),
    };
    let note = format!("Played with no PBX: prompts and typing ran {SPEED} times faster than life.");
    format!("{explained}{}\n\n{}\n", told.next_phone(codes), ink.dim(note))
}

/// For programs.
#[derive(Debug, Serialize)]
struct Report<'a> {
    result: CallResult,
    reason: &'a str,
    status: &'a str,
    http_status: Option<u16>,
    destination: &'a str,
    /// What the callee sees; empty when hidden.
    callername: String,
    caller_number: &'a str,
    presentation: &'static str,
    variables: Map<String, Value>,
    attempts: u32,
    steps: &'a [Step],
}

fn report<'a>(told: &'a Told, codes: &[Code]) -> Report<'a> {
    let journal = told.journal.as_ref();
    let (name, number) = told.shown().unwrap_or_default();
    let taken = told.variables();
    let value =
        |name: &str| taken.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value);
    Report {
        result: told.result(),
        reason: told.reason(),
        status: value("WEBHOOK_STATUS"),
        http_status: value("WEBHOOK_HTTP_STATUS").parse().ok(),
        destination: value("WEBHOOK_DESTINATION"),
        callername: masked(name, codes),
        caller_number: number,
        presentation: if told.is_private() { "prohibited" } else { "allowed" },
        variables: taken.iter().map(|(n, value)| (n.clone(), Value::from(*value))).collect(),
        attempts: journal.map_or(0, |j| j.attempts),
        steps: journal.map_or(&[], |j| &j.steps),
    }
}
