//! What the web server answers, and what becomes of it.

use super::{NO, ROW, Row, SAYS};
use crate::calls::pbx::Caller;

pub(super) const ROWS: &[Row] = &[
    // ---- answers ----
    Row { name: "ack", ..ROW },
    Row { name: "ack-alone", says: "status=ACK", ..SAYS },
    Row { name: "ack-slowly", url: "/slow/100", asked: &["GET /slow/100"], ..ROW },
    Row { name: "ack-json", url: "/json", asked: &["GET /json"], ..ROW },
    Row {
        name: "ack-variables",
        says: "{\"status\":\"ack\",\"destination\":215,\"Ticket\":\"T-7\",\"vip\":true,\"rest\":[1]}",
        hook: "variables = { ticket = \"CRM_TICKET\", vip = \"CRM_VIP\", none = \"CRM_NONE\" }",
        sets: &[("WEBHOOK_DESTINATION", "215"), ("CRM_TICKET", "T-7"), ("CRM_VIP", "true"), ("CRM_NONE", "")],
        ..SAYS
    },
    Row {
        name: "variables-are-set-in-failure",
        says: "status=NAK&ticket=T-8",
        hook: "save_as = \"CRM_RESULT\"\nvariables = { ticket = \"CRM_TICKET\" }",
        result: "FAILED nak NAK 200",
        sets: &[("CRM_TICKET", "T-8"), ("CRM_RESULT", "status=NAK&ticket=T-8")],
        ..SAYS
    },
    Row {
        name: "variables-without-an-answer",
        url: "/status/500",
        hook: "save_as = \"CRM_RESULT\"\nvariables = { ticket = \"CRM_TICKET\" }",
        result: "FAILED http_status - 500",
        sets: &[("CRM_TICKET", ""), ("CRM_RESULT", "")],
        asked: &["GET /status/500"],
        ..NO
    },
    Row {
        name: "save-as",
        says: "open until 17:00, then $[1+1]",
        hook: "save_as = \"CRM_RESULT\"",
        result: "SUCCESS ok - 200",
        sets: &[("CRM_RESULT", "open until 17:00, then [1+1]")],
        ..SAYS
    },
    Row {
        name: "save-as-empty",
        url: "/empty",
        hook: "save_as = \"CRM_RESULT\"",
        result: "FAILED bad_answer - 200",
        sets: &[("CRM_RESULT", "")],
        asked: &["GET /empty"],
        ..NO
    },
    Row {
        name: "value-cleaned",
        says: "status=ACK&note=a\"b\\c%0D%0Ad${EXTEN}%00",
        hook: "variables = { note = \"NOTE\" }",
        sets: &[("NOTE", "abc  d{EXTEN}")],
        ..SAYS
    },
    Row { name: "nak", url: "/nak", result: "FAILED nak NAK 200", asked: &["GET /nak"], ..NO },
    Row { name: "err", url: "/err", result: "FAILED err ERR 200", asked: &["GET /err"], ..NO },
    Row { name: "empty", url: "/empty", result: "FAILED bad_answer - 200", asked: &["GET /empty"], ..NO },
    Row { name: "html", url: "/html", result: "FAILED bad_answer - 200", asked: &["GET /html"], ..NO },
    Row { name: "notice", url: "/notice", result: "FAILED bad_answer - 200", asked: &["GET /notice"], ..NO },
    Row {
        name: "not-found",
        url: "/nothing",
        result: "FAILED http_status - 404",
        asked: &["GET /nothing"],
        ..NO
    },
    Row {
        name: "server-error",
        url: "/status/500",
        result: "FAILED http_status - 500",
        asked: &["GET /status/500"],
        ..NO
    },
    Row { name: "half", url: "/half", result: "FAILED bad_answer - -", asked: &["GET /half"], ..NO },
    Row { name: "closed", url: "/close", result: "FAILED bad_answer - -", asked: &["GET /close"], ..NO },
    Row { name: "large", url: "/big", result: "FAILED bad_answer - 200", asked: &["GET /big"], ..NO },
    Row {
        name: "slow",
        url: "/slow/60000",
        hook: "timeout = \"1s\"",
        result: "FAILED timeout - -",
        asked: &["GET /slow/60000"],
        ..NO
    },
    Row { name: "moved", url: "/moved?a=1", asked: &["GET /moved?a=1", "GET /route?a=1"], ..ROW },
    Row {
        name: "login",
        url: "/redirect",
        result: "FAILED bad_answer - 200",
        asked: &["GET /redirect", "GET /html"],
        ..NO
    },
    Row { name: "down", url: "http://127.0.0.1:1/", result: "FAILED connect - -", asked: &[], ..NO },
    Row { name: "no-such-host", url: "http://crm.invalid/", result: "FAILED dns - -", asked: &[], ..NO },
    Row { name: "metadata", url: "http://169.254.169.254/", result: "FAILED blocked - -", asked: &[], ..NO },
    Row {
        name: "fallback-server-error",
        url: "/status/503",
        hook: "fallback_url = \"@web@/route\"",
        asked: &["GET /status/503", "GET /route"],
        ..ROW
    },
    Row {
        name: "fallback-too-slow",
        url: "/slow/60000",
        hook: "timeout = \"2s\"\nfallback_url = \"@web@/route\"",
        asked: &["GET /slow/60000", "GET /route"],
        ..ROW
    },
    Row {
        name: "fallback-bad-too",
        url: "/html",
        hook: "fallback_url = \"@web@/status/500\"",
        result: "FAILED http_status - 500",
        asked: &["GET /html", "GET /status/500"],
        ..NO
    },
    Row {
        name: "fallback-not-after-nak",
        url: "/nak",
        hook: "fallback_url = \"@web@/route\"",
        result: "FAILED nak NAK 200",
        asked: &["GET /nak"],
        ..NO
    },
    Row {
        name: "fallback-not-after-404",
        url: "/nothing",
        hook: "fallback_url = \"@web@/route\"",
        result: "FAILED http_status - 404",
        asked: &["GET /nothing"],
        ..NO
    },
    Row { name: "disabled", hook: "enabled = false", result: "FAILED disabled - -", asked: &[], ..NO },
    Row {
        name: "unknown-webhook",
        caller: |c| Caller { path: "webhook/no-such".to_owned(), ..c },
        result: "FAILED unknown_webhook - -",
        asked: &[],
        ..NO
    },
    Row {
        name: "unknown-path",
        caller: |c| Caller { path: "vip".to_owned(), ..c },
        result: "FAILED unknown_webhook - -",
        asked: &[],
        ..NO
    },
    // ---- destinations ----
    Row {
        name: "destination-injected",
        says: "status=ACK&destination=500%26PJSIP/x",
        result: "FAILED destination_refused ACK 200",
        ..SAYS
    },
    Row {
        name: "destination-as-written",
        says: "status=ACK&destination=tel:+31 (0)20-123 45.67",
        sets: &[("WEBHOOK_DESTINATION", "+31201234567")],
        ..SAYS
    },
    Row {
        name: "destination-narrowed",
        says: "status=ACK&destination=1000",
        hook: "destination = { allow = [\"[0-9]{3}\"] }",
        result: "FAILED destination_refused ACK 200",
        ..SAYS
    },
    Row {
        name: "destination-widened",
        says: "status=ACK&destination=*72",
        hook: "destination = { allow = [\"[*][0-9]{2}\"] }",
        sets: &[("WEBHOOK_DESTINATION", "*72")],
        ..SAYS
    },
    Row {
        name: "destination-star",
        says: "status=ACK&destination=*72",
        result: "FAILED destination_refused ACK 200",
        ..SAYS
    },
];
