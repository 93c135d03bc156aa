//! The command line: one file per subcommand.
//!
//! A subcommand has a struct of its arguments with `fn run(self) -> ExitCode`. A new one is a file, a variant of
//! `Command` and a line in [`main`].

mod call;
mod check;
mod deliveries;
mod demo;
mod explain;
mod healthcheck;
mod ink;
mod lint;
mod lockout;
mod log;
mod place;
mod play;
mod run;
mod subscription;
mod transcript;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config, Problems};

/// Where packages put the configuration.
const DEFAULT_CONFIG: &str = "/etc/switchhook/config.toml";

/// Exit code: the command line is wrong (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;

/// Exit code: the configuration is wrong (`EX_CONFIG` of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;

/// Routing webhooks for your own Asterisk: the dialplan asks, your web server decides.
#[derive(Debug, Parser)]
#[command(name = "switchhook", version, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Demo(demo::Demo),
    Call(call::Call),
    Explain(explain::Explain),
    Lint(lint::Lint),
    Lockout(lockout::Lockout),
    Healthcheck(healthcheck::Healthcheck),
    Deliveries(deliveries::Deliveries),
    Subscription(subscription::Subscription),
}

/// Where the configuration is.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(long = "config", value_name = "FILE", default_value = DEFAULT_CONFIG)]
    path: PathBuf,
}

impl ConfigFile {
    /// Reads it. What is wrong with it is printed, all of it; the exit code is for the caller to return.
    fn read(&self) -> Result<Config, ExitCode> {
        self.load().map_err(|problems| {
            eprintln!("{}", problems.draw(colour(&std::io::stderr())));
            ExitCode::from(EXIT_CONFIG)
        })
    }

    fn load(&self) -> Result<Config, Problems> {
        config::read(&self.path, &|name| std::env::var(name).ok())
    }
}

/// To stdout. Who closes the pipe early has seen enough.
fn say(text: &str) {
    std::io::stdout().lock().write_all(text.as_bytes()).ok();
}

/// A runtime for a command; calls have threads of their own. Where there is none the exit code is for the caller to return.
fn runtime() -> Result<tokio::runtime::Runtime, ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        eprintln!("switchhook: cannot start: {error}");
        ExitCode::FAILURE
    })
}

/// Whether what is written there may be coloured: a terminal, and its user did not say no (`NO_COLOR`).
fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Runs the program with its arguments, the program's own name first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command_line = match CommandLine::try_parse_from(args) {
        Ok(command_line) => command_line,
        Err(e) => {
            // There is nobody to tell when the terminal is gone.
            drop(e.print());
            return if e.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match command_line.command {
        Command::Run(run) => run.run(),
        Command::Check(check) => check.run(),
        Command::Demo(demo) => demo.run(),
        Command::Call(call) => call.run(),
        Command::Explain(explain) => explain.run(),
        Command::Lint(lint) => lint.run(),
        Command::Lockout(lockout) => lockout.run(),
        Command::Healthcheck(healthcheck) => healthcheck.run(),
        Command::Deliveries(deliveries) => deliveries.run(),
        Command::Subscription(subscription) => subscription.run(),
    }
}
