//! `switchhook call` as a program: what it prints for people and for programs, and its exit codes.

use serde_json::{Value, json};

use crate::program::{Site, normalised, run};

const CONFIG: &str = r#"
[webhook.vip]
url = "http://crm.test/route?code={code}&callerid={callerid}&did={did}"
variables = { callername = "CRM_NAME" }
[webhook.vip.ivr]
start_prompt = "custom/enter"
error_prompt = "custom/wrong"
timeout_prompt = "custom/nothing"
max_digits = 4
attempts = 2
[webhook.vip.caller_name]
mode = "webhook"

[webhook.called]
url = "http://crm.test/route"
caller_id = "called"

[webhook.hidden]
url = "http://crm.test/route"
caller_id = "suppressed"

[webhook.menu]
url = "http://crm.test/destination/{code}"
[webhook.menu.ivr]
secret = false
max_digits = 1

[webhook.broken]
url = "http://crm.test/status/500"
"#;

const KEYS: [&str; 11] = [
    "result",
    "reason",
    "status",
    "http_status",
    "destination",
    "callername",
    "caller_number",
    "presentation",
    "variables",
    "attempts",
    "steps",
];

#[test]
fn a_call_comes_out_as_it_would_through_a_pbx() {
    let site = Site::new(CONFIG);
    let caller = ["--callerid", "0612345678", "--callername", "Alice"];
    let alice = json!({ "callername": "Alice", "caller_number": "0612345678", "presentation": "allowed" });
    let jansen = json!({ "callername": "Jansen & Zn", "caller_number": "0612345678" });
    let nobody = json!({ "callername": "", "caller_number": "", "presentation": "prohibited" });
    let right = json!({ "result": "SUCCESS", "reason": "ok", "status": "ACK", "http_status": 200, "destination": "215" });
    let failed = |reason| json!({ "result": "FAILED", "reason": reason, "destination": "" });
    let cases: [(&str, &[&str], i32, &[Value]); 9] = [
        ("vip", &["--code", "1234"], 0, &[right.clone(), jansen.clone(), json!({ "attempts": 1 })]),
        ("vip", &["--code", "99#", "--code", "1234"], 0, &[right.clone(), jansen, json!({ "attempts": 2 })]),
        (
            "vip",
            &["--code", "9", "--code", "98"],
            1,
            &[failed("nak"), json!({ "attempts": 2 }), alice.clone()],
        ),
        ("vip", &[], 1, &[failed("no_input"), json!({ "http_status": null, "status": "" }), alice.clone()]),
        ("called", &["--did", "300"], 0, &[right.clone(), json!({ "caller_number": "300", "attempts": 0 })]),
        ("hidden", &[], 0, &[right, nobody.clone()]),
        ("menu", &["--code", "5"], 0, &[json!({ "destination": "5", "callername": "Alice" })]),
        ("broken", &[], 1, &[failed("http_status"), json!({ "http_status": 500 }), alice]),
        ("broken", &["--withheld"], 1, &[nobody]),
    ];
    // FreeSWITCH itself shows who withholds name and number: only `Privacy: id` says so.
    let withheld =
        &[json!({ "callername": "Alice", "caller_number": "0612345678", "presentation": "prohibited" })];
    let on_both =
        ["asterisk", "freeswitch"].into_iter().flat_map(|pbx| cases.iter().map(move |case| (pbx, case)));
    for (pbx, (name, args, code, wanted)) in on_both {
        let (name, code) = (*name, *code);
        let wanted = if pbx == "freeswitch" && args == &["--withheld"] { &withheld[..] } else { *wanted };
        let args = [&["call", name, "--config", "config.toml", "--json"], &caller[..], *args].concat();
        let args = [&args[..], &["--pbx", pbx]].concat();
        let variable = |name: &str| match pbx {
            "freeswitch" => name.to_ascii_lowercase(),
            _ => name.to_owned(),
        };
        let said = run(&mut site.command(&args));
        assert_eq!((said.code, said.stderr.as_str()), (Some(code), ""), "{args:?}");
        let report: Value = serde_json::from_str(&said.stdout).expect("one object");
        let keys: Vec<&str> = report.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(keys, KEYS, "{args:?}");
        for (key, value) in wanted.iter().filter_map(Value::as_object).flatten() {
            assert_eq!(&report[key], value, "{args:?}: {key}\n{}", said.stdout);
        }
        assert_eq!(report["variables"][variable("WEBHOOK_RESULT")], report["result"], "{args:?}");
        if name == "vip" {
            assert_eq!(report["variables"][variable("CRM_NAME")] == "Jansen & Zn", code == 0, "{args:?}");
        }
        let times: Vec<u64> = report["steps"].as_array().expect("steps").iter().map(at).collect();
        assert!(times.len() > 3 && times.is_sorted(), "{args:?}: {times:?}");
    }
}

fn at(step: &Value) -> u64 {
    step["at_us"].as_u64().expect("a time")
}

#[test]
fn a_call_is_explained() {
    let site = Site::new(CONFIG);
    let args =
        ["call", "vip", "--config", "config.toml", "--did", "0502102544", "--code", "99", "--code", "1234"];
    let said = run(&mut site.command(&args));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    insta::assert_snapshot!("explained", normalised(&said.stdout));
    let said = run(&mut site.command(&[&args[..], &["--pbx", "freeswitch"]].concat()));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    insta::assert_snapshot!("explained_freeswitch", normalised(&said.stdout));
}

/// A line feed in a name writes lines of its own into what Asterisk says.
#[test]
fn a_call_that_is_no_call_is_told_as_the_dialplan_sees_it() {
    let site = Site::new(CONFIG);
    let args = ["call", "vip", "--config", "config.toml", "--callername", "x\nagi_dnid: 900", "--json"];
    let said = run(&mut site.command(&args));
    let report: Value = serde_json::from_str(&said.stdout).expect("one object");
    assert_eq!(
        (said.code, &report["reason"], &report["steps"]),
        (Some(1), &json!("unreachable"), &json!([]))
    );
    assert!(said.stderr.contains("a line feed in a caller's name"), "{}", said.stderr);
}

#[test]
fn exit_codes() {
    let site = Site::new(CONFIG);
    std::fs::write(site.folder.path().join("bad.toml"), "[webhook.vip]\n").expect("a file");
    for (args, code, tells) in [
        (&["call"][..], 64, "<NAME>"),
        (&["call", "vpi", "--config", "config.toml"], 64, "it has: broken, called, hidden, menu, vip"),
        (&["call", "vip", "--config", "config.toml", "--code", "12e4"], 64, "0-9 * # A-D"),
        (&["call", "vip", "--config", "config.toml", "--pbx", "yate"], 64, "asterisk, freeswitch"),
        (&["call", "vip", "--config", "bad.toml"], 78, "url"),
        (&["call", "vip", "--config", "nothing.toml"], 78, "no such file"),
    ] {
        let said = run(&mut site.command(args));
        assert_eq!(said.code, Some(code), "{args:?}\n{}", said.stderr);
        assert!(said.stderr.contains(tells) && !said.stderr.contains("12e4"), "{args:?}\n{}", said.stderr);
    }
}
