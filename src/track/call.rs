//! What is known of one call: facts about its channels that only grow, so that their order matters little.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::channel::{ChannelInfo, DialStatus, Kind, State};
use crate::terms::{CallEvent, Direction, EndReason, EventKind, LegRecord};

/// Channels of one call that are kept. A queue that rings for hours makes a new one every few seconds: what is over and
/// was not answered is forgotten first.
pub(super) const MAX_CHANNELS: usize = 100;

/// Variables of one call that are kept; a `channelvars` line has a handful.
const MAX_VARIABLES: usize = 64;

/// Bridges of one channel that are kept. A chain of local channels that is optimized away makes one for each link.
const MAX_BRIDGES: usize = 16;

/// Ids of other calls that this one took in.
const MAX_ALIASES: usize = 16;

/// A call that is not over, as it is kept over a restart. Opaque but for its id and [`OpenCall::seq`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCall {
    pub(super) id: String,
    /// The PBX's ids that lead to this call: its own, and those of calls that were joined with it.
    pub(super) linked_ids: Vec<String>,
    pub(super) seq: u32,
    pub(super) announced: bool,
    pub(super) direction: Direction,
    pub(super) caller: Option<String>,
    pub(super) callfrom: String,
    pub(super) did: String,
    pub(super) start: i64,
    pub(super) ringing: Option<i64>,
    pub(super) answer: Option<i64>,
    /// `{callto}` and `{extension}` of the last `connected`.
    pub(super) answered_as: Option<(String, String)>,
    pub(super) app_answered: Option<i64>,
    pub(super) app_connected: bool,
    pub(super) abandoned: bool,
    pub(super) queue: String,
    pub(super) account: String,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) channels: Vec<Channel>,
    /// Transfers that were not told yet.
    #[serde(skip)]
    pub(super) transfers: Vec<Transfer>,
}

/// A transfer that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) at: i64,
    pub(super) to: String,
    pub(super) extension: String,
    pub(super) other: String,
}

/// A channel of a call, hung up or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Channel {
    pub(super) unique_id: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) extension: String,
    pub(super) number: String,
    pub(super) caller_name: String,
    pub(super) exten: String,
    /// Its name is a trunk's.
    pub(super) outside: bool,
    /// Its beginning was seen.
    pub(super) created: bool,
    /// Somebody dialled it, or it took the place of one that was dialled.
    pub(super) dialled: bool,
    pub(super) called_as: String,
    pub(super) rang: Option<i64>,
    pub(super) talked: Option<i64>,
    /// Every bridge that it ever was in. That two channels were in the same one is a fact that no order changes.
    pub(super) bridges: Vec<String>,
    pub(super) dial_end: Option<DialStatus>,
    pub(super) asked_hangup: bool,
    pub(super) gone: Option<i64>,
    pub(super) cause: Option<u16>,
    pub(super) ringing_told: bool,
    pub(super) connected_told: bool,
    /// The last event or snapshot with it; `None` when it was restored and not heard of since.
    #[serde(skip)]
    pub(super) seen: Option<Instant>,
    /// The last snapshot did not hold it, and nothing was heard of it since.
    #[serde(skip)]
    pub(super) doubted: bool,
}

impl Channel {
    fn new(info: &ChannelInfo, outside: bool) -> Channel {
        Channel {
            unique_id: info.unique_id.clone(),
            name: info.name.clone(),
            kind: info.kind.clone(),
            extension: info.extension.clone(),
            number: info.number.clone(),
            caller_name: info.caller_name.clone(),
            exten: info.exten.clone(),
            outside,
            created: false,
            dialled: false,
            called_as: String::new(),
            rang: None,
            talked: None,
            bridges: Vec::new(),
            dial_end: None,
            asked_hangup: false,
            gone: None,
            cause: None,
            ringing_told: false,
            connected_told: false,
            seen: None,
            doubted: false,
        }
    }

    pub(super) fn is_party(&self) -> bool {
        self.kind == Kind::Party
    }

    pub(super) fn enter(&mut self, bridge: &str) {
        if self.bridges.iter().all(|b| b != bridge) {
            if self.bridges.len() == MAX_BRIDGES {
                self.bridges.remove(0);
            }
            self.bridges.push(bridge.to_owned());
        }
    }

