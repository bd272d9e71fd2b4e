//! `hence jobs`: bulk work on dead letters and replays, watched and cancelled.

mod work;

use serde_json::value::RawValue;

use super::error::Result;
use super::event::{Page, read};
use super::global::{Global, Times};
use super::output::{Form, Output, Style};
use super::query::{Query, encode};
use super::remote::{Ask, Remote};
use super::table::{Side, Table};

pub(crate) use work::{Finding, Job, Work};

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence jobs ls";

/// Jobs: bulk work on dead letters, and replays.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Jobs {
    /// Lists the jobs of the server since it was started, oldest first.
    Ls(Ls),
    /// Shows how one job stands.
    Show(Show),
    /// Stops a job; what it has done stays done.
    Cancel(Cancel),
}

impl Jobs {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        match self {
            Self::Ls(ls) => ls.run(out, global).await,
            Self::Show(show) => show.run(out, global).await,
            Self::Cancel(cancel) => cancel.run(out, global).await,
        }
    }
}

/// Lists the jobs of the server since it was started, oldest first.
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:\n  hence jobs ls\n  hence jobs ls --json")]
pub(crate) struct Ls {
    #[command(flatten)]
    times: Times,
}

/// Shows how one job stands.
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:\n  hence jobs show 5b0f36f1-6c0e-4d57-9d4e-87d13a52c0de")]
pub(crate) struct Show {
    /// The id, as `hence jobs ls` lists it.
    id: String,

    #[command(flatten)]
    times: Times,
}

/// Stops a job; what it has done stays done.
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:\n  hence jobs cancel 5b0f36f1-6c0e-4d57-9d4e-87d13a52c0de")]
pub(crate) struct Cancel {
    /// The id, as `hence jobs ls` lists it.
    id: String,
}

impl Ls {
    async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let remote = Remote::open(global)?;
        let page: Page = remote.get(out, "/v1/jobs", &Query::default()).await?;
        if page.items.is_empty() && out.form() == Form::Human {
            out.note("no jobs since the server was started");
        }
        write(out, &page.items, &self.times)
    }
}

impl Show {
    async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let remote = Remote::open(global)?;
        let path = format!("/v1/jobs/{}", encode(&self.id));
        let raw: Box<RawValue> = remote.get(out, &path, &Query::default()).await?;
        write(out, &[raw], &self.times)
    }
}

impl Cancel {
    async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let remote = Remote::open(global)?;
        let path = format!("/v1/jobs/{}", encode(&self.id));
        let answer = remote
            .ask(out, &Ask::delete(&path, Query::default()))
            .await?;
        let raw: Box<RawValue> = answer.read()?;
        write(out, &[raw], &Times::default())
    }
}

fn write(out: &mut Output, jobs: &[Box<RawValue>], times: &Times) -> Result<()> {
    if out.is_json() {
        return jobs.iter().try_for_each(|raw| out.raw(raw));
    }
    let mut table = Table::new([
        ("ID", Side::Left),
        ("KIND", Side::Left),
        ("STATE", Side::Left),
        ("DONE", Side::Right),
        ("OF", Side::Right),
        ("BEGAN", Side::Left),
        ("ETA", Side::Left),
        ("ERROR", Side::Left),
    ]);
    for raw in jobs {
        let job: Job = read(raw.get())?;
        let style = match job.state.as_str() {
            "done" => Style::Good,
            "running" => Style::Wait,
            _ => Style::Bad,
        };
        let began = match out.form() {
            Form::Human => times.show(&job.began),
            Form::Json | Form::Plain => job.began,
        };
        table.styled([
            (job.id, Some(Style::Name)),
            (job.kind, None),
            (job.state, Some(style)),
            (job.done.to_string(), None),
            (job.matches.to_string(), None),
            (began, None),
            (job.eta.unwrap_or_default(), None),
            (job.error.unwrap_or_default(), None),
        ]);
    }
    table.write(out)
}
