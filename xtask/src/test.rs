//! `cargo xtask test`: every step runs, whatever the ones before it said.
//!
//! The output streams. At the end stands what was not covered, loudly, and then the sum:
//! `N passed, N failed`. A step such as the format check counts as one.

mod campaigns;
mod cargo;
mod examples;
mod instructions;
mod interop;
mod process;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use cargo_metadata::Metadata;

/// What one step found.
#[derive(Default, Debug, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: usize,
    /// The names of single tests that failed, as far as they are known.
    failures: Vec<String>,
    /// What the step could not say anything about, and why.
    not_covered: Vec<String>,
}

impl Tally {
    fn one(passed: bool) -> Self {
        Self {
            passed: usize::from(passed),
            failed: usize::from(!passed),
            ..Self::default()
        }
    }

    fn failure(name: impl Into<String>) -> Self {
        Self {
            failures: vec![name.into()],
            ..Self::one(false)
        }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.not_covered.extend(other.not_covered);
    }
}

/// What a step needs to know.
struct Workshop {
    root: PathBuf,
    metadata: Metadata,
    /// On a CI machine whatever can be covered has to be.
    is_ci: bool,
}

struct Step {
    name: &'static str,
    run: fn(&Workshop) -> Result<Tally>,
}

const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        run: cargo::fmt,
    },
    Step {
        name: "clippy",
        run: cargo::clippy,
    },
    Step {
        name: "doc",
        run: cargo::doc,
    },
    Step {
        name: "tidy",
        run: |workshop| Ok(Tally::one(crate::tidy::run(&workshop.root)?)),
    },
    Step {
        name: "deny",
        run: cargo::deny,
    },
    Step {
        name: "unit",
        run: cargo::test,
    },
    Step {
        name: "crash",
        run: |workshop| campaigns::run(workshop, "crash"),
    },
    Step {
        name: "powercut",
        run: |workshop| campaigns::run(workshop, "powercut"),
    },
    Step {
        name: "damage",
        run: |workshop| campaigns::run(workshop, "damage"),
    },
    Step {
        name: "faults",
        run: |workshop| campaigns::run(workshop, "faults"),
    },
    Step {
        name: "sim",
        run: |workshop| campaigns::run(workshop, "sim"),
    },
    Step {
        name: "handlers",
        run: |workshop| campaigns::run(workshop, "handlers"),
    },
    Step {
        name: "fuzz",
        run: |workshop| campaigns::run(workshop, "fuzz"),
    },
    Step {
        name: "instructions",
        run: instructions::run,
    },
    Step {
        name: "examples",
        run: examples::run,
    },
    Step {
        name: "interop",
        run: interop::run,
    },
];

/// The names that `--only` takes.
pub(crate) const STEP_NAMES: [&str; 16] = [
    "fmt",
    "clippy",
    "doc",
    "tidy",
    "deny",
    "unit",
    "crash",
    "powercut",
    "damage",
    "faults",
    "sim",
    "handlers",
    "fuzz",
    "instructions",
    "examples",
    "interop",
];

/// Runs the steps and prints the sum; true when nothing failed.
pub(crate) fn run(root: &Path, only: Option<&str>) -> Result<bool> {
    let workshop = Workshop {
        root: root.to_owned(),
        metadata: crate::house::metadata(root)?,
        is_ci: std::env::var("CI").is_ok_and(|value| value == "true" || value == "1"),
    };
    let start = Instant::now();
    let mut total = Tally::default();
    let mut summary = Vec::new();
    for step in STEPS
        .iter()
        .filter(|step| only.is_none_or(|only| only == step.name))
    {
        println!("── {} ──", step.name);
        let begin = Instant::now();
        let tally = (step.run)(&workshop).unwrap_or_else(|error| {
            println!("{}: {error:#}", step.name);
            Tally::one(false)
        });
        let line = summary_line(step.name, &tally, begin.elapsed());
        println!("{line}\n");
        summary.push(line);
        total.add(tally);
    }
    print_summary(&summary, &total, start.elapsed());
    Ok(total.failed == 0)
}

fn summary_line(name: &str, tally: &Tally, took: Duration) -> String {
    let Tally {
        passed,
        failed,
        not_covered,
        ..
    } = tally;
    let mark = if *failed == 0 { "ok    " } else { "FAILED" };
    let open = match not_covered.len() {
        0 => String::new(),
        open => format!(", {open} not covered"),
    };
    format!(
        "{mark} {name:<9} {:>7.1} s   {passed} passed, {failed} failed{open}",
        took.as_secs_f64()
    )
}

fn print_summary(summary: &[String], total: &Tally, took: Duration) {
    for line in summary {
        println!("{line}");
    }
    println!("       all       {:>7.1} s", took.as_secs_f64());
    for name in &total.failures {
        println!("FAILED: {name}");
    }
    for reason in &total.not_covered {
        println!("NOT COVERED: {reason}");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
}

#[cfg(test)]
mod tests;
