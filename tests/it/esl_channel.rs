//! What FreeSWITCH says of the channel, and how the dialplan called us.

use std::time::Instant;

use switchhook::call::{Session, SessionOutput};
use switchhook::freeswitch::outbound::OutboundSession;
use switchhook::terms::{Opening, Route, What};

use crate::esl::channel;

/// What a session says to the reply to `connect`.
fn says(changes: &[(&str, &str)]) -> Vec<SessionOutput> {
    says_until(changes, None)
}

/// … and to the end of the application with that id.
fn says_until(changes: &[(&str, &str)], end: Option<&str>) -> Vec<SessionOutput> {
    let now = Instant::now();
    let mut session = OutboundSession::new(now);
    assert!(matches!(session.poll_output(), SessionOutput::Write(_)));
    session.handle_bytes(now, channel(changes).as_bytes());
    if let Some(id) = end {
        let event = format!("Event-Name: CHANNEL_EXECUTE_COMPLETE\nUnique-ID: u\nApplication-UUID: {id}\n\n");
        let head = format!("Content-Length: {}\nContent-Type: text/event-plain\n\n", event.len());
        session.handle_bytes(now, format!("{head}{event}").as_bytes());
    }
    let mut said = Vec::new();
    loop {
        match session.poll_output() {
            SessionOutput::Wait(_) => return said,
            SessionOutput::Closed => {
                said.push(SessionOutput::Closed);
                return said;
            }
            output => said.push(output),
        }
    }
}

