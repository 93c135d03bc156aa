//! What an event says of one channel.

use crate::freeswitch::said::Said;
use crate::terms::Number;
use crate::track::{ChannelInfo, Kind, MAX_TEXT, MAX_VALUE, VariableNames, cut};

/// The variables that are read whoever wants them: `{call}`.
const ALWAYS: [&str; 1] = ["webhook_call"];

/// Endpoints without anybody behind them.
const INTERNAL: &[&str] = &["error", "null"];

/// What `originate` gives a channel for a number when nobody says one (measured).
const NO_NUMBER: &str = "0000000000";

/// The channel of an event. `None`: the event is about none.
pub(super) fn channel(said: Said<'_>, wanted: &VariableNames) -> Option<ChannelInfo> {
    let unique_id = cut(&said.get("Unique-ID"), MAX_TEXT);
    if unique_id.is_empty() {
        return None;
    }
    let name = cut(&said.get("Channel-Name"), MAX_TEXT);
    let outbound = is_outbound(said);
    let caller = said.caller();
    // `dialed_user` changes when the leg itself dials on (measured).
    let own_user = said.first(&[if outbound { "" } else { "variable_user_name" }, "Channel-Presence-ID"]);
    let number = if outbound { called_as(said) } else { caller_number(said, &caller.shown_number()) };
    let variable = |name: &str| {
        let value = said.0.variable(name).filter(|value| !value.is_empty())?;
        Some((cut(name, MAX_TEXT), cut(&value, MAX_VALUE)))
    };
    let linked_id = cut(&linked_id(said), MAX_TEXT);
    // A leg of somebody else's call has an account of its own there.
    let account = if linked_id == unique_id { said.get("variable_accountcode") } else { String::new() };
    Some(ChannelInfo {
        linked_id,
        kind: kind(&name, &unique_id, &said.get("variable_other_loopback_leg_uuid")),
        extension: extension(&name, &own_user),
        name,
        unique_id,
        number: cut(&number, MAX_TEXT),
        caller_name: cut(caller.shown_name(), MAX_TEXT),
        exten: cut(&said.get("Caller-Destination-Number"), MAX_TEXT),
        account: cut(&account, MAX_TEXT),
        state: None,
        bridge: None,
        start: None,
        variables: ALWAYS.into_iter().chain(wanted.iter()).filter_map(variable).collect(),
    })
}

/// The other leg, as far as the event of the channel `with` tells of it.
pub(super) fn other_leg(said: Said<'_>, with: &ChannelInfo) -> Option<ChannelInfo> {
    let unique_id = cut(&said.get("Other-Leg-Unique-ID"), MAX_TEXT);
    let name = cut(&said.get("Other-Leg-Channel-Name"), MAX_TEXT);
    let number = if said.is("Other-Leg-Direction", "outbound") {
        said.get("Other-Leg-Destination-Number")
    } else {
        Number::from_pbx(&said.get("Other-Leg-Caller-ID-Number")).as_str().to_owned()
    };
    (!unique_id.is_empty()).then(|| ChannelInfo {
        linked_id: with.unique_id.clone(),
        kind: kind(&name, &unique_id, ""),
        extension: extension(&name, ""),
        name,
        unique_id,
        number: cut(&number, MAX_TEXT),
        exten: cut(&said.get("Other-Leg-Destination-Number"), MAX_TEXT),
        ..ChannelInfo::default()
    })
}

/// A channel of which the event says nothing but its id.
pub(super) fn bare(unique_id: &str) -> ChannelInfo {
    ChannelInfo { unique_id: cut(unique_id, MAX_TEXT), ..ChannelInfo::default() }
}

pub(super) fn is_outbound(said: Said<'_>) -> bool {
    said.is("Call-Direction", "outbound")
}

