//! What a campaign found: a table on the screen, and a file from which the scorecard is made.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::Extent;

/// Where the findings of a campaign go, below the root of the workspace.
pub(crate) const FOLDER: &str = "target/campaigns";
/// Problems that are written out; the rest is only counted.
pub(crate) const PROBLEMS_MAX: usize = 20;

/// How a campaign ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub(crate) enum Verdict {
    /// Every fault fired, and nothing was found.
    Pass,
    /// Something was lost, doubled, out of order, or broke.
    Fail,
    /// A planned fault did not fire, so the run proves nothing.
    Invalid,
    /// The machine cannot do it.
    NotRun,
}

impl Verdict {
    /// As it is printed.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Invalid => "INVALID",
            Self::NotRun => "NOT RUN",
        }
    }
}

/// One kind of case within a campaign.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What was done.
    pub(crate) case: String,
    /// How often.
    pub(crate) runs: u64,
    /// How many of the planned faults happened.
    pub(crate) fired: u64,
    /// How many runs ended well.
    pub(crate) passed: u64,
    /// How many did not.
    pub(crate) failed: u64,
    /// How many proved nothing.
    pub(crate) invalid: u64,
    /// Acknowledged events that were not there afterwards.
    pub(crate) lost: u64,
    /// Events or effects that were there twice.
    pub(crate) duplicated: u64,
    /// Handlings out of the order of their key, and positions used twice.
    pub(crate) disorder: u64,
    /// What else is worth knowing.
    pub(crate) note: String,
}

/// Everything about one campaign.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Its name.
    pub(crate) campaign: String,
    /// Whether it was the short form.
    pub(crate) short: bool,
    /// The sum of it.
    pub(crate) verdict: Verdict,
    /// Its rows.
    pub(crate) rows: Vec<Row>,
    /// What repeats it.
    pub(crate) command: String,
    /// Where its dice began.
    pub(crate) seed: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// Versions and settings.
    pub(crate) settings: Vec<(String, String)>,
    /// What this machine could not do, and why.
    pub(crate) not_covered: Vec<String>,
    /// What was found, as far as it was written down.
    pub(crate) problems: Vec<String>,
}

impl Report {
    /// An empty report.
    pub(crate) fn new(campaign: &str, extent: Extent) -> Self {
        let Extent { short, count, seed } = extent;
        let count = count
            .map(|count| format!(" --count {count}"))
            .unwrap_or_default();
        let form = if short { " --short" } else { "" };
        Self {
            campaign: campaign.to_owned(),
            short,
            verdict: Verdict::Pass,
            rows: Vec::new(),
            command: format!("cargo xtask {campaign}{form}{count} --seed {seed}"),
            seed,
            seconds: 0.0,
            settings: versions(),
            not_covered: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Notes a version or a setting.
    pub(crate) fn setting(&mut self, name: &str, value: impl ToString) {
        self.settings.push((name.to_owned(), value.to_string()));
    }

    /// Notes a problem.
    pub(crate) fn problem(&mut self, text: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(text);
        }
    }

    /// Draws the verdict from the rows.
    fn judge(&mut self) {
        let sum = |field: fn(&Row) -> u64| self.rows.iter().map(field).sum::<u64>();
        self.verdict = if sum(|row| row.failed) > 0 || !self.problems.is_empty() {
            Verdict::Fail
        } else if sum(|row| row.invalid) > 0 {
            Verdict::Invalid
        } else if sum(|row| row.runs) == 0 {
            Verdict::NotRun
        } else {
            Verdict::Pass
        };
    }

    /// Judges, prints and writes it; true unless it failed or proved nothing.
    pub(crate) fn finish(mut self) -> Result<bool> {
        self.judge();
        self.print()?;
        fs::create_dir_all(FOLDER)?;
        fs::write(self.path(), serde_json::to_vec_pretty(&self)?)?;
        let required = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
        Ok(match self.verdict {
            Verdict::Pass => true,
            Verdict::NotRun => !required,
            Verdict::Fail | Verdict::Invalid => false,
        })
    }

    fn path(&self) -> PathBuf {
        let form = if self.short { "-short" } else { "" };
        PathBuf::from(format!("{FOLDER}/{}{form}.json", self.campaign))
    }

    fn print(&self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        let width = self.rows.iter().map(|row| row.case.chars().count());
        let width = width.max().unwrap_or(0).max(10);
        writeln!(
            out,
            "{:width$} {:>7} {:>7} {:>7} {:>6} {:>7} {:>5} {:>7} {:>8}",
            self.campaign,
            "runs",
            "fired",
            "passed",
            "failed",
            "invalid",
            "lost",
            "doubled",
            "disorder"
        )?;
        for row in &self.rows {
            writeln!(
                out,
                "{:width$} {:>7} {:>7} {:>7} {:>6} {:>7} {:>5} {:>7} {:>8}  {}",
                row.case,
                row.runs,
                row.fired,
                row.passed,
                row.failed,
                row.invalid,
                row.lost,
                row.duplicated,
                row.disorder,
                row.note
            )?;
        }
        for problem in &self.problems {
            writeln!(out, "PROBLEM: {problem}")?;
        }
        for gap in &self.not_covered {
            writeln!(out, "NOT COVERED: {}: {gap}", self.campaign)?;
        }
        let sum = |field: fn(&Row) -> u64| self.rows.iter().map(field).sum::<u64>();
        writeln!(
            out,
            "{}: {} in {:.1} s: {} passed, {} failed, {} invalid (seed {})",
            self.verdict.as_str(),
            self.campaign,
            self.seconds,
            sum(|row| row.passed),
            sum(|row| row.failed),
            sum(|row| row.invalid),
            self.seed
        )?;
        Ok(())
    }
}

fn versions() -> Vec<(String, String)> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    vec![
        ("hence".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("commit".to_owned(), commit()),
        ("build".to_owned(), build.to_owned()),
        ("kernel".to_owned(), version(&kernel)),
    ]
}

/// The version in the release of a kernel, which may end with how this machine calls its own.
pub(crate) fn version(release: &str) -> String {
    let is_part = |letter: &char| letter.is_ascii_digit() || *letter == '.';
    release.trim().chars().take_while(is_part).collect()
}

fn commit() -> String {
    let asked = Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output();
    let text = asked.map(|found| String::from_utf8_lossy(&found.stdout).trim().to_owned());
    text.unwrap_or_default()
}

/// Says something while a campaign runs.
pub(crate) fn say(text: &str) {
    // Whoever closed the screen does not read it.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn a_kernel_is_told_by_its_version_alone() {
        for (release, told) in [
            ("6.18.44-of-mine-7\n", "6.18.44"),
            ("6.8.0-45-generic", "6.8.0"),
            ("6.12.1+", "6.12.1"),
            ("6.12", "6.12"),
            ("", ""),
        ] {
            assert_eq!(version(release), told);
        }
    }
}
