//! `switchhook demo` as a program.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{ChildStdout, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use switchhook::stage::asterisk::{self, Entry, Script};

use crate::program::{Running, command, normalised, run};

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("a folder").next().is_none()
}

#[test]
fn every_call_is_shown_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = run(&mut command(folder.path(), &["demo"]));
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{}", said.stdout);
    insta::assert_snapshot!("demo", normalised(&said.stdout));
    assert!(is_empty(folder.path()));
}

#[test]
fn served_calls_are_printed_and_kept_until_it_ends() {
    // Somebody has the port, this test or another program.
    let _taken = TcpListener::bind("127.0.0.1:4573");
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = command(folder.path(), &["demo", "--serve"]);
    let mut demo = Running(demo.stdout(Stdio::piped()).spawn().expect("a demo"));
    let mut lines = BufReader::new(demo.0.stdout.take().expect("its output")).lines();
    until(&mut lines, "127.0.0.1:4573 is taken");
    let address = until(&mut lines, "SWITCHHOOK = ");
    let address: SocketAddr = address.trim_start_matches("    SWITCHHOOK = ").parse().expect("an address");
    let store = until(&mut lines, "explain --list --store ");
    let store = store.rsplit_once(' ').expect("a path").1.to_owned();

    let sounds = ["agent-pass", "vm-incorrect", "vm-sorry"].map(|s| (s.to_owned(), Duration::ZERO));
    let script = Script {
        path: "webhook/vip".to_owned(),
        entries: vec![Entry::after("1234#")],
        sounds: sounds.into(),
        speed: 50,
        ..Script::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let played = runtime.block_on(asterisk::play(address, script));
    assert_eq!(played.variable("WEBHOOK_DESTINATION"), "215");
    until(&mut lines, "calls 100 on PJSIP/caller-0000000a.");
    until(&mut lines, "SUCCESS (ok)");
    let list = run(&mut command(folder.path(), &["explain", "--list", "--store", &store]));
    assert!(list.stdout.contains("vip") && list.code == Some(0), "{list:?}");

    assert_eq!(demo.end(Signal::INT), Some(0));
    assert!(is_empty(folder.path()));
}

/// The next line that holds a text.
fn until(lines: &mut Lines<BufReader<ChildStdout>>, text: &str) -> String {
    lines
        .map_while(Result::ok)
        .find(|line| line.contains(text))
        .unwrap_or_else(|| panic!("no line with {text}"))
}
