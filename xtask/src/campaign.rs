//! `cargo xtask crash|powercut|damage|faults|sim|planted|scorecard`: builds `hence-campaigns` and
//! hands over to it.
//!
//! A campaign prints a table and writes `target/campaigns/NAME.json`, or `NAME-short.json`, from
//! which `scorecard` makes `docs/reference/reliability.md`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

/// How much of a campaign is run.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Extent {
    /// The form that every test run can afford.
    #[arg(long)]
    pub(crate) short: bool,
    /// How many disasters.
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// Where the dice begin.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

/// The short form, as every test run has it.
pub(crate) const SHORT: Extent = Extent {
    short: true,
    count: None,
    seed: None,
};

/// Runs one campaign; false when it failed or proved nothing.
pub(crate) fn run(root: &Path, name: &str, extent: Extent) -> Result<bool> {
    let mut cargo = Command::new(crate::house::cargo());
    cargo.current_dir(root);
    cargo.args(["run", "--quiet", "--package", "hence-campaigns"]);
    if name == "planted" {
        cargo.args(["--features", "planted"]);
    } else if !extent.short {
        cargo.arg("--release");
    }
    cargo.args(["--", name]);
    if extent.short {
        cargo.arg("--short");
    }
    let numbers = [("--count", extent.count), ("--seed", extent.seed)];
    for (flag, number) in numbers {
        cargo.args(number.map(|number| format!("{flag}={number}")));
    }
    let form = if extent.short { "-short" } else { "" };
    let report = root.join(format!("target/campaigns/{name}{form}.json"));
    // What an earlier run found must not be taken for what this one does.
    if name != "scorecard" && report.exists() {
        fs::remove_file(&report)?;
    }
    let status = cargo.status().context("cargo could not be started")?;
    if !status.success() {
        println!("{name} ended with {status}");
    } else if name != "scorecard" && !report.exists() {
        println!("{name} ended and left no report");
        return Ok(false);
    }
    Ok(status.success())
}
