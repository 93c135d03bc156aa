//! What a subscription sends, and what it is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;
use standardwebhooks::Webhook as Verifier;
use switchhook::terms::{
    CallEvent, Direction, Disposition, Event, EventBody, EventKind, LegRecord, Method, Numbers, Order, Place,
    Restrict, Secret, Subscription, Template, UserAction, UserEvent, WebhookName,
};
use switchhook::webhook::{EventPlan, EventRequest};

/// The attempt's time: a later second than the event's.
const NOW: i64 = 1_562_062_800_999;

fn template(text: &str) -> Template {
    Template::parse(text, Place::Event).expect("a template")
}

fn subscription(url: &str) -> Subscription {
    Subscription {
        name: WebhookName::parse("crm").expect("a name"),
        description: String::new(),
        enabled: true,
        events: EventKind::ALL.to_vec(),
        directions: None,
        method: Method::Get,
        url: template(url),
        headers: Vec::new(),
        body: EventBody::Json,
        restrict: Restrict::default(),
        order: Order::Strict,
        expires: Vec::new(),
        secrets: Vec::new(),
        schedule: Subscription::SCHEDULE.to_vec(),
    }
}

fn own_body(text: &str, content_type: &str) -> Subscription {
    let body = EventBody::Template { template: template(text), content_type: content_type.to_owned() };
    Subscription { method: Method::Post, body, ..subscription("http://a.example/") }
}

fn plan(subscription: Subscription) -> EventPlan {
    EventPlan::new(Arc::new(subscription)).expect("right")
}

fn render(subscription: Subscription, event: &Event) -> EventRequest {
    plan(subscription).render(event, &Numbers::default(), "msg-1", NOW).expect("a request")
}

fn url_of(request: &EventRequest) -> String {
    let host = request.request.headers()["host"].to_str().expect("a host");
    format!("http://{host}{}", request.request.uri())
}

fn text_of(request: &EventRequest) -> &str {
    str::from_utf8(request.request.body()).expect("UTF-8")
}

/// VOIPZeker's example: a phone rings.
fn ringing() -> CallEvent {
    CallEvent {
        event: EventKind::Ringing,
        seq: 2,
        synthetic: false,
        pbx: "main".to_owned(),
        calluniqueid: "1562062791".to_owned(),
        other_calluniqueid: String::new(),
        direction: Direction::In,
        callfrom: "31612345678".to_owned(),
        callto: "31201234567".to_owned(),
        did: "31201234567".to_owned(),
        callerid: "31612345678".to_owned(),
        callername: String::new(),
        extension: "201".to_owned(),
        disposition: None,
        reason: None,
        hangup_cause: None,
        timestamp: 1_562_062_791_299,
        start: 1_562_062_790_000,
        ringing: Some(1_562_062_791_299),
        answer: None,
        end: None,
        duration: 1,
        talk_time: 0,
        call: String::new(),
        queue: String::new(),
        account: String::new(),
        recording: String::new(),
        var: BTreeMap::new(),
        legs: Vec::new(),
    }
}

fn told(call: CallEvent) -> Event {
    Event::Call(Box::new(call))
}

fn login() -> Event {
    Event::User(UserEvent {
        timestamp: 7,
        actor: "anna".to_owned(),
        action: UserAction::Paused,
        object: "subscription".to_owned(),
        object_name: "crm".to_owned(),
    })
}

#[test]
fn voipzeker_as_printed() {
    for (url, wanted) in [
        (
            "http://www.jouwdomein.nl/{calluniqueid}/{callfrom}/{callto}/{status}/{status_desc}/{direction}/{timestamp}",
            "http://www.jouwdomein.nl/1562062791/31612345678/31201234567/0/INCOMING_RINGING/in/1562062791299",
        ),
        (
            "http://www.jouwdomein.nl/webhook.php?callid={calluniqueid}&callfrom={callfrom}&callto={callto}&status={status}&status_desc={status_desc}&direction={direction}&timestamp={timestamp}",
            "http://www.jouwdomein.nl/webhook.php?callid=1562062791&callfrom=31612345678&callto=31201234567&status=0&status_desc=INCOMING_RINGING&direction=in&timestamp=1562062791299",
        ),
    ] {
        let request = render(subscription(url), &told(ringing()));
        assert_eq!(request.request.method(), "GET");
        assert_eq!(url_of(&request), wanted);
        assert_eq!(request.shown.url, wanted);
        assert!(request.request.body().is_empty());
    }
}

