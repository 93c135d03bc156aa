//! What becomes of a question: redirects, retries, the fallback, one time for all of it.

use std::time::Duration;

use switchhook::terms::{Method, Reason, Status, What};
use switchhook::webhook::HopErrorKind::{BadResponse, Connect, Timeout, Tls};
use switchhook::webhook::{HopError, HopResponse, Input, Output, Policy};

use super::world::Say::{self, Fails, Nothing, Responds};
use super::world::{World, response, short};
use super::{ivr, save_as, template, webhook};

const HTML: &str = "text/html; charset=UTF-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers of real servers, byte for byte, with what comes of them.
#[test]
fn answers_of_real_servers() {
    const PLAIN: &[(&str, &str)] = &[("content-type", TEXT)];
    const PAGE: &[(&str, &str)] = &[("content-type", HTML)];
    let rows: [(u32, &[Say], &str, Option<u16>); 21] = [
        (1, &[Responds(200, PLAIN, "status=ACK&destination=%2B31612345678")], "ACK +31612345678", Some(200)),
        (2, &[Responds(401, PLAIN, "status=NAK")], "http_status", Some(401)),
        (
            3,
            &[Responds(
                422,
                &[("content-type", "application/json")],
                r#"{"detail":[{"type":"missing","loc":["query","key"]}]}"#,
            )],
            "http_status",
            Some(422),
        ),
        (4, &[Responds(500, PLAIN, "")], "http_status", Some(500)),
        (5, &[Responds(200, PAGE, "status=ACK&value=+31502102544")], "ACK +31502102544", Some(200)),
        (6, &[Responds(200, PAGE, "status=ACK&value=")], "ACK", Some(200)),
        (
            7,
            &[Responds(308, &[("location", "/webhook/")], ""), Responds(200, PAGE, "status=ACK&value=215")],
            "ACK 215",
            Some(200),
        ),
        (
            8,
            &[Responds(200, PLAIN, "status=ACK&callername=Jan Jansen VoIPGRID")],
            "ACK  Jan Jansen VoIPGRID",
            Some(200),
        ),
        (
            9,
            &[Responds(200, PLAIN, "status=ACK&callername=Jansen & Zn&destination=215")],
            "ACK 215 Jansen & Zn",
            Some(200),
        ),
        (
            10,
            &[Responds(200, PLAIN, "status=ACK&callername=50% korting B.V.")],
            "ACK  50% korting B.V.",
            Some(200),
        ),
        (11, &[Responds(200, PLAIN, "status=ACK&callername=[NK]Jan")], "ACK  [NK]Jan", Some(200)),
        (12, &[Responds(200, PAGE, "")], "bad_answer", Some(200)),
        (13, &[Responds(200, PAGE, "status=ACK&callername=n/a")], "ACK  n/a", Some(200)),
        (
            14,
            &[Responds(
                200,
                PAGE,
                "<br />\n<b>Notice</b>:  Undefined index: did in <b>/var/www/hook.php</b> on line <b>3</b><br />\nstatus=ACK&callername=Jan",
            )],
            "bad_answer",
            Some(200),
        ),
        (15, &[Responds(200, PAGE, "\u{feff}status=ACK\r\n")], "ACK", Some(200)),
        (16, &[Responds(200, PLAIN, "status=ACK&callername=Müller")], "ACK  Müller", Some(200)),
        (
            17,
            &[
                Responds(302, &[("location", "/login?next=/webhook")], ""),
                Responds(200, PAGE, "<!DOCTYPE html>\n<html><body>Log in</body></html>"),
            ],
            "bad_answer",
            Some(200),
        ),
        (18, &[Responds(429, &[("retry-after", "60")], "Too Many Attempts.")], "http_status", Some(429)),
        (19, &[Responds(200, PLAIN, "status=NAK")], "NAK", Some(200)),
        (20, &[Responds(200, PLAIN, "status=NAK\n")], "NAK", Some(200)),
        (21, &[Responds(200, PLAIN, "status=ERR")], "ERR", Some(200)),
    ];
    for (row, says, line, http_status) in rows {
        let mut world =
            World::new(webhook("http://192.0.2.1/webhook?callerid={callerid}"), None, Policy::default());
        let result = world.play(says);
        assert_eq!(short(&result), (line.to_owned(), http_status), "row {row}");
        if row == 14 {
            let detail = result.expect_err("a failure").detail;
            assert!(detail.starts_with("text before status=: a PHP notice?"), "{detail}");
        }
    }
}

