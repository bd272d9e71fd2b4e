//! `cargo xtask guarantees`: runs every test that is named after a guarantee, and writes what came of
//! it into the table of docs/concepts/guarantees.md.

pub(crate) mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::house::House;
use crate::tidy::crate_of;
use crate::tidy::guarantees::{Bearer, PAGE, bearers};
use table::Verdict;

/// The crate whose tests run the cases of the suite on every engine of ours.
const ENGINES: &str = "hence-engine-local";
/// Its test that the table of the cases is current, without which that table says nothing.
const CASES_ARE_CURRENT: &str = "the_table_in_the_documents_is_current";

/// Runs the tests and writes the table; true when every guarantee holds that has a test.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let house = House::load(root)?;
    let bearers = bearers(&house);
    let ran = ran(root, &bearers)?;
    let verdicts = verdicts(&bearers, &ran);
    let page = table::written(&house, &bearers, &verdicts);
    let page = page.with_context(|| format!("{PAGE} has no place for the table"))?;
    fs::write(root.join(PAGE), page).with_context(|| format!("{PAGE} cannot be written"))?;
    for (number, verdict) in &verdicts {
        println!("G{number}: {verdict}");
    }
    let current = ran.get(CASES_ARE_CURRENT).copied().unwrap_or(false);
    if !current {
        println!("docs/concepts/engines.md is not current: the cases say something else");
    }
    Ok(current && verdicts.values().all(|verdict| *verdict != Verdict::Broken))
}

/// Runs every test that is named after a guarantee. Whether all of a name passed, by the name.
fn ran(root: &Path, bearers: &[Bearer]) -> Result<BTreeMap<String, bool>> {
    let crates = bearers.iter().filter(|bearer| !bearer.is_case());
    let crates: BTreeSet<&str> = crates.filter_map(|bearer| crate_of(&bearer.path)).collect();
    let mut command = Command::new(crate::house::cargo());
    command.current_dir(root).args(["test", "--no-fail-fast"]);
    for name in crates.iter().chain([&ENGINES]) {
        command.args(["--package", name]);
    }
    let numbers: BTreeSet<u32> = bearers.iter().map(|bearer| bearer.number).collect();
    command.args(["--", CASES_ARE_CURRENT]);
    command.args(numbers.iter().map(|number| format!("g{number}_")));
    let mut child = command.stdout(Stdio::piped()).spawn();
    let child = child.as_mut();
    let child = child.map_err(|error| anyhow::anyhow!("cargo could not be started: {error}"))?;
    let output = child.stdout.take().context("stdout is piped")?;
    let mut ran = BTreeMap::new();
    for line in BufReader::new(output).lines() {
        note(&line?, &mut ran);
    }
    // A failure of cargo is one of a test, which is noted, or leaves tests that did not run.
    child.wait()?;
    Ok(ran)
}

/// Reads `test publish::g13_no_receipt::memory ... ok`: each part of the path may be the name.
fn note(line: &str, ran: &mut BTreeMap<String, bool>) {
    let test = line.strip_prefix("test ");
    let Some((path, end)) = test.and_then(|test| test.rsplit_once(" ... ")) else {
        return;
    };
    for part in path.split("::") {
        *ran.entry(part.to_owned()).or_insert(true) &= end == "ok";
    }
}

fn verdicts(bearers: &[Bearer], ran: &BTreeMap<String, bool>) -> BTreeMap<u32, Verdict> {
    let mut verdicts = BTreeMap::new();
    for bearer in bearers {
        let verdict = verdicts.entry(bearer.number).or_insert(Verdict::Holds);
        if ran.get(&bearer.name) != Some(&true) {
            *verdict = Verdict::Broken;
        }
    }
    verdicts
}

#[cfg(test)]
mod tests;
