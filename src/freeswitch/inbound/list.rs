//! The answers to `show channels as json` and `show bridged_calls as json`.

use serde::Deserialize;

use super::channel::{extension, kind};
use crate::terms::Number;
use crate::track::{ChannelInfo, MAX_TEXT, cut};

/// A list. Without rows there is no `rows` (measured).
#[derive(Deserialize)]
struct List<Row> {
    #[serde(default = "Vec::new")]
    rows: Vec<Row>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Channel {
    uuid: String,
    direction: String,
    created_epoch: String,
    name: String,
    dest: String,
    call_uuid: String,
    accountcode: String,
    presence_id: String,
    initial_cid_name: String,
    initial_cid_num: String,
    initial_dest: String,
}

#[derive(Deserialize)]
struct Bridge {
    uuid: String,
    b_uuid: String,
}

/// Why a list cannot be read.
pub(super) type ListError = serde_json::Error;

/// The channels that there are. A caller's name can be any bytes: what is not UTF-8 reads as U+FFFD.
pub(super) fn channels(content: &[u8]) -> Result<Vec<ChannelInfo>, ListError> {
    let list: List<Channel> = serde_json::from_str(&String::from_utf8_lossy(content))?;
    Ok(list.rows.into_iter().filter(|row| !row.uuid.is_empty()).map(info).collect())
}

/// The pairs that are bridged.
pub(super) fn bridges(content: &[u8]) -> Result<Vec<(String, String)>, ListError> {
    let list: List<Bridge> = serde_json::from_str(&String::from_utf8_lossy(content))?;
    Ok(list.rows.into_iter().map(|row| (row.uuid, row.b_uuid)).collect())
}

fn info(row: Channel) -> ChannelInfo {
    let number = if row.direction == "outbound" {
        row.dest
    } else {
        Number::from_pbx(&row.initial_cid_num).as_str().to_owned()
    };
    // A caller without a name has his number as one.
    let named = row.initial_cid_name != row.initial_cid_num;
    ChannelInfo {
        kind: kind(&row.name, &row.uuid, ""),
        extension: extension(&row.name, &row.presence_id),
        name: cut(&row.name, MAX_TEXT),
        unique_id: cut(&row.uuid, MAX_TEXT),
        linked_id: cut(&row.call_uuid, MAX_TEXT),
        number: cut(&number, MAX_TEXT),
        caller_name: if named { cut(&row.initial_cid_name, MAX_TEXT) } else { String::new() },
        exten: cut(&row.initial_dest, MAX_TEXT),
        account: cut(&row.accountcode, MAX_TEXT),
        state: None,
        bridge: None,
        start: row.created_epoch.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1000)),
        variables: Vec::new(),
    }
}
