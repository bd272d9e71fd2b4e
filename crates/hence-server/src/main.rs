//! The `hence` binary.

mod cli;
mod config;
mod gateway;
mod planning;
mod serve;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
