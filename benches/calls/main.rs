//! What a call costs, beside the least that any server could do for it.
//!
//! ```text
//! cargo bench --bench calls
//! cargo bench --bench calls -- --calls 20000 --rounds 7
//! ```
//!
//! Three servers do the same job for calls that this process plays: the daemon with its store, the daemon while another
//! process holds its store, and `floor`, which does nothing but the job. They take turns, round by round, in one run: on a
//! shared machine a figure says little, but a ratio of neighbours does. What is printed are the medians of the rounds.
//!
//! The job: one connection; the environment that Asterisk sends; one GET to a web server that answers at once; seven
//! variables in one write. CPU seconds are the server's own. Calls a second and latencies include the player, which shares
//! the cores.

mod asterisk;
mod floor;
mod process;
mod web;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use process::Child;

/// Calls of one server in one round.
const CALLS: usize = 10_000;

/// Rounds.
const ROUNDS: usize = 5;

/// Calls at a time.
const SIDE_BY_SIDE: usize = 32;

/// Calls before those that count.
const WARM_UP: usize = 500;

fn main() -> ExitCode {
    if let Some(done) = process::run_role() {
        return done;
    }
    let Some((calls, rounds)) = arguments() else {
        eprintln!("usage: cargo bench --bench calls -- [--calls N] [--rounds N]");
        return ExitCode::from(64);
    };
    let folder = tempfile::tempdir().expect("a folder");
    let web = Child::role("web", None);
    let servers = [
        ("floor", Child::role("floor", Some(web.address))),
        ("switchhook", Child::daemon(&folder.path().join("free"), web.address)),
        ("switchhook, store held", Child::daemon(&folder.path().join("held"), web.address)),
    ];
    let held = hold(&folder.path().join("held"));
    println!("{calls} calls of each server in each of {rounds} rounds, {SIDE_BY_SIDE} at a time\n");
    let mut measured = vec![Vec::new(); servers.len()];
    for _ in 0..rounds {
        for ((_, server), rounds) in servers.iter().zip(&mut measured) {
            asterisk::play(server.address, WARM_UP, SIDE_BY_SIDE);
            rounds.push(Round::of(server, calls));
        }
    }
    drop(held);
    print(&servers.each_ref().map(|(name, _)| *name), &measured);
    ExitCode::SUCCESS
}

/// One server in one round.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// CPU seconds for 10,000 calls.
    cpu: f64,
    /// Calls a second.
    rate: f64,
    /// Microseconds from connect to close, of half of the calls and of all but one in a hundred.
    p50: f64,
    p99: f64,
}

impl Round {
    fn of(server: &Child, calls: usize) -> Round {
        let before = server.cpu();
        let begun = std::time::Instant::now();
        let mut took = asterisk::play(server.address, calls, SIDE_BY_SIDE);
        let seconds = begun.elapsed().as_secs_f64();
        let cpu = server.cpu() - before;
        took.sort_unstable();
        let at = |part: usize| f64::from(took[(took.len() - 1) * part / 100]);
        let calls = took.len() as f64;
        Round { cpu: cpu * 10_000.0 / calls, rate: calls / seconds, p50: at(50), p99: at(99) }
    }
}

/// Another process's exclusive lock on the daemon's store, for as long as it is kept.
fn hold(folder: &Path) -> rusqlite::Connection {
    let lock = rusqlite::Connection::open(folder.join("switchhook.db")).expect("the store");
    lock.busy_timeout(std::time::Duration::from_secs(10)).expect("a timeout");
    lock.execute_batch("BEGIN EXCLUSIVE; CREATE TABLE held (x)").expect("the lock");
    lock
}

fn print(names: &[&str], measured: &[Vec<Round>]) {
    println!("{:24} {:>13} {:>9} {:>9} {:>9}", "", "CPU s/10,000", "calls/s", "p50 µs", "p99 µs");
    for (name, rounds) in names.iter().zip(measured) {
        let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure));
        let (cpu, rate, p50, p99) = (of(|r| r.cpu), of(|r| r.rate), of(|r| r.p50), of(|r| r.p99));
        println!("{name:24} {cpu:13.2} {rate:9.0} {p50:9.0} {p99:9.0}");
    }
    println!();
    for (one, other) in [(1, 0), (2, 1)] {
        let of = |figure: fn(&Round) -> f64| {
            median(measured[one].iter().zip(&measured[other]).map(|(one, other)| figure(one) / figure(other)))
        };
        let (cpu, rate, p50, p99) = (of(|r| r.cpu), of(|r| r.rate), of(|r| r.p50), of(|r| r.p99));
        let name = format!("{} : {}", names[one], names[other]);
        println!("{name:36} CPU {cpu:.2}, calls/s {rate:.2}, p50 {p50:.2}, p99 {p99:.2}");
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// `cargo bench` adds `--bench` of its own.
fn arguments() -> Option<(usize, usize)> {
    let (mut calls, mut rounds) = (CALLS, ROUNDS);
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let value = words.next()?.parse().ok().filter(|n| *n > 0)?;
        match word.as_str() {
            "--calls" => calls = value,
            "--rounds" => rounds = value,
            _ => return None,
        }
    }
    Some((calls, rounds))
}

/// An address of this machine that nobody listens on.
fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port")
}
