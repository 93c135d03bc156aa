//! What of a webhook's requests is the same for every call: made once, when the webhook is defined. What a definition
//! must be so that it can be asked is checked here and nowhere else.

pub(super) mod body;
mod error;
pub(super) mod headers;

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};
use url::{Host, Url};

use super::signature::Key;
use crate::terms::{Body, Encoding, Method, Template, Variable, Webhook};

pub use error::PlanError;
pub(super) use headers::value as header_value;

/// In front of everything: plain text first, since that is what webhooks answer with, and frameworks choose by it.
const ACCEPT: &str = "text/plain, application/x-www-form-urlencoded, application/json;q=0.9, */*;q=0.1";
/// The `User-Agent` of a request whose webhook names no other.
pub const USER_AGENT: &str = concat!("switchhook/", env!("CARGO_PKG_VERSION"));

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
        let first = Target::new("url", &webhook.url).map_err(|error| errors.push(error)).ok();
        let fallback = webhook
            .fallback_url
            .as_ref()
            .and_then(|url| Target::new("fallback_url", url).map_err(|error| errors.push(error)).ok());
        let signing = webhook
            .secret
            .as_ref()
            .and_then(|secret| Key::parse(secret).map_err(|error| errors.push(error.into())).ok());
        let mut fixed = vec![
            (header::ACCEPT, HeaderValue::from_static(ACCEPT)),
            (header::USER_AGENT, HeaderValue::from_static(USER_AGENT)),
        ];
        let (content_type, body_encoding) = body::content_type(&webhook);
        if let Some(text) = content_type {
            match body::header_of(text) {
                Ok(value) => fixed.push((header::CONTENT_TYPE, value)),
                Err(error) => errors.push(error),
            }
        }
        if let (Method::Post, Body::Template { template, content_type }) = (webhook.method, &webhook.body) {
            errors.extend(body::check_json(template, content_type, &|v| *v == Variable::Timestamp));
        }
        let rendered = headers::divide(&webhook.headers, &mut fixed, &mut errors);
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

impl Target {
    pub(super) fn new(key: &'static str, template: &Template) -> Result<Target, PlanError> {
        const LIKE: &str = "a URL is written like https://crm.example.com/route?callerid={callerid}";
        let wrong = |problem: &str, help: &'static str| PlanError::new(key, problem, help);
        let begin = || wrong("it does not begin with https:// or http://", LIKE);
        let start = template.fixed_start();
        let start = start.reveal();
        let variable = template.variables().next().map(|(range, _)| range);
        let host_at = start.find("://").map(|i| i + 3);
        // A backslash is a slash to the URL parser.
        let path_at = host_at.and_then(|at| start[at..].find(['/', '?', '#', '\\']).map(|i| at + i));
        if let (None, Some(range)) = (path_at, variable) {
            let problem = "scheme, host and port cannot hold a variable";
            return Err(wrong(problem, "variables may stand in the path and the query").at(range));
        }
        host_at.ok_or_else(begin)?;
        let path_at = path_at.unwrap_or(start.len());
        let nowhere = || wrong("it names no host", LIKE);
        let url = Url::parse(&start[..path_at]).map_err(|error| match error {
            url::ParseError::EmptyHost => nowhere(),
            error => wrong(&format!("this is no URL: {error}"), LIKE),
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            let help = r#"use headers = { Authorization = "Basic ${CRM_BASIC}" }, the value is base64 of user:password"#;
            return Err(wrong("user and password in a URL are not sent", help));
        }
        let origin = Origin::of(&url).ok_or_else(begin)?;
        let host = HeaderValue::from_str(&origin.authority()).map_err(|_| nowhere())?;
        Ok(Target { origin, host, path: template.without_start(path_at) })
    }
}
