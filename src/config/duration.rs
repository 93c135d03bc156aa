//! Times as texts: `500ms`, `2s`, `30m`, `12h`, `90d`.

use std::time::Duration;

/// Units, from the largest, with their milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads a whole number and its unit: `500ms`, `2s`, `30m`, `12h`, `90d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(*ms)?))
}

/// A time in the largest unit in which it is a whole number. What is less than a millisecond is left out.
pub fn duration_text(duration: Duration) -> String {
    let all = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match UNITS.iter().find(|(_, ms)| all > 0 && all.is_multiple_of(*ms)) {
        Some((unit, ms)) => format!("{}{unit}", all / ms),
        None => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for (text, ms) in
            [("500ms", 500), ("2s", 2000), ("90s", 90_000), ("30m", 1_800_000), ("90d", 7_776_000_000)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "2", "s", "2 s", "-2s", "+2s", "1.5s", "1m30s", "2S", "99999999999999999999d", "1e3s"]
        {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
        for text in ["0s", "1ms", "1500ms", "2s", "90s", "5m", "12h", "90d"] {
            assert_eq!(duration_text(parse_duration(text).expect(text)), text);
        }
    }
}