fn opening(changes: &[(&str, &str)]) -> Opening {
    match says(changes).into_iter().next() {
        Some(SessionOutput::Opened(opening)) => *opening,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_channel() {
    let Opening { route, channel } = opening(&[
        ("Channel-Call-UUID", "call-1"),
        ("Channel-Name", "sofia/internal/1001%40127.0.0.1"),
        ("Caller-Context", "public"),
        ("Caller-Channel-Created-Time", "1795318019000700"),
        ("variable_sip_to_user", "0201234567"),
        ("variable_sip_call_id", "abc%40host"),
        ("variable_accountcode", "acme"),
        ("variable_default_language", "nl"),
    ]);
    assert_eq!(route, Ok(Route::Webhook("vip".to_owned())));
    assert_eq!((channel.did.as_str(), channel.extension.as_str()), ("0201234567", "7001"));
    assert_eq!((channel.unique_id.as_str(), channel.linked_id.as_str()), ("u", "call-1"));
    assert_eq!(
        (channel.name.as_str(), channel.context.as_str()),
        ("sofia/internal/1001@127.0.0.1", "public")
    );
    assert_eq!((channel.sip_call_id.as_str(), channel.account.as_str()), ("abc@host", "acme"));
    assert_eq!((channel.language.as_str(), channel.start), ("nl", Some(1_795_318_019_000)));
    assert!(!channel.withheld);
    let channel = opening(&[]).channel;
    assert_eq!((channel.linked_id.as_str(), channel.did.as_str()), ("u", "7001"));
}

#[test]
fn variables_override_the_channel() {
    let Opening { channel, .. } = opening(&[
        ("variable_switchhook_did", "%2B31%20x"),
        ("variable_switchhook_callerid", "+31%252B"),
        ("variable_switchhook_callername", "Zo%C3%AB"),
        ("variable_switchhook_linkedid", "l"),
        ("variable_Switchhook_Start", "1795318099123"),
        ("variable_switchhook_sip_call_id", "s"),
        ("variable_switchhook_extension", "300"),
        ("variable_switchhook_context", "from-trunk"),
        ("variable_sip_to_user", "0201234567"),
    ]);
    // `+` is a plus, and nothing is decoded twice.
    assert_eq!((channel.did.as_str(), channel.callerid.as_str()), ("+31 x", "+31%2B"));
    assert_eq!((channel.number_on_channel.as_str(), channel.name_on_channel.as_str()), ("1001", "Alice"));
    assert_eq!((channel.callername.as_str(), channel.linked_id.as_str()), ("Zoë", "l"));
    assert_eq!((channel.start, channel.sip_call_id.as_str()), (Some(1_795_318_099_123), "s"));
    assert_eq!((channel.extension.as_str(), channel.context.as_str()), ("300", "from-trunk"));
}

#[test]
fn a_withheld_number_is_empty_and_its_name_stays_here() {
    // Number, name, hide number, hide name; then number, name, withheld.
    for (number, name, hide_number, hide_name, read) in [
        ("+4930999", "Real%20N", "true", "true", ("", "", true)),
        ("+4930999", "Real%20N", "true", "false", ("", "", true)),
        ("+4930999", "Real%20N", "false", "true", ("+4930999", "", false)),
        ("anonymous", "Anonymous", "false", "false", ("", "", true)),
        ("unknown", "Front%20Door", "false", "false", ("", "Front Door", true)),
        ("", "", "false", "false", ("", "", true)),
        // FreeSWITCH's name of a caller without one.
        ("1001", "1001", "false", "false", ("1001", "", false)),
        ("1001", "unknown", "false", "false", ("1001", "", false)),
        ("1001", "Alice", "false", "false", ("1001", "Alice", false)),
    ] {
        let channel = opening(&[
            ("Caller-Caller-ID-Number", number),
            ("Caller-Caller-ID-Name", name),
            ("Caller-Privacy-Hide-Number", hide_number),
            ("Caller-Privacy-Hide-Name", hide_name),
        ])
        .channel;
        let got = (channel.callerid.as_str(), channel.callername.as_str(), channel.withheld);
        assert_eq!(got, read, "{number} {name}");
        assert_eq!(channel.number_on_channel, channel.callerid);
    }
}

/// `callername/prepend` stands in front of what the callee would see.
#[test]
fn the_name_on_the_channel_is_the_effective_one() {
    // Twice encoded: by us for the SIP module, which decodes it, and on the wire.
    for (effective, name) in
        [("Sales%253A%20Alice", "Sales: Alice"), ("50%25%20off", "50% off"), ("_undef_", "")]
    {
        let channel = opening(&[("variable_effective_caller_id_name", effective)]).channel;
        assert_eq!((channel.callername.as_str(), channel.name_on_channel.as_str()), ("Alice", name));
    }
}

#[test]
fn the_path_and_the_text() {
    let route = |path: &str, variable: &str, text: &str| {
        opening(&[
            ("variable_socket_path", path),
            ("variable_switchhook_path", variable),
            ("variable_switchhook_text", text),
        ])
        .route
        .map_err(|e| e.path)
    };
    let vip = Ok(Route::Webhook("vip".to_owned()));
    assert_eq!(route("webhook/vip", "", ""), vip);
    assert_eq!(route("", "/webhook/vip", ""), vip);
    assert_eq!(route("webhook/vip", "webhook/other", ""), vip);
    assert_eq!(route("callername/prepend", "", "Sales%3A%20"), Ok(Route::Prepend("Sales: ".to_owned())));
    assert_eq!(route("callername/replace", "", ""), Ok(Route::Replace(String::new())));
    assert_eq!(route("", "", ""), Err(String::new()));
    assert_eq!(route("some/path", "", ""), Err("some/path".to_owned()));
}

/// Each mode gets what works there before the call begins, and the lines that the dialplan should have.
#[test]
fn how_the_dialplan_called() {
    let resume = r#"<action application="set" data="socket_resume=true"/>"#;
    let socket = r#"<action application="socket" data="127.0.0.1:8084/webhook/vip async full"/>"#;
    let both = format!("{resume} and then {socket}");
    let (set, remove) = ("socket_resume=true", "socket_resume=");
    for (mode, control, resumes, written, advice) in [
        ("async", "full", "true", "", ""),
        ("async", "full", "yes", "", ""),
        ("async", "full", "1", "", ""),
        ("async", "full", "false", set, both.as_str()),
        ("async", "full", "", set, &both),
        ("async", "single-channel", "true", "", socket),
        ("async", "single-channel", "", set, &both),
        ("static", "full", "", "", &both),
        ("static", "full", "true", remove, socket),
        ("static", "single-channel", "true", remove, socket),
        ("static", "single-channel", "", "", &both),
    ] {
        let case = format!("{mode} {control} {resumes}");
        let changes = [("Socket-Mode", mode), ("Control", control), ("variable_socket_resume", resumes)];
        let end = (!written.is_empty()).then_some("switchhook-1");
        let (mut wrote, mut advised, mut opened) = (String::new(), String::new(), false);
        for output in says_until(&changes, end) {
            match output {
                SessionOutput::Write(bytes) => {
                    assert!(!opened, "{case}: the remedy comes before the call");
                    wrote = String::from_utf8_lossy(&bytes).into_owned();
                }
                SessionOutput::Opened(_) => opened = true,
                SessionOutput::Note(What::Dialplan { advice }) => advised.clone_from(&advice),
                other => panic!("{case}: {other:?}"),
            }
        }
        assert!(opened, "{case}");
        assert_eq!(wrote.rsplit("\n\n").next(), Some(written), "{case}");
        assert_eq!(advised.strip_prefix("the dialplan should have ").unwrap_or_default(), advice, "{case}");
        if !written.is_empty() {
            let before = says_until(&changes, None);
            assert!(matches!(before[..], [SessionOutput::Write(_)]), "{case}: {before:?}");
        }
    }
}

/// A daemon that was frozen connects when the channel has gone on.
#[test]
fn a_channel_that_does_not_wait_is_left_alone() {
    for application in ["bridge", ""] {
        let said = says_until(&[("variable_current_application", application)], None);
        let detail = "the channel has gone on without us".to_owned();
        assert_eq!(said, [SessionOutput::Note(What::ProtocolError { detail }), SessionOutput::Closed]);
    }
}
