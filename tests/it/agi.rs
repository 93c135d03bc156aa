//! FastAGI sessions: recorded conversations, and what a PBX can say that would break one.

use std::time::Instant;

use switchhook::asterisk::agi::AgiSession;
use switchhook::call::{Session, SessionOutput};

use crate::dialogue::{Cut, Dialogue, shown};

/// The environment of a call for the webhook `vip`, and that it was read.
const OPENED: &str = r"> 'agi_network: yes\nagi_network_script: webhook/vip\nagi_request: agi://127.0.0.1:4573/webhook/vip\nagi_channel: PJSIP/trunk-00000001\nagi_language: en\nagi_type: PJSIP\nagi_uniqueid: t1-1795319690.20\nagi_version: 22.10.1\nagi_callerid: 1001\nagi_calleridname: Alice Example\nagi_callingpres: 0\nagi_callingani2: 0\nagi_callington: 0\nagi_callingtns: 0\nagi_dnid: 700\nagi_rdnis: unknown\nagi_context: in\nagi_extension: 700\nagi_priority: 2\nagi_enhanced: 0.0\nagi_accountcode: \nagi_threadid: 140358395119296\n\n'
expect opened webhook/vip did='700' callerid='1001' callername='Alice Example'
";

/// The lines of [`OPENED`], as bytes.
pub(crate) fn environment() -> Vec<u8> {
    let quoted = OPENED.lines().next().expect("a line").trim_start_matches("> '").trim_end_matches('\'');
    quoted.replace("\\n", "\n").into_bytes()
}

/// Plays a dialogue as it is, cut at every byte, and byte by byte.
fn play(dialogue: &Dialogue) -> Result<(), String> {
    let cuts = (1..dialogue.pbx_bytes()).map(Cut::At);
    for cut in [Cut::Nowhere, Cut::Everywhere].into_iter().chain(cuts) {
        let now = Instant::now();
        dialogue.play(cut, &mut AgiSession::new(now), now)?;
    }
    Ok(())
}

/// Plays what happens after the environment.
#[track_caller]
pub(crate) fn plays(text: &str) {
    let text: String = text.lines().map(|l| format!("{}\n", l.trim_start())).collect();
    let dialogue = Dialogue::parse("here", &format!("{OPENED}{text}"));
    if let Err(difference) = play(&dialogue) {
        panic!("{difference}\n{text}");
    }
}

