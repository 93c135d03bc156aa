//! Too many wrong codes from one caller: no prompt and no request for a while.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::terms::LockoutRule;

/// The wrong codes of one webhook, within a sliding window, by the caller's number.
///
/// Callers without a number (the empty text) share one bucket with its own limit. A time that runs backwards is taken
/// as the latest one seen.
#[derive(Debug)]
pub struct Lockout {
    rule: LockoutRule,
    callers: HashMap<String, VecDeque<Instant>>,
    latest: Option<Instant>,
}

/// One caller's wrong codes within the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongCodes {
    /// The caller's number; empty for all callers without one.
    pub caller: String,
    /// How many, at most as many as lock out.
    pub failures: u32,
    /// How long the caller stays locked out; `None` when it is not.
    pub locked_for: Option<Duration>,
}

impl Lockout {
    /// Callers that are remembered, at most: some megabytes. Whoever calls from ever new numbers pushes out those who
    /// failed longest ago.
    pub const MAX_CALLERS: usize = 10_000;

    /// Nobody has failed yet.
    pub fn new(rule: LockoutRule) -> Lockout {
        Lockout { rule, callers: HashMap::new(), latest: None }
    }

    /// Another rule, as after a reload. What was counted stays counted.
    pub fn set_rule(&mut self, rule: LockoutRule) {
        self.rule = rule;
        for (caller, times) in &mut self.callers {
            keep_newest(times, limit(&rule, caller));
        }
    }

    /// How many wrong codes have locked this caller out; `None` when it may try.
    pub fn locked(&mut self, now: Instant, caller: &str) -> Option<u32> {
        let now = self.forward(now);
        let limit = limit(&self.rule, caller);
        let times = self.callers.get_mut(caller)?;
        forget_old(times, now, self.rule.window);
        if times.is_empty() {
            self.callers.remove(caller);
            return None;
        }
        (times.len() >= limit).then(|| count(times))
    }

    /// The caller entered a wrong code.
    pub fn wrong_code(&mut self, now: Instant, caller: &str) {
        let now = self.forward(now);
        self.insert(now, now, caller);
    }

    /// The caller entered a right code. Returns whether there was anything to forget. A right code from a caller
    /// without a number says nothing about the others who share the bucket: it clears nothing.
    pub fn right_code(&mut self, caller: &str) -> bool {
        !caller.is_empty() && self.callers.remove(caller).is_some()
    }

    /// A wrong code from before the start, so long ago. Order does not matter.
    pub fn restore(&mut self, now: Instant, caller: &str, age: Duration) {
        let now = self.forward(now);
        // An age from before the machine started is older than any clock here can say.
        if age < self.rule.window
            && let Some(at) = now.checked_sub(age)
        {
            self.insert(now, at, caller);
        }
    }

    /// Everybody with wrong codes within the window, the most first.
    pub fn list(&mut self, now: Instant) -> Vec<WrongCodes> {
        let now = self.forward(now);
        self.forget_expired(now);
        let window = self.rule.window;
        let mut found: Vec<WrongCodes> = self
            .callers
            .iter()
            .map(|(caller, times)| {
                let locked = times.len() >= limit(&self.rule, caller);
                let until = times.front().map(|oldest| *oldest + window);
                let locked_for = until.filter(|_| locked).map(|until| until.saturating_duration_since(now));
                WrongCodes { caller: caller.clone(), failures: count(times), locked_for }
            })
            .collect();
        found.sort_by(|a, b| b.failures.cmp(&a.failures).then_with(|| a.caller.cmp(&b.caller)));
        found
    }

    /// Forgets one caller's wrong codes, or everybody's. The empty text names the callers without a number.
    pub fn clear(&mut self, caller: Option<&str>) {
        match caller {
            Some(caller) => drop(self.callers.remove(caller)),
            None => self.callers.clear(),
        }
    }

