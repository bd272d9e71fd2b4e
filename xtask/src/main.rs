//! The workshop of the repository: everything that checks, measures or tidies it.
//!
//! `cargo xtask test` is the one command that says whether the house stands. Its last line is
//! `N passed, N failed`; above it stands whatever could not be covered, and why.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what a workshop does"
)]

mod bench;
mod house;
mod rust;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Checks, tests and measures the repository."
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run everything: format, lints, documents, tidy, tests, examples, other languages.
    Test {
        /// Run this step alone.
        #[arg(long, value_name = "STEP", value_parser = test::STEP_NAMES)]
        only: Option<String>,
    },
    /// Hold the sources and documents against the rules of the house.
    Tidy,
    /// Build a benchmark in release mode and run it.
    Bench {
        /// The benchmark, for example `spine`.
        name: String,
        /// A quick run: it proves that the benchmark works, not what it measures.
        #[arg(long)]
        short: bool,
        /// Passed on unchanged.
        #[arg(last = true)]
        rest: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<bool> {
    let root = house::root()?;
    match task {
        Task::Test { only } => test::run(&root, only.as_deref()),
        Task::Tidy => tidy::run(&root),
        Task::Bench { name, short, rest } => bench::run(&root, &name, short, &rest),
    }
}