    /// Was dialled. `number` is what it was called by; where that is a word of the dialplan, its own name is better.
    pub(super) fn dial(&mut self, number: &str) {
        self.dialled = true;
        if self.called_as.is_empty() {
            let number = if is_dialplan_word(number) { &self.extension } else { number };
            self.called_as = number.to_owned();
        }
    }

    /// What the channel's own events say is newer than what is known; what others say of it only fills gaps, because a
    /// channel that is just being replaced shows another's number there.
    pub(super) fn learn(&mut self, info: &ChannelInfo, its_own: bool, at: i64) {
        for (known, said) in [(&mut self.number, &info.number), (&mut self.caller_name, &info.caller_name)] {
            if its_own || known.is_empty() {
                known.clone_from(said);
            }
        }
        if info.state == Some(State::Ringing) {
            self.rang.get_or_insert(at);
        }
    }
}

/// Extensions that a dialplan uses for itself; nobody dialled them.
pub(super) fn is_dialplan_word(exten: &str) -> bool {
    matches!(exten, "" | "s" | "h" | "i" | "t" | "T" | "o" | "a" | "e" | "fax" | "failed" | "start")
}

impl OpenCall {
    pub(super) fn new(id: &str, start: i64) -> OpenCall {
        OpenCall {
            id: id.to_owned(),
            linked_ids: vec![id.to_owned()],
            seq: 0,
            announced: false,
            direction: Direction::Internal,
            caller: None,
            callfrom: String::new(),
            did: String::new(),
            start,
            ringing: None,
            answer: None,
            answered_as: None,
            app_answered: None,
            app_connected: false,
            abandoned: false,
            queue: String::new(),
            account: String::new(),
            variables: BTreeMap::new(),
            channels: Vec::new(),
            transfers: Vec::new(),
        }
    }

    /// `{calluniqueid}`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `{seq}` of the call's last event.
    pub fn seq(&self) -> u32 {
        self.seq
    }

    /// Adds a channel. `None` when there is no room; otherwise the ids of channels that were forgotten for it.
    pub(super) fn add(&mut self, info: &ChannelInfo, outside: bool) -> Option<Option<String>> {
        let mut forgotten = None;
        if self.channels.len() >= MAX_CHANNELS {
            let caller = self.caller().map(|c| c.unique_id.clone());
            let at = self.channels.iter().position(|c| {
                c.gone.is_some() && c.talked.is_none() && Some(&c.unique_id) != caller.as_ref()
            })?;
            forgotten = Some(self.channels.remove(at).unique_id);
        }
        self.channels.push(Channel::new(info, outside));
        Some(forgotten)
    }