    fn forward(&mut self, now: Instant) -> Instant {
        let latest = self.latest.map_or(now, |latest| latest.max(now));
        self.latest = Some(latest);
        latest
    }

    fn insert(&mut self, now: Instant, at: Instant, caller: &str) {
        let limit = limit(&self.rule, caller);
        if !self.callers.contains_key(caller) {
            self.make_room(now);
            self.callers.insert(caller.to_owned(), VecDeque::new());
        }
        let Some(times) = self.callers.get_mut(caller) else { return };
        forget_old(times, now, self.rule.window);
        let place = times.partition_point(|t| *t <= at);
        times.insert(place, at);
        keep_newest(times, limit);
    }

    fn make_room(&mut self, now: Instant) {
        if self.callers.len() < Self::MAX_CALLERS {
            return;
        }
        self.forget_expired(now);
        if self.callers.len() < Self::MAX_CALLERS {
            return;
        }
        let oldest =
            self.callers.iter().min_by_key(|(_, times)| times.back()).map(|(caller, _)| caller.clone());
        if let Some(oldest) = oldest {
            self.callers.remove(&oldest);
        }
    }

    fn forget_expired(&mut self, now: Instant) {
        let window = self.rule.window;
        self.callers.retain(|_, times| {
            forget_old(times, now, window);
            !times.is_empty()
        });
    }
}

/// Wrong codes that lock a caller out. More than these are not kept: they would change nothing.
fn limit(rule: &LockoutRule, caller: &str) -> usize {
    let failures = if caller.is_empty() { rule.anonymous } else { rule.failures };
    usize::try_from(failures.max(1)).unwrap_or(usize::MAX)
}

fn forget_old(times: &mut VecDeque<Instant>, now: Instant, window: Duration) {
    while times.front().is_some_and(|t| now.saturating_duration_since(*t) >= window) {
        times.pop_front();
    }
}

fn keep_newest(times: &mut VecDeque<Instant>, limit: usize) {
    while times.len() > limit {
        times.pop_front();
    }
}

