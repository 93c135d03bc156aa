//! Health and metrics of the running program.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use rustix::process::Signal;
use switchhook::metrics::METRICS;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::daemon::in_time;
use super::pbx::Caller;
use super::running::{Running, configure, ended, refused};
use super::web::{Act, Manners, Web, ok};
use crate::program::command;

/// A port that nobody has.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port")
}

/// Status line and body.
async fn get(admin: SocketAddr, path: &str) -> (String, String) {
    let asking = async {
        let mut stream = TcpStream::connect(admin).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut said = String::new();
        stream.read_to_string(&mut said).await.expect("an answer");
        said
    };
    let said = in_time(path, asking).await;
    let (head, body) = said.split_once("\r\n\r\n").expect("a head");
    (head.lines().next().expect("a line").to_owned(), body.to_owned())
}

fn healthcheck(folder: &Path) -> (Option<i32>, String) {
    let said = ended(folder, &["healthcheck", "--config", "config.toml"]);
    (said.code, said.stdout + &said.stderr)
}

/// A link to a PBX that is not there.
fn link() -> String {
    format!("[asterisk.main]\nami = \"{}\"\nsecret = \"x\"\ntrunks = [\"PJSIP/t-*\"]\n", free())
}

#[tokio::test]
async fn whoever_watches_it_sees_how_it_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let (web, admin) = (Web::answering(vec![Act::Send(ok("status=ACK"))]).await, free());
    let text = format!(
        "[admin]\nlisten = \"{admin}\"\n{}[webhook.vip]\nurl = \"{}\"\n[webhook.down]\nurl = \"http://{}/\"\n",
        link(),
        web.url("/"),
        free()
    );
    let daemon = Running::start(folder.path(), &text).await;
    daemon.says("ready", 1).await;
    assert_eq!(get(admin, "/live").await, ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned()));
    let parts = format!(
        "fastagi: listening on {}\nstore: works\nasterisk main: not connected since the start\n",
        daemon.address
    );
    assert_eq!(get(admin, "/ready").await, ("HTTP/1.1 503 Service Unavailable".to_owned(), parts));
    let (status, hint) = get(admin, "/").await;
    assert_eq!(status, "HTTP/1.1 404 Not Found");
    assert!(["/live", "/ready", "/metrics"].iter().all(|path| hint.contains(path)), "{hint}");

    assert_eq!(daemon.call(Caller::of("vip")).await.outcome(), "SUCCESS ok");
    assert_eq!(daemon.call(Caller::of("down")).await.outcome(), "FAILED connect");
    assert_eq!(daemon.call(Caller::of("no-such")).await.outcome(), "FAILED unknown_webhook");
    // A call is counted a moment after the PBX has its answer.
    let counted = "switchhook_calls_total{webhook=\"other\",reason=\"unknown_webhook\"} 1";
    let counting = async {
        loop {
            let (status, page) = get(admin, "/metrics").await;
            assert_eq!(status, "HTTP/1.1 200 OK");
            if page.contains(counted) {
                break page;
            }
        }
    };
    let page = in_time("the count", counting).await;
    for line in [
        "switchhook_calls_total{webhook=\"vip\",reason=\"ok\"} 1",
        "switchhook_calls_total{webhook=\"vip\",reason=\"nak\"} 0",
        "switchhook_calls_total{webhook=\"down\",reason=\"connect\"} 1",
        "switchhook_call_duration_seconds_count{webhook=\"down\"} 1",
        "switchhook_answer_duration_seconds_count{webhook=\"vip\"} 1",
        "switchhook_answer_duration_seconds_bucket{webhook=\"vip\",le=\"+Inf\"} 1",
        "switchhook_answer_duration_seconds_count{webhook=\"down\"} 0",
        "switchhook_open_calls{listener=\"fastagi\"} 0.0",
        "switchhook_link_connected{pbx=\"main\"} 0.0",
        "switchhook_deliveries_pending 0.0",
        "switchhook_store_up 1.0",
    ] {
        assert!(page.lines().any(|l| l == line), "no {line}\n{page}");
    }
    // Every metric of the table is there, as the table says, and no other one.
    for metric in METRICS {
        let said =
            format!("# HELP {0} {1}\n# TYPE {0} {2}\n", metric.name, metric.help, metric.kind.as_str());
        assert!(page.contains(&said), "no {said}\n{page}");
    }
    assert_eq!(page.matches("# TYPE").count(), METRICS.len());
    // Nothing of a caller or of the web server's address.
    for secret in ["1001", "Alice", &web.url("/")] {
        assert!(!page.contains(secret), "{secret} is in it:\n{page}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn it_is_not_ready_while_it_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let slow = Web::start(Manners { answers: vec![vec![Act::Hold]], ..Manners::default() }).await;
    let admin = free();
    let text = format!(
        "[admin]\nlisten = \"{admin}\"\n[webhook.slow]\nurl = \"{}\"\ntimeout = \"10s\"\n",
        slow.url("/")
    );
    let daemon = Running::start(folder.path(), &text).await;
    daemon.says("ready", 1).await;
    assert_eq!(get(admin, "/ready").await.0, "HTTP/1.1 200 OK");
    let during = async {
        slow.until(1, |saw| matches!(saw, super::web::Saw::Asked(..))).await;
        assert!(get(admin, "/metrics").await.1.contains("switchhook_open_calls{listener=\"fastagi\"} 1.0"));
        daemon.signal(Signal::TERM);
        refused(daemon.address).await;
        let (status, parts) = get(admin, "/ready").await;
        assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
        assert!(parts.contains("fastagi: stopping, no new calls"), "{parts}");
        assert_eq!(get(admin, "/live").await.0, "HTTP/1.1 200 OK");
        daemon.signal(Signal::TERM);
    };
    tokio::join!(daemon.call(Caller::of("slow")), during);
    assert_eq!(daemon.end().await.0, Some(0));
}

#[tokio::test]
async fn links_alone_are_enough_to_run_and_to_be_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = free();
    let write = |text: &str| fs::write(folder.path().join("config.toml"), text).expect("a file");
    write(&link());
    let (code, said) = healthcheck(folder.path());
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("[admin]\nlisten = \"127.0.0.1:8088\""), "{said}");

    // 0.0.0.0 is asked at this machine's own address.
    write(&format!("[admin]\nlisten = \"0.0.0.0:{}\"\n{}", admin.port(), link()));
    let (code, said) = healthcheck(folder.path());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("does not answer at {admin}: Connection refused")), "{said}");

    let daemon = Running::begin(command(folder.path(), &["run", "--config", "config.toml"]), "ready").await;
    assert_eq!(healthcheck(folder.path()), (Some(0), format!("The daemon answers at {admin}.\n")));
    assert!(!daemon.said().contains("no webhook is defined"), "{}", daemon.said());
    assert!(daemon.said().contains("no password protects health and metrics"), "{}", daemon.said());
    // Another address needs a restart; nothing to do at all is refused.
    write(&format!("[admin]\nlisten = \"127.0.0.1:0\"\n{}", link()));
    daemon.signal(Signal::HUP);
    daemon.says("admin.listen", 1).await;
    write("[admin]\n");
    daemon.signal(Signal::HUP);
    daemon.says("nothing was changed: the configuration gives nothing to do", 1).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_web_server_in_its_place_is_not_healthy() {
    let folder = tempfile::tempdir().expect("a folder");
    let web = Web::answering(vec![Act::Send(super::web::with("404 Not Found", "", "no"))]).await;
    let address = web.url("/").replace("http://", "").replace('/', "");
    configure(folder.path(), &format!("[admin]\nlisten = \"{address}\"\n"));
    let folder_path = folder.path().to_owned();
    let (code, said) =
        tokio::task::spawn_blocking(move || healthcheck(&folder_path)).await.expect("a thread");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("HTTP 404 Not Found, not 200"), "{said}");
}

