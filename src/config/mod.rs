//! The configuration file: one table of keys, a reader that reports every problem at once.
//!
//! [`table`] names every key. `reader` takes them out of the parsed file and goes on after a mistake; `webhook`, `ivr`
//! and `url` turn texts into [`crate::terms`]; `problem` draws what is wrong. A file with a mistake gives no
//! configuration at all. No message repeats a value: it may be a secret; the drawn line has them masked.

mod duration;
mod ivr;
mod link;
mod nearest;
mod problem;
mod reader;
mod sections;
mod subscription;
mod syntax;
pub mod table;
mod text;
mod url;
mod warnings;
mod webhook;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeTable;

pub use duration::{duration_text, parse_duration};
pub use problem::{Problem, Problems};

use self::problem::{Found, Source};
use self::reader::Reader;
use crate::terms::{Numbers, Pbx, Secret, WebhookName};
use crate::webhook::{EventPlan, Plan};

/// Bytes of the file, at most: a thousand webhooks are a tenth of it.
const MAX_FILE: usize = 4 * 1024 * 1024;

/// The configuration, all of it right.
#[derive(Clone, Debug)]
pub struct Config {
    /// The FastAGI listener; `None`: not opened.
    pub fastagi: Option<Listener>,
    /// The listener for FreeSWITCH's outbound socket; `None`: not opened.
    pub esl: Option<Listener>,
    /// Where health and metrics are shown; `None`: nowhere.
    pub admin: Option<SocketAddr>,
    /// The store.
    pub store: Store,
    /// How numbers are written here.
    pub numbers: Arc<Numbers>,
    /// Which addresses webhooks may reach.
    pub egress: Egress,
    /// The webhooks by name, ready to be asked.
    pub webhooks: BTreeMap<WebhookName, Arc<Plan>>,
    /// The Asterisks whose calls are followed, each with a name of its own.
    pub asterisk: Vec<AmiLink>,
    /// The FreeSWITCHes whose calls are followed. None has the name of an Asterisk.
    pub freeswitch: Vec<EslLink>,
    /// `false`: no subscription is told anything.
    pub subscriptions_enabled: bool,
    /// The subscriptions by name, ready to be told; the ones that are switched off too.
    pub subscriptions: BTreeMap<WebhookName, Arc<EventPlan>>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Problem>,
}

/// Sections `[fastagi]` and `[esl]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who may connect.
    pub allow: Vec<IpNet>,
    /// Calls at a time, at most.
    pub max_calls: usize,
}

/// Section `[asterisk.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmiLink {
    /// Its name: `{pbx}`.
    pub name: WebhookName,
    /// Host name or IP address, `:` and port, as a connection takes it.
    pub address: String,
    /// The account.
    pub username: String,
    /// Its secret.
    pub secret: Secret,
    /// Patterns of the channels that lead outside.
    pub trunks: Vec<String>,
}

/// Section `[freeswitch.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EslLink {
    /// Its name: `{pbx}`.
    pub name: WebhookName,
    /// Host name or IP address, `:` and port, as a connection takes it.
    pub address: String,
    /// `name@domain`; `None`: the password alone.
    pub user: Option<String>,
    /// The password.
    pub password: Secret,
    /// Patterns of the channels that lead outside.
    pub trunks: Vec<String>,
}

/// Section `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The database file. A relative path is relative to where the program was started.
    pub path: PathBuf,
    /// How long a call's journal is kept.
    pub retention: Duration,
}

/// Section `[egress]`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Egress {
    /// Refused as well as what is always refused.
    pub deny: Vec<IpNet>,
    /// Not empty: only these may be reached.
    pub allow: Vec<IpNet>,
}

