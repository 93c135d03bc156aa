//! A code that a caller types comes out nowhere: not in what the program prints, not in its most talkative log.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::Duration;

use regex::Regex;
use rustix::process::Signal;
use switchhook::stage::asterisk::{self, Entry, Script};

use crate::program::{Running, Site, run};

/// A code that no number, id or time holds by chance, and a wrong one.
const CODES: [&str; 2] = ["73*0191648", "5502877319"];

/// A web server that sends the code back in destination and name; the dialplan gets it in a variable as well.
const CONFIG: &str = r#"
[fastagi]
listen = "127.0.0.1:0"

[webhook.echo]
url = "http://crm.test/destination/{code}&callername=for%20{code}?code={code}&did={did}"
variables = { destination = "CRM_ECHO" }
[webhook.echo.ivr]
max_digits = 10
attempts = 2
[webhook.echo.caller_name]
mode = "webhook"
[webhook.echo.destination]
allow = [".*"]

[webhook.posted]
url = "http://crm.test/route"
method = "POST"
[webhook.posted.ivr]
max_digits = 10
attempts = 2

[webhook.slowly]
url = "http://crm.test/route?code={code}"
[webhook.slowly.ivr]
max_digits = 10
digit_timeout = "2s"
attempts = 2
"#;

fn assert_silent(what: &str, text: &str) {
    assert!(!text.is_empty(), "{what}: nothing was said");
    for code in CODES {
        for spelled in [code.to_owned(), code.replace('*', "%2A"), code.replace('*', "%2a")] {
            assert!(!text.contains(&spelled), "{what}: a code came out\n{text}");
        }
    }
}

#[test]
fn call_tells_no_code() {
    let site = Site::new(CONFIG);
    for name in ["echo", "posted", "slowly"] {
        for json in [&["--json"][..], &[]] {
            let args = ["call", name, "--config", "config.toml", "--code", CODES[1], "--code", CODES[0]];
            let said = run(site.command(&[&args[..], json].concat()).env("SWITCHHOOK_LOG", "trace"));
            assert!(said.stderr.contains("INFO call"), "no log: {}", said.stderr);
            assert_silent(name, &said.stdout);
            assert_silent(name, &said.stderr);
        }
    }
}

/// Its codes are short: only where one stands alone it is one.
#[test]
fn demo_tells_no_code() {
    let site = Site::new("");
    let said = run(site.command(&["demo"]).env("SWITCHHOOK_LOG", "trace"));
    assert!(said.stderr.contains("INFO call"), "no log: {}", said.stderr);
    let code = Regex::new(r"(?m)(^|[^0-9A-Za-z.])(1234|9876)([^0-9A-Za-z.]|$)").expect("a pattern");
    for text in [&said.stdout, &said.stderr] {
        assert!(!code.is_match(text), "{text}");
    }
}

#[test]
fn run_and_explain_tell_no_code() {
    let site = Site::new(CONFIG);
    let mut daemon = site.command(&["run", "--config", "config.toml"]);
    let daemon = daemon.env("SWITCHHOOK_LOG", "trace").stderr(Stdio::piped());
    let mut daemon = Running(daemon.spawn().expect("a daemon"));
    let mut log = BufReader::new(daemon.0.stderr.take().expect("its log"));
    let mut said = String::new();
    let listening = Regex::new(r"listening address=(\S+)").expect("a pattern");
    let address = loop {
        assert!(log.read_line(&mut said).expect("a line") > 0, "it ended: {said}");
        if let Some(found) = listening.captures(&said) {
            break found[1].parse().expect("an address");
        }
    };
    let rest = std::thread::spawn(move || {
        let mut rest = String::new();
        log.read_to_string(&mut rest).expect("text");
        rest
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for name in ["echo", "posted", "slowly"] {
        let script = Script {
            path: format!("webhook/{name}"),
            entries: [CODES[1], CODES[0]].map(Entry::after).into(),
            sounds: [(String::new(), Duration::ZERO)].into(),
            speed: 100,
            ..Script::default()
        };
        let played = runtime.block_on(asterisk::play(address, script));
        assert_ne!(played.variable("WEBHOOK_RESULT"), "", "{name}");
    }
    assert_eq!(daemon.end(Signal::TERM), Some(0));
    said.push_str(&rest.join().expect("the log"));
    assert_silent("run", &said);

    let list = run(&mut site.command(&["explain", "--list", "--json", "--store", "switchhook.db"]));
    let calls: Vec<serde_json::Value> = serde_json::from_str(&list.stdout).expect("an array");
    assert_eq!(calls.len(), 3);
    for call in calls {
        let call = call["call"].as_str().expect("an id");
        for json in [&["--json"][..], &[]] {
            let args = [&["explain", call, "--store", "switchhook.db"], json].concat();
            let said = run(&mut site.command(&args));
            assert!(said.stdout.contains("****"), "{}", said.stdout);
            assert_silent("explain", &said.stdout);
        }
    }
}
