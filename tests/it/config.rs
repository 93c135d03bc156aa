//! Files that are wrong, and what is said of them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use switchhook::config::{self, Config, Problems};
use switchhook::terms::{Body, Webhook};
use switchhook::webhook::Plan;

pub(crate) fn env(name: &str) -> Option<String> {
    let value = match name {
        "HOST" => "crm.example.com",
        "BRACES" => "{code}",
        "KEY" => "hunter2",
        "LINES" => "hunter2\n",
        "CALLS" => "50",
        "TIME" => "3s",
        "GROUP" => "hunter2(",
        _ => return None,
    };
    Some(value.to_owned())
}

fn parse(text: &str) -> Result<Config, Problems> {
    config::parse("config.toml", Path::new("."), text.as_bytes(), &env)
}

pub(crate) fn right(text: &str) -> Config {
    parse(text).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

fn plan(text: &str) -> Arc<Plan> {
    right(text).webhooks.into_values().next().expect("a webhook")
}

fn webhook(text: &str) -> Arc<Webhook> {
    plan(text).webhook().clone()
}

/// The text of a case behind `[webhook.x]` and a URL.
fn in_webhook(text: &str) -> String {
    format!("[webhook.x]\nurl = \"https://a.example/\"\n{text}\n")
}

/// What is drawn for each of the cases, one after the other. A case without a mistake is a failure.
pub(crate) fn drawn(cases: &[&str], wrap: impl Fn(&str) -> String) -> String {
    let draw = |case: &&str| match parse(&wrap(case)) {
        Ok(_) => panic!("no mistake was found in: {case}"),
        Err(problems) => format!("{}\n", problems.draw(false)),
    };
    cases.iter().map(draw).collect::<Vec<_>>().join("\n----------\n")
}

#[test]
fn one_file_with_twelve_mistakes_shows_all_twelve() {
    let text = r#"[fastagi]
listen = "localhost:4573"
max_cals = 500

[store]
retention = 90

[webhook.vip]
url = "https://crm.example.com/route?code={code}&from={caller}"
timeout = "20s"
retries = true
caller_id = "hidden"
save_as = "WEBHOOK_RESULT"

[webhook.vip.ivr]
pattern = "[0-9"
min_digits = 9
start_prompt = 5

[webhook.sales]
url = "http://{did}.example.com/"
"#;
    let problems = parse(text).expect_err("twelve mistakes");
    assert_eq!(problems.iter().count(), 12);
    insta::assert_snapshot!("twelve_mistakes", problems.draw(false));
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines[3],
        "config.toml:9:56: unknown variable {caller}; known: code did callerid callername call calluniqueid callfrom callto extension account timestamp start"
    );
}

#[test]
fn sections() {
    let cases = [
        "[admin]\nlisten = \"8088\"\nallow = []\n",
        "[webhok.x]\nurl = \"http://a/\"\n",
        "listen = \"127.0.0.1:4573\"\n",
        "fastagi = true\n",
        "[[fastagi]]\nlisten = \"127.0.0.1:4573\"\n",
        "[webhook]\nurl = \"http://a/\"\n",
        "webhook = 1",
        "[webhook.\"Größe\"]\nurl = \"http://a/\"\n",
        "[webhook.x]\n",
        "[webhook.x.ivr]\nattempts = 2\n",
        "[webhook.x]\nurl = \"http://a/\"\nivr = true\n",
        "[webhook.x]\nurl = \"http://a/\"\ntimeout_prompt = \"a\"\nmin_digit = 2\nsound = \"x\"\n",
        "[fastagi]\nallow = [\"10.0.0.1/8\", \"x\", 5]\n",
        "[fastagi]\nallow = \"10.0.0.0/8\"\n",
        "[fastagi]\nallow = []\nmax_calls = 0\n",
        "[fastagi]\nmax_calls = 1_000_000\nlisten = 4573\n",
        "[store]\nurl = \"postgres://me:hunter2@db/switchhook\"\nretention = \"3 months\"\n",
        "[store]\nurl = \"/var/lib/switchhook.db\"\nretention = \"10m\"\n",
        "[numbers]\ncountry = \"+31\"\ntrunk_prefix = 0\n",
        "[egress]\ndeny = [\"10.0.0.0/33\"]\n",
    ];
    insta::assert_snapshot!("sections", drawn(&cases, str::to_owned));
}