/// The call that a channel belongs to, or a channel of it. `Channel-Call-UUID` changes when legs are bridged anew, and a
/// leg that somebody's called party dials has that party's id there; both halves of a loopback pair have their own, and so
/// has a leg that a call centre dials for a waiting caller (measured). So who dialled it says more.
fn linked_id(said: Said<'_>) -> String {
    let dialled_by = said.is("Other-Type", "originator") && is_outbound(said);
    let other_leg = if dialled_by { said.get("Other-Leg-Unique-ID") } else { String::new() };
    if !other_leg.is_empty() {
        return other_leg;
    }
    let half = if is_outbound(said) { "" } else { "variable_other_loopback_leg_uuid" };
    said.first(&[half, "variable_cc_member_session_uuid", "Channel-Call-UUID"])
}

/// The number by which a leg was called: the one that its caller dialled. The first leg of an `originate` dialled none, so
/// what it is bridged to was called by its own number.
fn called_as(said: Said<'_>) -> String {
    let own = said.get("Caller-Destination-Number");
    let dialled = said.get("Other-Leg-Destination-Number");
    let first_leg =
        said.is("Other-Leg-Direction", "outbound") && phone(&said.get("Other-Leg-Channel-Name")) == dialled;
    let by_somebody = said.is("Other-Type", "originator") && !dialled.is_empty();
    if by_somebody && !first_leg { dialled } else { own }
}

/// The number that a caller came with: FreeSWITCH changes the other one when it bridges him anew.
fn caller_number(said: Said<'_>, shown: &Number) -> String {
    let first = said.get("Caller-Orig-Caller-ID-Number");
    let number =
        if shown.is_withheld() || first.is_empty() { shown.clone() } else { Number::from_pbx(&first) };
    if number.as_str() == NO_NUMBER { String::new() } else { number.as_str().to_owned() }
}

/// `loopback/201-b` is half of a pair. Where its other half is not known, the pair has the name that both share.
pub(super) fn kind(name: &str, unique_id: &str, other_half: &str) -> Kind {
    let endpoint = name.split('/').next().unwrap_or_default();
    if INTERNAL.contains(&endpoint) {
        return Kind::Internal;
    }
    match name.rsplit_once('-') {
        Some((pair, "a" | "b")) if endpoint == "loopback" => {
            let pair = if other_half.is_empty() { pair } else { unique_id.min(other_half) };
            Kind::Half { pair: cut(pair, MAX_TEXT) }
        }
        _ => Kind::Party,
    }
}

/// The phone: the user of the directory, `201@pbx.example.com`, where there is one, else what the channel's name says.
pub(super) fn extension(name: &str, user: &str) -> String {
    let user = user.split_once('@').map_or(user, |(user, _)| user);
    cut(if user.is_empty() { phone(name) } else { user }, MAX_TEXT)
}

/// `201` of `sofia/internal/201@192.0.2.7:5060`.
fn phone(name: &str) -> &str {
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    let user = last.split_once('@').map_or(last, |(user, _)| user);
    match name.starts_with("loopback/") {
        true => user.strip_suffix("-a").or_else(|| user.strip_suffix("-b")).unwrap_or(user),
        false => user,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_channels() {
        let half = |pair: &str| Kind::Half { pair: pair.to_owned() };
        for (name, other, expected, expected_kind) in [
            ("sofia/internal/201@192.0.2.7:5060", "", "201", Kind::Party),
            ("sofia/external/+31612345678@trunk.example.com", "", "+31612345678", Kind::Party),
            ("sofia/internal/x-a@192.0.2.7", "", "x-a", Kind::Party),
            ("verto.rtc/1008", "", "1008", Kind::Party),
            ("loopback/201-a", "z", "201", half("u")),
            ("loopback/201-b", "a", "201", half("a")),
            ("loopback/201-b", "", "201", half("loopback/201")),
            ("error/user_busy", "", "user_busy", Kind::Internal),
            ("", "", "", Kind::Party),
        ] {
            assert_eq!((phone(name), kind(name, "u", other)), (expected, expected_kind), "{name}");
        }
    }
}
