//! What FreeSWITCH says of the channel in its reply to `connect`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::freeswitch::esl::{Event, UNDEFINED};
use crate::freeswitch::said::Said;
use crate::terms::{Channel, Number, Opening, Route};

/// What the dialplan asks for, and the channel.
pub(super) fn opening(event: &Event) -> Opening {
    let said = Said(event);
    let path = said.first(&["variable_socket_path", "variable_switchhook_path"]);
    let route = Route::parse(&path, &said.get("variable_switchhook_text"));
    Opening { route, channel: channel(event) }
}

fn channel(event: &Event) -> Channel {
    let said = Said(event);
    let caller = said.caller();
    let number_on_channel = caller.shown_number();
    let unique_id = said.get("Unique-ID");
    let extension = said.get("Caller-Destination-Number");
    let overridden = |key: &str| said.get(&format!("variable_switchhook_{key}"));
    let given = |key: &str, own: String| Some(overridden(key)).filter(|v| !v.is_empty()).unwrap_or(own);
    let callerid = overridden("callerid");
    Channel {
        callerid: if callerid.is_empty() { number_on_channel.clone() } else { Number::from_pbx(&callerid) },
        withheld: caller.number_hidden || number_on_channel.is_withheld(),
        number_on_channel,
        callername: given("callername", caller.shown_name().to_owned()),
        name_on_channel: effective_name(event).unwrap_or(caller.name),
        did: given("did", said.first(&["variable_sip_to_user", "Caller-Destination-Number"])),
        extension: given("extension", extension),
        context: given("context", said.get("Caller-Context")),
        name: said.get("Channel-Name"),
        linked_id: given("linkedid", said.first(&["Channel-Call-UUID", "Unique-ID"])),
        unique_id,
        sip_call_id: given("sip_call_id", said.get("variable_sip_call_id")),
        account: said.get("variable_accountcode"),
        language: said.get("variable_default_language"),
        start: start(&overridden("start")).or_else(|| start(&said.get("Caller-Channel-Created-Time"))),
    }
}

/// The name that the callee would see, where it is another one. It is percent-encoded, as `leave` writes it.
fn effective_name(event: &Event) -> Option<String> {
    let name = event.variable("effective_caller_id_name")?;
    let shown =
        if name == UNDEFINED { Cow::default() } else { percent_decode_str(&name).decode_utf8_lossy() };
    Some(shown.into_owned())
}

/// A time in ms since 1970, out of one in seconds, milliseconds or, as FreeSWITCH has it, microseconds.
fn start(text: &str) -> Option<i64> {
    if text.len() > 17 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match text.parse::<i64>().ok()? {
        0 => None,
        us if us >= 100_000_000_000_000 => Some(us / 1000),
        ms if ms >= 100_000_000_000 => Some(ms),
        s => Some(s * 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::start;

    #[test]
    fn times() {
        for (text, ms) in [
            ("1795318019000700", Some(1_795_318_019_000)),
            ("1795318099123", Some(1_795_318_099_123)),
            ("1795318099", Some(1_795_318_099_000)),
            ("0", None),
            ("", None),
            ("soon", None),
            ("-1", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(start(text), ms, "{text}");
        }
    }
}