/// An Asterisk's manager that lets one connection in, says yes to everything, and has no channels.
async fn manager(listener: tokio::net::TcpListener) {
    let (socket, _) = listener.accept().await.expect("a connection");
    drop(listener);
    let mut socket = BufReader::new(socket);
    socket.write_all(b"Asterisk Call Manager/11.0.0\r\n").await.expect("somebody reads");
    let (mut action, mut line) = (String::new(), String::new());
    while socket.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        if line.trim().is_empty() {
            let value =
                |key: &str| action.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
            let id = value("ActionID: ");
            let mut said = format!("Response: Success\r\nActionID: {id}\r\nChallenge: 1\r\n\r\n");
            if value("Action: ") == "CoreShowChannels" {
                said.push_str(&format!("Event: CoreShowChannelsComplete\r\nActionID: {id}\r\n\r\n"));
            }
            socket.write_all(said.as_bytes()).await.expect("somebody reads");
            action.clear();
        }
        action.push_str(&std::mem::take(&mut line));
    }
}

#[tokio::test]
async fn a_link_is_followed_or_lost_since_some_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (admin, ami) = (free(), listener.local_addr().expect("an address"));
    let asterisk = tokio::spawn(manager(listener));
    let text = format!("[admin]\nlisten = \"{admin}\"\n[asterisk.main]\nami = \"{ami}\"\nsecret = \"x\"\n");
    let daemon = Running::start(folder.path(), &text).await;
    daemon.says("following calls", 1).await;
    let (status, parts) = get(admin, "/ready").await;
    assert_eq!(
        (status.as_str(), parts.lines().last()),
        ("HTTP/1.1 200 OK", Some("asterisk main: following"))
    );
    let page = get(admin, "/metrics").await.1;
    for line in
        ["switchhook_link_connected{pbx=\"main\"} 1.0", "switchhook_link_logins_total{pbx=\"main\"} 1"]
    {
        assert!(page.lines().any(|l| l == line), "no {line}\n{page}");
    }
    asterisk.abort();
    daemon.says("the link to the PBX is down", 1).await;
    let (status, parts) = get(admin, "/ready").await;
    assert!(
        status.contains("503") && parts.contains("asterisk main: not connected since 20"),
        "{status} {parts}"
    );
    daemon.stop().await;
}
