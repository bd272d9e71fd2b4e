//! `hence log check`: is every frame of a log what was written?

use std::path::PathBuf;

use hence::core::Code;
use serde_json::json;

use super::{facts, failed, no_log, place, positions, span};
use crate::cli::error::{Error, Exit, Result};
use crate::cli::output::Output;
use crate::cli::table::counted;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence log check ./hence-data
  hence log check ./hence-data --json";

/// Problems that the error names; the report has all.
const NAMED_MAX: usize = 5;

/// Verifies every frame of a log; also of one that a server has open. Exits with 7 if it is damaged.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Check {
    /// The directory of the log.
    dir: PathBuf,
}

impl Check {
    pub(crate) fn run(&self, out: &mut Output) -> Result<()> {
        let dir = &self.dir;
        let report = hence_log::check(dir).map_err(|error| failed(dir, error))?;
        if report.segments == 0 && report.problems.is_empty() {
            return Err(no_log(dir));
        }
        let torn = report.torn.as_ref();
        let end = match (torn, report.clean) {
            (Some((file, offset)), _) => {
                format!("cut short in {file} at byte {offset}; opening it sets the rest aside")
            }
            (None, true) => "clean".to_owned(),
            (None, false) => "open, or not closed".to_owned(),
        };
        let problems = &report.problems;
        let mut rows = vec![
            ("segments", report.segments.to_string()),
            ("bytes", report.bytes.to_string()),
            ("commits", report.frames.to_string()),
            ("events", report.records.to_string()),
            ("positions", span(report.positions)),
            ("snapshots", report.snapshots.to_string()),
            ("end", end),
        ];
        let damaged = problems.iter().map(|found| ("damaged", found.to_string()));
        rows.extend(damaged);
        let object = json!({
            "intact": problems.is_empty(), "segments": report.segments, "bytes": report.bytes,
            "commits": report.frames, "events": report.records,
            "positions": positions(report.positions), "snapshots": report.snapshots,
            "clean": report.clean,
            "torn": torn.map(|(file, offset)| json!({"file": file, "offset": offset})),
            "problems": problems.iter().map(place).collect::<Vec<_>>(),
        });
        facts(out, object, &rows)?;
        let Some(first) = problems.first() else {
            return Ok(());
        };
        let count = counted(problems.len(), "problem");
        let sentence = format!("{}: the log is damaged, {count}: {first}", dir.display());
        let error = Error::from(Code::CORRUPT.error(sentence)).exiting(Exit::Check);
        let more = problems.iter().skip(1).take(NAMED_MAX - 1);
        let error = more.fold(error, Error::cause);
        let dir = dir.display();
        Err(error.fix(format!(
            "restore a backup, or save what is readable: hence log salvage {dir} --to NEWDIR"
        )))
    }
}
