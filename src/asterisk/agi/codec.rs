//! Lines out of whatever segments TCP makes.

use memchr::memchr;

/// Bytes of one line from Asterisk, at most. Its own longest lines are an environment value of the dialplan's and a
/// command's usage text, each some hundred bytes; what is longer is no PBX or a caller who plays one.
pub const LINE_MAX: usize = 4096;

/// A line that grew over [`LINE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineTooLong;

/// Keeps the beginning of a line until the rest of it comes. One reader serves the connection's whole life, so that
/// nothing that came early is dropped. It does not print: a reply can hold digits.
#[derive(Default)]
pub(super) struct LineReader {
    begun: Vec<u8>,
}

impl LineReader {
    /// The next whole line, without its `\n`, taken off the front of `bytes`. `None` when there is no more, then
    /// `bytes` is empty.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<Result<Vec<u8>, LineTooLong>> {
        let end = memchr(b'\n', bytes);
        let piece = &bytes[..end.unwrap_or(bytes.len())];
        if self.begun.len() + piece.len() > LINE_MAX {
            *bytes = &[];
            return Some(Err(LineTooLong));
        }
        self.begun.extend_from_slice(piece);
        match end {
            Some(end) => {
                *bytes = &bytes[end + 1..];
                Some(Ok(std::mem::take(&mut self.begun)))
            }
            None => {
                *bytes = &[];
                None
            }
        }
    }

    /// Whether a line has begun and not ended.
    pub(super) fn is_inside_line(&self) -> bool {
        !self.begun.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<Result<Vec<u8>, LineTooLong>> {
        let mut reader = LineReader::default();
        let mut found = Vec::new();
        for mut piece in pieces.iter().copied() {
            while let Some(line) = reader.next(&mut piece) {
                found.push(line);
            }
        }
        found
    }

    #[test]
    fn a_line_is_what_ends_with_a_line_feed() {
        assert_eq!(lines(&[b"200 result=12", b"34\nHANG"]), [Ok(b"200 result=1234".to_vec())]);
        assert_eq!(lines(&[b"a\n\nb\n"]), [Ok(b"a".to_vec()), Ok(vec![]), Ok(b"b".to_vec())]);
        assert_eq!(lines(&[b"a\r\n"]), [Ok(b"a\r".to_vec())]);
    }

    #[test]
    fn a_line_has_a_limit_in_one_segment_and_in_many() {
        let whole = [b'x'; LINE_MAX];
        assert_eq!(lines(&[&whole, b"\n"]), [Ok(whole.to_vec())]);
        assert_eq!(lines(&[&whole, b"x"]), [Err(LineTooLong)]);
        assert_eq!(lines(&[&[b'x'; LINE_MAX + 1], b"\n"])[0], Err(LineTooLong));
    }
}