/// Every way to fail, without and with a fallback that works.
#[test]
fn failures() {
    const ACK: Say = Responds(200, &[], "status=ACK&destination=9");
    let rows: &[(Say, &str, Option<u16>, bool)] = &[
        (Fails(Connect, false), "connect", None, true),
        (Fails(Tls, false), "tls", None, true),
        (Fails(Timeout, false), "timeout", None, true),
        (Fails(Timeout, true), "timeout", None, true),
        (Fails(BadResponse, true), "bad_answer", None, true),
        (Nothing, "timeout", None, true),
        (Responds(200, &[], ""), "bad_answer", Some(200), true),
        (Responds(204, &[], ""), "bad_answer", Some(204), true),
        (Responds(200, &[], "<html>"), "bad_answer", Some(200), true),
        (Responds(200, &[("content-encoding", "gzip")], "status=ACK"), "bad_answer", Some(200), true),
        (Responds(408, &[], ""), "http_status", Some(408), true),
        (Responds(429, &[], ""), "http_status", Some(429), true),
        (Responds(500, &[], "status=ACK"), "http_status", Some(500), true),
        (Responds(503, &[], ""), "http_status", Some(503), true),
        (Responds(599, &[], ""), "http_status", Some(599), true),
        (Responds(200, &[("content-encoding", "identity")], "status=ACK"), "ACK", Some(200), false),
        (Responds(200, &[], "status=ACK"), "ACK", Some(200), false),
        (Responds(200, &[], "status=NAK"), "NAK", Some(200), false),
        (Responds(200, &[], "status=ERR"), "ERR", Some(200), false),
        (Responds(400, &[], ""), "http_status", Some(400), false),
        (Responds(401, &[], "status=NAK"), "http_status", Some(401), false),
        (Responds(404, &[], ""), "http_status", Some(404), false),
        (Responds(410, &[], ""), "http_status", Some(410), false),
        (Responds(304, &[], ""), "http_status", Some(304), false),
        (Responds(302, &[("location", "https://192.0.2.1/")], ""), "http_status", Some(302), false),
        (Responds(600, &[], ""), "http_status", Some(600), false),
        (Responds(101, &[], ""), "http_status", Some(101), false),
    ];
    for (say, line, http_status, falls_back) in rows {
        let mut definition = webhook("http://192.0.2.1/");
        let result = World::new(definition.clone(), None, Policy::default()).play(&[*say]);
        assert_eq!(short(&result), ((*line).to_owned(), *http_status), "{say:?}");

        definition.fallback_url = Some(template("http://192.0.2.2/"));
        let mut world = World::new(definition.clone(), None, Policy::default());
        if *falls_back {
            assert_eq!(short(&world.play(&[*say, ACK])), ("ACK 9".to_owned(), Some(200)), "{say:?}");
            let at = world.seen.iter().position(|l| l.starts_with("failed")).expect("the failure is noted");
            assert_eq!(
                world.seen[at..at + 2],
                [format!("failed {line}"), "Fallback GET http://192.0.2.2/".to_owned()]
            );
            // The fallback's failure is the one that counts; the detail tells of both.
            let failure = World::new(definition, None, Policy::default())
                .play(&[*say, Responds(404, &[], "")])
                .expect_err("a failure");
            assert_eq!((failure.reason, failure.http_status), (Reason::HttpStatus, Some(404)));
            assert!(failure.detail.contains("; fallback_url: HTTP 404"), "{}", failure.detail);
        } else {
            assert_eq!(short(&world.play(&[*say])), ((*line).to_owned(), *http_status), "{say:?}");
        }
    }
}

