//! A small web server that plays the user's CRM, well and badly. HTTP/1.1 over plain TCP, written by hand: what it sends
//! wrong must leave it wrong.
//!
//! | path | what it does |
//! |---|---|
//! | `/route` | code [`CODE`], or no `code` at all: `status=ACK` with destination 215 and a name; else `status=NAK` |
//! | `/json`, `/text` | the same as JSON; `gold` or `none` as a plain text |
//! | `/err`, `/nak`, `/empty` | `status=ERR`; `status=NAK`; nothing |
//! | `/destination/TEXT` | `status=ACK` with that destination, percent-encoded as it came |
//! | `/say/TEXT` | that text, percent-decoded |
//! | `/slow/MS` | as `/route`, so many ms later |
//! | `/status/CODE` | that HTTP status with `status=NAK` |
//! | `/html`, `/notice` | a login page; a PHP notice before a good answer |
//! | `/bom`, `/plus` | a byte order mark before a good answer; a destination whose `+` became a space |
//! | `/strict` | as `/route`; nothing for a caller without a number |
//! | `/slash` | 301 to `/slash/` with the same query, which is as `/route` |
//! | `/moved`, `/redirect` | 308 to `/route` with the same query; 302 to `/html` |
//! | `/close`, `/half`, `/big` | closes without an answer; half a body; 1 MB |
//!
//! Anything else is 404. Parameters are read from the query and from a form or JSON body.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// The code that is right.
pub const CODE: &str = "1234";

/// Bytes of a request's head, at most.
const HEAD: usize = 32 << 10;

/// Bytes of a request's body, at most.
const BODY: usize = 1 << 20;

/// Connections at a time, at most. Further ones wait in the kernel.
const CONNECTIONS: usize = 1_000;

/// Requests that are remembered, at most.
const REMEMBERED: usize = 10_000;

/// The destination, caller name and plain text of a good answer.
const GOOD: (&str, &str, &str) = ("215", "Jansen & Zn", "gold");

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    requests: watch::Sender<Vec<Request>>,
    task: AbortHandle,
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names as sent, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A parameter of the query, or of a form or JSON body.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let found = |text: &[u8]| {
            let mut pairs = url::form_urlencoded::parse(text);
            pairs.find(|(key, _)| key == name).map(|(_, value)| Cow::into_owned(value))
        };
        found(query.as_bytes()).or_else(|| {
            let json: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
            match json {
                Some(json) => json.get(name)?.as_str().map(str::to_owned),
                None => found(&self.body),
            }
        })
    }
}

