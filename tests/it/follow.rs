//! The followers of an Asterisk, over a socket, with an Asterisk that plays what was recorded.

use std::sync::Arc;
use std::time::Duration;

use switchhook::config::AmiLink;
use switchhook::io::{Batch, CallChange, EventSink, Later, Link, Links};
use switchhook::terms::{Secret, WebhookName};
use switchhook::track::{CallEvent, EndReason, EventKind, OpenCall};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::following::{dialogue, shown, tests_folder};

/// Nothing here takes so long.
const LONGEST: Duration = Duration::from_secs(30);

/// An Asterisk's manager, one connection after the other.
struct Manager {
    listener: TcpListener,
}

impl Manager {
    async fn start() -> Manager {
        Manager { listener: TcpListener::bind("127.0.0.1:0").await.expect("a port") }
    }

    fn link(&self, secret: &str) -> Link {
        Link::Asterisk(AmiLink {
            name: WebhookName::parse("main").expect("a name"),
            address: self.listener.local_addr().expect("an address").to_string(),
            username: "switchhook".to_owned(),
            secret: Secret::new(secret),
            trunks: Vec::new(),
        })
    }

    async fn accept(&self) -> Peer {
        let accepted = in_time("connecting", self.listener.accept()).await;
        let (socket, _) = accepted.expect("a connection");
        let mut peer = Peer(BufReader::new(socket));
        peer.send("Asterisk Call Manager/11.0.0\r\n").await;
        peer
    }

    /// A connection, logged in. The PBX has no channels but the ones named.
    async fn logged_in(&self, channels: &[(&str, &str)]) -> Peer {
        let mut peer = self.accept().await;
        peer.answer("Challenge", "Response: Success\r\nChallenge: 1\r\n").await;
        peer.answer("Login", "Response: Success\r\n").await;
        let id = peer.answer("CoreShowChannels", "Response: Success\r\n").await;
        for (channel, unique_id) in channels {
            let state = "ChannelState: 6\r\nChannelStateDesc: Up\r\nDuration: 00:01:00\r\nExten: 201\r\n";
            let ids = format!("Uniqueid: {unique_id}\r\nLinkedid: {unique_id}\r\n");
            let of = format!("ActionID: {id}\r\nChannel: {channel}\r\n");
            peer.send(&format!("Event: CoreShowChannel\r\n{of}{state}{ids}\r\n")).await;
        }
        peer.send(&format!("Event: CoreShowChannelsComplete\r\nActionID: {id}\r\n\r\n")).await;
        peer
    }
}

struct Peer(BufReader<TcpStream>);

impl Peer {
    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("somebody reads");
    }

    /// Answers the next action, which is this one; its id.
    async fn answer(&mut self, action: &str, text: &str) -> String {
        let (mut name, mut id) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            in_time(action, self.0.read_line(&mut line)).await.expect("a line");
            match line.trim_end().split_once(": ") {
                Some(("Action", value)) => value.clone_into(&mut name),
                Some(("ActionID", value)) => value.clone_into(&mut id),
                Some(_) => {}
                None => break,
            }
        }
        assert_eq!(name, action);
        self.send(&text.replacen("\r\n", &format!("\r\nActionID: {id}\r\n"), 1)).await;
        self.send("\r\n").await;
        id
    }

    /// What Asterisk said in a recorded conversation, up to some text.
    async fn play(&mut self, name: &str, until: &str) {
        for (_, from_asterisk, bytes) in dialogue(&tests_folder().join("dialogues/ami/22").join(name)) {
            let text = String::from_utf8(bytes).expect("text");
            if !until.is_empty() && text.contains(until) {
                return;
            }
            if from_asterisk && !text.starts_with("Asterisk Call Manager") {
                self.send(&text).await;
            }
        }
    }
}

/// Keeps everything in memory, when it is let.
pub(crate) struct Kept {
    all: watch::Sender<Keeping>,
    open: watch::Sender<bool>,
}

#[derive(Default)]
struct Keeping {
    events: Vec<CallEvent>,
    calls: Vec<(String, OpenCall)>,
}

impl Kept {
    pub(crate) fn new() -> Arc<Kept> {
        Arc::new(Kept { all: watch::Sender::default(), open: watch::Sender::new(true) })
    }