#[test]
fn callvoip_as_printed() {
    let body = r#"{
"com_id": "42f30becd4ea93edd284e059427b5ee0",
"dp_id": "42f30becd4ea93edd284e059427cf1f7",
"dp_in_number": "{extension}",
"dp_ex_number": "{did}",
"callee_number": "{callto}",
"caller_number": "{callerid}",
"uuid": "{calluniqueid}",
"phonebook_caller_name": "{callername}",
"event_time": "{timestamp}",
"call_start_time": "{start}",
"rta_call_id": "{var.RTA_CALL_ID}",
"sip_call_id": "{var.SIPCALLID}"
}"#;
    let var = [("RTA_CALL_ID", "8a5d5db451e9-6bd98ab0066f"), ("SIPCALLID", "lsjuf8109juq1i0a9vai")];
    let call = CallEvent {
        extension: "1003".to_owned(),
        did: "31102380095".to_owned(),
        callto: "31102380095".to_owned(),
        callerid: "31152026057".to_owned(),
        calluniqueid: "b587f4ee-718d-11ed-88ee-b97829e8fee4".to_owned(),
        timestamp: 1_669_908_899_250,
        start: 1_669_908_896_814,
        var: var.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..ringing()
    };
    let request = render(own_body(body, "application/json"), &told(call));
    assert_eq!(request.request.method(), "POST");
    assert_eq!(request.request.headers()["content-type"], "application/json");
    assert_eq!(
        text_of(&request),
        r#"{
"com_id": "42f30becd4ea93edd284e059427b5ee0",
"dp_id": "42f30becd4ea93edd284e059427cf1f7",
"dp_in_number": "1003",
"dp_ex_number": "31102380095",
"callee_number": "31102380095",
"caller_number": "31152026057",
"uuid": "b587f4ee-718d-11ed-88ee-b97829e8fee4",
"phonebook_caller_name": "",
"event_time": "1669908899250",
"call_start_time": "1669908896814",
"rta_call_id": "8a5d5db451e9-6bd98ab0066f",
"sip_call_id": "lsjuf8109juq1i0a9vai"
}"#
    );
}

#[test]
fn the_body_that_nobody_wrote_has_every_variable() {
    let post = || Subscription { method: Method::Post, ..subscription("http://a.example/") };
    let leg = LegRecord {
        extension: "201".to_owned(),
        number: "600".to_owned(),
        ringing: Some(5),
        answer: None,
        end: Some(9),
        disposition: Disposition::NoAnswer,
    };
    let call = CallEvent {
        event: EventKind::Cdr,
        callername: "Zoë \"Z\"\n".to_owned(),
        synthetic: true,
        var: [("CRM".to_owned(), "7".to_owned())].into(),
        legs: vec![leg],
        ..ringing()
    };
    let json: Value = serde_json::from_str(text_of(&render(post(), &told(call)))).expect("JSON");
    insta::assert_json_snapshot!("event_cdr", json);
    let json: Value = serde_json::from_str(text_of(&render(post(), &login()))).expect("JSON");
    let wanted = serde_json::json!({
        "event": "user", "timestamp": "7", "actor": "anna", "action": "paused",
        "object": "subscription", "object_name": "crm",
    });
    assert_eq!(json, wanted);
}

#[test]
fn both_keys_of_a_rotation_are_good() {
    let (old, new) =
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c3VjaCBhIGtleSBtdXN0IGhhdmUgMjQgYnl0ZXM=");
    // The verifier looks at the clock.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let now = i64::try_from(now.as_millis()).expect("ms");
    for method in [Method::Get, Method::Post] {
        let secrets = vec![Secret::new(new), Secret::new(old)];
        let plan = plan(Subscription { method, secrets, ..subscription("http://a.example/x?f={callfrom}") });
        let request =
            plan.render(&told(ringing()), &Numbers::default(), "msg-1", now).expect("a request").request;
        let payload = match method {
            Method::Get => request.uri().to_string().into_bytes(),
            Method::Post => request.body().to_vec(),
        };
        assert_eq!(request.headers()["webhook-id"], "msg-1");
        for secret in [old, new] {
            let verifier = Verifier::new(secret).expect("a verifier");
            verifier.verify(&payload, request.headers()).expect("a good signature");
            assert!(verifier.verify(b"other", request.headers()).is_err());
        }
    }
    let unsigned = render(subscription("http://a.example/"), &told(ringing()));
    assert!(!unsigned.request.headers().contains_key("webhook-signature"));
}