    pub(super) fn channel(&mut self, unique_id: &str) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|c| c.unique_id == unique_id)
    }

    /// Who calls: the channel that began the call, or the first party where the PBX itself began it (originate).
    pub(super) fn caller(&self) -> Option<&Channel> {
        let id = self.caller.as_ref().unwrap_or(&self.id);
        let first = self.channels.iter().find(|c| c.unique_id == *id && c.is_party());
        first.or_else(|| self.channels.iter().find(|c| c.is_party()))
    }

    /// The parties that were called.
    pub(super) fn legs(&self) -> impl Iterator<Item = &Channel> {
        let caller = self.caller().map(|c| c.unique_id.as_str());
        self.channels
            .iter()
            .filter(move |c| c.is_party() && c.dialled && Some(c.unique_id.as_str()) != caller)
    }

    pub(super) fn is_over(&self) -> bool {
        self.channels.iter().all(|c| c.gone.is_some())
    }

    pub(super) fn learn_variables(&mut self, variables: &[(String, String)]) {
        for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
            if self.variables.len() < MAX_VARIABLES || self.variables.contains_key(name) {
                self.variables.insert(name.clone(), value.clone());
            }
        }
    }

    /// The legs that have been in one conversation with another party begin to talk now. Two channels are in one
    /// conversation when they were in the same bridge, and so are the two halves of a pair.
    pub(super) fn note_talk(&mut self, at: i64) {
        let group = self.conversations();
        let mut parties: HashMap<usize, u32> = HashMap::new();
        for (channel, group) in self.channels.iter().zip(&group) {
            *parties.entry(*group).or_default() += u32::from(channel.is_party());
        }
        for (channel, group) in self.channels.iter_mut().zip(&group) {
            if channel.is_party() && parties.get(group).is_some_and(|n| *n > 1) {
                channel.talked.get_or_insert(at);
            }
        }
    }

    /// For each channel the number of its conversation.
    fn conversations(&self) -> Vec<usize> {
        fn root(group: &[usize], mut i: usize) -> usize {
            while group[i] != i {
                i = group[i];
            }
            i
        }
        let mut group: Vec<usize> = (0..self.channels.len()).collect();
        let mut first: HashMap<(bool, &str), usize> = HashMap::new();
        for (i, channel) in self.channels.iter().enumerate() {
            let pair = match &channel.kind {
                Kind::Half { pair } => Some((true, pair.as_str())),
                Kind::Party | Kind::Internal => None,
            };
            for key in channel.bridges.iter().map(|b| (false, b.as_str())).chain(pair) {
                let other = *first.entry(key).or_insert(i);
                let (one, other) = (root(&group, i), root(&group, other));
                group[one.max(other)] = one.min(other);
            }
        }
        (0..group.len()).map(|i| root(&group, i)).collect()
    }

    /// Takes in what is left of a call that was joined with this one.
    pub(super) fn take_in(&mut self, mut other: OpenCall, reason: EndReason) {
        if reason == EndReason::Transferred {
            // The one who transferred was its caller. He is on his way out, and was never called in this call.
            let caller = other.caller.take();
            if let Some(caller) = caller.and_then(|id| other.channel(&id)) {
                caller.dialled = false;
            }
            self.answered_as = other.answered_as.take().or(self.answered_as.take());
        }
        for id in other.linked_ids {
            if self.linked_ids.len() < MAX_ALIASES {
                self.linked_ids.push(id);
            }
        }
        self.channels.extend(other.channels);
        self.learn_variables(&other.variables.into_iter().collect::<Vec<_>>());
    }

    /// The number that was dialled first.
    pub(super) fn dialled_first(&self) -> &str {
        if self.did.is_empty() { self.legs().next().map_or("", |leg| &leg.called_as) } else { &self.did }
    }

    /// `{extension}` for a leg: its phone, or the caller's where the leg leads outside.
    pub(super) fn extension_of(&self, leg: Option<&Channel>) -> String {
        let own = leg.into_iter().chain(self.caller()).find(|c| !c.outside);
        own.map_or_else(String::new, |c| c.extension.clone())
    }

    /// An event about the party that `callto` and `extension` name.
    pub(super) fn tell(
        &mut self,
        event: EventKind,
        at: i64,
        (callto, extension): (String, String),
    ) -> CallEvent {
        self.seq += 1;
        let caller = self.caller();
        let variable = |names: &[&str]| {
            let known = self
                .variables
                .iter()
                .find(|(n, v)| names.iter().any(|name| n.eq_ignore_ascii_case(name)) && !v.is_empty());
            known.map_or_else(String::new, |(_, value)| value.clone())
        };
        CallEvent {
            event,
            seq: self.seq,
            synthetic: false,
            pbx: String::new(),
            calluniqueid: self.id.clone(),
            other_calluniqueid: String::new(),
            direction: self.direction,
            callfrom: self.callfrom.clone(),
            callto,
            did: self.dialled_first().to_owned(),
            callerid: caller.map_or_else(String::new, |c| c.number.clone()),
            callername: caller.map_or_else(String::new, |c| c.caller_name.clone()),
            extension,
            disposition: None,
            reason: None,
            hangup_cause: None,
            timestamp: at,
            start: self.start,
            ringing: self.ringing,
            answer: self.answer,
            end: None,
            duration: seconds(Some(self.start), at),
            talk_time: seconds(self.answer, at),
            call: variable(&["WEBHOOK_CALL"]),
            queue: self.queue.clone(),
            account: self.account.clone(),
            recording: variable(&["MIXMONITOR_FILENAME", "recording"]),
            var: self.variables.clone(),
            legs: Vec::new(),
        }
    }

    /// The legs for the record. What has not hung up ends with the call.
    pub(super) fn leg_records(&self, end: i64) -> Vec<LegRecord> {
        let answered = self.answer.is_some();
        self.legs()
            .map(|leg| LegRecord {
                extension: leg.extension.clone(),
                number: leg.called_as.clone(),
                ringing: leg.rang.or(leg.talked),
                answer: leg.talked,
                end: Some(leg.gone.unwrap_or(end)),
                disposition: leg.disposition(answered),
            })
            .collect()
    }
}

fn seconds(from: Option<i64>, to: i64) -> i64 {
    from.map_or(0, |from| (to - from).max(0) / 1000)
}
