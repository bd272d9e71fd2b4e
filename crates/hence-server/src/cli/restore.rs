//! `hence restore`: a data directory out of a backup.

use std::path::PathBuf;

use super::backup::said;
use super::error::{Exit, Result};
use super::log::failed;
use super::output::Output;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence restore ./backup-1 --to ./restored
  hence restore ./backup-1 --to ./restored-again --dry-run";

/// Makes a data directory out of a backup. Every hash is verified before anything is written, and
/// every frame afterwards; what is there then starts, and goes on where the backup ended.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Restore {
    /// The directory of the backup.
    backup: PathBuf,

    /// Where the log goes: a directory that is empty or does not exist.
    #[arg(long, value_name = "NEWDIR")]
    to: PathBuf,

    /// Verifies the backup and writes nothing; exits with 7 if it cannot be used.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Restore {
    pub(crate) fn run(&self, out: &mut Output) -> Result<()> {
        let (from, to) = (&self.backup, &self.to);
        if self.dry_run {
            let found = hence_log::verify(from);
            let found = found.map_err(|error| failed(from, error).exiting(Exit::Check))?;
            return said(out, &found, to, true);
        }
        let found = hence_log::restore(from, to).map_err(|error| failed(from, error))?;
        said(out, &found, to, false)?;
        out.next(&format!("hence dev --data {}", to.display()));
        Ok(())
    }
}
