//! How a call, or one leg of it, came out.

use super::call::{Channel, OpenCall};
use super::channel::DialStatus;
use crate::terms::Disposition;

impl Channel {
    /// How this leg came out. `call_answered`: some leg of its call was answered.
    pub(super) fn disposition(&self, call_answered: bool) -> Disposition {
        if self.talked.is_some() {
            return Disposition::Answered;
        }
        match (self.cause, self.dial_end) {
            (Some(26), _) => Disposition::AnsweredElsewhere,
            (Some(21), _) | (_, Some(DialStatus::Rejected)) => Disposition::Rejected,
            (Some(17), None) | (_, Some(DialStatus::Busy)) => self.busy(),
            // PJSIP tells the far end's refusal only by the cause (measured: 603 is NOANSWER with cause 21).
            (Some(17), Some(DialStatus::NoAnswer)) => self.busy(),
            (_, Some(DialStatus::Cancel)) if call_answered => Disposition::AnsweredElsewhere,
            (_, Some(DialStatus::Cancel)) => Disposition::Cancelled,
            (_, Some(DialStatus::Unreachable)) => Disposition::Failed,
            (Some(cause), None) if is_failure(cause) => Disposition::Failed,
            (_, Some(DialStatus::Answer | DialStatus::NoAnswer | DialStatus::Forwarded) | None) => {
                Disposition::NoAnswer
            }
        }
    }

    /// A phone that is busy does not ring: one that rang was declined by hand.
    fn busy(&self) -> Disposition {
        if self.rang.is_some() { Disposition::Rejected } else { Disposition::Busy }
    }
}

impl OpenCall {
    /// How the call came out.
    pub(super) fn disposition(&self) -> Disposition {
        if self.answer.is_some() {
            return Disposition::Answered;
        }
        let caller = self.caller();
        let cause = caller.and_then(|c| c.cause);
        if cause == Some(26) {
            return Disposition::AnsweredElsewhere;
        }
        if self.abandoned {
            return Disposition::Cancelled;
        }
        // A caller that was dialled himself (originate) and did not answer.
        let originated = caller.filter(|c| c.dialled && c.dial_end.is_some_and(|e| e != DialStatus::Answer));
        let legs = self.legs().filter(|leg| leg.dial_end != Some(DialStatus::Forwarded));
        let outcome =
            originated.into_iter().chain(legs).map(|leg| leg.disposition(false)).max_by_key(|d| rank(*d));
        let by_cause = match cause {
            Some(17) => Disposition::Busy,
            Some(21) => Disposition::Rejected,
            Some(cause) if is_failure(cause) => Disposition::Failed,
            _ if caller.is_some_and(|c| c.asked_hangup) => Disposition::Cancelled,
            _ => Disposition::NoAnswer,
        };
        outcome.unwrap_or(by_cause)
    }

    /// The Q.850 cause: the caller's, else the last leg's. 0 is Asterisk's word for none.
    pub(super) fn hangup_cause(&self) -> Option<u16> {
        let legs: Vec<&Channel> = self.legs().collect();
        self.caller()
            .into_iter()
            .chain(legs.into_iter().rev())
            .find_map(|c| c.cause.filter(|cause| *cause != 0))
    }
}

/// Of several legs the one that says most about what the caller met.
fn rank(disposition: Disposition) -> u8 {
    match disposition {
        Disposition::Failed => 0,
        Disposition::Busy => 1,
        Disposition::Rejected => 2,
        Disposition::NoAnswer => 3,
        Disposition::AnsweredElsewhere => 4,
        Disposition::Cancelled => 5,
        Disposition::Answered => 6,
    }
}

/// Q.850 causes of calls that reached nobody: no such number, no route, out of order, congestion, not allowed.
fn is_failure(cause: u16) -> bool {
    matches!(cause, 1..=6 | 20 | 22 | 25 | 27..=30 | 34..=66 | 69..=111)
}
