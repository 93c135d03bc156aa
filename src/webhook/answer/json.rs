//! `{"status":"ACK","destination":"…"}`

use std::fmt;

use serde::Deserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{MAX_KEYS, Pairs, quoted};

/// Keys that steer the call: their values must be plain.
const OURS: [&str; 4] = ["status", "destination", "value", "callername"];

/// Reads an object's top level. Values stay as they are written until they are wanted: a number keeps every digit, and
/// nothing nested is followed.
pub(super) fn read(text: &str) -> Result<Pairs, String> {
    let unreadable = |error: serde_json::Error| format!("the answer begins as JSON but is none: {error}");
    let mut json = serde_json::Deserializer::from_str(text);
    let members = json.deserialize_map(Members).map_err(unreadable)?;
    json.end().map_err(unreadable)?;
    let mut pairs = Pairs::default();
    for (key, raw) in members {
        let key = key.to_lowercase();
        let raw = raw.get();
        let value = match raw.as_bytes().first() {
            Some(b'"') => serde_json::from_str::<String>(raw).map_err(unreadable)?,
            Some(b'n') => continue,
            Some(b'{' | b'[') => {
                let what = if raw.starts_with('{') { "an object" } else { "an array" };
                if OURS.contains(&key.as_str()) {
                    return Err(format!("the value of {} is {what}: it must be a text", quoted(&key)));
                }
                pairs
                    .hint(format!("the value of {} is {what}: it can be put into no variable", quoted(&key)));
                continue;
            }
            first => {
                let number = first.is_some_and(|b| b.is_ascii_digit() || *b == b'-');
                if number && matches!(key.as_str(), "destination" | "value") {
                    pairs.hint("the destination is a number: a leading 0 or + is lost; send it as a text");
                }
                raw.to_owned()
            }
        };
        pairs.push(key, value)?;
    }
    Ok(pairs)
}

/// An object's members in their order, duplicates included.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
            if members.len() == MAX_KEYS {
                return Err(A::Error::custom(format_args!("it has more than {MAX_KEYS} keys")));
            }
            members.push((key, value));
        }
        Ok(members)
    }
}
