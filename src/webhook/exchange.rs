//! One question to a web server: name, connection, redirects, retries, the fallback, all within one time. Sans I/O.
//!
//! ```text
//! handle_input / handle_timeout  ->  poll_output until Timeout or Done  ->  …
//! ```

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, LOCATION};
use url::Url;

use super::answer::{self, MAX_BODY};
use super::plan::{Origin, Plan, Target};
use super::policy::Policy;
use super::request::{Path, Requests, SHOWN};
use crate::terms::{Answer, Failure, Method, Reason, Via, What};

/// Redirects of one request, at most.
const MAX_REDIRECTS: u32 = 3;

/// Bytes of a `Location` that are read, at most.
const MAX_LOCATION: usize = 4096;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The name's addresses, in the order in which they should be tried; or why there are none.
    Resolved(Result<Vec<IpAddr>, String>),
    /// The hop brought an answer.
    Responded(HopResponse),
    /// The hop brought none.
    Failed(HopError),
}

/// What is to be done. A new `Resolve` or `Hop` replaces the one before, `Done` ends all.
#[derive(Debug)]
pub enum Output {
    /// Look up a name.
    Resolve {
        /// The name.
        host: String,
    },
    /// Make one HTTP request.
    Hop(Box<Hop>),
    /// For the journal.
    Note(What),
    /// Nothing more now: wait for an input, and call [`Exchange::handle_timeout`] at this time.
    Timeout(Instant),
    /// The end. Comes once.
    Done(Result<Answer, Failure>),
}

/// One HTTP request, for one connection.
pub struct Hop {
    /// Where it goes; the key of a pool of open connections.
    pub origin: Origin,
    /// Where to connect to if none is open: allowed by the policy, never empty, in the order of their trying.
    pub addresses: Vec<SocketAddr>,
    /// The request, its target in origin form, `Host` included.
    pub request: http::Request<Bytes>,
    /// Head and body must be there by then.
    pub deadline: Instant,
    /// Bytes of the body to read, at most.
    pub limit: usize,
}

impl std::fmt::Debug for Hop {
    /// The request's URL and body hold the code.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hop")
            .field("origin", &self.origin)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// An HTTP answer, whole.
#[derive(Clone, Debug)]
pub struct HopResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as far as it was read.
    pub body: Bytes,
    /// There was more than [`Hop::limit`].
    pub truncated: bool,
    /// The address that answered.
    pub peer: SocketAddr,
    /// An open connection was used.
    pub reused: bool,
    /// From the hop's start to the head of the answer.
    pub head_after: Duration,
}

/// Why a hop brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopError {
    /// What it was.
    pub kind: HopErrorKind,
    /// Whether any byte of the request was written. `false` permits a retry.
    pub sent: bool,
    /// In words.
    pub detail: String,
}

/// Kinds of [`HopError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopErrorKind {
    /// No connection.
    Connect,
    /// No trusted TLS session.
    Tls,
    /// The hop's deadline.
    Timeout,
    /// Malformed HTTP, or a connection that ended before the answer did.
    BadResponse,
}

impl HopErrorKind {
    fn reason(self) -> Reason {
        match self {
            HopErrorKind::Connect => Reason::Connect,
            HopErrorKind::Tls => Reason::Tls,
            HopErrorKind::Timeout => Reason::Timeout,
            HopErrorKind::BadResponse => Reason::BadAnswer,
        }
    }
}

/// What an exchange awaits.
///
/// ```text
/// AwaitAddresses -> AwaitResponse -> Done
///   ^  ^  (name)      ^   | |          ^
///   |  |              +---+ | (answer, or a failure that is final)
///   |  |          (redirect)+----------+
///   |  +---- retry: nothing was sent
///   +------- fallback_url: the first request failed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The name's addresses. Passed over where the host is an address.
    AwaitAddresses,
    /// The hop's answer.
    AwaitResponse,
    Done,
}

