//! What each event adds to the facts.

use std::time::Instant;

use super::call::{OpenCall, Transfer, is_dialplan_word};
use super::{ChannelEvent, ChannelInfo, DialStatus, EndReason, Join, State, Tracker};

impl Tracker {
    pub(super) fn take(&mut self, now: Instant, wall: i64, event: ChannelEvent) {
        match event {
            ChannelEvent::Created(info) => {
                self.with(now, wall, &info, true, |open, info| {
                    let caller = open.id == info.unique_id;
                    if let Some(channel) = open.channel(&info.unique_id) {
                        channel.created = true;
                        channel.exten.clone_from(&info.exten);
                    }
                    if caller && !is_dialplan_word(&info.exten) {
                        open.did.clone_from(&info.exten);
                    }
                });
            }
            ChannelEvent::Changed(info) => _ = self.with(now, wall, &info, true, |_, _| {}),
            ChannelEvent::DialBegin { from, to } => self.dial_begin(now, wall, from, &to),
            ChannelEvent::DialRinging { to } => {
                let rings = ChannelInfo { state: Some(State::Ringing), ..to };
                self.with(now, wall, &rings, false, |_, _| {});
            }
            ChannelEvent::DialEnd { to, status } => self.dial_end(now, wall, &to, status),
            ChannelEvent::BridgeEnter { channel, bridge } => {
                self.bridge(now, wall, &channel, &bridge);
            }
            ChannelEvent::Bridged { one, other } => self.bridged(now, wall, &one, &other),
            ChannelEvent::Pickup { by, target } => self.pickup(now, wall, &by, &target),
            ChannelEvent::BlindTransfer { transferer, extension } => {
                self.with(now, wall, &transferer, false, |open, _| {
                    let transfer =
                        Transfer { at: wall, to: extension, extension: String::new(), other: String::new() };
                    open.transfers.push(transfer);
                });
            }
            ChannelEvent::AttendedTransfer { transferer, consultation } => {
                self.attended(now, wall, &transferer, &consultation);
            }
            // It says nothing of its call: only a channel that is known has another name now.
            ChannelEvent::Renamed { channel: info } if !self.of_channel.contains_key(&info.unique_id) => {}
            ChannelEvent::Renamed { channel: info } => {
                let outside = self.trunks.leads_outside(&info.name);
                self.with(now, wall, &info, false, |open, info| {
                    if let Some(channel) = open.channel(&info.unique_id) {
                        channel.name.clone_from(&info.name);
                        channel.extension.clone_from(&info.extension);
                        channel.outside = outside;
                    }
                });
            }
            ChannelEvent::HangupAsked(info) => {
                self.with(now, wall, &info, false, |open, info| {
                    if let Some(channel) = open.channel(&info.unique_id) {
                        channel.asked_hangup = true;
                    }
                });
            }
            ChannelEvent::Hangup { channel: info, cause } => {
                self.with(now, wall, &info, false, |open, info| {
                    if let Some(channel) = open.channel(&info.unique_id) {
                        channel.gone.get_or_insert(wall);
                        channel.cause = channel.cause.or(cause);
                    }
                });
            }
            ChannelEvent::QueueJoined { channel, queue } => {
                self.with(now, wall, &channel, false, |open, _| open.queue = queue);
            }
            ChannelEvent::QueueAbandoned(channel) => {
                self.with(now, wall, &channel, false, |open, _| open.abandoned = true);
            }
            ChannelEvent::AppAnswered { linked_id } => {
                if let Some(key) = self.known(&linked_id)
                    && let Some(call) = self.calls.get_mut(&key)
                {
                    call.open.app_answered.get_or_insert(wall);
                    self.touch(key, now);
                }
            }
        }
    }

    /// Adds a fact to the call that a channel belongs to, and what the event says of the channel. `None`: the channel is
    /// over, or there is no room for it.
    fn with(
        &mut self,
        now: Instant,
        wall: i64,
        info: &ChannelInfo,
        its_own: bool,
        fact: impl FnOnce(&mut OpenCall, &ChannelInfo),
    ) -> Option<u64> {
        let key = self.resolve(now, wall, info)?;
        let call = self.calls.get_mut(&key)?;
        let is_caller = call.open.caller().is_some_and(|c| c.unique_id == info.unique_id);
        if is_caller && !info.account.is_empty() {
            call.open.account.clone_from(&info.account);
        }
        call.open.learn_variables(&info.variables);
        if let Some(channel) = call.open.channel(&info.unique_id) {
            channel.learn(info, its_own, wall);
            channel.seen = Some(now);
            channel.doubted = false;
        }
        fact(&mut call.open, info);
        self.touch(key, now);
        Some(key)
    }

