//! The words and contracts of Hence: events, messages, handlers, engines.
