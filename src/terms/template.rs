//! Texts with `{variables}`, compiled when the configuration is read.
//!
//! `{name}`, `{name|filter|filter:argument}`. Values are encoded for the place where they stand; the text around them
//! is left as it is. RFC 6570 level 1 with filters.
//!
//! What `${NAME}` in the configuration file became is text and nothing else, whatever is in it, and is never shown.

use std::borrow::Cow;
use std::ops::Range;

use super::{Code, Encoding, Numbers, Secret, Variable};

/// What ends the inside of a brace, or shows that it is none of ours.
const NOT_INSIDE: [char; 4] = ['{', '}', '\n', '"'];

/// A compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// What `${NAME}` became, with how it was written.
    Inserted {
        written: String,
        text: Secret,
    },
    Value {
        variable: Variable,
        filters: Vec<Filter>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    Default(String),
    E164,
    National,
    Digits,
    Last(usize),
    PlusOff,
}

/// Where a template stands: what may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A URL, a body or a header of a routing webhook.
    Request,
    /// A caller name. `code` says whether `{code}` may be shown.
    CallerName {
        /// The entry is no secret (`ivr.secret = false`).
        code: bool,
    },
    /// A URL, a body or a header of a subscription.
    Event,
}

/// Where a template gets its values.
pub trait Values {
    /// The value, empty when there is none.
    fn value(&self, variable: &Variable) -> Cow<'_, str>;

    /// How numbers are written here, for `|e164` and `|national`.
    fn numbers(&self) -> &Numbers;
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct TemplateError {
    /// Bytes of the text that it is about.
    pub range: Range<usize>,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl Template {
    /// Compiles a text. Every mistake is reported, in the text's order. A brace that begins no variable, such as JSON's,
    /// is text; one that was meant to (`{ did }`, `{{did}}`, `{did`) is a mistake.
    pub fn parse(text: &str, place: Place) -> Result<Template, Vec<TemplateError>> {
        Self::parse_with(text, place, &[])
    }

    /// Compiles a text in which some ranges, in their order, stand for a text of their own: the values of `${NAME}`.
    /// A brace in such a value begins no variable. The ranges of errors are those of `text`.
    pub fn parse_with(
        text: &str,
        place: Place,
        inserted: &[(Range<usize>, Secret)],
    ) -> Result<Template, Vec<TemplateError>> {
        let mut parts = Vec::new();
        let mut errors = Vec::new();
        let mut literal = String::new();
        let mut inserted = inserted.iter().peekable();
        let mut at = 0;
        loop {
            let brace = text[at..].find('{').map(|i| at + i);
            if let Some((range, value)) = inserted.next_if(|(r, _)| brace.is_none_or(|b| r.start < b)) {
                literal.push_str(&text[at..range.start]);
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                let written = text[range.clone()].to_owned();
                parts.push(Part::Inserted { written, text: value.clone() });
                at = range.end;
                continue;
            }
            let Some(open) = brace else { break };
            literal.push_str(&text[at..open]);
            let inside = &text[open + 1..];
            let begins = inside.starts_with(|c: char| c.is_ascii_alphabetic());
            if let Some((range, problem)) = near_miss(text, open, place) {
                at = range.end;
                errors.push(TemplateError { range, problem });
                continue;
            }
            match inside.find(NOT_INSIDE) {
                Some(len) if begins && inside[len..].starts_with('}') => {
                    match parse_value(&inside[..len], open + 1, place) {
                        Ok(part) => {
                            if !literal.is_empty() {
                                parts.push(Part::Literal(std::mem::take(&mut literal)));
                            }
                            parts.push(part);
                        }
                        Err(mut found) => errors.append(&mut found),
                    }
                    at = open + 1 + len + 1;
                }
                _ => {
                    literal.push('{');
                    at = open + 1;
                }
            }
        }
        literal.push_str(&text[at..]);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        if errors.is_empty() { Ok(Template { text: text.to_owned(), parts }) } else { Err(errors) }
    }

    /// The text as it was written, with `${NAME}` and not what it became.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it names the variable.
    pub fn uses(&self, wanted: &Variable) -> bool {
        self.parts.iter().any(|p| matches!(p, Part::Value { variable, .. } if variable == wanted))
    }

    /// Each variable with the bytes of [`Template::as_str`] at which it stands, braces included.
    pub fn variables(&self) -> impl Iterator<Item = (Range<usize>, &Variable)> {
        let mut at = 0;
        self.parts.iter().filter_map(move |part| {
            let start = at;
            let (length, variable) = match part {
                Part::Literal(text) => (text.len(), None),
                Part::Inserted { written, .. } => (written.len(), None),
                // What stands in a variable's braces holds none.
                Part::Value { variable, .. } => {
                    (self.text[at..].find('}').map_or(0, |end| end + 1), Some(variable))
                }
            };
            at += length;
            Some((start..at, variable?))
        })
    }

    /// Whether it is the same for every call.
    pub fn is_fixed(&self) -> bool {
        self.variables().next().is_none()
    }

    /// What comes before the first variable: the same for every call. Holds the values of `${NAME}`.
    pub fn fixed_start(&self) -> Secret {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Inserted { text, .. } => out.push_str(text.reveal()),
                Part::Value { .. } => break,
            }
        }
        Secret::new(out)
    }