#[test]
fn keys_of_a_webhook() {
    let cases = [
        "enabled = \"yes\"",
        "method = \"PUT\"",
        "timeout = 2\nretries = 6",
        "timeout = \"2 s\"",
        "headers = { \"X Y\" = \"a\", Host = \"b\", x-a = \"c\", X-A = \"d\", X-B = \"a\\nb\", X-C = 5, X-D = \"{nam}\" }",
        "headers = \"Authorization: Bearer s3cret\"",
        "headers = { X-A = \"${LINES}\" }",
        "body = \"form\"",
        "method = \"POST\"\nbody = \"{\\\"n\\\": \\\"{callerid}\\\"}\"",
        "method = \"POST\"\nbody = \"{did\"\ncontent_type = \"json\"",
        "method = \"POST\"\nbody = \"\"\"\n{\n  \"n\": {callerid},\n  \"d\": \"{did}\"\n}\"\"\"\ncontent_type = \"application/json\"",
        "method = \"POST\"\nbody = '{\"n\": \"{ did }\", \"c\": \"{Code}\"}'\ncontent_type = \"application/json\"",
        "method = \"POST\"\nbody = '{\"n\": \"{did}\",}'\ncontent_type = \"application/json\"",
        "content_type = \"text/plain\"",
        "save_as = \"crm-result\"",
        "save_as = \"CRM\"\nvariables = { a = \"SIP_X\", b = \"CRM\", c = \"C\", C = \"D\", d = \"C\", \"\" = \"E\", f = 1 }",
        "cache = \"5m\"\n[webhook.x.ivr]",
        "[webhook.x.caller_name]\nmode = \"prepend\"",
        "[webhook.x.caller_name]\ntext = \"Sales\"",
        "[webhook.x.caller_name]\nmode = \"replace\"\ntext = \"{code} {x}\"\n[webhook.x.ivr]",
        "[webhook.x.caller_name]\nmode = \"add\"\ntext = \"Sales\"",
        "[webhook.x.destination]\nallow = []",
        "[webhook.x.destination]\nallow = [\"[0-9]{3}\", \"\\\\+31(\", '\\d{2}x{5,2}', \"a{1000}{1000}{1000}\"]",
    ];
    insta::assert_snapshot!("keys_of_a_webhook", drawn(&cases, in_webhook));
}

#[test]
fn keys_of_an_ivr() {
    let cases = [
        "min_digits = 5\nmax_digits = 4",
        "max_digits = 129\nattempts = 0",
        "timeout = \"500ms\"\ndigit_timeout = \"2m\"",
        "secret = false\nlockout = { failures = 5 }",
        "lockout = true",
        "lockout = { failure = 5, window = \"1s\", anonymous = 0 }",
        "start_prompt = \"a&b\"\nerror_prompt = \"a\\\"b\"",
        "start_prompt = { asterisk = \"custom/x\" }",
        "start_prompt = { asterisk = \"custom/x\", freeswitch = \"ivr/x.wav\", other = \"x\" }",
    ];
    insta::assert_snapshot!(
        "keys_of_an_ivr",
        drawn(&cases, |case| in_webhook(&format!("[webhook.x.ivr]\n{case}")))
    );
}

