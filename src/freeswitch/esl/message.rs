//! What a packet says. Lines are found once; a value is decoded when it is asked for.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use memchr::memchr;
use percent_encoding::percent_decode;

use super::codec::{HEADERS_MAX, Packet, PacketError};

/// FreeSWITCH's word for a header that is empty, and for a caller's name that is none.
pub const UNDEFINED: &str = "_undef_";

/// Header lines, as they came. They do not print: digits can be in them.
#[derive(Clone, PartialEq, Eq)]
pub struct Headers {
    bytes: Bytes,
    lines: Vec<Line>,
}

/// Where a line is: name up to `colon`, value from `value` to `end`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Line {
    start: u32,
    colon: u32,
    value: u32,
    end: u32,
}

impl Headers {
    /// Finds the lines. Every one is `Name: value` and ends with a line feed.
    pub(super) fn parse(bytes: Bytes) -> Result<Headers, PacketError> {
        let mut lines = Vec::with_capacity(bytes.len() / 40 + 1);
        let mut start = 0;
        while start < bytes.len() {
            let end = start + memchr(b'\n', &bytes[start..]).ok_or(PacketError::Shape)?;
            let colon = start + memchr(b':', &bytes[start..end]).ok_or(PacketError::Shape)?;
            let value = colon + 1 + usize::from(bytes[colon + 1] == b' ');
            if colon == start || lines.len() == HEADERS_MAX {
                return Err(if colon == start { PacketError::Shape } else { PacketError::TooManyHeaders });
            }
            let place = |n: usize| u32::try_from(n).map_err(|_| PacketError::HeadTooLong);
            let line =
                Line { start: place(start)?, colon: place(colon)?, value: place(value)?, end: place(end)? };
            lines.push(line);
            start = end + 1;
        }
        if lines.is_empty() { Err(PacketError::Shape) } else { Ok(Headers { bytes, lines }) }
    }

    /// The value as it came, neither decoded nor cleaned; the first one where there are several, as FreeSWITCH itself
    /// takes it. Names are the same in capitals and small letters, as they are there.
    pub fn raw(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// Every value of that name.
    pub(super) fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let named = move |l: &&Line| self.between(l.start, l.colon).eq_ignore_ascii_case(name.as_bytes());
        self.lines.iter().filter(named).map(move |l| self.between(l.value, l.end))
    }

    fn between(&self, start: u32, end: u32) -> &[u8] {
        &self.bytes[start as usize..end as usize]
    }
}

/// An event's headers, or the channel's in the reply to `connect`. Their values are percent-encoded on the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    headers: Headers,
    body: Bytes,
}

impl Event {
    /// Reads the content of a `text/event-plain`: headers, an empty line, and perhaps a body of its own.
    pub(super) fn parse(content: &Bytes) -> Result<Event, PacketError> {
        let end = memchr::memmem::find(content, b"\n\n").ok_or(PacketError::Shape)?;
        let headers = Headers::parse(content.slice(..end + 1))?;
        Ok(Event { headers, body: content.slice(end + 2..) })
    }

    /// A value, decoded; `None` where there is none or an empty one. `+` is a plus. An array is one text,
    /// `ARRAY::one|:two`. What is not UTF-8 reads as U+FFFD.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = self.headers.raw(name).filter(|v| !v.is_empty() && *v != UNDEFINED.as_bytes());
        value.map(decoded)
    }

    /// A channel variable, decoded; `None` where it is not set. An empty one is not sent.
    pub fn variable(&self, name: &str) -> Option<Cow<'_, str>> {
        self.headers.raw(&format!("variable_{name}")).map(decoded)
    }

    /// `Event-Name`
    pub fn name(&self) -> Cow<'_, str> {
        self.headers.raw("Event-Name").map(decoded).unwrap_or_default()
    }

    /// What is behind the headers, not encoded.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

fn decoded(value: &[u8]) -> Cow<'_, str> {
    percent_decode(value).decode_utf8_lossy()
}

/// Shows the event's name and nothing that it says: a code may be in it.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({})", self.name())
    }
}

/// The reply to a command. Its values are **not** encoded, but for the one to `connect`.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    headers: Headers,
}

impl Reply {
    /// `+OK …`
    pub fn is_ok(&self) -> bool {
        self.text_bytes().starts_with(b"+OK")
    }

    /// `Reply-Text`, never decoded.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.text_bytes())
    }

    /// The channel's data, if this is the reply to `connect`: all of the channel is in its headers, encoded.
    pub fn into_channel(self) -> Option<Event> {
        let event = Event { headers: self.headers, body: Bytes::new() };
        (event.name() == "CHANNEL_DATA").then_some(event)
    }

    fn text_bytes(&self) -> &[u8] {
        self.headers.raw("Reply-Text").unwrap_or_default()
    }
}

/// What FreeSWITCH says.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// The reply to the oldest command without one.
    Reply(Reply),
    /// The result of an `api` command.
    Api(Bytes),
    /// Something happened. Comes also between a command and its reply.
    Event(Event),
    /// The channel is gone. `lingers`: the connection stays until we leave.
    Disconnected {
        /// `Content-Disposition: linger`
        lingers: bool,
    },
    /// Inbound: the password, please.
    AuthRequest,
    /// Inbound: this address may not connect.
    Rejected,
    /// A content type that is none of these.
    Other,
}

impl Message {
    /// Reads a packet.
    pub fn parse(packet: Packet) -> Result<Message, PacketError> {
        let Packet { head, content } = packet;
        Ok(match head.raw("Content-Type") {
            Some(b"command/reply") => Message::Reply(Reply { headers: head }),
            Some(b"api/response") => Message::Api(content),
            Some(b"text/event-plain") => Message::Event(Event::parse(&content)?),
            Some(b"text/disconnect-notice") => {
                Message::Disconnected { lingers: head.raw("Content-Disposition") == Some(b"linger") }
            }
            Some(b"auth/request") => Message::AuthRequest,
            Some(b"text/rude-rejection") => Message::Rejected,
            Some(_) => Message::Other,
            None => return Err(PacketError::Shape),
        })
    }
}
