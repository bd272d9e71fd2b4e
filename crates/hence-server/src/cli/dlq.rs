//! `hence dlq`: dead letters, seen one by one and by cause, sent again, edited, and given up.

mod bulk;
mod discard;
mod edit;
mod groups;
mod ls;
mod redrive;
mod show;

use serde::Deserialize;

use super::error::Result;
use super::event::Event;
use super::global::Global;
use super::output::Output;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence dlq ls
  hence dlq groups
  hence dlq redrive --all --dry-run";

/// Dead letters: what could not be handled, kept with its cause.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Dlq {
    /// Lists dead letters, oldest first.
    Ls(ls::Ls),
    /// Counts dead letters by subscription and cause.
    Groups(groups::Groups),
    /// Shows one dead letter with its event and its error.
    Show(show::Show),
    /// Sends dead letters to their subscriptions again.
    Redrive(redrive::Redrive),
    /// Sends a dead letter again with other data, in its place.
    Edit(edit::Edit),
    /// Gives dead letters up for good; later events of their keys go on.
    Discard(discard::Discard),
}

impl Dlq {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        match self {
            Self::Ls(ls) => ls.run(out, global).await,
            Self::Groups(groups) => groups.run(out, global).await,
            Self::Show(show) => show.run(out, global).await,
            Self::Redrive(redrive) => redrive.run(out, global).await,
            Self::Edit(edit) => edit.run(out, global).await,
            Self::Discard(discard) => discard.run(out, global).await,
        }
    }
}

/// A dead letter as the server lists it; one that was asked for by itself has its event.
#[derive(Clone, Debug, Deserialize)]
struct DeadLetter {
    id: String,
    subscription: String,
    position: String,
    #[serde(rename = "type", default)]
    event_type: String,
    key: Option<String>,
    #[serde(default)]
    status: String,
    reason: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    fingerprint: String,
    #[serde(default)]
    attempts: u64,
    #[serde(default)]
    since: String,
    #[serde(default)]
    hold: bool,
    #[serde(default)]
    event: Event,
}

impl DeadLetter {
    /// Type and key of the event, for lists.
    fn about(&self) -> String {
        match &self.key {
            None => self.event_type.clone(),
            Some(key) => format!("{} {key}", self.event_type),
        }
    }

    /// Whether it was sent again, and is on its way or waits behind another.
    fn is_sent(&self) -> bool {
        self.status == "waiting"
    }
}
