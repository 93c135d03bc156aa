//! What FreeSWITCH writes.

/// The text behind a last notice.
const GOODBYE: &str = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n";

/// Header lines of an event, in order.
pub(super) type Headers = Vec<(String, String)>;

/// A reply: raw, whatever is in it.
pub(super) fn reply(text: &str) -> String {
    format!("Content-Type: command/reply\nReply-Text: {text}\n\n")
}

/// The reply to `connect`: all values encoded, no length.
pub(super) fn channel_data(headers: &Headers) -> String {
    lines(headers) + "\n"
}

pub(super) fn event(headers: &Headers) -> String {
    let content = lines(headers) + "\n";
    format!("Content-Length: {}\nContent-Type: text/event-plain\n\n{content}", content.len())
}

pub(super) fn goodbye(uuid: &str) -> String {
    format!(
        "Content-Type: text/disconnect-notice\nControlled-Session-UUID: {uuid}\nContent-Disposition: disconnect\n\
         Content-Length: {}\n\n{GOODBYE}",
        GOODBYE.len()
    )
}

/// The channel is gone; the connection stays for so many seconds.
pub(super) fn lingers(uuid: &str, channel: &str, seconds: u64) -> String {
    format!(
        "Content-Type: text/disconnect-notice\nControlled-Session-UUID: {uuid}\nContent-Disposition: linger\n\
         Channel-Name: {channel}\nLinger-Time: {seconds}\nContent-Length: 0\n\n"
    )
}

/// Empty values are not sent (measured).
fn lines(headers: &Headers) -> String {
    let said = headers.iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| format!("{name}: {}\n", encoded(value))).collect()
}

/// As recorded: `%` followed by two capital hexadecimal digits stays as it is.
fn encoded(value: &str) -> String {
    let bytes = value.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
    let mut out = String::with_capacity(value.len());
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'%' if hex(at + 1) && hex(at + 2) => out.push('%'),
            0..=32
            | 127..
            | b'"'
            | b'#'
            | b'%'
            | b'&'
            | b'+'
            | b':'
            | b';'
            | b'<'
            | b'='
            | b'>'
            | b'?'
            | b'@'
            | b'['
            | b'\\'
            | b']'
            | b'^'
            | b'`'
            | b'{'
            | b'|'
            | b'}' => out.push_str(&format!("%{byte:02X}")),
            byte => out.push(char::from(*byte)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::encoded;

    /// Recorded.
    #[test]
    fn values_are_encoded_as_recorded() {
        for (value, on_the_wire) in [
            (
                "4 6 2 5000 # tone_stream://%(600,0,500) pin ^1\\d{3,5}$ 1000",
                "4%206%202%205000%20%23%20tone_stream%3A//%25(600,0,500)%20pin%20%5E1%5Cd%7B3,5%7D$%201000",
            ),
            (
                "\"Alice\" <sip:1@127.0.0.1>;party=calling",
                "%22Alice%22%20%3Csip%3A1%40127.0.0.1%3E%3Bparty%3Dcalling",
            ),
            ("+OK\n", "%2BOK%0A"),
            ("Zoë", "Zo%C3%AB"),
            ("50%41 %4g", "50%41%20%254g"),
        ] {
            assert_eq!(encoded(value), on_the_wire);
        }
    }
}
