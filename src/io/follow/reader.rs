//! Reads a socket into a queue, and does nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::task::AbortOnDropHandle;

use crate::clock::wall_ms;

/// Bytes that were read and not yet tracked, at most: ten seconds of a PBX that begins 200 calls a second (measured: about
/// 1.5 MB a second), some hundred times what a commit takes.
const QUEUE: usize = 16 * 1024 * 1024;

/// What one read may bring.
const READ: usize = 64 * 1024;

/// What a chunk costs beside its bytes.
const CHUNK: usize = 64;

/// Chunks that are taken at once, so that one commit keeps what they tell.
const AT_ONCE: usize = 256;

/// Bytes, and when they came.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) at: Instant,
    /// Ms since 1970.
    pub(super) wall: i64,
    pub(super) bytes: Bytes,
}

/// Why nothing more is read.
#[derive(Debug)]
pub(super) enum End {
    /// The PBX closed the connection, or it broke.
    Closed(Option<std::io::Error>),
    /// [`QUEUE`] is full.
    Full,
}

/// The queue's other end. Dropped, nothing is read any more.
pub(super) struct Incoming {
    chunks: UnboundedReceiver<Chunk>,
    waiting: Arc<AtomicUsize>,
    reader: AbortOnDropHandle<End>,
    ended: Option<End>,
}

impl Incoming {
    /// Begins to read.
    pub(super) fn start(socket: impl AsyncRead + Send + Unpin + 'static) -> Incoming {
        let (queue, chunks) = unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let reader = AbortOnDropHandle::new(tokio::spawn(read(socket, queue, waiting.clone())));
        Incoming { chunks, waiting, reader, ended: None }
    }

    /// What has come, at least something. Empty when nothing more will. Nothing is lost when it is not awaited to its end.
    pub(super) async fn next(&mut self) -> Vec<Chunk> {
        let mut taken = Vec::new();
        self.chunks.recv_many(&mut taken, AT_ONCE).await;
        let bytes: usize = taken.iter().map(|chunk| chunk.bytes.len() + CHUNK).sum();
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        taken
    }

    /// Waits until no more is read, and says why. What was read before that still comes.
    pub(super) async fn end(&mut self) -> &End {
        if self.ended.is_none() {
            self.ended = Some((&mut self.reader).await.unwrap_or(End::Closed(None)));
        }
        self.ended.get_or_insert(End::Closed(None))
    }
}

async fn read(
    mut socket: impl AsyncRead + Unpin,
    queue: UnboundedSender<Chunk>,
    waiting: Arc<AtomicUsize>,
) -> End {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ);
        match socket.read_buf(&mut buffer).await {
            Ok(0) => return End::Closed(None),
            Err(error) => return End::Closed(Some(error)),
            Ok(read) => {
                let more = read + CHUNK;
                if waiting.fetch_add(more, Ordering::Relaxed) + more > QUEUE {
                    return End::Full;
                }
                let chunk = Chunk { at: Instant::now(), wall: wall_ms(), bytes: buffer.split().freeze() };
                if queue.send(chunk).is_err() {
                    return End::Closed(None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_read_is_bounded_and_what_was_read_is_not_lost() {
        let mut incoming = Incoming::start(tokio::io::repeat(b'x'));
        // Nobody takes anything until the reader has given up.
        let end = incoming.end().await;
        assert!(matches!(end, End::Full), "{end:?}");
        let mut bytes = 0;
        loop {
            let chunks = incoming.next().await;
            if chunks.is_empty() {
                break;
            }
            bytes += chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
        }
        assert!((QUEUE - 2 * (READ + CHUNK) - QUEUE / 100..=QUEUE).contains(&bytes), "{bytes} of {QUEUE}");
    }
}
