//! README.md says what is so.

use std::fs;
use std::path::Path;

use regex::Regex;
use switchhook::config;

use crate::program::normalised;

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a file")
}

/// The blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let pattern = Regex::new(&format!("(?s)```{language}\n(.*?)```")).expect("a pattern");
    let found: Vec<String> = pattern.captures_iter(&file("README.md")).map(|c| c[1].to_owned()).collect();
    assert!(!found.is_empty(), "no block of {language}");
    found
}

#[test]
fn its_dialplan_waits_as_long_as_its_configuration_needs() {
    let toml = &blocks("toml")[0];
    let config = config::parse("README.md", Path::new("."), toml.as_bytes(), &|_| None);
    let config = config.unwrap_or_else(|problems| panic!("{}", problems.draw(false)));
    assert!(config.warnings.is_empty());
    let seconds = config.webhooks["vip"].webhook().guard_time().as_secs();
    assert!(
        blocks("ini")[0].contains(&format!("Gosub(switchhook-webhook,s,1(vip,,{seconds}))")),
        "{seconds}"
    );
}

#[test]
fn its_configurations_are_right() {
    let all = blocks("toml").concat();
    let secret = |_: &str| Some("https://chat.example.com/hook".to_owned());
    let config = config::parse("README.md", Path::new("."), all.as_bytes(), &secret);
    let config = config.unwrap_or_else(|problems| panic!("{}", problems.draw(false)));
    let warnings: Vec<String> = config.warnings.iter().map(|warning| warning.draw(false)).collect();
    assert!(warnings.is_empty(), "{}", warnings.join("\n"));
    assert_eq!((config.subscriptions.len(), config.asterisk.len()), (2, 1));
}

#[test]
fn its_demonstration_is_the_real_one() {
    let real = file("tests/it/snapshots/it__cli_demo__demo.snap");
    for block in blocks("text") {
        let shown = normalised(&block);
        assert!(real.contains(shown.trim_end()), "not what the demonstration prints:\n{shown}");
    }
}

#[test]
fn its_links_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)]+)\)").expect("a pattern");
    let text = file("README.md");
    let links: Vec<&str> = link.captures_iter(&text).map(|c| c.extract::<1>().1[0]).collect();
    assert!(links.len() > 5, "{links:?}");
    for link in links.iter().filter(|link| !link.starts_with("https://")) {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "{link}");
    }
}
