//! What of a webhook's requests is the same for every call: made once, when the webhook is defined.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};
use url::{Host, Url};

use super::signature::Key;
use crate::terms::{Body, Encoding, Method, Template, Webhook};

/// In front of everything: plain text first, since that is what webhooks answer with, and frameworks choose by it.
const ACCEPT: &str = "text/plain, application/x-www-form-urlencoded, application/json;q=0.9, */*;q=0.1";
const USER_AGENT: &str = concat!("switchhook/", env!("CARGO_PKG_VERSION"));

/// Headers that are part of the exchange itself.
const OURS: [HeaderName; 9] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
const OUR_NAMES: [&str; 6] =
    ["keep-alive", "proxy-connection", "traceparent", "webhook-id", "webhook-timestamp", "webhook-signature"];

/// Scheme, host and port: what a connection is made to, and the key of a pool of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// `https`.
    pub tls: bool,
    /// A name, or an address as text, IPv6 without brackets.
    pub host: Arc<str>,
    /// The port.
    pub port: u16,
}

impl Origin {
    pub(super) fn of(url: &Url) -> Option<Origin> {
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host: Arc<str> = match url.host()? {
            Host::Domain(name) => name.into(),
            Host::Ipv4(v4) => v4.to_string().into(),
            Host::Ipv6(v6) => v6.to_string().into(),
        };
        Some(Origin { tls, host, port: url.port_or_known_default()? })
    }

    /// The address, where the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// As in a `Host` header: the port only where it is not the scheme's.
    pub fn authority(&self) -> String {
        let bracketed = self.host.contains(':');
        let host = if bracketed { format!("[{}]", self.host) } else { self.host.to_string() };
        match (self.tls, self.port) {
            (false, 80) | (true, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

/// What is wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct PlanError {
    /// The key of the configuration, such as `url` or `headers.X-Key`.
    pub key: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// A webhook, ready to be asked.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) webhook: Arc<Webhook>,
    pub(super) first: Target,
    pub(super) fallback: Option<Target>,
    pub(super) signing: Option<Key>,
    /// The same in every request.
    pub(super) fixed: Vec<(HeaderName, HeaderValue)>,
    /// With variables.
    pub(super) rendered: Vec<(HeaderName, Template)>,
    /// How values are written in a body of the user's own.
    pub(super) body_encoding: Encoding,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) origin: Origin,
    pub(super) host: HeaderValue,
    /// Path and query.
    pub(super) path: Template,
}

impl Plan {
    /// Prepares a webhook. Every mistake is reported.
    pub fn new(webhook: Arc<Webhook>) -> Result<Plan, Vec<PlanError>> {
        let mut errors = Vec::new();
        let mut fail = |key: &str, problem: String| errors.push(PlanError { key: key.to_owned(), problem });
        let first = Target::new(&webhook.url).map_err(|problem| fail("url", problem)).ok();
        let fallback = webhook
            .fallback_url
            .as_ref()
            .and_then(|url| Target::new(url).map_err(|problem| fail("fallback_url", problem)).ok());
        let signing = webhook
            .secret
            .as_ref()
            .and_then(|secret| Key::parse(secret).map_err(|error| fail("secret", error.to_string())).ok());
        let (content_type, body_encoding) = content_type(&webhook);
        let mut fixed = vec![
            (header::ACCEPT, HeaderValue::from_static(ACCEPT)),
            (header::USER_AGENT, HeaderValue::from_static(USER_AGENT)),
        ];
        match content_type.map(HeaderValue::from_str) {
            Some(Ok(value)) => fixed.push((header::CONTENT_TYPE, value)),
            Some(Err(_)) => fail("content_type", "it has a character that no header can have".to_owned()),
            None => {}
        }
        let mut rendered = Vec::new();
        for (name, template) in &webhook.headers {
            let key = format!("headers.{name}");
            if OURS.contains(name) || OUR_NAMES.contains(&name.as_str()) {
                fail(&key, "this header is Switchhook's own".to_owned());
            } else if template.as_str().contains(|c: char| c.is_control() && c != '\t') {
                fail(&key, "a header cannot hold a line break or another control character".to_owned());
            } else if template.first_variable().is_some() {
                rendered.push((name.clone(), template.clone()));
            } else if let Some(value) = header_value(template.as_str()) {
                fixed.retain(|(other, _)| other != name);
                fixed.push((name.clone(), value));
            }
        }
        match first {
            Some(first) if errors.is_empty() => {
                Ok(Plan { webhook, first, fallback, signing, fixed, rendered, body_encoding })
            }
            _ => Err(errors),
        }
    }

    /// The definition.
    pub fn webhook(&self) -> &Arc<Webhook> {
        &self.webhook
    }

    /// Where the first request goes: what to connect to ahead.
    pub fn origin(&self) -> &Origin {
        &self.first.origin
    }

    /// Where the fallback goes.
    pub fn fallback_origin(&self) -> Option<&Origin> {
        self.fallback.as_ref().map(|target| &target.origin)
    }

    /// Whether its answers may be kept: `cache` is set, and no secret code is asked for.
    pub fn is_cacheable(&self) -> bool {
        let secret = self.webhook.ivr.as_ref().is_some_and(|ivr| ivr.secret);
        !self.webhook.cache.is_zero() && !secret
    }
}

/// A header's value, not to be printed: it may hold a token. `None` where no header can hold it.
pub(super) fn header_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(text.as_bytes()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn content_type(webhook: &Webhook) -> (Option<&str>, Encoding) {
    match (webhook.method, &webhook.body) {
        (Method::Get, _) => (None, Encoding::Plain),
        (Method::Post, Body::Json) => (Some("application/json"), Encoding::Json),
        (Method::Post, Body::Form) => (Some("application/x-www-form-urlencoded"), Encoding::Percent),
        (Method::Post, Body::Template { content_type, .. }) => {
            let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            let encoding = match kind.as_str() {
                "application/x-www-form-urlencoded" => Encoding::Percent,
                kind if kind.ends_with("json") => Encoding::Json,
                kind if kind.ends_with("xml") || kind == "text/html" => Encoding::Xml,
                _ => Encoding::Plain,
            };
            (Some(content_type), encoding)
        }
    }
}

impl Target {
    fn new(template: &Template) -> Result<Target, String> {
        const BEGIN: &str = "a URL begins with http:// or https://";
        let start = template.fixed_start();
        let start = start.reveal();
        let host_at = start.find("://").map(|i| i + 3).ok_or(BEGIN)?;
        // A backslash is a slash to the URL parser.
        let path_at = start[host_at..].find(['/', '?', '#', '\\']).map(|i| host_at + i);
        let path_at = match (path_at, template.first_variable()) {
            (Some(at), _) => at,
            (None, None) => start.len(),
            (None, Some(_)) => {
                return Err("scheme, host and port cannot hold a variable; path and query can".to_owned());
            }
        };
        let url = Url::parse(&start[..path_at]).map_err(|error| format!("no URL: {error}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("user and password belong into headers = { Authorization = … }".to_owned());
        }
        let origin = Origin::of(&url).ok_or(BEGIN)?;
        let host = HeaderValue::from_str(&origin.authority()).map_err(|_| "no host that can be asked")?;
        Ok(Target { origin, host, path: template.without_start(path_at) })
    }
}
