//! The requests of one question: rendered from the plan and what is known of the call.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::cache::CacheKey;
use super::plan::{Plan, header_value};
use crate::terms::{Body, Code, Codes, Encoding, Facts, Method, Values, Variable};

/// What of a body is shown in the journal, bytes.
pub(super) const SHOWN: usize = 4096;

/// What a URL's path and query cannot hold as it is (RFC 3986), but for `%`, `[` and `]`: they are the owner's, and
/// servers take them.
const NOT_IN_URL: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// One question of one call.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What is known of the call.
    pub facts: Facts<'a>,
    /// The attempt, from 1: one call can ask several times, each with another code.
    pub attempt: u32,
    /// The codes of the attempts before: they may come back in this one's answer.
    pub earlier: &'a Codes,
}

/// All requests that a question may need.
#[derive(Clone)]
pub struct Requests {
    pub(super) first: Path,
    pub(super) fallback: Option<Path>,
    pub(super) body: Bytes,
    /// Cut, code masked.
    pub(super) shown_body: String,
    /// `webhook-id`.
    id: String,
    /// Seconds since 1970.
    timestamp: i64,
    /// Trace id and the first span id, where the call's id is a UUID.
    trace: Option<(u128, u64)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// To be masked in what comes back.
    pub(super) secret: Codes,
}

/// Path and query of a request.
#[derive(Clone)]
pub(super) struct Path {
    pub(super) sent: String,
    /// For people; `None` where it is the same.
    masked: Option<String>,
}

impl std::fmt::Debug for Path {
    /// Without the code.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self.shown(), f)
    }
}

impl Path {
    pub(super) fn shown(&self) -> &str {
        self.masked.as_deref().unwrap_or(&self.sent)
    }

    /// One that a server sent us to.
    pub(super) fn redirected(sent: String, secret: &Codes) -> Path {
        let masked = Some(secret.mask_in(&sent)).filter(|masked| *masked != sent);
        Path { sent, masked }
    }
}

