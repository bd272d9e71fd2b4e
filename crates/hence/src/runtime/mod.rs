//! From the engine to the handler and back: pump → lane of the key → handler → commit.

mod breaker;
mod budget;
pub(crate) mod call;
pub(crate) mod clock;
pub(crate) mod dispatch;
pub(crate) mod lanes;
pub mod measure;
pub(crate) mod metrics;
mod pool;
pub(crate) mod settle;
pub(crate) mod standing;
