//! kill -9 at random moments: nothing that was accepted is lost, nothing comes out of order, every event keeps its id.
//!
//! `SWITCHHOOK_KILLS=1000000 SWITCHHOOK_SEED=7 cargo test --release --test it delivery::kill -- --nocapture` is a long
//! run; without them it is 200 kills with one seed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::receiver::{Manner, Receiver, assert_in_order};
use super::{EVENTS, acceptance, event, open, plan, start, subscriptions};

/// Kills when nothing else is said.
const KILLS: u64 = 200;

/// Kills of one database; then everything is told and checked, and a new one begins.
const ROUND: u64 = 1_000;

/// Calls that a child accepts; then it only tells, until it is killed.
const CALLS: u32 = 12;

/// For a child to come to its first event.
const START: Duration = Duration::from_secs(60);

/// Events that wait for the disk at a time.
const IN_FLIGHT: usize = 8;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn killed_at_any_moment_it_loses_nothing_and_keeps_the_order() {
    let (kills, mut random) = (number("SWITCHHOOK_KILLS", KILLS), number("SWITCHHOOK_SEED", 4573));
    let (mut done, mut accepted, mut again, mut cut) = (0, 0, 0, 0);
    while done < kills {
        let round = ROUND.min(kills - done);
        let checked = run_round(done, round, &mut random);
        done += round;
        accepted += checked.accepted;
        again += checked.again;
        cut += checked.cut;
        println!("{done} kills, {accepted} accepted, 0 lost, {again} told twice, {cut} calls cut off");
    }
    // Otherwise nothing was shown.
    assert!(accepted as u64 > kills && cut > 0, "{accepted} accepted, {cut} cut off");
}

struct Checked {
    accepted: usize,
    again: usize,
    /// Calls that were being accepted when the child was killed.
    cut: usize,
}

fn run_round(first: u64, count: u64, random: &mut u64) -> Checked {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("switchhook.db");
    let receiver = Receiver::start(Manner::Moody);
    let mut acked: HashSet<(String, u32)> = HashSet::new();
    for run in first..first + count {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = Duration::from_micros(*random >> 33 & 0x1_FFFF);
        let mut child = child_process(&path, &receiver, run, CALLS);
        let said = BufReader::new(child.stdout.take().expect("its output"));
        let (began, begun) = mpsc::channel();
        let reading = std::thread::spawn(move || read_acked(said, &began));
        // Every second moment counts from the first event on the disk: on a slow machine the others hit the start alone.
        if run % 2 == 1 {
            begun.recv_timeout(START).expect("a child that accepts");
        }
        let end = Instant::now() + moment;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        child.kill().expect("killed");
        child.wait().expect("it is over");
        acked.extend(reading.join().expect("what it said"));
    }
    // Whoever is left tells the rest.
    let mut last = child_process(&path, &receiver, first + count, 0);
    let (mut missing, mut looked) = (acked.clone(), 0);
    let arrivals = receiver.wait(|arrivals| {
        for arrival in arrivals[looked..].iter().filter(|a| a.taken) {
            missing.remove(&(arrival.call.clone(), arrival.seq));
        }
        looked = arrivals.len();
        missing.is_empty()
    });
    last.kill().expect("killed");
    last.wait().expect("it is over");
    let mut events: HashMap<&str, u32> = HashMap::new();
    for (call, _) in &acked {
        *events.entry(call).or_default() += 1;
    }
    let cut = events.values().filter(|count| **count < EVENTS).count();
    Checked { accepted: acked.len(), again: assert_in_order(&arrivals), cut }
}

/// What was on the disk before the end.
fn read_acked(said: impl BufRead, began: &mpsc::Sender<()>) -> Vec<(String, u32)> {
    let lines = said.lines().map_while(Result::ok);
    let acked = lines.filter_map(|line| {
        // The last word shows that the line is whole.
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let at = words.iter().position(|word| word == "accepted")?;
        // Nobody may wait for it any more.
        began.send(()).ok();
        (words.get(at + 3)? == "whole").then(|| Some((words[at + 1].clone(), words[at + 2].parse().ok()?)))?
    });
    acked.collect()
}

fn child_process(path: &Path, receiver: &Receiver, run: u64, calls: u32) -> Child {
    Command::new(env::current_exe().expect("this program"))
        .args(["delivery::kill::child", "--exact", "--ignored", "--nocapture"])
        .env("SWITCHHOOK_CHILD_STORE", path)
        .env("SWITCHHOOK_CHILD_RECEIVER", receiver.address.to_string())
        .env("SWITCHHOOK_CHILD_RUN", run.to_string())
        .env("SWITCHHOOK_CHILD_CALLS", calls.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child")
}

/// Not a test of its own: the process that is killed.
#[test]
#[ignore = "the test above starts it"]
fn child() {
    let Ok(path) = env::var("SWITCHHOOK_CHILD_STORE") else { return };
    let address = env::var("SWITCHHOOK_CHILD_RECEIVER").expect("an address");
    let (run, calls) = (number("SWITCHHOOK_CHILD_RUN", 0), number("SWITCHHOOK_CHILD_CALLS", 0));
    let told = subscriptions([plan("crm", &address, vec![Duration::from_millis(5); 20])]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let store = open(Path::new(&path));
    let _delivery = start(&store, told.clone());
    runtime.block_on(async {
        let mut waiting = VecDeque::new();
        let say = async |(call, seq, on_disk): (String, u32, switchhook::store::OnDisk)| {
            assert!(on_disk.wait().await);
            let line = format!("accepted {call} {seq} whole\n");
            std::io::stdout().write_all(line.as_bytes()).expect("somebody listens");
        };
        for n in 0..u32::try_from(calls).expect("a number") * EVENTS {
            let (call, seq) = (format!("{run}-{}", n / EVENTS), n % EVENTS + 1);
            let on_disk = store.accept(acceptance(&told, event(&call, seq))).expect("room");
            waiting.push_back((call, seq, on_disk));
            if waiting.len() == IN_FLIGHT {
                say(waiting.pop_front().expect("one")).await;
            }
        }
        for accepted in waiting.drain(..) {
            say(accepted).await;
        }
        std::future::pending::<()>().await;
    });
}
