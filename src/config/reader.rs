//! Takes keys out of the parsed file by the table of keys, and goes on after every mistake.

use std::cell::RefCell;
use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::problem::Found;
use super::table::{self, Absent, Key, Kind, Section};
use super::text::Text;
use super::{duration_text, parse_duration};
use crate::terms::Secret;

/// Looks up an environment variable.
pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The file, and what was found wrong with it so far.
pub(super) struct Reader<'a> {
    pub(super) source: &'a str,
    /// Environment variables. `None`: this is not the file but a definition for the store, which may name none, nor a
    /// file: whoever may write it is not whoever may see the daemon's secrets.
    env: Option<Env<'a>>,
    /// The file's folder: what `KEY_file` is relative to.
    pub(super) folder: &'a Path,
    /// What a section holds that is not in the file.
    pub(super) nothing: DeTable<'static>,
    found: RefCell<Vec<Found>>,
    secrets: RefCell<Vec<Range<usize>>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a str, env: Option<Env<'a>>, folder: &'a Path) -> Reader<'a> {
        let (found, secrets) = (RefCell::default(), RefCell::default());
        Reader { source, env, folder, nothing: DeTable::new(), found, secrets }
    }

    /// An environment variable.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.env.and_then(|env| env(name))
    }

    /// Whether this is a definition for the store.
    pub(super) fn is_stored(&self) -> bool {
        self.env.is_none()
    }

    pub(super) fn error(&self, span: Range<usize>, message: impl Into<String>) {
        self.push(Found { warning: false, span: Some(span), message: message.into(), help: None });
    }

    pub(super) fn error_help(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let help = Some(help.into());
        self.push(Found { warning: false, span: Some(span), message: message.into(), help });
    }

    pub(super) fn warn(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let help = Some(help.into());
        self.push(Found { warning: true, span: Some(span), message: message.into(), help });
    }

    pub(super) fn push(&self, found: Found) {
        self.found.borrow_mut().push(found);
    }

    /// Whatever problem is drawn: this part of the file is not shown.
    pub(super) fn mask(&self, span: Range<usize>) {
        self.secrets.borrow_mut().push(span);
    }

    /// As [`Reader::mask`], for a value: all texts in it, the quotes stay.
    pub(super) fn mask_value(&self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(entries) => entries.values().for_each(|v| self.mask_value(v)),
            DeValue::Array(items) => items.iter().for_each(|v| self.mask_value(v)),
            DeValue::String(_) => self.mask(value.span().start + 1..value.span().end.saturating_sub(1)),
            _ => {}
        }
    }

    /// What was found, in the file's order, and what must not be shown. Of a secret that part is shown which is itself
    /// wrong: a variable, a `${NAME}`.
    pub(super) fn into_found(self) -> (Vec<Found>, Vec<Range<usize>>) {
        let mut found = self.found.into_inner();
        found.sort_by_key(|f| f.span.as_ref().map_or((0, 0), |s| (s.start, s.end)));
        let mut masked = Vec::new();
        for secret in self.secrets.into_inner() {
            let mut at = secret.start;
            for span in found.iter().filter_map(|f| f.span.as_ref()) {
                let within = span.start >= at && span.end <= secret.end && span.start < span.end;
                let whole = *span == secret && !self.source[span.clone()].starts_with("${");
                if within && !whole {
                    masked.push(at..span.start);
                    at = span.end;
                }
            }
            masked.push(at..secret.end);
        }
        (found, masked)
    }

    /// A value that must be a text, with its `${NAME}` looked up. A name that is not set is reported.
    pub(super) fn text(&self, name: &str, value: &DeValue<'_>, span: Range<usize>) -> Option<Text> {
        self.template(name, value, span).filter(|text| text.complete)
    }

    /// As [`Reader::text`]; a text with a name that is not set comes too, for the other mistakes in it.
    pub(super) fn template(&self, name: &str, value: &DeValue<'_>, span: Range<usize>) -> Option<Text> {
        let Some(written) = value.as_str() else {
            self.wrong_kind(name, "a text in quotes", value, span);
            return None;
        };
        Some(self.look_up(name, Text::new(written, self.source, span)))
    }

    fn look_up(&self, name: &str, mut text: Text) -> Text {
        let mut inserted = Vec::new();
        let mut complete = true;
        for (range, reference) in text.references() {
            let value = reference.map(|r| (r, self.variable(r)));
            match value {
                _ if self.is_stored() => {
                    complete = false;
                    inserted.push((range.clone(), Secret::default()));
                    let help =
                        "the daemon's secrets belong to the file: write the value itself, or define it there";
                    self.error_help(text.at(range), "${ is not taken in a definition for the store", help);
                }
                Some((_, Some(value))) => inserted.push((range, Secret::new(value))),
                Some((variable, None)) => {
                    complete = false;
                    inserted.push((range.clone(), Secret::default()));
                    self.error_help(
                        text.at(range),
                        format!("the environment variable {variable} is not set; {name} needs it"),
                        "for a systemd service: Environment= or EnvironmentFile= in its unit",
                    );
                }
                None => {
                    complete = false;
                    inserted.push((range.clone(), Secret::default()));
                    let message = "${ begins the name of an environment variable, such as ${CRM_TOKEN}";
                    self.error(text.at(range), message);
                }
            }
        }
        text.inserted = inserted;
        text.complete = complete;
        text
    }

    /// A time within these bounds.
    pub(super) fn duration(
        &self,
        name: &str,
        value: &DeValue<'_>,
        span: Range<usize>,
        (min, max): (Duration, Duration),
    ) -> Option<Duration> {
        let bounds = format!("{name} must be {} to {}", duration_text(min), duration_text(max));
        let unit = r#"a number and its unit in quotes: "500ms" "2s" "30m" "12h" "90d""#;
        if value.as_str().is_none() {
            self.error_help(span, bounds, unit);
            return None;
        }
        let text = self.text(name, value, span)?;
        match parse_duration(&text.value()) {
            Some(duration) if (min..=max).contains(&duration) => Some(duration),
            Some(_) => {
                self.error(text.span(), bounds);
                None
            }
            None => {
                self.error_help(text.span(), bounds, unit);
                None
            }
        }
    }

    pub(super) fn wrong_kind(&self, name: &str, wanted: &str, value: &DeValue<'_>, span: Range<usize>) {
        let is = match value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.error(span, format!("{name} must be {wanted}, not {is}"));
    }
}

