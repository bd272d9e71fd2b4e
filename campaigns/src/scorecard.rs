//! The scorecard: `docs/reference/reliability.md`, made from what the campaigns found.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Result, ensure};

use crate::fuzz::TARGETS;
use crate::report::{FOLDER, Report, Verdict, say};

const PAGE: &str = "docs/reference/reliability.md";
const CAMPAIGNS: &[&str] = &[
    "crash", "powercut", "damage", "faults", "sim", "handlers", "fuzz", "planted",
];

const HEAD: &str = "\
# Reliability

What was done to Hence, and what it lost. This page is written by `cargo xtask scorecard` from the
last run of each campaign; every figure was seen in that run, on the machine and with the settings
that stand below it. A campaign is run again with its command.

A run counts as passed when the oracle, a ledger outside the process under test, found everything that
was acknowledged, once, in its place, and nothing else; every effect that commits with progress once;
and the order of every key. A run in which the planned fault did not happen is *invalid*, and makes
the campaign fail.

";

const TAIL: &str = "\
## What this does not show

- The disk that loses its cache keeps what it was told to flush. What a drive loses that says it has
  flushed, and has not, no log can keep; the promise ends there, as the
  [guarantees](../concepts/guarantees.md) say.
- `FS_IOC_SHUTDOWN` may tell a sync that is under way that it succeeded, and drop it: a program that
  only writes and syncs loses in the same way. So what was acknowledged once that call had begun is in
  doubt and counted apart, and what was acknowledged before it must be there. Earlier runs did
  not make this difference, and lost three groups in about 4,500 cuts;
  [why](../decisions/0009-what-cuts-the-power.md).
- `strace` cannot make a write short. Short writes are part of the simulation, and happen for real on
  the full disk.
- The last group before a crash is acknowledged to nobody when it is torn; with one copy of the data
  nobody can tell a torn last group from a rotten one.
";

/// Writes the page.
pub(crate) fn run() -> Result<bool> {
    let mut reports = Vec::new();
    for name in CAMPAIGNS {
        let read = |form: &str| fs::read(format!("{FOLDER}/{name}{form}.json")).ok();
        // The long form tells more.
        if let Some(bytes) = read("").or_else(|| read("-short")) {
            reports.push(serde_json::from_slice::<Report>(&bytes)?);
        }
    }
    ensure!(
        !reports.is_empty(),
        "no campaign has left a report in {FOLDER}"
    );
    let mut page = HEAD.to_owned();
    summary(&mut page, &reports)?;
    for report in &reports {
        details(&mut page, report)?;
    }
    fuzzing(&mut page)?;
    page.push_str(TAIL);
    fs::write(PAGE, page)?;
    say(&format!("{PAGE} is written"));
    Ok(true)
}

/// What a run of `cargo xtask fuzz` wrote down.
#[derive(serde::Deserialize)]
struct Fuzzed {
    passed: bool,
    executions: Option<u64>,
    covered: Option<u64>,
    findings: u64,
    seconds: u64,
}

/// What `cargo xtask fuzz` did in its last runs.
fn fuzzing(page: &mut String) -> Result<()> {
    let mut rows = String::new();
    for (name, _) in TARGETS {
        let read = |form: &str| fs::read(format!("{FOLDER}/fuzz-{name}{form}.json")).ok();
        // The long form tells more.
        let Some(bytes) = read("").or_else(|| read("-short")) else {
            continue;
        };
        let told: Fuzzed = serde_json::from_slice(&bytes)?;
        let verdict = match told.passed {
            true => Verdict::Pass,
            false => Verdict::Fail,
        };
        writeln!(
            rows,
            "| {name} | {} | {} | {} | {} | {} |",
            verdict.as_str(),
            told.executions.unwrap_or(0),
            told.covered.unwrap_or(0),
            told.findings,
            told.seconds,
        )?;
    }
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "## fuzzing\n\n`cargo xtask fuzz`: libFuzzer, without sanitizers, one core.\n\n\
         | Target | Verdict | Inputs | Branches reached | Findings | Seconds |\n\
         |---|---|---|---|---|---|\n{rows}"
    )?;
    Ok(())
}

fn summary(page: &mut String, reports: &[Report]) -> Result<()> {
    writeln!(
        page,
        "| Campaign | Verdict | Runs | Faults that happened | Lost | Doubled | Out of order | \
         Invalid |\n|---|---|---|---|---|---|---|---|"
    )?;
    for report in reports {
        let sum =
            |field: fn(&crate::report::Row) -> u64| report.rows.iter().map(field).sum::<u64>();
        writeln!(
            page,
            "| [{name}](#{name}) | {} | {} | {} | {} | {} | {} | {} |",
            report.verdict.as_str(),
            sum(|row| row.runs),
            sum(|row| row.fired),
            sum(|row| row.lost),
            sum(|row| row.duplicated),
            sum(|row| row.disorder),
            sum(|row| row.invalid),
            name = report.campaign,
        )?;
    }
    writeln!(page)?;
    Ok(())
}

fn details(page: &mut String, report: &Report) -> Result<()> {
    writeln!(page, "## {}\n", report.campaign)?;
    let settings = report
        .settings
        .iter()
        .map(|(name, value)| format!("{name} {value}"));
    let settings: Vec<_> = settings.collect();
    writeln!(
        page,
        "`{}`, {:.0} s. {}.\n",
        report.command,
        report.seconds,
        settings.join(", ")
    )?;
    writeln!(
        page,
        "| Case | Runs | Faults | Passed | Failed | Invalid | Note |"
    )?;
    writeln!(page, "|---|---|---|---|---|---|---|")?;
    for row in &report.rows {
        let note = row.note.replace('|', "\\|").replace('\n', " ");
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {note} |",
            row.case, row.runs, row.fired, row.passed, row.failed, row.invalid
        )?;
    }
    writeln!(page)?;
    for gap in &report.not_covered {
        writeln!(page, "Not covered: {gap}.\n")?;
    }
    for problem in &report.problems {
        writeln!(page, "Found: {problem}\n")?;
    }
    Ok(())
}
