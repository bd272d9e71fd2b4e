//! `hence backup`: a copy of a data directory, of which a server may be using the original.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::error::Result;
use super::log::{facts, failed, positions, span};
use super::output::Output;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence backup ./hence-data --to ./backup-1
  hence backup ./hence-data --to ./backup-2 --dry-run";

/// Copies a data directory, also while a server uses it; verifies the copy, and writes a manifest with
/// a hash of every file last. Everything that was acknowledged before it began is in it.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Backup {
    /// The data directory.
    dir: PathBuf,

    /// Where the backup goes: a directory that is empty or does not exist.
    #[arg(long, value_name = "NEWDIR")]
    to: PathBuf,

    /// Verifies the log and says what would be copied; writes nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Backup {
    pub(crate) fn run(&self, out: &mut Output) -> Result<()> {
        let (dir, to) = (&self.dir, &self.to);
        if self.dry_run {
            let found = hence_log::survey(dir).map_err(|error| failed(dir, error))?;
            return said(out, &found, to, true);
        }
        let found = hence_log::backup(dir, to).map_err(|error| failed(dir, error))?;
        said(out, &found, to, false)?;
        out.next(&format!("hence restore {} --to NEWDIR", to.display()));
        Ok(())
    }
}

/// What a backup holds.
pub(super) fn said(
    out: &mut Output,
    found: &hence_log::Backup,
    to: &Path,
    dry_run: bool,
) -> Result<()> {
    let log: String = found.log.iter().map(|b| format!("{b:02x}")).collect();
    let some = |(first, last): (u64, u64)| if last < first { (0, 0) } else { (first, last) };
    let (commits, positioned) = (some(found.commits), some(found.positions));
    let rows = [
        ("log", log.clone()),
        ("files", found.files.to_string()),
        ("bytes", found.bytes.to_string()),
        ("commits", span(commits)),
        ("positions", span(positioned)),
    ];
    let object = json!({
        "to": to, "dryrun": dry_run, "log": log, "files": found.files, "bytes": found.bytes,
        "commits": positions(commits), "positions": positions(positioned),
    });
    facts(out, object, &rows)
}
