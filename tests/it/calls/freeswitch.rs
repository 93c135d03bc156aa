//! What only FreeSWITCH can suffer: a dialplan that calls us in another way, and texts that it would carry out.

use std::net::SocketAddr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use switchhook::stage::freeswitch::Dialplan;
use switchhook::stage::server::Server;
use switchhook::stage::{After, Event};
use switchhook::terms::What;

use super::daemon::{Daemon, in_time};
use super::pbx::{Caller, Pbx, Seen, freeswitch};

/// Each of them was seen to do something on a real FreeSWITCH, or would.
const EVIL: [&str; 14] = [
    "${system(touch x)}",
    "$${system(touch x)}",
    "\\${system(touch x)}",
    "$\\{system(touch x)}",
    "a\r\nX-Evil: y",
    "a\nexecute-app-name: hangup",
    "a\n\napi system touch x\n\n",
    "%0d%0aX-Evil%3A y",
    "%0D%0AX-Evil%3A y",
    "ARRAY::a|:b",
    "x\" <sip:evil@192.0.2.1>;tag=1",
    "'a' 'b",
    "unload mod_event_socket",
    "a@b/c:d",
];

async fn web() -> Server {
    Server::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a web server")
}

/// Nothing is carried out that we have not written, and the callee's INVITE has the lines that it always has.
fn assert_harmless(what: &str, seen: &Seen) {
    for moment in &seen.transcript {
        match &moment.event {
            Event::Expanded(_) | Event::Array(_) | Event::Misread(_) | Event::UnknownApplication(_) => {
                panic!("{what}: {:?}", moment.event)
            }
            Event::Received(command) => {
                let line = command.lines().next().unwrap_or_default();
                let ours = ["connect", "myevents", "sendmsg", "exit"].contains(&line);
                assert!(ours || line.starts_with("filter Event-Name "), "{what}: {command:?}");
            }
            _ => {}
        }
    }
    let lines: Vec<&str> = seen.invite.split(['\r', '\n']).filter(|line| !line.is_empty()).collect();
    let heads = ["From: ", "P-Asserted-Identity: ", "Privacy: "];
    let right = lines.len() == 3 && lines.iter().zip(heads).all(|(line, head)| line.starts_with(head));
    assert!(right, "{what}: {lines:?}");
    assert_eq!(seen.after, After::GoesOn, "{what}");
    assert!(["SUCCESS", "FAILED"].contains(&seen.variable("WEBHOOK_RESULT")), "{what}: {seen:?}");
}