/// One question.
#[derive(Debug)]
pub struct Exchange {
    plan: Arc<Plan>,
    policy: Arc<Policy>,
    requests: Requests,
    state: State,
    /// The end of everything.
    deadline: Instant,
    /// The end of the request that runs, with its redirects and retries.
    until: Instant,
    /// What went wrong with the first request, where the fallback runs.
    before: Option<Failure>,
    path: Path,
    addresses: Vec<SocketAddr>,
    redirects: u32,
    retries: u32,
    hops: u32,
    outputs: VecDeque<Output>,
}

impl Exchange {
    /// Starts a question.
    pub fn new(now: Instant, plan: Arc<Plan>, policy: Arc<Policy>, requests: Requests) -> Exchange {
        let timeout = plan.webhook.timeout;
        let share = if plan.fallback.is_some() { timeout * 3 / 5 } else { timeout };
        let mut exchange = Exchange {
            path: requests.first.clone(),
            policy,
            requests,
            state: State::AwaitAddresses,
            deadline: now + timeout,
            until: now + share,
            before: None,
            addresses: Vec::new(),
            redirects: 0,
            retries: 0,
            hops: 0,
            outputs: VecDeque::with_capacity(4),
            plan,
        };
        exchange.go(now, Via::First);
        exchange
    }

