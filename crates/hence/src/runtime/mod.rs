//! From the engine to the handler and back: pump → lane of the key → handler → commit.

pub(crate) mod dispatch;
pub(crate) mod lanes;
pub mod measure;
pub(crate) mod metrics;
pub(crate) mod settle;
