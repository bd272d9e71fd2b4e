//! Which dead letters a command is about, and many of them as one job of the server: previewed,
//! asked about, watched to its end.

use std::io::{self, BufRead, IsTerminal};
use std::time::Duration;

use bytes::Bytes;
use hence::core::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::cli::error::{Error, Exit, Result};
use crate::cli::global::Global;
use crate::cli::moment;
use crate::cli::output::{Form, Output};
use crate::cli::query::{Query, encode};
use crate::cli::remote::{Ask, Remote};
use crate::cli::table::counted;

/// The shortest and the longest time between two looks at a job.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

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

#[derive(Deserialize)]
struct Preview {
    matches: usize,
    sample: Vec<String>,
    #[serde(default)]
    more: bool,
    eta: Option<String>,
    upto: Option<String>,
}

/// A job as the server tells of it.
#[derive(Deserialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) matches: usize,
    pub(crate) done: usize,
    pub(crate) eta: Option<String>,
    #[serde(default)]
    pub(crate) began: String,
    pub(crate) error: Option<String>,
}

impl Bulk<'_> {
    pub(super) async fn run(&self, out: &mut Output, global: &Global) -> Result<()> {
        let remote = Remote::open(global)?;
        let preview = remote.ask(out, &self.ask(true, None)).await?;
        let raw: Box<RawValue> = preview.read()?;
        let found: Preview = preview.read()?;
        if found.matches == 0 {
            out.note(&format!("no dead letters, so {}", self.nothing));
            return Ok(());
        }
        self.preview(out, &found);
        if self.dry_run {
            match out.form() {
                Form::Json => out.raw(&raw)?,
                Form::Plain => out.row([&*found.matches.to_string(), self.would])?,
                Form::Human => {
                    let count = counted(found.matches, "dead letter");
                    out.line(&format!("{count} {}", self.would))?;
                }
            }
            out.note(self.nothing);
            return Ok(());
        }
        let may_ask = !self.force && !global.no_input && io::stdin().is_terminal();
        if may_ask && !self.agreed(out, found.matches) {
            out.note(self.nothing);
            return Ok(());
        }
        // Exactly what was previewed: whatever came since is left alone.
        let answer = remote
            .ask(out, &self.ask(false, found.upto.as_deref()))
            .await?;
        let job: Job = answer.read()?;
        self.watch(out, &remote, job).await
    }

    fn ask(&self, dry_run: bool, upto: Option<&str>) -> Ask {
        let body = json!({
            "kind": self.kind, "filter": self.filter.to_json(), "rate": self.rate,
            "reason": self.reason, "dryrun": dry_run, "upto": upto,
        });
        Ask {
            body: Bytes::from(body.to_string()),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            ..Ask::post("/v1/jobs", Query::default())
        }
    }

    fn preview(&self, out: &mut Output, found: &Preview) {
        let count = counted(found.matches, "dead letter");
        let more = match found.matches - found.sample.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let eta = found.eta.as_ref().map(|eta| format!("; {eta} at least"));
        let sample = found.sample.join(", ");
        out.note(&format!(
            "{count}: {sample}{more}{}",
            eta.unwrap_or_default()
        ));
        if found.more {
            out.note("there are more; ask again when these are done");
        }
    }

    fn agreed(&self, out: &mut Output, count: usize) -> bool {
        let count = counted(count, "dead letter");
        out.ask(&format!("{} {count}? [y/N]", self.kind));
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
    }

    async fn watch(&self, out: &mut Output, remote: &Remote, mut job: Job) -> Result<()> {
        let path = format!("/v1/jobs/{}", encode(&job.id));
        let (mut wait, most) = LOOK;
        let mut raw: Option<Box<RawValue>> = None;
        while job.state == "running" {
            tokio::time::sleep(wait).await;
            if wait < most && wait * 2 >= most {
                out.note(&format!(
                    "it goes on; hence jobs cancel {} stops it",
                    job.id
                ));
            }
            wait = most.min(wait * 2);
            let answer = remote.ask(out, &Ask::get(&path, Query::default())).await?;
            job = answer.read()?;
            raw = Some(answer.read()?);
        }
        match (out.form(), raw) {
            (Form::Json, Some(raw)) => out.raw(&raw)?,
            (Form::Json, None) => {}
            (Form::Plain, _) => out.row([&*job.id, &*job.state, &*job.done.to_string()])?,
            (Form::Human, _) => {
                let count = counted(job.done, "dead letter");
                out.line(&format!("{count} {}", self.done))?;
            }
        }
        if job.state == "done" {
            return Ok(());
        }
        let (done, all) = (job.done, job.matches);
        let sentence = format!("the job {} after {done} of {all}", job.state);
        let error = Error::told(Exit::Failed, String::new(), String::new(), sentence);
        let error = match job.error {
            Some(cause) => error.cause(cause),
            None => error,
        };
        Err(error.fix("the same command does the rest"))
    }
}
