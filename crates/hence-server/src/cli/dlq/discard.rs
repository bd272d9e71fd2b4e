//! `hence dlq discard`: dead letters that nobody needs any more; many of them as a job.

use super::bulk::{Bulk, Filter};
use super::redrive::{after, look_up, tell};
use crate::cli::error::Result;
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::cli::query::{Query, encode};
use crate::cli::remote::{Ask, Remote};

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence dlq discard charge-card.12 --reason 'the order was a test'
  hence dlq discard --subscription charge-card --reason 'refunded by hand' --dry-run";

/// Gives dead letters up for good; later events of their keys go on.
///
/// What is given up cannot be sent again. The event itself stays where it was published.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("which").required(true).multiple(true)
    .args(["ids", "all", "subscription", "event_type", "key", "fingerprint", "since", "until"])))]
pub(crate) struct Discard {
    /// The ids, as `hence dlq ls` lists them.
    #[arg(value_name = "ID", conflicts_with_all = ["all", "subscription", "event_type", "key", "fingerprint", "since", "until"])]
    ids: Vec<String>,

    /// All of them.
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    filter: Filter,

    /// Why nobody needs them, in a few words; it is kept.
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// Show what would be given up, and change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Do not ask before many are given up.
    #[arg(short, long)]
    force: bool,
}

impl Discard {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        if self.ids.is_empty() {
            let bulk = Bulk {
                kind: "discard",
                would: "would be discarded",
                done: "discarded",
                nothing: "nothing was discarded",
                filter: &self.filter,
                rate: None,
                reason: Some(&self.reason),
                dry_run: self.dry_run,
                force: self.force,
            };
            return bulk.run(out, global).await;
        }
        let remote = Remote::open(global)?;
        // All of them are looked up first, so that a wrong id gives none up.
        let letters = look_up(&remote, out, &self.ids).await?;
        for (done, letter) in letters.iter().enumerate() {
            if self.dry_run {
                tell(out, letter, "would be discarded")?;
                continue;
            }
            let path = format!("/v1/deadletters/{}", encode(&letter.id));
            let query = Query::default().with("reason", &self.reason);
            match remote.ask(out, &Ask::delete(path, query)).await {
                Ok(_) => tell(out, letter, "discarded")?,
                Err(error) => return Err(after(error, done)),
            }
        }
        if self.dry_run {
            out.note("nothing was discarded");
        }
        Ok(())
    }
}
