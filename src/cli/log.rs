//! Log lines on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `SWITCHHOOK_LOG` sets what is told, such as `debug` or `switchhook::io=debug`; else it is `level`.
pub(super) fn start(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_env("SWITCHHOOK_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Human => {
            let ansi = std::io::stderr().is_terminal();
            lines.with_target(false).with_ansi(ansi).try_init()
        }
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    };
    if let Err(error) = started {
        eprintln!("switchhook: no log: {error}");
    }
}
