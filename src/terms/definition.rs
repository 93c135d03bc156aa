//! A routing webhook as its owner defined it: section `[webhook.NAME]`, parsed.
//!
//! One type for the file, and later for the store and the page. Everything that could be wrong was refused when it was
//! read; a call finds nothing to complain about.

use std::fmt;
use std::time::Duration;

use regex::Regex;

use super::{Secret, Template, VarName};

/// The name of a webhook or a subscription, `[a-z0-9][a-z0-9_-]{0,62}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebhookName(String);

impl WebhookName {
    /// What a name is made of, in words.
    pub const FORM: &'static str = "a name is a small letter or a digit, then at most 62 of a-z 0-9 _ -";

    /// Reads a name; `None` when it is not of the form.
    pub fn parse(text: &str) -> Option<WebhookName> {
        let mut bytes = text.bytes();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let fits = bytes.next().is_some_and(plain) && bytes.all(|b| plain(b) || b == b'_' || b == b'-');
        (fits && text.len() <= 63).then(|| WebhookName(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WebhookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for WebhookName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A routing webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// Its name.
    pub name: WebhookName,
    /// For people.
    pub description: String,
    /// Switched off: every call fails at once with `disabled`.
    pub enabled: bool,
    /// GET or POST.
    pub method: Method,
    /// Where to ask. Scheme, host and port hold no variable.
    pub url: Template,
    /// Where to ask when the first one does not work.
    pub fallback_url: Option<Template>,
    /// For everything together, DNS to fallback: 1 s to 10 s.
    pub timeout: Duration,
    /// How often the same request may be made again, where nothing of it was sent: 0 to 5.
    pub retries: u32,
    /// Parameters without a value are left out of the query, and of a form.
    pub drop_empty: bool,
    /// Headers of the request.
    pub headers: Vec<(http::HeaderName, Template)>,
    /// Body of a POST.
    pub body: Body,
    /// How `{did}`, `{callerid}` and the numbers of the JSON body are written.
    pub number_format: NumberFormat,
    /// Which number the callee sees.
    pub caller_id: CallerId,
    /// The variable that gets the answer's text.
    pub save_as: Option<VarName>,
    /// Signs the request (Standard Webhooks).
    pub secret: Option<Secret>,
    /// How long an ACK answer is kept; zero: not at all.
    pub cache: Duration,
    /// Present: the caller must enter a code.
    pub ivr: Option<Ivr>,
    /// What name the callee sees.
    pub caller_name: Option<CallerNameRule>,
    /// Where the answer may send the call.
    pub destination: DestinationRule,
    /// The answer's key, in lower case, and the variable that gets its value.
    pub variables: Vec<(String, VarName)>,
}

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// No body.
    Get,
    /// With a body.
    Post,
}

/// The body of a POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The fixed keys as a JSON object.
    Json,
    /// The same keys as a form.
    Form,
    /// A text of the user's own. Values are escaped for JSON, XML or HTML where the content type says so,
    /// percent-encoded for a form, as they are for anything else.
    Template {
        /// The text.
        template: Template,
        /// Its Content-Type.
        content_type: String,
    },
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberFormat {
    /// As the PBX gave them.
    AsIs,
    /// `+31201234567`
    E164,
    /// Without a leading `+`.
    PlusOff,
}

/// Which number the callee sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerId {
    /// The caller's.
    Caller,
    /// The number that was called.
    Called,
    /// None, and no name.
    Suppressed,
}

/// Digit collection: section `[webhook.NAME.ivr]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ivr {
    /// Answer an unanswered channel first.
    pub answer: bool,
    /// The entry is a secret. If not, it is a menu choice: it may be shown, and there is no lockout.
    pub secret: bool,
    /// After the prompt, and between digits: 1 s to 60 s.
    pub timeout: Duration,
    /// Between digits, where it must be another time.
    pub digit_timeout: Option<Duration>,
    /// Entries: 1 to 10.
    pub attempts: u32,
    /// Digits, at least: 1 or more.
    pub min_digits: usize,
    /// Digits, at most.
    pub max_digits: usize,
    /// What a whole entry must look like.
    pub pattern: Option<Pattern>,
    /// Played before an entry.
    pub start_prompt: Option<Prompt>,
    /// Played after a wrong entry.
    pub error_prompt: Option<Prompt>,
    /// Played when nothing was pressed.
    pub timeout_prompt: Option<Prompt>,
    /// The start prompt is played before every entry, not the first alone.
    pub repeat_start_prompt: bool,
    /// After too many wrong codes from one caller. `None`: no lockout.
    pub lockout: Option<LockoutRule>,
}

