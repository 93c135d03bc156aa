//! Dependencies point one way: which module may name which.

use std::fs;
use std::path::Path;

/// Module, and the modules of ours that it may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("terms", &[]),
    ("call", &["terms"]),
    ("webhook", &["terms"]),
    ("guard", &["terms"]),
    ("track", &["terms"]),
    ("asterisk", &["call", "terms", "track"]),
    ("freeswitch", &["call", "terms", "track"]),
    ("config", &["call", "guard", "terms", "webhook"]),
    ("clock", &[]),
    ("store", &["call", "clock", "config", "guard", "terms", "track", "webhook"]),
    ("io", &["asterisk", "call", "clock", "config", "freeswitch", "guard", "terms", "track", "webhook"]),
    (
        "delivery",
        &[
            "asterisk",
            "call",
            "clock",
            "config",
            "freeswitch",
            "guard",
            "io",
            "store",
            "terms",
            "track",
            "webhook",
        ],
    ),
    ("metrics", &["terms"]),
    ("admin", &["clock", "delivery", "io", "metrics", "store", "terms"]),
    ("stage", &["asterisk", "call", "terms", "webhook"]),
    (
        "app",
        &[
            "admin", "asterisk", "call", "clock", "config", "delivery", "guard", "io", "metrics", "store",
            "terms", "track", "webhook",
        ],
    ),
];

#[test]
fn modules_name_only_what_is_below_them() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for (module, allowed) in MAY_NAME {
        for (file, text) in sources(&src, module) {
            seen += 1;
            for (at, named) in named_modules(&text) {
                let ok = named == *module || allowed.contains(&named.as_str());
                assert!(ok, "{file}:{at} names crate::{named}; {module} may name only {allowed:?}");
            }
        }
    }
    assert!(seen >= MAY_NAME.len(), "only {seen} source files were read");
}

fn sources(src: &Path, module: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![src.join(format!("{module}.rs")), src.join(module)];
    open.retain(|path| path.exists());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").map(|e| e.expect("an entry").path()));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push((path.display().to_string(), fs::read_to_string(&path).expect("a source file")));
        }
    }
    found
}

/// Line numbers and the names behind `crate::`, tests and comments left out.
fn named_modules(text: &str) -> Vec<(usize, String)> {
    let code = text.lines().take_while(|l| !l.starts_with("#[cfg(test)]"));
    let mut found = Vec::new();
    for (at, line) in code.enumerate().filter(|(_, l)| !l.trim_start().starts_with("//")) {
        for (i, _) in line.match_indices("crate::") {
            let name: String =
                line[i + 7..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if !name.is_empty() {
                found.push((at + 1, name));
            }
        }
    }
    found
}
