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
mod campaign;
mod fuzz;
mod guarantees;
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
    /// Run every test that is named after a guarantee, and write the table of the guarantees.
    Guarantees,
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
    /// Kill the application at random moments, and count what is lost.
    Crash(campaign::Extent),
    /// Cut the power of a real file system below it; needs root.
    Powercut(campaign::Extent),
    /// Change bytes of logs at rest.
    Damage(campaign::Extent),
    /// Let every system call fail in turn, and disks run full.
    Faults(campaign::Extent),
    /// Run the whole engine on a simulated disk, from one seed.
    Sim(campaign::Extent),
    /// Run applications whose handlers fail, hang, panic and are dropped.
    Handlers(campaign::Extent),
    /// Plant known bugs, and demand that the campaigns catch each.
    Planted(campaign::Extent),
    /// Let libFuzzer make up inputs for the log and the engine; needs a C++ compiler.
    Fuzz(fuzz::Fuzz),
    /// Write docs/reference/reliability.md from what the campaigns found.
    Scorecard,
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
        Task::Guarantees => guarantees::run(&root),
        Task::Bench { name, short, rest } => bench::run(&root, &name, short, &rest),
        Task::Crash(extent) => campaign::run(&root, "crash", extent),
        Task::Powercut(extent) => campaign::run(&root, "powercut", extent),
        Task::Damage(extent) => campaign::run(&root, "damage", extent),
        Task::Faults(extent) => campaign::run(&root, "faults", extent),
        Task::Sim(extent) => campaign::run(&root, "sim", extent),
        Task::Handlers(extent) => campaign::run(&root, "handlers", extent),
        Task::Planted(extent) => campaign::run(&root, "planted", extent),
        Task::Fuzz(fuzz) => fuzz::run(&root, &fuzz),
        Task::Scorecard => campaign::run(&root, "scorecard", campaign::Extent::default()),
    }
}