#[test]
fn recorded_conversations_however_they_are_cut() {
    let all = Dialogue::all("asterisk");
    assert!(all.len() >= 50, "only {} dialogues were read", all.len());
    let wrong: Vec<String> = all.iter().filter_map(|d| play(d).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_digits_are_an_empty_entry() {
    plays(
        r#"run collect max=4 timeout=3000 prompt=beep
        < 'GET DATA "beep" 3000 4\n'
        > '200 result= (timeout)\n'
        expect digits '' timeout"#,
    );
}

#[test]
fn digits_are_text() {
    for (reply, digits) in [
        ("0042", "'0042' terminator"),
        ("123456789012", "'123456789012' full"),
        ("12*", "'12*' terminator"),
        ("*", "'*' terminator"),
        ("", "'' terminator"),
        ("007 (timeout)", "'007' timeout"),
        ("99999999999A (timeout)", "'99999999999A' timeout"),
    ] {
        plays(&format!(
            r#"run collect max=12 timeout=3000
            < 'GET DATA "" 3000 12\n'
            > '200 result={reply}\n'
            expect digits {digits}"#
        ));
    }
}

#[test]
fn what_is_no_entry_ends_the_session() {
    for (reply, detail) in [
        ("12a", "the reply to GET DATA holds what is no digit"),
        ("12#", "the reply to GET DATA holds what is no digit"),
        ("12345", "GET DATA gave too many digits"),
        ("12 (speech)", "the reply to GET DATA is none"),
    ] {
        plays(&format!(
            r#"run collect max=4 timeout=3000
            < 'GET DATA "" 3000 4\n'
            > '200 result={reply}\n'
            expect note protocol_error {detail}
            expect closed"#
        ));
    }
}

/// A key that ends the error prompt is the first digit of the entry.
#[test]
fn a_key_in_the_lead_counts() {
    let stream = r#"< 'STREAM FILE "wrong" "0123456789*#"\n'"#;
    plays(&format!(
        r#"run collect max=4 timeout=3000 lead=wrong prompt=enter
        {stream}
        > '200 result=48 endpos=320\n'
        < 'GET DATA "" 3000 3\n'
        > '200 result=042\n'
        expect digits '0042' full
        run collect max=4 timeout=3000 gap=1000 lead=wrong prompt=enter
        {stream}
        > '200 result=42 endpos=320\n'
        < 'GET DATA "" 1000 3\n'
        > '200 result= (timeout)\n'
        expect digits '*' timeout
        run collect max=1 timeout=3000 lead=wrong prompt=enter
        {stream}
        > '200 result=57 endpos=320\n'
        expect digits '9' full
        run collect max=4 timeout=3000 lead=wrong prompt=enter
        {stream}
        > '200 result=35 endpos=320\n'
        expect digits '' terminator
        run collect max=4 timeout=3000 lead=wrong prompt=enter
        {stream}
        > '200 result=101 endpos=320\n'
        expect note protocol_error the reply to STREAM FILE is no key
        expect closed"#
    ));
}

/// `GET DATA` takes one file, so all but the last are played before it.
#[test]
fn several_sounds() {
    plays(
        r#"run collect max=4 timeout=3000 lead='a&b' prompt='c& d'
        < 'STREAM FILE "a" "0123456789*#"\n'
        > '200 result=0 endpos=3520\n'
        < 'STREAM FILE "b" "0123456789*#"\n'
        > '200 result=0 endpos=3520\n'
        < 'STREAM FILE "c" "0123456789*#"\n'
        > '200 result=0 endpos=3520\n'
        < 'GET DATA "d" 3000 4\n'
        > '200 result=1\n'
        expect digits '1' terminator
        run collect max=4 timeout=3000 lead=wrong
        < 'GET DATA "wrong" 3000 4\n'
        > '200 result=1\n'
        expect digits '1' terminator
        run play
        expect done"#,
    );
}

/// Another time between digits: the first one is taken alone.
#[test]
fn a_digit_timeout() {
    plays(
        r#"run collect max=8 timeout=5000 gap=1000 prompt=beep
        < 'GET DATA "beep" 5000 1\n'
        > '200 result=0\n'
        < 'GET DATA "" 1000 7\n'
        > '200 result=12\n'
        expect digits '012' terminator
        run collect max=8 timeout=5000 gap=1000 prompt=nosuch
        < 'GET DATA "nosuch" 5000 1\n'
        > '200 result=-1\n'
        < 'CHANNEL STATUS\n'
        > '200 result=6\n'
        expect note sound_missing 'nosuch'
        < 'GET DATA "" 5000 1\n'
        > '200 result= (timeout)\n'
        expect digits '' timeout
        run collect max=8 timeout=5000 gap=1000
        < 'GET DATA "" 5000 1\n'
        > '200 result=\n'
        expect digits '' terminator
        run collect max=1 timeout=5000 gap=1000
        < 'GET DATA "" 5000 1\n'
        > '200 result=7\n'
        expect digits '7' full
        run collect max=8 timeout=5000 gap=1000
        < 'GET DATA "" 5000 1\n'
        > '200 result=12\n'
        expect note protocol_error the reply to GET DATA is not one digit
        expect closed"#,
    );
}

#[test]
fn a_sound_that_cannot_be_named_is_missing() {
    plays(
        r#"run collect max=4 timeout=3000 prompt='a\nANSWER'
        expect note sound_missing 'a\nANSWER'
        < 'GET DATA "" 3000 4\n'
        > '200 result=-1\n'
        < 'CHANNEL STATUS\n'
        > '200 result=6\n'
        expect refused '200 result=-1'"#,
    );
}

#[test]
fn hangup_lines_anywhere_and_twice() {
    // Before the reply, and in one segment with it: nothing is lost.
    plays(
        r#"run collect max=4 timeout=3000
        < 'GET DATA "" 3000 4\n'
        > 'HANGUP\nHANGUP\n200 result=-1\nHANGUP\n'
        expect hungup
        expect done hungup
        run answer
        expect done hungup
        run finish CRM_RESULT='x'
        < last 'SET VARIABLE CRM_RESULT "x"\n'
        > 'HANGUP\n200 result=1\nHANGUP\n'
        expect done
        expect closed"#,
    );
    // Behind a reply that came in time: the entry counts.
    plays(
        r#"run collect max=4 timeout=3000
        < 'GET DATA "" 3000 4\n'
        > '200 result=1234\nHANGUP\n'
        expect digits '1234' full
        expect hungup
        > 'HANGUP\n'
        eof
        expect closed"#,
    );
    // Right behind the environment, and inside of a usage text.
    plays(
        r#"> 'HANGUP\n'
        expect hungup
        run finish CRM_RESULT='x'
        < last 'SET VARIABLE CRM_RESULT "x"\n'
        > '520-Invalid command syntax.  Proper usage follows:\nHANGUP\nSets a variable.\n520 End of proper usage.\n'
        eof
        expect note refused CRM_RESULT '520-Invalid command syntax.  Proper usage follows:'
        expect done
        expect closed"#,
    );
}

#[test]
fn a_dead_channel() {
    let dead = "511 Command Not Permitted on a dead channel or intercept routine";
    plays(&format!(
        r"run answer
        < 'ANSWER\n'
        > '{dead}\n'
        expect done hungup
        expect hungup"
    ));
    plays(&format!(
        r#"run play beep
        < 'STREAM FILE "beep" ""\n'
        > '200 result=-1 endpos=160\n'
        < 'CHANNEL STATUS\n'
        > '{dead}\n'
        expect done hungup
        expect hungup
        > 'HANGUP\n'"#
    ));
}

#[test]
fn refusals() {
    plays(
        r#"run answer
        < 'ANSWER\n'
        > '520-Invalid command syntax.  Proper usage follows:\n'
        > 'Answers channel if not already in answer state.\n200 result=0\n520 End of proper usage.\n'
        expect refused '520-Invalid command syntax.  Proper usage follows:'
        run answer
        < 'ANSWER\n'
        > '200 result=-1\n'
        < 'CHANNEL STATUS\n'
        > '200 result=4\n'
        expect refused '200 result=-1'
        run answer
        < 'ANSWER\n'
        run play beep
        expect refused 'not written: another command is running'
        > '510 Invalid or unknown command\n'
        expect refused '510 Invalid or unknown command'"#,
    );
}

#[test]
fn a_reply_out_of_step_ends_the_session() {
    // A late one, two for one command, and a line that is none.
    plays(
        r"> '200 result=0\n'
        expect note protocol_error the PBX replied although nothing was asked
        expect closed
        run finish CRM_RESULT='x'
        > '200 result=0\n'
        eof",
    );
    plays(
        r"run answer
        < 'ANSWER\n'
        > '200 result=0\n200 result=0\n'
        expect done
        expect note protocol_error the PBX replied although nothing was asked
        expect closed",
    );
    for line in ["", "200 OK", "result=1", "agi_dnid: 112", "hangup"] {
        plays(&format!(
            r"run answer
            < 'ANSWER\n'
            > '{line}\n'
            expect note protocol_error the PBX said something that is no reply
            expect closed"
        ));
    }
}

#[test]
fn the_answer_is_one_write_with_the_result_last() {
    plays(
        r#"run finish name='A "B" \\C' number='+31201234567' present CRM_NAME='${X}, é' CRM_RESULT='SUCCESS'
        < last 'SET VARIABLE CALLERID(name) "A B C"\nSET VARIABLE CALLERID(num) "+31201234567"\nSET VARIABLE CALLERID(pres) "allowed"\nSET VARIABLE CRM_NAME "{X}, \xc3\xa9"\nSET VARIABLE CRM_RESULT "SUCCESS"\n'
        > '200 result=1\n510 Invalid or unknown command\n200 result=1\n200 result=1\n'
        > '200 result=1\nHANGUP\n'
        expect note refused CALLERID(num) '510 Invalid or unknown command'
        expect done
        expect closed"#,
    );
    plays(
        r#"run finish suppress
        < last 'SET VARIABLE CALLERID(num) ""\nSET VARIABLE CALLERID(name) ""\nSET VARIABLE CALLERID(ANI-num) ""\nSET VARIABLE CALLERID(pres) "prohib"\n'
        > '200 result=1\n200 result=1\n200 result=1\n200 result=1\n'
        eof
        expect done
        expect closed"#,
    );
    plays(
        r"run finish
        < last ''
        eof
        expect done
        expect closed",
    );
}

/// The answer ends a command that plays or collects, which then has no reply; `ANSWER` has one. So the last replies
/// belong to the lines.
#[test]
fn the_answer_behind_a_running_command() {
    for before in ["", r"200 result=0\n", r"510 Invalid or unknown command\n"] {
        plays(&format!(
            r#"run answer
            < 'ANSWER\n'
            run finish CRM_A='a' CRM_RESULT='x'
            < last 'SET VARIABLE CRM_A "a"\nSET VARIABLE CRM_RESULT "x"\n'
            > '{before}200 result=1\n511 Dead\n'
            eof
            expect note refused CRM_RESULT '511 Dead'
            expect done
            expect closed"#
        ));
    }
    plays(
        r#"run answer
        < 'ANSWER\n'
        run finish CRM_RESULT='x'
        < last 'SET VARIABLE CRM_RESULT "x"\n'
        > '200 result=0\n200 result=1\n200 result=1\n'
        expect note protocol_error the PBX replied to more than was written
        expect closed"#,
    );
    plays(
        r#"run finish CRM_A='a' CRM_RESULT='x'
        < last 'SET VARIABLE CRM_A "a"\nSET VARIABLE CRM_RESULT "x"\n'
        > '200 result=1\n200 res'
        eof
        expect note protocol_error the PBX took 1 of 2 lines of the answer
        expect done
        expect closed"#,
    );
}

#[test]
fn a_connection_that_ends() {
    // Half a line is not a line, not even if it is a whole reply but for its line feed.
    plays(
        r#"run collect max=4 timeout=3000
        < 'GET DATA "" 3000 4\n'
        > '200 result=1234'
        eof
        expect note protocol_error the connection ended inside a line
        expect closed"#,
    );
    plays(
        r"run answer
        < 'ANSWER\n'
        eof
        expect closed
        eof
        run answer",
    );
    let environment = environment();
    for end in 0..environment.len() {
        let now = Instant::now();
        let mut session = AgiSession::new(now);
        session.handle_bytes(now, &environment[..end]);
        session.handle_eof(now);
        let said = outputs(&mut session);
        assert_eq!(
            said,
            ["note protocol_error the connection ended before the environment did", "closed"],
            "{end}"
        );
    }
}

/// Every state has a time, and what comes too late changes nothing.
#[test]
fn a_pbx_that_says_nothing() {
    for text in [
        "expect note protocol_error nothing was asked of the PBX for too long",
        r"run answer
        < 'ANSWER\n'
        pass
        expect note protocol_error the PBX did not reply in time",
        r#"run play beep
        < 'STREAM FILE "beep" ""\n'
        > '200 result=-1 endpos=0\n'
        < 'CHANNEL STATUS\n'
        pass
        expect note protocol_error the PBX did not reply in time"#,
        r#"run collect max=4 timeout=3000 prompt=beep
        < 'GET DATA "beep" 3000 4\n'
        > 'HANGUP\n'
        expect hungup
        pass
        expect note protocol_error the PBX did not reply in time"#,
        r#"run finish CRM_A='a' CRM_RESULT='x'
        < last 'SET VARIABLE CRM_A "a"\nSET VARIABLE CRM_RESULT "x"\n'
        > '200 result=1\n'
        pass
        expect note protocol_error the PBX did not take the answer in time"#,
    ] {
        let text = if text.starts_with("run") { text.to_owned() } else { format!("pass\n{text}") };
        plays(&format!("{text}\nexpect closed\n> '200 result=0\\n'\neof"));
    }
}

/// Everything that it has to say now.
pub(crate) fn outputs(session: &mut AgiSession) -> Vec<String> {
    let mut said = Vec::new();
    loop {
        let output = session.poll_output();
        let is_last = matches!(output, SessionOutput::Wait(_) | SessionOutput::Closed);
        said.push(shown(&output));
        if is_last {
            return said;
        }
    }
}
