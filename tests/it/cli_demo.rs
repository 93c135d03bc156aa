//! `switchhook demo` as a program.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use switchhook::stage::{Entry, Script, asterisk};

use crate::program::{command, normalised, run};

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("a folder").next().is_none()
}

#[test]
fn every_call_is_shown_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = run(&mut command(folder.path(), &["demo"]));
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{}", said.stdout);
    insta::assert_snapshot!("demo", normalised(&said.stdout));
    let said = run(&mut command(folder.path(), &["demo", "--pbx", "freeswitch"]));
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{}", said.stdout);
    insta::assert_snapshot!("demo_freeswitch", normalised(&said.stdout));
    assert!(is_empty(folder.path()));
}

#[test]
fn served_calls_are_printed_and_kept_until_it_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child =
        command(folder.path(), &["demo", "--serve"]).stdout(Stdio::piped()).spawn().expect("a demo");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let listens = until(&mut lines, "FastAGI listens on ");
    let address = listens.rsplit_once(' ').expect("an address").1.trim_end_matches('.');
    let address: SocketAddr = address.parse().expect("an address");
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

    kill_process(pid(&child), Signal::INT).expect("a signal");
    assert_eq!(child.wait().expect("an end").code(), Some(0));
    assert!(is_empty(folder.path()));
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().expect("a small number")).expect("not 0")
}

/// The next line that holds a text.
fn until(lines: &mut Lines<BufReader<ChildStdout>>, text: &str) -> String {
    lines
        .map_while(Result::ok)
        .find(|line| line.contains(text))
        .unwrap_or_else(|| panic!("no line with {text}"))
}
