//! The short forms of the campaigns: kills, power cuts, damage, failing calls, simulation.
//!
//! Each row of a campaign counts as one; a row that proved nothing counts as failed.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Tally, Workshop};
use crate::campaign;

/// Runs the short form of one campaign.
pub(super) fn run(workshop: &Workshop, name: &str) -> Result<Tally> {
    let path = format!("target/campaigns/{name}-short.json");
    let path = workshop.root.join(path);
    let succeeded = campaign::run(&workshop.root, name, campaign::SHORT)?;
    let text = fs::read_to_string(&path).context("the campaign left no report")?;
    let mut tally = tally(&serde_json::from_str(&text)?, workshop.is_ci);
    if !succeeded && tally.failed == 0 {
        tally.add(Tally::failure(name));
    }
    Ok(tally)
}

/// Counts the rows of a report. What was not covered fails on a CI machine.
fn tally(report: &Value, is_ci: bool) -> Tally {
    let mut tally = Tally::default();
    let name = report["campaign"].as_str().unwrap_or_default();
    for row in report["rows"].as_array().into_iter().flatten() {
        let count = |field: &str| row[field].as_u64().unwrap_or(0);
        let case = row["case"].as_str().unwrap_or_default();
        if count("failed") + count("invalid") == 0 && count("passed") > 0 {
            tally.add(Tally::one(true));
        } else {
            tally.add(Tally::failure(format!("{name}: {case}")));
        }
    }
    for gap in report["not_covered"].as_array().into_iter().flatten() {
        let gap = format!("{name}: {}", gap.as_str().unwrap_or_default());
        tally.failed += usize::from(is_ci);
        tally.not_covered.push(gap);
    }
    tally
}

#[cfg(test)]
mod tests;