    /// Waits until there are so many events of a kind; all that there are.
    pub(crate) async fn wait_for(&self, kind: EventKind, count: usize) -> Vec<CallEvent> {
        let mut all = self.all.subscribe();
        let enough = |kept: &Keeping| kept.events.iter().filter(|e| e.event == kind).count() >= count;
        let kept = in_time(kind.as_str(), all.wait_for(enough)).await.expect("the sink lives");
        kept.events.clone()
    }

    pub(crate) fn open_ids(&self) -> Vec<String> {
        self.all.borrow().calls.iter().map(|(_, call)| call.id().to_owned()).collect()
    }
}

impl EventSink for Kept {
    fn open_calls(&self) -> Later<'_, Vec<(String, OpenCall)>> {
        Box::pin(async { self.all.borrow().calls.clone() })
    }

    fn accept(&self, batch: Batch) -> Later<'_, ()> {
        Box::pin(async move {
            let mut open = self.open.subscribe();
            open.wait_for(|open| *open).await.expect("the sink lives");
            self.all.send_modify(|kept| {
                kept.events.extend(batch.events);
                for change in batch.calls {
                    let id = match &change {
                        CallChange::Open(call) => call.id().to_owned(),
                        CallChange::Over(id) => id.clone(),
                    };
                    kept.calls.retain(|(_, call)| call.id() != id);
                    if let CallChange::Open(call) = change {
                        kept.calls.push((batch.pbx.clone(), *call));
                    }
                }
            });
        })
    }
}

pub(crate) async fn in_time<T>(what: &str, doing: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONGEST, doing).await.unwrap_or_else(|_| panic!("{what} hangs"))
}

pub(crate) fn kinds(events: &[CallEvent]) -> Vec<&str> {
    events.iter().map(|event| event.event.as_str()).collect()
}

#[tokio::test]
async fn a_recorded_call_is_told_and_kept() {
    let (manager, kept) = (Manager::start().await, Kept::new());
    let mut links = Links::new(kept.clone());
    links.set(vec![manager.link("right")]);
    let mut peer = manager.logged_in(&[]).await;
    peer.play("answered_callee_hangs.txt", "").await;
    let events = kept.wait_for(EventKind::Cdr, 1).await;
    assert_eq!(kinds(&events), ["call", "ringing", "connected", "disconnected", "cdr"]);
    assert_eq!(kept.open_ids(), [""; 0]);
    let health = links.health("main").expect("it runs");
    assert!(health.is_connected());
    assert_eq!((health.logins(), health.events()), (1, 5));
    links.stop().await;
}

#[tokio::test]
async fn a_call_that_ended_while_the_link_was_down_has_its_end() {
    let (manager, kept) = (Manager::start().await, Kept::new());
    let mut links = Links::new(kept.clone());
    links.set(vec![manager.link("right")]);
    let mut peer = manager.logged_in(&[]).await;
    peer.play("answered_callee_hangs.txt", "Event: BridgeLeave").await;
    kept.wait_for(EventKind::Connected, 1).await;
    drop(peer);
    // It comes back by itself. The PBX has another call now.
    let _peer = manager.logged_in(&[("PJSIP/201-00000001", "t1-9.9")]).await;
    let events = kept.wait_for(EventKind::Disconnected, 1).await;
    let synthetic = |kind| events.iter().filter(|e| e.event == kind).map(|e| e.synthetic).collect::<Vec<_>>();
    assert_eq!(synthetic(EventKind::Disconnected), [true], "{}", shown(&events));
    assert_eq!(synthetic(EventKind::Call), [false], "{}", shown(&events));
    links.stop().await;
}

#[tokio::test]
async fn a_call_that_ended_while_the_program_was_down_has_its_end() {
    let (manager, kept) = (Manager::start().await, Kept::new());
    let mut links = Links::new(kept.clone());
    links.set(vec![manager.link("right")]);
    let mut peer = manager.logged_in(&[]).await;
    peer.play("answered_callee_hangs.txt", "Event: BridgeLeave").await;
    let before = kept.wait_for(EventKind::Connected, 1).await;
    let id = before[0].calluniqueid.clone();
    assert_eq!(kept.open_ids(), std::slice::from_ref(&id));
    let (stopped, goodbye) = tokio::join!(links.stop(), peer.answer("Logoff", "Response: Goodbye\r\n"));
    drop((stopped, goodbye));

    let mut links = Links::new(kept.clone());
    links.set(vec![manager.link("right")]);
    let _peer = manager.logged_in(&[]).await;
    let events = kept.wait_for(EventKind::Cdr, 1).await;
    let end = events.iter().find(|e| e.event == EventKind::Disconnected).expect("its end");
    assert_eq!((&end.calluniqueid, end.seq, end.synthetic), (&id, 4, true));
    assert_eq!(kept.open_ids(), [""; 0]);
    links.stop().await;
}