    /// The template without so many bytes of [`Template::fixed_start`].
    pub fn without_start(&self, mut bytes: usize) -> Template {
        let mut parts = self.parts.clone();
        let mut written_at = 0;
        for part in &mut parts {
            let (text, length) = match part {
                Part::Literal(text) => (text.clone(), bytes.min(text.len())),
                Part::Inserted { text, .. } => (text.reveal().to_owned(), bytes.min(text.reveal().len())),
                Part::Value { .. } => break,
            };
            bytes -= length;
            let left = text[length..].to_owned();
            match part {
                Part::Inserted { written, text } => {
                    written_at += if left.is_empty() { written.len() } else { 0 };
                    *text = Secret::new(left);
                }
                part => {
                    written_at += length;
                    *part = Part::Literal(left);
                }
            }
        }
        parts.retain(|part| match part {
            Part::Literal(text) => !text.is_empty(),
            Part::Inserted { text, .. } => !text.reveal().is_empty(),
            Part::Value { .. } => true,
        });
        Template { text: self.text[written_at..].to_owned(), parts }
    }

    /// Whether what is sent differs from what people may see.
    pub fn has_hidden(&self, show_code: bool) -> bool {
        let hidden = |part: &Part| match part {
            Part::Literal(_) => false,
            Part::Inserted { .. } => true,
            Part::Value { variable, .. } => *variable == Variable::Code && !show_code,
        };
        self.parts.iter().any(hidden)
    }

    /// The text with its values.
    pub fn render(&self, values: &dyn Values, encoding: Encoding) -> String {
        self.write(values, encoding, None)
    }

    /// The text with its values, for people: `${NAME}` stays as it was written, and [`Code::MASK`] where a code stands
    /// unless it may be shown.
    pub fn render_shown(&self, values: &dyn Values, encoding: Encoding, show_code: bool) -> String {
        self.write(values, encoding, Some(show_code))
    }

    /// `shown`: for people, and whether the code may be shown to them.
    fn write(&self, values: &dyn Values, encoding: Encoding, shown: Option<bool>) -> String {
        let mut out = String::with_capacity(self.text.len() + 32);
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Inserted { written, .. } if shown.is_some() => out.push_str(written),
                Part::Inserted { text, .. } => out.push_str(text.reveal()),
                Part::Value { variable, filters } => {
                    let value = filtered(values, variable, filters);
                    if shown == Some(false) && *variable == Variable::Code && !value.is_empty() {
                        out.push_str(Code::MASK);
                    } else {
                        encoding.push(&mut out, &value);
                    }
                }
            }
        }
        out
    }
}

/// What was meant to be a variable and is not written like one: the bytes from the brace on, and what would be right.
/// None of it can stand in JSON.
fn near_miss(text: &str, open: usize, place: Place) -> Option<(Range<usize>, String)> {
    let inside = &text[open + 1..];
    let double = inside.strip_prefix('{').unwrap_or(inside);
    let before = if inside.len() == double.len() { 1 } else { 2 };
    let end = double.find(NOT_INSIDE).unwrap_or(double.len());
    let name = double[..end].split('|').next().unwrap_or_default();
    let meant = name.trim().to_ascii_lowercase();
    let variable = Variable::known(place).find(|v| v.name() == meant)?;
    let behind = double[end..].bytes().take(before).take_while(|b| *b == b'}').count();
    let meant_so = match double[end..].chars().next() {
        // Else it is written as it must be, but for capitals perhaps: those are an unknown variable.
        Some('}') => before == 2 || name != name.trim(),
        // GraphQL.
        Some('{' | '\n') => false,
        _ => name == name.trim(),
    };
    if !meant_so {
        return None;
    }
    let problem = format!("this is no variable: it is written {{{}}}", variable.name());
    Some((open..open + before + end + behind, problem))
}

