//! The planner against the validation table of its specification (rows V01 …, S08 …).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::approx_constant,
    reason = "clippy's allowance for tests ends at their helpers; T99 of V01 happens to be ln 10"
)]

mod answers;
mod ciw;
mod domain;
mod features;
mod fitting;
mod laws;
mod limits;
mod line;
mod numbers;
mod outlook;
mod plots;
mod scenario;
mod table;
mod validate_closed;
mod validate_network;
mod validate_queue;
mod validate_simulation;
