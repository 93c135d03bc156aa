//! `switchhook lint` as a program, against a web server that behaves well and badly.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

use regex::Regex;
use switchhook::stage::server::{CODE, Request, Server};
use tokio::runtime::Runtime;

/// The web server, on threads of its own.
struct Web {
    server: Server,
    _runtime: Runtime,
}

impl Web {
    fn start() -> Web {
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime.block_on(Server::start(SocketAddr::from(([127, 0, 0, 1], 0)))).expect("a port");
        Web { server, _runtime: runtime }
    }

    fn config(&self, folder: &Path, text: &str) {
        let text = text.replace("BASE", &self.server.url(""));
        fs::write(folder.join("config.toml"), text).expect("a file");
    }

    /// Exit code, standard output and standard error, the same in each run.
    fn lint(&self, folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_switchhook"))
            .arg("lint")
            .args(args)
            .current_dir(folder)
            .output()
            .expect("the program");
        let text = |bytes: Vec<u8>| normal(&String::from_utf8(bytes).expect("text"));
        (status.code(), text(stdout), text(stderr))
    }

    fn lint_url(&self, path: &str, more: &[&str]) -> (Option<i32>, String) {
        let url = self.server.url(path);
        let (code, stdout, stderr) = self.lint(Path::new("."), &[&[url.as_str()], more].concat());
        assert_eq!(stderr, "", "{path}");
        (code, stdout)
    }

    fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }
}

/// Without ports and times.
fn normal(text: &str) -> String {
    static TIME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[0-9]+\.[0-9]+ m?s").expect("a pattern"));
    static PORT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"127\.0\.0\.1:[0-9]+").expect("a pattern"));
    PORT.replace_all(&TIME.replace_all(text, "TIME"), "127.0.0.1:PORT").into_owned()
}

#[test]
fn a_server_that_is_nearly_right() {
    let web = Web::start();
    let (code, stdout) = web.lint_url("/route", &["--code", CODE]);
    assert_eq!(code, Some(0), "{stdout}");
    insta::assert_snapshot!("nearly_right", stdout);
}

#[test]
fn its_owner_sees_who_asks_and_gets_what_a_call_sends() {
    let web = Web::start();
    web.lint_url("/route", &["--code", CODE, "--callerid", "+31201234567", "--did", "0502102544"]);
    let requests = web.requests();
    let seen: Vec<&str> = requests.iter().filter_map(|r| r.header("x-switchhook-lint")).collect();
    assert_eq!(
        seen,
        ["known", "unknown", "anonymous", "empty-name", "star", "slow", "slow", "slow", "slow", "slow"]
    );
    assert!(requests[0].header("user-agent").is_some_and(|agent| agent.contains("(lint)")));
    assert_eq!(
        requests[0].target,
        "/route?code=1234&callerid=%2B31201234567&did=0502102544&callername=Alice%20Example"
    );
    let parameter = |at: usize, name: &str| requests[at].parameter(name).expect(name);
    assert_ne!(parameter(1, "code"), CODE);
    assert_eq!(parameter(1, "code").len(), CODE.len());
    assert_eq!(parameter(2, "callerid"), "");
    assert_eq!(
        (parameter(3, "callerid").as_str(), parameter(3, "callername").as_str()),
        ("+31201234567", "")
    );
    assert!(parameter(4, "code").contains('*') && parameter(4, "callername").contains("Söhne"));
}

/// A mistake of a server, what is said of it, and which callers it concerns.
#[test]
fn mistakes() {
    let web = Web::start();
    for (path, code, summary, said) in [
        ("/html", 1, "wrong: known, unknown, anonymous, empty-name, star, slow.", "a login page"),
        ("/notice", 1, "wrong: known", "display_errors"),
        ("/status/401", 1, "wrong: known", "let this path through without a login"),
        ("/status/422", 1, "wrong: known", "'callerid' => 'nullable|string'"),
        ("/status/429", 1, "wrong: known", "out of the rate limit"),
        ("/status/500", 1, "wrong: known", "look into the server's log"),
        ("/redirect", 1, "wrong: known", "Write http://127.0.0.1:PORT/html as the url"),
        ("/moved", 0, "look at: known", "Write http://127.0.0.1:PORT/route as the url"),
        ("/slash", 0, "look at: known", "the other ending in /: each call asks twice"),
        ("/strict", 1, "wrong: anonymous.", "no answer for a caller without a number"),
        ("/empty", 1, "wrong: known", "ends before it writes an answer"),
        ("/bom", 0, "look at: known", "byte order mark"),
        ("/plus", 0, "look at: known", "Write it as %2B"),
        ("/text", 1, "wrong: known", "no status= in the answer"),
        ("/close", 1, "wrong: known", "closed the connection without an answer"),
        ("/big", 1, "wrong: known", "larger than 64 KiB"),
        ("/err", 1, "look at: unknown, anonymous, empty-name, star; wrong: known", "ERR means"),
        ("/nak", 1, "wrong: known.", "does not know the code of --code"),
        ("/destination/500%26PJSIP", 1, "wrong: known", "never allowed in a destination"),
        ("/json", 0, "6 of 6 callers are right.", "is connected to 215"),
    ] {
        let (exit, stdout) = web.lint_url(path, &["--code", CODE]);
        let last = stdout.lines().last().unwrap_or_default();
        assert_eq!(exit, Some(code), "{path}\n{stdout}");
        assert!(last.contains(summary), "{path}: {summary}\n{stdout}");
        assert!(stdout.contains(said), "{path}: {said}\n{stdout}");
        assert!(!stdout.contains(CODE), "{path} shows the code\n{stdout}");
    }
}

