//! A world for an exchange: names, hops and time as a test tells them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use switchhook::terms::{Answer, Failure, Webhook, What};
use switchhook::webhook::answer::MAX_BODY;
use switchhook::webhook::{Exchange, HopError, HopErrorKind, HopResponse, Input, Output, Policy};

use super::{plan, requests};
use Say::{Addresses, Fails, NoName, Nothing, Responds};

/// What the world does next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Say {
    /// The name has addresses.
    Addresses(&'static [&'static str]),
    /// The name is not known.
    NoName,
    /// HTTP status, headers, body.
    Responds(u16, &'static [(&'static str, &'static str)], &'static str),
    /// The hop fails; whether anything was sent.
    Fails(HopErrorKind, bool),
    /// Nothing happens until the time is over.
    Nothing,
}

/// An exchange with its world, and what was seen of it.
pub(super) struct World {
    start: Instant,
    pub(super) now: Instant,
    pub(super) exchange: Exchange,
    pub(super) seen: Vec<String>,
    pub(super) notes: Vec<What>,
    pub(super) hops: Vec<http::Request<Bytes>>,
}

impl World {
    pub(super) fn new(webhook: Webhook, code: Option<&str>, policy: Policy) -> World {
        let plan = plan(webhook);
        let requests = requests(&plan, code);
        let now = Instant::now();
        let exchange = Exchange::new(now, plan, Arc::new(policy), requests);
        World { start: now, now, exchange, seen: Vec::new(), notes: Vec::new(), hops: Vec::new() }
    }

    /// Each of `says` 10 ms after what it answers.
    pub(super) fn play(&mut self, says: &[Say]) -> Result<Answer, Failure> {
        let mut says = says.iter();
        loop {
            let timeout = loop {
                match self.exchange.poll_output() {
                    Output::Done(result) => {
                        assert!(says.next().is_none(), "it ended too early: {:?}", self.seen);
                        return result;
                    }
                    Output::Timeout(at) => break at,
                    other => self.see(other),
                }
            };
            let say = says.next().unwrap_or_else(|| panic!("it goes on after {:?}", self.seen));
            self.now += Duration::from_millis(10);
            let input = match say {
                Addresses(ips) => {
                    Input::Resolved(Ok(ips.iter().map(|ip| ip.parse().expect("an address")).collect()))
                }
                NoName => Input::Resolved(Err("no such name".to_owned())),
                Responds(status, headers, body) => Input::Responded(response(*status, headers, body)),
                Fails(kind, sent) => Input::Failed(HopError {
                    kind: *kind,
                    sent: *sent,
                    detail: "reset while 73%2A91 was sent".to_owned(),
                }),
                Nothing => {
                    self.exchange.handle_timeout(timeout - Duration::from_millis(1));
                    self.now = timeout;
                    self.exchange.handle_timeout(timeout);
                    continue;
                }
            };
            self.exchange.handle_input(self.now, input);
        }
    }

    fn see(&mut self, output: Output) {
        let line = match output {
            Output::Resolve { host } => format!("resolve {host}"),
            Output::Hop(hop) => {
                let ips: Vec<IpAddr> = hop.addresses.iter().map(|a| a.ip()).collect();
                let left = hop.deadline - self.start;
                let line = format!("hop {} {ips:?} {} until {left:?}", hop.origin, hop.request.uri());
                assert_eq!(hop.limit, MAX_BODY);
                assert!(hop.addresses.iter().all(|a| a.port() == hop.origin.port));
                self.hops.push(hop.request);
                line
            }
            Output::Note(what) => {
                let line = match &what {
                    What::Request { method, url, via, .. } => format!("{via:?} {method} {url}"),
                    What::Resolved { addresses, .. } => format!("resolved {addresses:?}"),
                    What::Response { http_status, .. } => format!("response {http_status}"),
                    What::RequestFailed { reason, .. } => format!("failed {reason}"),
                    other => panic!("{other:?}"),
                };
                self.notes.push(what);
                line
            }
            other => panic!("{other:?}"),
        };
        self.seen.push(line);
    }
}

pub(super) fn response(
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: &'static str,
) -> HopResponse {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_static(name),
            HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
        );
    }
    HopResponse {
        status,
        headers: map,
        body: Bytes::from_static(body.as_bytes()),
        truncated: false,
        peer: "192.0.2.1:80".parse().expect("an address"),
        reused: false,
        head_after: Duration::from_millis(7),
    }
}

pub(super) fn short(result: &Result<Answer, Failure>) -> (String, Option<u16>) {
    match result {
        Ok(answer) => {
            let line = format!("{} {} {}", answer.status, answer.destination, answer.callername);
            (line.trim_end().to_owned(), Some(answer.http_status))
        }
        Err(failure) => (failure.reason.to_string(), failure.http_status),
    }
}