impl Server {
    /// Listens on an address; port 0 is any free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(address: SocketAddr) -> io::Result<Server> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let requests = watch::Sender::new(Vec::new());
        let task = tokio::spawn(accept(listener, requests.clone())).abort_handle();
        Ok(Server { address, requests, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL of it, for a path with its leading `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What came so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }

    /// Waits until so many requests came.
    pub async fn asked(&self, count: usize) {
        // The sender lives as long as this.
        drop(self.requests.subscribe().wait_for(|requests| requests.len() >= count).await);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, requests: watch::Sender<Vec<Request>>) {
    let mut open = JoinSet::new();
    loop {
        if open.len() >= CONNECTIONS {
            open.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(open.spawn(connection(stream, requests.clone()))),
                // Out of descriptors: one must be given back first.
                Err(_) => drop(open.join_next().await),
            },
            Some(_) = open.join_next() => {}
        }
    }
}

/// Requests one after the other, until one of the two sides has enough. What breaks a connection is nobody's business.
async fn connection(mut stream: TcpStream, requests: watch::Sender<Vec<Request>>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        let answer = answer(&request);
        requests.send_if_modified(|requests| {
            let room = requests.len() < REMEMBERED;
            if room {
                requests.push(request);
            }
            room
        });
        if !answer.delay.is_zero() {
            tokio::time::sleep(answer.delay).await;
        }
        if stream.write_all(&answer.bytes).await.is_err() || answer.close {
            break;
        }
    }
    stream.shutdown().await.ok();
}

/// The next request, or `None` at the end and for everything that is none.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            break end;
        }
        if buffer.len() > HEAD || stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> =
        lines.filter_map(|l| l.split_once(':')).map(|(n, v)| (n.to_owned(), v.trim().to_owned())).collect();
    let mut request = Request { method, target, headers, body: Vec::new() };
    let length = request.header("content-length").map_or(Some(0), |length| length.parse().ok())?;
    if length > BODY {
        return None;
    }
    while buffer.len() < end + 4 + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    request.body = buffer[end + 4..end + 4 + length].to_vec();
    buffer.drain(..end + 4 + length);
    Some(request)
}

struct Answer {
    delay: Duration,
    bytes: Vec<u8>,
    /// The connection ends behind it.
    close: bool,
}

fn answer(request: &Request) -> Answer {
    let path = request.path();
    let query = request.target.get(path.len()..).unwrap_or_default();
    let good = request.parameter("code").is_none_or(|code| code == CODE);
    let (destination, name, text) = GOOD;
    // As many servers write it: nothing is encoded, the ampersand neither.
    let route = if good {
        format!("status=ACK&destination={destination}&callername={name}")
    } else {
        "status=NAK".to_owned()
    };
    let number = |rest: &str| rest.parse::<u64>().ok();
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["", "route"] => plain(&route),
        ["", "slow", ms] => Answer { delay: Duration::from_millis(number(ms).unwrap_or(0)), ..plain(&route) },
        ["", "json"] => {
            let body = if good {
                serde_json::json!({ "status": "ACK", "destination": destination, "callername": name })
            } else {
                serde_json::json!({ "status": "NAK" })
            };
            http(200, "application/json", "", &body.to_string())
        }
        ["", "text"] => plain(if good { text } else { "none" }),
        ["", "err"] => plain("status=ERR"),
        ["", "nak"] => plain("status=NAK"),
        ["", "empty"] => plain(""),
        ["", "destination", text] => plain(&format!("status=ACK&destination={text}")),
        ["", "say", ..] => {
            let text = path.strip_prefix("/say/").unwrap_or_default();
            plain(&percent_encoding::percent_decode_str(text).decode_utf8_lossy())
        }
        ["", "status", code] => {
            let code = number(code).and_then(|c| u16::try_from(c).ok()).unwrap_or(500);
            http(code, "text/plain", "", "status=NAK")
        }
        ["", "html"] => http(200, "text/html; charset=utf-8", "", LOGIN),
        ["", "notice"] => http(200, "text/html; charset=UTF-8", "", &format!("{NOTICE}{route}")),
        ["", "bom"] => plain(&format!("\u{feff}{route}")),
        ["", "plus"] => plain("status=ACK&destination=%2031688776655"),
        ["", "strict"] if request.parameter("callerid").is_some_and(|number| number.is_empty()) => plain(""),
        ["", "strict"] | ["", "slash", ""] => plain(&route),
        ["", "slash"] => http(301, "text/html", &format!("Location: /slash/{query}\r\n"), ""),
        ["", "moved"] => http(308, "text/html", &format!("Location: /route{query}\r\n"), ""),
        ["", "redirect"] => http(302, "text/html", "Location: /html\r\n", ""),
        ["", "close"] => Answer { delay: Duration::ZERO, bytes: Vec::new(), close: true },
        ["", "half"] => {
            let mut answer = plain(&route);
            answer.bytes.truncate(answer.bytes.len() - route.len() / 2);
            Answer { close: true, ..answer }
        }
        ["", "big"] => plain(&format!("{route}&x={}", "x".repeat(1 << 20))),
        _ => http(404, "text/html", "", "<h1>Not Found</h1>"),
    }
}

const LOGIN: &str = "<!DOCTYPE html>\n<html><head><title>Log in</title></head>\n<body><form action=\"/login\">…</form></body></html>\n";

const NOTICE: &str =
    "<br />\n<b>Notice</b>:  Undefined index: name in <b>/var/www/route.php</b> on line <b>12</b><br />\n";

fn plain(body: &str) -> Answer {
    http(200, "text/plain; charset=utf-8", "", body)
}

fn http(status: u16, content_type: &str, headers: &str, body: &str) -> Answer {
    let reason =
        http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Unknown");
    let bytes = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Answer { delay: Duration::ZERO, bytes: bytes.into_bytes(), close: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test)
    }

    async fn start() -> Server {
        Server::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port")
    }

    /// Writes all of it and reads until the server closes, or so many bytes.
    async fn say(server: &Server, text: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
        stream.write_all(text.as_bytes()).await.expect("a write");
        stream.shutdown().await.expect("a half-close");
        let mut said = String::new();
        stream.read_to_string(&mut said).await.expect("an answer");
        said
    }

    #[test]
    fn each_path_behaves_as_the_table_says() {
        run(async {
            let server = start().await;
            for (target, head, body) in [
                ("/route?code=1234", "HTTP/1.1 200 OK", "status=ACK&destination=215&callername=Jansen & Zn"),
                ("/route?code=9", "HTTP/1.1 200 OK", "status=NAK"),
                ("/route", "HTTP/1.1 200 OK", "status=ACK&destination=215&callername=Jansen & Zn"),
                ("/slow/10?code=9", "HTTP/1.1 200 OK", "status=NAK"),
                ("/json?code=9", "HTTP/1.1 200 OK", "{\"status\":\"NAK\"}"),
                ("/text", "HTTP/1.1 200 OK", "gold"),
                ("/destination/500%26x", "HTTP/1.1 200 OK", "status=ACK&destination=500%26x"),
                ("/say/a%20%26/%C3%AB?code=9", "HTTP/1.1 200 OK", "a &/ë"),
                ("/status/401", "HTTP/1.1 401 Unauthorized", "status=NAK"),
                ("/nothing", "HTTP/1.1 404 Not Found", "<h1>Not Found</h1>"),
                ("/strict?callerid=", "HTTP/1.1 200 OK", ""),
                ("/strict?callerid=1&code=9", "HTTP/1.1 200 OK", "status=NAK"),
                ("/slash/?code=9", "HTTP/1.1 200 OK", "status=NAK"),
                ("/bom?code=9", "HTTP/1.1 200 OK", "\u{feff}status=NAK"),
                ("/plus", "HTTP/1.1 200 OK", "status=ACK&destination=%2031688776655"),
                ("/empty", "HTTP/1.1 200 OK", ""),
            ] {
                let said = say(&server, &format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
                let (got, rest) = said.split_once("\r\n\r\n").expect("a head");
                assert!(got.starts_with(head) && rest == body, "{target}: {said}");
            }
            let moved = say(&server, "GET /moved?code=1 HTTP/1.1\r\n\r\n").await;
            assert!(moved.contains("\r\nLocation: /route?code=1\r\n"), "{moved}");
            assert_eq!(say(&server, "GET /close HTTP/1.1\r\n\r\n").await, "");
            let half = say(&server, "GET /half HTTP/1.1\r\n\r\n").await;
            assert!(half.ends_with("status=ACK&destination=21"), "{half}");
            assert!(say(&server, "GET /big HTTP/1.1\r\n\r\n").await.len() > 1 << 20);
        });
    }

    #[test]
    fn requests_are_kept_on_one_connection_and_remembered() {
        run(async {
            let server = start().await;
            let said = say(
                &server,
                "POST /route HTTP/1.1\r\nX-One: 1\r\nContent-Length: 11\r\n\r\ncode=1234&aGET /text?code=%31234 HTTP/1.1\r\n\r\n\
                 POST /route HTTP/1.1\r\ncontent-length: 15\r\n\r\n{\"code\":\"1234\"}",
            )
            .await;
            assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 3, "{said}");
            let requests = server.requests();
            assert_eq!(requests[0].header("x-one"), Some("1"));
            let codes: Vec<_> = requests.iter().map(|r| r.parameter("code")).collect();
            assert_eq!(codes, [Some("1234".to_owned()), Some("1234".to_owned()), Some("1234".to_owned())]);
            assert_eq!((requests[1].path(), requests[1].target.as_str()), ("/text", "/text?code=%31234"));
        });
    }
}
