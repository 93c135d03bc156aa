//! `switchhook explain`: what happened in a call, from the store.

use std::path::Path;
use std::process::ExitCode;

use jiff::tz::TimeZone;

use super::ink::Ink;
use super::place::Place;
use super::transcript::{Transcript, clean, date};
use crate::store::{NotFound, Reader, Summary};

/// Calls in a list when no number is given.
const LISTED: &str = "20";

/// Say what happened in a call, step by step
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Explain {
    /// `WEBHOOK_CALL`, the beginning of one, or `last`
    #[arg(required_unless_present = "list")]
    call: Option<String>,
    /// The newest calls as a table
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = LISTED, conflicts_with = "call")]
    list: Option<u32>,
    /// JSON: one object, or with --list an array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Explain {
    /// Prints what is asked for.
    pub(super) fn run(self) -> ExitCode {
        match self.place.find() {
            Ok((store, _)) => print(text(&self, &store)),
            Err(exit) => exit,
        }
    }
}

fn text(args: &Explain, store: &Path) -> Result<String, NotFound> {
    let reader = Reader::open(store)?;
    match (args.list, &args.call) {
        (Some(count), _) => {
            let calls = reader.newest(count)?;
            Ok(if args.json { json(&calls) } else { table(&calls, &TimeZone::system()) })
        }
        (None, call) => {
            let journal = reader.call(call.as_deref().unwrap_or("last"))?;
            Ok(if args.json {
                json(&journal)
            } else {
                Transcript::new(&journal, Ink::of(&std::io::stdout())).to_string()
            })
        }
    }
}

/// To stdout, or the error to stderr.
pub(super) fn print<E: std::error::Error>(text: Result<String, E>) -> ExitCode {
    match text {
        Ok(text) => {
            super::say(&text);
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("switchhook: {e}");
            ExitCode::FAILURE
        }
    }
}

pub(super) fn json(value: &impl serde::Serialize) -> String {
    // None of our types has a key that is no text, the one thing that could fail.
    serde_json::to_string_pretty(value).map_or_else(|e| e.to_string(), |text| text + "\n")
}

fn table(calls: &[Summary], zone: &TimeZone) -> String {
    let header = ["CALL", "STARTED", "WEBHOOK", "FROM", "TO", "RESULT", "REASON", "TOOK"].map(str::to_owned);
    let row = |call: &Summary| {
        let caller = if call.callerid.is_empty() { "withheld" } else { &call.callerid };
        let took = format!("{:.3} s", std::time::Duration::from_micros(call.took_us).as_secs_f64());
        [
            call.call.clone(),
            date(call.started, zone),
            clean(&call.webhook),
            clean(caller),
            clean(&call.did),
            call.result.to_string(),
            call.reason.to_string(),
            took,
        ]
    };
    columns(&std::iter::once(header).chain(calls.iter().map(row)).collect::<Vec<_>>())
}

/// Rows in columns as wide as their widest field.
pub(super) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let fields: Vec<String> = row.iter().zip(&widths).map(|(f, w)| format!("{f:w$}")).collect();
        text.push_str(fields.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::store::{Settings, Store};
    use crate::terms::{CallResult, Journal, Reason, Step, What};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Explain,
    }

    fn args(line: &[&str]) -> Result<Explain, clap::Error> {
        Line::try_parse_from([&["explain"], line].concat()).map(|l| l.args)
    }

    fn journal(call: &str, reason: Reason) -> Journal {
        Journal {
            call: call.to_owned(),
            started: 1_795_319_690_123,
            webhook: "vip".to_owned(),
            pbx: "asterisk".to_owned(),
            unique_id: "1795319690.20".to_owned(),
            linked_id: "1795319690.20".to_owned(),
            did: "0201234567".to_owned(),
            callerid: String::new(),
            result: CallResult::Failed,
            reason,
            attempts: 0,
            took_us: 1_500,
            steps: vec![Step::new(Duration::ZERO, What::Shutdown)],
        }
    }

    #[test]
    fn a_call_is_explained_from_the_store_by_its_beginning_or_as_the_last_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("switchhook.db");
        assert!(text(&args(&["last"]).expect("arguments"), &path).is_err());
        let settings = Settings { path: path.clone(), retention: Duration::from_secs(1 << 40) };
        let store = Store::open(settings, |_| {}).expect("a store");
        store.journal(journal("019aaa5e-2f10-7000-8000-000000000001", Reason::Dns));
        store.journal(journal("019aaa5e-2f20-7000-8000-000000000002", Reason::Tls));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        assert!(runtime.block_on(store.committed()));

        let said = |line: &[&str]| text(&args(line).expect("arguments"), &path).expect("a text");
        assert!(
            said(&["019aaa5e2f1"]).contains("FAILED (dns): the web server's name could not be resolved.")
        );
        assert!(said(&["last"]).contains("FAILED (tls)"));
        let read: Journal = serde_json::from_str(&said(&["last", "--json"])).expect("one object");
        assert_eq!(read.reason, Reason::Tls);
        let list = said(&["--list"]);
        let rows: Vec<&str> = list.lines().collect();
        assert_eq!(rows.len(), 3, "{list}");
        assert!(
            rows[1].starts_with("019aaa5e-2f20") && rows[1].contains("withheld  0201234567  FAILED  tls")
        );
        assert_eq!(said(&["--list", "1"]).lines().count(), 2);
        assert!(args(&[]).is_err() && args(&["last", "--list"]).is_err());
    }
}
