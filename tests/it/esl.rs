//! FreeSWITCH's outbound sessions: recorded conversations, and what a PBX can say that would break one.

use std::time::Instant;

use switchhook::call::{Session, SessionOutput};
use switchhook::freeswitch::outbound::OutboundSession;

use crate::dialogue::{Cut, Dialogue, quoted, shown};

const FIRST: &str = r"< 'connect\n\nmyevents\n\nfilter Event-Name CHANNEL_EXECUTE_COMPLETE\n\nfilter Event-Name CHANNEL_HANGUP\n\n'";

const OPENED: &str = "expect opened webhook/vip did='7001' callerid='1001' callername='Alice'";

const NOTICE: &str = r"> 'Content-Type: text/disconnect-notice\nControlled-Session-UUID: u\nContent-Disposition: disconnect\nContent-Length: 67\n\nDisconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n'";

const LINGER: &str = r"> 'Content-Type: text/disconnect-notice\nControlled-Session-UUID: u\nContent-Disposition: linger\nLinger-Time: 3\nContent-Length: 0\n\n'";

/// A right dialplan's call.
const CHANNEL: [(&str, &str); 10] = [
    ("Unique-ID", "u"),
    ("Caller-Caller-ID-Name", "Alice"),
    ("Caller-Caller-ID-Number", "1001"),
    ("Caller-Destination-Number", "7001"),
    ("variable_socket_path", "webhook/vip"),
    ("variable_current_application", "socket"),
    ("variable_current_application_data", "127.0.0.1:8084/webhook/vip%20async%20full"),
    ("variable_socket_resume", "true"),
    ("Socket-Mode", "async"),
    ("Control", "full"),
];

/// The reply to `connect`, as FreeSWITCH sends it, with some lines replaced or added; an empty value takes one away.
pub(crate) fn channel(changes: &[(&str, &str)]) -> String {
    let mut lines: Vec<(&str, &str)> = CHANNEL.to_vec();
    for change in changes {
        match lines.iter_mut().find(|(name, _)| *name == change.0) {
            Some(line) => line.1 = change.1,
            None => lines.push(*change),
        }
    }
    let lines = lines.iter().filter(|(_, value)| !value.is_empty());
    let lines: String = lines.map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("Event-Name: CHANNEL_DATA\n{lines}Content-Type: command/reply\nReply-Text: %2BOK%0A\n\n")
}

fn says(text: &str) -> String {
    format!("> {}\n", quoted(text.as_bytes()))
}

fn replies(texts: &[&str]) -> String {
    let replies: String =
        texts.iter().map(|t| format!("Content-Type: command/reply\nReply-Text: {t}\n\n")).collect();
    says(&replies)
}

fn oks(count: usize) -> String {
    replies(&vec!["+OK"; count])
}

/// An event of the channel.
fn event(name: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|l| format!("{l}\n")).collect();
    let content = format!("Event-Name: {name}\nUnique-ID: u\n{lines}\n");
    says(&format!("Content-Length: {}\nContent-Type: text/event-plain\n\n{content}", content.len()))
}

fn complete(id: u32, lines: &[&str]) -> String {
    complete_in("answered", id, lines)
}

fn complete_in(state: &str, id: u32, lines: &[&str]) -> String {
    let (state, id) = (format!("Answer-State: {state}"), format!("Application-UUID: switchhook-{id}"));
    event("CHANNEL_EXECUTE_COMPLETE", &[lines, &[&state, &id]].concat())
}

fn hangup() -> String {
    event("CHANNEL_HANGUP", &["Answer-State: hangup", "Hangup-Cause: NORMAL_CLEARING"])
}

fn message(app: &str, argument: &str, id: u32) -> String {
    let head = format!(
        "call-command: execute\nexecute-app-name: {app}\nEvent-UUID: switchhook-{id}\nevent-lock: true\n"
    );
    match argument.len() {
        0 => format!("sendmsg\n{head}\n"),
        length => format!("sendmsg\n{head}content-type: text/plain\ncontent-length: {length}\n\n{argument}"),
    }
}

fn writes(messages: &[(&str, &str)], first_id: u32) -> String {
    let all: String =
        (first_id..).zip(messages).map(|(id, (app, argument))| message(app, argument, id)).collect();
    format!("< {}\n", quoted(all.as_bytes()))
}

/// The answer: messages, and `exit` behind them.
fn leaves(messages: &[(&str, &str)], first_id: u32) -> String {
    let all: String =
        (first_id..).zip(messages).map(|(id, (app, argument))| message(app, argument, id)).collect();
    format!("< last {}\n", quoted(format!("{all}exit\n\n").as_bytes()))
}