#[test]
fn a_larger_answer_than_can_be_read() {
    let mut world = World::new(webhook("http://192.0.2.1/"), None, Policy::default());
    while !matches!(world.exchange.poll_output(), Output::Timeout(_)) {}
    let cut = HopResponse { truncated: true, ..response(200, &[], "status=ACK") };
    world.exchange.handle_input(world.now, Input::Responded(cut));
    let failure = world.play(&[]).expect_err("a failure");
    assert_eq!((failure.reason, failure.http_status), (Reason::BadAnswer, Some(200)));
    assert_eq!(failure.detail, "the answer is larger than 64 KiB");
}

#[test]
fn redirects_that_are_not_followed() {
    let long = format!("/{}", "x".repeat(5000)).leak();
    let rows: [(Method, u16, &'static str, &str); 11] = [
        (
            Method::Get,
            301,
            "https://192.0.2.1/r",
            "HTTP 301: a redirect to https://192.0.2.1/r is not followed",
        ),
        (Method::Get, 302, "http://192.0.2.1:8080/r", "is not followed: it leaves http://192.0.2.1"),
        (Method::Get, 302, "//login.example.com/", "a redirect to http://login.example.com/ is not followed"),
        (
            Method::Get,
            302,
            "http://a:b@login.example.com/",
            "a redirect to http://login.example.com/ is not followed",
        ),
        (Method::Get, 303, "ftp://192.0.2.1/", "is not followed"),
        (Method::Get, 302, "javascript:alert(1)", "is not followed"),
        (Method::Get, 302, "http://[", "a redirect to \"http://[\""),
        (Method::Get, 308, "", "HTTP 308: a redirect without a Location"),
        (Method::Get, 302, long, "more than 4096 bytes"),
        (
            Method::Post,
            307,
            "/r/",
            "a redirect of a POST is not followed; write http://192.0.2.1/r/ as the URL",
        ),
        (Method::Get, 300, "/r", "HTTP 300 Multiple Choices"),
    ];
    for (method, status, location, words) in rows {
        let mut definition = webhook("http://192.0.2.1/r");
        definition.method = method;
        let headers: &'static [_] = match location {
            "" => &[],
            location => vec![("location", location)].leak(),
        };
        let failure = World::new(definition, None, Policy::default())
            .play(&[Responds(status, headers, "status=ACK")])
            .expect_err(location);
        assert_eq!((failure.reason, failure.http_status), (Reason::HttpStatus, Some(status)), "{location}");
        assert!(failure.detail.contains(words), "{}", failure.detail);
    }
    let again = Responds(302, &[("location", "/r")], "");
    let failure = World::new(webhook("http://192.0.2.1/r"), None, Policy::default())
        .play(&[again, again, again, again])
        .expect_err("a loop");
    assert_eq!(failure.detail, "HTTP 302: more than 3 redirects, the last one to http://192.0.2.1/r");
}

#[test]
fn a_page_behind_a_redirect_is_named() {
    let failure = World::new(webhook("http://192.0.2.1/r"), None, Policy::default())
        .play(&[Responds(302, &[("location", "/login")], ""), Responds(200, &[], "<html>")])
        .expect_err("a page");
    assert!(failure.detail.ends_with("(after a redirect to http://192.0.2.1/login)"), "{}", failure.detail);
}

