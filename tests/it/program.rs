//! The program itself, and a web server for it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};
use switchhook::stage::server::Server;
use tokio::runtime::{Builder, Runtime};

/// What the program said, and its exit code.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program in a folder of its own, where its temporary files go too.
pub(crate) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchhook"));
    command.args(args).current_dir(folder).env("TMPDIR", folder).stdin(Stdio::null());
    command.env_remove("SWITCHHOOK_LOG").env_remove("STATE_DIRECTORY");
    command
}

/// Runs it to its end.
pub(crate) fn run(command: &mut Command) -> Said {
    let output = command.output().expect("the program");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A program that goes on. It is killed when this is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Tells it to end, and waits until it has.
    pub(crate) fn end(&mut self, signal: Signal) -> Option<i32> {
        let pid = self.0.id().try_into().ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("a signal");
        self.0.wait().expect("an end").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless a test failed.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A folder with a web server's configuration in `config.toml`: `text` with its address in the place of `crm.test`.
pub(crate) struct Site {
    /// The server runs on it.
    _runtime: Runtime,
    _server: Server,
    pub(crate) folder: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new(text: &str) -> Site {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let server = runtime.block_on(Server::start(([127, 0, 0, 1], 0).into())).expect("a server");
        let folder = tempfile::tempdir().expect("a folder");
        let text = text.replace("crm.test", &server.address().to_string());
        fs::write(folder.path().join("config.toml"), text).expect("a file");
        Site { _runtime: runtime, _server: server, folder }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        command(self.folder.path(), args)
    }
}

/// Without what differs from run to run: ids, times, ports, and which worker had a connection open.
pub(crate) fn normalised(text: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            (r"Switchhook \d+\.\d+\.\d+", "Switchhook VERSION"),
            ("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "CALL"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE"),
            (r"127\.0\.0\.1:\d+", "ADDRESS"),
            (r"(?m)^ *\d+\.\d{3} s", "    TIME"),
            (r"\b\d+(\.\d+)? (µs|ms|s)\b", "SPAN"),
            (r"\b\d{10}\.\d+\b", "ID"),
            ("an open connection|a new connection", "a connection"),
        ];
        rules.map(|(pattern, text)| (Regex::new(pattern).expect("a pattern"), text)).into()
    });
    RULES.iter().fold(text.to_owned(), |text, (rule, by)| rule.replace_all(&text, *by).into_owned())
}