#[test]
fn urls() {
    let cases = [
        r#""crm.example.com/route""#,
        r#""ftp://crm.example.com/""#,
        r#""https:///route""#,
        r#""https://crm.example.com:99999/""#,
        r#""https://me:hunter2@crm.example.com/""#,
        r#""https://crm.{did}.example.com/""#,
        r#""{did}""#,
        r#""https://crm.example.com{did}/""#,
        r#""https://crm.example.com:{did}""#,
        r#""https://crm.example.com/?a={caller}&b={callerid|last:x|e164}&c={Code}&d={ did }&e=}""#,
        r##""https://crm.example.com/#{did}""##,
        r#""https://crm.example.com/a b""#,
        r#""https://crm.example.com/\u00e9\t{caler}""#,
        r#"'https://crm.example.com/é{caler}'"#,
        "\"\"\"\nhttps://crm.example.com/?\\\n    code={cod}\"\"\"",
        r#""https://crm.example.com/?k=${NOPE}&l=${}&m=${also nope}""#,
        r#""https://${NOPE}/""#,
        r#""https://${LINES}/""#,
        r#""ftp://${KEY}/?c={caler}""#,
        "5",
    ];
    insta::assert_snapshot!("urls", drawn(&cases, |case| format!("[webhook.x]\nurl = {case}\n")));
}

#[test]
fn syntax() {
    let cases = [
        "[fastagi]\nlisten = 127.0.0.1:4573\n",
        "[webhook.x]\nurl = \"https://a/\ntimeout = 2s\nfoo\n",
        "[fastagi]\nmax_calls = 1\nmax_calls = 2\n",
        "[fastagi]\n[store]\n[fastagi]\n",
        "[webhook.x.destination]\nallow = [\"\\+31\"]\n",
        "[webhook.x\nurl = \"a\"\n",
        "[fastagi]\r\nallow = [\"10.0.0.0/8\"\r\nmax_calls = 5\r\n",
        "[webhook.x]\nsecret = \"whsec_hunter2\nheaders = { Authorization = \"Bearer hunter2\"\n",
        "[webhook.x.headers]\nX-Api = \"hunter2\n",
        "[webhook.x]\nurl = 'https://me:hunter2@a/\n",
    ];
    let drawn = drawn(&cases, str::to_owned);
    assert!(!drawn.contains("hunter2"), "{drawn}");
    insta::assert_snapshot!("syntax", drawn);
}

#[test]
fn no_message_shows_a_secret() {
    for case in [
        "secret = \"hunter2\"",
        "secret = \"whsec_aHVudGVyMg==\"",
        "secret = [\"hunter2\"]",
        "secret = \"${KEY}\"",
        "secert = \"hunter2\"",
        "password = \"hunter2\"",
        "secret = \"hunter2\"\nsecret_file = \"crm.key\"",
        "headers = { Authorization = \"Bearer hunter2\", \"a b\" = \"x\" }",
        "headers = { Authorization = \"Bearer hunter2 {x}\" }",
        "headers = { Authorization = \"Bearer hunter2\\u0007\" }",
        "headers = { Authorization = \"Bearer ${LINES}\" }",
        "headers = { Authorization = [\"hunter2\"] }",
        "headers = \"Authorization: Bearer hunter2\"",
        "fallback_url = \"https://me:hunter2@a.example/{x}\"",
        "fallback_url = \"https://a b/?k=${KEY}\"",
        "fallback_url = \"${KEY}\"",
        "save_as = \"${KEY}\"",
        "timeout = \"${KEY}\"",
        "[webhook.x.ivr]\npattern = \"${GROUP}\"",
    ] {
        let problems = parse(&in_webhook(case)).expect_err(case);
        let shown = format!("{}\n{problems:?}", problems.draw(false)).to_lowercase();
        let shown = shown.replace("secret_file = \"crm.key\"", "");
        assert!(!shown.contains("hunter2") && !shown.contains("ahvudgvymg"), "{case}\n{shown}");
    }
}

#[test]
fn the_wrong_part_of_a_secret_is_shown() {
    let problems = parse(&in_webhook("headers = { Authorization = \"Bäärer hunter2 {caler} ${NOPE}\" }"));
    insta::assert_snapshot!("part_of_a_secret", problems.expect_err("two mistakes").draw(false));
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let read = |path: &Path| {
        let problems = config::read(path, &env).expect_err("no configuration").draw(false);
        problems.replace(&folder.path().display().to_string(), "/etc/switchhook")
    };
    let latin = folder.path().join("latin1.toml");
    fs::write(&latin, b"[webhook.x]\nsecret = \"hunter2\"\ndescription = \"Z\xfcrich\"\n").expect("a file");
    let drawn =
        [read(&folder.path().join("config.toml")), read(folder.path()), read(&latin)].join("\n----------\n");
    insta::assert_snapshot!("unreadable", drawn);
}