#[test]
fn a_webhook_of_the_configuration() {
    let web = Web::start();
    let folder = tempfile::tempdir().expect("a folder");
    web.config(
        folder.path(),
        r#"[webhook.vip]
url = "BASE/slow/1100?code={code}&callerid={callerid}"
timeout = "2s"
caller_id = "suppressed"
[webhook.vip.ivr]
pattern = "[0-9]{4}"
error_prompt = "custom/wrong"
start_prompt = "custom/code"

[webhook.late]
enabled = false
method = "POST"
body = '{"number": "{callerid}"}'
content_type = "application/json"
url = "BASE/close"
fallback_url = "BASE/json"
[webhook.late.variables]
ticket = "CRM_TICKET"
"#,
    );
    let (code, stdout, stderr) = web.lint(folder.path(), &["vip", "--config", "config.toml", "--code", CODE]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    insta::assert_snapshot!("of_the_configuration", stdout);
    let (code, stdout, _) = web.lint(folder.path(), &["late", "--config", "config.toml"]);
    assert_eq!(code, Some(1), "{stdout}");
    insta::assert_snapshot!("fallback", stdout);
}

#[test]
fn too_late() {
    let web = Web::start();
    let folder = tempfile::tempdir().expect("a folder");
    web.config(folder.path(), "[webhook.x]\nurl = \"BASE/slow/60000\"\ntimeout = \"1s\"\n");
    let (code, stdout, _) = web.lint(folder.path(), &["x", "--config", "config.toml"]);
    assert_eq!(code, Some(1), "{stdout}");
    for said in [
        "goes to the failed branch (timeout)",
        "no whole answer within 1s. Answer first and do the slow part afterwards",
        "fastcgi_finish_request()",
        "0 of 6 callers are right",
    ] {
        assert!(stdout.contains(said), "{said}\n{stdout}");
    }
}

#[test]
fn nobody_answers() {
    // Bound and dropped: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one").port();
    let web = Web::start();
    let url = format!("http://127.0.0.1:{port}/");
    let (code, stdout, _) = web.lint(Path::new("."), &[&url]);
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.contains("goes to the failed branch (connect)") && stdout.contains("curl -v"), "{stdout}");
}

#[test]
fn json() {
    let web = Web::start();
    let url = web.server.url("/strict?code={code}&callerid={callerid}");
    let (code, stdout, _) = web.lint(Path::new("."), &[&url, "--code", CODE, "--json"]);
    assert_eq!(code, Some(1), "{stdout}");
    let report: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!((&report["result"], &report["timeout_ms"]), (&"wrong".into(), &2000.into()));
    let callers = report["callers"].as_array().expect("callers");
    let told: Vec<(&str, &str, &str)> = callers
        .iter()
        .map(|c| {
            let text = |key: &str| c[key].as_str().expect("a text");
            (text("caller"), text("verdict"), text("reason"))
        })
        .collect();
    assert_eq!(
        told,
        [
            ("known", "look", "ok"),
            ("unknown", "right", "nak"),
            ("anonymous", "wrong", "bad_answer"),
            ("empty-name", "look", "ok"),
            ("star", "right", "nak"),
            ("slow", "right", "ok"),
        ]
    );
    assert!(callers[0]["took_ms"].is_f64() && callers[5]["median_ms"].is_f64());
    let steps = callers[0]["steps"].as_array().expect("steps");
    assert!(steps.iter().any(|step| step["step"] == "response" && step["http_status"] == 200));
    assert!(!stdout.contains("code=1234") && !stdout.contains("\"1234\""), "{stdout}");
}

#[test]
fn exit_codes() {
    let web = Web::start();
    let folder = tempfile::tempdir().expect("a folder");
    web.config(folder.path(), "[webhook.vip]\nurl = \"BASE/route\"\n");
    fs::write(folder.path().join("bad.toml"), "[webhook.vip]\nurl = 5\n").expect("a file");
    for (args, wanted, said) in [
        (&["vip", "--config", "bad.toml"][..], 78, "bad.toml: 1 problem"),
        (&["vip", "--config", "nothing.toml"], 78, "there is no such file"),
        (&["sales", "--config", "config.toml"], 64, "it has: vip"),
        (&["crm.example.com/route"], 64, "neither a webhook's name nor a URL"),
        (&["ftp://crm.example.com/"], 64, "it does not begin with https://"),
        (&["http://crm.example.com/?a={caller}"], 64, "did you mean {callerid}?"),
        (&["http://crm.example.com/", "--code", "12x7"], 64, "a code has the digits"),
        (&[], 64, "Usage"),
    ] {
        let (code, _, stderr) = web.lint(folder.path(), args);
        assert_eq!(code, Some(wanted), "{args:?}\n{stderr}");
        assert!(stderr.contains(said), "{args:?}\n{stderr}");
        assert!(!stderr.contains("12x7"), "{args:?}\n{stderr}");
    }
    assert!(web.requests().is_empty());
}