    /// Something happened. What comes too late is passed over.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        if now >= self.until {
            return self.handle_timeout(now);
        }
        match (self.state, input) {
            (State::AwaitAddresses, Input::Resolved(Ok(found))) => self.resolved(now, &found),
            (State::AwaitAddresses, Input::Resolved(Err(detail))) => {
                self.failed(now, Reason::Dns, format!("{}: {detail}", self.target().origin.host), false);
            }
            (State::AwaitResponse, Input::Responded(response)) => self.responded(now, &response),
            (State::AwaitResponse, Input::Failed(error)) => {
                let detail = format!("{}: {}", self.target().origin, error.detail);
                self.failed(now, error.kind.reason(), detail, error.sent);
            }
            _ => {}
        }
    }

    /// The time of the last [`Output::Timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.until || self.state == State::Done {
            return;
        }
        let what = match self.state {
            State::AwaitAddresses => "the name was not resolved",
            _ => "no whole answer",
        };
        let time = self.plan.webhook.timeout;
        let share = match (&self.before, &self.plan.fallback) {
            (None, Some(_)) => format!("{:?}, 60 % of the time", time * 3 / 5),
            (None, None) => format!("{time:?}"),
            (Some(_), _) => format!("what was left of {time:?}"),
        };
        let detail = format!("{}: {what} within {share}", self.target().origin);
        self.failed(now, Reason::Timeout, detail, true);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or(Output::Timeout(self.until))
    }

    fn target(&self) -> &Target {
        self.plan.fallback.as_ref().filter(|_| self.before.is_some()).unwrap_or(&self.plan.first)
    }

    /// Makes the request, or first looks for the addresses to make it to.
    fn go(&mut self, now: Instant, via: Via) {
        let webhook = &self.plan.webhook;
        self.outputs.push_back(Output::Note(What::Request {
            method: if webhook.method == Method::Post { "POST" } else { "GET" }.to_owned(),
            url: self.shown_url(),
            body: self.requests.shown_body.clone(),
            via,
        }));
        if !self.addresses.is_empty() {
            return self.hop(now);
        }
        match self.target().origin.ip() {
            Some(ip) => self.vet(now, &[ip]),
            None => {
                self.state = State::AwaitAddresses;
                let host = self.target().origin.host.to_string();
                self.outputs.push_back(Output::Resolve { host });
            }
        }
    }

    fn resolved(&mut self, now: Instant, found: &[IpAddr]) {
        let host = self.target().origin.host.to_string();
        if found.is_empty() {
            return self.failed(now, Reason::Dns, format!("{host} has no address"), false);
        }
        let shown = |ip: &IpAddr| match self.policy.check(*ip) {
            Ok(()) => ip.to_string(),
            Err(blocked) => blocked.to_string(),
        };
        let addresses = found.iter().map(shown).collect();
        self.outputs.push_back(Output::Note(What::Resolved { host, addresses }));
        self.vet(now, found);
    }

    /// Keeps the addresses that may be called.
    fn vet(&mut self, now: Instant, found: &[IpAddr]) {
        let port = self.target().origin.port;
        let mut refused = None;
        for ip in found {
            match self.policy.check(*ip) {
                Ok(()) => self.addresses.push(SocketAddr::new(*ip, port)),
                Err(blocked) => refused = Some(blocked),
            }
        }
        match refused {
            Some(blocked) if self.addresses.is_empty() => {
                let detail = format!("{}: {blocked}", self.target().origin);
                self.failed(now, Reason::Blocked, detail, true);
            }
            _ => self.hop(now),
        }
    }

    fn hop(&mut self, now: Instant) {
        let fallback = self.before.is_some();
        match self.plan.request(&self.requests, fallback, &self.path.sent, self.hops) {
            Ok(request) => {
                self.hops += 1;
                self.state = State::AwaitResponse;
                self.outputs.push_back(Output::Hop(Box::new(Hop {
                    origin: self.target().origin.clone(),
                    addresses: self.addresses.clone(),
                    request,
                    deadline: self.until,
                    limit: MAX_BODY,
                })));
            }
            // A URL of more than 64 KiB: some value of the channel is out of all proportion.
            Err(error) => {
                self.failed(now, Reason::ProtocolError, format!("the request cannot be made: {error}"), true);
            }
        }
    }

    fn responded(&mut self, now: Instant, response: &HopResponse) {
        let encoding = text_of(&response.headers, CONTENT_ENCODING);
        let encoding =
            encoding.filter(|e| !e.trim().is_empty() && !e.trim().eq_ignore_ascii_case("identity"));
        let content_type = text_of(&response.headers, CONTENT_TYPE);
        let readable: &[u8] = if encoding.is_some() { &[] } else { &response.body };
        let mut body = self.masked(answer::excerpt(readable, content_type.as_deref()));
        body.truncate(body.floor_char_boundary(SHOWN));
        self.outputs.push_back(Output::Note(What::Response {
            http_status: response.status,
            peer: response.peer.to_string(),
            reused: response.reused,
            head_us: u64::try_from(response.head_after.as_micros()).unwrap_or(u64::MAX),
            content_type: self.masked(content_type.clone().unwrap_or_default()),
            body,
            bytes: response.body.len(),
        }));
        let fail = |reason, detail: String| Failure { reason, http_status: Some(response.status), detail };
        if matches!(response.status, 301 | 302 | 303 | 307 | 308) {
            return match self.redirect(&response.headers) {
                Ok(path) => {
                    self.redirects += 1;
                    self.path = path;
                    self.go(now, Via::Redirect);
                }
                Err(why) => {
                    let detail = format!("HTTP {}: {why}", response.status);
                    self.give_up(now, fail(Reason::HttpStatus, detail));
                }
            };
        }
        let ok = (200..300).contains(&response.status);
        let read = match encoding {
            Some(encoding) if ok => Err(fail(
                Reason::BadAnswer,
                format!("the answer is encoded ({encoding}), which was not asked for"),
            )),
            _ if ok && response.truncated => {
                Err(fail(Reason::BadAnswer, format!("the answer is larger than {} KiB", MAX_BODY >> 10)))
            }
            _ => {
                let plain_text = self.plan.webhook.save_as.is_some();
                answer::parse(readable, content_type.as_deref(), response.status, plain_text)
            }
        };
        match read {
            Ok(mut answer) => {
                if !self.requests.secret.is_empty() {
                    for hint in &mut answer.hints {
                        *hint = self.masked(std::mem::take(hint));
                    }
                }
                self.done(Ok(answer));
            }
            Err(mut failure) => {
                if self.redirects > 0 {
                    failure.detail.push_str(&format!(" (after a redirect to {})", self.shown_url()));
                }
                self.give_up(now, failure);
            }
        }
    }

    /// Where the answer points, if it may be followed; else why not.
    fn redirect(&self, headers: &HeaderMap) -> Result<Path, String> {
        let origin = &self.target().origin;
        let location = text_of(headers, LOCATION).ok_or("a redirect without a Location")?;
        if location.len() > MAX_LOCATION {
            return Err(format!("a redirect whose Location has more than {MAX_LOCATION} bytes"));
        }
        let base = Url::parse(&format!("{origin}{}", self.path.sent));
        let mut url = base
            .and_then(|base| base.join(location.trim()))
            .map_err(|error| format!("a redirect to {location:?}: {error}"))?;
        url.set_fragment(None);
        url.set_username("").and_then(|()| url.set_password(None)).ok();
        let same = Origin::of(&url).is_some_and(|to| to == *origin);
        if !same {
            return Err(format!(
                "a redirect to {url} is not followed: it leaves {origin}; a login page? Else write the right URL"
            ));
        }
        if self.plan.webhook.method == Method::Post {
            return Err(format!("a redirect of a POST is not followed; write {url} as the URL"));
        }
        if self.redirects == MAX_REDIRECTS {
            return Err(format!("more than {MAX_REDIRECTS} redirects, the last one to {url}"));
        }
        let sent = url[url::Position::BeforePath..].to_owned();
        Ok(Path::redirected(sent, &self.requests.secret))
    }

    /// A request brought no HTTP answer.
    fn failed(&mut self, now: Instant, reason: Reason, detail: String, sent: bool) {
        let detail = self.masked(detail);
        self.outputs.push_back(Output::Note(What::RequestFailed { reason, detail: detail.clone() }));
        if !sent && self.retries < self.plan.webhook.retries {
            self.retries += 1;
            return self.go(now, Via::Retry);
        }
        self.fall_back(now, Failure { reason, http_status: None, detail });
    }

    /// An HTTP answer is none that counts.
    fn give_up(&mut self, now: Instant, failure: Failure) {
        let failure = Failure { detail: self.masked(failure.detail), ..failure };
        if self.may_fall_back(&failure) {
            let Failure { reason, detail, .. } = failure.clone();
            self.outputs.push_back(Output::Note(What::RequestFailed { reason, detail }));
        }
        self.fall_back(now, failure);
    }

    fn may_fall_back(&self, failure: &Failure) -> bool {
        let helps = match failure.reason {
            Reason::Dns
            | Reason::Connect
            | Reason::Tls
            | Reason::Timeout
            | Reason::BadAnswer
            | Reason::Blocked => true,
            Reason::HttpStatus => matches!(failure.http_status, Some(408 | 429 | 500..=599)),
            _ => false,
        };
        helps && self.before.is_none() && self.plan.fallback.is_some()
    }

    fn fall_back(&mut self, now: Instant, failure: Failure) {
        match &self.requests.fallback {
            Some(path) if self.may_fall_back(&failure) && now < self.deadline => {
                self.path = path.clone();
                self.until = self.deadline;
                self.addresses.clear();
                (self.redirects, self.retries) = (0, 0);
                self.before = Some(failure);
                self.go(now, Via::Fallback);
            }
            _ => {
                let detail = match &self.before {
                    Some(first) => format!("{}; fallback_url: {}", first.detail, failure.detail),
                    None => failure.detail,
                };
                self.done(Err(Failure { detail, ..failure }));
            }
        }
    }

    fn done(&mut self, result: Result<Answer, Failure>) {
        self.state = State::Done;
        self.outputs.push_back(Output::Done(result));
    }

    fn shown_url(&self) -> String {
        format!("{}{}", self.target().origin, self.path.shown())
    }

    /// A text in which a code may stand, without it.
    fn masked(&self, text: String) -> String {
        self.requests.secret.mask_in(&text)
    }
}

/// A header's text. Servers write bytes that no header should hold.
fn text_of(headers: &HeaderMap, name: http::HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
