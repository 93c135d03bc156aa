//! The played FreeSWITCH against what the real one was recorded with.
