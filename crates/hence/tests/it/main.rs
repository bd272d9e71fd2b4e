//! The library over its public API, on both local engines.

mod kit;

mod failure;
mod flow;
mod order;
mod publish;
mod wiring;
