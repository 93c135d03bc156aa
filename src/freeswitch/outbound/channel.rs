//! What FreeSWITCH says of the channel in its reply to `connect`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::freeswitch::esl::{Event, UNDEFINED};
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
    let number = said.get("Caller-Caller-ID-Number");
    let number_hidden = said.get("Caller-Privacy-Hide-Number") == "true";
    let name_hidden = number_hidden
        || said.get("Caller-Privacy-Hide-Name") == "true"
        || number.eq_ignore_ascii_case("anonymous");
    let number_on_channel = if number_hidden { Number::default() } else { Number::from_pbx(&number) };
    let own_name = own_name(event, &number);
    let unique_id = said.get("Unique-ID");
    let extension = said.get("Caller-Destination-Number");
    let overridden = |key: &str| said.get(&format!("variable_switchhook_{key}"));
    let given = |key: &str, own: String| Some(overridden(key)).filter(|v| !v.is_empty()).unwrap_or(own);
    let callerid = overridden("callerid");
    Channel {
        callerid: if callerid.is_empty() { number_on_channel.clone() } else { Number::from_pbx(&callerid) },
        withheld: number_hidden || number_on_channel.is_withheld(),
        number_on_channel,
        callername: given("callername", if name_hidden { String::new() } else { own_name.clone() }),
        name_on_channel: effective_name(event).unwrap_or_else(|| own_name.clone()),
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

/// The caller's name. One without has its number as the name, or `unknown` where there is no number either.
fn own_name(event: &Event, number: &str) -> String {
    let name = event.get("Caller-Caller-ID-Name").unwrap_or_default();
    let made_up = name == "unknown" || (name == number && event.variable("sip_from_display").is_none());
    if made_up { String::new() } else { name.into_owned() }
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

/// The headers. FreeSWITCH does not send what is empty.
struct Said<'a>(&'a Event);

impl Said<'_> {
    fn get(&self, name: &str) -> String {
        self.0.get(name).unwrap_or_default().into_owned()
    }

    fn first(&self, names: &[&str]) -> String {
        names.iter().map(|n| self.get(n)).find(|v| !v.is_empty()).unwrap_or_default()
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
