//! From AMI's events to [`ChannelEvent`].

use crate::terms::Number;
use crate::track::{ChannelEvent, ChannelInfo, DialStatus, Kind, MAX_TEXT, MAX_VALUE, State, cut};

use super::codec::Block;

/// Channels of these technologies are the PBX itself: nobody is behind them.
const INTERNAL: &[&str] = &[
    "Announcer",
    "AsyncGoto",
    "Bridge",
    "CBAnn",
    "CBRec",
    "Message",
    "MulticastRTP",
    "Recorder",
    "Snoop",
    "Surrogate",
    "UnicastRTP",
];

/// What an event says of channels. `None`: nothing that a tracker needs.
pub fn channel_event(block: &Block<'_>) -> Option<ChannelEvent> {
    let channel = || channel(block, "");
    Some(match block.bytes("Event")? {
        b"Newchannel" => ChannelEvent::Created(channel()?),
        b"Newstate" | b"NewCallerid" => ChannelEvent::Changed(channel()?),
        b"DialBegin" => {
            let to = self::channel(block, "Dest")?;
            ChannelEvent::DialBegin { from: channel(), to }
        }
        b"DialState" => match block.bytes("DialStatus") {
            Some(b"RINGING" | b"PROGRESS") => ChannelEvent::DialRinging { to: self::channel(block, "Dest")? },
            _ => return None,
        },
        b"DialEnd" => {
            let status = dial_status(block);
            ChannelEvent::DialEnd { to: self::channel(block, "Dest")?, status }
        }
        b"BridgeEnter" => {
            ChannelEvent::BridgeEnter { channel: channel()?, bridge: text(block, "BridgeUniqueid") }
        }
        b"Pickup" => ChannelEvent::Pickup { by: channel()?, target: self::channel(block, "Target")? },
        // Who fetches a parked call takes it over as one who picks up takes over a ringing phone.
        b"UnParkedCall" => ChannelEvent::Pickup {
            by: self::channel(block, "Retriever")?,
            target: self::channel(block, "Parkee")?,
        },
        b"BlindTransfer" if block.is("Result", "Success") => ChannelEvent::BlindTransfer {
            transferer: self::channel(block, "Transferer")?,
            extension: text(block, "Extension"),
        },
        b"AttendedTransfer" if block.is("Result", "Success") => ChannelEvent::AttendedTransfer {
            transferer: self::channel(block, "OrigTransferer")?,
            consultation: self::channel(block, "SecondTransferer")?,
        },
        b"Rename" => {
            // It says the old name, and no linked id.
            let mut info = channel()?;
            info.name = text(block, "Newname");
            info.kind = kind(&info.name);
            info.extension = extension(&info.name).to_owned();
            ChannelEvent::Renamed { channel: info }
        }
        b"HangupRequest" => ChannelEvent::HangupAsked(channel()?),
        b"Hangup" => ChannelEvent::Hangup { channel: channel()?, cause: number(block, "Cause") },
        b"QueueCallerJoin" => ChannelEvent::QueueJoined { channel: channel()?, queue: text(block, "Queue") },
        b"QueueCallerAbandon" => ChannelEvent::QueueAbandoned(channel()?),
        b"UserEvent" if block.is("UserEvent", "SwitchhookAnswered") => {
            ChannelEvent::AppAnswered { linked_id: text(block, "Linkedid") }
        }
        _ => return None,
    })
}

/// A row of the answer to CoreShowChannels, read at `wall` ms since 1970.
pub fn present_channel(block: &Block<'_>, wall: i64) -> Option<ChannelInfo> {
    let mut info = channel(block, "")?;
    let bridge = text(block, "BridgeId");
    info.bridge = (!bridge.is_empty()).then_some(bridge);
    info.start =
        duration(&block.text("Duration")).and_then(|seconds| wall.checked_sub(seconds.checked_mul(1000)?));
    Some(info)
}

/// Seconds of `01:02:03`.
fn duration(clock: &str) -> Option<i64> {
    clock.split(':').try_fold(0i64, |sum, part| sum.checked_mul(60)?.checked_add(part.parse().ok()?))
}

/// The channel that an event describes under a prefix. Asterisk repeats the whole description in every event.
fn channel(block: &Block<'_>, prefix: &str) -> Option<ChannelInfo> {
    let name_of = |key: &str| format!("{prefix}{key}");
    let text = |key: &str| text(block, &name_of(key));
    let unique_id = text("Uniqueid");
    if unique_id.is_empty() {
        return None;
    }
    let name = text("Channel");
    let extension = extension(&name).to_owned();
    let number = Number::from_pbx(&text("CallerIDNum")).as_str().to_owned();
    // A parked call that comes back calls PJSIP/201 by the extension PJSIP_201 (measured).
    let comes_back = number
        .split_once('_')
        .is_some_and(|(technology, peer)| peer == extension && name.split('/').next() == Some(technology));
    Some(ChannelInfo {
        kind: kind(&name),
        number: if comes_back { extension.clone() } else { number },
        extension,
        name,
        unique_id,
        linked_id: text("Linkedid"),
        caller_name: text("CallerIDName"),
        exten: text("Exten"),
        account: text("AccountCode"),
        state: match block.bytes(&name_of("ChannelState")) {
            Some(b"6") => Some(State::Up),
            Some(b"5") => Some(State::Ringing),
            Some(_) => Some(State::Down),
            None => None,
        },
        bridge: None,
        start: None,
        variables: block
            .values(&name_of("ChanVariable"))
            .filter_map(|v| {
                let v = String::from_utf8_lossy(v);
                let (name, value) = v.split_once('=')?;
                Some((cut(name, MAX_TEXT), cut(value, MAX_VALUE)))
            })
            .collect(),
    })
}