impl std::fmt::Debug for Requests {
    /// Without the code.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fallback = self.fallback.as_ref().map(Path::shown);
        f.debug_struct("Requests")
            .field("first", &self.first.shown())
            .field("fallback", &fallback)
            .field("body", &self.shown_body)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Plan {
    /// Renders the requests of a question.
    pub fn render(&self, question: &Question<'_>) -> Requests {
        let facts = &question.facts;
        let mut secret = Codes::NONE;
        if self.webhook.ivr.as_ref().is_none_or(|ivr| ivr.secret) {
            secret.clone_from(question.earlier);
            facts.code.into_iter().for_each(|code| secret.add(code));
        }
        let path = |template: &crate::terms::Template| {
            let finish = |text: String| finish_path(text, self.webhook.drop_empty);
            let show = secret.is_empty();
            let shown = || finish(template.render_shown(facts, Encoding::Percent, show));
            Path {
                sent: finish(template.render(facts, Encoding::Percent)),
                masked: template.has_hidden(show).then(shown),
            }
        };
        let (body, shown_body) = self.render_body(facts, !secret.is_empty());
        let headers = self.rendered.iter().filter_map(|(name, template)| {
            let value = template.render(facts, Encoding::Header);
            Some((name.clone(), header_value(value.trim())?))
        });
        let uuid = uuid::Uuid::parse_str(facts.call).ok();
        Requests {
            first: path(&self.first.path),
            fallback: self.fallback.as_ref().map(|target| path(&target.path)),
            body: Bytes::from(body),
            shown_body,
            id: format!("{}-{}", facts.call, question.attempt),
            timestamp: facts.now.div_euclid(1000),
            trace: uuid.map(|uuid| (uuid.as_u128(), first_span(uuid.as_u64_pair().1, question.attempt))),
            headers: headers.collect(),
            secret,
        }
    }

    fn render_body(&self, facts: &Facts<'_>, secret: bool) -> (String, String) {
        let both = |render: &dyn Fn(bool) -> String| {
            let sent = render(false);
            let shown = if secret { render(true) } else { sent.clone() };
            (sent, cut(shown))
        };
        match (self.webhook.method, &self.webhook.body) {
            (Method::Get, _) => (String::new(), String::new()),
            (Method::Post, Body::Json) => both(&|masked| self.json(facts, masked)),
            (Method::Post, Body::Form) => both(&|masked| self.form(facts, masked)),
            (Method::Post, Body::Template { template, .. }) => {
                let drop = self.webhook.drop_empty && self.body_encoding == Encoding::Percent;
                let finish = |text: String| if drop { without_empty(&text) } else { text };
                let sent = finish(template.render(facts, self.body_encoding));
                let shown = match template.has_hidden(!secret) {
                    true => finish(template.render_shown(facts, self.body_encoding, !secret)),
                    false => sent.clone(),
                };
                (sent, cut(shown))
            }
        }
    }

    fn json(&self, facts: &Facts<'_>, masked: bool) -> String {
        let mut out = String::with_capacity(768);
        for (key, value) in self.fields(facts, masked) {
            out.push_str(if out.is_empty() { "{\"" } else { ",\"" });
            out.push_str(key);
            out.push_str("\":\"");
            Encoding::Json.push(&mut out, &value);
            out.push('"');
        }
        out.push('}');
        out
    }

    fn form(&self, facts: &Facts<'_>, masked: bool) -> String {
        let mut out = String::with_capacity(768);
        for (key, value) in self.fields(facts, masked) {
            if value.is_empty() && self.webhook.drop_empty {
                continue;
            }
            if !out.is_empty() {
                out.push('&');
            }
            out.push_str(key);
            out.push('=');
            if masked && key == "code" {
                out.push_str(&value);
            } else {
                Encoding::Percent.push(&mut out, &value);
            }
        }
        out
    }

    /// The fixed keys of a body: Callvoip's, in the order of its manual, and ours.
    fn fields<'a>(&'a self, facts: &'a Facts<'a>, masked: bool) -> [(&'static str, Cow<'a, str>); 17] {
        let channel = facts.channel;
        let value = |variable| facts.value(variable);
        let code = match facts.code {
            Some(code) if masked && !code.is_empty() => Cow::Borrowed(Code::MASK),
            _ => value(&Variable::Code),
        };
        [
            ("com_id", Cow::Borrowed(facts.numbers.company_id.as_str())),
            ("dp_id", Cow::Borrowed(self.webhook.name.as_str())),
            ("dp_in_number", value(&Variable::Extension)),
            ("dp_ex_number", value(&Variable::Did)),
            ("callee_number", value(&Variable::Did)),
            ("caller_number", value(&Variable::CallerId)),
            ("uuid", value(&Variable::CallUniqueId)),
            ("phonebook_caller_name", value(&Variable::CallerName)),
            ("event_time", value(&Variable::Timestamp)),
            ("call_start_time", value(&Variable::Start)),
            ("rta_call_id", Cow::Borrowed(channel.unique_id.as_str())),
            ("sip_call_id", Cow::Borrowed(channel.sip_call_id.as_str())),
            ("code", code),
            ("did", value(&Variable::Did)),
            ("callerid", value(&Variable::CallerId)),
            ("callername", value(&Variable::CallerName)),
            ("call", value(&Variable::Call)),
        ]
    }

