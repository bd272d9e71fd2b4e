//! Events, and what follows from them: plain async functions on a durable, ordered event bus.