fn parse_value(inside: &str, offset: usize, place: Place) -> Result<Part, Vec<TemplateError>> {
    let mut errors = Vec::new();
    let mut pieces = inside.split('|');
    let name = pieces.next().unwrap_or_default();
    let variable = Variable::parse(name, place);
    let mut fail = |range: Range<usize>, problem: String| errors.push(TemplateError { range, problem });
    if variable.is_none() {
        let problem = if name == Variable::Code.name() && place == (Place::CallerName { code: false }) {
            "{code} is a secret and cannot be shown as a name; a menu choice can: ivr.secret = false"
                .to_owned()
        } else if name.strip_prefix("var.").is_some_and(Variable::holds_digits) {
            format!("{{{name}}} holds what callers type, and that is told to nobody")
        } else {
            let mut known: Vec<&str> = Variable::known(place).map(Variable::name).collect();
            known.extend((place == Place::Event).then_some("var.NAME"));
            format!("unknown variable {{{name}}}; known: {}", known.join(" "))
        };
        fail(offset..offset + name.len(), problem);
    }
    let mut filters = Vec::new();
    let mut at = offset + name.len() + 1;
    for piece in pieces {
        match parse_filter(piece) {
            Some(filter) => filters.push(filter),
            None => fail(
                at..at + piece.len(),
                format!(
                    "unknown filter |{piece}; known: |default:TEXT |e164 |national |digits |last:N |plus:off"
                ),
            ),
        }
        at += piece.len() + 1;
    }
    match variable {
        Some(variable) if errors.is_empty() => Ok(Part::Value { variable, filters }),
        _ => Err(errors),
    }
}

fn parse_filter(piece: &str) -> Option<Filter> {
    Some(match piece.split_once(':').map_or((piece, None), |(name, arg)| (name, Some(arg))) {
        ("default", Some(text)) => Filter::Default(text.to_owned()),
        ("e164", None) => Filter::E164,
        ("national", None) => Filter::National,
        ("digits", None) => Filter::Digits,
        ("last", Some(n)) => Filter::Last(n.parse().ok().filter(|n| *n > 0)?),
        ("plus", Some("off")) => Filter::PlusOff,
        _ => return None,
    })
}

fn filtered<'a>(values: &'a dyn Values, variable: &'a Variable, filters: &'a [Filter]) -> Cow<'a, str> {
    let mut value = values.value(variable);
    for filter in filters {
        value = match filter {
            Filter::Default(text) if value.is_empty() => Cow::Borrowed(text),
            Filter::Default(_) => value,
            Filter::E164 => Cow::Owned(values.numbers().e164(&value)),
            Filter::National => Cow::Owned(values.numbers().national(&value)),
            Filter::Digits => Cow::Owned(value.chars().filter(char::is_ascii_digit).collect()),
            Filter::Last(n) => {
                let skip = value.chars().count().saturating_sub(*n);
                Cow::Owned(value.chars().skip(skip).collect())
            }
            Filter::PlusOff => match value.strip_prefix('+') {
                Some(rest) => Cow::Owned(rest.to_owned()),
                None => value,
            },
        };
    }
    value
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    struct Given(Numbers);

    impl Values for Given {
        fn value(&self, variable: &Variable) -> Cow<'_, str> {
            Cow::Borrowed(if *variable == Variable::Did { "+31 5" } else { "" })
        }

        fn numbers(&self) -> &Numbers {
            &self.0
        }
    }

    #[test]
    fn what_callers_type_cannot_be_named() {
        for name in ["var.digits_dialed", "var.DIGITS_DIALED", "var.switchhook_digits"] {
            let errors = Template::parse(&format!("x={{{name}}}"), Place::Event).expect_err(name);
            assert_eq!(errors.len(), 1);
            assert!(errors[0].problem.contains("what callers type"), "{}", errors[0].problem);
        }
        assert!(Template::parse("x={var.crm_ticket}", Place::Event).is_ok());
    }

    #[test]
    fn an_inserted_value_is_text_and_is_not_shown() {
        let text = "https://${host}/r?k=${KEY}&d={did}${KEY}";
        let inserted: Vec<(Range<usize>, Secret)> = text
            .match_indices("${")
            .map(|(at, _)| {
                let end = at + text[at..].find('}').expect("closed") + 1;
                let value = if &text[at..end] == "${host}" { "crm.example.com" } else { "{code}%" };
                (at..end, Secret::new(value))
            })
            .collect();
        let template = Template::parse_with(text, Place::Request, &inserted).expect("right");
        let given = Given(Numbers::default());
        assert_eq!(
            template.render(&given, Encoding::Percent),
            "https://crm.example.com/r?k={code}%&d=%2B31%205{code}%"
        );
        assert_eq!(
            template.render_shown(&given, Encoding::Percent, true),
            "https://${host}/r?k=${KEY}&d=%2B31%205${KEY}"
        );
        assert!(!template.uses(&Variable::Code));
        let at = text.find("{did}").expect("there");
        assert_eq!(template.variables().collect::<Vec<_>>(), [(at..at + 5, &Variable::Did)]);
        assert_eq!(template.fixed_start().reveal(), "https://crm.example.com/r?k={code}%&d=");
        assert!(!format!("{template:?}").contains("example.com"));
        let path = template.without_start("https://crm.example.com".len());
        assert_eq!(path.as_str(), "/r?k=${KEY}&d={did}${KEY}");
        assert_eq!(path.render(&given, Encoding::Percent), "/r?k={code}%&d=%2B31%205{code}%");
    }
}