/// One section of the file, with the keys that it can have.
pub(super) struct Part<'a> {
    pub(super) reader: &'a Reader<'a>,
    schema: &'static Section,
    /// Its path in the file: `webhook.vip.ivr`.
    path: String,
    /// Its name in the file: where what is missing in it is reported.
    pub(super) span: Range<usize>,
    entries: &'a DeTable<'a>,
}

/// A value, from the file or the table of keys.
struct Given<'a> {
    key: &'static Key,
    value: DeValue<'a>,
    span: Range<usize>,
}

impl<'a> Part<'a> {
    /// Takes up a section and reports every key in it that is not known.
    pub(super) fn new(
        reader: &'a Reader<'a>,
        schema: &'static Section,
        path: String,
        span: Range<usize>,
        entries: &'a DeTable<'a>,
    ) -> Part<'a> {
        let part = Part { reader, schema, path, span, entries };
        for (key, value) in entries.iter() {
            let name = key.get_ref().as_ref();
            if !part.schema.keys.iter().any(|k| k.knows(name)) && part.section_below(name).is_none() {
                // It could be a secret with its name mistyped.
                reader.mask_value(value);
                part.unknown(name, key.span());
            }
        }
        part
    }

    fn section_below(&self, name: &str) -> Option<&'static Section> {
        table::section(&format!("{}.{name}", self.schema.path))
    }

    fn unknown(&self, name: &str, span: Range<usize>) {
        let below = table::SECTIONS.iter().filter_map(|s| {
            s.path.strip_prefix(self.schema.path)?.strip_prefix('.').filter(|rest| !rest.contains('.'))
        });
        let mut known: Vec<&str> = self.schema.keys.iter().map(|k| k.name).collect();
        known.extend(below.filter(|name| !self.schema.keys.iter().any(|k| k.name == *name)));
        let root = self.schema.path.split('.').next();
        let others = table::SECTIONS.iter().filter(|s| s.path.split('.').next() == root);
        let elsewhere = others.clone().find(|s| s.keys.iter().any(|k| k.knows(name)));
        let near_elsewhere = others.clone().find_map(|s| {
            let names: Vec<&str> = s.keys.iter().map(|k| k.name).collect();
            nearest(name, &names).map(|near| (near, s))
        });
        let help = match (elsewhere, nearest(name, &known), near_elsewhere) {
            (Some(section), _, _) => format!("{name} belongs in [{}]", self.named(section.path)),
            (_, Some(near), _) => format!("did you mean {near}?"),
            (_, _, Some((near, section))) => {
                format!("did you mean {near}? It belongs in [{}]", self.named(section.path))
            }
            _ => format!("known here: {}", known.join(" ")),
        };
        self.reader.error_help(span, format!("unknown key {name} in [{}]", self.path), help);
    }

    /// A path of the table with this webhook's name in it.
    fn named(&self, path: &str) -> String {
        match self.path.split('.').nth(1) {
            Some(name) => path.replace("NAME", name),
            None => path.to_owned(),
        }
    }

    /// The section below, if it is in the file.
    pub(super) fn section(&self, name: &str) -> Option<Part<'a>> {
        let (key, value) = self.entry(name)?;
        let schema = self.section_below(name)?;
        let path = format!("{}.{name}", self.path);
        let Some(entries) = value.get_ref().as_table() else {
            self.reader.wrong_kind(name, &format!("a section: [{path}]"), value.get_ref(), value.span());
            return None;
        };
        Some(Part::new(self.reader, schema, path, key, entries))
    }

    /// A key that is in the file: where its name stands, and its value.
    pub(super) fn entry(&self, name: &str) -> Option<(Range<usize>, &'a Spanned<DeValue<'a>>)> {
        let (key, value) = self.entries.iter().find(|(key, _)| key.get_ref() == name)?;
        Some((key.span(), value))
    }

    /// Where a key's name and value stand, if the key is in the file.
    pub(super) fn written(&self, name: &str) -> Option<Range<usize>> {
        self.entry(name).map(|(key, value)| key.start..value.span().end.max(key.end))
    }

    /// The value in the file, else the default. A required one that is missing is reported.
    fn given(&self, name: &str) -> Option<Given<'a>> {
        let key = self.schema.keys.iter().find(|k| k.name == name);
        let key = key.expect("the reader asks for keys of the table: a test reads every section");
        if let Some((_, value)) = self.entry(name) {
            return Some(Given { key, value: value.get_ref().clone(), span: value.span() });
        }
        match key.absent {
            Absent::Default(text) => {
                let value = DeValue::parse(text).ok()?.into_inner();
                Some(Given { key, value, span: self.span.clone() })
            }
            Absent::Means(_) => None,
            Absent::Error(like) => {
                let message = format!("[{}] has no {name}", self.path);
                let help = format!("write {name} = {like}, say");
                self.reader.error_help(self.span.clone(), message, help);
                None
            }
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<Text> {
        let given = self.given(name)?;
        self.reader.text(name, &given.value, given.span)
    }

    pub(super) fn template(&self, name: &str) -> Option<Text> {
        let given = self.given(name)?;
        self.reader.template(name, &given.value, given.span)
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let given = self.given(name)?;
        if given.value.as_bool().is_none() {
            self.reader.wrong_kind(name, "true or false, without quotes", &given.value, given.span);
            return None;
        }
        given.value.as_bool()
    }

    /// A whole number within the table's bounds.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        let given = self.given(name)?;
        let Kind::Count(min, max) = given.key.kind else { return None };
        let Some(number) = given.value.as_integer() else {
            let wanted = format!("a whole number, {min} to {max}, without quotes");
            self.reader.wrong_kind(name, &wanted, &given.value, given.span);
            return None;
        };
        let number = i128::from_str_radix(number.as_str(), number.radix()).ok();
        let number = number.and_then(|n| u64::try_from(n).ok()).filter(|n| (min..=max).contains(n));
        if number.is_none() {
            self.reader.error(given.span, format!("{name} must be {min} to {max}"));
        }
        number
    }

    /// A time within the table's bounds.
    pub(super) fn duration(&self, name: &str) -> Option<Duration> {
        let given = self.given(name)?;
        let Kind::Duration(min, max) = given.key.kind else { return None };
        self.reader.duration(name, &given.value, given.span, (min, max))
    }

    /// A list of times within the table's bounds.
    pub(super) fn durations(&self, name: &str) -> Option<Vec<Duration>> {
        let given = self.given(name)?;
        let Kind::Durations(min, max) = given.key.kind else { return None };
        let Some(items) = given.value.as_array() else {
            self.reader.wrong_kind(name, r#"a list in brackets: ["5s", "5m"]"#, &given.value, given.span);
            return None;
        };
        let read = |i: &Spanned<DeValue<'_>>| self.reader.duration(name, i.get_ref(), i.span(), (min, max));
        Some(items.iter().filter_map(read).collect())
    }

    /// A list of the table's words, each with what it means. A word that is there twice is reported.
    pub(super) fn words<T: Copy + PartialEq>(&self, name: &str, meanings: &[T]) -> Option<Vec<T>> {
        let given = self.given(name)?;
        let Kind::Words(words) = given.key.kind else { return None };
        let quoted: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
        let quoted = quoted.join(" ");
        let texts = self.texts(name, &format!("[\"{}\"]", words[0]))?;
        let mut found = Vec::with_capacity(texts.len());
        for text in &texts {
            let meaning = words.iter().position(|w| *w == text.value()).and_then(|i| meanings.get(i));
            match meaning {
                Some(meaning) if found.contains(meaning) => {
                    self.reader.error_help(text.span(), "this is there twice", "remove one of them");
                }
                Some(meaning) => found.push(*meaning),
                None => {
                    let message = format!("{name} can hold {quoted}");
                    match nearest(&text.value(), words) {
                        Some(near) => {
                            self.reader.error_help(text.span(), message, format!("did you mean {near}?"));
                        }
                        None => self.reader.error(text.span(), message),
                    }
                }
            }
        }
        if given.value.as_array().is_some_and(|items| items.is_empty()) {
            let help = format!("name one or more of {quoted}");
            self.reader.error_help(given.span, format!("{name} is empty"), help);
        }
        Some(found)
    }

    /// One of the table's words: its place among them.
    pub(super) fn choice<T: Copy>(&self, name: &str, meanings: &[T]) -> Option<T> {
        let given = self.given(name)?;
        let Kind::Choice(words) = given.key.kind else { return None };
        let text = self.reader.text(name, &given.value, given.span)?;
        let found = words.iter().position(|w| *w == text.value()).and_then(|i| meanings.get(i).copied());
        if found.is_none() {
            let words: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
            self.reader.error(text.span(), format!("{name} must be {}", words.join(" or ")));
        }
        found
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &str, of: &str) -> Option<Vec<Text>> {
        let given = self.given(name)?;
        let Some(items) = given.value.as_array() else {
            let wanted = format!("a list in brackets: {of}");
            self.reader.wrong_kind(name, &wanted, &given.value, given.span);
            return None;
        };
        let texts = items.iter().map(|i| self.reader.text(name, i.get_ref(), i.span()));
        Some(texts.collect::<Vec<_>>().into_iter().flatten().collect())
    }

    /// A list of networks. A single address is a network of one.
    pub(super) fn networks(&self, name: &str) -> Option<Vec<IpNet>> {
        let texts = self.texts(name, r#"["10.0.0.0/8", "192.0.2.7"]"#)?;
        let mut networks = Vec::with_capacity(texts.len());
        for text in texts {
            match network(&text.value()) {
                Ok(network) => networks.push(network),
                Err((why, help)) => self.reader.error_help(text.span(), why, help),
            }
        }
        Some(networks)
    }

    /// A table with names of the user's own: name, where it stands, value; in the file's order.
    pub(super) fn pairs(
        &self,
        name: &str,
        of: &str,
    ) -> Vec<(String, Range<usize>, &'a Spanned<DeValue<'a>>)> {
        let Some((_, value)) = self.entry(name) else { return Vec::new() };
        let Some(entries) = value.get_ref().as_table() else {
            self.reader.wrong_kind(name, &format!("a table: {of}"), value.get_ref(), value.span());
            return Vec::new();
        };
        let mut pairs: Vec<_> = entries.iter().map(|(k, v)| (k.get_ref().to_string(), k.span(), v)).collect();
        pairs.sort_by_key(|(_, span, _)| span.start);
        pairs
    }
}

impl Key {
    /// Whether this name in the file is about this key.
    fn knows(&self, name: &str) -> bool {
        let secret = matches!(self.kind, Kind::SigningKey | Kind::SigningKeys | Kind::Password);
        let file = secret.then(|| name.strip_suffix("_file")).flatten();
        self.name == name || file == Some(self.name)
    }
}

fn network(text: &str) -> Result<IpNet, (&'static str, String)> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    match text.parse::<IpNet>() {
        Ok(network) if network.addr() != network.network() => Err((
            "this is an address within a network",
            format!("write {} or {}", network.trunc(), network.addr()),
        )),
        Ok(network) => Ok(network),
        Err(_) => Err((
            "this is no network",
            "write it like 10.0.0.0/8 or 2001:db8::/32, or one address".to_owned(),
        )),
    }
}
