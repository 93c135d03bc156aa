//! A web server that is told events, and notes what came.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What has not come by then never will.
const PATIENCE: Duration = Duration::from_mins(2);

/// What it does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Well,
    /// Takes a request and never answers.
    Hangs,
    /// Some events fail once or twice, then it takes them.
    Moody,
    /// The first request gets these bytes, and the connection stays open; it takes the next one.
    First(String),
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) call: String,
    pub(super) seq: u32,
    pub(super) id: String,
    /// It was answered with 200.
    pub(super) taken: bool,
}

#[derive(Default)]
struct Seen {
    arrivals: Mutex<(Vec<Arrival>, HashMap<String, u32>)>,
    more: Condvar,
}

pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    seen: Arc<Seen>,
}

impl Receiver {
    pub(super) fn start(manner: Manner) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Seen::default());
        let own = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, manner) = (own.clone(), manner.clone());
                // A connection that breaks off is the sender's end.
                std::thread::spawn(move || serve(stream, &manner, &seen).ok());
            }
        });
        Receiver { address, seen }
    }

    /// Waits until what came is enough, and returns it.
    pub(super) fn wait(&self, mut enough: impl FnMut(&[Arrival]) -> bool) -> Vec<Arrival> {
        let held = self.seen.arrivals.lock().expect("the arrivals");
        let waited = self.seen.more.wait_timeout_while(held, PATIENCE, |(arrivals, _)| !enough(arrivals));
        let (held, over) = waited.expect("the arrivals");
        assert!(!over.timed_out(), "only {} requests came, the last: {:?}", held.0.len(), held.0.last());
        held.0.clone()
    }
}

fn serve(stream: TcpStream, manner: &Manner, seen: &Seen) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    while let Some((call, seq, id)) = read(&mut reader)? {
        let taken = {
            let mut held = seen.arrivals.lock().expect("the arrivals");
            let tries = held.1.entry(id.clone()).or_default();
            *tries += 1;
            let failures = id.bytes().map(u32::from).sum::<u32>() % 8;
            let taken = match manner {
                Manner::Well => true,
                Manner::Hangs => false,
                Manner::Moody => *tries > failures.min(6) - failures.min(4),
                Manner::First(_) => *tries > 1,
            };
            held.0.push(Arrival { call, seq, id, taken });
            seen.more.notify_all();
            taken
        };
        match manner {
            Manner::Hangs => std::thread::park(),
            _ if taken => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?,
            Manner::First(answer) => stream.write_all(answer.as_bytes())?,
            _ => stream.write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")?,
        }
    }
    Ok(())
}

/// Call, number and webhook-id of a GET of `/call/number`.
fn read(reader: &mut impl BufRead) -> std::io::Result<Option<(String, u32, String)>> {
    let (mut first, mut id) = (String::new(), String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        } else if first.is_empty() {
            line.clone_into(&mut first);
        } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("webhook-id: ") {
            value.clone_into(&mut id);
        }
    }
    let path = first.split(' ').nth(1).expect("a path");
    let (call, seq) = path[1..].split_once('/').expect("a call and a number");
    Ok(Some((call.to_owned(), seq.parse().expect("a number"), id)))
}

/// Each event of a call came only after the one before it was taken, always with the same id. Returns how many came
/// again after they were taken.
pub(super) fn assert_in_order(arrivals: &[Arrival]) -> usize {
    let mut taken: HashMap<&str, u32> = HashMap::new();
    let mut ids: HashMap<(&str, u32), &str> = HashMap::new();
    let mut again = 0;
    for arrival in arrivals {
        let first = ids.entry((&arrival.call, arrival.seq)).or_insert(&arrival.id);
        assert_eq!(*first, arrival.id, "another webhook-id for {arrival:?}");
        let last = taken.entry(&arrival.call).or_default();
        assert!(
            arrival.seq == *last + 1 || arrival.seq == *last,
            "{arrival:?} came when {last} was the last taken"
        );
        again += usize::from(arrival.seq == *last);
        if arrival.taken {
            *last = arrival.seq;
        }
    }
    let distinct: std::collections::HashSet<&&str> = ids.values().collect();
    assert_eq!(distinct.len(), ids.len(), "two events with one webhook-id");
    again
}
