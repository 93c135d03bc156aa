//! The example and the documentation say what the table of keys says.
//!
//! `WRITE_DOCS=1 cargo test config_docs` writes the tables of `docs/configuration.md` anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use switchhook::config::table::{Absent, SECTIONS};
use switchhook::config::{self, Config};
use switchhook::terms::{Place, Variable};
use toml::Value;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn env(name: &str) -> Option<String> {
    match name {
        "CRM_TOKEN" => Some("t0ken".to_owned()),
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
}

#[test]
fn the_example_switched_on_is_right() {
    let config = parse(&switched_on());
    assert_eq!(config.webhooks.len(), 3);
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings.is_empty(), "{warnings:?}");
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
    let mut written = String::new();
    for section in
        SECTIONS.iter().filter(|s| !s.path.ends_with("caller_name") && !s.path.ends_with("destination"))
    {
        writeln!(written, "[{}]", section.path.replace("NAME", "x")).expect("a string");
        for key in section.keys {
            match key.absent {
                Absent::Default(default) => writeln!(written, "{} = {default}", key.name).expect("a string"),
                Absent::Error => writeln!(written, "{} = \"http://a/\"", key.name).expect("a string"),
                Absent::Means(_) => {}
            }
        }
    }
    let short = "[fastagi]\n[esl]\n[webhook.x]\nurl = \"http://a/\"\n[webhook.x.ivr]\n";
    let plain = |config: Config| format!("{:?}", Config { warnings: Vec::new(), ..config });
    assert_eq!(plain(parse(&written)), plain(parse(short)));
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
                Absent::Error => "must be there".to_owned(),
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
