//! Packets out of whatever segments TCP makes: header lines, an empty line, then as many bytes as `Content-Length` says.

use bytes::{Bytes, BytesMut};
use memchr::memmem;

use super::message::Headers;

/// Bytes of a packet's headers, at most. The reply to `connect` is all headers: about 7 KiB on a plain call, more where
/// the dialplan or the caller's device sets large variables. FreeSWITCH itself stops at 10 MiB.
pub const HEAD_MAX: usize = 1024 * 1024;

/// Header lines of a packet or an event, at most. A plain call has about 170.
pub const HEADERS_MAX: usize = 8192;

/// Bytes behind the headers, at most, unless a list is expected. An event of a plain call has 7 KiB.
pub const CONTENT_MAX: usize = 1024 * 1024;

/// A peer out of step. There is no way to the next packet: the connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// More than [`HEAD_MAX`] bytes and no empty line.
    #[error("the headers of a packet are longer than {HEAD_MAX} bytes")]
    HeadTooLong,
    /// More than [`HEADERS_MAX`] lines.
    #[error("a packet has more than {HEADERS_MAX} headers")]
    TooManyHeaders,
    /// A line that is no `Name: value`, or none at all.
    #[error("a packet has a line that is not `Name: value`")]
    Shape,
    /// A `Content-Length` that is no number, or that is there twice.
    #[error("the Content-Length of a packet is not one number")]
    Length,
    /// A `Content-Length` above what is taken.
    #[error("the Content-Length of a packet is more than {0}")]
    ContentTooLong(usize),
}

/// One packet. It does not print: digits can be in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its headers.
    pub head: Headers,
    /// What is behind them.
    pub content: Bytes,
}

/// Keeps the beginning of a packet until the rest of it comes.
pub struct PacketReader {
    content_max: usize,
    buffer: BytesMut,
    /// So many bytes of the buffer hold no empty line.
    scanned: usize,
    /// The headers are complete; so many bytes of content belong to them.
    head: Option<(Headers, usize)>,
}

impl Default for PacketReader {
    /// One that takes no more than [`CONTENT_MAX`].
    fn default() -> PacketReader {
        PacketReader::with_content_max(CONTENT_MAX)
    }
}

impl PacketReader {
    /// One that takes so many bytes behind the headers.
    pub fn with_content_max(content_max: usize) -> PacketReader {
        PacketReader { content_max, buffer: BytesMut::new(), scanned: 0, head: None }
    }

    /// Takes bytes as they came. At most [`HEAD_MAX`] or the content's limit and one more segment are kept.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole packet; `None` until more bytes come.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, PacketError> {
        let (head, length) = match self.head.take() {
            Some(head) => head,
            None => match self.next_head()? {
                Some(head) => head,
                None => return Ok(None),
            },
        };
        if self.buffer.len() < length {
            self.head = Some((head, length));
            return Ok(None);
        }
        Ok(Some(Packet { head, content: self.buffer.split_to(length).freeze() }))
    }

    /// Whether a packet has begun and not ended.
    pub fn is_inside_packet(&self) -> bool {
        self.head.is_some() || !self.buffer.is_empty()
    }

    fn next_head(&mut self) -> Result<Option<(Headers, usize)>, PacketError> {
        // One step back: the line feeds can come in two segments.
        let from = self.scanned.saturating_sub(1);
        let Some(at) = memmem::find(&self.buffer[from..], b"\n\n") else {
            self.scanned = self.buffer.len();
            return if self.scanned > HEAD_MAX { Err(PacketError::HeadTooLong) } else { Ok(None) };
        };
        self.scanned = 0;
        let end = from + at;
        if end > HEAD_MAX {
            return Err(PacketError::HeadTooLong);
        }
        let block = self.buffer.split_to(end + 2).freeze();
        let head = Headers::parse(block.slice(..end + 1))?;
        let length = content_length(&head, self.content_max)?;
        Ok(Some((head, length)))
    }
}

/// 0 where it is absent. It is checked before it is used: FreeSWITCH's own client library had a heap overflow on a
/// negative one (CVE-2026-49840).
fn content_length(head: &Headers, max: usize) -> Result<usize, PacketError> {
    let mut all = head.all("Content-Length");
    let Some(text) = all.next() else { return Ok(0) };
    if all.next().is_some() || text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(PacketError::Length);
    }
    let length = std::str::from_utf8(text).ok().and_then(|t| t.parse::<usize>().ok());
    length.filter(|n| *n <= max).ok_or(PacketError::ContentTooLong(max))
}