/// A sound, by the name that each PBX has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Asterisk's: without extension, such as `custom/enter-your-code`.
    pub asterisk: String,
    /// FreeSWITCH's: with extension.
    pub freeswitch: String,
}

/// An expression that must match the whole text.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// Compiles an expression.
    pub fn parse(text: &str) -> Result<Pattern, Box<regex::Error>> {
        // The plain form first: an expression such as `a)|(b` is right only inside the parentheses.
        Regex::new(text)?;
        let regex = Regex::new(&format!("^(?:{text})$"))?;
        Ok(Pattern { text: text.to_owned(), regex })
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The expression, anchored.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }
}

/// When a caller is locked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockoutRule {
    /// Wrong codes of one caller within the window.
    pub failures: u32,
    /// The window.
    pub window: Duration,
    /// Wrong codes of all callers without a number together, within the window.
    pub anonymous: u32,
}

/// What name the callee sees: section `[webhook.NAME.caller_name]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerNameRule {
    /// How.
    pub mode: CallerNameMode,
    /// The text of `prepend` and `replace`.
    pub text: Template,
}

/// The three ways to a caller name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerNameMode {
    /// The answer's name.
    Webhook,
    /// The text in front of the name.
    Prepend,
    /// The text.
    Replace,
}

/// Where the answer may send the call: section `[webhook.NAME.destination]`.
#[derive(Clone, Debug, Default)]
pub struct DestinationRule {
    /// Expressions for the whole text; `None`: the default form.
    pub allow: Option<Vec<Regex>>,
}

impl PartialEq for DestinationRule {
    fn eq(&self, other: &DestinationRule) -> bool {
        let texts = |rule: &DestinationRule| {
            rule.allow.as_ref().map(|all| all.iter().map(|one| one.as_str().to_owned()).collect::<Vec<_>>())
        };
        texts(self) == texts(other)
    }
}

impl Webhook {
    /// One that has a name and a URL, and everything else as it is when the configuration does not say.
    pub fn new(name: WebhookName, url: Template) -> Webhook {
        Webhook {
            name,
            description: String::new(),
            enabled: true,
            method: Method::Get,
            url,
            fallback_url: None,
            timeout: Duration::from_secs(2),
            retries: 0,
            drop_empty: false,
            headers: Vec::new(),
            body: Body::Json,
            number_format: NumberFormat::AsIs,
            caller_id: CallerId::Caller,
            save_as: None,
            secret: None,
            cache: Duration::ZERO,
            ivr: None,
            caller_name: None,
            destination: DestinationRule::default(),
            variables: Vec::new(),
        }
    }

    /// How long the dialplan should guard a call with this webhook: `SECONDS` of its subroutine. 15 s without an IVR;
    /// with one, attempts × (prompts, 30 s assumed, + timeout × (`max_digits` + 1) + webhook timeout) + 5 s.
    pub fn guard_time(&self) -> Duration {
        match &self.ivr {
            None => Duration::from_secs(15),
            Some(ivr) => {
                let digits = u32::try_from(ivr.max_digits).unwrap_or(u32::MAX).saturating_add(1);
                let entry = Duration::from_secs(30) + ivr.timeout.saturating_mul(digits) + self.timeout;
                entry.saturating_mul(ivr.attempts) + Duration::from_secs(5)
            }
        }
    }

    /// How long a call may take on our side: ours ends before the dialplan's guard does.
    pub fn call_deadline(&self) -> Duration {
        self.guard_time() - Duration::from_secs(3)
    }
}