#[tokio::test]
async fn no_text_of_the_web_server_is_carried_out() {
    let server = web().await;
    let mut text = String::new();
    for (at, evil) in EVIL.iter().enumerate() {
        let name = json!({ "status": "ACK", "callername": evil, "note": evil, "plain": format!("0 {evil}") });
        let goes = json!({ "status": "ACK", "destination": evil });
        let url = |answer: Value| {
            server.url(&format!("/say/{}", utf8_percent_encode(&answer.to_string(), NON_ALPHANUMERIC)))
        };
        text.push_str(&format!(
            "[webhook.name{at}]\nurl = '{}'\nsave_as = \"RAW\"\ncaller_name = {{ mode = \"webhook\" }}\n\
             variables = {{ note = \"NOTE\", plain = \"PLAIN\" }}\n\
             [webhook.goes{at}]\nurl = '{}'\ndestination = {{ allow = [\".*\"] }}\n\
             variables = {{ destination = \"GOES\" }}\n",
            url(name),
            url(goes)
        ));
    }
    let daemon = Daemon::start(&text);
    for (at, evil) in EVIL.iter().enumerate() {
        let (seen, _) = daemon.calls().call(Pbx::FreeSwitch, Caller::of(&format!("name{at}"))).await;
        assert_harmless(evil, &seen);
        assert_eq!(seen.outcome(), "SUCCESS ok", "{evil:?}");
        // The rest of it arrives.
        let clean =
            evil.replace(['\r', '\n'], " ").replace(['"', '\\'], "").replace("$${", "{").replace("${", "{");
        assert_eq!(seen.variable("PLAIN").trim_end(), format!("0 {}", clean.trim_end()), "{evil:?}");
        let name = format!("From: \"{}", clean.replace(['<', '>'], "").trim_end());
        assert!(seen.invite.starts_with(&name), "{evil:?}: {}", seen.invite);
        let (seen, _) = daemon.calls().call(Pbx::FreeSwitch, Caller::of(&format!("goes{at}"))).await;
        assert_harmless(evil, &seen);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn no_text_of_the_caller_is_carried_out() {
    let server = web().await;
    let daemon = Daemon::start(&format!(
        "[webhook.prepended]\nurl = '{0}'\ncaller_name = {{ mode = \"prepend\", text = \"VIP \" }}\n\
         [webhook.told]\nurl = '{0}?name={{callername}}&from={{callerid}}&did={{did}}'\n\
         caller_name = {{ mode = \"replace\", text = \"{{callername}} {{callerid}} {{did}}\" }}\n\
         caller_id = \"called\"\n\
         [webhook.called]\nurl = '{0}'\ncaller_id = \"called\"\n",
        server.url("/route")
    ));
    for evil in EVIL {
        let name = |hook: &str| Caller { name: evil, ..Caller::of(hook) };
        let number = |hook: &str| Caller { number: evil, ..Caller::of(hook) };
        let did =
            |hook: &str| Caller { overrides: vec![("did", evil), ("callername", evil)], ..Caller::of(hook) };
        for caller in [name("prepended"), name("told"), number("told"), did("told"), did("called")] {
            let what = format!("{} {caller:?}", evil.escape_debug());
            let (seen, _) = daemon.calls().call(Pbx::FreeSwitch, caller).await;
            assert_harmless(&what, &seen);
        }
    }
    daemon.stop().await;
}

/// A dialplan that has it otherwise than the documentation gets its answer, and a line that says what to change. Also
/// where the daemon leaves at once.
#[tokio::test]
async fn every_way_to_call_us_goes_on() {
    let server = web().await;
    let daemon = Daemon::start(&format!(
        "[webhook.vip]\nurl = '{0}?code={{code}}'\nivr = {{ start_prompt = \"enter\" }}\n[webhook.plain]\nurl = '{0}'\n",
        server.url("/route")
    ));
    for (is_async, is_full) in [(true, true), (true, false), (false, true), (false, false)] {
        for resumes in [true, false] {
            for (hook, outcome) in
                [("vip", "SUCCESS ok"), ("plain", "SUCCESS ok"), ("none", "FAILED unknown_webhook")]
            {
                let Dialplan { mut variables, .. } = Dialplan::default();
                variables.retain(|_, _| resumes);
                let what = format!("async {is_async}, full {is_full}, socket_resume {resumes}, {hook}");
                let caller = Caller::of(hook).typing(&["1234#"]);
                let unique_id = caller.unique_id.clone();
                let dialplan = Dialplan { is_async, is_full, variables };
                let address = daemon.address(Pbx::FreeSwitch);
                let seen = in_time(&what, freeswitch(address, caller, dialplan)).await;
                assert_eq!((seen.outcome().as_str(), seen.after), (outcome, After::GoesOn), "{what}");
                let journal = daemon.calls().journal(&unique_id).await;
                let advised = journal.steps.iter().any(|step| matches!(step.what, What::Dialplan { .. }));
                assert_eq!(advised, !(is_async && is_full && resumes), "{what}: {journal:?}");
            }
        }
    }
    daemon.stop().await;
}

/// A code is in no variable that is left, nor in what FreeSWITCH notes for the call's end. What the dialplan had said of
/// it is as before.
#[tokio::test]
async fn a_code_is_kept_out_of_sight() {
    const CODE: &str = "7390191648";
    let server = web().await;
    let daemon = Daemon::start(&format!(
        "[webhook.vip]\nurl = '{}?code={{code}}'\nivr = {{ start_prompt = \"enter\", max_digits = 12 }}\n",
        server.url("/nak")
    ));
    for before in [None, Some("true"), Some("false")] {
        let mut dialplan = Dialplan::default();
        dialplan.variables.extend(before.map(|value| ("sensitive_dtmf".to_owned(), value.to_owned())));
        let caller = Caller::of("vip").typing(&["7390191648#", "7390191648#", "7390191648#"]);
        let seen = in_time("a call", freeswitch(daemon.address(Pbx::FreeSwitch), caller, dialplan)).await;
        assert_eq!(seen.outcome(), "FAILED nak");
        assert_eq!(seen.variable("SENSITIVE_DTMF"), before.unwrap_or_default());
        let left: Vec<_> = seen.variables.iter().filter(|(_, value)| value.contains(CODE)).collect();
        assert!(left.is_empty(), "{left:?}");
        for name in ["SWITCHHOOK_DIGITS", "READ_TERMINATOR_USED", "DIGITS_DIALED"] {
            assert_eq!(seen.variable(name), "", "{name}");
        }
    }
    daemon.stop().await;
}

/// Whenever the caller hangs up: the daemon comes to an end, and a dialplan that goes on has the whole answer.
#[tokio::test]
async fn a_caller_may_hang_up_at_every_moment() {
    let server = web().await;
    let daemon = Daemon::start(&format!(
        "[webhook.vip]\nurl = '{}?code={{code}}'\nivr = {{ start_prompt = \"enter\" }}\n",
        server.url("/route")
    ));
    let (mut gone, mut whole) = (0, 0);
    for ms in (0..).step_by(2) {
        let caller = Caller { hangs_up_after_ms: Some(ms), ..Caller::of("vip").typing(&["1234#"]) };
        let address = daemon.address(Pbx::FreeSwitch);
        let seen = in_time("a call", Pbx::FreeSwitch.play(address, caller)).await;
        match seen.after {
            After::HungUp => gone += 1,
            After::GoesOn => {
                assert_eq!(seen.outcome(), "SUCCESS ok", "{ms} ms: {seen:?}");
                whole += 1;
            }
            other => panic!("{ms} ms: {other:?}"),
        }
        if whole == 5 {
            break;
        }
    }
    assert!(gone > 0, "nobody hung up");
    daemon.stop().await;
}
