//! The library over its public API, on both local engines.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail loudly, also in what tests share"
)]

mod keyed;
mod kit;

mod after;
mod blocking;
mod brief;
mod control;
mod crash;
mod defaults;
mod drain;
mod explain;
mod failure;
mod flow;
mod measure;
mod order;
mod pause;
mod peers;
mod publish;
mod replay;
mod rival;
mod source;
mod version;
mod wiring;
