//! The scorecard: `docs/reference/reliability.md`, made from what the campaigns found.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde::de::DeserializeOwned;

use crate::fuzz::TARGETS;
use crate::report::{FOLDER, Report, Verdict, say, version};

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
        let [long, short] = [read::<Report>(name, "")?, read(name, "-short")?];
        reports.extend(telling(long, short, |report| report.verdict));
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
    target: String,
    passed: bool,
    executions: Option<u64>,
    covered: Option<u64>,
    findings: u64,
    seconds: u64,
    /// Absent in what was written down before it was asked for.
    #[serde(default)]
    commit: String,
}

impl Fuzzed {
    const fn verdict(&self) -> Verdict {
        match self.passed {
            true => Verdict::Pass,
            false => Verdict::Fail,
        }
    }
}

/// What the last run of one form left, if there was one.
fn read<T: DeserializeOwned>(name: &str, form: &str) -> Result<Option<T>> {
    let place = format!("{FOLDER}/{name}{form}.json");
    let bytes = match fs::read(&place) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("'{place}' cannot be read")),
    };
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// The long form tells more, unless what the short one tells is worse: it may be newer.
fn telling<T>(long: Option<T>, short: Option<T>, verdict: fn(&T) -> Verdict) -> Option<T> {
    let weight = |run: &Option<T>| match run.as_ref().map(verdict) {
        None => 0,
        Some(Verdict::NotRun) => 1,
        Some(Verdict::Pass) => 2,
        Some(Verdict::Invalid) => 3,
        Some(Verdict::Fail) => 4,
    };
    match weight(&short) > weight(&long) {
        true => short,
        false => long,
    }
}

/// What `cargo xtask fuzz` did in its last runs.
fn fuzzing(page: &mut String) -> Result<()> {
    let mut rows = String::new();
    for (name, _) in TARGETS {
        let name = format!("fuzz-{name}");
        let [long, short] = [read::<Fuzzed>(&name, "")?, read(&name, "-short")?];
        let Some(told) = telling(long, short, Fuzzed::verdict) else {
            continue;
        };
        writeln!(
            rows,
            "| {} | {} | {} | {} | {} | {} | {} |",
            told.target,
            told.verdict().as_str(),
            told.executions.unwrap_or(0),
            told.covered.unwrap_or(0),
            told.findings,
            told.seconds,
            told.commit,
        )?;
    }
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "## fuzzing\n\n`cargo xtask fuzz --time 300`: libFuzzer, without sanitizers, one core; the seconds \
         of each target are in the table.\n\n\
         | Target | Verdict | Inputs | Branches reached | Findings | Seconds | Commit |\n\
         |---|---|---|---|---|---|---|\n{rows}"
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
        // Earlier reports have the release of the kernel whole.
        .map(|(name, value)| match name.as_str() {
            "kernel" => format!("{name} {}", version(value)),
            _ => format!("{name} {value}"),
        });
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

#[cfg(test)]
mod tests {
    use super::{Verdict, telling};

    #[test]
    fn a_long_run_does_not_hide_a_short_one_that_went_wrong() {
        let told = |long, short| {
            let own = |run: &(&str, Verdict)| run.1;
            let run = |form: &'static str, verdict: Option<Verdict>| verdict.map(|v| (form, v));
            telling(run("long", long), run("short", short), own).map(|run| run.0)
        };
        let (pass, fail) = (Some(Verdict::Pass), Some(Verdict::Fail));
        assert_eq!(told(pass, fail), Some("short"));
        assert_eq!(told(pass, Some(Verdict::Invalid)), Some("short"));
        assert_eq!(told(pass, pass), Some("long"));
        assert_eq!(told(fail, fail), Some("long"));
        assert_eq!(told(fail, pass), Some("long"));
        assert_eq!(told(pass, Some(Verdict::NotRun)), Some("long"));
        assert_eq!(told(None, Some(Verdict::NotRun)), Some("short"));
        assert_eq!(told(pass, None), Some("long"));
        assert_eq!(told(None, None), None);
    }
}
