//! Subscriptions and PBXs in the file, and what is said of wrong ones.

use std::fs;
use std::time::Duration;

use switchhook::config::{self, parse_stored};
use switchhook::terms::{Direction, Disposition, EventKind, Method, Order, Subscription};

use crate::config::{drawn, env, right};

#[test]
fn keys_of_a_subscription() {
    let cases = [
        "",
        "events = []",
        "events = \"ringing\"",
        "events = [\"ringing\", \"ringin\", \"cdr\", \"cdr\", \"hangup\"]",
        "events = [\"cdr\"]\ndirections = [\"inward\"]",
        "events = [\"cdr\"]\nmethod = \"POST\"\nbody = '{\"a\": {code}, \"b\": \"{evnt}\", \"c\": \"{var.}\"}'\ncontent_type = \"application/json\"",
        "events = [\"cdr\"]\nmethod = \"POST\"\nbody = '{\"a\": {callername}}'\ncontent_type = \"application/json\"",
        "events = [\"cdr\"]\nmethod = \"POST\"\nbody = \"{event}\"",
        "events = [\"cdr\"]\nbody = \"{event}\"\ncontent_type = \"text/plain\"",
        "events = [\"cdr\"]\ncontent_type = \"text/plain\"",
        "events = [\"cdr\"]\nrestrict = { number = [\"201\"], people = \"anna\" }",
        "events = [\"cdr\"]\nrestrict = { dispositions = [\"noanswer\", \"missed\"] }",
        "events = [\"cdr\"]\nexpires = { ringin = \"30s\", cdr = \"31d\", call = 5 }",
        "events = [\"cdr\"]\nschedule = [\"5s\", \"0s\", 5]",
        "events = [\"cdr\"]\nsecret = [\"hunter2\"]",
        "events = [\"cdr\"]\nsecret = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\", \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\", \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]",
        "events = [\"cdr\"]\nretries = 5\nsecrets = [\"hunter2\"]",
    ];
    let wrap = |case: &str| format!("[subscription.x]\nurl = \"https://a.example/\"\n{case}\n");
    insta::assert_snapshot!("keys_of_a_subscription", drawn(&cases, wrap));
    insta::assert_snapshot!(
        "url_of_a_subscription",
        drawn(&["http://a/{caller}", "http://{pbx}/", "a.example"], |url| format!(
            "[subscription.x]\nurl = \"{url}\"\nevents = [\"cdr\"]\n"
        ))
    );
}

#[test]
fn keys_of_a_link() {
    let cases = [
        "[asterisk.main]\n",
        "[asterisk.main]\nami = \"5038\"\nusername = \"\"\nsecret = \"${LINES}\"\n",
        "[asterisk]\nami = \"127.0.0.1:5038\"\nsecret = \"hunter2\"\n",
        "[asterisk.main]\nami = \"127.0.0.1:70000\"\nsecret = \"hunter2\"\nsecret_file = \"x\"\ntrunk = []\n",
        "[asterisk.main]\nsecret = \"hunter2\"\n[freeswitch.main]\npassword = \"hunter2\"\n",
        "[freeswitch.main]\npassword = \"hunter2\"\nuser = \"anna\"\nesl = \"\"\ntrunks = \"sofia/*\"\n",
        "[subscriptions]\nenabled = 0\n",
        "[subscription]\nurl = \"http://a/\"\n",
    ];
    let drawn = drawn(&cases, str::to_owned);
    assert!(!drawn.contains("hunter2"), "{drawn}");
    insta::assert_snapshot!("keys_of_a_link", drawn);
}

#[test]
fn links_and_subscriptions_as_they_are_read() {
    let text = r#"
[asterisk.main]
ami = "pbx.example.com:5038"
secret = "${KEY}"
trunks = ["PJSIP/t-*"]
[freeswitch.fs]
esl = "[::1]:8021"
password = "x"
[subscriptions]
enabled = false
[subscription.crm]
events = ["ringing", "cdr"]
directions = ["out"]
url = "http://a.example/"
order = "none"
expires = { ringing = "30s" }
schedule = []
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
restrict = { numbers = ["1"], extensions = ["2"], dispositions = ["no_answer", "busy"] }
"#;
    let config = right(text);
    let ami = &config.asterisk[0];
    assert_eq!((ami.name.as_str(), ami.address.as_str()), ("main", "pbx.example.com:5038"));
    assert_eq!((ami.username.as_str(), ami.secret.reveal()), ("switchhook", "hunter2"));
    assert_eq!(ami.trunks, ["PJSIP/t-*"]);
    let esl = &config.freeswitch[0];
    assert_eq!((esl.address.as_str(), &esl.user, esl.password.reveal()), ("[::1]:8021", &None, "x"));
    assert!(!config.subscriptions_enabled);
    let crm = config.subscriptions["crm"].subscription();
    assert_eq!(crm.events, [EventKind::Ringing, EventKind::Cdr]);
    assert_eq!(crm.directions.as_deref(), Some(&[Direction::Out][..]));
    assert_eq!((crm.method, crm.order), (Method::Get, Order::None));
    assert_eq!(crm.expires_after(EventKind::Ringing), Some(Duration::from_secs(30)));
    assert_eq!(crm.expires_after(EventKind::Cdr), None);
    assert!(crm.schedule.is_empty());
    assert_eq!(crm.secrets.len(), 1);
    assert_eq!(
        (&*crm.restrict.numbers, &*crm.restrict.extensions),
        (&["1".to_owned()][..], &["2".to_owned()][..])
    );
    assert_eq!(crm.restrict.dispositions, [Disposition::NoAnswer, Disposition::Busy]);
    let plain = right("[subscription.crm]\nevents = [\"user\"]\nurl = \"http://a.example/\"\n");
    let crm = plain.subscriptions["crm"].subscription();
    assert!(plain.subscriptions_enabled && crm.enabled && plain.warnings.is_empty());
    assert_eq!(crm.schedule, Subscription::SCHEDULE);
}

