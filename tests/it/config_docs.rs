//! The example and the documentation say what the table of keys says.
//!
//! `WRITE_DOCS=1 cargo test config_docs` writes the tables of `docs/configuration.md` anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use switchhook::config::table::{Absent, SECTIONS};
use switchhook::config::{self, Config};
use switchhook::metrics::METRICS;
use switchhook::terms::{Place, Variable};
use toml::Value;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn env(name: &str) -> Option<String> {
    match name {
        "CRM_TOKEN" => Some("t0ken".to_owned()),
        "AMI_SECRET" | "ESL_PASSWORD" => Some("hunter2".to_owned()),
        "CHAT_URL" => Some("https://chat.example.com/hook/t0ken".to_owned()),
        "OLD_CRM_SECRET" => Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
        "CRM_SECRET" => Some("whsec_c3VjaCBhIGtleSBtdXN0IGhhdmUgMjQgYnl0ZXM=".to_owned()),
        _ => None,
    }
}

fn parse(text: &str) -> Config {
    config::parse("config.example.toml", Path::new("."), text.as_bytes(), &env)
        .unwrap_or_else(|e| panic!("{e}"))
}

/// The example with everything switched on.
fn switched_on() -> String {
    let text = fs::read_to_string(file("config.example.toml")).expect("the example");
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(on).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_as_it_is_opens_the_listener_and_nothing_else() {
    let config = config::read(&file("config.example.toml"), &|_| None).unwrap_or_else(|e| panic!("{e}"));
    let fastagi = config.fastagi.expect("a listener");
    assert_eq!(fastagi.listen.to_string(), "127.0.0.1:4573");
    assert_eq!(fastagi.max_calls, 10_000);
    assert_eq!(config.store.path, Path::new("./switchhook.db"));
    assert!(config.webhooks.is_empty() && config.warnings.is_empty());
    assert!(config.subscriptions.is_empty() && config.asterisk.is_empty());
}

#[test]
fn the_example_switched_on_is_right() {
    let config = parse(&switched_on());
    assert_eq!(config.webhooks.len(), 3);
    let names: Vec<&str> = config.subscriptions.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["audit", "chat", "crm"]);
    assert_eq!((config.asterisk.len(), config.freeswitch.len()), (1, 1));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn the_example_has_every_key_with_its_default_and_a_line_of_why() {
    let text = switched_on();
    let one_line = text.replace("\n# ", " ");
    let document: Value = toml::from_str(&text).expect("TOML");
    let mut seen = 0;
    for section in SECTIONS {
        assert!(
            one_line.contains(section.help),
            "the example does not say of [{}]: {}",
            section.path,
            section.help
        );
        for key in section.keys {
            seen += 1;
            let values = values(&document, section.path, key.name);
            if let Absent::Default(default) = key.absent {
                let default: Value = toml::from_str(&format!("x = {default}")).expect("TOML");
                let there = values.iter().any(|v| *v == &default["x"]);
                assert!(there, "[{}] {} is {values:?}, not its default", section.path, key.name);
            } else if key.name != "lockout" {
                assert!(!values.is_empty(), "[{}] {} is not in the example", section.path, key.name);
            }
            let why = key.name == "lockout" || key.name == "variables" || text.contains(key.help);
            assert!(why, "the example does not say why {}: {}", key.name, key.help);
        }
    }
    assert!(seen > 40, "only {seen} keys");
}

/// The values of a key in all sections of this path, where NAME is any name.
fn values<'a>(document: &'a Value, section: &str, key: &str) -> Vec<&'a Value> {
    let mut tables = vec![document];
    for step in section.split('.') {
        tables = match step {
            "NAME" => tables.iter().filter_map(|t| t.as_table()).flat_map(|t| t.values()).collect(),
            step => tables.iter().filter_map(|t| t.get(step)).collect(),
        };
    }
    tables.iter().filter_map(|t| t.get(key)).collect()
}

