//! `hence dlq ls`: a table of dead letters, one by one or by cause.

use std::collections::BTreeMap;

use serde_json::json;

use super::{DeadLetter, list};
use crate::cli::error::Result;
use crate::cli::global::{Global, Times};
use crate::cli::output::{Form, Output, Style};
use crate::cli::remote::Remote;
use crate::cli::table::{Side, Table, counted};

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence dlq ls
  hence dlq ls --group
  hence dlq ls --subscription charge-card --json";

/// Lists dead letters, oldest first.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Ls {
    /// Only those of one subscription.
    #[arg(long, value_name = "NAME")]
    subscription: Option<String>,

    /// One row for each subscription and error, with how many there are.
    #[arg(long)]
    group: bool,

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
        let letters = list(out, &remote, self.subscription.as_deref(), limit).await?;
        if self.group {
            let letters: Vec<_> = letters.iter().map(|(_, letter)| letter).collect();
            return self.groups(out, &letters);
        }
        if out.is_json() {
            return letters.iter().try_for_each(|(raw, _)| out.raw(raw));
        }
        let mut table = Table::new([
            ("ID", Side::Left),
            ("EVENT", Side::Left),
            ("SINCE", Side::Left),
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
            table.styled([
                (letter.id.clone(), Some(Style::Name)),
                (letter.about(), None),
                (since, None),
                (letter.attempts.to_string(), None),
                (letter.reason.clone(), Some(Style::Bad)),
                (letter.error.clone(), None),
            ]);
        }
        table.write(out)?;
        conclude(
            out,
            &letters.iter().map(|(_, letter)| letter).collect::<Vec<_>>(),
        );
        Ok(())
    }

    fn groups(&self, out: &mut Output, letters: &[&DeadLetter]) -> Result<()> {
        let mut groups: BTreeMap<(&str, &str, String), Vec<&DeadLetter>> = BTreeMap::new();
        for letter in letters {
            let key = (
                &*letter.subscription,
                &*letter.reason,
                fingerprint(&letter.error),
            );
            groups.entry(key).or_default().push(letter);
        }
        let mut table = Table::new([
            ("SUBSCRIPTION", Side::Left),
            ("COUNT", Side::Right),
            ("FIRST", Side::Left),
            ("LAST", Side::Left),
            ("SAMPLE", Side::Left),
            ("REASON", Side::Left),
            ("ERROR", Side::Left),
        ]);
        let show = |out: &Output, time: &str| match out.form() {
            Form::Human => self.times.show(time),
            Form::Json | Form::Plain => time.to_owned(),
        };
        for ((subscription, reason, error), members) in groups {
            let (Some(first), Some(last)) = (members.first(), members.last()) else {
                continue;
            };
            if out.is_json() {
                out.json(&json!({
                    "subscription": subscription, "reason": reason, "error": error,
                    "count": members.len(), "first": first.since, "last": last.since,
                    "sample": first.id,
                }))?;
                continue;
            }
            table.styled([
                (subscription.to_owned(), Some(Style::Name)),
                (members.len().to_string(), None),
                (show(out, &first.since), None),
                (show(out, &last.since), None),
                (first.id.clone(), None),
                (reason.to_owned(), Some(Style::Bad)),
                (error, None),
            ]);
        }
        if !out.is_json() {
            table.write(out)?;
            conclude(out, letters);
        }
        Ok(())
    }
}

fn conclude(out: &mut Output, letters: &[&DeadLetter]) {
    let Some(first) = letters.first() else {
        if out.form() == Form::Human {
            out.note("no dead letters");
        }
        return;
    };
    let held = letters.iter().filter(|letter| letter.hold).count();
    if held > 0 && out.form() == Form::Human {
        let letters = counted(held, "dead letter");
        out.note(&format!("later events of the same keys wait for {letters}"));
    }
    out.next(&format!("hence dlq show {}", first.id));
}

/// The error with its numbers and ids taken out, so that the same trouble counts as one.
fn fingerprint(error: &str) -> String {
    let mut out = String::with_capacity(error.len());
    for word in error.split_inclusive(is_break) {
        let is_varying = word.bytes().any(|byte| byte.is_ascii_digit());
        if is_varying {
            out.push('#');
            out.extend(word.chars().next_back().filter(|c| is_break(*c)));
        } else {
            out.push_str(word);
        }
    }
    out
}

fn is_break(c: char) -> bool {
    c.is_whitespace() || ",;:()'\"".contains(c)
}

#[cfg(test)]
mod tests;
