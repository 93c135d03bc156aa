//! The body of a POST when the owner wrote none.

use serde_json::{Map, Value};

use crate::terms::{CallEvent, Event, EventKind, LegRecord, Place, Variable};

/// All variables as a JSON object. Every value is the text of the variable, but for `synthetic`, which is `true` or
/// `false`, `var`, an object of texts, and `legs`, which a [`EventKind::Cdr`] has.
pub(super) fn body(event: &Event) -> String {
    let mut body = Map::new();
    for variable in Variable::known(Place::Event).filter(|v| is_of(v, event)) {
        body.insert(variable.name().to_owned(), Value::from(event.value(variable)));
    }
    if let Event::Call(call) = event {
        add(&mut body, call);
    }
    Value::Object(body).to_string()
}

fn add(body: &mut Map<String, Value>, call: &CallEvent) {
    body.insert("synthetic".to_owned(), Value::from(call.synthetic));
    let var = call.var.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    body.insert("var".to_owned(), Value::Object(var.collect()));
    if call.event == EventKind::Cdr {
        body.insert("legs".to_owned(), call.legs.iter().map(leg).collect());
    }
}

fn leg(leg: &LegRecord) -> Value {
    let time = |at: Option<i64>| Value::from(at.map_or_else(String::new, |ms| ms.to_string()));
    let fields = [
        ("extension", Value::from(leg.extension.as_str())),
        ("number", Value::from(leg.number.as_str())),
        ("ringing", time(leg.ringing)),
        ("answer", time(leg.answer)),
        ("end", time(leg.end)),
        ("disposition", Value::from(leg.disposition.as_str())),
    ];
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Events of calls and changes by people have other variables.
fn is_of(variable: &Variable, event: &Event) -> bool {
    use Variable::{Action, Actor, Object, ObjectName, Timestamp};
    let of_people = matches!(variable, Actor | Action | Object | ObjectName);
    match event {
        Event::Call(_) => !of_people,
        Event::User(_) => of_people || matches!(variable, Variable::Event | Timestamp),
    }
}