    /// The call of a channel. A channel stays in the call in which it was first seen: only a transfer or a pickup moves it,
    /// although the PBX changes its linked id as soon as it meets another call.
    fn resolve(&mut self, now: Instant, wall: i64, info: &ChannelInfo) -> Option<u64> {
        if info.unique_id.is_empty() {
            return None;
        }
        if let Some(key) = self.of_channel.get(&info.unique_id) {
            return Some(*key);
        }
        // Another channel's event has named it by its id alone.
        if info.name.is_empty() {
            return None;
        }
        let linked = if info.linked_id.is_empty() { &info.unique_id } else { &info.linked_id };
        let known = self.known(linked);
        if self.ended.has(&info.unique_id) || (known.is_none() && self.ended.has(linked)) {
            return None;
        }
        let key = match known {
            Some(key) => key,
            None => {
                self.make_room(now, wall);
                self.insert(now, OpenCall::new(linked, info.start.unwrap_or(wall)))
            }
        };
        let outside = self.trunks.leads_outside(&info.name);
        let call = self.calls.get_mut(&key)?;
        if let Some(forgotten) = call.open.add(info, outside)? {
            self.of_channel.remove(&forgotten);
            self.ended.add(now, forgotten);
        }
        let is_caller = call.open.id == info.unique_id;
        if is_caller && call.open.did.is_empty() && !is_dialplan_word(&info.exten) {
            call.open.did.clone_from(&info.exten);
        }
        self.of_channel.insert(info.unique_id.clone(), key);
        if let Some(own) = self.of_linked.get(&info.unique_id).copied().filter(|own| *own != key) {
            self.absorb(now, wall, own, key);
        }
        Some(key)
    }

    /// The call that the PBX means by an id: a call's, or one of its channels'.
    fn known(&self, linked_id: &str) -> Option<u64> {
        self.of_linked.get(linked_id).or_else(|| self.of_channel.get(linked_id)).copied()
    }

    /// What a channel of the call `into` has dialled was heard of before that channel was, and seemed to be a call.
    fn absorb(&mut self, now: Instant, wall: i64, from: u64, into: u64) {
        if self.calls.get(&from).is_none_or(|call| call.open.announced) {
            return;
        }
        let Some(call) = self.calls.remove(&from) else { return };
        self.due.remove(&(call.armed, from));
        for channel in &call.open.channels {
            self.of_channel.insert(channel.unique_id.clone(), into);
        }
        let ids = call.open.linked_ids.clone();
        let Some(kept) = self.calls.get_mut(&into) else { return };
        kept.open.take_in(call.open, EndReason::Hangup);
        kept.open.note_talk(wall);
        for id in ids {
            if kept.open.linked_ids.contains(&id) {
                self.of_linked.insert(id, into);
            } else {
                self.of_linked.remove(&id);
            }
        }
        self.touch(into, now);
    }

    fn dial_begin(&mut self, now: Instant, wall: i64, from: Option<ChannelInfo>, to: &ChannelInfo) {
        let dialling = from.as_ref().and_then(|from| self.with(now, wall, from, false, |_, _| {}));
        let Some(dialled) = self.with(now, wall, to, false, |_, _| {}) else { return };
        // A party that is dialled although it has a call of its own takes the place of a phone that rang: a pickup.
        // What is dialled while it is transferred is a local channel, and its transfer is told apart.
        let other = dialling.filter(|into| *into != dialled);
        let is_caller = self.calls.get(&dialled).and_then(|c| c.open.caller()).map(|c| &c.unique_id);
        let picks_up = other.filter(|_| is_caller == Some(&to.unique_id));
        let Some(into) = picks_up else {
            if let Some(channel) = self.calls.get_mut(&dialled).and_then(|c| c.open.channel(&to.unique_id)) {
                channel.dial(&to.number);
            }
            return;
        };
        let exten = from.map_or_else(String::new, |from| from.exten);
        let first = self.calls.get(&into).map_or("", |call| call.open.dialled_first());
        let number = if is_dialplan_word(&exten) { first.to_owned() } else { exten };
        self.join(now, dialled, Join { into, reason: EndReason::Pickup, at: wall, number, guessed: false });
    }

    fn dial_end(&mut self, now: Instant, wall: i64, to: &ChannelInfo, status: DialStatus) {
        self.with(now, wall, to, false, |open, info| {
            if let Some(channel) = open.channel(&info.unique_id) {
                channel.dial_end.get_or_insert(status);
            }
        });
    }

    fn bridge(&mut self, now: Instant, wall: i64, channel: &ChannelInfo, bridge: &str) -> Option<u64> {
        self.with(now, wall, channel, false, |open, info| {
            if let Some(channel) = open.channel(&info.unique_id) {
                channel.enter(bridge);
            }
            open.note_talk(wall);
        })
    }

