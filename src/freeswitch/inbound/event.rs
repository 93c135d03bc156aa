//! From FreeSWITCH's events to [`ChannelEvent`].

use crate::freeswitch::esl::Event;
use crate::freeswitch::said::Said;
use crate::track::{ChannelEvent, ChannelInfo, DialStatus, MAX_TEXT, MAX_VALUE, VariableNames, cut};

use super::cause::{dial_status, q850};
use super::channel::{bare, channel, is_outbound, other_leg};

/// The variable, or header of the `event` application, by which a dialplan says that an application counts as the answer.
const ANSWERED: &str = "switchhook_answered";

/// The name under which the recording's file is kept.
const RECORDING: &str = "recording";

/// What an event says of channels, in order. Empty: nothing that a tracker needs.
pub fn channel_events(event: &Event, wanted: &VariableNames) -> Vec<ChannelEvent> {
    let said = Said(event);
    let Some(info) = channel(said, wanted) else { return Vec::new() };
    let mut events = match &*event.name() {
        "CHANNEL_CREATE" => created(said, info.clone()),
        "CHANNEL_PROGRESS" | "CHANNEL_PROGRESS_MEDIA" if is_outbound(said) => {
            vec![ChannelEvent::DialRinging { to: info.clone() }]
        }
        "CHANNEL_ANSWER" if is_outbound(said) => {
            vec![ChannelEvent::DialEnd { to: info.clone(), status: DialStatus::Answer }]
        }
        // The caller's own channel, with the variables of the dialplan: the called leg's events do not have them.
        "CHANNEL_PROGRESS" | "CHANNEL_PROGRESS_MEDIA" | "CHANNEL_ANSWER" => {
            vec![ChannelEvent::Changed(info.clone())]
        }
        "CHANNEL_BRIDGE" => bridged(said, &info).into_iter().collect(),
        "CHANNEL_UNBRIDGE" => left_behind(said, &info).into_iter().collect(),
        "CHANNEL_HANGUP" => transfers(said, &info).into_iter().collect(),
        "CHANNEL_HANGUP_COMPLETE" => hung_up(said, &info),
        "CHANNEL_APPLICATION" if said.is(ANSWERED, "true") => vec![answered(&info)],
        "RECORD_START" => recorded(said, info.clone()),
        _ => return Vec::new(),
    };
    let queue = cut(&said.get("variable_cc_queue"), MAX_TEXT);
    if !queue.is_empty() {
        events.push(ChannelEvent::QueueJoined { channel: info.clone(), queue });
    }
    if said.is("variable_switchhook_answered", "true") {
        events.push(answered(&info));
    }
    events
}

fn answered(info: &ChannelInfo) -> ChannelEvent {
    ChannelEvent::AppAnswered { linked_id: info.unique_id.clone() }
}

fn created(said: Said<'_>, info: ChannelInfo) -> Vec<ChannelEvent> {
    let dialled = is_outbound(said).then(|| {
        let from = said.is("Other-Type", "originator").then(|| bare(&said.get("Other-Leg-Unique-ID")));
        ChannelEvent::DialBegin { from, to: info.clone() }
    });
    std::iter::once(ChannelEvent::Created(info)).chain(dialled).collect()
}

/// One event for both legs.
fn bridged(said: Said<'_>, info: &ChannelInfo) -> Option<ChannelEvent> {
    let ids = ["Bridge-A-Unique-ID", "Bridge-B-Unique-ID"].map(|name| said.get(name));
    let other = ids.into_iter().find(|id| !id.is_empty() && *id != info.unique_id)?;
    let known = other_leg(said, info).filter(|leg| leg.unique_id == other);
    let other = known.unwrap_or_else(|| bare(&other));
    Some(ChannelEvent::Bridged { one: info.clone(), other })
}

