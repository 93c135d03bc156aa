//! When an event is told again, and when that is given up. Time and chance are arguments.

use std::time::Duration;

use http::HeaderMap;

/// Failed attempts after which the later events of the call wait no longer.
pub const PASSED_AFTER: u32 = 3;

/// A subscription that has failed for so long, without one success, is paused.
pub const FAILING_PAUSES: Duration = Duration::from_hours(5 * 24);

/// What a web server asks for with `Retry-After` is honoured up to this time: the longest step of the usual schedule.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// A delay is this many percent longer or shorter, by chance, so that what failed together does not come back together.
const JITTER_PERCENT: u64 = 10;

/// What the status of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx: it was told.
    Delivered,
    /// Anything else, a redirect too: it is tried again.
    Failed,
    /// 410: nobody wants to be told any more.
    Gone,
}

/// Judges an answer by its HTTP status.
pub fn verdict(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Delivered,
        410 => Verdict::Gone,
        _ => Verdict::Failed,
    }
}

/// How long to wait after an attempt that failed. `failed` counts it and those before it; `chance` is a random number.
/// The receiver may ask for more time, not for less. `None`: that was the last one.
pub fn wait(schedule: &[Duration], failed: u32, asked: Option<Duration>, chance: u32) -> Option<Duration> {
    let step = usize::try_from(failed.checked_sub(1)?).ok()?;
    let ms = u64::try_from(schedule.get(step)?.as_millis()).unwrap_or(u64::MAX);
    let span = ms.saturating_mul(2 * JITTER_PERCENT) / 100;
    let offset = (u128::from(span) * u128::from(chance)) >> 32;
    let jittered = ms.saturating_sub(span / 2).saturating_add(u64::try_from(offset).unwrap_or(span));
    Some(Duration::from_millis(jittered).max(asked.unwrap_or_default().min(RETRY_AFTER_MAX)))
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110, 10.2.3). `wall` is now, ms since 1970.
pub fn retry_after(headers: &HeaderMap, wall: i64) -> Option<Duration> {
    let value = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp().as_millisecond();
    u64::try_from(date.saturating_sub(wall)).ok().map(Duration::from_millis)
}

/// Whether a subscription that has only failed since then is paused now; both ms since 1970.
pub fn pauses(failing_since: i64, now: i64) -> bool {
    let limit = i64::try_from(FAILING_PAUSES.as_millis()).unwrap_or(i64::MAX);
    now.saturating_sub(failing_since) >= limit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::Subscription;

    const HALF: u32 = 1 << 31;

    fn seconds(failed: u32, asked: Option<u64>, chance: u32) -> Option<f64> {
        let asked = asked.map(Duration::from_secs);
        wait(&Subscription::SCHEDULE, failed, asked, chance).map(|d| d.as_secs_f64())
    }

    #[test]
    fn the_usual_schedule_ends_after_ten_attempts() {
        let waits: Vec<f64> = (1..).map_while(|failed| seconds(failed, None, HALF)).collect();
        let hours = [2.0, 5.0, 10.0, 14.0, 20.0, 24.0].map(|h| h * 3600.0);
        assert_eq!(waits, [vec![5.0, 300.0, 1800.0], hours.to_vec()].concat());
        assert_eq!(seconds(0, None, HALF), None);
        assert_eq!(wait(&[], 1, None, HALF), None);
    }

    #[test]
    fn chance_moves_a_delay_by_a_tenth_at_most() {
        assert_eq!(seconds(1, None, 0), Some(4.5));
        let longest = seconds(1, None, u32::MAX).expect("a delay");
        assert!((5.499..=5.5).contains(&longest), "{longest}");
        assert!(seconds(9, None, u32::MAX).expect("a delay") > 26.3 * 3600.0);
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_within_a_day() {
        assert_eq!(seconds(1, Some(60), HALF), Some(60.0));
        assert_eq!(seconds(2, Some(60), HALF), Some(300.0));
        assert_eq!(seconds(1, Some(u64::MAX), HALF), Some(86_400.0));
        assert_eq!(seconds(10, Some(60), HALF), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let read = |text: &str| {
            let value = http::HeaderValue::from_str(text).expect("a header");
            let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, value)]);
            retry_after(&headers, 1_445_412_420_000).map(|d| d.as_secs())
        };
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(60));
        assert_eq!(read("Wed, 21 Oct 2015 07:00:00 GMT"), None);
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
        assert_eq!(retry_after(&HeaderMap::new(), 0), None);
    }

    #[test]
    fn a_status_is_delivered_failed_or_gone() {
        let table = [(200, Verdict::Delivered), (204, Verdict::Delivered), (299, Verdict::Delivered)];
        let failed =
            [101, 199, 300, 301, 304, 400, 404, 409, 411, 429, 500, 503].map(|s| (s, Verdict::Failed));
        for (status, wanted) in table.into_iter().chain(failed).chain([(410, Verdict::Gone)]) {
            assert_eq!(verdict(status), wanted, "{status}");
        }
    }

    #[test]
    fn five_days_of_failing_pause() {
        let day = 24 * 3_600_000;
        assert!(!pauses(1_000, 1_000 + 5 * day - 1));
        assert!(pauses(1_000, 1_000 + 5 * day));
        assert!(!pauses(5_000, 1_000));
    }
}
