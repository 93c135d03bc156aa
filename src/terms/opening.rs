//! What a PBX says when it asks.

use super::Number;

/// The start of a call, as an adapter read it: what is asked for, and what is known of the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// What the dialplan asked for, or the path that asks for nothing we know.
    pub route: Result<Route, RouteError>,
    /// Who calls, whom, on which channel.
    pub channel: Channel,
}

/// What is known of the channel. What the PBX did not say is empty.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Channel {
    /// The caller's number, empty when withheld. `callerid=` overrides it.
    pub callerid: Number,
    /// The number as the channel has it, without the override.
    pub number_on_channel: Number,
    /// The caller's name as it arrived. `callername=` overrides it.
    pub callername: String,
    /// The name as the channel has it, without the override and even when the presentation is prohibited.
    pub name_on_channel: String,
    /// The caller asked not to be shown.
    pub withheld: bool,
    /// The number that was called. `did=` overrides it.
    pub did: String,
    /// The extension in the dialplan.
    pub extension: String,
    /// The context in the dialplan.
    pub context: String,
    /// The PBX's name for the channel, such as `PJSIP/trunk-0000002a`.
    pub name: String,
    /// The PBX's id of the channel.
    pub unique_id: String,
    /// The PBX's id of the call, the legs together; the channel's own id where the PBX does not say.
    pub linked_id: String,
    /// The SIP Call-ID.
    pub sip_call_id: String,
    /// The account code.
    pub account: String,
    /// The channel's language.
    pub language: String,
    /// When the call entered the PBX, ms since 1970.
    pub start: Option<i64>,
}

/// Whose wire it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pbx {
    /// Asterisk, by FastAGI.
    Asterisk,
    /// FreeSWITCH, by its event socket.
    FreeSwitch,
}

impl Pbx {
    /// Both.
    pub const ALL: [Pbx; 2] = [Pbx::Asterisk, Pbx::FreeSwitch];

    /// The word for it in the journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Pbx::Asterisk => "asterisk",
            Pbx::FreeSwitch => "freeswitch",
        }
    }

    /// The section of the configuration that opens its listener.
    pub const fn section(self) -> &'static str {
        match self {
            Pbx::Asterisk => "fastagi",
            Pbx::FreeSwitch => "esl",
        }
    }
}

/// What a dialplan can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `webhook/NAME`
    Webhook(String),
    /// `callername/prepend`, with the text literally in front.
    Prepend(String),
    /// `callername/replace`, with the text.
    Replace(String),
}

/// A path that asks for nothing we know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path {path:?} is none of webhook/NAME, callername/prepend and callername/replace")]
pub struct RouteError {
    /// The path as it came, without its query.
    pub path: String,
}

impl Route {
    /// Reads a path without its query, with or without a leading `/`. `text` is what goes with `callername/…`.
    pub fn parse(path: &str, text: &str) -> Result<Route, RouteError> {
        let bare = path.strip_prefix('/').unwrap_or(path);
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        match bare.split_once('/') {
            Some(("webhook", name)) if !name.is_empty() && !name.contains('/') => {
                Ok(Route::Webhook(name.to_owned()))
            }
            Some(("callername", "prepend")) => Ok(Route::Prepend(text.to_owned())),
            Some(("callername", "replace")) => Ok(Route::Replace(text.to_owned())),
            _ => Err(RouteError { path: path.to_owned() }),
        }
    }
}
