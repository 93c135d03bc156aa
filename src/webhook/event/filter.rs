//! Who is told of what.

use super::EventPlan;
use crate::terms::{CallEvent, Direction, Event, EventKind, Restrict, Subscription, UserEvent};

/// A text that ends like another one is the same number written in another way, from so many digits on. Fewer are an
/// extension or a short number.
const LOCAL_DIGITS: usize = 7;

impl EventPlan {
    /// Whether this event is for this subscription.
    pub fn wants(&self, event: &Event) -> bool {
        let subscription = &self.subscription;
        subscription.enabled
            && subscription.events.contains(&event.kind())
            && match event {
                Event::Call(call) => wants_call(subscription, call),
                Event::User(user) => wants_change(&subscription.restrict, user),
            }
    }
}

fn wants_call(subscription: &Subscription, call: &CallEvent) -> bool {
    let direction = match &subscription.directions {
        Some(directions) => directions.contains(&call.direction),
        None => call.event != EventKind::Call || call.direction == Direction::In,
    };
    let restrict = &subscription.restrict;
    let numbers = [&call.did, &call.callto, &call.callerid, &call.callfrom];
    let phones = [&call.extension, &call.callto, &call.callfrom]
        .into_iter()
        .chain(call.legs.iter().map(|l| &l.extension));
    let came_out = call.disposition.is_none_or(|disposition| {
        restrict.dispositions.is_empty() || restrict.dispositions.contains(&disposition)
    });
    let of_number = |wanted: &String| numbers.iter().any(|number| is_same_number(wanted, number));
    let mut of_phone = phones.map(|phone| restrict.extensions.contains(phone));
    direction
        && came_out
        && (restrict.numbers.is_empty() || restrict.numbers.iter().any(of_number))
        && (restrict.extensions.is_empty() || of_phone.any(|is| is))
}

fn wants_change(restrict: &Restrict, user: &UserEvent) -> bool {
    restrict.people.is_empty() || restrict.people.contains(&user.actor)
}

/// Whether two texts are one number. `0201234567`, `+31201234567`, `0031201234567` and `31 20 123 45 67` are; an
/// extension is itself alone.
fn is_same_number(a: &str, b: &str) -> bool {
    if a == b {
        return !a.is_empty();
    }
    let digits = |text: &str| -> Option<String> {
        let plain = |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '.' | '(' | ')' | '/');
        text.chars().all(plain).then(|| text.chars().filter(char::is_ascii_digit).collect())
    };
    let (Some(a), Some(b)) = (digits(a), digits(b)) else { return false };
    if a == b {
        return !a.is_empty();
    }
    // What is dialled before a number: 0, 00, or nothing behind a `+`.
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    short.len() >= LOCAL_DIGITS && long.len() - short.len() <= MAX_COUNTRY && long.ends_with(short)
}

/// Digits of a country code, at most (ITU-T E.164).
const MAX_COUNTRY: usize = 3;

#[cfg(test)]
mod tests {
    use super::is_same_number;

    #[test]
    fn one_number_in_many_ways() {
        for (a, b) in [
            ("0201234567", "+31201234567"),
            ("0031201234567", "31201234567"),
            ("+31 20-123 45 67", "0201234567"),
            ("12025550123", "2025550123"),
            ("+4512345678", "12345678"),
            ("201", "201"),
            ("alice", "alice"),
        ] {
            assert!(is_same_number(a, b) && is_same_number(b, a), "{a} {b}");
        }
        for (a, b) in [
            ("201", "0201"),
            ("201", "31201234201"),
            ("2025550123", "3025550123"),
            ("", ""),
            ("", "0201234567"),
            ("alice", "bob"),
            ("1234567", "310201234567"),
            ("sip0201234567", "0201234567"),
        ] {
            assert!(!is_same_number(a, b) && !is_same_number(b, a), "{a} {b}");
        }
    }
}
