//! `hence dlq show`: one dead letter, whole.

use serde_json::value::RawValue;

use super::DeadLetter;
use crate::cli::error::Result;
use crate::cli::global::{Global, Times};
use crate::cli::output::{Form, Output, Style, clean};
use crate::cli::query::{Query, encode};
use crate::cli::remote::{Ask, Remote};
use crate::cli::table::counted;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence dlq show charge-card.12
  hence dlq show charge-card.12 --json";

/// Shows one dead letter with its event and its error.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Show {
    /// The id, as `hence dlq ls` lists it.
    id: String,

    /// Print the data of its event and nothing else, to be edited and sent again.
    #[arg(long)]
    data: bool,

    #[command(flatten)]
    times: Times,
}

impl Show {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let remote = Remote::open(global)?;
        let path = format!("/v1/deadletters/{}", encode(&self.id));
        let answer = remote.ask(out, &Ask::get(path, Query::default())).await?;
        if self.data {
            let letter: DeadLetter = answer.read()?;
            let data = letter.event.data_laid_out().unwrap_or_default();
            return data.lines().try_for_each(|line| out.line(line));
        }
        if out.is_json() {
            return out.raw(answer.read::<Box<RawValue>>()?.as_ref());
        }
        let letter: DeadLetter = answer.read()?;
        if out.form() == Form::Plain {
            return self
                .rows(&letter, false)
                .iter()
                .try_for_each(|(name, value)| out.row([*name, value]));
        }
        let id = out.paint(Style::Head, &letter.id);
        out.line(&format!("{id} is a dead letter"))?;
        for (name, value) in self.rows(&letter, true) {
            let style = if name == "error" {
                Style::Bad
            } else {
                Style::Head
            };
            let value = clean(&value).into_owned();
            let value = if name == "error" {
                out.paint(style, &value)
            } else {
                value
            };
            let name = out.paint(Style::Faint, &format!("{name:12}"));
            out.line(&format!("  {name}  {value}"))?;
        }
        for line in letter.event.data_laid_out().unwrap_or_default().lines() {
            out.line(&format!("  {}", clean(line)))?;
        }
        if letter.is_sent() {
            out.note("it was sent again: on the way, or behind an earlier one of its key");
        } else if letter.hold {
            out.note("later events of its key wait for it");
        }
        out.next(&format!("hence dlq redrive {}", letter.id));
        Ok(())
    }

    fn rows(&self, letter: &DeadLetter, for_people: bool) -> Vec<(&'static str, String)> {
        let since = if for_people {
            self.times.show(&letter.since)
        } else {
            letter.since.clone()
        };
        vec![
            ("subscription", letter.subscription.clone()),
            ("reason", letter.reason.clone()),
            ("error", letter.error.clone()),
            ("fingerprint", letter.fingerprint.clone()),
            ("tries", counted(letter.attempts, "attempt")),
            ("since", since),
            ("position", letter.position.clone()),
            ("event", letter.about()),
            ("event id", letter.event.or_empty("id")),
            ("source", letter.event.or_empty("source")),
        ]
    }
}
