//! What one event costs in memory, in instructions and allocations: neither may rise above the
//! ceilings that stand in the benchmark. A count says what a timed run on a shared machine cannot.

use std::process::Command;

use anyhow::Result;

use super::{Tally, Workshop};
use crate::bench;

/// Runs the fixed programs of `hence-bench ceilings` under valgrind.
pub(super) fn run(workshop: &Workshop) -> Result<Tally> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Ok(Tally {
            failed: usize::from(workshop.is_ci),
            not_covered: vec!["the cost of an event: valgrind is not installed".to_owned()],
            ..Tally::default()
        });
    }
    Ok(match bench::run(&workshop.root, "ceilings", false, &[])? {
        true => Tally::one(true),
        false => Tally::failure("an event costs more than its ceiling, or could not be counted"),
    })
}