#[test]
fn what_is_absent_has_the_default_of_the_table() {
    // Every default written out reads as the file without it.
    let (mut written, mut short) = (String::new(), String::new());
    let optional = ["caller_name", "destination", "restrict"];
    for section in SECTIONS.iter().filter(|s| !optional.iter().any(|name| s.path.ends_with(name))) {
        // Two PBXs cannot have one name.
        let name = if section.path.starts_with("freeswitch") { "y" } else { "x" };
        let head = format!("[{}]\n", section.path.replace("NAME", name));
        written.push_str(&head);
        short.push_str(if section.path.ends_with("lockout") { "" } else { &head });
        for key in section.keys {
            match key.absent {
                Absent::Default(default) => writeln!(written, "{} = {default}", key.name).expect("a string"),
                Absent::Error(like) => {
                    let line = format!("{} = {like}\n", key.name);
                    written.push_str(&line);
                    short.push_str(&line);
                }
                Absent::Means(_) => {}
            }
        }
    }
    let plain = |config: Config| format!("{:?}", Config { warnings: Vec::new(), ..config });
    assert_eq!(plain(parse(&written)), plain(parse(&short)));
}

#[test]
fn the_documentation_has_every_key() {
    let path = file("docs/configuration.md");
    let text = fs::read_to_string(&path).expect("docs/configuration.md");
    let mut wanted = between(&text, "<!-- variables -->\n", &variables());
    wanted = between(&wanted, "<!-- keys -->\n", &keys());
    if std::env::var_os("WRITE_DOCS").is_some() {
        fs::write(&path, &wanted).expect("writing the documentation");
    }
    assert!(
        wanted == text,
        "docs/configuration.md is not what the table of keys says: WRITE_DOCS=1 cargo test config_docs"
    );
}

#[test]
fn the_documentation_has_every_variable_of_an_event() {
    let path = file("docs/events.md");
    let text = fs::read_to_string(&path).expect("docs/events.md");
    let wanted = between(&text, "<!-- variables -->\n", &variables_of_events());
    if std::env::var_os("WRITE_DOCS").is_some() {
        fs::write(&path, &wanted).expect("writing the documentation");
    }
    assert!(
        wanted == text,
        "docs/events.md is not what the program knows: WRITE_DOCS=1 cargo test config_docs"
    );
}

#[test]
fn the_documentation_has_every_metric() {
    let path = file("docs/metrics.md");
    let text = fs::read_to_string(&path).expect("docs/metrics.md");
    let wanted = between(&text, "<!-- metrics -->\n", &metrics());
    if std::env::var_os("WRITE_DOCS").is_some() {
        fs::write(&path, &wanted).expect("writing the documentation");
    }
    assert!(
        wanted == text,
        "docs/metrics.md is not what the table says: WRITE_DOCS=1 cargo test config_docs"
    );
}

fn metrics() -> String {
    let mut out = "\n| metric | kind | labels | |\n|---|---|---|---|\n".to_owned();
    let mut names = BTreeSet::new();
    for metric in METRICS {
        assert!(names.insert(metric.name), "{} is there twice", metric.name);
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind) = (metric.name, metric.kind.as_str());
        writeln!(out, "| `{name}` | {kind} | {} | {} |", labels.join(" "), metric.help).expect("a string");
    }
    out.push('\n');
    out
}

fn between(text: &str, begin: &str, new: &str) -> String {
    let start = text.find(begin).expect(begin) + begin.len();
    let end = start + text[start..].find("<!-- end -->").expect("an end");
    format!("{}{new}{}", &text[..start], &text[end..])
}

fn keys() -> String {
    let mut out = "\n".to_owned();
    let mut paths = BTreeSet::new();
    for section in SECTIONS {
        assert!(paths.insert(section.path), "{} is there twice", section.path);
        writeln!(out, "### `[{}]`\n\n{}\n", section.path, section.help).expect("a string");
        writeln!(out, "| key | value | default | |\n|---|---|---|---|").expect("a string");
        for key in section.keys {
            let absent = match key.absent {
                Absent::Default(default) => format!("`{default}`"),
                Absent::Means(words) => words.to_owned(),
                Absent::Error(_) => "must be there".to_owned(),
            };
            writeln!(out, "| `{}` | {} | {absent} | {} |", key.name, key.kind.words(), key.help)
                .expect("a string");
        }
        out.push('\n');
    }
    out
}

