//! `hence dlq groups`: dead letters by subscription and cause.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::bulk::Filter;
use crate::cli::error::Result;
use crate::cli::event::read;
use crate::cli::global::{Global, Times};
use crate::cli::output::{Form, Output, Style};
use crate::cli::remote::{Ask, Remote};
use crate::cli::table::{Side, Table, counted};

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence dlq groups
  hence dlq groups --since 1h --json";

/// Counts dead letters by subscription and cause, those that came first in front.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Groups {
    #[command(flatten)]
    filter: Filter,

    #[command(flatten)]
    times: Times,
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<Box<RawValue>>,
    #[serde(default)]
    rest: u64,
}

#[derive(Deserialize)]
struct Group {
    subscription: String,
    fingerprint: String,
    reason: String,
    error: String,
    count: u64,
    first: String,
    last: String,
    sample: String,
}

impl Groups {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let remote = Remote::open(global)?;
        let ask = Ask::get("/v1/deadletters/groups", self.filter.query());
        let answer: Answer = remote.ask(out, &ask).await?.read()?;
        if out.is_json() {
            return answer.items.iter().try_for_each(|raw| out.raw(raw));
        }
        let mut table = Table::new([
            ("SUBSCRIPTION", Side::Left),
            ("COUNT", Side::Right),
            ("FIRST", Side::Left),
            ("LAST", Side::Left),
            ("FINGERPRINT", Side::Left),
            ("SAMPLE", Side::Left),
            ("REASON", Side::Left),
            ("ERROR", Side::Left),
        ]);
        let show = |out: &Output, time: String| match out.form() {
            Form::Human => self.times.show(&time),
            Form::Json | Form::Plain => time,
        };
        let mut next = None;
        for raw in &answer.items {
            let group: Group = read(raw.get())?;
            next.get_or_insert_with(|| group.fingerprint.clone());
            table.styled([
                (group.subscription, Some(Style::Name)),
                (group.count.to_string(), None),
                (show(out, group.first), None),
                (show(out, group.last), None),
                (group.fingerprint, None),
                (group.sample, None),
                (group.reason, Some(Style::Bad)),
                (group.error, None),
            ]);
        }
        table.write(out)?;
        if answer.rest > 0 {
            let rest = counted(answer.rest, "dead letter");
            out.note(&format!("{rest} of further causes"));
        }
        match next {
            Some(print) => out.next(&format!(
                "hence dlq redrive --fingerprint {print} --dry-run"
            )),
            None if out.form() == Form::Human => out.note("no dead letters"),
            None => {}
        }
        Ok(())
    }
}
