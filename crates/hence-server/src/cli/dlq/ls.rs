//! `hence dlq ls`: a table of dead letters.

use serde_json::value::RawValue;

use super::DeadLetter;
use super::bulk::Filter;
use crate::cli::error::Result;
use crate::cli::event::{Page, read};
use crate::cli::global::{Global, Times};
use crate::cli::output::{Form, Output, Style};
use crate::cli::query::Query;
use crate::cli::remote::Remote;
use crate::cli::table::{Side, Table, counted};

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence dlq ls
  hence dlq ls --since 1h --type order.placed
  hence dlq ls --subscription charge-card --json";

/// The most dead letters of one page.
const PAGE_MAX: &str = "500";

/// Lists dead letters, oldest first.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Ls {
    #[command(flatten)]
    filter: Filter,

    /// At most so many.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,

    #[command(flatten)]
    times: Times,
}

impl Ls {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let remote = Remote::open(global)?;
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let letters = list(out, &remote, &self.filter.query(), limit).await?;
        if out.is_json() {
            return letters.iter().try_for_each(|(raw, _)| out.raw(raw));
        }
        let mut table = Table::new([
            ("ID", Side::Left),
            ("EVENT", Side::Left),
            ("SINCE", Side::Left),
            ("STATUS", Side::Left),
            ("TRIES", Side::Right),
            ("REASON", Side::Left),
            ("ERROR", Side::Left),
        ]);
        let plain = out.form() == Form::Plain;
        for (_, letter) in &letters {
            let since = if plain {
                letter.since.clone()
            } else {
                self.times.show(&letter.since)
            };
            let sent = letter.is_sent();
            table.styled([
                (letter.id.clone(), Some(Style::Name)),
                (letter.about(), None),
                (since, None),
                (letter.status.clone(), sent.then_some(Style::Wait)),
                (letter.attempts.to_string(), None),
                (letter.reason.clone(), Some(Style::Bad)),
                (letter.error.clone(), None),
            ]);
        }
        table.write(out)?;
        conclude(out, &letters);
        Ok(())
    }
}

/// The dead letters that a query finds, as they came and as they are read.
async fn list(
    out: &mut Output,
    remote: &Remote,
    query: &Query,
    limit: usize,
) -> Result<Vec<(Box<RawValue>, DeadLetter)>> {
    let query = query.with("limit", PAGE_MAX);
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

fn conclude(out: &mut Output, letters: &[(Box<RawValue>, DeadLetter)]) {
    if out.form() != Form::Human {
        return;
    }
    let count = |wanted: &dyn Fn(&DeadLetter) -> bool| {
        letters.iter().filter(|(_, letter)| wanted(letter)).count()
    };
    let held = count(&|letter| letter.hold && !letter.is_sent());
    if held > 0 {
        let letters = counted(held, "dead letter");
        out.note(&format!("later events of the same keys wait for {letters}"));
    }
    let sent = count(&DeadLetter::is_sent);
    if sent > 0 {
        let sent = counted(sent, "dead letter");
        out.note(&format!(
            "{sent} sent again: on the way, or behind an earlier one of the same key"
        ));
    }
    match letters.first() {
        Some((_, first)) => out.next(&format!("hence dlq show {}", first.id)),
        None => out.note("no dead letters"),
    }
}
