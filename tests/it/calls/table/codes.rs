//! Callers who type, or do not, or hang up.

use super::{CODE, NO, Row, WRONG};
use crate::calls::pbx::Caller;

pub(super) const ROWS: &[Row] = &[
    // ---- codes ----
    Row { name: "code-right", ..CODE },
    Row { name: "code-full", ivr: "max_digits = 4\nstart_prompt = \"enter\"", keys: &["1234"], ..CODE },
    Row { name: "code-time-over", keys: &["1234"], ..CODE },
    Row { name: "code-answered-already", caller: |c| Caller { answered: true, ..c }, ..CODE },
    Row { name: "code-unanswered", ivr: "answer = false\nstart_prompt = \"enter\"", answered: false, ..CODE },
    Row { name: "code-no-prompts", ivr: "attempts = 2", hears: &[], ..CODE },
    Row { name: "code-barge-in", keys: &[">1234#"], ..CODE },
    Row { name: "code-other-gap", ivr: "digit_timeout = \"1s\"\nstart_prompt = \"enter\"", ..CODE },
    Row {
        name: "code-wrong-then-right",
        keys: &["9999#", "1234#"],
        asked: &["GET /route?code=9999", "GET /route?code=1234"],
        hears: &["enter", "wrong", "enter"],
        ..CODE
    },
    Row {
        name: "code-prompt-once",
        ivr: "repeat_start_prompt = false\nstart_prompt = \"enter\"\nerror_prompt = \"wrong\"",
        keys: &["9999#", "1234#"],
        asked: &["GET /route?code=9999", "GET /route?code=1234"],
        hears: &["enter", "wrong"],
        ..CODE
    },
    Row {
        name: "code-wrong-to-the-end",
        keys: &["9999#", "0000#"],
        result: "FAILED nak NAK 200",
        asked: &["GET /route?code=9999", "GET /route?code=0000"],
        hears: &["enter", "wrong", "enter", "wrong"],
        ..WRONG
    },
    Row {
        name: "code-none",
        keys: &[],
        result: "FAILED no_input - -",
        hears: &["enter", "silent", "enter", "silent"],
        ..WRONG
    },
    Row { name: "code-none-then-right", keys: &["", "1234#"], hears: &["enter", "silent", "enter"], ..CODE },
    Row {
        name: "code-wrong-then-none",
        keys: &["9999#"],
        result: "FAILED no_input - -",
        asked: &["GET /route?code=9999"],
        hears: &["enter", "wrong", "enter", "silent"],
        ..WRONG
    },
    Row { name: "code-hash-alone", keys: &["#", "#"], hears: &["enter", "wrong", "enter", "wrong"], ..WRONG },
    Row {
        name: "code-too-short",
        ivr: "min_digits = 4\nattempts = 2\nstart_prompt = \"enter\"\nerror_prompt = \"wrong\"",
        keys: &["12#", "123"],
        hears: &["enter", "wrong", "enter", "wrong"],
        ..WRONG
    },
    Row {
        name: "code-pattern",
        ivr: "pattern = \"1[0-9]+\"\nattempts = 2\nstart_prompt = \"enter\"\nerror_prompt = \"wrong\"",
        keys: &["9999#", "1234#"],
        hears: &["enter", "wrong", "enter"],
        ..CODE
    },
    Row {
        name: "code-leading-zeros",
        says: "status=ACK",
        ivr: "max_digits = 12\nstart_prompt = \"enter\"",
        keys: &["001234567890"],
        sets: &[],
        asked: &["GET /say?code=001234567890"],
        ..CODE
    },
    Row {
        name: "code-star",
        says: "status=ACK",
        keys: &["*12*4#"],
        sets: &[],
        asked: &["GET /say?code=%2A12%2A4"],
        ..CODE
    },
    Row {
        name: "code-shown",
        says: "status=ACK&destination=215",
        ivr: "secret = false\nmin_digits = 1\nmax_digits = 1\nstart_prompt = \"enter\"",
        keys: &["7"],
        sets: &[("WEBHOOK_DESTINATION", "215"), ("WEBHOOK_CODE", "7")],
        asked: &["GET /say?code=7"],
        ..CODE
    },
    Row {
        name: "code-shown-none",
        ivr: "secret = false\nmin_digits = 1\nmax_digits = 1\nattempts = 1",
        keys: &[],
        result: "FAILED no_input - -",
        sets: &[("WEBHOOK_CODE", "")],
        hears: &[],
        ..WRONG
    },
    Row {
        name: "code-key-in-error-prompt",
        keys: &["9999#", ">1234#"],
        asked: &["GET /route?code=9999", "GET /route?code=1234"],
        hears: &["enter", "wrong"],
        ..CODE
    },
    Row {
        name: "code-hash-in-error-prompt",
        keys: &["9999#", ">#"],
        asked: &["GET /route?code=9999"],
        hears: &["enter", "wrong", "wrong"],
        ..WRONG
    },
    Row {
        name: "code-key-after-the-last",
        ivr: "attempts = 1\nerror_prompt = \"wrong\"",
        keys: &["9999#", ">1234#"],
        result: "FAILED nak NAK 200",
        asked: &["GET /route?code=9999"],
        hears: &["wrong"],
        ..WRONG
    },
    Row { name: "code-prompt-missing", ivr: "start_prompt = \"no-such-sound\"", hears: &[], ..CODE },
    Row {
        name: "code-error-prompt-missing",
        ivr: "attempts = 2\nstart_prompt = \"enter\"\nerror_prompt = \"no-such-sound\"",
        keys: &["9999#", "1234#"],
        asked: &["GET /route?code=9999", "GET /route?code=1234"],
        hears: &["enter", "enter"],
        ..CODE
    },
    Row {
        name: "code-all-prompts-missing",
        ivr: "attempts = 2\nstart_prompt = \"no-such\"\nerror_prompt = \"none-either\"",
        keys: &["9999#", "0000#"],
        result: "FAILED nak NAK 200",
        asked: &["GET /route?code=9999", "GET /route?code=0000"],
        hears: &[],
        ..WRONG
    },
    Row {
        name: "code-err",
        url: "/err?code={code}",
        result: "FAILED err ERR 200",
        asked: &["GET /err?code=1234"],
        ..WRONG
    },
    Row {
        name: "code-401",
        url: "/status/401?code={code}",
        result: "FAILED http_status - 401",
        asked: &["GET /status/401?code=1234"],
        ..WRONG
    },
    Row {
        name: "code-post",
        hook: "method = \"POST\"",
        url: "/route",
        asked: &["POST /route code=1234 did=100 callerid=1001 callername=Alice Example"],
        ..CODE
    },
    Row {
        name: "code-form",
        hook: "method = \"POST\"\nbody = \"form\"",
        url: "/route",
        asked: &["POST /route code=1234 did=100 callerid=1001 callername=Alice Example"],
        ..CODE
    },
    // ---- the caller hangs up ----
    Row { name: "hangup-in-prompt", keys: &[">!"], result: "FAILED hangup - -", hung_up: true, ..WRONG },
    Row { name: "hangup-typing", keys: &["12!"], result: "FAILED hangup - -", hung_up: true, ..WRONG },
    Row {
        name: "hangup-in-error-prompt",
        keys: &["9999#", ">!"],
        result: "FAILED hangup - -",
        asked: &["GET /route?code=9999"],
        hears: &["enter", "wrong"],
        hung_up: true,
        ..WRONG
    },
    Row {
        name: "hangup-web-thinks",
        url: "/slow/60000",
        hook: "timeout = \"10s\"",
        result: "FAILED hangup - -",
        asked: &["GET /slow/60000"],
        hangs_up_when_asked: true,
        hung_up: true,
        ..NO
    },
];
