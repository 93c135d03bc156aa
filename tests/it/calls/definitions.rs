//! Subscriptions in the store: put there and taken out while the program runs.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use regex::Regex;
use rustix::process::Signal;
use serde_json::Value;

use super::running::{Running, configure, ended};
use super::web::{Act, Saw, Web, ok, with};
use crate::program::{Said, command, normalised};

/// `switchhook subscription …`, with this on its standard input.
async fn subscription(folder: &Path, args: &[&str], text: &str) -> Said {
    by("root", folder, &[&["subscription"], args].concat(), text).await
}

/// A command that somebody gives.
async fn by(person: &str, folder: &Path, args: &[&str], text: &str) -> Said {
    let mut command = command(folder, &[args, &["--config", "config.toml"]].concat());
    command.env("SUDO_USER", person);
    let text = text.to_owned();
    // The web server runs on this thread.
    let said = tokio::task::spawn_blocking(move || {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the program");
        child.stdin.take().expect("stdin").write_all(text.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("an end");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    });
    said.await.expect("a thread")
}

fn crm(web: &Web, path: &str) -> String {
    format!("[subscription.crm]\nevents = [\"ringing\"]\nurl = \"{}\"\n", web.url(path))
}

#[tokio::test]
async fn what_is_put_into_the_store_is_told_until_it_is_taken_out_and_the_file_wins() {
    let folder = tempfile::tempdir().expect("a folder");
    let web = Web::answering(vec![Act::Send(ok(""))]).await;
    let daemon = Running::start(folder.path(), "").await;
    daemon.says("the store is open", 1).await;
    let said = async |args: &[&str], text: &str| {
        let said = subscription(folder.path(), args, text).await;
        assert_eq!(said.code, Some(0), "{args:?} {said:?}");
        said
    };
    let tested = async |path: &str| {
        let told = said(&["test", "crm"], "").await;
        assert!(told.stdout.starts_with("crm was told: ok (HTTP 200)"), "{told:?}");
        assert_eq!(web.asked().last(), Some(&format!("GET {path}")));
    };
    assert!(said(&["put"], &crm(&web, "/first")).await.stdout.starts_with("crm: created."));
    tested("/first").await;
    let put = said(&["put", "-"], &crm(&web, "/second")).await;
    assert!(put.stdout.starts_with("crm: changed."), "{put:?}");
    daemon.says("took the store's subscriptions", 2).await;
    tested("/second").await;
    // All or nothing.
    let text = format!("{}[subscription.b]\nevents = []\n", crm(&web, "/third"));
    let wrong = subscription(folder.path(), &["put"], &text).await;
    assert_eq!(wrong.code, Some(78), "{wrong:?}");
    assert!(wrong.stderr.contains("stdin:4:1") && wrong.stderr.contains("has no url"), "{wrong:?}");
    assert!(said(&["put"], &crm(&web, "/second")).await.stdout.starts_with("crm: unchanged."));
    let paused = said(&["pause", "crm"], "").await;
    assert_eq!(paused.stdout, "crm is paused.\n");
    assert!(said(&["list"], "").await.stdout.contains("crm   store  paused (person)"));
    said(&["resume", "crm"], "").await;

    // The file has one of this name: that one is told.
    configure(folder.path(), &crm(&web, "/of-the-file"));
    daemon.signal(Signal::HUP);
    daemon.says("that one is hidden by the file", 1).await;
    tested("/of-the-file").await;
    let list = said(&["list"], "").await.stdout;
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1][..3], ["crm", "file", "on"], "{list}");
    assert_eq!(rows[2][..6], ["crm", "store", "hidden", "by", "the", "file"], "{list}");
    let put = said(&["put"], &crm(&web, "/hidden")).await;
    assert!(put.stderr.contains("crm is hidden by the file"), "{put:?}");

    // Taken out of the file, it is the store's again; over a restart too.
    configure(folder.path(), "");
    daemon.stop().await;
    let daemon = Running::start(folder.path(), "").await;
    tested("/hidden").await;
    let shown = said(&["show", "crm"], "").await.stdout;
    assert!(
        shown.starts_with("# From the store; last changed 20") && shown.contains("/hidden\"\n"),
        "{shown}"
    );
    let removed = said(&["remove", "crm"], "").await;
    assert!(removed.stdout.starts_with("crm was removed."), "{removed:?}");
    let log = ended(folder.path(), &["deliveries", "list", "--config", "config.toml", "--json"]).stdout;
    assert_eq!(log.matches("\"delivered\"").count(), 4, "{log}");
    for args in [&["remove", "crm"][..], &["show", "crm"], &["test", "crm"]] {
        let unknown = subscription(folder.path(), args, "").await;
        assert_eq!(unknown.code, Some(1), "{unknown:?}");
        assert!(unknown.stderr.contains("there is no subscription \"crm\""), "{unknown:?}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_in_the_file_is_changed_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let web = Web::answering(vec![Act::Send(ok(""))]).await;
    let daemon = Running::start(folder.path(), &crm(&web, "/")).await;
    daemon.says("the store is open", 1).await;
    for args in [&["remove", "crm"], &["show", "crm"]] {
        let refused = subscription(folder.path(), args, "").await;
        assert!(
            refused.stderr.contains("crm is not in the store but in the configuration file"),
            "{refused:?}"
        );
    }
    let unknown = ended(folder.path(), &["subscription", "remove", "crm", "--store", "switchhook.db"]);
    assert!(unknown.stderr.contains("there is no subscription \"crm\" in the store"), "{unknown:?}");
    fs::write(folder.path().join("none.toml"), "[subscription]\n").expect("a file");
    let empty = subscription(folder.path(), &["put", "none.toml"], "").await;
    assert_eq!((empty.code, empty.stderr.contains("there is no definition")), (Some(78), true), "{empty:?}");
    fs::remove_file(folder.path().join("none.toml")).expect("the file");
    let missing = subscription(folder.path(), &["put", "none.toml"], "").await;
    assert_eq!(
        (missing.code, missing.stderr.contains("none.toml cannot be read")),
        (Some(1), true),
        "{missing:?}"
    );
    daemon.stop().await;
}

/// The changes that were told there: who did what to what.
fn told(web: &Web, path: &str) -> Vec<String> {
    let start = format!("POST {path} ");
    let changes = web.asked().into_iter().filter_map(|asked| asked.strip_prefix(&start).map(str::to_owned));
    let words = |body: String| {
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body["event"], "user", "{body}");
        let word = |key: &str| body[key].as_str().expect("a text").to_owned();
        ["actor", "action", "object", "object_name"].map(word).join(" ")
    };
    changes.map(words).collect()
}

