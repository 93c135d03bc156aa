//! `switchhook check` as a program: what it prints, and its exit codes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn check(args: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_switchhook"))
        .args(args)
        .current_dir(folder)
        .env("CRM_TOKEN", "hunter2")
        .env_remove("STATE_DIRECTORY")
        .output()
        .expect("the program");
    (status.code(), String::from_utf8(stdout).expect("text"), String::from_utf8(stderr).expect("text"))
}

#[test]
fn a_right_file_is_summed_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = r#"[fastagi]
[webhook.vip]
description = "VIP code for the support line"
url = "https://crm.example.com/route?code={code}&token=${CRM_TOKEN}"
fallback_url = "https://backup.example.com/?code={code}"
[webhook.vip.ivr]
min_digits = 4
start_prompt = "custom/enter-your-code.wav"
[webhook.hours]
enabled = false
method = "POST"
url = "http://192.168.1.20:8000/open"
secret = "whsec_c3VjaCBhIGtleSBtdXN0IGhhdmUgMjQgYnl0ZXM="
timeout = "1500ms"
"#;
    fs::write(folder.path().join("config.toml"), text).expect("a file");
    let (code, stdout, stderr) = check(&["check", "--config", "config.toml"], folder.path());
    assert_eq!(code, Some(0), "{stderr}");
    insta::assert_snapshot!("summary", stdout);
    insta::assert_snapshot!("summary_warnings", stderr);
}

#[test]
fn whoever_is_followed_and_told_is_summed_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = r#"[asterisk.main]
secret = "${CRM_TOKEN}"
trunks = ["PJSIP/trunk-*"]
[freeswitch.fs]
password = "${CRM_TOKEN}"
trunks = ["sofia/external/*"]
[admin]
[subscriptions]
enabled = false
[subscription.crm]
description = "Tell the CRM about calls"
events = ["ringing", "connected", "disconnected"]
directions = ["in", "out"]
url = "http://crm.example.com/{calluniqueid}?level={var.CRM_LEVEL}&token=${CRM_TOKEN}"
secret = ["whsec_c3VjaCBhIGtleSBtdXN0IGhhdmUgMjQgYnl0ZXM=", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
[subscription.audit]
enabled = false
method = "POST"
events = ["user"]
url = "http://192.168.1.20:8000/changes"
"#;
    fs::write(folder.path().join("config.toml"), text).expect("a file");
    let (code, stdout, stderr) = check(&["check", "--config", "config.toml"], folder.path());
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(!stdout.contains("hunter2"), "{stdout}");
    insta::assert_snapshot!("summary_events", stdout);
}

#[test]
fn exit_codes() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("bad.toml"), "[fastagi]\nlisten = 1\n").expect("a file");
    for (args, wanted, said) in [
        (&["check", "--config", "bad.toml"][..], 78, "bad.toml: 1 problem"),
        (&["check", "--config", "nothing.toml"], 78, "--config FILE"),
        (&["check", "--cofnig", "bad.toml"], 64, "Usage"),
        (&["chekc"], 64, "check"),
        (&[], 64, "Usage"),
        (&["--help"], 0, ""),
        (&["--version"], 0, ""),
    ] {
        let (code, _, stderr) = check(args, folder.path());
        assert_eq!(code, Some(wanted), "{args:?}\n{stderr}");
        assert!(stderr.contains(said), "{args:?}\n{stderr}");
        assert!(!stderr.contains('\u{1b}'), "colour, although this is no terminal");
    }
}
