//! Answers that are kept for a while.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::terms::{Answer, Status};

/// What makes two questions the same: the webhook and all that is rendered into its requests. Cheap to clone; also the
/// key under which equal questions at the same time can wait for one exchange.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CacheKey(pub(super) Arc<str>);

impl std::fmt::Debug for CacheKey {
    /// Headers in it may hold tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CacheKey({} bytes)", self.0.len())
    }
}

/// ACK answers of all webhooks, bounded by their bytes. The oldest goes first.
#[derive(Debug, Default)]
pub struct Cache {
    entries: HashMap<CacheKey, Entry>,
    /// Keys in the order in which they were put in, with the number of their putting: a key that was put in again is in
    /// here twice, and only the later one counts.
    order: VecDeque<(CacheKey, u64)>,
    bytes: usize,
    puts: u64,
}

#[derive(Debug)]
struct Entry {
    answer: Arc<Answer>,
    kept: Instant,
    until: Instant,
    bytes: usize,
    put: u64,
}

/// An answer that was kept.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The answer.
    pub answer: Arc<Answer>,
    /// How long ago it came.
    pub age: Duration,
}

impl Cache {
    /// Bytes of all keys and answers together, at most, as [`Cache::bytes`] counts them: a name lookup takes about
    /// 1 KiB, so this is room for some ten thousand callers.
    pub const MAX_BYTES: usize = 16 << 20;

    /// An answer that is still good.
    pub fn get(&self, now: Instant, key: &CacheKey) -> Option<Hit> {
        let entry = self.entries.get(key).filter(|entry| now < entry.until)?;
        Some(Hit { answer: entry.answer.clone(), age: now.saturating_duration_since(entry.kept) })
    }

    /// Keeps an answer. Anything but ACK is not kept: an error must not outlive its cause.
    pub fn put(&mut self, now: Instant, key: CacheKey, answer: Arc<Answer>, keep_for: Duration) {
        if answer.status != Status::Ack || keep_for.is_zero() {
            return;
        }
        let bytes = size(&key, &answer);
        if bytes > Self::MAX_BYTES / 16 {
            return;
        }
        self.puts += 1;
        let entry = Entry { answer, kept: now, until: now + keep_for, bytes, put: self.puts };
        self.order.push_back((key.clone(), self.puts));
        self.bytes += bytes;
        if let Some(old) = self.entries.insert(key, entry) {
            self.bytes -= old.bytes;
        }
        self.drop_old(now);
    }

    /// How many answers are kept, good or not.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all keys and answers.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn drop_old(&mut self, now: Instant) {
        while let Some((key, put)) = self.order.front() {
            let current = self.entries.get(key).filter(|entry| entry.put == *put);
            if current.is_some_and(|entry| now < entry.until && self.bytes <= Self::MAX_BYTES) {
                break;
            }
            if let Some(entry) = current {
                self.bytes -= entry.bytes;
                self.entries.remove(key);
            }
            self.order.pop_front();
        }
    }
}

/// A key stands in the map and in the order, the words around the texts are allocations too.
fn size(key: &CacheKey, answer: &Answer) -> usize {
    let texts = answer.destination.len() + answer.callername.len() + answer.text.len();
    let pairs: usize = answer.pairs.iter().map(|(k, v)| k.len() + v.len() + 64).sum();
    let hints: usize = answer.hints.iter().map(|hint| hint.len() + 32).sum();
    key.0.len() + texts + pairs + hints + 512
}
