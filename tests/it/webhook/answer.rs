//! Answers as real servers send them.

use proptest::prelude::*;
use switchhook::terms::{Dialect, Reason, Status};
use switchhook::webhook::answer::{MAX_BODY, parse};

struct Row(&'static [u8], &'static str, Read);

enum Read {
    /// Status, destination, name.
    Is(Status, &'static str, &'static str),
    /// Words of the failure's detail.
    Bad(&'static str),
}
use Read::{Bad, Is};
use Status::{Ack, Nak};

const ROWS: &[Row] = &[
    // The dialect of the hosted systems.
    Row(b"status=ACK", "", Is(Ack, "", "")),
    Row(b"STATUS=ack&Destination=215", "", Is(Ack, "215", "")),
    Row(b"status=NAK&callername=Jan", "", Is(Nak, "", "")),
    Row(b"status=ERR", "", Is(Status::Err, "", "")),
    Row(b"destination=215&status=ACK", "", Is(Ack, "215", "")),
    Row(b"status=ACK&destination=%2B31612345678", "", Is(Ack, "+31612345678", "")),
    Row(b"status=ACK&destination=+31612345678", "", Is(Ack, "+31612345678", "")),
    Row(b"status=ACK&value=+31502102544", "text/html", Is(Ack, "+31502102544", "")),
    Row(b"status=ACK&value=1&destination=2", "", Is(Ack, "2", "")),
    Row(b"status=ACK&destination=2&value=1", "", Is(Ack, "2", "")),
    Row(b"status=ACK&destination=1&destination=2", "", Is(Ack, "2", "")),
    Row(b"status=NAK&status=ACK", "", Is(Ack, "", "")),
    Row(b"\xef\xbb\xbf status=ACK\r\n", "", Is(Ack, "", "")),
    Row(b"\xef\xbb\xbf\n\xef\xbb\xbfstatus=ACK", "", Is(Ack, "", "")),
    Row(b"status=ACK&\r\ndestination=215\r\n", "", Is(Ack, "215", "")),
    Row(b"&status=ACK&&destination=215&", "", Is(Ack, "215", "")),
    Row(b"status=ACK&callername=A && B&destination=1", "", Is(Ack, "1", "A && B")),
    // What is not encoded.
    Row(b"status=ACK&callername=Jansen & Zn&destination=215", "", Is(Ack, "215", "Jansen & Zn")),
    Row(b"status=ACK&callername=Jansen&Zn&destination=215", "", Is(Ack, "215", "Jansen&Zn")),
    Row(b"status=ACK&callername=A & B = C&destination=215", "", Is(Ack, "215", "A & B = C")),
    Row(b"status=ACK&callername=a=b", "", Is(Ack, "", "a=b")),
    Row(b"status=ACK&callername=50% korting", "", Is(Ack, "", "50% korting")),
    Row(b"status=ACK&callername=100%", "", Is(Ack, "", "100%")),
    Row(b"status=ACK&callername=%zz%4", "", Is(Ack, "", "%zz%4")),
    // A plus sign is a space in a name that was encoded so, and nowhere else.
    Row(b"status=ACK&callername=Jan+Jansen", "", Is(Ack, "", "Jan Jansen")),
    Row(b"status=ACK&callername=+31612345678", "", Is(Ack, "", "+31612345678")),
    Row(b"status=ACK&callername=+31+612+345678", "", Is(Ack, "", "+31 612 345678")),
    Row(b"status=ACK&callername=+Jan", "", Is(Ack, "", "Jan")),
    Row(b"status=ACK&callername=Jan%2BJansen", "", Is(Ack, "", "Jan+Jansen")),
    Row(b"status=ACK&callername=Jan + Co", "", Is(Ack, "", "Jan + Co")),
    Row(b"status=ACK&callername=Jan%20+%20Co", "", Is(Ack, "", "Jan + Co")),
    // Characters.
    Row("status=ACK&callername=Müller".as_bytes(), "text/plain; charset=utf-8", Is(Ack, "", "Müller")),
    Row("status=ACK&callername=Müller".as_bytes(), "text/plain; charset=iso-8859-1", Is(Ack, "", "Müller")),
    Row(b"status=ACK&callername=M\xfcller", "", Is(Ack, "", "Müller")),
    Row(b"status=ACK&callername=M\xfcller", "text/plain; charset=utf-8", Is(Ack, "", "Müller")),
    Row(b"status=ACK&callername=\xcd\xe0", "text/plain; Charset=\"windows-1251\"", Is(Ack, "", "На")),
    Row(b"status=ACK&callername=%CD%E0", "text/plain; charset=windows-1251", Is(Ack, "", "На")),
    Row(b"status=ACK&callername=M%FCller", "", Is(Ack, "", "Müller")),
    Row(b"status=ACK&callername=M%C3%BCller", "", Is(Ack, "", "Müller")),
    Row("status=ACK&callername=Zoë M%C3%BCller".as_bytes(), "", Is(Ack, "", "Zoë Müller")),
    Row(b"\xff\xfes\0t\0a\0t\0u\0s\0=\0A\0C\0K\0", "", Is(Ack, "", "")),
    Row(b"s\0t\0a\0t\0u\0s\0=\0A\0C\0K\0", "text/plain; charset=utf-16le", Is(Ack, "", "")),
    // JSON.
    Row(br#"{"status":"ACK","destination":"0201234567"}"#, "", Is(Ack, "0201234567", "")),
    Row(br#" {"Status":"ack","callername":"A & B + 50%20"}"#, "text/plain", Is(Ack, "", "A & B + 50%20")),
    Row(
        br#"{"status":"ACK","destination":31612345678901234567890}"#,
        "",
        Is(Ack, "31612345678901234567890", ""),
    ),
    Row(br#"{"status":"ACK","destination":null,"value":215}"#, "", Is(Ack, "215", "")),
    Row(br#"{"status":"NAK","status":"ACK"}"#, "", Is(Ack, "", "")),
    Row(br#"{"status":"ACK","more":{"a":[1]},"list":[]}"#, "", Is(Ack, "", "")),
    Row(br#"{"status":"ACK","callername":"\u00fc\ud83d\ude00"}"#, "", Is(Ack, "", "ü😀")),
    Row(br#"{"status":"ACK","destination":["215"]}"#, "", Bad("\"destination\" is an array")),
    Row(br#"{"status":{"a":1}}"#, "", Bad("\"status\" is an object")),
    Row(br#"{"status":"ACK","callername":"\ud83d"}"#, "", Bad("begins as JSON but is none")),
    Row(br#"{"status":"ACK""#, "", Bad("begins as JSON but is none")),
    Row(br#"{"status":"ACK"} trailing"#, "", Bad("begins as JSON but is none")),
    Row(br#"{"status":null}"#, "", Bad("no \"status\"")),
    Row(br#"{"status":true}"#, "", Bad("must be ACK, NAK or ERR")),
    Row(br#"[{"status":"ACK"}]"#, "", Bad("JSON array")),
    Row(br#""status=ACK&destination=215""#, "", Bad("in quotes")),
    // What says nothing.
    Row(b"", "", Bad("empty")),
    Row(b" \r\n", "", Bad("empty")),
    Row(b"\xef\xbb\xbf", "", Bad("empty")),
    Row(b"ACK", "", Bad("write status=ACK")),
    Row(b"nak", "", Bad("write status=NAK")),
    Row(b"status=OK", "", Bad("status is \"OK\": it must be ACK, NAK or ERR")),
    Row(b"status=", "", Bad("must be ACK, NAK or ERR")),
    Row(b"status=ACK\ndestination=215", "", Bad("separated by &, not by line breaks")),
    Row(b"status=ACK\n<br />Notice", "", Bad("behind the status")),
    Row(b"status=ACK&destination", "", Bad("behind an & comes key=value")),
    Row(b"destination=215", "", Bad("no status=")),
    Row(b"?status=ACK", "", Bad("text before status=")),
    Row(b"Notice: x & y&status=ACK", "", Bad("text before status=")),
    Row(b"Notice: Undefined index on line 3\nstatus=ACK", "", Bad("text before status=")),
    Row(b"<br />\n<b>Notice</b>: x\nstatus=ACK", "", Bad("text before status=: a PHP notice?")),
    Row(b"<!DOCTYPE html><form action='/login?status=ACK'>", "", Bad("HTML: a login page")),
    Row(b"<html>", "text/plain", Bad("HTML")),
    Row(b"<?xml version='1.0'?><status>ACK</status>", "", Bad("HTML")),
];

fn content_type(text: &str) -> Option<&str> {
    Some(text).filter(|t| !t.is_empty())
}

#[test]
fn answers() {
    for Row(body, kind, read) in ROWS {
        let shown = String::from_utf8_lossy(body);
        match (parse(body, content_type(kind), 200, false), read) {
            (Ok(answer), Is(status, destination, name)) => {
                let got = (answer.status, answer.destination.as_str(), answer.callername.as_str());
                assert_eq!(got, (*status, *destination, *name), "{shown}");
            }
            (Err(failure), Bad(words)) => {
                assert_eq!((failure.reason, failure.http_status), (Reason::BadAnswer, Some(200)), "{shown}");
                assert!(failure.detail.contains(words), "{shown}: {}", failure.detail);
            }
            (other, _) => panic!("{shown}: {other:?}"),
        }
    }
}

#[test]
fn what_was_forgiven_is_said() {
    for (body, hint) in [
        (&b"status=ACK&value=1"[..], Some("value= is an old name of destination=")),
        (
            b"status=ACK&callername=Jansen & Zn",
            Some("the & in the value of \"callername\" is not encoded: write %26"),
        ),
        (
            b"status=ACK&callername=50% off",
            Some("the % in the value of \"callername\" is not encoded: write %25"),
        ),
        (b"status=ACK&amp;destination=215", Some("&amp; is HTML: write & before \"destination\"")),
        (b"status=ACK&status=ACK", Some("\"status\"= is there more than once: the last one counts")),
        (b"status=NAK&callername=Jan", Some("callername beside NAK is ignored")),
        (b"\xef\xbb\xbfstatus=ACK", Some("byte order mark")),
        (b"status=ACK&callername=M\xfcller", Some("not UTF-8: it was read as windows-1252")),
        (br#"{"status":"ACK","destination":215}"#, Some("a leading 0 or + is lost")),
        (br#"{"status":"ACK","ticket":[1]}"#, Some("it can be put into no variable")),
        (b"status=ACK&destination=%2B31612345678&callername=Jan%20Jansen", None),
        (b"status=ACK&callername=Jan+Jansen\r\n", None),
    ] {
        let answer = parse(body, None, 200, false).expect("an answer");
        let shown = String::from_utf8_lossy(body);
        match hint {
            Some(hint) => {
                assert!(answer.hints.iter().any(|h| h.contains(hint)), "{shown}: {:?}", answer.hints)
            }
            None => assert!(answer.hints.is_empty(), "{shown}: {:?}", answer.hints),
        }
    }
}

#[test]
fn every_key_can_become_a_variable() {
    let answer = parse(b"status=ACK&Ticket=A%2B1&note=a+b&ticket=A2", None, 200, false).expect("an answer");
    assert_eq!(
        answer.pairs,
        [
            ("status".to_owned(), "ACK".to_owned()),
            ("ticket".to_owned(), "A2".to_owned()),
            ("note".to_owned(), "a+b".to_owned()),
        ]
    );
    let json = br#"{"status":"ACK","Ticket":1.50,"vip":true,"none":null}"#;
    let answer = parse(json, None, 200, false).expect("an answer");
    assert_eq!(answer.dialect, Dialect::Json);
    assert_eq!(
        answer.pairs[1..],
        [("ticket".to_owned(), "1.50".to_owned()), ("vip".to_owned(), "true".to_owned())]
    );
}

/// Callvoip's servers answer a text that the dialplan compares.
#[test]
fn a_text_to_compare() {
    for (body, text) in [
        (&b" sales \r\n"[..], Some("sales")),
        (b"0", Some("0")),
        (br#"{"queue":"sales"}"#, Some(r#"{"queue":"sales"}"#)),
        (b"queue=sales&open=1", Some("queue=sales&open=1")),
        (b"<3", Some("<3")),
        (b"", None),
        (b"<html></html>", None),
        (b"{\"status\":\"ACK\"", None),
        (b"Notice: x\nstatus=NAK", None),
        (b"status=closed", None),
    ] {
        match (parse(body, None, 201, true), text) {
            (Ok(answer), Some(text)) => {
                assert_eq!((answer.dialect, answer.status), (Dialect::Text, Ack), "{text}");
                assert_eq!((answer.text.as_str(), answer.http_status), (text, 201));
                assert_eq!((answer.destination.as_str(), answer.callername.as_str()), ("", ""));
            }
            (Err(failure), None) => assert_eq!(failure.reason, Reason::BadAnswer),
            (other, _) => panic!("{other:?}"),
        }
    }
    let answer = parse(b"status=NAK&destination=1", None, 200, true).expect("an answer");
    assert_eq!((answer.status, answer.dialect), (Nak, Dialect::Pairs));
    assert_eq!(answer.text, "status=NAK&destination=1");
}

#[test]
fn another_http_status_is_no_answer() {
    for (http_status, body, words) in [
        (401, &b"status=NAK"[..], "HTTP 401 Unauthorized, body says NAK"),
        (403, b"status=ACK", "HTTP 403 Forbidden, body says ACK"),
        (422, br#"{"status":"nak"}"#, "HTTP 422 Unprocessable Entity, body says NAK"),
        (404, b"<html>not found</html>", "HTTP 404 Not Found; is the path of the URL right?"),
        (500, b"", "HTTP 500 Internal Server Error"),
        (304, b"", "HTTP 304 Not Modified"),
        (599, b"status=what", "HTTP 599"),
    ] {
        let failure = parse(body, None, http_status, true).expect_err("no answer");
        assert_eq!((failure.reason, failure.http_status), (Reason::HttpStatus, Some(http_status)));
        assert!(failure.detail.starts_with(words), "{}", failure.detail);
    }
    assert!(parse(b"status=ACK", None, 299, false).is_ok());
}

#[test]
fn limits() {
    let fill = |size: usize| format!("status=ACK&x={}", "y".repeat(size - 13)).into_bytes();
    assert!(parse(&fill(MAX_BODY), None, 200, false).is_ok());
    assert!(parse(&fill(MAX_BODY + 1), None, 200, false).is_err());
    let keys = |n: usize| (0..n).map(|i| format!("k{i}=&")).collect::<String>() + "status=ACK";
    assert!(parse(keys(255).as_bytes(), None, 200, false).is_ok());
    assert!(parse(keys(256).as_bytes(), None, 200, false).is_err());
    let members = |n: usize| (0..n).map(|i| format!("\"k{i}\":1,")).collect::<String>();
    assert!(parse(format!("{{{}\"status\":\"ACK\"}}", members(255)).as_bytes(), None, 200, false).is_ok());
    assert!(parse(format!("{{{}\"status\":\"ACK\"}}", members(256)).as_bytes(), None, 200, false).is_err());
    // As deep as a body can be, for a key that nobody asks for and for one that counts.
    let deep =
        |key: &str| format!("{{\"status\":\"ACK\",\"{key}\":{}1{}}}", "[".repeat(30_000), "]".repeat(30_000));
    assert!(parse(deep("x").as_bytes(), None, 200, false).is_ok());
    assert!(parse(deep("destination").as_bytes(), None, 200, false).is_err());
    assert!(parse("[".repeat(MAX_BODY).as_bytes(), None, 200, false).is_err());
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(
        body in prop::collection::vec(any::<u8>(), 0..300),
        kind in prop::option::of(".{0,40}"),
        http_status: u16,
        plain: bool,
    ) {
        let _answer = parse(&body, kind.as_deref(), http_status, plain);
    }

    #[test]
    fn nothing_near_an_answer_breaks_the_reader(
        parts in prop::collection::vec(prop::sample::select(vec![
            "status", "=", "ACK", "&", "callername", "destination", "%", "%4", "%41", "%FF", "+", " ", "{", "}", "\"", ":",
            ",", "é", "\u{feff}", "\n", "<", "[", "\\u", "amp;",
        ]), 0..40),
        plain: bool,
    ) {
        let _answer = parse(parts.concat().as_bytes(), None, 200, plain);
    }

    /// A server that encodes gets through whatever it has to say.
    #[test]
    fn what_is_encoded_arrives(name in "[^\\p{C}]{0,80}", destination: String) {
        let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let body = format!("status=ACK&callername={}&destination={}", encode(&name), encode(&destination));
        let answer = parse(body.as_bytes(), None, 200, false).expect("an answer");
        prop_assert_eq!(answer.callername, name.trim());
        prop_assert_eq!(answer.destination, destination);
        prop_assert!(answer.hints.is_empty());
    }
}