#[test]
fn a_secret_in_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = "whsec_c3VjaCBhIGtleSBtdXN0IGhhdmUgMjQgYnl0ZXM=";
    let path = folder.path().join("config.toml");
    fs::write(&path, in_webhook("secret_file = \"crm.key\"")).expect("a file");
    let read = || config::read(&path, &env);
    assert!(read().expect_err("no such file").to_string().contains("cannot be read"));
    for line_end in ["", "\n", "\r\n"] {
        fs::write(folder.path().join("crm.key"), format!("{key}{line_end}")).expect("a file");
        let config = read().unwrap_or_else(|e| panic!("{e}"));
        let secret = config.webhooks["x"].webhook().secret.as_ref().map(|s| s.reveal().to_owned());
        assert_eq!(secret.as_deref(), Some(key));
    }
    fs::write(folder.path().join("crm.key"), b"\xff").expect("a file");
    assert!(read().expect_err("no text").to_string().contains("something else than a text"));
}

#[test]
fn what_the_environment_gives_is_text() {
    let plan = plan(
        r#"[webhook.x]
url = "https://${HOST}/${BRACES}?k=${KEY}&c={callerid}"
timeout = "${TIME}"
headers = { X-Key = "${BRACES}" }
"#,
    );
    let webhook = plan.webhook();
    assert_eq!(webhook.url.as_str(), "https://${HOST}/${BRACES}?k=${KEY}&c={callerid}");
    assert_eq!(webhook.url.fixed_start().reveal(), "https://crm.example.com/{code}?k=hunter2&c=");
    assert_eq!(plan.origin().to_string(), "https://crm.example.com");
    assert!(!webhook.headers[0].1.uses(&switchhook::terms::Variable::Code));
    assert_eq!(webhook.timeout, Duration::from_secs(3));
    assert!(!format!("{webhook:?}").contains("hunter2"));
}

#[test]
fn what_a_file_says_is_what_comes_out() {
    let webhook = webhook(
        r#"[webhook.x]
method = "POST"
url = "https://a.example/"
body = '{"n": "{did}"}'
content_type = "application/json"
[webhook.x.ivr]
start_prompt = ""
error_prompt = { asterisk = "custom/x", freeswitch = "ivr/x.wav" }
lockout = { failures = 3 }
[webhook.x.variables]
Ticket = "CRM_TICKET"
"Zone" = "ZONE"
"#,
    );
    assert!(
        matches!(&webhook.body, Body::Template { content_type, .. } if content_type == "application/json")
    );
    let keys: Vec<&str> = webhook.variables.iter().map(|(k, _)| k.as_str()).collect();
    assert_eq!(keys, ["ticket", "zone"]);
    let ivr = webhook.ivr.as_ref().expect("an IVR");
    assert_eq!(ivr.start_prompt, None);
    assert_eq!(ivr.error_prompt.as_ref().map(|p| p.freeswitch.as_str()), Some("ivr/x.wav"));
    let lockout = ivr.lockout.expect("a lockout");
    assert_eq!((lockout.failures, lockout.anonymous, lockout.window.as_secs()), (3, 100, 1800));
    assert_eq!(webhook.guard_time().as_secs(), 3 * (30 + 5 * 9 + 2) + 5);
}

#[test]
fn warnings() {
    let config = right(
        r#"[fastagi]
listen = "0.0.0.0:4573"

[webhook.a]
url = "https://a.example/{code}"
fallback_url = "https://a.example/{code}"
cache = "1m"
method = "POST"

[webhook.b]
url = "http://a.example/"
[webhook.b.ivr]
digit_timeout = "2s"

[webhook.c]
url = "http://192.168.1.2/{code}"
[webhook.c.ivr]
start_prompt = "custom/x.wav"
"#,
    );
    let drawn: Vec<String> = config.warnings.iter().map(|w| w.draw(false)).collect();
    insta::assert_snapshot!("warnings", drawn.join("\n\n"));
    let open = right("[fastagi]\nlisten = \"[::]:4573\"\nallow = [\"0.0.0.0/0\"]\n");
    assert_eq!(open.warnings.len(), 1);
    assert!(open.warnings[0].message().contains("everybody"));
}

