//! The processes that are measured: each server is one of its own, so that its CPU time is.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use super::{floor, free_address, web};

/// Says which server a process of this program is.
const ROLE: &str = "BENCH_ROLE";

/// How long a server may need to listen.
const START: Duration = Duration::from_secs(20);

/// A server; it ends with this.
pub(super) struct Child {
    process: std::process::Child,
    pub(super) address: SocketAddr,
}

/// Where this process is a server: runs it, for ever.
pub(super) fn run_role() -> Option<ExitCode> {
    let role = std::env::var(ROLE).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let to = std::env::args().nth(1);
    tokio::task::LocalSet::new().block_on(&runtime, async {
        match (role.as_str(), to) {
            ("floor", Some(to)) => floor::serve(to.parse().expect("an address")).await,
            _ => web::serve().await,
        }
    });
    Some(ExitCode::FAILURE)
}

impl Child {
    /// This program in another role; it prints where it listens.
    pub(super) fn role(role: &str, to: Option<SocketAddr>) -> Child {
        let program = std::env::current_exe().expect("this program");
        let mut process = Command::new(program)
            .args(to.map(|to| to.to_string()))
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut line = String::new();
        let out = process.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("a line");
        Child { process, address: line.trim().parse().expect("an address") }
    }

    /// The daemon, with a store in this folder.
    pub(super) fn daemon(folder: &Path, web: SocketAddr) -> Child {
        std::fs::create_dir(folder).expect("a folder");
        let address = free_address();
        let config = format!(
            "[fastagi]\nlisten = \"{address}\"\n[store]\nurl = \"sqlite://{}\"\n[webhook.bench]\n\
             url = \"http://{web}/route?caller={{callerid}}&called={{did}}&id={{calluniqueid}}\"\n",
            folder.join("switchhook.db").display()
        );
        let file = folder.join("config.toml");
        std::fs::write(&file, config).expect("a configuration");
        let log = std::fs::File::create(folder.join("log")).expect("a log");
        let process = Command::new(env!("CARGO_BIN_EXE_switchhook"))
            .args(["run", "--config"])
            .arg(file)
            .stderr(log)
            .spawn()
            .expect("the daemon");
        let child = Child { process, address };
        let until = Instant::now() + START;
        while TcpStream::connect(address).is_err() || !folder.join("switchhook.db").exists() {
            assert!(Instant::now() < until, "the daemon does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        child
    }

    /// Seconds that it has computed.
    pub(super) fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("a process");
        // Behind the name in brackets: utime and stime are the 12th and 13th, in hundredths (proc(5), USER_HZ).
        let fields: Vec<&str> = stat[stat.rfind(')').expect("a name") + 1..].split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
        (ticks(11) + ticks(12)) / 100.0
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