/// A channel left its bridge and lives on: the other one of the bridge, or somebody from outside, has sent it on (measured
/// for REFER, `att_xfer`, `uuid_transfer` and `uuid_bridge`). It is on its way to an extension of the dialplan, and then
/// has no other leg; or to another leg already.
fn left_behind(said: Said<'_>, info: &ChannelInfo) -> Option<ChannelEvent> {
    let [a, b, other] =
        ["Bridge-A-Unique-ID", "Bridge-B-Unique-ID", "Other-Leg-Unique-ID"].map(|name| said.get(name));
    // What it sends on itself is told when it hangs up.
    if !said.get("Hangup-Cause").is_empty() || !said.get("variable_transfer_to").is_empty() {
        return None;
    }
    let left = if a == info.unique_id { b } else { a };
    let transferer = bare(&left);
    if !other.is_empty() {
        let elsewhere = other != info.unique_id && other != left;
        return elsewhere.then(|| ChannelEvent::AttendedTransfer { transferer, consultation: bare(&other) });
    }
    // `inline` is no extension that anybody dialled, but applications: the music before a transfer is complete.
    let by_dialplan =
        said.get("variable_transfer_source").contains(":bl_xfer:") && !said.is("Caller-Dialplan", "inline");
    by_dialplan.then(|| ChannelEvent::BlindTransfer { transferer, extension: info.exten.clone() })
}

/// A phone that sent its call on hangs up. `transfer_to` says who went where; where the one who stays tells it by leaving
/// his bridge, that is enough.
fn transfers(said: Said<'_>, info: &ChannelInfo) -> Option<ChannelEvent> {
    let to = said.get("variable_transfer_to");
    let (how, who) = to.split_once(':')?;
    let called = said.is("Other-Type", "originator");
    match how {
        "blind" if !called => {
            let destination = said.get("variable_transfer_destination");
            let extension = cut(destination.strip_prefix("blind:").unwrap_or(who), MAX_TEXT);
            Some(ChannelEvent::BlindTransfer { transferer: info.clone(), extension })
        }
        "att" if !called => {
            Some(ChannelEvent::AttendedTransfer { transferer: info.clone(), consultation: bare(who) })
        }
        // While the target rings.
        "satt" => Some(ChannelEvent::AttendedTransfer { transferer: bare(who), consultation: info.clone() }),
        _ => None,
    }
}

fn hung_up(said: Said<'_>, info: &ChannelInfo) -> Vec<ChannelEvent> {
    let mut events = Vec::new();
    let cause = said.get("Hangup-Cause");
    let was_answered = !matches!(&*said.get("Caller-Channel-Answered-Time"), "" | "0");
    if is_outbound(said) {
        let status = if was_answered { DialStatus::Answer } else { dial_status(&cause) };
        events.push(ChannelEvent::DialEnd { to: info.clone(), status });
    }
    // Where its bridge was not seen, because the link came up around that moment, it was answered all the same.
    let last = said.get("variable_last_bridge_to");
    if !last.is_empty() {
        events.push(ChannelEvent::Bridged { one: info.clone(), other: bare(&last) });
    }
    if said.get("variable_sip_hangup_disposition").starts_with("recv_") {
        events.push(ChannelEvent::HangupAsked(info.clone()));
    }
    if said.is("variable_cc_cause", "cancel") {
        events.push(ChannelEvent::QueueAbandoned(info.clone()));
    }
    // A caller whom nobody answered ends with NORMAL_CLEARING; why is in the outcome of his last bridge (measured).
    let outcome = said.get("variable_originate_disposition");
    let failed = q850(&outcome).filter(|_| !was_answered && !is_outbound(said));
    events.push(ChannelEvent::Hangup { channel: info.clone(), cause: failed.or(q850(&cause)) });
    events
}

fn recorded(said: Said<'_>, mut info: ChannelInfo) -> Vec<ChannelEvent> {
    let file = cut(&said.get("Record-File-Path"), MAX_VALUE);
    info.variables.push((RECORDING.to_owned(), file));
    vec![ChannelEvent::Changed(info)]
}
