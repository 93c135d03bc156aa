//! What the facts say and was not told yet.

use std::time::Instant;

use super::call::{Channel, OpenCall, Transfer};
use super::{Join, Output, TRUNK_CHECK, Tracker, Warning};
use crate::terms::{CallEvent, Direction, Disposition, EndReason, EventKind};

impl Tracker {
    /// Looks at a call. `found`: by comparing with the PBX.
    pub(super) fn settle(&mut self, now: Instant, key: u64, wall: i64, found: bool) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.dirty = None;
        // What joins it at the same moment comes first, or it could be over before.
        let awaits = std::mem::take(&mut call.awaits);
        if !awaits.is_empty() {
            self.touch(key, now);
            for other in awaits {
                self.settle(now, other, wall, false);
            }
            return;
        }
        let join = call.joins.clone().filter(|join| join.into != key);
        let join = join.filter(|join| self.calls.contains_key(&join.into));
        let Some(call) = self.calls.get_mut(&key) else { return };
        let over = call.open.is_over() || join.is_some();
        let began = call.open.caller().is_some_and(|c| c.created);
        let waits_for_snapshot = !self.compared && !began && !found && join.is_none();
        if !call.open.announced && (waits_for_snapshot || !call.open.announce(over)) {
            if over && !waits_for_snapshot {
                self.forget(now, key);
            } else {
                self.rearm(key);
            }
            return;
        }
        let events = call.open.untold(found);
        self.tell(events);
        match join {
            Some(join) => self.merge(now, key, join),
            None if over => {
                let end =
                    self.calls.get(&key).and_then(|c| c.open.channels.iter().filter_map(|c| c.gone).max());
                self.finish(now, key, EndReason::Hangup, end.unwrap_or(wall), false);
            }
            None => self.rearm(key),
        }
    }

    /// Ends a call: the one place where `disconnected` is made.
    pub(super) fn finish(&mut self, now: Instant, key: u64, reason: EndReason, end: i64, synthetic: bool) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let open = &mut call.open;
        if open.announced || (self.compared && open.announce(true)) {
            let mut events = open.untold(synthetic);
            events.extend(open.ending(reason, end, synthetic));
            self.tell(events);
        }
        self.forget(now, key);
    }

    /// The call goes on in another one.
    fn merge(&mut self, now: Instant, key: u64, join: Join) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let transfer = (join.reason == EndReason::Transferred)
            .then(|| call.open.transfer_to_last_leg(join.at, call.open.id.clone()));
        let events = call.open.ending(join.reason, join.at, false);
        self.tell(events);
        let Some(mut call) = self.calls.remove(&key) else { return };
        self.due.remove(&(call.armed, key));
        let ids = call.open.linked_ids.clone();
        if join.reason == EndReason::Pickup
            && let Some(caller) = call.open.caller.clone()
            && let Some(channel) = call.open.channel(&caller)
        {
            channel.dial(&join.number);
        }
        let (over, left) =
            call.open.channels.into_iter().partition(|c| c.gone.is_some() && c.talked.is_none());
        let over: Vec<Channel> = over;
        for channel in over {
            self.of_channel.remove(&channel.unique_id);
            self.ended.add(now, channel.unique_id);
        }
        for channel in &left {
            self.of_channel.insert(channel.unique_id.clone(), join.into);
        }
        let Some(into) = self.calls.get_mut(&join.into) else { return };
        into.open.take_in(OpenCall { channels: left, ..call.open }, join.reason);
        into.open.note_talk(join.at);
        into.open.transfers.extend(transfer);
        let kept = &into.open.linked_ids;
        let (kept, dropped): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| kept.contains(id));
        for id in kept {
            self.of_linked.insert(id, join.into);
        }
        for id in dropped {
            self.of_linked.remove(&id);
            self.ended.add(now, id);
        }
        self.touch(join.into, now);
    }

    /// A call is over: nothing of it begins it again.
    fn forget(&mut self, now: Instant, key: u64) {
        let Some(call) = self.calls.remove(&key) else { return };
        self.due.remove(&(call.armed, key));
        for id in call.open.linked_ids {
            self.of_linked.remove(&id);
            self.ended.add(now, id);
        }
        for channel in call.open.channels {
            self.of_channel.remove(&channel.unique_id);
            self.ended.add(now, channel.unique_id);
        }
    }

    fn tell(&mut self, events: Vec<CallEvent>) {
        for mut event in events {
            event.pbx.clone_from(&self.pbx);
            if event.event == EventKind::Call {
                self.check_trunks(&event);
            }
            self.outputs.push_back(Output::Event(Box::new(event)));
        }
    }

    fn check_trunks(&mut self, event: &CallEvent) {
        self.calls_told = self.calls_told.saturating_add(1);
        self.trunk_seen |= event.direction != Direction::Internal;
        if self.calls_told == TRUNK_CHECK && !self.trunk_seen {
            let call = self.of_linked.get(&event.calluniqueid).and_then(|key| self.calls.get(key));
            let names = call.into_iter().flat_map(|c| c.open.channels.iter().filter(|c| c.is_party()));
            let seen = names.map(|c| c.name.as_str()).take(4).collect::<Vec<_>>().join(", ");
            self.outputs.push_back(Output::Warning(Warning::NoTrunk { calls: self.calls_told, seen }));
        }
    }
}

