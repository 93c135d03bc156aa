//! Configuration to running tasks: the only place where all layers meet.
