//! The reliability campaigns of Hence: `cargo xtask crash|powercut|damage|faults|sim`.
//!
//! Each puts a subject, a real application on `log:DIR`, through one kind of disaster many times,
//! and compares what it acknowledged with what is there afterwards. The oracle is outside the
//! subject. A run in which the planned fault did not happen is INVALID, never green.

mod crash;
mod cycle;
mod damage;
mod faults;
pub mod fuzz;
mod handlers;
mod line;
mod oracle;
mod place;
mod planted;
mod powercut;
mod process;
mod report;
mod scorecard;
mod sim;
mod subject;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "hence-campaigns",
    about = "Puts Hence through disasters, and counts what is lost."
)]
struct Arguments {
    #[command(subcommand)]
    campaign: Campaign,
}

/// How much of a campaign is run.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// The form that every test run can afford.
    #[arg(long)]
    pub(crate) short: bool,
    /// How many disasters.
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// Where the dice begin.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

impl Extent {
    /// How many disasters, unless that was said.
    pub(crate) fn count(&self, short: u64, long: u64) -> u64 {
        self.count.unwrap_or(if self.short { short } else { long })
    }
}

#[derive(Subcommand)]
enum Campaign {
    /// Kills the process at random moments.
    Crash(Extent),
    /// Cuts the power of a real file system.
    Powercut(Extent),
    /// Changes bytes of a log that is at rest.
    Damage(Extent),
    /// Lets system calls fail, one after the other, and disks run full.
    Faults(Extent),
    /// Runs the whole engine on a simulated disk.
    Sim(Extent),
    /// Runs applications whose handlers fail, hang, panic and are dropped.
    Handlers(Extent),
    /// Plants known bugs, and demands that the campaigns find each.
    Planted(Extent),
    /// Runs every input that fuzzing has left, and some that differ a little.
    Fuzz(Extent),
    /// Writes docs/reference/reliability.md from what the campaigns found.
    Scorecard,
    /// A program that only writes and syncs.
    #[command(hide = true)]
    Bare(powercut::Bare),
    /// The application that all this happens to.
    #[command(hide = true)]
    Subject(subject::Subject),
}

/// Runs the campaign that the arguments of this process name.
pub fn main() -> ExitCode {
    match run(Arguments::parse().campaign) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr().lock(), "hence-campaigns: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(campaign: Campaign) -> Result<bool> {
    match campaign {
        Campaign::Crash(extent) => crash::run(extent),
        Campaign::Powercut(extent) => powercut::run(extent),
        Campaign::Damage(extent) => damage::run(extent),
        Campaign::Faults(extent) => faults::run(extent),
        Campaign::Sim(extent) => sim::run(extent),
        Campaign::Handlers(extent) => handlers::run(extent),
        Campaign::Planted(extent) => planted::run(extent),
        Campaign::Fuzz(extent) => fuzz::run(extent),
        Campaign::Scorecard => scorecard::run(),
        Campaign::Bare(bare) => powercut::run_bare(&bare).map(|()| true),
        Campaign::Subject(subject) => subject::run(&subject).map(|()| true),
    }
}
