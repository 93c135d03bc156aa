//! The configuration file: one table of keys, a reader that reports every problem at once.
