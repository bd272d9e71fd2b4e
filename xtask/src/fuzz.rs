//! `cargo xtask fuzz [TARGET] [--short | --time SECONDS]`: libFuzzer makes up inputs for the log and the engine.
//!
//! The targets are functions of `hence-campaigns`; `fuzz/` wraps them, in a workspace of its own,
//! because everything below them is built with the instrumentation that libFuzzer reads. That takes
//! no nightly compiler, only the flags below. Inputs that are kept lie in `fuzz/corpus`; what a run
//! finds beyond them lies in `target/fuzz`, and an input that breaks something in `fuzz/artifacts`.
//! `--time 300` is the long form, of which the scorecard tells: twenty minutes on one core, and a build.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;

/// The targets, as `fuzz/Cargo.toml` has them.
pub(crate) const TARGETS: [&str; 4] = ["frame", "recovery", "snapshot", "script"];
/// How long each target runs, in seconds, unless that was said.
const SECONDS: u64 = 60;
/// How long each runs in the short form: all of them within half a minute, with a warm build.
const SECONDS_SHORT: u64 = 4;
/// How long one input may take, in seconds.
const INPUT_SECONDS: u64 = 25;
/// Bytes of one input, at most.
const INPUT_BYTES_MAX: u64 = 4096;
/// Memory of a target, in MiB, at most.
const MEMORY_MAX: u64 = 2048;
/// What makes a program tell which of its branches an input took.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// What is fuzzed, and for how long.
#[derive(Args, Debug)]
pub(crate) struct Fuzz {
    /// One target; without it, all.
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
    /// The form that every change can afford.
    #[arg(long, conflicts_with_all = ["time", "keep"])]
    short: bool,
    /// Seconds for each target.
    #[arg(long, default_value_t = SECONDS)]
    time: u64,
    /// Write the smallest inputs that reach everything the found ones reach into fuzz/corpus.
    #[arg(long)]
    keep: bool,
}

/// Why fuzzing is not possible here, if it is not.
pub(crate) fn missing() -> Option<&'static str> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let mut version = Command::new(compiler);
    let version = version.arg("--version").stdout(Stdio::null()).status();
    match version.is_ok_and(|status| status.success()) {
        true => None,
        false => Some("there is no C++ compiler to build libFuzzer with"),
    }
}

/// Builds the targets and lets each run; false when one broke.
pub(crate) fn run(root: &Path, fuzz: &Fuzz) -> Result<bool> {
    if let Some(missing) = missing() {
        bail!("{missing}");
    }
    let folder = root.join("target/fuzz");
    let mut build = Command::new(crate::house::cargo());
    build.current_dir(root).env("RUSTFLAGS", FLAGS);
    // The host as a target of its own keeps the flags from build scripts and macros.
    build.args(["build", "--quiet", "--release", "--target", &host()?]);
    build.args(["--manifest-path", "fuzz/Cargo.toml", "--target-dir"]);
    let built = build.arg(&folder).status();
    if !built.context("cargo could not be started")?.success() {
        return Ok(false);
    }
    let wanted = |name: &&&str| fuzz.target.as_deref().is_none_or(|target| target == **name);
    let mut all = true;
    for name in TARGETS.iter().filter(wanted) {
        all &= fuzz_one(root, name, fuzz)?;
        if fuzz.keep {
            merge(root, name)?;
        }
    }
    Ok(all)
}

/// The compiler's own platform.
fn host() -> Result<String> {
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let told = Command::new(compiler).arg("-vV").output()?;
    let told = String::from_utf8(told.stdout)?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say its host")?.to_owned())
}

fn program(root: &Path, name: &str) -> Result<Command> {
    let path = format!("target/fuzz/{}/release/{name}", host()?);
    let mut program = Command::new(root.join(path));
    program.current_dir(root);
    Ok(program)
}

/// Runs one target; what it found goes into a report for the scorecard.
fn fuzz_one(root: &Path, name: &str, fuzz: &Fuzz) -> Result<bool> {
    let (seconds, form) = match fuzz.short {
        true => (SECONDS_SHORT, "-short"),
        false => (fuzz.time, ""),
    };
    // What long runs found takes the short one longer to look at than it has.
    let found = format!("target/fuzz/corpus{form}/{name}");
    if fuzz.short && root.join(&found).exists() {
        fs::remove_dir_all(root.join(&found))?;
    }
    let broken = format!("fuzz/artifacts/{name}/");
    for folder in [&found, &broken] {
        fs::create_dir_all(root.join(folder))?;
    }
    println!("fuzz: {name}, {seconds} s");
    let before = kept(&root.join(&broken))?;
    let mut program = program(root, name)?;
    program.args([
        format!("-max_total_time={seconds}"),
        format!("-timeout={INPUT_SECONDS}"),
        format!("-max_len={INPUT_BYTES_MAX}"),
        format!("-rss_limit_mb={MEMORY_MAX}"),
        format!("-artifact_prefix={broken}"),
        "-print_final_stats=1".to_owned(),
        found,
        format!("fuzz/corpus/{name}"),
    ]);
    let ended = program
        .output()
        .context("the target could not be started")?;
    let told = String::from_utf8_lossy(&ended.stderr);
    let executions = told
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .and_then(|number| number.trim().parse::<u64>().ok());
    let covered = told.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once("cov: ")?;
        rest.split(' ').next()?.parse::<u64>().ok()
    });
    let passed = ended.status.success() && executions.is_some_and(|count| count > 0);
    if passed {
        println!("fuzz: {name}: {} executions", executions.unwrap_or(0));
    } else {
        println!("{told}");
        println!("fuzz: {name} BROKE; its input is kept in {broken}");
    }
    let findings = kept(&root.join(&broken))?.saturating_sub(before);
    let report = json!({
        "target": name, "seconds": seconds, "executions": executions, "covered": covered,
        "findings": findings, "passed": passed, "commit": commit(root)?,
    });
    fs::create_dir_all(root.join("target/campaigns"))?;
    let path = root.join(format!("target/campaigns/fuzz-{name}{form}.json"));
    fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    Ok(passed)
}

/// What was fuzzed.
fn commit(root: &Path) -> Result<String> {
    let mut git = Command::new("git");
    let told = git
        .current_dir(root)
        .args(["rev-parse", "--short", "HEAD"])
        .output();
    let told = told.context("git could not be started")?;
    anyhow::ensure!(told.status.success(), "git does not tell the commit");
    Ok(String::from_utf8(told.stdout)?.trim().to_owned())
}

/// How many inputs lie in a folder.
fn kept(folder: &Path) -> Result<usize> {
    Ok(fs::read_dir(folder)?.count())
}

/// Keeps the smallest set of inputs that reaches what all found ones reach.
fn merge(root: &Path, name: &str) -> Result<()> {
    let mut program = program(root, name)?;
    let (kept, found) = (
        format!("fuzz/corpus/{name}"),
        format!("target/fuzz/corpus/{name}"),
    );
    program.args(["-merge=1", &kept, &found]);
    let merged = program.stderr(Stdio::null()).status();
    anyhow::ensure!(
        merged?.success(),
        "the inputs of {name} could not be merged"
    );
    Ok(())
}
