//! What a call leaves behind on its channel: the result variables, and what the callee sees.

use super::{CallerChange, Finish};
use crate::terms::{
    Answer, CallResult, CallerId, CallerNameMode, Channel, Code, Destination, Dialect, Encoding, Facts,
    Journal, Numbers, PbxText, VarName, Webhook,
};

/// How a call came out, with all that the variables are made of.
pub(super) struct Ending<'a> {
    pub(super) webhook: Option<&'a Webhook>,
    pub(super) numbers: &'a Numbers,
    pub(super) channel: &'a Channel,
    pub(super) journal: &'a Journal,
    pub(super) code: Option<&'a Code>,
    pub(super) answer: Option<&'a Answer>,
    pub(super) http_status: Option<u16>,
    pub(super) destination: Option<&'a Destination>,
}

/// Everything for the channel, and the names of what had to be cleaned. All variables are written in every outcome,
/// empty where there is nothing, the result last: the dialplan takes it as the sign that the rest is there.
pub(super) fn compose(ending: &Ending<'_>) -> (Finish, Vec<String>) {
    let mut out = Composer { variables: Vec::with_capacity(16), cleaned: Vec::new() };
    let success = ending.journal.result == CallResult::Success;
    let answer = ending.answer;
    if let Some(webhook) = ending.webhook {
        if let Some(name) = &webhook.save_as {
            out.set(name.clone(), answer.map_or("", |a| &a.text));
        }
        for (key, name) in &webhook.variables {
            let value = answer.and_then(|a| a.pairs.iter().find(|(k, _)| k == key));
            out.set(name.clone(), value.map_or("", |(_, v)| v));
        }
        if let Some(ivr) = &webhook.ivr
            && !ivr.secret
        {
            out.set(VarName::own("WEBHOOK_CODE"), ending.code.map_or("", Code::reveal));
        }
    }
    let http_status = answer.map(|a| a.http_status).or(ending.http_status);
    // A text that is compared in the dialplan says no status.
    let stated = answer.filter(|a| a.dialect != Dialect::Text);
    out.set(VarName::own("WEBHOOK_STATUS"), stated.map_or("", |a| a.status.as_str()));
    out.set(VarName::own("WEBHOOK_DESTINATION"), ending.destination.map_or("", Destination::as_str));
    out.set_name(VarName::own("WEBHOOK_CALLERNAME"), answered_name(answer));
    out.set(VarName::own("WEBHOOK_HTTP_STATUS"), &http_status.map_or_else(String::new, |s| s.to_string()));
    out.set(VarName::own("WEBHOOK_CALL"), &ending.journal.call);
    out.set(VarName::own("WEBHOOK_REASON"), ending.journal.reason.as_str());
    out.set(VarName::own("WEBHOOK_RESULT"), ending.journal.result.as_str());
    let caller = match ending.webhook {
        Some(webhook) => caller_change(webhook, ending, success, &mut out.cleaned),
        None => CallerChange::Nothing,
    };
    (Finish { caller, variables: out.variables }, out.cleaned)
}

/// Whether a variable's value is the program's own word: nothing in it came from the caller or the web server.
pub(super) fn is_ours(name: &VarName) -> bool {
    matches!(
        name.as_str(),
        "WEBHOOK_STATUS" | "WEBHOOK_HTTP_STATUS" | "WEBHOOK_CALL" | "WEBHOOK_REASON" | "WEBHOOK_RESULT"
    )
}

/// The answer's name counts beside ACK alone.
fn answered_name(answer: Option<&Answer>) -> &str {
    answer.filter(|a| a.status == crate::terms::Status::Ack).map_or("", |a| &a.callername)
}

fn caller_change(
    webhook: &Webhook,
    ending: &Ending<'_>,
    success: bool,
    cleaned: &mut Vec<String>,
) -> CallerChange {
    let name = if success { new_name(webhook, ending) } else { None };
    let name = name.map(|text| cleaned_name(&text, cleaned));
    match webhook.caller_id {
        CallerId::Suppressed => CallerChange::Suppress,
        CallerId::Called => {
            let number = Some(PbxText::clean(&ending.channel.did).0).filter(|n| !n.is_empty());
            // A withheld caller's own name must not be shown with our number.
            let hidden = ending.channel.withheld && number.is_some();
            let name = name.or_else(|| hidden.then(PbxText::default));
            CallerChange::Show { name, present: number.is_some(), number }
        }
        CallerId::Caller if name.is_some() => CallerChange::Show { name, number: None, present: false },
        CallerId::Caller => CallerChange::Nothing,
    }
}

fn new_name(webhook: &Webhook, ending: &Ending<'_>) -> Option<String> {
    let rule = webhook.caller_name.as_ref()?;
    let text = || {
        let facts = Facts {
            channel: ending.channel,
            call: &ending.journal.call,
            code: ending.code,
            format: webhook.number_format,
            numbers: ending.numbers,
            now: ending.journal.started,
        };
        rule.text.render(&facts, Encoding::Plain)
    };
    match rule.mode {
        CallerNameMode::Webhook => Some(answered_name(ending.answer).to_owned()).filter(|n| !n.is_empty()),
        CallerNameMode::Prepend => prepended(&text(), &ending.channel.name_on_channel),
        CallerNameMode::Replace => Some(text()),
    }
}

/// The text literally in front of the name. A name that begins with it already is left alone: a call that passes twice
/// is not marked twice.
pub(super) fn prepended(text: &str, name: &str) -> Option<String> {
    let clean = PbxText::clean_name(text).0;
    let there = !clean.is_empty() && name.starts_with(clean.as_str());
    (!clean.is_empty() && !there).then(|| format!("{text}{name}"))
}

/// A change of the name and nothing else.
pub(super) fn name_only(name: Option<&str>) -> CallerChange {
    match name {
        Some(name) => {
            CallerChange::Show { name: Some(PbxText::clean_name(name).0), number: None, present: false }
        }
        None => CallerChange::Nothing,
    }
}

fn cleaned_name(text: &str, cleaned: &mut Vec<String>) -> PbxText {
    let (name, changed) = PbxText::clean_name(text);
    if changed.any() {
        cleaned.push("caller name".to_owned());
    }
    name
}

struct Composer {
    variables: Vec<(VarName, PbxText)>,
    cleaned: Vec<String>,
}

impl Composer {
    fn set(&mut self, name: VarName, text: &str) {
        self.push(name, PbxText::clean(text));
    }

    fn set_name(&mut self, name: VarName, text: &str) {
        self.push(name, PbxText::clean_name(text));
    }

    fn push(&mut self, name: VarName, (value, changed): (PbxText, crate::terms::Cleaned)) {
        if changed.any() {
            self.cleaned.push(name.to_string());
        }
        self.variables.push((name, value));
    }
}
