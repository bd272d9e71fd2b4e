//! `hence log stat`: how large is a log?

use std::path::PathBuf;

use serde_json::json;

use super::{facts, failed, no_log};
use crate::cli::error::Result;
use crate::cli::output::Output;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence log stat ./hence-data
  hence log stat ./hence-data --json";

/// Measures a log without reading its events; also one that a server has open.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Stat {
    /// The directory of the log.
    dir: PathBuf,
}

impl Stat {
    pub(crate) fn run(&self, out: &mut Output) -> Result<()> {
        let stat = hence_log::stat(&self.dir).map_err(|error| failed(&self.dir, error))?;
        if stat.segments == 0 {
            return Err(no_log(&self.dir));
        }
        let rows = [
            ("segments", stat.segments.to_string()),
            ("bytes", stat.bytes.to_string()),
            ("spare segments", stat.spares.to_string()),
            ("snapshots", stat.snapshots.to_string()),
            ("first position", stat.first_position.to_string()),
            ("last segment from", stat.last_segment_position.to_string()),
        ];
        let object = json!({
            "segments": stat.segments, "bytes": stat.bytes, "spares": stat.spares,
            "snapshots": stat.snapshots, "first": stat.first_position.to_string(),
            "lastsegment": stat.last_segment_position.to_string(),
        });
        facts(out, object, &rows)
    }
}
