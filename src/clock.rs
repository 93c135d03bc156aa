//! The wall clock, for the shell: pure code gets its time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, ms since 1970. A clock before 1970 reads as 1970.
pub(crate) fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
