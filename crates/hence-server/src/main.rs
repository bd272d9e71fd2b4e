//! The `hence` binary.

mod config;
mod gateway;

fn main() {}
