//! What a PBX tells of its channels, in words that both PBXs share.

use serde::{Deserialize, Serialize};

/// Bytes of a name, number or id that are kept, at most.
pub const MAX_TEXT: usize = 256;

/// Bytes of a variable's value that are kept, at most.
pub const MAX_VALUE: usize = 1000;

/// The beginning of a text, at most so many bytes.
pub fn cut(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}

/// A channel as an event describes it. What the event does not say is empty or `None`. A withheld number is empty.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ChannelInfo {
    /// The PBX's id of the channel. An event without it says nothing.
    pub unique_id: String,
    /// The PBX's id of the call, or of a channel of it; the channel's own id where it is empty.
    pub linked_id: String,
    /// The PBX's name for the channel, such as `PJSIP/201-0000002a`. Empty: only a channel that is known already is meant.
    pub name: String,
    /// Whether somebody is behind it.
    pub kind: Kind,
    /// The phone or trunk behind the channel, from its name: `201`.
    pub extension: String,
    /// The channel's own number: of a caller what is presented, of a called leg the number by which it was called.
    pub number: String,
    /// The channel's own name.
    pub caller_name: String,
    /// The extension in the dialplan.
    pub exten: String,
    /// The account code.
    pub account: String,
    /// Its state, where the event tells it.
    pub state: Option<State>,
    /// The bridge that it is in. Only a snapshot tells.
    pub bridge: Option<String>,
    /// When it began, ms since 1970. Only a snapshot tells.
    pub start: Option<i64>,
    /// Channel variables that came with the event.
    pub variables: Vec<(String, String)>,
}

/// What is behind a channel.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Kind {
    /// A phone or a trunk.
    #[default]
    Party,
    /// One half of a pair inside the PBX (Asterisk's `Local/…;1` and `;2`): what enters one half leaves the other.
    Half {
        /// The pair's name.
        pair: String,
    },
    /// The PBX itself: recorders, announcers, message channels.
    Internal,
}

/// A channel's state, as far as calls are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Nothing yet; on a caller's channel: it is calling us.
    Down,
    /// The phone rings.
    Ringing,
    /// Answered.
    Up,
}

/// How the dialling of one channel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DialStatus {
    /// It answered.
    Answer,
    /// It is busy, or said so.
    Busy,
    /// Its time was over, or it hung up without a better word.
    NoAnswer,
    /// The one who dialled gave up, or another leg answered.
    Cancel,
    /// It could not be reached.
    Unreachable,
    /// It declined.
    Rejected,
    /// It sent the call elsewhere.
    Forwarded,
}

/// One thing that happened to channels. Every channel comes with what the event says of it, so that order matters little.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelEvent {
    /// A channel began.
    Created(ChannelInfo),
    /// Its state, number or name changed.
    Changed(ChannelInfo),
    /// A channel is dialled.
    DialBegin {
        /// Who dials; `None` when the PBX itself does (originate).
        from: Option<ChannelInfo>,
        /// Who is dialled.
        to: ChannelInfo,
    },
    /// A dialled channel rings, or sends early media.
    DialRinging {
        /// Who is dialled.
        to: ChannelInfo,
    },
    /// The dialling of a channel is over.
    DialEnd {
        /// Who was dialled.
        to: ChannelInfo,
        /// How it ended.
        status: DialStatus,
    },
    /// A channel entered a bridge: it hears who else is in it.
    BridgeEnter {
        /// The channel.
        channel: ChannelInfo,
        /// The bridge's id.
        bridge: String,
    },
    /// Two legs hear each other (FreeSWITCH says it of both at once).
    Bridged {
        /// One leg.
        one: ChannelInfo,
        /// The other leg.
        other: ChannelInfo,
    },
    /// A channel took over the ringing of another one.
    Pickup {
        /// The channel that picks up.
        by: ChannelInfo,
        /// The channel that rang.
        target: ChannelInfo,
    },
    /// A call was sent on without asking.
    BlindTransfer {
        /// Who sent it.
        transferer: ChannelInfo,
        /// Where to.
        extension: String,
    },
    /// Two calls were joined by somebody who was in both, or one call was after a consultation within it.
    AttendedTransfer {
        /// The transferer's channel in the call that is transferred.
        transferer: ChannelInfo,
        /// The transferer's channel in the consultation call; the same one where the consultation was within the call.
        consultation: ChannelInfo,
    },
    /// A channel has another name.
    Renamed {
        /// The channel, with its new name.
        channel: ChannelInfo,
    },
    /// The far end hung up. [`ChannelEvent::Hangup`] follows.
    HangupAsked(ChannelInfo),
    /// A channel is gone.
    Hangup {
        /// The channel.
        channel: ChannelInfo,
        /// The Q.850 cause, where it is known.
        cause: Option<u16>,
    },
    /// A caller waits in a queue.
    QueueJoined {
        /// The caller's channel.
        channel: ChannelInfo,
        /// The queue's name.
        queue: String,
    },
    /// A caller left a queue without having been answered.
    QueueAbandoned(ChannelInfo),
    /// The dialplan says that an application of it counts as the answer.
    AppAnswered {
        /// The PBX's id of the call, or of a channel of it.
        linked_id: String,
    },
}