fn variables() -> String {
    let value = |variable: &Variable| match variable {
        Variable::Code => "the digits that the caller entered, without `#`",
        Variable::Did | Variable::CallTo => "the number that was called",
        Variable::CallerId | Variable::CallFrom => "the caller's number, empty when withheld",
        Variable::CallerName => "the caller's name",
        Variable::Call => "the id of this call's journal",
        Variable::CallUniqueId => "the PBX's id of the call",
        Variable::Extension => "the extension in the dialplan",
        Variable::Account => "the channel's account code",
        Variable::Timestamp => "when the request is made, ms since 1970",
        Variable::Start => "when the call entered the PBX, ms since 1970",
        other => panic!("no call has {other:?}"),
    };
    let mut out = "\n| variable | value |\n|---|---|\n".to_owned();
    for variable in Variable::known(Place::Request) {
        writeln!(out, "| `{{{}}}` | {} |", variable.name(), value(variable)).expect("a string");
    }
    out.push('\n');
    out
}

fn variables_of_events() -> String {
    let value = |variable: &Variable| match variable {
        Variable::Event => "the event's name",
        Variable::Did => "the number that was dialled first",
        Variable::CallerId => "the caller's number as it is presented, empty when withheld",
        Variable::CallerName => "the caller's name",
        Variable::Call => {
            "the journal's id, where Switchhook routed the call and the PBX tells its variable `WEBHOOK_CALL`"
        }
        Variable::CallUniqueId => "the call's id: the same in all its events",
        Variable::OtherCallUniqueId => "`transferred`: the consultation call",
        Variable::CallFrom => "who calls: the number, for `out` and `internal` the extension",
        Variable::CallTo => {
            "who is called: the number by which the phone was called that this is about; at the end the one that answered \
             last, else the number dialled first"
        }
        Variable::Status => "`0` rings, `1` rings outside, `2` connected, `3` ended; else empty",
        Variable::StatusDesc => {
            "`INCOMING_RINGING` `OUTGOING_RINGING` `CONNECTED` `TRANSFERRED` `DISCONNECTED`; else empty"
        }
        Variable::Direction => {
            "`in` `out` `internal`, by the first leg and your `trunks`; trunk to trunk is `in`"
        }
        Variable::Extension => "our own phone on the leg that this is about",
        Variable::Account => "the caller's account code",
        Variable::Timestamp => "when it happened",
        Variable::Start => "when the call began",
        Variable::Ringing => "when a phone first rang",
        Variable::Answer => "when the call was first answered",
        Variable::End => "when it ended",
        Variable::Duration => "seconds since the start",
        Variable::TalkTime => "seconds since the answer",
        Variable::Disposition => {
            "`answered` `no_answer` `busy` `rejected` `cancelled` `failed` `answered_elsewhere`, at the end"
        }
        Variable::Reason => "why it ended: `hangup` `transferred` `pickup` `vanished` `lost`",
        Variable::HangupCause => "the Q.850 number, at the end",
        Variable::Synthetic => {
            "`true`: not seen as it happened, but found out by comparing with the PBX; else `false`"
        }
        Variable::Seq => "1 for the call's first event, then one more for each",
        Variable::Pbx => "the PBX's name in your configuration",
        Variable::Queue => "the queue that the call waited in last",
        Variable::Recording => "the recording's file, where the PBX tells it",
        Variable::Actor => "`user`: who",
        Variable::Action => "`user`: `created` `changed` `deleted` `enabled` `paused` `replayed` `login`",
        Variable::Object => "`user`: what kind of thing, such as `subscription`",
        Variable::ObjectName => "`user`: the thing's name",
        other => panic!("no event has {other:?}"),
    };
    let mut out = "\n| variable | value |\n|---|---|\n".to_owned();
    for variable in Variable::known(Place::Event) {
        writeln!(out, "| `{{{}}}` | {} |", variable.name(), value(variable)).expect("a string");
    }
    writeln!(out, "| `{{var.NAME}}` | the PBX's variable `NAME` |\n").expect("a string");
    out
}
