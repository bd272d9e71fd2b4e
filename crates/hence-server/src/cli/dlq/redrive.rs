//! `hence dlq redrive`: dead letters back to their subscriptions, previewed when there are many.

use std::io::{self, BufRead, IsTerminal};

use serde_json::json;

use super::{DeadLetter, list};
use crate::cli::error::{Error, Exit, Result};
use crate::cli::global::Global;
use crate::cli::output::{Form, Output, Style};
use crate::cli::query::{Query, encode};
use crate::cli::remote::{Ask, Remote};
use crate::cli::table::counted;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence dlq redrive --all --dry-run
  hence dlq redrive charge-card.12
  hence dlq redrive --subscription charge-card
  hence dlq redrive --all --force";

/// How many dead letters a preview names.
const SAMPLE: usize = 5;

/// Sends dead letters to their subscriptions again, in the order of their events.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["ids", "all", "subscription"])))]
pub(crate) struct Redrive {
    /// The ids, as `hence dlq ls` lists them.
    #[arg(value_name = "ID")]
    ids: Vec<String>,

    /// All of them.
    #[arg(long)]
    all: bool,

    /// All of one subscription.
    #[arg(long, value_name = "NAME")]
    subscription: Option<String>,

    /// Show what would be sent, and send nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Do not ask before many are sent.
    #[arg(short, long)]
    force: bool,
}

impl Redrive {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let remote = Remote::open(global)?;
        let letters = self.letters(out, &remote).await?;
        if letters.is_empty() {
            out.note("no dead letters, so nothing was sent");
            return Ok(());
        }
        let bulk = self.ids.is_empty();
        if bulk || self.dry_run {
            preview(out, &letters);
        }
        if self.dry_run {
            for letter in &letters {
                tell(out, letter, "would be sent")?;
            }
            out.note("nothing was sent");
            return Ok(());
        }
        let may_ask = !self.force && !global.no_input && io::stdin().is_terminal();
        if bulk && may_ask && !agreed(out, letters.len()) {
            out.note("nothing was sent");
            return Ok(());
        }
        for (sent, letter) in letters.iter().enumerate() {
            let path = format!("/v1/deadletters/{}/redrive", encode(&letter.id));
            match remote.ask(out, &Ask::post(path, Query::default())).await {
                Ok(_) => tell(out, letter, "sent again")?,
                // In bulk, one that was redriven by somebody else meanwhile is no trouble.
                Err(error) if bulk && error.exit() == Exit::NotFound => {
                    tell(out, letter, "gone already")?;
                }
                Err(error) => return Err(after(error, sent)),
            }
        }
        if let Some(first) = letters.first() {
            out.next(&format!("hence trace {}", first.position));
        }
        Ok(())
    }

    async fn letters(&self, out: &mut Output, remote: &Remote) -> Result<Vec<DeadLetter>> {
        if self.ids.is_empty() {
            let all = list(out, remote, self.subscription.as_deref(), usize::MAX).await?;
            return Ok(all.into_iter().map(|(_, letter)| letter).collect());
        }
        // All of them are looked up first, so that a wrong id sends none.
        let mut letters = Vec::new();
        for id in &self.ids {
            let path = format!("/v1/deadletters/{}", encode(id));
            letters.push(remote.get(out, &path, &Query::default()).await?);
        }
        Ok(letters)
    }
}

fn preview(out: &mut Output, letters: &[DeadLetter]) {
    let count = counted(letters.len(), "dead letter");
    let sample: Vec<_> = letters
        .iter()
        .take(SAMPLE)
        .map(|letter| letter.id.as_str())
        .collect();
    let more = letters.len().saturating_sub(SAMPLE);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    out.note(&format!("{count}: {}{more}", sample.join(", ")));
}

fn agreed(out: &mut Output, count: usize) -> bool {
    out.ask(&format!(
        "send {} again? [y/N]",
        counted(count, "dead letter")
    ));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn tell(out: &mut Output, letter: &DeadLetter, what: &str) -> Result<()> {
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

fn after(error: Error, sent: usize) -> Error {
    match sent {
        0 => error,
        n => error.cause(format!("{} sent before it", counted(n, "dead letter"))),
    }
}
