//! Who calls: what the web server is told, and what the callee sees.

use super::{NAMED, NO, OUTSIDE, ROW, Row, SAYS, WHO};
use crate::calls::pbx::Caller;

pub(super) const ROWS: &[Row] = &[
    // ---- what the web server is told ----
    Row { name: "who", ..WHO },
    Row {
        name: "who-overridden",
        caller: |c| Caller {
            overrides: vec![("did", "31205550123"), ("callerid", "0612345678"), ("callername", "Bob, Ltd")],
            ..c
        },
        asked: &["GET /say?from=0612345678&name=Bob%2C%20Ltd&did=31205550123"],
        ..WHO
    },
    Row {
        name: "who-withheld",
        caller: |c| Caller { withheld: true, ..c },
        callee: "Anonymous <anonymous>, Alice Example <1001>",
        asked: &["GET /say?from=&name=&did=100"],
        ..WHO
    },
    Row {
        name: "who-anonymous",
        caller: |c| Caller { number: "anonymous", name: "Anonymous", ..c },
        callee: "Anonymous <anonymous>",
        asked: &["GET /say?from=&name=&did=100"],
        ..WHO
    },
    Row {
        name: "who-dropped",
        hook: "drop_empty = true",
        caller: |c| Caller { withheld: true, ..c },
        callee: "Anonymous <anonymous>, Alice Example <1001>",
        asked: &["GET /say?did=100"],
        ..WHO
    },
    Row {
        name: "who-e164",
        hook: "number_format = \"e164\"",
        caller: |c| c.from("0612345678"),
        callee: "Alice Example <0612345678>",
        asked: &["GET /say?from=%2B31612345678&name=Alice%20Example&did=100"],
        ..WHO
    },
    // ---- caller name ----
    Row { name: "name-unused", ..NAMED },
    Row {
        name: "name-webhook",
        hook: "caller_name = { mode = \"webhook\" }",
        callee: "Zoë Müller & Söhne GmbH <1001>",
        ..NAMED
    },
    Row {
        name: "name-webhook-empty",
        says: "status=ACK&callername=",
        hook: "caller_name = { mode = \"webhook\" }",
        ..SAYS
    },
    Row {
        name: "name-prepend",
        hook: "caller_name = { mode = \"prepend\", text = \"VIP: \" }",
        callee: "VIP: Alice Example <1001>",
        ..ROW
    },
    Row { name: "name-prepend-once", hook: "caller_name = { mode = \"prepend\", text = \"Alice\" }", ..ROW },
    Row {
        name: "name-replace",
        hook: "caller_name = { mode = \"replace\", text = \"Desk {did}\" }",
        callee: "Desk 100 <1001>",
        ..ROW
    },
    Row {
        name: "name-kept-on-failure",
        url: "/nak",
        hook: "caller_name = { mode = \"replace\", text = \"VIP\" }",
        result: "FAILED nak NAK 200",
        asked: &["GET /nak"],
        ..NO
    },
    Row {
        name: "name-beside-nak",
        says: "status=NAK&callername=Nobody",
        hook: "caller_name = { mode = \"webhook\" }",
        result: "FAILED nak NAK 200",
        ..SAYS
    },
    Row {
        name: "name-prepend-outside",
        caller: |c| Caller { path: "callername/prepend".to_owned(), text: "Sales, Ltd: ", ..c },
        callee: "Sales, Ltd: Alice Example <1001>",
        ..OUTSIDE
    },
    Row {
        name: "name-prepend-outside-once",
        caller: |c| Caller { path: "callername/prepend".to_owned(), text: "Alice", ..c },
        ..OUTSIDE
    },
    Row {
        name: "name-replace-outside",
        caller: |c| Caller { path: "callername/replace".to_owned(), text: "Zoë \"<Z>\", ${X}", ..c },
        callee: "Zoë Z, {X} <1001>",
        ..OUTSIDE
    },
    // ---- caller number ----
    Row { name: "number-called", hook: "caller_id = \"called\"", callee: "Alice Example <100>", ..ROW },
    Row {
        name: "number-called-withheld",
        hook: "caller_id = \"called\"",
        caller: |c| Caller { withheld: true, ..c },
        callee: " <100>",
        ..ROW
    },
    Row {
        name: "number-suppressed",
        hook: "caller_id = \"suppressed\"",
        callee: "Anonymous <anonymous>",
        ..ROW
    },
    Row {
        name: "number-suppressed-withheld",
        hook: "caller_id = \"suppressed\"",
        caller: |c| Caller { withheld: true, ..c },
        callee: "Anonymous <anonymous>",
        ..ROW
    },
    Row {
        name: "number-suppressed-named",
        hook: "caller_id = \"suppressed\"\ncaller_name = { mode = \"webhook\" }",
        callee: "Anonymous <anonymous>",
        ..NAMED
    },
    Row {
        name: "number-suppressed-failed",
        url: "/nak",
        hook: "caller_id = \"suppressed\"",
        result: "FAILED nak NAK 200",
        callee: "Anonymous <anonymous>",
        asked: &["GET /nak"],
        ..NO
    },
];