/// What an entry writes.
fn collects(argument: &str, first_id: u32) -> String {
    let (digits, terminator) = (("set", "switchhook_digits="), ("set", "read_terminator_used="));
    let sensitive = ("set", "sensitive_dtmf=true");
    writes(&[digits, terminator, sensitive, ("play_and_get_digits", argument)], first_id)
}

/// What is put right behind an entry.
const TIDY: [(&str, &str); 3] =
    [("set", "switchhook_digits="), ("set", "read_terminator_used="), ("set", "sensitive_dtmf=")];

fn tidies(first_id: u32) -> String {
    writes(&TIDY, first_id)
}

fn opened() -> String {
    let setup = replies(&["+OK Events Enabled", "+OK filter added.", "+OK filter added."]);
    format!("{FIRST}\n{}{OPENED}\n{setup}", says(&channel(&[])))
}

/// Plays a dialogue as it is, byte by byte, and cut at every byte; at every 61st where that would take long.
fn play(dialogue: &Dialogue) -> Result<(), String> {
    let bytes = dialogue.pbx_bytes();
    let step = if bytes > 3000 { 61 } else { 1 };
    let cuts = (1..bytes).step_by(step).map(Cut::At);
    for cut in [Cut::Nowhere, Cut::Everywhere].into_iter().chain(cuts) {
        let now = Instant::now();
        dialogue.play(cut, &mut OutboundSession::new(now), now)?;
    }
    Ok(())
}

#[track_caller]
fn plays_whole(text: &str) {
    if let Err(difference) = play(&Dialogue::parse("here", text)) {
        panic!("{difference}\n{text}");
    }
}

/// Plays what happens after the opening.
#[track_caller]
fn plays(lines: &[&str]) {
    let lines: String =
        lines.iter().map(|l| if l.ends_with('\n') { (*l).to_owned() } else { format!("{l}\n") }).collect();
    plays_whole(&format!("{}{lines}", opened()));
}