fn text(block: &Block<'_>, name: &str) -> String {
    cut(&block.text(name), MAX_TEXT)
}

fn number(block: &Block<'_>, name: &str) -> Option<u16> {
    block.text(name).parse().ok()
}

fn dial_status(block: &Block<'_>) -> DialStatus {
    match block.bytes("DialStatus") {
        Some(b"ANSWER") => DialStatus::Answer,
        Some(b"BUSY") => DialStatus::Busy,
        Some(_) if block.bytes("Forward").is_some_and(|to| !to.is_empty()) => DialStatus::Forwarded,
        Some(b"CANCEL" | b"ABORT") => DialStatus::Cancel,
        Some(b"CHANUNAVAIL" | b"CONGESTION") => DialStatus::Unreachable,
        Some(b"DONTCALL" | b"TORTURE") => DialStatus::Rejected,
        _ => DialStatus::NoAnswer,
    }
}

/// `Local/201@office-0000001f;2` is half of a pair.
fn kind(name: &str) -> Kind {
    let technology = name.split('/').next().unwrap_or_default();
    match name.rsplit_once(';') {
        Some((pair, "1" | "2")) if technology == "Local" => Kind::Half { pair: pair.to_owned() },
        _ if technology == "Local" || INTERNAL.contains(&technology) => Kind::Internal,
        _ => Kind::Party,
    }
}

/// `201` of `PJSIP/201-0000002a`: without the technology and the number that Asterisk gives each channel.
fn extension(name: &str) -> &str {
    let resource = name.split_once('/').map_or(name, |(_, resource)| resource);
    let resource = resource.split_once('@').map_or(resource, |(user, _)| user);
    resource.rsplit_once('-').map_or(resource, |(peer, _)| peer)
}

#[cfg(test)]
mod tests {
    use super::super::codec::Decoder;
    use super::*;

    fn map(text: &str) -> Option<ChannelEvent> {
        let mut decoder = Decoder::default();
        decoder.push(format!("{}\r\n\r\n", text.replace('|', "\r\n")).as_bytes());
        channel_event(&decoder.next_block().expect("a block").expect("a block"))
    }

    #[test]
    fn names_of_channels() {
        for (name, expected, expected_kind) in [
            ("PJSIP/201-0000002a", "201", Kind::Party),
            ("PJSIP/trunk-nl-0000002a", "trunk-nl", Kind::Party),
            ("SIP/voipgrid-siproute-docker-00000009", "voipgrid-siproute-docker", Kind::Party),
            ("IAX2/peer-1234", "peer", Kind::Party),
            (
                "Local/201@office-1-0000001f;2",
                "201",
                Kind::Half { pair: "Local/201@office-1-0000001f".into() },
            ),
            ("Message/ast_msg_queue", "ast_msg_queue", Kind::Internal),
            ("", "", Kind::Party),
        ] {
            assert_eq!((extension(name), kind(name)), (expected, expected_kind), "{name}");
        }
    }

    #[test]
    fn an_originated_call_has_only_the_dialled_side() {
        let Some(ChannelEvent::DialBegin { from: None, to }) = map(
            "Event: DialBegin|DestChannel: PJSIP/a-1|DestUniqueid: u1|DestLinkedid: u1|DestCallerIDNum: 7777",
        ) else {
            panic!("no DialBegin without a caller")
        };
        assert_eq!((&*to.unique_id, &*to.number), ("u1", "7777"));
    }

    #[test]
    fn nothing_is_taken_from_other_events() {
        // Cdr writes UniqueID and comes with the same channel again and again.
        for other in [
            "Event: Cdr|Channel: PJSIP/a-1|UniqueID: u1|LinkedID: u1|Disposition: ANSWERED",
            "Event: VarSet|Channel: PJSIP/a-1|Uniqueid: u1|Variable: CODE|Value: 1234",
            "Event: UserEvent|UserEvent: Other|Uniqueid: u1|Linkedid: u1",
            "Event: BlindTransfer|Result: Fail|TransfererUniqueid: u1|Extension: 5",
            "Event: OriginateResponse|Response: Failure|Channel: PJSIP/x|Uniqueid: <unknown>",
            "Event: Hangup|Channel: PJSIP/a-1|Uniqueid: <unknown>",
            "Response: Success|ActionID: 1",
        ] {
            assert_eq!(map(other), None, "{other}");
        }
    }

    #[test]
    fn variables_withheld_numbers_and_long_texts() {
        let long = "é".repeat(200);
        let text = format!(
            "Event: Hangup|Channel: PJSIP/a-1|Uniqueid: u1|CallerIDNum: anonymous|CallerIDName: {long}|\
             ChanVariable: WEBHOOK_CALL=c88|ChanVariable: CRM_RESULT=|ChanVariable: odd|Cause: 26"
        );
        let Some(ChannelEvent::Hangup { channel, cause: Some(26) }) = map(&text) else { panic!("no hangup") };
        assert_eq!(channel.number, "");
        assert_eq!(channel.caller_name.len(), 256);
        let expected =
            [("WEBHOOK_CALL", "c88"), ("CRM_RESULT", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(channel.variables, expected);
    }
}
