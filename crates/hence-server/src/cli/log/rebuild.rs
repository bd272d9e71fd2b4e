//! `hence log rebuild`: a log without what is derived from it.

use std::path::PathBuf;

use serde_json::json;

use super::{facts, failed};
use crate::cli::error::{Error, Result};
use crate::cli::output::Output;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence log rebuild ./hence-data
  hence log rebuild ./hence-data --json";

/// Removes snapshots and indexes, so that the next start makes them again from the events. Refused
/// while a server has the log open, and where only a snapshot knows what retired events said.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Rebuild {
    /// The directory of the log.
    dir: PathBuf,
}

impl Rebuild {
    pub(crate) fn run(&self, out: &mut Output) -> Result<()> {
        let rebuilt = hence_log::rebuild(&self.dir).map_err(|error| failed(&self.dir, error))?;
        // Nobody had the log open, and whoever opens it now makes the index anew all the same.
        let search = hence_engine_local::remove_index(&self.dir)
            .map_err(|error| Error::from(error).at(self.dir.display()))?;
        let rows = [
            ("snapshots removed", rebuilt.snapshots.to_string()),
            ("indexes removed", rebuilt.indexes.to_string()),
            (
                "search index",
                if search { "removed" } else { "none" }.to_owned(),
            ),
        ];
        let object = json!({
            "snapshots": rebuilt.snapshots, "indexes": rebuilt.indexes, "searchindex": search,
        });
        facts(out, object, &rows)
    }
}
