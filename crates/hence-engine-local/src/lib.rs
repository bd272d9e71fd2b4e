//! The local engine of Hence: one state machine, in memory or on the durable log.
