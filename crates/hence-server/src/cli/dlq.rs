//! `hence dlq`: dead letters, seen and sent again.

mod ls;
mod redrive;
mod show;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::Result;
use super::event::{Event, Page, read};
use super::global::Global;
use super::output::Output;
use super::query::Query;
use super::remote::Remote;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence dlq ls
  hence dlq redrive --all --dry-run";

/// The most dead letters of one page.
const PAGE_MAX: &str = "500";

/// Dead letters: what could not be handled, kept with its cause.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Dlq {
    /// Lists dead letters, oldest first.
    Ls(ls::Ls),
    /// Shows one dead letter with its event and its error.
    Show(show::Show),
    /// Sends dead letters to their subscriptions again.
    Redrive(redrive::Redrive),
}

impl Dlq {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        match self {
            Self::Ls(ls) => ls.run(out, global).await,
            Self::Show(show) => show.run(out, global).await,
            Self::Redrive(redrive) => redrive.run(out, global).await,
        }
    }
}

/// A dead letter as the server lists it.
#[derive(Clone, Debug, Deserialize)]
struct DeadLetter {
    id: String,
    subscription: String,
    position: String,
    reason: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    attempts: u64,
    #[serde(default)]
    since: String,
    #[serde(default)]
    hold: bool,
    event: Event,
}

impl DeadLetter {
    /// Type and key of the event, for lists.
    fn about(&self) -> String {
        let (kind, about) = (self.event.or_empty("type"), self.event.about());
        if about.is_empty() {
            kind
        } else {
            format!("{kind} {about}")
        }
    }
}

/// The dead letters of one subscription or of all, as they came and as they are read.
async fn list(
    out: &mut Output,
    remote: &Remote,
    subscription: Option<&str>,
    limit: usize,
) -> Result<Vec<(Box<RawValue>, DeadLetter)>> {
    let mut query = Query::default().with("limit", PAGE_MAX);
    query.add_some("subscription", subscription);
    let mut all = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let query = match &cursor {
            Some(cursor) => query.with("cursor", cursor),
            None => query.clone(),
        };
        let page: Page = remote.get(out, "/v1/deadletters", &query).await?;
        for raw in page.items {
            let letter = read(raw.get())?;
            all.push((raw, letter));
            if all.len() >= limit {
                return Ok(all);
            }
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(all),
        }
    }
}