/// The code stands in the URL, and servers send it back: as it is, encoded, in a redirect, in a complaint.
#[test]
fn the_code_is_in_nothing_that_is_noted() {
    let mut definition = webhook("http://192.0.2.1/{code}?code={code}");
    definition.ivr = Some(ivr(true));
    definition.fallback_url = Some(template("http://192.0.2.2/f?code={code}"));
    definition.retries = 1;
    let says = [
        Fails(Connect, false),
        Responds(302, &[("location", "/again?code=73*91")], "73*91"),
        Responds(500, &[("content-type", "text/plain; x=73%2A91")], "cannot find /73%2A91?code=73%2a91"),
        Responds(200, &[], "status=73*91&what=73*91"),
    ];
    let mut world = World::new(definition.clone(), Some("73*91"), Policy::default());
    let result = world.play(&says);
    let noted = format!("{:?} {:?} {:?}", world.notes, result, world.exchange);
    for code in ["73*91", "73%2A91", "73%2a91"] {
        assert!(!noted.contains(code), "{noted}");
    }
    assert!(noted.contains("cannot find /****?code=****"), "{noted}");
    assert_eq!(world.hops[0].uri(), "/73%2A91?code=73%2A91");
    assert_eq!(world.hops[2].uri(), "/again?code=73*91");
    assert_eq!(world.hops[3].uri(), "/f?code=73%2A91");

    // A hint quotes the server's keys.
    let mut world = World::new(definition.clone(), Some("7391"), Policy::default());
    let answer =
        world.play(&[Responds(200, &[], "status=ACK&k7391=a & b&destination=7391")]).expect("an answer");
    assert_eq!(answer.hints, ["the & in the value of \"k****\" is not encoded: write %26"]);
    assert_eq!(answer.destination, "7391");

    // A menu choice is no secret.
    definition.ivr = Some(ivr(false));
    let mut world = World::new(definition, Some("7391"), Policy::default());
    world.play(&[Responds(200, &[], "status=NAK&x=7391")]).expect("an answer");
    assert!(format!("{:?}", world.notes).contains("x=7391"));
}

#[test]
fn what_the_journal_shows_of_an_answer() {
    let long: &'static str = format!("status=ACK&x={}", "é".repeat(3000)).leak();
    let mut world = World::new(webhook("http://192.0.2.1/"), None, Policy::default());
    world.play(&[Responds(200, &[("content-type", TEXT)], long)]).expect("an answer");
    let Some(What::Response { http_status, peer, reused, head_us, content_type, body, bytes }) =
        world.notes.last()
    else {
        panic!("{:?}", world.notes)
    };
    assert_eq!((*http_status, peer.as_str(), *reused, *head_us), (200, "192.0.2.1:80", false, 7000));
    assert_eq!((content_type.as_str(), *bytes, body.len()), (TEXT, 6013, 4095));
    assert!(body.starts_with("status=ACK&x=éé"));
}

