//! `Work`: many dead letters or events as one job of the server: previewed, asked about, watched to
//! its end.

use std::io::{self, BufRead, IsTerminal};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::error::{Fault, Result};
use crate::cli::event::Event;
use crate::cli::global::Global;
use crate::cli::output::{Form, Output};
use crate::cli::query::{Query, encode};
use crate::cli::remote::{Answer, Ask, Remote};
use crate::cli::table::counted;

/// The shortest and the longest time between two looks at a job.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A job as it is asked for, and how it is said.
pub(crate) struct Work {
    /// The body without `dryrun` and `upto`.
    pub(crate) body: serde_json::Map<String, Value>,
    /// `redrive`, `replay`, …
    pub(crate) verb: &'static str,
    /// `dead letter` or `event`.
    pub(crate) noun: &'static str,
    /// `would be sent`, …
    pub(crate) would: &'static str,
    pub(crate) nothing: &'static str,
    /// What happens besides, if nothing may begin without a yes.
    pub(crate) effect: Option<&'static str>,
    pub(crate) dry_run: bool,
    pub(crate) force: bool,
}

#[derive(Deserialize)]
struct Preview {
    matches: u64,
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
    pub(crate) matches: u64,
    pub(crate) done: u64,
    pub(crate) eta: Option<String>,
    #[serde(default)]
    pub(crate) began: String,
    pub(crate) error: Option<String>,
    /// Of a replay: where the rest begins.
    pub(crate) next: Option<String>,
    /// The last position that it takes.
    pub(crate) upto: Option<String>,
    /// Calls that failed to the end.
    #[serde(default)]
    pub(crate) failed: u64,
    #[serde(default)]
    pub(crate) passed: u64,
    #[serde(default)]
    pub(crate) published: u64,
    #[serde(default)]
    pub(crate) absorbed: u64,
    /// What a replay found, listed or not.
    #[serde(default)]
    pub(crate) found: u64,
    #[serde(default)]
    pub(crate) findings: Vec<Finding>,
}

/// Something that a replay found at an event.
#[derive(Deserialize)]
pub(crate) struct Finding {
    pub(crate) position: String,
    pub(crate) what: String,
    pub(crate) error: Option<String>,
    pub(crate) then: Option<Event>,
    pub(crate) now: Option<Event>,
}

impl Job {
    /// An error unless it came to its end.
    pub(crate) fn check(&self, way_out: &str) -> Result<()> {
        if self.state == "done" {
            return Ok(());
        }
        let (state, done, all) = (&self.state, self.done, self.matches);
        let error = Fault::JOB.error(format!("the job {state} after {done} of {all}"));
        let error = match &self.error {
            Some(cause) => error.cause(cause),
            None => error,
        };
        Err(error.fix(way_out))
    }
}

impl Work {
    /// Runs it to its end; nothing when there is nothing to do, or it was not to be done.
    pub(crate) async fn run(&self, out: &mut Output, global: &Global) -> Result<Option<Job>> {
        let remote = Remote::open(global)?;
        let preview = remote.ask(out, &self.ask(true, None)).await?;
        let raw: Box<RawValue> = preview.read()?;
        let found: Preview = preview.read()?;
        if found.matches == 0 {
            out.note(&format!("no {}s, so {}", self.noun, self.nothing));
            return Ok(None);
        }
        self.preview(out, &found);
        if self.dry_run {
            match out.form() {
                Form::Json => out.raw(&raw)?,
                Form::Plain => out.row([&*found.matches.to_string(), self.would])?,
                Form::Human => {
                    let count = self.count(&found);
                    out.line(&format!("{count} {}", self.would))?;
                }
            }
            out.note(self.nothing);
            return Ok(None);
        }
        if !self.agreed(out, global, &found)? {
            out.note(self.nothing);
            return Ok(None);
        }
        // Exactly what was previewed: whatever came since is left alone.
        let begun = remote.ask(out, &self.ask(false, found.upto)).await?;
        watch(out, &remote, begun).await.map(Some)
    }

    fn ask(&self, dry_run: bool, upto: Option<String>) -> Ask {
        let mut body = self.body.clone();
        body.insert("dryrun".to_owned(), dry_run.into());
        if let Some(upto) = upto {
            body.insert("upto".to_owned(), upto.into());
        }
        Ask {
            body: Bytes::from(Value::Object(body).to_string()),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            ..Ask::post("/v1/jobs", Query::default())
        }
    }

    fn preview(&self, out: &mut Output, found: &Preview) {
        let least = if found.more { "at least " } else { "" };
        let count = counted(found.matches, self.noun);
        let more = match found.matches.saturating_sub(found.sample.len() as u64) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let eta = found.eta.as_ref().map(|eta| format!("; {eta} at least"));
        let sample = found.sample.join(", ");
        out.note(&format!(
            "{least}{count}: {sample}{more}{}",
            eta.unwrap_or_default()
        ));
        if found.more && self.effect.is_none() {
            out.note("there are more; ask again when these are done");
        }
    }

    /// How many it acts on. A replay also takes what a preview no longer counts; of dead letters a
    /// job takes no more than these.
    fn count(&self, found: &Preview) -> String {
        let count = counted(found.matches, self.noun);
        match found.more && self.effect.is_some() {
            true => format!("at least {count}"),
            false => count,
        }
    }

    /// Whether somebody says yes. Without a terminal nobody is asked, and what needs a yes fails.
    fn agreed(&self, out: &mut Output, global: &Global, found: &Preview) -> Result<bool> {
        if self.force {
            return Ok(true);
        }
        let may_ask = !global.no_input && io::stdin().is_terminal();
        let count = self.count(found);
        if !may_ask {
            let Some(effect) = self.effect else {
                return Ok(true);
            };
            let sentence = format!("a {} of {count} needs a yes: {effect}", self.verb);
            return Err(Fault::CONSENT.error(sentence));
        }
        if let Some(effect) = self.effect {
            out.note(effect);
        }
        out.ask(&format!("{} {count}? [y/N]", self.verb));
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        Ok(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

/// Waits for the end of a job; with `--json` its object is written.
async fn watch(out: &mut Output, remote: &Remote, begun: Answer) -> Result<Job> {
    let (mut answer, mut job) = (begun.read::<Box<RawValue>>()?, begun.read::<Job>()?);
    let path = format!("/v1/jobs/{}", encode(&job.id));
    let (mut wait, most) = LOOK;
    while job.state == "running" {
        tokio::time::sleep(wait).await;
        if wait < most && wait * 2 >= most {
            out.note(&format!(
                "it goes on; hence jobs cancel {} stops it",
                job.id
            ));
        }
        wait = most.min(wait * 2);
        let looked = remote.ask(out, &Ask::get(&path, Query::default())).await?;
        (answer, job) = (looked.read()?, looked.read()?);
    }
    match out.form() {
        Form::Json => out.raw(&answer)?,
        Form::Plain => out.row([&*job.id, &*job.state, &*job.done.to_string()])?,
        Form::Human => {}
    }
    Ok(job)
}