impl OpenCall {
    /// Decides what never changes: who calls, in which direction. `false` when it is too early: nobody is there, or a phone
    /// of ours calls and it cannot be known yet where to. `now_or_never`: do not wait for that.
    fn announce(&mut self, now_or_never: bool) -> bool {
        let Some(caller) = self.caller() else { return false };
        // A phone that rings beside its owner's mobile is a phone of ours that was called.
        let called = self.legs().count();
        let outside = self.legs().filter(|leg| leg.outside).count();
        // Dialled by the PBX itself, a trunk is where the call goes to.
        let direction = match (caller.outside, caller.dialled, called) {
            (true, true, _) => Direction::Out,
            (true, false, _) => Direction::In,
            (false, _, 0) if now_or_never || self.app_answered.is_some() => Direction::Internal,
            (false, _, 0) => return false,
            (false, _, called) if called == outside => Direction::Out,
            (false, _, _) => Direction::Internal,
        };
        let ours = direction != Direction::In && !caller.outside && !caller.extension.is_empty();
        let callfrom = if ours { caller.extension.clone() } else { caller.number.clone() };
        let did = if caller.dialled { String::new() } else { self.did.clone() };
        self.caller = Some(caller.unique_id.clone());
        self.direction = direction;
        self.callfrom = callfrom;
        self.did = did;
        true
    }

    /// What happened since the last look, in the order in which it is always told.
    fn untold(&mut self, found: bool) -> Vec<CallEvent> {
        let mut events = Vec::new();
        if !self.announced {
            self.announced = true;
            let about = (self.dialled_first().to_owned(), self.extension_of(None));
            let mut event = self.tell(EventKind::Call, self.start, about);
            event.synthetic = found || !self.caller().is_some_and(|c| c.created);
            events.push(event);
        }
        for transfer in std::mem::take(&mut self.transfers) {
            let about = (transfer.to, transfer.extension);
            let mut event = self.tell(EventKind::Transferred, transfer.at, about);
            event.other_calluniqueid = transfer.other;
            events.push(event);
        }
        let legs: Vec<String> = self.legs().map(|leg| leg.unique_id.clone()).collect();
        for leg in &legs {
            // Found in conversation: that it rang before is nobody's news.
            events.extend(self.ringing(leg, found, false));
        }
        if let Some(at) = self.app_answered.filter(|_| !self.app_connected) {
            self.app_connected = true;
            self.answer.get_or_insert(at);
            let about = (self.dialled_first().to_owned(), self.extension_of(None));
            events.push(self.tell(EventKind::Connected, at, about));
        }
        let mut talking: Vec<(i64, String)> = self
            .legs()
            .filter(|leg| !leg.connected_told)
            .filter_map(|leg| Some((leg.talked?, leg.unique_id.clone())))
            .collect();
        talking.sort_by_key(|(at, _)| *at);
        for (at, leg) in talking {
            events.extend(self.ringing(&leg, found, true));
            events.extend(self.connected(&leg, at, found));
        }
        events
    }

    /// A leg rings, or was answered without.
    fn ringing(&mut self, leg: &str, found: bool, answered: bool) -> Option<CallEvent> {
        let channel = self.channel(leg)?;
        let at = channel.rang.or(channel.talked.filter(|_| answered))?;
        if channel.ringing_told || (found && channel.talked.is_some()) {
            return None;
        }
        channel.ringing_told = true;
        self.ringing.get_or_insert(at);
        let about = self.about(leg);
        let event = self.tell(EventKind::Ringing, at, about);
        Some(CallEvent { synthetic: found, ..event })
    }

    fn connected(&mut self, leg: &str, at: i64, found: bool) -> Option<CallEvent> {
        let channel = self.channel(leg)?;
        channel.connected_told = true;
        channel.ringing_told = true;
        self.answer.get_or_insert(at);
        let about = self.about(leg);
        self.answered_as = Some(about.clone());
        let event = self.tell(EventKind::Connected, at, about);
        Some(CallEvent { synthetic: found, ..event })
    }

    /// `{callto}` and `{extension}` of a leg.
    fn about(&self, leg: &str) -> (String, String) {
        let leg = self.channels.iter().find(|c| c.unique_id == leg);
        (leg.map_or_else(String::new, |c| c.called_as.clone()), self.extension_of(leg))
    }

    /// `disconnected` and `cdr`.
    fn ending(&mut self, reason: EndReason, end: i64, synthetic: bool) -> Vec<CallEvent> {
        let last_rung = self.legs().filter(|leg| leg.rang.is_some()).last();
        let unanswered = (self.dialled_first().to_owned(), self.extension_of(last_rung));
        let about = self.answered_as.clone().unwrap_or(unanswered);
        let picked_up = reason == EndReason::Pickup;
        let disposition = if picked_up { Disposition::Answered } else { self.disposition() };
        // Nobody hung up; whether its first channel's end came in the same moment is chance.
        let joined = picked_up || reason == EndReason::Transferred;
        let cause = if joined { None } else { self.hangup_cause() };
        let legs = self.leg_records(end);
        let mut events: Vec<CallEvent> = [EventKind::Disconnected, EventKind::Cdr]
            .map(|kind| CallEvent {
                synthetic,
                end: Some(end),
                disposition: Some(disposition),
                reason: Some(reason),
                hangup_cause: cause,
                ..self.tell(kind, end, about.clone())
            })
            .into();
        if let Some(cdr) = events.last_mut() {
            cdr.legs = legs;
        }
        events
    }

    /// A transfer to the leg that was called last.
    pub(super) fn transfer_to_last_leg(&self, at: i64, other: String) -> Transfer {
        let target = self.legs().last();
        let to = target.map_or_else(String::new, |leg| leg.called_as.clone());
        Transfer { at, to, extension: target.map_or_else(String::new, |_| self.extension_of(target)), other }
    }
}
