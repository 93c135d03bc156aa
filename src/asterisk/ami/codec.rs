//! Blocks of `Name: value` lines, each line ended by CR LF, each block by an empty line. Before the first one comes a
//! banner of one line.

use std::borrow::Cow;

use memchr::{memchr, memmem};

/// Bytes of one block, at most. The longest that Asterisk sends of its own are below 4 KiB; `channelvars` and UserEvent
/// make them longer.
pub(super) const MAX_BLOCK: usize = 64 * 1024;

/// Lines of one block, at most.
pub(super) const MAX_LINES: usize = 512;

/// Bytes of the banner, at most.
const MAX_BANNER: usize = 256;

/// Consumed bytes that are kept before the rest is moved to the front.
const COMPACT: usize = 64 * 1024;

/// What is no AMI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The first line is another one.
    #[error("this is no Asterisk manager: its first line is not `Asterisk Call Manager/…`")]
    Banner,
    /// A block without an end.
    #[error("a block of more than {MAX_BLOCK} bytes")]
    BlockTooLong,
    /// A block with too many lines.
    #[error("a block of more than {MAX_LINES} lines")]
    TooManyLines,
}

/// Cuts the bytes that Asterisk sends into blocks.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where the next block begins.
    start: usize,
    /// Up to here there is no end of a block.
    scanned: usize,
    /// Lines of the block that was given out last: start, colon, end. Kept for its memory.
    lines: Vec<(usize, usize, usize)>,
}

/// One block, borrowed from the decoder. Values are looked up when they are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    bytes: &'a [u8],
    lines: &'a [(usize, usize, usize)],
}

impl Decoder {
    /// Bytes came.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start >= COMPACT || self.start == self.buffer.len() {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The banner's version, once. `None` until it is there.
    pub fn banner(&mut self) -> Result<Option<String>, CodecError> {
        const WORDS: &[u8] = b"Asterisk Call Manager/";
        let seen = &self.buffer[self.start..];
        let known = seen.len().min(WORDS.len());
        if seen[..known] != WORDS[..known] {
            return Err(CodecError::Banner);
        }
        match memmem::find(seen, b"\r\n") {
            Some(end) => {
                let version = String::from_utf8_lossy(&seen[WORDS.len().min(end)..end]).into_owned();
                self.start += end + 2;
                self.scanned = self.start;
                Ok(Some(version))
            }
            None if seen.len() > MAX_BANNER => Err(CodecError::Banner),
            None => Ok(None),
        }
    }

    /// The next block. `None` until it is there.
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, CodecError> {
        let from = self.scanned.saturating_sub(3).max(self.start);
        let Some(at) = memmem::find(&self.buffer[from..], b"\r\n\r\n") else {
            self.scanned = self.buffer.len();
            let open = self.buffer.len() - self.start;
            return if open > MAX_BLOCK { Err(CodecError::BlockTooLong) } else { Ok(None) };
        };
        let (start, end) = (self.start, from + at + 2);
        if end - start > MAX_BLOCK {
            return Err(CodecError::BlockTooLong);
        }
        self.start = end + 2;
        self.scanned = self.start;
        self.lines.clear();
        let bytes = &self.buffer[start..end];
        let mut line = 0;
        for line_end in memmem::find_iter(bytes, b"\r\n") {
            if self.lines.len() == MAX_LINES {
                return Err(CodecError::TooManyLines);
            }
            // A line without a colon is no value of anything; Asterisk sends some in long outputs.
            if let Some(colon) = memchr(b':', &bytes[line..line_end]) {
                self.lines.push((line, line + colon, line_end));
            }
            line = line_end + 2;
        }
        Ok(Some(Block { bytes, lines: &self.lines }))
    }

    /// Bytes that wait for the end of their block.
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.start
    }
}

impl<'a> Block<'a> {
    /// The first value of this name; `None` when there is none. Asterisk writes its names always in the same case.
    pub fn bytes(&self, name: &str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// Every value of this name: some repeat, such as `ChanVariable`.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let (bytes, lines) = (self.bytes, self.lines);
        lines.iter().filter(move |(start, colon, _)| bytes[*start..*colon] == *name.as_bytes()).map(
            move |(_, colon, end)| {
                let value = &bytes[colon + 1..*end];
                value.strip_prefix(b" ").unwrap_or(value)
            },
        )
    }

