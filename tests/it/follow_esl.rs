//! The follower of a FreeSWITCH, over a socket, with a FreeSWITCH that plays what was recorded.

use std::time::Duration;

use switchhook::config::EslLink;
use switchhook::io::{Link, Links};
use switchhook::terms::{Secret, WebhookName};
use switchhook::track::{EventKind, VariableNames};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::follow::{Kept, in_time, kinds};
use crate::following::{dialogue, shown, tests_folder};

/// What FreeSWITCH says to a login and to what is behind it. It has no channels then.
const LOGGED_IN: &str = "Content-Type: command/reply\nReply-Text: +OK accepted\n\n";

/// An event socket, one connection after the other.
struct Switch {
    listener: TcpListener,
}

impl Switch {
    async fn start() -> Switch {
        Switch { listener: TcpListener::bind("127.0.0.1:0").await.expect("a port") }
    }

    fn link(&self, password: &str) -> Link {
        Link::FreeSwitch(EslLink {
            name: WebhookName::parse("main").expect("a name"),
            address: self.listener.local_addr().expect("an address").to_string(),
            user: Some("follow@switchhook".to_owned()),
            password: Secret::new(password),
            trunks: vec!["sofia/external/*".to_owned()],
        })
    }

    async fn accept(&self) -> Peer {
        let (socket, _) = in_time("connecting", self.listener.accept()).await.expect("a connection");
        let mut peer = Peer(socket);
        peer.send("Content-Type: auth/request\n\n").await;
        peer
    }

    /// A connection, logged in.
    async fn logged_in(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.hear("userauth follow@switchhook:right\n\n").await;
        peer.send(LOGGED_IN).await;
        peer.hear("api show bridged_calls as json\n\n").await;
        peer.send(&"Content-Type: command/reply\nReply-Text: +OK\n\n".repeat(10)).await;
        peer.send_empty_lists().await;
        peer
    }
}

struct Peer(TcpStream);

impl Peer {
    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("somebody reads");
    }

    /// There is no channel and no bridge.
    async fn send_empty_lists(&mut self) {
        let list = "Content-Type: api/response\nContent-Length: 17\n\n{\"row_count\": 0}\n";
        self.send(&list.repeat(2)).await;
    }

    /// Reads until this was heard.
    async fn hear(&mut self, text: &str) {
        let mut heard = String::new();
        while !heard.ends_with(text) {
            let mut bytes = [0; 4096];
            let count = in_time(text, self.0.read(&mut bytes)).await.expect("bytes");
            assert!(count > 0, "closed after {heard}");
            heard.push_str(std::str::from_utf8(&bytes[..count]).expect("text"));
        }
    }

    /// The events of a recorded conversation, up to one of some name.
    async fn play(&mut self, name: &str, until: &str) {
        for (_, from_pbx, bytes) in dialogue(&tests_folder().join("dialogues/esl").join(name)) {
            let text = String::from_utf8(bytes).expect("text");
            if !from_pbx || !text.contains("text/event-plain") {
                continue;
            }
            match text.find(&format!("Event-Name: {until}\n")).filter(|_| !until.is_empty()) {
                Some(at) => {
                    let head = text[..at].rfind("Content-Length").expect("a head");
                    return self.send(&text[..head]).await;
                }
                None => self.send(&text).await,
            }
        }
    }
}

#[tokio::test]
async fn a_recorded_call_is_told_and_kept() {
    let (switch, kept) = (Switch::start().await, Kept::new());
    let mut links = Links::new(kept.clone());
    links.set(vec![switch.link("right")]);
    let mut peer = switch.logged_in().await;
    peer.play("answered.txt", "").await;
    let events = kept.wait_for(EventKind::Cdr, 1).await;
    assert_eq!(kinds(&events), ["call", "ringing", "connected", "disconnected", "cdr"]);
    assert_eq!(kept.open_ids(), [""; 0]);
    assert!(links.health("main").expect("it runs").is_connected());
    let ((), ()) = tokio::join!(links.stop(), peer.hear("exit\n\n"));
}

#[tokio::test]
async fn a_call_that_ended_while_the_link_was_down_has_its_end() {
    let (switch, kept) = (Switch::start().await, Kept::new());
    let mut links = Links::new(kept.clone());
    links.set(vec![switch.link("right")]);
    let mut peer = switch.logged_in().await;
    peer.play("answered.txt", "CHANNEL_HANGUP").await;
    kept.wait_for(EventKind::Connected, 1).await;
    drop(peer);
    // It comes back by itself. The PBX has no call any more; the first list may only be late, the second one is not.
    let mut peer = switch.logged_in().await;
    peer.hear("api show bridged_calls as json\n\n").await;
    peer.send_empty_lists().await;
    let events = kept.wait_for(EventKind::Cdr, 1).await;
    let synthetic = |kind| events.iter().filter(|e| e.event == kind).map(|e| e.synthetic).collect::<Vec<_>>();
    assert_eq!(synthetic(EventKind::Disconnected), [true], "{}", shown(&events));
    assert_eq!(synthetic(EventKind::Call), [false], "{}", shown(&events));
    links.stop().await;
}

#[tokio::test]
async fn a_wrong_password_is_not_tried_again_until_the_configuration_is_read_again() {
    let (switch, kept) = (Switch::start().await, Kept::new());
    let mut links = Links::new(kept.clone());
    links.set(vec![switch.link("wrong")]);
    let mut peer = switch.accept().await;
    peer.hear("userauth follow@switchhook:wrong\n\n").await;
    peer.send("Content-Type: command/reply\nReply-Text: -ERR invalid\n\n").await;
    // Longer than two of the shortest pauses.
    let more = tokio::time::timeout(Duration::from_millis(900), switch.listener.accept()).await;
    assert!(more.is_err(), "it tried again");
    links.set(vec![switch.link("right")]);
    switch.logged_in().await;
    links.stop().await;
}

/// A reload that changes what is wanted leaves the link as it is.
#[tokio::test]
async fn what_is_wanted_changes_without_a_new_connection() {
    let (switch, kept) = (Switch::start().await, Kept::new());
    let mut links = Links::new(kept.clone());
    links.set(vec![switch.link("right")]);
    let mut peer = switch.logged_in().await;
    peer.play("record_and_vars.txt", "CHANNEL_HANGUP").await;
    let before = kept.wait_for(EventKind::Connected, 1).await;
    assert_eq!(before.last().map(|e| e.var.contains_key("crm_ticket")), Some(false));
    links.want(VariableNames::new(["CRM_TICKET"]));
    links.set(vec![switch.link("right")]);
    peer.play("record_and_vars.txt", "").await;
    let events = kept.wait_for(EventKind::Cdr, 1).await;
    let cdr = events.last().expect("a record");
    assert_eq!(cdr.var.get("crm_ticket").map(String::as_str), Some("T-7"));
    assert_eq!((&*cdr.call, cdr.recording.ends_with(".wav")), ("c88", true));
    assert_eq!(links.health("main").expect("it runs").logins(), 1);
    links.stop().await;
}