#[test]
fn each_request_of_a_question_has_a_span_of_its_own_and_one_id() {
    let mut definition = webhook("http://192.0.2.1/r");
    definition.retries = 1;
    definition.secret = Some(switchhook::terms::Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    let mut world = World::new(definition, None, Policy::default());
    world
        .play(&[
            Fails(Connect, false),
            Responds(302, &[("location", "/s")], ""),
            Responds(200, &[], "status=ACK"),
        ])
        .expect("an answer");
    let of = |name: &str| -> Vec<&str> {
        world.hops.iter().map(|hop| hop.headers()[name].to_str().expect("a text")).collect()
    };
    let traces = of("traceparent");
    assert!(traces[0] != traces[1] && traces[1] != traces[2] && traces[0][..35] == traces[2][..35]);
    let ids = of("webhook-id");
    assert!(ids[0] == ids[1] && ids[1] == ids[2]);
    let signatures = of("webhook-signature");
    assert!(signatures[0] == signatures[1] && signatures[1] != signatures[2], "the path is signed");
}

#[test]
fn what_comes_too_late_changes_nothing() {
    let mut world = World::new(webhook("http://crm/"), None, Policy::default());
    while !matches!(world.exchange.poll_output(), Output::Timeout(_)) {}
    // Not what is awaited.
    world.exchange.handle_input(world.now, Input::Responded(response(200, &[], "status=ACK")));
    assert!(matches!(world.exchange.poll_output(), Output::Timeout(_)));
    let late = world.now + Duration::from_secs(2);
    world.exchange.handle_input(late, Input::Resolved(Ok(vec!["192.0.2.1".parse().expect("an address")])));
    let failure = world.play(&[]).expect_err("too late");
    assert_eq!(failure.reason, Reason::Timeout);
    assert_eq!(failure.detail, "http://crm: the name was not resolved within 2s");
    world.exchange.handle_timeout(late + Duration::from_secs(9));
    assert!(matches!(world.exchange.poll_output(), Output::Timeout(_)));
}

#[test]
fn a_text_is_an_answer_where_it_is_saved() {
    let mut definition = webhook("http://192.0.2.1/");
    let closed = Responds(200, &[], "closed");
    let failure =
        World::new(definition.clone(), None, Policy::default()).play(&[closed]).expect_err("no status");
    assert_eq!(failure.reason, Reason::BadAnswer);
    definition.save_as = save_as();
    let answer = World::new(definition, None, Policy::default()).play(&[closed]).expect("an answer");
    assert_eq!((answer.status, answer.text.as_str()), (Status::Ack, "closed"));
}

proptest::proptest! {
    /// Whatever the world does, the exchange ends, once, not later than its time, and never calls what is refused.
    #[test]
    fn every_exchange_ends(
        choices in proptest::collection::vec((0usize..12, 0u64..900), 0..40),
        retries in 0u32..6,
        fallback: bool,
        post: bool,
    ) {
        let mut definition = webhook("http://crm/r");
        definition.retries = retries;
        definition.fallback_url = fallback.then(|| template("https://backup/f"));
        definition.method = if post { Method::Post } else { Method::Get };
        let mut world = World::new(definition, None, Policy::default());
        let end = world.now + Duration::from_secs(2);
        let mut choices = choices.into_iter();
        let (mut hops, mut done) = (0, false);
        while !done {
            let timeout = loop {
                match world.exchange.poll_output() {
                    Output::Timeout(at) => break at,
                    Output::Done(_) => done = true,
                    Output::Hop(hop) => {
                        hops += 1;
                        proptest::prop_assert!(!hop.addresses.is_empty() && hop.deadline <= end);
                        proptest::prop_assert!(hop.addresses.iter().all(|a| Policy::default().check(a.ip()).is_ok()));
                    }
                    _ => {}
                }
            };
            let ips = |list: &[&str]| Input::Resolved(Ok(list.iter().map(|ip| ip.parse().expect("an address")).collect()));
            let failed = |kind, sent| Input::Failed(HopError { kind, sent, detail: String::new() });
            let Some((choice, millis)) = choices.next() else {
                world.now = timeout;
                world.exchange.handle_timeout(timeout);
                continue;
            };
            world.now += Duration::from_millis(millis);
            let input = match choice {
                0 => ips(&["192.0.2.1"]),
                1 => ips(&["169.254.0.1", "192.0.2.1"]),
                2 => ips(&["169.254.0.1"]),
                3 => Input::Resolved(Err(String::new())),
                4 => failed(Connect, false),
                5 => failed(BadResponse, true),
                6 => failed(Timeout, false),
                7 => Input::Responded(response(302, &[("location", "/r2")], "")),
                8 => Input::Responded(response(503, &[], "")),
                9 => Input::Responded(response(200, &[], "?")),
                10 => Input::Responded(response(404, &[], "")),
                _ => Input::Responded(response(200, &[], "status=NAK")),
            };
            world.exchange.handle_input(world.now, input);
        }
        proptest::prop_assert!(hops <= 2 * (1 + 3 + 5));
        world.exchange.handle_timeout(end + Duration::from_secs(1));
        proptest::prop_assert!(matches!(world.exchange.poll_output(), Output::Timeout(_)));
    }
}
