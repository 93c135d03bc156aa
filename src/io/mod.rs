//! Sockets and tasks: listeners, the loop that drives one call, one HTTP hop.
