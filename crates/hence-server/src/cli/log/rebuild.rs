//! `hence log rebuild`: a log without what is derived from it.

use std::path::PathBuf;

use serde_json::json;

use super::{facts, failed};
use crate::cli::error::{Error, Result};
use crate::cli::output::Output;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence log rebuild ./hence-data
  hence log rebuild ./hence-data --dry-run";

/// Removes snapshots and indexes, so that the next start makes them again from the events. Refused
/// while a server has the log open, and where only a snapshot knows what retired events said.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Rebuild {
    /// The directory of the log.
    dir: PathBuf,

    /// Says what would be removed, and removes nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Rebuild {
    pub(crate) fn run(&self, out: &mut Output) -> Result<()> {
        let dir = &self.dir;
        let rebuilt = match self.dry_run {
            true => hence_log::would_rebuild(dir),
            false => hence_log::rebuild(dir),
        };
        let rebuilt = rebuilt.map_err(|error| failed(dir, error))?;
        // Nobody had the log open, and whoever opens it now makes the index anew all the same.
        let search = match self.dry_run {
            true => hence_engine_local::has_index(dir),
            false => hence_engine_local::remove_index(dir)
                .map_err(|error| Error::from(error).at(dir.display()))?,
        };
        let words = match self.dry_run {
            true => [
                "snapshots to remove",
                "indexes to remove",
                "search index to remove",
            ],
            false => [
                "snapshots removed",
                "indexes removed",
                "search index removed",
            ],
        };
        let rows = [
            (words[0], rebuilt.snapshots.to_string()),
            (words[1], rebuilt.indexes.to_string()),
            (words[2], u8::from(search).to_string()),
        ];
        let object = json!({
            "dryrun": self.dry_run, "snapshots": rebuilt.snapshots, "indexes": rebuilt.indexes,
            "searchindex": search,
        });
        facts(out, object, &rows)
    }
}