#[test]
fn the_store_is_where_it_is_said() {
    let path = |text: &str, state: Option<&str>| {
        let env = |name: &str| state.filter(|_| name == "STATE_DIRECTORY").map(str::to_owned);
        let config = config::parse("config.toml", Path::new("."), text.as_bytes(), &env);
        config.unwrap_or_else(|e| panic!("{e}")).store.path.display().to_string()
    };
    assert_eq!(path("", None), "./switchhook.db");
    assert_eq!(path("", Some("/var/lib/switchhook")), "/var/lib/switchhook/switchhook.db");
    assert_eq!(path("", Some("/var/lib/a:/var/lib/b")), "/var/lib/a/switchhook.db");
    let url = |url: &str| path(&format!("[store]\nurl = \"{url}\"\n"), Some("/var/lib/switchhook"));
    assert_eq!(url("sqlite:///srv/calls.db"), "/srv/calls.db");
    assert_eq!(url("sqlite://calls.db"), "calls.db");
}

#[test]
fn a_store_that_is_something_else_is_worth_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.db");
    let warnings = |path: &Path| {
        let config = right(&format!("[store]\nurl = \"sqlite://{}\"\n", path.display()));
        config.warnings.iter().map(|w| w.message().to_owned()).collect::<Vec<_>>()
    };
    assert!(warnings(&path).is_empty(), "a file that is not there yet");
    for (content, warned) in [
        (&b""[..], false),
        (b"SQLite format 3\0\x10\0 and so on", false),
        (b"SQLite format 3", true),
        (b"[fastagi]\n", true),
    ] {
        fs::write(&path, content).expect("a file");
        assert_eq!(!warnings(&path).is_empty(), warned, "{content:?}");
    }
    assert!(warnings(folder.path())[0].contains("folder"));
}

#[test]
fn what_needs_a_restart() {
    let old = right("[fastagi]\n");
    for (text, keys) in [
        ("[fastagi]\nmax_calls = 5\nallow = [\"10.0.0.0/8\"]\n[egress]\ndeny = [\"10.0.0.0/8\"]\n", &[][..]),
        ("[fastagi]\nlisten = \"127.0.0.1:4574\"\n", &["fastagi.listen"]),
        ("", &["fastagi.listen"]),
        (
            "[fastagi]\n[store]\nurl = \"sqlite://b.db\"\nretention = \"1d\"\n",
            &["store.url", "store.retention"],
        ),
    ] {
        assert_eq!(old.needs_restart(&right(text)), keys, "{text}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_make_it_fall_over(bytes: Vec<u8>) {
        if let Err(problems) = config::parse("config.toml", Path::new("."), &bytes, &env) {
            proptest::prop_assert!(!problems.draw(true).is_empty());
        }
    }

    #[test]
    fn no_values_make_it_fall_over(
        key in "url|headers|variables|secret|timeout|body|ivr.pattern|ivr.start_prompt|ivr.lockout|destination.allow|caller_name.text|x",
        value in r#"("[a-zé{}$|:/@\[\]()*+?0-9 .]{0,24}")|('''[a-z\n{}$\\]{0,9}''')|\["[0-9./(\[é]{0,9}", [0-9]{1,3}\]|\{ *[aA]-b = "[{$a}\\n]{0,5}" *\}|-?[0-9]{1,20}|true"#,
        more in r#"[a-z\[\]"=\n#é]{0,12}"#,
    ) {
        let text = format!("[webhook.x]\nurl = \"http://é/{{did}}\"\n{key} = {value}\n{more}");
        if let Err(problems) = parse(&text) {
            for problem in problems.iter() {
                let lines = text.matches('\n').count() + 1;
                proptest::prop_assert!(problem.position().is_none_or(|(line, _)| line <= lines));
            }
            proptest::prop_assert!(!problems.draw(true).is_empty());
        }
    }
}