/// Reads a file. `env` looks up an environment variable.
pub fn read(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Problems> {
    let folder = path.parent().unwrap_or(Path::new("."));
    match std::fs::read(path) {
        Ok(bytes) => parse(&path.display().to_string(), folder, &bytes, env),
        Err(e) => Err(unreadable(path, &e)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Problems {
    let (why, help) = match error.kind() {
        io::ErrorKind::NotFound => (
            "there is no such file",
            "name another one with --config FILE; config.example.toml is one to begin with",
        ),
        io::ErrorKind::IsADirectory => {
            ("it is a directory", "name the file in it: --config DIRECTORY/config.toml")
        }
        io::ErrorKind::PermissionDenied => (
            "permission denied",
            "the user that runs switchhook must be able to read it: see ls -l, chgrp, chmod g+r",
        ),
        _ => ("reading it failed", "see the message of the system"),
    };
    let message = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::IsADirectory | io::ErrorKind::PermissionDenied => {
            format!("{} cannot be read: {why}", path.display())
        }
        _ => format!("{} cannot be read: {error}", path.display()),
    };
    let found = Found { warning: false, span: None, message, help: Some(help.to_owned()) };
    problems(vec![found], Source::new(path.display().to_string(), "", &[]))
}

fn problems(found: Vec<Found>, source: Source) -> Problems {
    let source = Arc::new(source);
    Problems::new(found.into_iter().map(|f| Problem::new(f, source.clone())).collect())
}

/// Reads the bytes of a file. `name` is how it is called in messages; `folder` is what `KEY_file` is relative to.
pub fn parse(
    name: &str,
    folder: &Path,
    bytes: &[u8],
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Problems> {
    let source = |text: &str, secrets: &[Range<usize>]| Source::new(name.to_owned(), text, secrets);
    if bytes.len() > MAX_FILE {
        let message = format!("{name} is larger than {} MiB", MAX_FILE >> 20);
        let found = Found { warning: false, span: None, message, help: None };
        return Err(problems(vec![found], source("", &[])));
    }
    let text = match str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(e) => {
            let (text, found) = syntax::not_utf8(bytes, &e);
            let secrets = syntax::likely_secrets(&text);
            return Err(problems(vec![found], source(&text, &secrets)));
        }
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let found = syntax::errors(text, &errors);
        return Err(problems(found, source(text, &syntax::likely_secrets(text))));
    }
    let reader = Reader::new(text, env, folder);
    let config = sections::read(&reader, document.get_ref());
    let (found, secrets) = reader.into_found();
    let (warnings, errors): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|f| f.warning);
    let source = source(text, &secrets);
    match config {
        Some(config) if errors.is_empty() => {
            let source = Arc::new(source);
            let warnings = warnings.into_iter().map(|f| Problem::new(f, source.clone())).collect();
            Ok(Config { warnings, ..config })
        }
        // A part is missing only where an error was reported.
        _ => Err(problems(errors, source)),
    }
}

impl Config {
    /// The listener for a PBX.
    pub fn listener(&self, pbx: Pbx) -> Option<&Listener> {
        match pbx {
            Pbx::Asterisk => self.fastagi.as_ref(),
            Pbx::FreeSwitch => self.esl.as_ref(),
        }
    }

    /// Whether a daemon would have anything to do: somebody asks, or some PBX is followed.
    pub fn has_work(&self) -> bool {
        let listens = Pbx::ALL.iter().any(|pbx| self.listener(*pbx).is_some());
        listens || !self.asterisk.is_empty() || !self.freeswitch.is_empty()
    }

    /// The keys that are another in a newer configuration and that a reload does not apply: they need a restart.
    pub fn needs_restart(&self, newer: &Config) -> Vec<&'static str> {
        let listen = |config: &Config, pbx| config.listener(pbx).map(|l| l.listen);
        let moved = |pbx| listen(self, pbx) != listen(newer, pbx);
        let changed = [
            ("fastagi.listen", moved(Pbx::Asterisk)),
            ("esl.listen", moved(Pbx::FreeSwitch)),
            ("admin.listen", self.admin != newer.admin),
            ("store.url", self.store.path != newer.store.path),
            ("store.retention", self.store.retention != newer.store.retention),
        ];
        changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
    }
}