fn count(times: &VecDeque<Instant>) -> u32 {
    u32::try_from(times.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: LockoutRule = LockoutRule { failures: 3, window: Duration::from_secs(60), anonymous: 5 };

    /// A moment to count from, with room before it.
    #[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
    fn epoch() -> Instant {
        Instant::now() + Duration::from_secs(1_000_000)
    }

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn the_third_wrong_code_locks_out_until_the_first_is_a_window_old() {
        let (mut lockout, t) = (Lockout::new(RULE), epoch());
        for s in [0, 10, 20] {
            assert_eq!(lockout.locked(t + secs(s), "0612345678"), None);
            lockout.wrong_code(t + secs(s), "0612345678");
        }
        assert_eq!(lockout.locked(t + secs(21), "0612345678"), Some(3));
        assert_eq!(lockout.locked(t + secs(21), "0687654321"), None);
        assert_eq!(lockout.list(t + secs(21))[0].locked_for, Some(secs(39)));
        assert_eq!(lockout.locked(t + secs(59), "0612345678"), Some(3));
        assert_eq!(lockout.locked(t + secs(60), "0612345678"), None);
    }

    #[test]
    fn a_right_code_clears_its_caller_but_not_the_bucket_of_those_without_a_number() {
        let (mut lockout, t) = (Lockout::new(RULE), epoch());
        for _ in 0..5 {
            lockout.wrong_code(t, "0612345678");
            lockout.wrong_code(t, "");
        }
        assert_eq!((lockout.locked(t, "0612345678"), lockout.locked(t, "")), (Some(3), Some(5)));
        assert!(lockout.right_code("0612345678"));
        assert!(!lockout.right_code("0612345678"));
        assert!(!lockout.right_code(""));
        assert_eq!((lockout.locked(t, "0612345678"), lockout.locked(t, "")), (None, Some(5)));
        lockout.clear(Some(""));
        assert_eq!(lockout.list(t), []);
    }

    #[test]
    fn wrong_codes_from_before_the_start_count_with_their_age() {
        let (mut lockout, t) = (Lockout::new(RULE), epoch());
        lockout.wrong_code(t, "1");
        for age in [59, 60, 5, 100_000_000] {
            lockout.restore(t, "1", secs(age));
        }
        assert_eq!(lockout.locked(t, "1"), Some(3));
        assert_eq!(lockout.locked(t + secs(1), "1"), None);
    }

    #[test]
    fn ever_new_numbers_push_out_the_oldest_and_nobody_else() {
        let (mut lockout, t) = (Lockout::new(RULE), epoch());
        for i in 0..=Lockout::MAX_CALLERS as u64 {
            lockout.wrong_code(t + Duration::from_millis(i), &i.to_string());
        }
        assert_eq!(lockout.callers.len(), Lockout::MAX_CALLERS);
        assert!(!lockout.callers.contains_key("0"));
        assert!(lockout.callers.contains_key("1"));
        // Once the window is over they all make room at once.
        lockout.wrong_code(t + secs(120), "new");
        assert_eq!(lockout.callers.len(), 1);
    }

    #[test]
    fn a_stricter_rule_counts_what_was_there() {
        let (mut lockout, t) = (Lockout::new(RULE), epoch());
        lockout.wrong_code(t, "1");
        lockout.wrong_code(t, "1");
        lockout.set_rule(LockoutRule { failures: 2, ..RULE });
        assert_eq!(lockout.locked(t, "1"), Some(2));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Wrong(u8),
        Right(u8),
        Clear(Option<u8>),
        Restore(u8, u64),
        Ask(u8),
    }

    /// Caller 0 is the one without a number.
    fn name(caller: u8) -> String {
        if caller == 0 { String::new() } else { caller.to_string() }
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0..4u8).prop_map(Op::Wrong),
            1 => (0..4u8).prop_map(Op::Right),
            1 => proptest::option::of(0..4u8).prop_map(Op::Clear),
            1 => ((0..4u8), (0..90u64)).prop_map(|(c, age)| Op::Restore(c, age)),
            4 => (0..4u8).prop_map(Op::Ask),
        ]
    }

    proptest! {
        /// The model: every wrong code with its time, counted anew at each question.
        #[test]
        fn agrees_with_counting_everything(ops in proptest::collection::vec((op(), -10..20i64), 1..80)) {
            let (epoch, mut clock, mut latest) = (epoch(), 0i64, i64::MIN);
            let (mut lockout, mut model) = (Lockout::new(RULE), Vec::<(u8, i64)>::new());
            for (op, step) in ops {
                clock = (clock + step).max(-1000);
                let now = if clock < 0 { epoch - secs(clock.unsigned_abs()) } else { epoch + secs(clock.unsigned_abs()) };
                let looks = !matches!(op, Op::Right(_) | Op::Clear(_));
                if looks {
                    latest = latest.max(clock);
                }
                match op {
                    Op::Wrong(c) => {
                        lockout.wrong_code(now, &name(c));
                        model.push((c, latest));
                    }
                    Op::Right(c) => {
                        lockout.right_code(&name(c));
                        model.retain(|(who, _)| *who != c || c == 0);
                    }
                    Op::Clear(c) => {
                        lockout.clear(c.map(name).as_deref());
                        model.retain(|(who, _)| c.is_some_and(|c| c != *who));
                    }
                    Op::Restore(c, age) => {
                        lockout.restore(now, &name(c), secs(age));
                        model.push((c, latest - age as i64));
                    }
                    Op::Ask(c) => {
                        let within = model.iter().filter(|(who, at)| *who == c && latest - at < 60).count() as u32;
                        let limit = if c == 0 { RULE.anonymous } else { RULE.failures };
                        let expected = (within >= limit).then_some(limit);
                        prop_assert_eq!(lockout.locked(now, &name(c)), expected);
                    }
                }
            }
        }
    }
}
