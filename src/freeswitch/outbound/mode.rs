//! How the dialplan called us. What one mode needs to go on loses the caller in the other (measured):
//!
//! | | dialplan goes on |
//! |---|---|
//! | `async` | with `socket_resume=true`; without, a call can be left parked in dead air |
//! | not `async` | without it; with it the channel is stuck and the caller hears nothing |
//!
//! So the variable is put right where it is wrong. The command `resume` does the same, but for good: a dialplan that has
//! got away from a frozen daemon could not take it back, and would lose its caller when the daemon ends.

use crate::freeswitch::esl::Event;

/// The variable that makes a channel go on with its dialplan after we left.
pub(super) const RESUME: &str = "socket_resume";

/// Whether the channel still waits for us. One that does not has gone on without us: a daemon that was frozen
/// connects then, and what it wrote would be done to a caller in a conversation (measured).
pub(super) fn waits_for_us(channel: &Event) -> bool {
    channel.variable("current_application").is_some_and(|a| a == "socket")
}

/// What [`RESUME`] has to be set to before anything else, so that leaving works also when it comes at once; and what the
/// dialplan should say instead. `None` where it is right.
pub(super) fn examine(channel: &Event) -> (Option<&'static str>, Option<String>) {
    let is = |name: &str, value: &str| channel.get(name).is_some_and(|v| v == value);
    let (is_async, is_full) = (is("Socket-Mode", "async"), is("Control", "full"));
    let resumes = channel.variable(RESUME).is_some_and(|v| is_true(&v));
    let remedy = match (is_async, resumes) {
        (true, true) | (false, false) => None,
        (true, false) => Some("true"),
        (false, true) => Some(""),
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
