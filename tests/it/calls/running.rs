//! The program as a daemon: its own process, told by signals, heard by what it says.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use super::daemon::in_time;
use super::pbx::{Caller, Pbx, Seen};
use crate::program::{self, command};

/// A running `switchhook run`. It is killed when this is dropped.
pub(super) struct Running {
    child: Option<Child>,
    said: watch::Receiver<String>,
    pub(super) address: SocketAddr,
}

impl Running {
    /// In a folder, with this configuration and a listener on any free port; the store is the folder's.
    pub(super) async fn start(folder: &Path, text: &str) -> Running {
        configure(folder, text);
        Running::run(command(folder, &["run", "--config", "config.toml"])).await
    }

    /// Runs a command and waits until FastAGI listens.
    pub(super) async fn run(command: Command) -> Running {
        let mut running = Running::begin(command, "listening").await;
        let address = regex::Regex::new(r#"address"?[=:]"?([0-9.]+:[0-9]+)"#).expect("a pattern");
        let said = running.said();
        running.address = address.captures(&said).expect("an address")[1].parse().expect("an address");
        running
    }

    /// Runs a command and waits until it says something.
    pub(super) async fn begin(mut command: Command, says: &str) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
        let (tell, said) = watch::channel(String::new());
        let (out, err) = (child.stdout.take().expect("stdout"), child.stderr.take().expect("stderr"));
        listen_to(out, tell.clone());
        listen_to(err, tell);
        let running = Running { child: Some(child), said, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        running.says(says, 1).await;
        running
    }

    /// Everything that it said so far.
    pub(super) fn said(&self) -> String {
        self.said.borrow().clone()
    }

    /// Waits until it has said a text so many times.
    pub(super) async fn says(&self, text: &str, times: usize) {
        let mut said = self.said.clone();
        let heard = in_time(text, said.wait_for(|all| all.matches(text).count() >= times)).await.is_ok();
        assert!(heard, "it ended before it said {text:?}:\n{}", self.said());
    }

    pub(super) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("not ended");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("the process");
    }

    pub(super) async fn call(&self, caller: Caller) -> Seen {
        in_time("the call", Pbx::Asterisk.play(self.address, caller)).await
    }

    /// Waits for its end: the exit code, and everything that it said.
    pub(super) async fn end(mut self) -> (Option<i32>, String) {
        let mut child = self.child.take().expect("not ended");
        let waited = tokio::task::spawn_blocking(move || child.wait());
        let status = in_time("the end", waited).await.expect("a thread").expect("an exit code");
        // The senders go when both pipes are at their end.
        let mut said = self.said.clone();
        while said.changed().await.is_ok() {}
        (status.code(), self.said())
    }

    /// SIGTERM, and the end.
    pub(super) async fn stop(self) -> String {
        self.signal(Signal::TERM);
        let (code, said) = self.end().await;
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn listen_to(mut pipe: impl Read + Send + 'static, tell: watch::Sender<String>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = pipe.read(&mut buffer) {
            tell.send_modify(|said| said.push_str(&String::from_utf8_lossy(&buffer[..read])));
        }
    });
}

/// Writes the configuration.
pub(super) fn configure(folder: &Path, text: &str) {
    let listener = if text.contains("[fastagi]") { "" } else { "[fastagi]\nlisten = \"127.0.0.1:0\"\n" };
    fs::write(folder.join("config.toml"), format!("{listener}{text}")).expect("a file");
}

/// Runs a subcommand to its end. `run` must not be one that goes on.
pub(super) fn ended(folder: &Path, args: &[&str]) -> program::Said {
    program::run(&mut command(folder, args))
}

/// Waits until nobody listens there any more.
pub(super) async fn refused(address: SocketAddr) {
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(60), "still listening");
        tokio::task::yield_now().await;
    }
}
