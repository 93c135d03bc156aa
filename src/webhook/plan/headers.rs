//! Headers of the user's own.

use std::borrow::Cow;

use http::header::{self, HeaderName, HeaderValue};

use super::PlanError;
use crate::terms::{Encoding, Numbers, Template, Values, Variable};

/// Headers that are part of the exchange itself.
const OURS: [HeaderName; 10] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
const OUR_NAMES: [&str; 6] =
    ["keep-alive", "proxy-connection", "traceparent", "webhook-id", "webhook-timestamp", "webhook-signature"];

/// Checks a header. Its value is the one without those of variables.
fn check(name: &HeaderName, template: &Template) -> Result<HeaderValue, PlanError> {
    let wrong = |problem: &str, help| Err(PlanError::new(format!("headers.{name}"), problem, help));
    if OURS.contains(name) || OUR_NAMES.contains(&name.as_str()) {
        let help = match *name {
            header::CONTENT_TYPE => "use content_type, beside body",
            header::HOST => "the host is the one in url",
            _ => "remove it",
        };
        return wrong("this header is written by the program", help);
    }
    // Values of the call lose what no header can hold.
    let text = template.render(&Nothing(Numbers::default()), Encoding::Header);
    match value(&text).and_then(|_| value(text.trim())) {
        Some(value) => Ok(value),
        None => {
            let help = "look for \\n, and for a line end in an environment variable";
            wrong("a header's value cannot hold a line end or control character", help)
        }
    }
}

/// The headers that are rendered for each request. Those without a variable go to what is the same in every request, in
/// the place of one of the program's own.
pub(in crate::webhook) fn divide(
    headers: &[(HeaderName, Template)],
    fixed: &mut Vec<(HeaderName, HeaderValue)>,
    errors: &mut Vec<PlanError>,
) -> Vec<(HeaderName, Template)> {
    let mut rendered = Vec::new();
    for (name, template) in headers {
        match check(name, template) {
            Err(error) => errors.push(error),
            Ok(_) if !template.is_fixed() => rendered.push((name.clone(), template.clone())),
            Ok(value) => {
                fixed.retain(|(other, _)| other != name);
                fixed.push((name.clone(), value));
            }
        }
    }
    rendered
}

/// A header's value, not to be printed: it may hold a token. `None` where no header can hold it.
pub(in crate::webhook) fn value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(text.as_bytes()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A call of which nothing is known.
struct Nothing(Numbers);

impl Values for Nothing {
    fn value(&self, _: &Variable) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn numbers(&self) -> &Numbers {
        &self.0
    }
}
