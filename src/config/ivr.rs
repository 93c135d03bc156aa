//! Section `[webhook.NAME.ivr]`.

use toml::Spanned;
use toml::de::DeValue;

use super::reader::{Part, Reader};
use super::table;
use super::text::Text;
use super::webhook::{pattern, written};
use crate::terms::{Ivr, LockoutRule, Prompt};

/// Reads it. What is wrong is reported; the value is of no use then.
pub(super) fn read(part: &Part<'_>) -> Ivr {
    let reader = part.reader;
    let secret = part.flag("secret").unwrap_or(true);
    let digits = |key: &str| part.count(key).and_then(|n| usize::try_from(n).ok());
    let (min_digits, max_digits) = (digits("min_digits"), digits("max_digits"));
    if let (Some(min), Some(max)) = (min_digits, max_digits)
        && min > max
    {
        let key = if part.entry("min_digits").is_some() { "min_digits" } else { "max_digits" };
        let message = format!("min_digits ({min}) is more than max_digits ({max})");
        reader.error_help(written(part, key), message, "no entry could be right");
    }
    let lockout = lockout(part);
    if !secret && part.entry("lockout").is_some() && lockout.is_some() {
        let help = "remove lockout, or secret = false";
        reader.error_help(written(part, "lockout"), "nobody is locked out of a menu (secret = false)", help);
    }
    let prompt = |key: &str| part.entry(key).and_then(|(_, value)| prompt(part, key, value));
    Ivr {
        answer: part.flag("answer").unwrap_or(true),
        secret,
        timeout: part.duration("timeout").unwrap_or_default(),
        digit_timeout: part.duration("digit_timeout"),
        attempts: part.count("attempts").and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
        min_digits: min_digits.unwrap_or(1),
        max_digits: max_digits.unwrap_or(1),
        pattern: part.text("pattern").and_then(|text| pattern(reader, &text)),
        start_prompt: prompt("start_prompt"),
        error_prompt: prompt("error_prompt"),
        timeout_prompt: prompt("timeout_prompt"),
        repeat_start_prompt: part.flag("repeat_start_prompt").unwrap_or(true),
        lockout: lockout.filter(|_| secret),
    }
}

fn lockout(part: &Part<'_>) -> Option<LockoutRule> {
    let rule = |part: &Part<'_>| {
        let count = |key: &str| part.count(key).and_then(|n| u32::try_from(n).ok());
        Some(LockoutRule {
            failures: count("failures").unwrap_or_default(),
            window: part.duration("window").unwrap_or_default(),
            anonymous: count("anonymous").unwrap_or_default(),
        })
    };
    match part.entry("lockout") {
        None => {
            let schema = table::section("webhook.NAME.ivr.lockout")?;
            rule(&Part::new(part.reader, schema, String::new(), part.span.clone(), &part.reader.nothing))
        }
        Some((_, value)) => match value.get_ref() {
            DeValue::Boolean(false) => None,
            DeValue::Boolean(true) => {
                let help = "remove this line; or lockout = false turns it off";
                part.reader.error_help(value.span(), "lockout is on by itself", help);
                None
            }
            DeValue::Table(_) => rule(&part.section("lockout")?),
            other => {
                let wanted = "false, or { failures = 10, window = \"30m\", anonymous = 100 }";
                part.reader.wrong_kind("lockout", wanted, other, value.span());
                None
            }
        },
    }
}

/// A sound: one name for both PBXs, or one for each. The empty text is silence.
fn prompt(part: &Part<'_>, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Prompt> {
    let reader = part.reader;
    let Some(table) = value.get_ref().as_table() else {
        if value.get_ref().as_str().is_none() {
            let wanted =
                r#"a sound's name in quotes, or { asterisk = "custom/x", freeswitch = "ivr/x.wav" }"#;
            reader.wrong_kind(key, wanted, value.get_ref(), value.span());
            return None;
        }
        let name = reader.text(key, value.get_ref(), value.span())?;
        let sound = asterisk_sound(reader, &name)?;
        return (!sound.is_empty()).then(|| Prompt { asterisk: sound.clone(), freeswitch: sound });
    };
    let mut right = true;
    for name in table.keys().filter(|k| !matches!(k.get_ref().as_ref(), "asterisk" | "freeswitch")) {
        right = false;
        let message = format!("unknown key {} in {key}", name.get_ref());
        reader.error_help(name.span(), message, "known here: asterisk freeswitch");
    }
    let name = |pbx: &str| {
        let (_, value) = table.iter().find(|(k, _)| k.get_ref() == pbx)?;
        reader.text(pbx, value.get_ref(), value.span())
    };
    if !["asterisk", "freeswitch"].iter().all(|pbx| table.keys().any(|k| k.get_ref() == pbx)) {
        let help = "a text alone, without the braces, is the name for both";
        reader.error_help(value.span(), format!("{key} needs a name for asterisk and for freeswitch"), help);
        return None;
    }
    let (asterisk, freeswitch) = (name("asterisk")?, name("freeswitch")?);
    let asterisk = asterisk_sound(reader, &asterisk);
    let freeswitch = freeswitch_sound(reader, &freeswitch);
    right.then_some(Prompt { asterisk: asterisk?, freeswitch: freeswitch? })
}

fn asterisk_sound(reader: &Reader<'_>, text: &Text) -> Option<String> {
    let sound = freeswitch_sound(reader, text)?;
    // GET DATA takes a&b as one file's name (measured); commas and bars separate arguments in a dialplan.
    if sound.contains(['&', ',', '|']) {
        let help = "Asterisk plays one file here: join the sounds into one";
        reader.error_help(text.span(), "a sound's name cannot hold & , or |", help);
        return None;
    }
    Some(sound)
}

fn freeswitch_sound(reader: &Reader<'_>, text: &Text) -> Option<String> {
    let sound = text.value();
    if sound.contains(|c: char| c.is_control() || matches!(c, '"' | '\\' | '\'' | '$')) || sound.len() > 200 {
        let help = "write it like custom/enter-your-code, at most 200 bytes";
        reader.error_help(text.span(), "this is no name of a sound", help);
        return None;
    }
    Some(sound)
}
