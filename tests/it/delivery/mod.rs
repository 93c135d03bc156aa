//! Events told to receivers over real sockets, from a store on a real disk.

mod answers;
mod apart;
mod cli;
mod kill;
mod receiver;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use switchhook::delivery::{ATTEMPT_TIME, Delivery, Subscriptions};
use switchhook::io::tls_settings;
use switchhook::store::{Acceptance, NewEvent, Settings, Store};
use switchhook::terms::{
    CallEvent, Event, EventBody, EventKind, Method, Numbers, Order, Place, Restrict, Subscription, Template,
    WebhookName,
};
use switchhook::webhook::{EventPlan, Policy};

/// Events of one call.
const EVENTS: u32 = 4;

fn event(call: &str, seq: u32) -> Event {
    let known = serde_json::json!({
        "event": "ringing", "seq": seq, "synthetic": false, "pbx": "main", "calluniqueid": call,
        "other_calluniqueid": "", "direction": "in", "callfrom": "0612345678", "callto": "201", "did": "0201234567",
        "callerid": "", "callername": "", "extension": "", "disposition": null, "reason": null, "hangup_cause": null,
        "timestamp": 1_562_062_791_299_i64, "start": 0, "ringing": null, "answer": null, "end": null, "duration": 0,
        "talk_time": 0, "call": "", "queue": "", "account": "", "recording": "", "var": {},
    });
    let event: CallEvent = serde_json::from_value(known).expect("an event");
    Event::Call(Box::new(event))
}

/// A subscription whose requests name the call and the event's number.
fn plan(name: &str, address: &str, schedule: Vec<Duration>) -> (WebhookName, Arc<EventPlan>) {
    let url = format!("http://{address}/{{calluniqueid}}/{{seq}}");
    let name = WebhookName::parse(name).expect("a name");
    let subscription = Subscription {
        name: name.clone(),
        description: String::new(),
        enabled: true,
        events: EventKind::ALL.to_vec(),
        directions: None,
        method: Method::Get,
        url: Template::parse(&url, Place::Event).expect("a template"),
        headers: Vec::new(),
        body: EventBody::Json,
        restrict: Restrict::default(),
        order: Order::Strict,
        expires: Vec::new(),
        secrets: Vec::new(),
        schedule,
    };
    (name, Arc::new(EventPlan::new(Arc::new(subscription)).expect("a plan")))
}

fn subscriptions(plans: impl IntoIterator<Item = (WebhookName, Arc<EventPlan>)>) -> Subscriptions {
    Subscriptions {
        plans: plans.into_iter().collect::<BTreeMap<_, _>>(),
        numbers: Numbers::default(),
        policy: Arc::new(Policy::default()),
        attempt_time: ATTEMPT_TIME,
        enabled: true,
    }
}

fn open(path: &Path) -> Store {
    let retention = Duration::from_hours(24);
    Store::open(Settings { path: path.to_owned(), retention }, |_| {}).expect("a store")
}

fn start(store: &Store, subscriptions: Subscriptions) -> Delivery {
    Delivery::start(store.clone(), tls_settings().expect("TLS"), subscriptions).expect("a thread")
}

/// An event for everybody who is told of it.
fn acceptance(subscriptions: &Subscriptions, event: Event) -> Acceptance {
    let to = subscriptions.recipients(&event);
    Acceptance { events: vec![NewEvent { event, to }], calls: Vec::new() }
}
