//! How the dialplan called us. Each way of leaving works in one mode and loses the caller in the other (measured):
//!
//! | | dialplan goes on |
//! |---|---|
//! | `async` | with `socket_resume=true` or after `resume`; without, a call can be left parked in dead air |
//! | not `async` | without either; with one of them the channel is stuck and the caller hears nothing |

use crate::freeswitch::esl::Event;

/// What has to be done before anything else, so that leaving works also when it comes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The dialplan is right, or wrong in a way that does no harm now.
    Nothing,
    /// `async` without `socket_resume`: `resume`.
    Resume,
    /// Not `async`, with `socket_resume`: removes the variable.
    NoResume,
}

/// The remedy, and what the dialplan should say instead; `None` when it is right.
pub(super) fn examine(channel: &Event) -> (Remedy, Option<String>) {
    let is = |name: &str, value: &str| channel.get(name).is_some_and(|v| v == value);
    let (is_async, is_full) = (is("Socket-Mode", "async"), is("Control", "full"));
    let resumes = channel.variable("socket_resume").is_some_and(|v| is_true(&v));
    let remedy = match (is_async, resumes) {
        (true, true) | (false, false) => Remedy::Nothing,
        (true, false) => Remedy::Resume,
        (false, true) => Remedy::NoResume,
    };
    let mut lines = Vec::new();
    if !resumes {
        lines.push(r#"<action application="set" data="socket_resume=true"/>"#.to_owned());
    }
    if !is_async || !is_full || !resumes {
        // The application that runs now is the one that called us.
        let data = channel.variable("current_application_data").unwrap_or_default();
        let address = data.split(' ').next().unwrap_or_default();
        lines.push(format!(r#"<action application="socket" data="{address} async full"/>"#));
    }
    (remedy, (!lines.is_empty()).then(|| format!("the dialplan should have {}", lines.join(" and then "))))
}

/// As FreeSWITCH reads a truth.
fn is_true(text: &str) -> bool {
    ["yes", "on", "true", "t", "enabled", "active", "allow"].iter().any(|w| text.eq_ignore_ascii_case(w))
        || text.parse::<i64>().is_ok_and(|n| n != 0)
}
