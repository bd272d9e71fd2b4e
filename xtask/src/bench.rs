//! `cargo xtask bench NAME`: builds `hence-bench` in release mode and hands over to it.
//!
//! The package prints a table and writes `target/bench/NAME.json`: a list of
//! `{row, value, unit, beside, ratio, goal, met}`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs one benchmark; false when it reports a goal that was not met.
pub(crate) fn run(root: &Path, name: &str, short: bool, rest: &[String]) -> Result<bool> {
    ensure!(
        root.join("benches/Cargo.toml").is_file(),
        "there is no package `hence-bench` under benches/ yet"
    );
    let mut cargo = Command::new(crate::house::cargo());
    cargo.current_dir(root);
    cargo.args([
        "run",
        "--quiet",
        "--release",
        "--package",
        "hence-bench",
        "--",
        name,
    ]);
    if short {
        cargo.arg("--short");
    }
    let status = cargo
        .args(rest)
        .status()
        .context("cargo could not be started")?;
    Ok(status.success())
}
