//! What a template can name, for one request of one call.

use std::borrow::Cow;

use super::{Channel, Code, NumberFormat, Numbers, Values, Variable};

/// The values of one call at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What the PBX said.
    pub channel: &'a Channel,
    /// The journal's id.
    pub call: &'a str,
    /// The entry, where there is one.
    pub code: Option<&'a Code>,
    /// How numbers are written.
    pub format: NumberFormat,
    /// How numbers are written here.
    pub numbers: &'a Numbers,
    /// Now, ms since 1970.
    pub now: i64,
}

impl Facts<'_> {
    /// A number in the webhook's format.
    pub fn number<'a>(&self, number: &'a str) -> Cow<'a, str> {
        match self.format {
            NumberFormat::AsIs => Cow::Borrowed(number),
            NumberFormat::E164 => Cow::Owned(self.numbers.e164(number)),
            NumberFormat::PlusOff => Cow::Borrowed(number.strip_prefix('+').unwrap_or(number)),
        }
    }
}

impl Values for Facts<'_> {
    fn value(&self, variable: &Variable) -> Cow<'_, str> {
        let channel = self.channel;
        match variable {
            Variable::Code => Cow::Borrowed(self.code.map_or("", Code::reveal)),
            Variable::Did | Variable::CallTo => self.number(&channel.did),
            Variable::CallerId | Variable::CallFrom => self.number(channel.callerid.as_str()),
            Variable::CallerName => Cow::Borrowed(&channel.callername),
            Variable::Call => Cow::Borrowed(self.call),
            Variable::CallUniqueId => Cow::Borrowed(&channel.linked_id),
            Variable::Extension => Cow::Borrowed(&channel.extension),
            Variable::Account => Cow::Borrowed(&channel.account),
            Variable::Timestamp => Cow::Owned(self.now.to_string()),
            Variable::Start => Cow::Owned(channel.start.map_or_else(String::new, |ms| ms.to_string())),
            // An event's own: no template of a routed call can name it.
            _ => Cow::Borrowed(""),
        }
    }

    fn numbers(&self) -> &Numbers {
        self.numbers
    }
}