    /// The text of this name, empty when it is not there. `<unknown>` is Asterisk's word for nothing; what is no UTF-8 is
    /// replaced (measured: a caller's name can be any bytes).
    pub fn text(&self, name: &str) -> Cow<'a, str> {
        match self.bytes(name) {
            Some(b"<unknown>") | None => Cow::Borrowed(""),
            Some(value) => String::from_utf8_lossy(value),
        }
    }

    /// Whether the value of this name is exactly this.
    pub fn is(&self, name: &str, value: &str) -> bool {
        self.bytes(name) == Some(value.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(bytes: &[u8], cut: usize) -> Vec<Vec<(String, String)>> {
        let mut decoder = Decoder::default();
        let mut found = Vec::new();
        for part in [&bytes[..cut], &bytes[cut..]] {
            decoder.push(part);
            while let Some(block) = decoder.next_block().expect("blocks") {
                let lines = block.lines.iter().map(|(start, colon, _)| {
                    let name = String::from_utf8_lossy(&block.bytes[*start..*colon]).into_owned();
                    let value = block.text(&name).into_owned();
                    (name, value)
                });
                found.push(lines.collect());
            }
        }
        assert_eq!(decoder.waiting(), 0);
        found
    }

    #[test]
    fn blocks_are_the_same_wherever_they_are_cut() {
        let bytes =
            b"Event: A\r\nX: 1:2\r\nY:no space\r\nZ: \r\nN: <unknown>\r\nno colon\r\nB: \xff\xc3\xbc\r\n\r\n\
                      Response: Success\r\n\r\n";
        let expected = blocks(bytes, 0);
        let named = |n: &str| expected[0].iter().find(|(name, _)| name == n).map(|(_, v)| v.as_str());
        assert_eq!(named("X"), Some("1:2"));
        assert_eq!(named("Y"), Some("no space"));
        assert_eq!(named("N"), Some(""));
        assert_eq!(named("B"), Some("\u{fffd}ü"));
        assert_eq!(expected.len(), 2);
        for cut in 0..=bytes.len() {
            assert_eq!(blocks(bytes, cut), expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_bare_line_feed_ends_nothing() {
        let mut decoder = Decoder::default();
        decoder.push(b"CallerIDName: a\n\nEvent: Hangup\nUniqueid: 1\r\nUniqueid: 2\r\n\r\n");
        let block = decoder.next_block().expect("a block").expect("a block");
        assert_eq!(block.text("Uniqueid"), "2");
        assert_eq!(block.bytes("Event"), None);
    }

    #[test]
    fn repeated_names() {
        let mut decoder = Decoder::default();
        decoder.push(b"ChanVariable: A=1\r\nChanVariable: B=2\r\nchanvariable: C=3\r\n\r\n");
        let block = decoder.next_block().expect("a block").expect("a block");
        assert_eq!(block.values("ChanVariable").collect::<Vec<_>>(), [b"A=1", b"B=2"]);
    }

    #[test]
    fn limits() {
        let mut decoder = Decoder::default();
        decoder.push(&vec![b'x'; MAX_BLOCK]);
        assert!(decoder.next_block().expect("not yet too long").is_none());
        decoder.push(b"x");
        assert_eq!(decoder.next_block().map(|_| ()), Err(CodecError::BlockTooLong));
        let mut decoder = Decoder::default();
        decoder.push("A: 1\r\n".repeat(MAX_LINES + 1).as_bytes());
        decoder.push(b"\r\n");
        assert_eq!(decoder.next_block().map(|_| ()), Err(CodecError::TooManyLines));
        // What was read is not kept: a long link needs no more memory than a short one.
        let mut decoder = Decoder::default();
        for _ in 0..10_000 {
            decoder.push(b"Event: X\r\nA: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\nEv");
            while decoder.next_block().expect("blocks").is_some() {}
            decoder.push(b"ent: Y\r\n\r\n");
            while decoder.next_block().expect("blocks").is_some() {}
        }
        assert!(decoder.buffer.capacity() <= 4 * COMPACT, "{}", decoder.buffer.capacity());
    }

    #[test]
    fn the_banner() {
        let mut decoder = Decoder::default();
        for byte in b"Asterisk Call Manager/11.0.0\r" {
            assert_eq!(decoder.banner(), Ok(None));
            decoder.push(&[*byte]);
        }
        decoder.push(b"\nResponse: Success\r\n\r\n");
        assert_eq!(decoder.banner(), Ok(Some("11.0.0".to_owned())));
        assert!(decoder.next_block().expect("a block").is_some());
        for other in ["SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 400\r\n", "Asterisk GUI\r\n"] {
            let mut decoder = Decoder::default();
            decoder.push(other.as_bytes());
            assert_eq!(decoder.banner(), Err(CodecError::Banner), "{other}");
        }
    }
}