#[test]
fn two_keys_can_be_in_a_file_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nwhsec_c3VjaCBhIGtleSBtdXN0IGhhdmUgMjQgYnl0ZXM=\n";
    fs::write(folder.path().join("keys"), keys).expect("a file");
    let text = "[subscription.x]\nurl = \"http://a/\"\nevents = [\"cdr\"]\nsecret_file = \"keys\"\n";
    let config = config::parse("config.toml", folder.path(), text.as_bytes(), &env).expect("right");
    let secrets = &config.subscriptions["x"].subscription().secrets;
    assert_eq!(secrets.iter().map(|s| s.reveal()).collect::<Vec<_>>(), keys.lines().collect::<Vec<_>>());
}

#[test]
fn what_is_odd_about_subscriptions_and_links() {
    let alone = "[subscription.x]\nurl = \"http://a/\"\nevents = [\"cdr\", \"user\"]\n";
    let config = right(alone);
    assert_eq!(config.warnings.len(), 1);
    let config = right(
        r#"[asterisk.a]
secret = "x"

[asterisk.b]
secret = "x"
trunks = ["trunk-*", "PJSIP/trunk", "*trunk*"]

[subscription.x]
url = "http://a/"
events = ["cdr"]
restrict = { people = ["anna"] }
expires = { ringing = "30s" }

[subscription.y]
url = "http://a/"
events = ["user"]
restrict = { numbers = ["201"] }

[subscription.z]
url = "http://a/"
events = ["ringing"]
restrict = { dispositions = ["busy"] }
"#,
    );
    let mut drawn: Vec<String> = config.warnings.iter().map(|w| w.draw(false)).collect();
    drawn.push(right(alone).warnings[0].draw(false));
    insta::assert_snapshot!("warnings_of_subscriptions", drawn.join("\n\n"));
}

#[test]
fn a_definition_for_the_store_names_no_secret_of_the_daemon_and_nothing_else() {
    let cases = [
        "",
        "[subscription.crm]\nevents = [\"ringing\"]\nurl = \"http://a.test/${CRM_TOKEN}\"\n",
        "[subscription.crm]\nevents = [\"ringing\"]\nurl = \"http://a.test/\"\nsecret_file = \"/etc/shadow\"\n",
        "[subscription.crm]\nevents = [\"ringing\"]\nurl = \"http://a.test/\"\nheaders = { X-Key = \"****\" }\n",
        "[webhook.vip]\nurl = \"http://hunter2/\"\n[subscription.crm]\nevents = []\nurl = \"ftp://a.test/\"\n",
    ];
    let drawn = |text: &&str| match parse_stored("stdin", text.as_bytes(), true) {
        Ok(stored) => panic!("this is right: {stored:?}"),
        Err(problems) => problems.draw(false),
    };
    let drawn: Vec<String> = cases.iter().map(drawn).collect();
    assert!(!drawn.concat().contains("hunter2"));
    insta::assert_snapshot!("definitions_for_the_store", drawn.join("\n\n----------\n"));
}

#[test]
fn a_stored_subscription_is_shown_without_what_may_be_a_secret() {
    let text = r#"
# Comments are not kept.
[subscription.crm]
events = ["ringing"]
method = "POST"
url = "http://a.test/{callfrom}"
secret = ["whsec_c3VjaCBhIGtleSBtdXN0IGhhdmUgMjQgYnl0ZXM=", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
headers = { authorization = "Bearer hunter2", X-From = "{callfrom}" }
restrict.numbers = ["0201234567"]
"#;
    let stored = parse_stored("stdin", text.as_bytes(), true).unwrap_or_else(|e| panic!("{e}"));
    let crm = &stored.subscriptions["crm"];
    let shown = crm.shown();
    assert!(!shown.contains("hunter2") && !shown.contains("whsec_"), "{shown}");
    insta::assert_snapshot!("a_stored_subscription", shown);
    // What is kept reads as what was written; what is shown cannot be put back by mistake.
    let again = parse_stored("store", crm.body.as_bytes(), true).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(again.subscriptions["crm"].body, crm.body);
    assert_eq!(parse_stored("stdin", shown.as_bytes(), true).expect_err("it is masked").iter().count(), 2);
}