#[test]
fn what_is_shown_holds_no_secret() {
    let text = "http://${H}/hook/${KEY}/{callfrom}";
    let inserted: Vec<_> = [("${H}", "a.example"), ("${KEY}", "hunter2")]
        .into_iter()
        .map(|(name, value)| {
            let at = text.find(name).expect("there");
            (at..at + name.len(), Secret::new(value))
        })
        .collect();
    let url = Template::parse_with(text, Place::Event, &inserted).expect("a template");
    let headers = vec![
        (http::header::AUTHORIZATION, template("Bearer hunter2")),
        (http::HeaderName::from_static("title"), template("Call from {callfrom}")),
    ];
    let secrets = vec![Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")];
    let request =
        render(Subscription { url, headers, secrets, ..subscription("http://x/") }, &told(ringing()));
    assert_eq!(request.request.uri(), "/hook/hunter2/31612345678");
    assert_eq!(request.request.headers()["authorization"], "Bearer hunter2");
    let shown = format!("{request:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("Call from 31612345678") && shown.contains("31612345678"), "{shown}");
    assert_eq!(request.shown.url, "http://a.example/hook/$%7BKEY%7D/31612345678");
    let kept = serde_json::to_string(&request.shown).expect("JSON");
    assert!(!kept.contains("hunter2"), "{kept}");
}

#[test]
fn a_body_that_can_be_no_json_is_refused() {
    let refused = |text: &str, events: &[EventKind]| {
        let subscription = Subscription { events: events.to_vec(), ..own_body(text, "application/json") };
        EventPlan::new(Arc::new(subscription)).err().map(|errors| errors[0].to_string())
    };
    let calls = [EventKind::Ringing];
    assert_eq!(refused(r#"{"n": {duration}, "s": {synthetic}, "t": {start}}"#, &calls), None);
    let outside = Some("body: {callername} stands outside of quotes: its value is a text".to_owned());
    assert_eq!(refused(r#"{"n": {callername}}"#, &calls), outside);
    // Nobody's change has a duration.
    assert!(refused(r#"{"n": {duration}}"#, &[EventKind::User]).is_some());
    assert_eq!(refused(r#"{"n": {timestamp}}"#, &[EventKind::User]), None);
    // Part of a number can begin with a zero, which JSON does not have.
    assert!(refused(r#"{"n": {timestamp|last:3}}"#, &calls).is_some());
}

/// The subscriptions of `docs/events.md`, each of its examples a file of its own that is right.
fn documented() -> Vec<Arc<EventPlan>> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.md");
    let text = std::fs::read_to_string(path).expect("docs/events.md");
    let env = |name: &str| {
        Some(if name.ends_with("_URL") { "https://a.example/hook/t0ken" } else { "t0ken" }.to_owned())
    };
    let examples = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().expect("an end"));
    let read = |example: &str| {
        let folder = std::path::Path::new(".");
        let config = switchhook::config::parse("example", folder, example.as_bytes(), &env);
        config.unwrap_or_else(|e| panic!("{example}\n{e}")).subscriptions.into_values()
    };
    examples.flat_map(read).collect()
}

proptest! {
    #[test]
    fn documented_bodies_are_json_whatever_the_values_are(
        values in prop::collection::vec("(\\PC|[\\x00-\\x1f\"\\\\{}$\u{2028}]){0,12}", 6),
        seconds in 0i64..100_000,
    ) {
        let value = |i: usize| values[i].clone();
        let call = CallEvent {
            callername: value(0), callfrom: value(1), did: value(2), extension: value(3), calluniqueid: value(4),
            talk_time: seconds, var: [("SIPCALLID".to_owned(), value(5))].into(), ..ringing()
        };
        let mut bodies = 0;
        for plan in documented() {
            let request = plan.render(&told(call.clone()), &Numbers::default(), "msg-1", NOW).expect("a request");
            if plan.subscription().method == Method::Get {
                continue;
            }
            bodies += 1;
            let json = serde_json::from_str::<Value>(text_of(&request));
            prop_assert!(json.is_ok(), "{}", text_of(&request));
            if let Some(text) = json.expect("JSON")["events"][0]["params"]["did"].as_str() {
                prop_assert_eq!(text, value(2));
            }
        }
        prop_assert_eq!(bodies, 5);
    }
}

/// Where the event goes, by what the subscription says.
#[test]
fn who_is_told() {
    let all = || subscription("http://a.example/");
    let wants = |subscription: Subscription, event: &Event| plan(subscription).wants(event);
    let of = |event: EventKind, direction: Direction| told(CallEvent { event, direction, ..ringing() });
    use Direction::{In, Internal, Out};
    for (event, direction, wanted) in [
        (EventKind::Call, In, true),
        (EventKind::Call, Out, false),
        (EventKind::Call, Internal, false),
        (EventKind::Ringing, Internal, true),
        (EventKind::Cdr, Out, true),
    ] {
        assert_eq!(wants(all(), &of(event, direction)), wanted, "{event:?} {direction:?}");
    }
    let outward = || Subscription { directions: Some(vec![Out]), ..all() };
    assert!(wants(outward(), &of(EventKind::Call, Out)) && !wants(outward(), &of(EventKind::Call, In)));
    assert!(!wants(outward(), &of(EventKind::Ringing, In)) && wants(outward(), &login()));
    let ends = Subscription { events: vec![EventKind::Disconnected], ..all() };
    assert!(!wants(ends, &told(ringing())));
    assert!(!wants(Subscription { enabled: false, ..all() }, &told(ringing())));

    let restricted = |numbers: &[&str], extensions: &[&str], people: &[&str]| {
        let texts = |given: &[&str]| given.iter().map(|t| (*t).to_owned()).collect();
        let restrict = Restrict {
            numbers: texts(numbers),
            extensions: texts(extensions),
            people: texts(people),
            ..Restrict::default()
        };
        Subscription { restrict, ..all() }
    };
    for (numbers, extensions, wanted) in [
        (&["+31201234567"][..], &[][..], true),
        (&["0612345678"], &[], true),
        (&["0201234568", "0201234567"], &[], true),
        (&["0201234568"], &[], false),
        (&[], &["201"], true),
        (&[], &["20", "2011"], false),
        (&["0201234567"], &["202"], false),
        (&["201"], &[], false),
    ] {
        assert_eq!(wants(restricted(numbers, extensions, &["bob"]), &told(ringing())), wanted, "{numbers:?}");
    }
    // A missed call: only its end can say so.
    let missed = || {
        let dispositions = vec![Disposition::NoAnswer, Disposition::Cancelled];
        Subscription { restrict: Restrict { dispositions, ..Restrict::default() }, ..all() }
    };
    let came_out =
        |disposition| CallEvent { event: EventKind::Cdr, disposition: Some(disposition), ..ringing() };
    assert!(wants(missed(), &told(ringing())) && wants(missed(), &told(came_out(Disposition::Cancelled))));
    assert!(!wants(missed(), &told(came_out(Disposition::Answered))));
    // The phone that did not answer: in the record alone.
    let leg = LegRecord {
        extension: "209".to_owned(),
        number: String::new(),
        ringing: None,
        answer: None,
        end: None,
        disposition: Disposition::AnsweredElsewhere,
    };
    let record = CallEvent { event: EventKind::Cdr, legs: vec![leg], ..ringing() };
    assert!(wants(restricted(&[], &["209"], &[]), &told(record)));
    assert!(wants(restricted(&["1"], &["1"], &["anna"]), &login()));
    assert!(!wants(restricted(&[], &[], &["bob"]), &login()));
}

#[test]
fn an_event_is_read_as_it_was_written() {
    for event in [told(ringing()), login()] {
        let json = serde_json::to_string(&event).expect("JSON");
        assert_eq!(serde_json::from_str::<Event>(&json).expect("JSON"), event);
    }
}
