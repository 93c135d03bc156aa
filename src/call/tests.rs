//! Tests of a call.
