//! A subscription's requests: who is told, and what is sent.

mod filter;
mod json;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Uri};
use serde::{Deserialize, Serialize};

use super::plan::body::{check_json, encoding_of, header_of};
use super::plan::{Origin, PlanError, Target, USER_AGENT, header_value, headers};
use super::request::{cut, finish_path};
use super::signature::Key;
use crate::terms::{
    Code, Encoding, Event, EventBody, EventKind, Method, Numbers, Subscription, Template, Told, Variable,
};

/// A subscription, ready to be told.
#[derive(Clone, Debug)]
pub struct EventPlan {
    subscription: Arc<Subscription>,
    target: Target,
    /// None, one, or during a rotation two.
    keys: Vec<Key>,
    /// The same in every request.
    fixed: Vec<(HeaderName, HeaderValue)>,
    /// With variables.
    rendered: Vec<(HeaderName, Template)>,
}

/// One attempt to tell one event: what is sent, and what people may see of it.
#[derive(Clone)]
pub struct EventRequest {
    /// What is sent to [`EventPlan::origin`].
    pub request: Request<Bytes>,
    /// What people may see.
    pub shown: ShownRequest,
}

impl std::fmt::Debug for EventRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.shown.fmt(f)
    }
}

/// A request as people may see it, and as it is kept: no value of `${NAME}`, no token, the body cut at 4 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownRequest {
    /// GET or POST.
    pub method: String,
    /// With scheme and host.
    pub url: String,
    /// Names in lower case. The owner's own without a variable may be a token: `****`.
    pub headers: Vec<(String, String)>,
    /// Empty for a GET.
    pub body: String,
}

impl EventPlan {
    /// Prepares a subscription. Every mistake is reported.
    pub fn new(subscription: Arc<Subscription>) -> Result<EventPlan, Vec<PlanError>> {
        let mut errors = Vec::new();
        let target = Target::new("url", &subscription.url).map_err(|error| errors.push(error)).ok();
        let mut keys = Vec::with_capacity(2);
        for secret in &subscription.secrets {
            match Key::parse(secret) {
                Ok(key) => keys.push(key),
                Err(error) => errors.push(error.into()),
            }
        }
        let mut fixed = vec![
            (header::ACCEPT, HeaderValue::from_static("*/*")),
            (header::USER_AGENT, HeaderValue::from_static(USER_AGENT)),
        ];
        if subscription.method == Method::Post {
            match header_of(subscription.content_type()) {
                Ok(value) => fixed.push((header::CONTENT_TYPE, value)),
                Err(error) => errors.push(error),
            }
            if let EventBody::Template { template, content_type } = &subscription.body {
                let of_people = subscription.events.contains(&EventKind::User);
                errors.extend(check_json(template, content_type, &|v| is_bare(v, of_people)));
            }
        }
        let rendered = headers::divide(&subscription.headers, &mut fixed, &mut errors);
        match target {
            Some(target) if errors.is_empty() => {
                Ok(EventPlan { subscription, target, keys, fixed, rendered })
            }
            _ => Err(errors),
        }
    }

    /// The definition.
    pub fn subscription(&self) -> &Arc<Subscription> {
        &self.subscription
    }

    /// Where its requests go.
    pub fn origin(&self) -> &Origin {
        &self.target.origin
    }

    /// Renders one attempt. `id` is the event's `webhook-id`, the same in every attempt; `now` is the attempt's time in
    /// ms since 1970, from which the signature's is made.
    ///
    /// # Errors
    ///
    /// Where the rendered text is no URL or header: the HTTP library's words for it. The same event fails again.
    pub fn render(
        &self,
        event: &Event,
        numbers: &Numbers,
        id: &str,
        now: i64,
    ) -> Result<EventRequest, http::Error> {
        let told = Told { event, numbers };
        let path = finish_path(self.target.path.render(&told, Encoding::Percent), false);
        let shown_path = finish_path(self.target.path.render_shown(&told, Encoding::Percent, false), false);
        let (body, shown_body) = self.body(&told);
        let mut headers = HeaderMap::with_capacity(12);
        for (name, value) in &self.fixed {
            headers.insert(name, value.clone());
        }
        for (name, template) in &self.rendered {
            // Values lose what no header can hold, and the text around them was checked.
            if let Some(value) = header_value(template.render(&told, Encoding::Header).trim()) {
                headers.insert(name, value);
            }
        }
        headers.insert("webhook-id", HeaderValue::try_from(id)?);
        if !self.keys.is_empty() {
            let seconds = now.div_euclid(1000);
            let post = self.subscription.method == Method::Post;
            let payload = if post { body.as_bytes() } else { path.as_bytes() };
            let signatures: Vec<String> =
                self.keys.iter().map(|key| key.sign(id, seconds, payload)).collect();
            headers.insert("webhook-timestamp", HeaderValue::from(seconds));
            headers.insert("webhook-signature", HeaderValue::try_from(signatures.join(" "))?);
        }
        let shown = ShownRequest {
            method: self.method().to_string(),
            url: format!("{}{shown_path}", self.target.origin),
            headers: self.shown_headers(&headers, &told),
            body: cut(shown_body),
        };
        headers.insert(header::HOST, self.target.host.clone());
        let mut request =
            Request::builder().method(self.method()).uri(Uri::try_from(path)?).body(Bytes::from(body))?;
        *request.headers_mut() = headers;
        Ok(EventRequest { request, shown })
    }

    fn method(&self) -> http::Method {
        match self.subscription.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
        }
    }

    /// What is sent, and what is shown of it.
    fn body(&self, told: &Told<'_>) -> (String, String) {
        match (self.subscription.method, &self.subscription.body) {
            (Method::Get, _) => (String::new(), String::new()),
            (Method::Post, EventBody::Json) => {
                let sent = json::body(told.event);
                (sent.clone(), sent)
            }
            (Method::Post, EventBody::Template { template, content_type }) => {
                let encoding = encoding_of(content_type);
                (template.render(told, encoding), template.render_shown(told, encoding, false))
            }
        }
    }

    fn shown_headers(&self, headers: &HeaderMap, told: &Told<'_>) -> Vec<(String, String)> {
        let own = |name: &HeaderName| self.subscription.headers.iter().find(|(n, _)| n == name);
        let show = |(name, value): (&HeaderName, &HeaderValue)| {
            let shown = match own(name) {
                Some((_, template)) if template.is_fixed() => Code::MASK.to_owned(),
                Some((_, template)) => template.render_shown(told, Encoding::Header, false),
                None => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            };
            (name.as_str().to_owned(), shown)
        };
        headers.iter().map(show).collect()
    }
}

/// Whether it is a number, `true` or `false` in every event, and so needs no quotes in JSON. `of_people`: the event can
/// be one that is about no call.
fn is_bare(variable: &Variable, of_people: bool) -> bool {
    match variable {
        Variable::Timestamp => true,
        Variable::Start | Variable::Duration | Variable::TalkTime | Variable::Seq | Variable::Synthetic => {
            !of_people
        }
        _ => false,
    }
}