    /// Two legs hear each other. Where they are of two calls, the later one goes on in the earlier one: its caller took a
    /// ringing or parked call over, or whom he had called was handed over.
    fn bridged(&mut self, now: Instant, wall: i64, one: &ChannelInfo, other: &ChannelInfo) {
        let bridge = format!("{}+{}", one.unique_id, other.unique_id);
        let [first, second] = [one, other].map(|channel| self.bridge(now, wall, channel, &bridge));
        let (Some(first), Some(second)) = (first, second) else { return };
        if first == second {
            return;
        }
        let began = |key| self.calls.get(&key).map(|call| (call.open.start, key));
        let first_is_later = began(first) > began(second);
        let (into, later, leg) = if first_is_later { (second, first, one) } else { (first, second, other) };
        let caller = self.calls.get(&later).and_then(|call| call.open.caller());
        let reason = match caller.is_some_and(|caller| caller.unique_id == leg.unique_id) {
            true => EndReason::Pickup,
            false => EndReason::Transferred,
        };
        let open = self.calls.get(&into).map(|call| &call.open);
        let rang = |open: &OpenCall| open.legs().last().map(|leg| leg.called_as.clone());
        let number = open.map(|open| rang(open).unwrap_or_else(|| open.dialled_first().to_owned()));
        let number = number.unwrap_or_default();
        self.join(now, later, Join { into, reason, at: wall, number, guessed: true });
    }

    fn pickup(&mut self, now: Instant, wall: i64, by: &ChannelInfo, target: &ChannelInfo) {
        let into = self.with(now, wall, target, false, |_, _| {});
        let picking = self.with(now, wall, by, false, |_, _| {});
        let (Some(into), Some(picking)) = (into, picking) else { return };
        if into == picking {
            return;
        }
        let number = self.calls.get_mut(&into).and_then(|c| c.open.channel(&target.unique_id));
        let number = number.map_or_else(String::new, |c| c.called_as.clone());
        self.join(now, picking, Join { into, reason: EndReason::Pickup, at: wall, number, guessed: false });
    }

    fn attended(&mut self, now: Instant, wall: i64, transferer: &ChannelInfo, consultation: &ChannelInfo) {
        let stays = self.with(now, wall, transferer, false, |_, _| {});
        let ends = self.with(now, wall, consultation, false, |_, _| {});
        match (stays, ends) {
            (Some(into), Some(ends)) if into != ends => {
                let reason = EndReason::Transferred;
                let join = Join { into, reason, at: wall, number: String::new(), guessed: false };
                self.join(now, ends, join);
            }
            (Some(key), _) => {
                if let Some(call) = self.calls.get_mut(&key) {
                    let transfer = call.open.transfer_to_last_leg(wall, String::new());
                    call.open.transfers.push(transfer);
                }
            }
            (None, _) => {}
        }
    }

    /// What becomes of the call is told when it is quiet, with all that belongs to the same moment. What the PBX
    /// says counts more than what was guessed, whichever comes first.
    fn join(&mut self, now: Instant, key: u64, join: Join) {
        let into = join.into;
        let said = !join.guessed;
        let gives_way = |known: &Join| said && known.guessed;
        if let Some(other) = self.calls.get_mut(&into)
            && let Some(known) = other.joins.take_if(|known| known.into == key)
        {
            if !gives_way(&known) {
                other.joins = Some(known);
                return;
            }
            if let Some(call) = self.calls.get_mut(&key) {
                call.awaits.retain(|awaited| *awaited != into);
            }
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        if call.joins.as_ref().is_none_or(gives_way) {
            call.joins = Some(join);
            if let Some(into) = self.calls.get_mut(&into)
                && !into.awaits.contains(&key)
            {
                into.awaits.push(key);
            }
        }
        self.touch(key, now);
    }

    /// What a snapshot says of a channel.
    pub(super) fn learn_present(&mut self, now: Instant, wall: i64, info: &ChannelInfo) -> Option<u64> {
        let key = self.resolve(now, wall, info)?;
        let call = self.calls.get_mut(&key)?;
        call.open.start = call.open.start.min(info.start.unwrap_or(wall));
        call.open.learn_variables(&info.variables);
        let is_caller = call.open.caller().is_some_and(|c| c.unique_id == info.unique_id);
        if is_caller {
            call.open.account.clone_from(&info.account);
        }
        let channel = call.open.channel(&info.unique_id)?;
        channel.learn(info, true, wall);
        channel.seen = Some(now);
        if !is_caller {
            channel.dial(&info.number);
        }
        if let Some(bridge) = &info.bridge {
            channel.enter(bridge);
            call.open.note_talk(wall);
        }
        Some(key)
    }
}
