//! `hence replay`: old events to one handler again, or compared with what it published then.

use hence::core::Timestamp;
use serde_json::Map;

use super::error::{Exit, Fault, Result};
use super::event::Event;
use super::filter::Filter;
use super::global::Global;
use super::jobs::{Finding, Job, Work};
use super::moment;
use super::output::{Form, Output, Style, clean};
use super::shell::flag;
use super::table::counted;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence replay --to-handler charge-card --from 1h --dry-run
  hence replay --to-handler charge-card --from 1h --compare --force
  hence replay stock.reserved --to-handler charge-card --from 1 --to 40 --key A-17 --rate 10 --force";
/// What comes with a call of the handler.
const EFFECT: &str = "the handler is called, and what it does outside of Hence it does again";
/// What comes with it although nothing is published.
const EFFECT_OF_COMPARE: &str = "nothing is published, but this is no sandbox: the handler is called, and what it does outside of \
     Hence it does again";

/// Brings old events to one handler again, in their order, or compares what it would publish now.
///
/// It is a job of the server, on what was there when it was previewed. Nothing that is settled moves,
/// what waits or is a dead letter is passed over, and what the handler publishes and is known is not
/// published twice. It exits with 1 when calls failed; with `--compare` with 7 when there are findings,
/// failed calls among them.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Replay {
    /// The subscription whose handler gets the events.
    #[arg(long, value_name = "NAME")]
    to_handler: String,

    /// Where to begin: `earliest`, a position, a time, or how long ago: `1h`.
    #[arg(long, value_name = "START", value_parser = from)]
    from: String,

    /// Where to end: with this position, or before this time; without it with the newest event.
    #[arg(long, value_name = "END", value_parser = place)]
    to: Option<String>,

    /// Publish nothing: tell what the handler would publish now and did not, and the reverse. It is no
    /// sandbox: what the handler does outside of Hence it does again.
    #[arg(long)]
    compare: bool,

    #[command(flatten)]
    filter: Filter,

    /// At most so many a second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// Show which events would be brought, and call nobody.
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Do not ask before the handler is called.
    #[arg(short, long)]
    force: bool,
}

/// Reads a position, a time, or how long ago it was, as the API writes it.
fn place(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    let time = moment::past(text);
    time.map(|time| time.to_string()).map_err(|_| {
        format!(
            "'{text}' is not a position, a time such as 2026-11-20T10:00:00Z, or how long ago: 1h"
        )
    })
}

fn from(text: &str) -> Result<String, String> {
    match text {
        "earliest" => Ok(text.to_owned()),
        _ => place(text).map_err(|error| format!("{error}; `earliest` is the beginning")),
    }
}

impl Replay {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let work = self.work();
        let Some(job) = work.run(out, global).await? else {
            return Ok(());
        };
        if out.form() == Form::Human {
            self.tell(out, &job)?;
        }
        job.check(&format!("the rest: {}", self.rest(&job)))?;
        if job.found == 0 {
            return Ok(());
        }
        let (name, count) = (clean(&self.to_handler), counted(job.found, "finding"));
        Err(match self.compare {
            true => Fault::FINDINGS.error(format!("{name} would do otherwise now: {count}")),
            false => Fault::FINDINGS
                .error(format!("{name} failed, {count}"))
                .fix("mend the handler, then replay the positions above")
                .exiting(Exit::Failed),
        })
    }

    fn work(&self) -> Work {
        let kind = if self.compare { "compare" } else { "replay" };
        let mut body = Map::from_iter([
            ("kind".to_owned(), kind.into()),
            ("subscription".to_owned(), self.to_handler.clone().into()),
            ("from".to_owned(), self.from.clone().into()),
            ("filter".to_owned(), self.filter.to_json()),
        ]);
        if let Some(to) = &self.to {
            body.insert("to".to_owned(), to.clone().into());
        }
        if let Some(rate) = self.rate {
            body.insert("rate".to_owned(), rate.into());
        }
        Work {
            body,
            verb: kind,
            noun: "event",
            would: if self.compare {
                "would be compared"
            } else {
                "would be replayed"
            },
            nothing: "nobody was called",
            effect: Some(match self.compare {
                true => EFFECT_OF_COMPARE,
                false => EFFECT,
            }),
            dry_run: self.dry_run,
            force: self.force,
        }
    }

    /// The command that does what is left of a job: the same events, in the same way.
    fn rest(&self, job: &Job) -> String {
        let mut filter = self.filter.clone();
        let mut to = self.to.as_ref();
        // The end of what was previewed is a position; an end in time goes on beside it.
        if let Some(time) = to.and_then(|to| Timestamp::parse(to).ok()) {
            filter.until = Some(filter.until.map_or(time, |until| until.min(time)));
            to = None;
        }
        let mut words = vec!["hence replay".to_owned()];
        words.push(flag("to-handler", &self.to_handler));
        words.push(flag("from", job.next.as_ref().unwrap_or(&self.from)));
        words.extend(job.upto.as_ref().or(to).map(|to| flag("to", to)));
        words.extend(self.compare.then(|| "--compare".to_owned()));
        words.extend(self.rate.map(|rate| flag("rate", &rate.to_string())));
        words.extend(filter.words());
        words.join(" ")
    }

    fn tell(&self, out: &mut Output, job: &Job) -> Result<()> {
        for finding in &job.findings {
            let line = line(out, finding);
            out.line(&line)?;
        }
        let more = job.found.saturating_sub(job.findings.len() as u64);
        if more > 0 {
            out.line(&format!("  and {} more", counted(more, "finding")))?;
        }
        let done = counted(job.done, "event");
        let (published, absorbed) = (job.published, job.absorbed);
        let head = match self.compare {
            true => format!("{done} compared, {}", counted(job.found, "finding")),
            false => format!("{done} replayed, {published} published, {absorbed} known already"),
        };
        let passed = match job.passed {
            0 => String::new(),
            passed => format!("; {passed} passed over: they wait, or are dead letters"),
        };
        let failed = match job.failed {
            0 => String::new(),
            failed => format!(", {} failed", counted(failed, "call")),
        };
        out.line(&format!("{head}{failed}{passed}"))
    }
}

/// One finding for people.
fn line(out: &Output, finding: &Finding) -> String {
    let event = |event: &Option<Event>| {
        let event = event.as_ref()?;
        let data = event.data().unwrap_or_default();
        Some(format!("{} {data}", event.or_empty("type")))
    };
    let what = out.paint(Style::Bad, &clean(&finding.what));
    let text = match (&finding.error, event(&finding.then), event(&finding.now)) {
        (Some(error), _, _) => error.clone(),
        (None, Some(then), Some(now)) => format!("{then} → {now}"),
        (None, then, now) => then.or(now).unwrap_or_default(),
    };
    let position = &finding.position;
    format!("  {}  {what}  {}", clean(position), clean(&text))
}
