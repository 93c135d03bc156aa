//! A code is nowhere, whatever the web server does with it.

use std::fs;
use std::path::Path;

use switchhook::store::Reader;

use super::daemon::in_time;
use super::pbx::Caller;
use super::running::{Running, configure};
use super::web::{Act, Manners, Web, ok, with};
use crate::program::command;

/// Codes that no number, id or time holds by chance.
const CODE: &str = "73*0191648";
const WRONG: &str = "5502877319";

/// Web servers that send back what they got, by name; what else is in `[webhook.NAME]`, and what their requests get.
fn servers() -> Vec<(&'static str, &'static str, Vec<String>)> {
    let encoded = CODE.replace('*', "%2A");
    vec![
        ("elsewhere", "", vec![with("302 Found", &format!("Location: http://127.0.0.1:1/?{CODE}\r\n"), "")]),
        (
            "here",
            "",
            vec![
                with("302 Found", &format!("Location: /again?code={encoded}\r\n"), ""),
                ok(&format!("<html>{CODE}")),
            ],
        ),
        ("nowhere", "", vec![with("302 Found", &format!("Location: http://[{CODE}/\r\n"), "")]),
        ("no-http", "", vec![format!("{CODE} is wrong\r\n\r\n")]),
        ("status-line", "", vec![format!("HTTP/1.1 500 {CODE}\r\nContent-Length: 10\r\n\r\n{CODE}")]),
        (
            "type",
            "",
            vec![format!("HTTP/1.1 200 OK\r\nContent-Type: text/{CODE}\r\nContent-Length: 0\r\n\r\n")],
        ),
        ("encoding", "", vec![with("200 OK", &format!("Content-Encoding: {CODE}\r\n"), CODE)]),
        ("unknown", "", vec![ok(&format!("status={CODE}"))]),
        ("plain", "", vec![ok(&format!("the code {CODE} ({encoded}) is unknown"))]),
        ("twice", "", vec![ok(&format!("status=ACK&{CODE}=1&{CODE}=2"))]),
        ("refused", "", vec![ok(&format!("status=ACK&destination=x{CODE}"))]),
        ("named", "", vec![ok(&format!("status=NAK&callername={encoded}"))]),
        (
            "json",
            "variables = { echo = \"CRM_ECHO\" }",
            vec![ok(&format!("{{\"status\":\"ACK\",\"echo\":\"{CODE}\"}}"))],
        ),
        ("bad-json", "", vec![ok(&format!("{{\"status\":{CODE}}}"))]),
        ("saved", "save_as = \"CRM_ECHO\"", vec![ok(CODE)]),
        ("header", "headers = { X-Code = \"{code}\" }", vec![ok("status=ERR")]),
        ("posted", "method = \"POST\"", vec![with("404 Not Found", "", CODE)]),
        ("form", "method = \"POST\"\nbody = \"form\"", vec![ok(&format!("status=ACK&code={encoded}"))]),
        (
            "own-body",
            "method = \"POST\"\nbody = \"<c>{code}</c>\"\ncontent_type = \"text/xml\"",
            vec![ok("<x/>")],
        ),
        ("fallback", "fallback_url = \"http://127.0.0.1:1/?code={code}\"", vec![with("500 Oh", "", CODE)]),
        // The second answer tells of the first code.
        ("before", "", vec![ok("status=NAK"), ok(&format!("status=NAK&callername=not {CODE} either"))]),
    ]
}

#[tokio::test]
async fn a_code_is_in_no_log_and_no_store() {
    for format in ["human", "json"] {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut text, mut webs) = (String::new(), Vec::new());
        for (name, hook, answers) in servers() {
            let answers = answers.into_iter().map(|answer| vec![Act::Send(answer), Act::Close]).collect();
            let web = Web::start(Manners { answers, ..Manners::default() }).await;
            let url = web.url("/?code={code}");
            text.push_str(&format!(
                "[webhook.{name}]\nurl = \"{url}\"\n{hook}\n[webhook.{name}.ivr]\nattempts = 2\nmax_digits = 12\n"
            ));
            webs.push((name, web));
        }
        text.push_str("[webhook.pattern]\nurl = \"http://127.0.0.1:1/\"\n[webhook.pattern.ivr]\nmax_digits = 12\npattern = \"9+\"\n");
        configure(folder.path(), &text);
        let mut run = command(folder.path(), &["run", "--config", "config.toml", "--log", format]);
        run.env("SWITCHHOOK_LOG", "trace");
        let daemon = Running::run(run).await;
        for (name, web) in &webs {
            let seen = daemon.call(Caller::of(name).typing(&["73*0191648#", "5502877319#"])).await;
            assert_ne!(seen.variable("WEBHOOK_RESULT"), "", "{name}");
            assert!(!web.asked().is_empty(), "{name}");
        }
        for keys in [["73*0191648#", "5502877319#"], ["73*0191648!", ""], [">73*0191648!", ""]] {
            daemon.call(Caller::of("pattern").typing(&keys)).await;
        }
        let calls = webs.len() + 3;
        let kept = async {
            while Reader::open(&folder.path().join("switchhook.db"))
                .is_ok_and(|r| r.newest(1_000).map_or(0, |n| n.len()) < calls)
            {
                tokio::task::yield_now().await;
            }
        };
        in_time("the store", kept).await;
        let in_files = files(folder.path());
        assert!(
            in_files.iter().any(|(name, _)| name.ends_with("-wal")),
            "no journal was looked at while it was open"
        );
        let said = daemon.stop().await;
        assert!(said.contains("bad-json") && said.contains("bad_answer"), "no log: {said}");
        let leaks: Vec<String> = in_files
            .into_iter()
            .chain(files(folder.path()))
            .chain([("the log".to_owned(), said)])
            .filter_map(|(name, text)| leak(&text).map(|found| format!("{format} {name}: {found}")))
            .collect();
        assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    }
}

/// Every file but the configuration, as text.
fn files(folder: &Path) -> Vec<(String, String)> {
    let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let read = |path: std::path::PathBuf| {
        let bytes = fs::read(&path).expect("a file");
        (path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned())
    };
    names.filter(|path| !path.ends_with("config.toml")).map(read).collect()
}

/// Where a code is in a text, with what stands around it.
fn leak(text: &str) -> Option<String> {
    let spelled = [CODE.to_owned(), CODE.replace('*', "%2A"), CODE.replace('*', "%2a"), WRONG.to_owned()];
    let at = spelled.iter().find_map(|code| text.find(code))?;
    let (from, to) =
        (text.floor_char_boundary(at.saturating_sub(200)), text.ceil_char_boundary(text.len().min(at + 100)));
    Some(text[from..to].to_owned())
}
