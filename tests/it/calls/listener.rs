//! Who may connect, how many at a time, and what strangers cannot do to the others.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::daemon::{Daemon, in_time};
use super::pbx::Caller;
use super::running::{Running, configure};
use super::web::{Act, Web, ok};

/// This process plays both sides: many descriptors.
fn many_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("a limit");
}

/// A connection from another address of this machine.
async fn stranger(daemon: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 2], 0))).expect("an address");
    socket.connect(daemon).await.expect("a connection")
}

/// What the daemon says until it closes: nothing.
async fn is_closed_silently(mut stream: TcpStream) {
    let mut said = Vec::new();
    let read = in_time("the close", stream.read_to_end(&mut said)).await;
    // A reset where bytes of ours were never read.
    assert!(read.is_ok_and(|read| read == 0) || said.is_empty(), "{said:?}");
}

async fn good() -> Web {
    Web::answering(vec![Act::Send(ok("status=ACK"))]).await
}

#[tokio::test]
async fn who_is_not_on_the_list_is_closed_before_a_byte_is_read() {
    let web = good().await;
    let text = |allow: &str| {
        format!(
            "[fastagi]\nlisten = \"127.0.0.1:0\"\nallow = [\"{allow}\"]\n[webhook.a]\nurl = \"{}\"\n",
            web.url("/")
        )
    };
    let daemon = Daemon::start(&text("127.0.0.2/31"));
    let mut plain = TcpStream::connect(daemon.address()).await.expect("a connection");
    // It may be closed already.
    plain.write_all(b"agi_network: yes\nagi_network: yes\n\n").await.ok();
    is_closed_silently(plain).await;
    let calls = super::pbx::Pbx::Asterisk.play(daemon.address(), Caller::of("a"));
    assert_eq!(in_time("a call", calls).await.outcome(), " ");
    assert!(web.saw().is_empty());
    let known = stranger(daemon.address()).await;
    daemon.until_open(1).await;
    drop(known);
    daemon.stop().await;

    let daemon = Daemon::start(&text("127.0.0.1"));
    is_closed_silently(stranger(daemon.address()).await).await;
    assert_eq!(daemon.call(Caller::of("a")).await.0.outcome(), "SUCCESS ok");
    daemon.stop().await;
}

#[tokio::test]
async fn six_hundred_silent_connections_of_one_peer_stop_no_call_and_a_dribbled_one_ends_in_time() {
    many_files();
    let web = good().await;
    let daemon = Daemon::start(&format!("[webhook.a]\nurl = \"{}\"\n", web.url("/")));
    let mut silent = JoinSet::new();
    for _ in 0..600 {
        silent.spawn(is_closed_silently(stranger(daemon.address()).await));
    }
    // Those that are too many are closed at once, the others when their time is over.
    for _ in 512..600 {
        in_time("the refused ones", silent.join_next()).await.expect("a connection").expect("no byte");
    }
    daemon.until_open(512).await;
    assert_eq!(daemon.call(Caller::of("a")).await.0.outcome(), "SUCCESS ok");
    silent.abort_all();
    daemon.until_open(0).await;

    let (mut reads, mut writes) = stranger(daemon.address()).await.into_split();
    let dribbling = async {
        for byte in b"agi_network: yes\n".iter().cycle() {
            if writes.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut said = Vec::new();
    let ended = async {
        tokio::select! {
            read = reads.read_to_end(&mut said) => drop(read),
            () = dribbling => {}
        }
    };
    in_time("the dribble", ended).await;
    assert!(said.is_empty(), "{said:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn more_calls_than_may_be_fail_at_once_and_far_more_are_closed() {
    many_files();
    let web = good().await;
    let listener = "[fastagi]\nlisten = \"127.0.0.1:0\"\nmax_calls = 2\n";
    let daemon = Daemon::start(&format!("{listener}[webhook.a]\nurl = \"{}\"\n", web.url("/")));
    let mut open = Vec::new();
    for expected in ["SUCCESS ok", "SUCCESS ok", "FAILED overload"] {
        let (seen, journal) = daemon.call(Caller::of("a")).await;
        assert_eq!(seen.outcome(), expected, "{journal:?}");
        let steps = super::daemon::steps(&journal);
        assert_eq!(steps.contains(&"request".to_owned()), expected == "SUCCESS ok");
        daemon.until_open(open.len()).await;
        open.push(stranger(daemon.address()).await);
        daemon.until_open(open.len()).await;
    }
    // A caller name is changed all the same: it costs nothing.
    let name = Caller { path: "callername/replace".to_owned(), text: "Bob", ..Caller::of("a") };
    assert_eq!(daemon.call(name).await.0.callee, "Bob <1001>");
    daemon.until_open(open.len()).await;
    while open.len() < 2 + 256 {
        open.push(stranger(daemon.address()).await);
    }
    daemon.until_open(open.len()).await;
    is_closed_silently(stranger(daemon.address()).await).await;
    open.clear();
    daemon.until_open(0).await;
    assert_eq!(daemon.call(Caller::of("a")).await.0.outcome(), "SUCCESS ok");
    daemon.stop().await;
}

#[tokio::test]
async fn calls_work_again_after_a_time_without_descriptors() {
    let folder = tempfile::tempdir().expect("a folder");
    let web = good().await;
    configure(folder.path(), &format!("[webhook.a]\nurl = \"{}\"\n", web.url("/")));
    let mut limited = std::process::Command::new("sh");
    let program = env!("CARGO_BIN_EXE_switchhook");
    limited.args(["-c", "ulimit -n 64; exec \"$0\" run --config config.toml", program]);
    limited.current_dir(folder.path()).env_remove("SWITCHHOOK_LOG").env_remove("STATE_DIRECTORY");
    let daemon = Running::run(limited).await;
    assert!(daemon.said().contains("few file descriptors"), "{}", daemon.said());
    let mut storm = Vec::new();
    for _ in 0..100 {
        storm.push(stranger(daemon.address).await);
    }
    daemon.says("cannot accept calls now", 1).await;
    drop(storm);
    assert_eq!(daemon.call(Caller::of("a")).await.outcome(), "SUCCESS ok");
    let said = daemon.stop().await;
    assert_eq!(said.matches("cannot accept calls now").count(), 1, "{said}");
}