#[tokio::test]
async fn what_people_change_is_told_once_to_who_subscribed() {
    let folder = tempfile::tempdir().expect("a folder");
    let web = Web::answering(vec![Act::Send(ok(""))]).await;
    let audit = |name: &str, more: &str| {
        let url = web.url(&format!("/{name}"));
        format!("[subscription.{name}]\nevents = [\"user\"]\nmethod = \"POST\"\nurl = \"{url}\"\n{more}\n")
    };
    let file = audit("audit", "") + &audit("bob", "restrict.people = [\"bob\"]");
    let daemon = Running::start(folder.path(), &file).await;
    daemon.says("the store is open", 1).await;
    daemon.stop().await;

    // Changed while no daemon runs: told at the next start.
    let said = async |person: &str, args: &[&str], text: &str| {
        let said = by(person, folder.path(), args, text).await;
        assert_eq!(said.code, Some(0), "{args:?} {said:?}");
    };
    let mut wanted: Vec<&str> = Vec::new();
    said("anna", &["subscription", "put"], &crm(&web, "/crm")).await;
    said("anna", &["subscription", "put"], &crm(&web, "/crm")).await;
    let daemon = Running::start(folder.path(), &file).await;
    let mut is_told = async |more: &[&'static str]| {
        wanted.extend(more);
        web.until(
            wanted.len(),
            |saw| matches!(saw, Saw::Asked(_, asked) if asked.starts_with("POST /audit ")),
        )
        .await;
        // Those of one moment are told side by side.
        let (mut told, mut wanted) = (told(&web, "/audit"), wanted.clone());
        told.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(told, wanted);
    };
    is_told(&["anna created subscription crm"]).await;
    said("bob", &["subscription", "put"], &crm(&web, "/other")).await;
    is_told(&["bob changed subscription crm"]).await;
    said("anna", &["subscription", "pause", "crm"], "").await;
    said("anna", &["subscription", "pause", "crm"], "").await;
    said("anna", &["subscription", "resume", "crm"], "").await;
    is_told(&["anna paused subscription crm", "anna enabled subscription crm"]).await;
    said("anna", &["subscription", "test", "crm"], "").await;
    said("anna", &["deliveries", "retry", "--subscription", "crm", "--status", "delivered"], "").await;
    is_told(&["anna replayed deliveries crm"]).await;
    said("anna", &["lockout", "clear"], "").await;
    is_told(&["anna deleted lockout all"]).await;
    said("anna", &["subscription", "remove", "crm"], "").await;
    is_told(&["anna deleted subscription crm"]).await;

    // The file.
    let link = "[asterisk.main]\nami = \"127.0.0.1:1\"\nsecret = \"a\"\n";
    let hook = |more: &str| format!("[webhook.vip]\nurl = \"http://127.0.0.1:1/\"\n{more}\n");
    let reload = |text: &str| {
        configure(folder.path(), text);
        daemon.signal(Signal::HUP);
    };
    reload(&format!("{file}{link}{}", hook("")));
    is_told(&["file created webhook vip", "file created link main"]).await;
    let text = format!("{file}{}{}", link.replace("\"a\"", "\"b\""), hook("enabled = false"));
    reload(&text);
    is_told(&["file paused webhook vip", "file changed link main"]).await;
    reload(&format!("{file}{}", hook("timeout = \"3s\"")));
    is_told(&["file changed webhook vip", "file enabled webhook vip", "file deleted link main"]).await;
    reload(&audit("audit", ""));
    is_told(&["file deleted webhook vip", "file deleted subscription bob"]).await;
    assert_eq!(told(&web, "/bob"), ["bob changed subscription crm"]);
    daemon.stop().await;

    // Nothing is told again.
    let daemon = Running::start(folder.path(), &audit("audit", "")).await;
    said("carl", &["lockout", "clear", "--webhook", "vip"], "").await;
    is_told(&["carl deleted lockout vip"]).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_pauses_its_subscription_with_an_alarm() {
    let folder = tempfile::tempdir().expect("a folder");
    let gone = Web::answering(vec![Act::Send(with("410 Gone", "", ""))]).await;
    let daemon = Running::start(folder.path(), &crm(&gone, "/")).await;
    daemon.says("the store is open", 1).await;
    let tested = subscription(folder.path(), &["test", "crm"], "").await;
    assert!(tested.stdout.starts_with("crm did not take it: http_status (HTTP 410)"), "{tested:?}");
    daemon
        .says(
            "ERROR a subscription was paused: its receiver takes nothing subscription=\"crm\" why=\"gone\"",
            1,
        )
        .await;
    let list = subscription(folder.path(), &["list"], "").await.stdout;
    let row: Vec<&str> = list.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!((&row[..4], row.last()), (&["crm", "file", "paused", "(gone)"][..], Some(&"1")), "{list}");
    assert_eq!(gone.asked(), ["GET /"]);
    daemon.stop().await;
}

/// docs/commands.md, played: each command of it, in its order, prints what stands below it.
#[tokio::test]
async fn the_commands_print_what_their_documentation_shows() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md");
    let docs = fs::read_to_string(docs).expect("docs/commands.md");
    let folder = tempfile::tempdir().expect("a folder");
    let web = Web::answering(vec![Act::Send(ok("ok"))]).await;
    let toml = Regex::new("(?s)```toml\n(.*?)```").expect("a pattern");
    let crm =
        toml.captures(&docs).expect("a definition")[1].replace("127.0.0.1:8000", &web.address.to_string());
    fs::write(folder.path().join("crm.toml"), crm).expect("a file");
    let link = "[asterisk.main]\nami = \"127.0.0.1:1\"\nsecret = \"a\"\ntrunks = [\"PJSIP/t-*\"]\n";
    let daemon = Running::start(folder.path(), link).await;
    daemon.says("the store is open", 1).await;

    let block = Regex::new("(?s)```sh\nswitchhook ([^\n]+)\n```\n\n```text\n(.*?)```").expect("a pattern");
    let id = Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").expect("a pattern");
    let millis = Regex::new(r"\b\d{13}\b|switchhook/[\d.]+|\d\.\d{3} s").expect("a pattern");
    let plain = |text: &str| millis.replace_all(&normalised(text), "N").into_owned();
    let mut last = String::new();
    let mut played = 0;
    for found in block.captures_iter(&docs) {
        let line = id.replace_all(&found[1], &last).into_owned();
        let args: Vec<&str> = line.split(' ').collect();
        let said = by("root", folder.path(), &args, "").await;
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{line}");
        assert_eq!(plain(&said.stdout), plain(&found[2]), "{line}");
        last = id.find(&said.stdout).map_or(last, |id| id.as_str().to_owned());
        played += 1;
    }
    assert_eq!(played, 10);
    daemon.stop().await;
}
