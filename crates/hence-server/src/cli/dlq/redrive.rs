//! `hence dlq redrive`: dead letters back to their subscriptions; many of them as a job.

use serde_json::json;

use super::DeadLetter;
use super::bulk::{Bulk, Filter};
use crate::cli::error::{Error, Result};
use crate::cli::global::Global;
use crate::cli::output::{Form, Output, Style};
use crate::cli::query::{Query, encode};
use crate::cli::remote::{Ask, Remote};
use crate::cli::table::counted;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence dlq redrive --all --dry-run
  hence dlq redrive charge-card.12
  hence dlq redrive --subscription charge-card --rate 50
  hence dlq redrive --since 1h --type order.placed --force";

/// Sends dead letters to their subscriptions again, in the order of their events.
///
/// Many are sent as a job of the server, on what was there when it was previewed. It is safe to ask
/// twice.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("which").required(true).multiple(true)
    .args(["ids", "all", "subscription", "event_type", "key", "fingerprint", "since", "until"])))]
pub(crate) struct Redrive {
    /// The ids, as `hence dlq ls` lists them.
    #[arg(value_name = "ID", conflicts_with_all = ["all", "rate", "subscription", "event_type", "key", "fingerprint", "since", "until"])]
    ids: Vec<String>,

    /// All of them.
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    filter: Filter,

    /// At most so many a second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// Show what would be sent, and send nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Do not ask before many are sent.
    #[arg(short, long)]
    force: bool,
}

impl Redrive {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        if self.ids.is_empty() {
            let bulk = Bulk {
                kind: "redrive",
                would: "would be sent",
                done: "sent again",
                nothing: "nothing was sent",
                filter: &self.filter,
                rate: self.rate,
                reason: None,
                dry_run: self.dry_run,
                force: self.force,
            };
            return bulk.run(out, global).await;
        }
        let remote = Remote::open(global)?;
        // All of them are looked up first, so that a wrong id sends none.
        let letters = look_up(&remote, out, &self.ids).await?;
        if self.dry_run {
            for letter in &letters {
                tell(out, letter, "would be sent")?;
            }
            out.note("nothing was sent");
            return Ok(());
        }
        for (sent, letter) in letters.iter().enumerate() {
            let path = format!("/v1/deadletters/{}/redrive", encode(&letter.id));
            match remote.ask(out, &Ask::post(path, Query::default())).await {
                Ok(_) => tell(out, letter, "sent again")?,
                Err(error) => return Err(after(error, sent)),
            }
        }
        if let Some(first) = letters.first() {
            out.next(&format!("hence trace {}", first.position));
        }
        Ok(())
    }
}

/// The dead letters of these ids, or an error if there is not each of them.
pub(super) async fn look_up(
    remote: &Remote,
    out: &mut Output,
    ids: &[String],
) -> Result<Vec<DeadLetter>> {
    let mut letters = Vec::with_capacity(ids.len());
    for id in ids {
        let path = format!("/v1/deadletters/{}", encode(id));
        letters.push(remote.get(out, &path, &Query::default()).await?);
    }
    Ok(letters)
}

/// Says what became of one dead letter.
pub(super) fn tell(out: &mut Output, letter: &DeadLetter, what: &str) -> Result<()> {
    match out.form() {
        Form::Json => out.json(&json!({
            "id": letter.id, "subscription": letter.subscription, "position": letter.position,
            "result": what,
        })),
        Form::Plain => out.row([letter.id.as_str(), what]),
        Form::Human => {
            let id = out.paint(Style::Name, &letter.id);
            out.line(&format!("{id} {what} ({})", letter.about()))
        }
    }
}

/// An error that came after some were done.
pub(super) fn after(error: Error, done: usize) -> Error {
    match done {
        0 => error,
        n => error.cause(format!("{} done before it", counted(n, "dead letter"))),
    }
}
