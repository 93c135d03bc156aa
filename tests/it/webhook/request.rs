//! What is sent, and what of it the journal shows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, Request};
use proptest::prelude::*;
use switchhook::terms::{
    Body, Channel, Code, Codes, Method, Number, NumberFormat, Place, Secret, Template, Via, Webhook, What,
};
use switchhook::webhook::{Exchange, Input, Output, Plan, Policy, Question};
use url::Url;

use super::{CALL, channel, facts, ivr, numbers, plan, template, webhook};

/// The first request of a question, with its URL and body as the journal has them.
fn sent(plan: &Arc<Plan>, channel: &Channel, code: Option<&str>) -> (Request<Bytes>, String, String) {
    let numbers = numbers();
    let code = code.map(|digits| Code::parse(digits).expect("digits"));
    let mut facts = facts(channel, &numbers, code.as_ref());
    facts.format = plan.webhook().number_format;
    let requests = plan.render(&Question { facts, attempt: 1, earlier: &Codes::NONE });
    let now = Instant::now();
    let mut exchange = Exchange::new(now, plan.clone(), Arc::new(Policy::default()), requests);
    let mut shown = None;
    loop {
        match exchange.poll_output() {
            Output::Note(What::Request { url, body, via: Via::First, .. }) => shown = Some((url, body)),
            Output::Resolve { .. } => {
                let ip = "192.0.2.1".parse().expect("an address");
                exchange.handle_input(now, Input::Resolved(Ok(vec![ip])));
            }
            Output::Hop(hop) => {
                let (url, body) = shown.expect("a note before the hop");
                return (hop.request, url, body);
            }
            Output::Note(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn target(url: &str, change: impl Fn(&mut Webhook)) -> String {
    let mut webhook = webhook(url);
    change(&mut webhook);
    sent(&plan(webhook), &channel(), Some("0042")).0.uri().to_string()
}

fn header<'a>(request: &'a Request<Bytes>, name: &str) -> &'a str {
    request.headers().get(name).map_or("", |value| value.to_str().expect("a text"))
}

#[test]
fn targets() {
    let name = "Zo%C3%AB%20M%C3%BCller%20%26%20S%C3%B6hne%20%22GmbH%22";
    for (url, expected) in [
        ("https://crm.example.com", "/".to_owned()),
        ("https://crm.example.com/", "/".to_owned()),
        ("https://crm.example.com?a=1", "/?a=1".to_owned()),
        ("https://crm.example.com#part", "/".to_owned()),
        (
            "http://crm/route?code={code}&callerid={callerid}",
            "/route?code=0042&callerid=%2B31612345678".to_owned(),
        ),
        ("http://crm/?name={callername}#part", format!("/?name={name}")),
        ("http://crm/{did}/{callerid|plus:off}", "/0502102544/31612345678".to_owned()),
        ("http://crm/{did|e164}", "/%2B31502102544".to_owned()),
        ("http://crm/?x={account|default:none#1}&y=2", "/?x=none%231&y=2".to_owned()),
        (
            "http://crm/a b?c=d e|f&ü=\"é\"&ids[]=1",
            "/a%20b?c=d%20e%7Cf&%C3%BC=%22%C3%A9%22&ids[]=1".to_owned(),
        ),
        ("http://crm/?at={timestamp}&start={start}", "/?at=1795318100250&start=1795318099000".to_owned()),
        ("http://crm/?call={call}&id={calluniqueid}", format!("/?call={CALL}&id=pbx-1795318099.1")),
        (
            "http://crm/?from={callfrom}&to={callto}&x={extension}",
            "/?from=%2B31612345678&to=0502102544&x=1003".to_owned(),
        ),
    ] {
        assert_eq!(target(url, |_| {}), expected, "{url}");
    }
}

#[test]
fn empty_parameters_can_be_left_out() {
    let url = "http://crm/?account={account}&did={did}&flag&both={account}{did}&end={account}";
    assert_eq!(target(url, |_| {}), "/?account=&did=0502102544&flag&both=0502102544&end=");
    assert_eq!(target(url, |w| w.drop_empty = true), "/?did=0502102544&flag&both=0502102544");
    assert_eq!(target("http://crm/x?a={account}", |w| w.drop_empty = true), "/x");
}

#[test]
fn numbers_are_written_in_the_format_of_the_webhook() {
    let url = "http://crm/{did}/{callerid}";
    for (format, expected) in [
        (NumberFormat::AsIs, "/0502102544/%2B31612345678"),
        (NumberFormat::E164, "/%2B31502102544/%2B31612345678"),
        (NumberFormat::PlusOff, "/0502102544/31612345678"),
    ] {
        assert_eq!(target(url, |w| w.number_format = format), expected);
    }
}

/// Servers take `..` as the way up, encoded or not.
#[test]
fn a_value_cannot_lead_to_another_script() {
    let plan = plan(webhook("http://crm/lookup/{callername}/x?n={callername}"));
    for (name, expected) in [
        ("..", "/lookup//x?n=.."),
        (".", "/lookup//x?n=."),
        ("../admin", "/lookup/..%2Fadmin/x?n=..%2Fadmin"),
        ("...", "/lookup/.../x?n=..."),
        ("a?b#c", "/lookup/a%3Fb%23c/x?n=a%3Fb%23c"),
    ] {
        let channel = Channel { callername: name.to_owned(), ..channel() };
        assert_eq!(sent(&plan, &channel, None).0.uri().to_string(), expected);
    }
}

#[test]
fn headers() {
    let mut webhook = webhook("https://crm.example.com:8443/r?a=1");
    webhook.headers = vec![
        (HeaderName::from_static("authorization"), template("Bearer s3cret")),
        (HeaderName::from_static("x-caller"), template("{callerid} {callername}")),
        (HeaderName::from_static("accept"), template("application/json")),
    ];
    let channel = Channel { callername: "a\r\nX-Evil: 1\0\u{85}é".to_owned(), ..channel() };
    let (request, ..) = sent(&plan(webhook), &channel, None);
    assert_eq!(request.headers().len(), 7);
    assert_eq!(request.headers().keys().next().map(HeaderName::as_str), Some("host"));
    assert_eq!(request.method(), http::Method::GET);
    assert!(request.body().is_empty());
    assert_eq!(header(&request, "host"), "crm.example.com:8443");
    assert_eq!(header(&request, "user-agent"), concat!("switchhook/", env!("CARGO_PKG_VERSION")));
    assert_eq!(header(&request, "accept"), "application/json");
    assert_eq!(header(&request, "webhook-id"), format!("{CALL}-1"));
    assert_eq!(
        request.headers()["x-caller"].as_bytes(),
        "+31612345678 aX-Evil: 1é".as_bytes(),
        "what would end a line is gone"
    );
    let trace: Vec<&str> = header(&request, "traceparent").split('-').collect();
    assert_eq!(trace[..2], ["00", "0199aa017c3e70008abc0123456789ab"]);
    assert_eq!((trace[2].len(), trace[3]), (16, "01"));
    assert!(!format!("{request:?}").contains("s3cret"));
}

#[test]
fn a_header_has_what_the_environment_gives() {
    for text in ["Bearer ${KEY}", "Bearer ${KEY}{account}"] {
        let at = text.find("${").expect("there");
        let inserted = [(at..at + "${KEY}".len(), Secret::new("{did}s3cret"))];
        let mut webhook = webhook("http://crm/");
        let authorization = Template::parse_with(text, Place::Request, &inserted).expect("a template");
        webhook.headers = vec![(HeaderName::from_static("authorization"), authorization)];
        let (request, ..) = sent(&plan(webhook), &channel(), None);
        assert_eq!(header(&request, "authorization"), "Bearer {did}s3cret");
    }
}

#[test]
fn the_usual_headers() {
    let (request, ..) = sent(&plan(webhook("http://[2001:db8::1]/")), &channel(), None);
    assert_eq!(header(&request, "host"), "[2001:db8::1]");
    assert_eq!(
        header(&request, "accept"),
        "text/plain, application/x-www-form-urlencoded, application/json;q=0.9, */*;q=0.1"
    );
    assert_eq!(header(&request, "accept-encoding"), "");
    assert_eq!(header(&request, "content-type"), "");
    assert_eq!(header(&request, "webhook-signature"), "");
}

/// The keys and their order are those of Callvoip's manual; ours follow.
#[test]
fn the_json_body() {
    let mut definition = webhook("http://crm/");
    definition.method = Method::Post;
    let (request, _, shown) = sent(&plan(definition.clone()), &channel(), None);
    assert_eq!(header(&request, "content-type"), "application/json");
    let expected = format!(
        r#"{{"com_id":"42f30b","dp_id":"vip","dp_in_number":"1003","dp_ex_number":"0502102544","callee_number":"0502102544","caller_number":"+31612345678","uuid":"pbx-1795318099.1","phonebook_caller_name":"Zoë Müller & Söhne \"GmbH\"","event_time":"1795318100250","call_start_time":"1795318099000","rta_call_id":"pbx-1795318099.2","sip_call_id":"lsjuf8109juq1i0a9vai","code":"","did":"0502102544","callerid":"+31612345678","callername":"Zoë Müller & Söhne \"GmbH\"","call":"{CALL}"}}"#
    );
    assert_eq!(std::str::from_utf8(request.body()).expect("text"), expected);
    assert_eq!(shown, expected);

    definition.number_format = NumberFormat::PlusOff;
    let withheld = Channel { callerid: Number::default(), start: None, ..channel() };
    let (request, ..) = sent(&plan(definition), &withheld, None);
    let json: serde_json::Value = serde_json::from_slice(request.body()).expect("JSON");
    assert_eq!((&json["caller_number"], &json["call_start_time"]), (&"".into(), &"".into()));
}

#[test]
fn other_bodies() {
    let body = |body: Body, drop_empty: bool| {
        let mut webhook = webhook("http://crm/");
        webhook.method = Method::Post;
        webhook.body = body;
        webhook.drop_empty = drop_empty;
        let channel = Channel { callername: "A&\"B\" <c>\n".to_owned(), ..channel() };
        let (request, ..) = sent(&plan(webhook), &channel, None);
        let text = String::from_utf8(request.body().to_vec()).expect("text");
        (text, header(&request, "content-type").to_owned())
    };
    let own = |text: &str, content_type: &str| Body::Template {
        template: template(text),
        content_type: content_type.to_owned(),
    };
    let (form, kind) = body(Body::Form, false);
    assert_eq!(kind, "application/x-www-form-urlencoded");
    assert!(form.starts_with("com_id=42f30b&dp_id=vip&dp_in_number=1003&"), "{form}");
    assert!(
        form.contains("&phonebook_caller_name=A%26%22B%22%20%3Cc%3E%0A&") && form.contains("&code=&"),
        "{form}"
    );
    assert!(!body(Body::Form, true).0.contains("code="));
    for (text, content_type, expected) in [
        (r#"{"n":"{callername}"}"#, "application/json", r#"{"n":"A&\"B\" <c>\u000a"}"#),
        (r#"{"n":"{callername}"}"#, "application/vnd.x+JSON; charset=utf-8", r#"{"n":"A&\"B\" <c>\u000a"}"#),
        ("n={callername}&x=", "application/x-www-form-urlencoded", "n=A%26%22B%22%20%3Cc%3E%0A&x="),
        ("<n>{callername}</n>", "text/xml", "<n>A&amp;&quot;B&quot; &lt;c&gt;</n>"),
        ("{callername}", "text/plain", "A&\"B\" <c>\n"),
    ] {
        assert_eq!(body(own(text, content_type), false), (expected.to_owned(), content_type.to_owned()));
    }
    assert_eq!(body(own("n={did}&x={account}", "application/x-www-form-urlencoded"), true).0, "n=0502102544");
}

#[test]
fn the_signature_is_over_what_is_sent() {
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let verifier = standardwebhooks::Webhook::new(SECRET).expect("a verifier");
    for method in [Method::Get, Method::Post] {
        let mut webhook = webhook("https://crm/route?name={callername}#x");
        webhook.method = method;
        webhook.secret = Some(Secret::new(SECRET));
        let (request, ..) = sent(&plan(webhook), &channel(), None);
        let path = request.uri().to_string();
        let payload = if method == Method::Get { path.as_bytes() } else { request.body() };
        let expected = verifier.sign(&format!("{CALL}-1"), 1_795_318_100, payload).expect("a signature");
        assert_eq!(header(&request, "webhook-signature"), expected);
        assert_eq!(header(&request, "webhook-timestamp"), "1795318100");
    }
}

#[test]
fn the_journal_does_not_show_a_secret_code() {
    let url = "http://crm/{code}?code={code}&last={code|last:2}&callerid={callerid}";
    for (secret, code, shown) in [
        (Some(true), "12*4", "http://crm/****?code=****&last=****&callerid=%2B31612345678"),
        (Some(false), "12*4", "http://crm/12%2A4?code=12%2A4&last=%2A4&callerid=%2B31612345678"),
        (Some(true), "", "http://crm/?code=&last=&callerid=%2B31612345678"),
    ] {
        let mut webhook = webhook(url);
        webhook.ivr = secret.map(ivr);
        let (request, noted, _) = sent(&plan(webhook), &channel(), Some(code));
        assert_eq!(noted, shown);
        assert_eq!(request.uri().query().expect("a query").contains("%2A4"), !code.is_empty());
    }
    let own = Body::Template {
        template: template("{\"c\":\"{code}\"}"),
        content_type: "application/json".to_owned(),
    };
    for body in [Body::Json, Body::Form, own] {
        let mut webhook = webhook("http://crm/");
        webhook.method = Method::Post;
        webhook.body = body;
        webhook.ivr = Some(ivr(true));
        let (request, _, noted) = sent(&plan(webhook), &channel(), Some("7391"));
        assert!(String::from_utf8_lossy(request.body()).contains("7391"));
        assert!(noted.contains("****") && !noted.contains("7391"), "{noted}");
    }
}

#[test]
fn mistakes_in_a_definition() {
    let problems = |change: &dyn Fn(&mut Webhook)| {
        let mut webhook = webhook("http://crm/");
        change(&mut webhook);
        let errors = Plan::new(Arc::new(webhook)).map(|_| ()).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(problems(&|_| {}).is_empty());
    for (url, problem) in [
        ("crm.example.com/x", "url: it does not begin with https:// or http://"),
        ("ftp://crm/x", "url: it does not begin with https:// or http://"),
        ("http://{did}.example.com/", "url: scheme, host and port cannot hold a variable"),
        ("http://crm{did}", "url: scheme, host and port cannot hold a variable"),
        ("http://crm:{did}/", "url: scheme, host and port cannot hold a variable"),
        ("{did}://crm/", "url: scheme, host and port cannot hold a variable"),
        ("http://user:pass@crm/", "url: user and password in a URL are not sent"),
        ("http://crm:99999/", "url: this is no URL: invalid port number"),
        ("http:///x", "url: it names no host"),
        ("http://a b/", "url: this is no URL: invalid international domain name"),
    ] {
        assert_eq!(problems(&|w| w.url = template(url)), [problem], "{url}");
    }
    let name = |text: &'static str| HeaderName::from_static(text);
    let all = problems(&|w| {
        w.fallback_url = Some(template("backup"));
        w.secret = Some(Secret::new("whsec_x"));
        w.headers = vec![
            (name("host"), template("x")),
            (name("webhook-id"), template("x")),
            (name("x-a"), template("a\nb")),
        ];
    });
    assert_eq!(all.len(), 5, "{all:?}");
    assert!(all[0].starts_with("fallback_url: ") && all[1].starts_with("secret: "), "{all:?}");
    assert_eq!(all[2], "headers.host: this header is written by the program");
}

#[test]
fn a_body_that_says_it_is_json_is_json_for_every_caller() {
    let wrong = |text: &str, content_type: &str| {
        let mut webhook = webhook("http://crm/");
        webhook.method = Method::Post;
        webhook.body = Body::Template { template: template(text), content_type: content_type.to_owned() };
        let error = Plan::new(Arc::new(webhook)).err()?.remove(0);
        Some((error.at.map_or("", |at| &text[at]).to_owned(), error.problem))
    };
    let json = "application/json; charset=utf-8";
    for (text, about) in [
        (r#"{"n": {callerid}}"#, "{callerid}"),
        (r#"{"a": "\"{did}", "n": {did|digits|default:0}}"#, "{did|digits|default:0}"),
        (r#"{"n": "{did}", "t": {timestamp}, "s": {start}}"#, "{start}"),
        (r#"{"n": "{did}""#, ""),
        (r#"{"n": "{did}",}"#, ""),
        ("n={did}", "{did}"),
    ] {
        let (found, problem) = wrong(text, json).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(found, about, "{text}: {problem}");
    }
    for (text, content_type) in [
        (r#"{"n": "{did}", "t": {timestamp}, "x": {"y": ["{code} {callername}"]}}"#, json),
        (r#""{callername|default:nobody}""#, "application/vnd.crm+json"),
        ("{\"n\": \"{did}\"}\n{\"n\": 2}\n", "application/x-ndjson"),
        ("n={did}", "text/plain"),
    ] {
        assert_eq!(wrong(text, content_type), None, "{text}");
    }
}

/// 200 bytes of any text, and the texts that would be syntax somewhere.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,60}",
        prop::sample::select(vec![
            "..",
            ".",
            "/",
            "//evil.example/",
            "@evil",
            "#",
            "?",
            "&a=b",
            "\\",
            "%2e%2e",
            "\r\n",
            " "
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn values_stay_in_their_place(name in value(), did in value(), account in value(), drop_empty: bool) {
        let mut definition = webhook("https://crm.example.com:8443/p/{callername}/{did}?n={callername}&d={did}&a={account}");
        definition.drop_empty = drop_empty;
        let plan = plan(definition);
        let channel = Channel { callername: name.clone(), did: did.clone(), account: account.clone(), ..channel() };
        let (request, shown, _) = sent(&plan, &channel, None);
        let url = Url::parse(&format!("https://crm.example.com:8443{}", request.uri())).expect("a URL");
        prop_assert_eq!((url.scheme(), url.host_str(), url.port()), ("https", Some("crm.example.com"), Some(8443)));
        prop_assert_eq!(url.username(), "");
        prop_assert!(url.fragment().is_none());
        prop_assert_eq!(url.path_segments().expect("a path").count(), 3);
        prop_assert_eq!(url.path().split('/').nth(1), Some("p"));
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let query: Vec<(String, String)> = url.query().unwrap_or_default().split('&').filter(|p| !p.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').expect("a pair");
            (key.to_owned(), decode(value))
        }).collect();
        let all = [("n", name), ("d", did), ("a", account)];
        let expected: Vec<(String, String)> = all.into_iter()
            .filter(|(_, value)| !drop_empty || !value.is_empty())
            .map(|(key, value)| (key.to_owned(), value)).collect();
        prop_assert_eq!(query, expected);
        prop_assert_eq!(shown, url.to_string());
    }

    #[test]
    fn bodies_are_what_they_say(name in value(), did in value()) {
        let channel = Channel { callername: name.clone(), did: did.clone(), ..channel() };
        let mut definition = webhook("http://crm/");
        definition.method = Method::Post;
        let (request, ..) = sent(&plan(definition), &channel, None);
        let json: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(request.body()).expect("JSON");
        prop_assert_eq!(json.len(), 17);
        prop_assert_eq!(&json["callername"], &serde_json::Value::from(name));
        prop_assert_eq!(&json["dp_ex_number"], &serde_json::Value::from(did));
    }

    #[test]
    fn a_value_adds_no_header(name in value(), text in "[^\\p{Cc}{]{0,30}") {
        let mut definition = webhook("http://crm/");
        let header = Template::parse(&format!("{text}{{callername}}"), Place::Request).expect("a template");
        definition.headers = vec![(HeaderName::from_static("x-name"), header)];
        let (request, ..) = sent(&plan(definition), &Channel { callername: name, ..channel() }, None);
        prop_assert_eq!(request.headers().len(), 6);
        let bytes = request.headers()["x-name"].as_bytes();
        prop_assert!(!bytes.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
    }
}

#[test]
fn a_request_out_of_all_proportion_is_a_failure() {
    let channel = Channel { callername: "x".repeat(70_000), ..channel() };
    let numbers = numbers();
    let plan = plan(webhook("http://192.0.2.1/?n={callername}"));
    let requests =
        plan.render(&Question { facts: facts(&channel, &numbers, None), attempt: 1, earlier: &Codes::NONE });
    let now = Instant::now();
    let mut exchange = Exchange::new(now, plan, Arc::new(Policy::default()), requests);
    loop {
        match exchange.poll_output() {
            Output::Done(result) => break assert!(result.is_err()),
            Output::Note(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(exchange.poll_output(), Output::Timeout(at) if at == now + Duration::from_secs(2)));
}