/// What no link leads to any more ends: when a reload removes the link, and when the program starts without it.
#[tokio::test]
async fn calls_of_a_pbx_that_is_not_followed_any_more_have_their_end() {
    for reloaded in [true, false] {
        let (manager, kept) = (Manager::start().await, Kept::new());
        let mut links = Links::new(kept.clone());
        links.set(vec![manager.link("right")]);
        let mut peer = manager.logged_in(&[]).await;
        peer.play("answered_callee_hangs.txt", "Event: BridgeLeave").await;
        kept.wait_for(EventKind::Connected, 1).await;
        if !reloaded {
            let (stopped, goodbye) =
                tokio::join!(links.stop(), peer.answer("Logoff", "Response: Goodbye\r\n"));
            drop((stopped, goodbye));
            assert_eq!(kept.open_ids().len(), 1);
            links = Links::new(kept.clone());
        }
        links.set(Vec::new());
        let events = kept.wait_for(EventKind::Cdr, 1).await;
        let end = events.iter().find(|e| e.event == EventKind::Disconnected).expect("its end");
        assert_eq!((end.reason, end.synthetic, &*end.pbx), (Some(EndReason::Lost), true, "main"));
        assert_eq!(kept.open_ids(), [""; 0]);
        links.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_not_tried_again_until_the_configuration_is_read_again() {
    let (manager, kept) = (Manager::start().await, Kept::new());
    let mut links = Links::new(kept.clone());
    links.set(vec![manager.link("wrong")]);
    let mut peer = manager.accept().await;
    peer.answer("Challenge", "Response: Success\r\nChallenge: 1\r\n").await;
    peer.answer("Login", "Response: Error\r\nMessage: Authentication failed\r\n").await;
    // Longer than two of the shortest pauses.
    let more = tokio::time::timeout(Duration::from_millis(900), manager.listener.accept()).await;
    assert!(more.is_err(), "it tried again");
    // The secret of manager.conf was mended: the same configuration is right now.
    links.set(vec![manager.link("wrong")]);
    manager.logged_in(&[]).await;
    // And another one takes its place.
    links.set(vec![manager.link("right")]);
    manager.logged_in(&[]).await;
    links.set(Vec::new());
    assert!(links.health("main").is_none());
    links.stop().await;
}

#[tokio::test]
async fn a_store_that_is_stuck_closes_the_link_and_no_call_loses_its_end() {
    let (manager, kept) = (Manager::start().await, Kept::new());
    let mut links = Links::new(kept.clone());
    links.set(vec![manager.link("right")]);
    let mut peer = manager.logged_in(&[]).await;
    peer.play("answered_callee_hangs.txt", "Event: BridgeLeave").await;
    kept.wait_for(EventKind::Connected, 1).await;
    // The store takes nothing from here on: the next event waits, and everything behind it.
    kept.open.send_replace(false);
    let noise = "Event: Newexten\r\nUniqueid: t1-1.1\r\nExtension: s\r\n\r\n".repeat(1000);
    peer.play("busy.txt", "").await;
    let closed = async { while peer.0.write_all(noise.as_bytes()).await.is_ok() {} };
    in_time("a full queue", closed).await;
    kept.open.send_replace(true);
    // The end of the first call was never told by the PBX: it is gone at the next connect.
    let _peer = manager.logged_in(&[]).await;
    let events = kept.wait_for(EventKind::Cdr, 2).await;
    let ends: Vec<bool> =
        events.iter().filter(|e| e.event == EventKind::Disconnected).map(|e| e.synthetic).collect();
    assert_eq!(ends, [false, true], "{}", shown(&events));
    links.stop().await;
}
