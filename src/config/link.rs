//! Sections `[asterisk.NAME]` and `[freeswitch.NAME]`.

use super::reader::Part;
use super::text::Text;
use super::webhook::{Texts, secret, written};
use super::{AmiLink, EslLink, warnings};
use crate::terms::{Secret, WebhookName};

/// Reads one. `None` when something that it cannot be without is wrong; that was reported then.
pub(super) fn ami(part: &Part<'_>, name: WebhookName) -> Option<AmiLink> {
    let (address, username) = (address(part, "ami"), word(part, "username"));
    let (secret, trunks) = (password(part, "secret"), trunks(part, r#"["PJSIP/mytrunk-*"]"#));
    Some(AmiLink { name, address: address?, username: username?, secret: secret?, trunks: trunks? })
}

/// Reads one. `None` when something that it cannot be without is wrong; that was reported then.
pub(super) fn esl(part: &Part<'_>, name: WebhookName) -> Option<EslLink> {
    let (address, user) = (address(part, "esl"), word(part, "user"));
    let (password, trunks) = (password(part, "password"), trunks(part, r#"["sofia/external/*"]"#));
    if user.as_ref().is_some_and(|user| !user.contains('@')) {
        let help = "write the domain too, as FreeSWITCH's directory has it: switchhook@pbx.example.com";
        part.reader.error_help(written(part, "user"), "user must be name@domain", help);
    }
    Some(EslLink { name, address: address?, user, password: password?, trunks: trunks? })
}

/// Host and port. Whether there is such a host is seen when it is called.
fn address(part: &Part<'_>, key: &str) -> Option<String> {
    let text = part.text(key)?;
    let value = text.value();
    let right = value.rsplit_once(':').is_some_and(|(host, port)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let v6 = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = match v6 {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(plain),
        };
        host && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if !right {
        let help = "write it like 127.0.0.1:5038, pbx.example.com:5038 or [2001:db8::1]:5038";
        part.reader.error_help(text.span(), format!("{key} must be a host and a port"), help);
    }
    right.then_some(value)
}

/// A text that becomes part of a line on the wire.
fn word(part: &Part<'_>, key: &str) -> Option<String> {
    let text = part.text(key)?;
    fits_a_line(part, key, &text, &text.value()).then(|| text.value())
}

fn password(part: &Part<'_>, key: &str) -> Option<Secret> {
    let mut texts = Texts::new();
    let secret = secret(part, key, &mut texts)?;
    let text = texts.pop()?.1;
    fits_a_line(part, key, &text, secret.reveal()).then_some(secret)
}

fn fits_a_line(part: &Part<'_>, key: &str, text: &Text, value: &str) -> bool {
    if value.is_empty() {
        part.reader.error(text.span(), format!("{key} is empty"));
        return false;
    }
    let right = !value.contains(char::is_control);
    if !right {
        let help = "it is mostly a line end behind the value";
        part.reader.error_help(text.span(), format!("{key} holds a line end or control character"), help);
    }
    right
}

fn trunks(part: &Part<'_>, like: &'static str) -> Option<Vec<String>> {
    let texts = match part.entry("trunks") {
        Some(_) => part.texts("trunks", like)?,
        None => Vec::new(),
    };
    warnings::trunks(part, &texts, like);
    Some(texts.iter().map(Text::value).collect())
}
