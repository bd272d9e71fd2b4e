//! Which dead letters a command is about, and many of them as one job of the server.

use hence::core::Timestamp;
use serde_json::{Map, Value};

use crate::cli::error::Result;
use crate::cli::global::Global;
use crate::cli::jobs::Work;
use crate::cli::moment;
use crate::cli::output::{Form, Output};
use crate::cli::query::Query;
use crate::cli::table::counted;

/// Which dead letters.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filter")]
pub(super) struct Filter {
    /// Only those of one subscription.
    #[arg(long, value_name = "NAME")]
    pub(super) subscription: Option<String>,

    /// Only those of events of one type.
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) event_type: Option<String>,

    /// Only those of events of one key.
    #[arg(long)]
    pub(super) key: Option<String>,

    /// Only those of one cause, as `hence dlq groups` lists it.
    #[arg(long, value_name = "HEX")]
    pub(super) fingerprint: Option<String>,

    /// Only those that came at this time or later, or since so long ago: `1h`.
    #[arg(long, value_name = "TIME", value_parser = moment::past)]
    pub(super) since: Option<Timestamp>,

    /// Only those that came before this time, or before so long ago.
    #[arg(long, value_name = "TIME", value_parser = moment::past)]
    pub(super) until: Option<Timestamp>,
}

impl Filter {
    /// Its parts, by the names of the API.
    fn parts(&self) -> Vec<(&'static str, String)> {
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let parts = [
            ("subscription", self.subscription.clone()),
            ("type", self.event_type.clone()),
            ("key", self.key.clone()),
            ("fingerprint", self.fingerprint.clone()),
            ("since", time(self.since)),
            ("until", time(self.until)),
        ];
        let given = parts
            .into_iter()
            .filter_map(|(name, part)| Some((name, part?)));
        given.collect()
    }

    pub(super) fn query(&self) -> Query {
        let mut query = Query::default();
        for (name, part) in self.parts() {
            query.add(name, &part);
        }
        query
    }

    fn to_json(&self) -> Value {
        let parts = self.parts().into_iter();
        let parts = parts.map(|(name, part)| (name.to_owned(), Value::String(part)));
        Value::Object(parts.collect::<Map<_, _>>())
    }
}

/// What is done with many, and how it is said.
pub(super) struct Bulk<'a> {
    pub(super) kind: &'static str,
    /// `would be sent`, `sent again`, …
    pub(super) would: &'static str,
    pub(super) done: &'static str,
    pub(super) nothing: &'static str,
    pub(super) filter: &'a Filter,
    pub(super) rate: Option<u32>,
    pub(super) reason: Option<&'a str>,
    pub(super) dry_run: bool,
    pub(super) force: bool,
}

impl Bulk<'_> {
    pub(super) async fn run(&self, out: &mut Output, global: &Global) -> Result<()> {
        let mut body = Map::from_iter([
            ("kind".to_owned(), self.kind.into()),
            ("filter".to_owned(), self.filter.to_json()),
        ]);
        if let Some(rate) = self.rate {
            body.insert("rate".to_owned(), rate.into());
        }
        if let Some(reason) = self.reason {
            body.insert("reason".to_owned(), reason.into());
        }
        let work = Work {
            body,
            verb: self.kind,
            noun: "dead letter",
            would: self.would,
            nothing: self.nothing,
            effect: None,
            dry_run: self.dry_run,
            force: self.force,
        };
        let Some(job) = work.run(out, global).await? else {
            return Ok(());
        };
        if out.form() == Form::Human {
            let count = counted(job.done, "dead letter");
            out.line(&format!("{count} {}", self.done))?;
        }
        job.check("the same command does the rest")
    }
}
