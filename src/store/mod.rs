//! The embedded store: SQLite on one writer thread. Nothing on the call path waits for it.
