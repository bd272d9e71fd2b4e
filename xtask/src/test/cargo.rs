//! The steps that cargo does: format, lints, documents, advisories, tests.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::interop;
use super::{Tally, Workshop};

/// The binary has the name of the library, so their pages would land in one folder: the binary
/// is documented first and the library overwrites it.
const BINARY: &str = "hence-server";

pub(super) fn fmt(workshop: &Workshop) -> Result<Tally> {
    Ok(Tally::one(succeeds(&mut cargo(
        workshop,
        &["fmt", "--all", "--check"],
    ))?))
}

pub(super) fn clippy(workshop: &Workshop) -> Result<Tally> {
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    Ok(Tally::one(succeeds(&mut cargo(workshop, &arguments))?))
}

pub(super) fn doc(workshop: &Workshop) -> Result<Tally> {
    let mut passed = true;
    for selection in [["--package", BINARY], ["--exclude", BINARY]] {
        let mut command = cargo(workshop, &["doc", "--no-deps"]);
        if selection[0] == "--exclude" {
            command.arg("--workspace");
        }
        command.args(selection).env("RUSTDOCFLAGS", "-D warnings");
        passed &= succeeds(&mut command)?;
    }
    Ok(Tally::one(passed))
}

/// The lists of `deny.toml` are held by tidy. What `cargo deny` adds is the advisory database,
/// which needs an installation and a network; without them that part is open, and says so.
pub(super) fn deny(workshop: &Workshop) -> Result<Tally> {
    let mut installed = cargo(workshop, &["deny", "--version"]);
    installed.stdout(Stdio::null()).stderr(Stdio::null());
    if !succeeds(&mut installed)? {
        let reason = "advisories: cargo-deny is not installed (cargo install cargo-deny --locked); \
                      licences, bans and sources were checked by tidy";
        return Ok(Tally {
            not_covered: vec![reason.to_owned()],
            ..Tally::default()
        });
    }
    let lists = ["deny", "check", "licenses", "bans", "sources"];
    let mut tally = Tally::one(succeeds(&mut cargo(workshop, &lists))?);
    let fetched = succeeds(&mut cargo(workshop, &["deny", "fetch", "db"]))?;
    if fetched {
        let arguments = ["deny", "check", "--disable-fetch", "advisories"];
        tally.add(Tally::one(succeeds(&mut cargo(workshop, &arguments))?));
    } else {
        tally
            .not_covered
            .push("advisories: their database cannot be reached".to_owned());
    }
    Ok(tally)
}

pub(super) fn test(workshop: &Workshop) -> Result<Tally> {
    // A test that needs a package says itself what it could not cover.
    if let Err(error) = interop::prepare_python_packages(workshop) {
        println!("Python packages: {error:#}");
    }
    let mut command = cargo(workshop, &["test", "--workspace", "--no-fail-fast"]);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo could not be started")?;
    let output = child.stdout.take().context("stdout is piped")?;
    let mut tally = Tally::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        if let Some(counts) = counts(&line) {
            tally.add(counts);
        } else if let Some((name, end)) = ended(&line) {
            match end {
                "FAILED" => tally.failures.push(name.to_owned()),
                _ => tally.not_covered.push(format!("ignored: {name}")),
            }
        }
    }
    if !child.wait()?.success() && tally.failed == 0 {
        tally.failed = 1; // it did not compile, or a test binary died
    }
    Ok(tally)
}

/// Reads `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
fn counts(line: &str) -> Option<Tally> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let mut tally = Tally::default();
    for part in counts.split(';') {
        match part.split_whitespace().collect::<Vec<_>>().as_slice() {
            [number, "passed"] => tally.passed = number.parse().ok()?,
            [number, "failed"] => tally.failed = number.parse().ok()?,
            _ => {}
        }
    }
    Some(tally)
}

/// Reads `test NAME ... FAILED` and `test NAME ... ignored`.
fn ended(line: &str) -> Option<(&str, &str)> {
    let (name, end) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let end = end.split(',').next()?; // an ignored test may give its reason after a comma
    matches!(end, "FAILED" | "ignored").then_some((name, end))
}

fn cargo(workshop: &Workshop, arguments: &[&str]) -> Command {
    let mut command = Command::new(crate::house::cargo());
    command.current_dir(&workshop.root).args(arguments);
    command
}

fn succeeds(command: &mut Command) -> Result<bool> {
    Ok(command
        .status()
        .with_context(|| format!("{command:?} could not be started"))?
        .success())
}

#[cfg(test)]
mod tests;
