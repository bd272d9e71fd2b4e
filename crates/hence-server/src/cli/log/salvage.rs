//! `hence log salvage`: a new log out of what a damaged one still holds.

use std::path::PathBuf;

use serde_json::json;

use super::{facts, failed, place, positions, span};
use crate::cli::error::Result;
use crate::cli::output::Output;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence log salvage ./hence-data --to ./saved
  hence log salvage ./hence-data --to ./saved-again --dry-run";

/// Copies everything readable of a damaged log into a new one that opens, and says what it left
/// out. The damaged log stays as it is; positions stay what they were.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Salvage {
    /// The directory of the damaged log.
    dir: PathBuf,

    /// Where the new log goes: a directory that is empty or does not exist.
    #[arg(long, value_name = "NEWDIR")]
    to: PathBuf,

    /// Says what would be copied and what left out; writes nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Salvage {
    pub(crate) fn run(&self, out: &mut Output) -> Result<()> {
        let (dir, to) = (&self.dir, &self.to);
        let rescued = match self.dry_run {
            true => hence_log::would_salvage(dir),
            false => hence_log::salvage_to(dir, to),
        };
        let rescued = rescued.map_err(|error| failed(dir, error))?;
        let left_out = &rescued.left_out;
        let mut rows = vec![
            ("commits", rescued.frames.to_string()),
            ("events", rescued.records.to_string()),
            ("positions", span(rescued.positions)),
        ];
        rows.extend(left_out.iter().map(|hole| ("left out", hole.to_string())));
        let object = json!({
            "to": to, "dryrun": self.dry_run, "commits": rescued.frames, "events": rescued.records,
            "positions": positions(rescued.positions), "snapshot": rescued.snapshot,
            "leftout": left_out.iter().map(place).collect::<Vec<_>>(),
        });
        facts(out, object, &rows)?;
        if !self.dry_run {
            out.next(&format!("hence log check {}", to.display()));
        }
        Ok(())
    }
}
