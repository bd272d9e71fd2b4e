//! From the engine to the handler and back: pump → lane of the key → handler → commit.

mod adaptive;
mod breaker;
mod budget;
pub(crate) mod call;
pub(crate) mod clock;
pub(crate) mod crash;
pub(crate) mod dispatch;
mod gate;
mod intake;
pub(crate) mod lanes;
pub mod measure;
pub mod metrics;
mod pool;
pub(crate) mod settle;
mod shed;
pub(crate) mod standing;
mod turns;