    /// The request for one hop, the `hop`th of its exchange, from 0.
    pub(super) fn request(
        &self,
        requests: &Requests,
        fallback: bool,
        path: &str,
        hop: u32,
    ) -> Result<Request<Bytes>, http::Error> {
        let target = self.fallback.as_ref().filter(|_| fallback).unwrap_or(&self.first);
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(header::HOST, target.host.clone());
        for (name, value) in self.fixed.iter().chain(&requests.headers) {
            headers.insert(name, value.clone());
        }
        headers.insert("webhook-id", HeaderValue::try_from(requests.id.as_str())?);
        if let Some((trace, span)) = requests.trace {
            let text = format!("00-{trace:032x}-{:016x}-01", span.wrapping_add(u64::from(hop)));
            headers.insert("traceparent", HeaderValue::try_from(text)?);
        }
        let post = self.webhook.method == Method::Post;
        if let Some(key) = &self.signing {
            let payload = if post { &requests.body } else { path.as_bytes() };
            let signature = key.sign(&requests.id, requests.timestamp, payload);
            headers.insert("webhook-timestamp", HeaderValue::from(requests.timestamp));
            headers.insert("webhook-signature", HeaderValue::try_from(signature)?);
        }
        let body = if post { requests.body.clone() } else { Bytes::new() };
        let mut request = Request::builder()
            .method(if post { http::Method::POST } else { http::Method::GET })
            .uri(Uri::try_from(path)?)
            .body(body)?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

pub(super) fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(SHOWN));
    text
}

impl Requests {
    /// What makes this question the same as another one of the webhook: all that is rendered into its requests but for the
    /// ids of this one call in `webhook-id`, `traceparent` and the signature.
    pub fn cache_key(&self, plan: &Plan) -> CacheKey {
        let mut key = String::with_capacity(256);
        // Every part is preceded by its length, so that no two lists of parts make the same text.
        let mut part = |text: &str| {
            key.push_str(&text.len().to_string());
            key.push(':');
            key.push_str(text);
        };
        part(plan.webhook.name.as_str());
        part(if plan.webhook.save_as.is_some() { "text" } else { "" });
        for (target, path) in
            [(Some(&plan.first), Some(&self.first)), (plan.fallback.as_ref(), self.fallback.as_ref())]
        {
            part(&target.map_or_else(String::new, |target| target.origin.to_string()));
            part(path.map_or("", |path| &path.sent));
        }
        part(&String::from_utf8_lossy(&self.body));
        for (name, value) in plan.fixed.iter().chain(&self.headers) {
            part(name.as_str());
            part(&String::from_utf8_lossy(value.as_bytes()));
        }
        CacheKey(key.into())
    }
}

/// Path and query as they are sent: with a path, without a fragment, without what no URL can hold.
pub(super) fn finish_path(mut text: String, drop_empty: bool) -> String {
    // Values are encoded: a `#` is the template's own.
    if let Some(fragment) = text.find('#') {
        text.truncate(fragment);
    }
    let query_at = text.find('?').unwrap_or(text.len());
    let (path, query) = text.split_at(query_at);
    let mut out = String::with_capacity(text.len() + 1);
    if !path.starts_with('/') {
        out.push('/');
    }
    // Servers take `..` as the way up: a value that is nothing else must not lead to another script.
    if path.contains("/.") {
        let segments: Vec<&str> =
            path.split('/').map(|s| if matches!(s, "." | "..") { "" } else { s }).collect();
        out.extend(utf8_percent_encode(&segments.join("/"), NOT_IN_URL));
    } else {
        out.extend(utf8_percent_encode(path, NOT_IN_URL));
    }
    let query = match query.strip_prefix('?') {
        Some(query) if drop_empty => Cow::Owned(without_empty(query)),
        Some(query) => Cow::Borrowed(query),
        None => return out,
    };
    if !query.is_empty() {
        out.push('?');
        out.extend(utf8_percent_encode(&query, NOT_IN_URL));
    }
    out
}

/// `a=1&b=&c` as `a=1&c`.
fn without_empty(query: &str) -> String {
    let mut out = String::with_capacity(query.len());
    for piece in
        query.split('&').filter(|piece| piece.split_once('=').is_none_or(|(_, value)| !value.is_empty()))
    {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(piece);
    }
    out
}

/// Spans of one trace must differ. The later half of a UUID is never zero, and no later hop makes it so: its first two
/// bits are 10 (RFC 9562).
fn first_span(later_half: u64, attempt: u32) -> u64 {
    later_half.wrapping_add(u64::from(attempt) << 16)
}