#[test]
fn recorded_conversations_however_they_are_cut() {
    let all = Dialogue::all("freeswitch");
    assert!(all.len() >= 25, "only {} dialogues were read", all.len());
    let wrong: Vec<String> = all.iter().filter_map(|d| play(d).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_entry_whatever_its_result_fields_say() {
    let (success, failure, timeout) =
        ("variable_read_result: success", "variable_read_result: failure", "variable_read_result: timeout");
    let hash = "variable_read_terminator_used: %23";
    for (lines, digits) in [
        (&["variable_switchhook_digits: 1234", success, hash][..], "'1234' terminator"),
        (&["variable_switchhook_digits: 0042", timeout], "'0042' timeout"),
        (&["variable_switchhook_digits: 34", failure], "'34' timeout"),
        (&["variable_switchhook_digits: 123456", success], "'123456' full"),
        (&["variable_switchhook_digits: 12*", success, hash], "'12*' terminator"),
        (&["variable_switchhook_digits: 1F2", success, hash], "'12' terminator"),
        (&[timeout], "'' timeout"),
        (&[failure], "'' timeout"),
        (&[success, hash], "'' terminator"),
        // `#` while the prompt of a one-digit entry plays is not noted.
        (&[success], "'' terminator"),
    ] {
        plays(&[
            "run collect max=6 timeout=5000",
            &collects("0 6 1 5000 # '' '' switchhook_digits '' 5000", 1),
            &oks(4),
            &complete(4, lines),
            &tidies(5),
            &format!("expect digits {digits}"),
        ]);
    }
}

#[test]
fn what_is_no_entry_ends_the_session() {
    for (digits, detail) in [
        ("12a", "the digits of an entry hold what is no digit"),
        ("12%23", "the digits of an entry hold what is no digit"),
        ("%0a", "the digits of an entry hold what is no digit"),
        ("1234567", "an entry has too many digits"),
    ] {
        plays(&[
            "run collect max=6 timeout=5000",
            &collects("0 6 1 5000 # '' '' switchhook_digits '' 5000", 1),
            &complete(
                4,
                &[&format!("variable_switchhook_digits: {digits}"), "variable_read_result: success"],
            ),
            &format!("expect note protocol_error {detail}"),
            "expect closed",
        ]);
    }
}

#[test]
fn times_and_numbers_of_digits_have_limits() {
    for (given, argument) in [
        ("max=4 timeout=200", "0 4 1 1000 # '' '' switchhook_digits '' 200"),
        ("max=4 timeout=5000 gap=500", "0 4 1 5000 # '' '' switchhook_digits '' 500"),
        ("max=0 timeout=5000", "0 1 1 5000 # '' '' switchhook_digits '' 5000"),
        ("max=128 timeout=5000", "0 127 1 5000 # '' '' switchhook_digits '' 5000"),
    ] {
        plays(&[&format!("run collect {given}"), &collects(argument, 1)]);
    }
}

#[test]
fn prompts_are_one_file() {
    for (given, file) in [
        ("prompt=ivr/x.wav", "ivr/x.wav"),
        ("lead=a.wav prompt=b.wav", "file_string://a.wav!b.wav"),
        ("lead=file_string://a.wav!b.wav prompt=c.wav", "file_string://a.wav!b.wav!c.wav"),
        ("prompt=file_string://a.wav!b.wav", "file_string://a.wav!b.wav"),
        ("prompt='with a space.wav'", "with a space.wav"),
        ("lead='' prompt=' '", ""),
    ] {
        let argument = format!("0 4 1 5000 # '{file}' '' switchhook_digits '' 5000");
        plays(&[&format!("run collect max=4 timeout=5000 {given}"), &collects(&argument, 1)]);
    }
}

#[test]
fn a_sound_that_cannot_be_named_is_missing() {
    for sound in ["it\\x27s.wav", "${system(x)}.wav", "a\\\\b.wav", "a\\nb.wav"] {
        plays(&[
            &format!("run collect max=4 timeout=5000 prompt='{sound}'"),
            &format!("expect note sound_missing '{sound}'"),
            &collects("0 4 1 5000 # '' '' switchhook_digits '' 5000", 5),
        ]);
    }
    plays(&["run play ${x}", "expect note sound_missing '${x}'", "expect done"]);
    plays(&["run play", "expect done"]);
}

#[test]
fn nothing_was_collected_although_nothing_was_played() {
    plays(&[
        "run collect max=4 timeout=5000",
        &collects("0 4 1 5000 # '' '' switchhook_digits '' 5000", 1),
        &complete(4, &[]),
        &tidies(5),
        "expect refused 'play_and_get_digits collected nothing'",
    ]);
}

#[test]
fn only_the_end_with_our_id_is_the_end() {
    let other_channel = event("CHANNEL_EXECUTE_COMPLETE", &["Application-UUID: switchhook-1"])
        .replace("Unique-ID: u\\n", "Unique-ID: v\\n");
    plays(&[
        "run answer",
        &writes(&[("answer", "")], 1),
        &event("CHANNEL_EXECUTE_COMPLETE", &["Application: socket", "Application-UUID: 5c15a5ac"]),
        &event("CHANNEL_EXECUTE_COMPLETE", &["Application: answer", "Application-UUID: switchhook-11"]),
        &event("CHANNEL_EXECUTE", &["Application: answer", "Application-UUID: switchhook-1"]),
        &event("CHANNEL_EXECUTE_COMPLETE", &["Application: answer"]),
        &other_channel,
        &oks(1),
        &complete(1, &["Application: answer"]),
        "expect done",
        // `loops` gives several, all with the same id.
        &complete(1, &["Application: answer"]),
    ]);
}

#[test]
fn events_come_between_a_command_and_its_reply() {
    plays(&[
        "run answer",
        &writes(&[("answer", "")], 1),
        &complete(1, &[]),
        "expect done",
        &oks(1),
        "run answer",
        &writes(&[("answer", "")], 2),
    ]);
}

#[test]
fn refusals() {
    plays(&[
        "run answer",
        &writes(&[("answer", "")], 1),
        &replies(&["-ERR invalid session id [u]"]),
        "expect refused '-ERR invalid session id [u]'",
        "run finish A='x' B='y'",
        &leaves(&[("set", "a=x"), ("set", "b=y")], 2),
        &replies(&["+OK", "-ERR memory error", "+OK bye"]),
        "expect note refused B '-ERR memory error'",
        NOTICE,
        "expect done",
        "expect closed",
    ]);
    let refused = replies(&["-ERR command not found", "+OK", "+OK"]);
    plays_whole(&format!(
        "{FIRST}\n{}{OPENED}\n{refused}expect note refused myevents '-ERR command not found'\n",
        says(&channel(&[]))
    ));
}

#[test]
fn the_answer_is_one_write_with_the_result_last() {
    for (given, messages) in [
        ("A='x' CRM_RESULT='y'", &[("set", "a=x"), ("set", "crm_result=y")][..]),
        ("A='' B=' a=b,c;d|e ' C='^^:x'", &[("set", "a="), ("set", "b= a=b,c;d|e "), ("set", "c=^^:x")]),
        (
            "A='it\\x27s \"x\" \\\\ ${system(touch x)} a\\r\\nX: y'",
            &[("set", "a=it's x  {system(touch x)} a  X: y")],
        ),
        (
            "A='reload mod_event_socket, then unload it'",
            &[("set", "a=reload mod_event_socket, then unload it")],
        ),
        (
            "suppress A='x'",
            &[
                ("set", "effective_caller_id_name=anonymous"),
                ("set", "effective_caller_id_number=anonymous"),
                ("privacy", "full"),
                ("set", "a=x"),
            ],
        ),
        (
            "name='Zoë' number='+3120' present A='x'",
            &[
                ("set", "effective_caller_id_name=Zoë"),
                ("set", "effective_caller_id_number=+3120"),
                ("privacy", "no"),
                ("set", "a=x"),
            ],
        ),
        ("name='' A='x'", &[("set", "effective_caller_id_name=_undef_"), ("set", "a=x")]),
        // What the SIP module would cut or decode.
        (
            "name='Sales: a/b@c 50% %0d%0aX: y'",
            &[("set", "effective_caller_id_name=Sales%3A a%2Fb%40c 50%25 %250d%250aX%3A y")],
        ),
        ("number='1@x'", &[("set", "effective_caller_id_number=1%40x")]),
    ] {
        let all = oks(messages.len());
        let bye = replies(&["+OK bye"]);
        plays(&[
            &format!("run finish {given}"),
            &leaves(messages, 1),
            &all,
            &bye,
            NOTICE,
            "expect done",
            "expect closed",
        ]);
    }
}

#[test]
fn a_value_that_would_be_several_is_left_out() {
    plays(&[
        "run finish A='ARRAY::one|:two' B='x'",
        "expect note refused A 'not written: FreeSWITCH would take it as several values'",
        &format!(
            "< last {}",
            quoted(format!("{}{}exit\n\n", message("set", "a=", 2), message("set", "b=x", 3)).as_bytes())
        ),
    ]);
}

/// The names of variables that hold digits are removed behind the entry that our leaving ends.
#[test]
fn the_answer_behind_a_running_command() {
    plays(&[
        "run play x.wav",
        &writes(&[("playback", "%[playback_terminators=none]x.wav")], 1),
        "run finish A='x'",
        &leaves(&[("set", "a=x")], 2),
        &complete(1, &[]),
        &oks(2),
        &replies(&["+OK bye"]),
        "eof",
        "expect done",
        "expect closed",
    ]);
    plays(&[
        "run collect max=4 timeout=5000",
        &collects("0 4 1 5000 # '' '' switchhook_digits '' 5000", 1),
        "run finish A='x'",
        &leaves(&[TIDY[0], TIDY[1], TIDY[2], ("set", "a=x")], 5),
    ]);
}

#[test]
fn hangup_at_every_step() {
    let (answering, answered) = (writes(&[("answer", "")], 1), complete(1, &[]));
    // While answering.
    plays(&[
        "run answer",
        &answering,
        &hangup(),
        "expect done hungup",
        "expect hungup",
        &answered,
        NOTICE,
        "expect closed",
    ]);
    plays(&[
        "run answer",
        &answering,
        &complete_in("hangup", 1, &[]),
        "expect done hungup",
        "expect hungup",
        &hangup(),
        NOTICE,
        "expect closed",
    ]);
    plays(&["run answer", &answering, NOTICE, "expect done hungup", "expect hungup", "expect closed"]);
    // While prompted, or typing.
    let collecting = collects("0 4 1 5000 # '' '' switchhook_digits '' 5000", 1);
    let partial =
        complete_in("hangup", 4, &["variable_switchhook_digits: 12", "variable_read_result: failure"]);
    plays(&[
        "run collect max=4 timeout=5000",
        &collecting,
        &oks(4),
        &partial,
        "expect done hungup",
        "expect hungup",
    ]);
    plays(&[
        "run collect max=4 timeout=5000",
        &collecting,
        &hangup(),
        "expect done hungup",
        "expect hungup",
        &partial,
        NOTICE,
        "expect closed",
    ]);
    // While the web server thinks, and once only.
    plays(&[&hangup(), "expect hungup", &hangup(), LINGER, NOTICE, "expect closed"]);
    plays(&[LINGER, "expect hungup", "run answer", "expect done hungup", NOTICE, "expect closed"]);
    // While leaving: no reply has to come.
    plays(&[
        "run finish A='x'",
        &leaves(&[("set", "a=x")], 1),
        &hangup(),
        "expect hungup",
        "eof",
        "expect done",
        "expect closed",
    ]);
    plays(&[
        "run finish A='x'",
        &leaves(&[("set", "a=x")], 1),
        &oks(1),
        NOTICE,
        "expect hungup",
        "expect done",
        "expect closed",
    ]);
    // Before anything.
    plays_whole(&format!("{FIRST}\n{NOTICE}\nexpect closed\n"));
}

#[test]
fn a_connection_that_ends() {
    plays(&["eof", "expect closed"]);
    plays(&["run answer", &writes(&[("answer", "")], 1), "eof", "expect closed"]);
    plays(&[
        "> 'Content-Type: comm'",
        "eof",
        "expect note protocol_error the connection ended inside a packet",
        "expect closed",
    ]);
    plays(&[
        "run finish A='x'",
        &leaves(&[("set", "a=x")], 1),
        &oks(1),
        "eof",
        "expect note protocol_error the PBX did not take the last 1 messages of the answer",
        "expect done",
        "expect closed",
    ]);
    plays_whole(&format!(
        "{FIRST}\neof\nexpect note protocol_error the connection ended before the channel's data came\nexpect closed\n"
    ));
    plays_whole(&format!(
        "{FIRST}\n> 'Event-'\neof\nexpect note protocol_error the connection ended inside a packet\nexpect closed\n"
    ));
}

#[test]
fn a_pbx_that_says_nothing() {
    let late = |detail: &str| format!("expect note protocol_error {detail}");
    plays_whole(&format!(
        "{FIRST}\npass\n{}\nexpect closed\n",
        late("the PBX did not say what it knows of the channel")
    ));
    plays(&["pass", &late("nothing was asked of the PBX for too long"), "expect closed"]);
    let end = late("the PBX did not end an application in time");
    plays(&["run answer", &writes(&[("answer", "")], 1), &oks(1), "pass", &end, "expect closed"]);
    plays(&[
        "run play x",
        &writes(&[("playback", "%[playback_terminators=none]x")], 1),
        "pass",
        &end,
        "expect closed",
    ]);
    plays(&[
        "run collect max=4 timeout=5000",
        &collects("0 4 1 5000 # '' '' switchhook_digits '' 5000", 1),
        "pass",
        &end,
        "expect closed",
    ]);
    plays(&[
        "run finish A='x'",
        &leaves(&[("set", "a=x")], 1),
        "pass",
        &late("the PBX did not take the answer in time"),
        "expect closed",
    ]);
}

#[test]
fn a_packet_out_of_step_ends_the_session() {
    for (packet, detail) in [
        (oks(1), "the PBX replied although nothing was asked"),
        (
            says("Content-Type: api/response\nContent-Length: 4\n\n1234"),
            "the PBX said what it says on other connections",
        ),
        (says("Content-Type: auth/request\n\n"), "the PBX said what it says on other connections"),
        (says("Content-Length: -1\n\n"), "the Content-Length of a packet is not one number"),
        (
            says("Content-Length: 99999999999999999999\n\n"),
            "the Content-Length of a packet is more than 1048576",
        ),
        (says("HTTP/1.1 200 OK\n\n"), "a packet has a line that is not `Name: value`"),
        (says("\n\n"), "a packet has a line that is not `Name: value`"),
        (says("Content-Type: text/event-plain\n\n"), "a packet has a line that is not `Name: value`"),
    ] {
        plays(&[&packet, &format!("expect note protocol_error {detail}"), "expect closed"]);
    }
    // The channel's data can come as the first thing alone.
    for first in [replies(&["+OK"]), replies(&["-ERR command not found"]), event("CHANNEL_DATA", &[])] {
        let rest = if first.contains("event-plain") {
            ""
        } else {
            "expect note protocol_error the reply to `connect` is not the channel's data\nexpect closed\n"
        };
        plays_whole(&format!("{FIRST}\n{first}{rest}"));
    }
    // What we do not know is passed over.
    plays(&[
        &says("Content-Type: log/data\nContent-Length: 3\n\nx\n\n"),
        "run answer",
        &writes(&[("answer", "")], 1),
    ]);
}

#[test]
fn a_session_never_prints_a_code() {
    let now = Instant::now();
    let mut session = OutboundSession::new(now);
    session.handle_bytes(now, channel(&[("variable_switchhook_digits", "4711")]).as_bytes());
    session.handle_bytes(
        now,
        b"Content-Length: 90\nContent-Type: text/event-plain\n\nvariable_switchhook_digits: 4711\n",
    );
    assert!(!format!("{session:?}").contains("4711"));
    while let output @ (SessionOutput::Write(_) | SessionOutput::Opened(_)) = session.poll_output() {
        assert!(!shown(&output).contains("4711"));
    }
}
