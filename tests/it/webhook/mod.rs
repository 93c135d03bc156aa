//! The contract with the web server: what is asked, how answers are read, what becomes of failures.

mod answer;
mod cache;
mod dialogues;
mod event;
mod exchange;
mod policy;
mod request;
mod signature;
mod template;
mod world;

use std::sync::Arc;
use std::time::Duration;

use switchhook::terms::{
    Channel, Code, Codes, Facts, Ivr, Number, NumberFormat, Numbers, Place, Template, VarName, Webhook,
    WebhookName,
};
use switchhook::webhook::{Plan, Question, Requests};

/// The id of every call here.
const CALL: &str = "0199aa01-7c3e-7000-8abc-0123456789ab";

fn template(text: &str) -> Template {
    Template::parse(text, Place::Request).expect("a template")
}

/// A webhook with nothing but its URL.
fn webhook(url: &str) -> Webhook {
    Webhook::new(WebhookName::parse("vip").expect("a name"), template(url))
}

fn ivr(secret: bool) -> Ivr {
    Ivr {
        answer: true,
        secret,
        timeout: Duration::from_secs(5),
        digit_timeout: None,
        attempts: 3,
        min_digits: 4,
        max_digits: 8,
        pattern: None,
        start_prompt: None,
        error_prompt: None,
        timeout_prompt: None,
        repeat_start_prompt: true,
        lockout: None,
    }
}

fn save_as() -> Option<VarName> {
    Some(VarName::parse("CRM_RESULT").expect("a name"))
}

fn plan(webhook: Webhook) -> Arc<Plan> {
    Arc::new(Plan::new(Arc::new(webhook)).expect("a plan"))
}

fn channel() -> Channel {
    Channel {
        callerid: Number::from_pbx("+31612345678"),
        callername: "Zoë Müller & Söhne \"GmbH\"".to_owned(),
        did: "0502102544".to_owned(),
        extension: "1003".to_owned(),
        unique_id: "pbx-1795318099.2".to_owned(),
        linked_id: "pbx-1795318099.1".to_owned(),
        sip_call_id: "lsjuf8109juq1i0a9vai".to_owned(),
        start: Some(1_795_318_099_000),
        ..Channel::default()
    }
}

fn numbers() -> Numbers {
    Numbers {
        country: "31".to_owned(),
        trunk_prefix: "0".to_owned(),
        international_prefix: "00".to_owned(),
        company_id: "42f30b".to_owned(),
    }
}

fn facts<'a>(channel: &'a Channel, numbers: &'a Numbers, code: Option<&'a Code>) -> Facts<'a> {
    Facts { channel, call: CALL, code, format: NumberFormat::AsIs, numbers, now: 1_795_318_100_250 }
}

/// The requests of the usual call.
fn requests(plan: &Plan, code: Option<&str>) -> Requests {
    let code = code.map(|digits| Code::parse(digits).expect("digits"));
    let (channel, numbers) = (channel(), numbers());
    plan.render(&Question {
        facts: facts(&channel, &numbers, code.as_ref()),
        attempt: 1,
        earlier: &Codes::NONE,
    })
}
