//! `hence explain`: which subscriptions take an event, by which clause, and what it waits for.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::error::Result;
use super::event::{Event, Item, read};
use super::get;
use super::global::{Global, Times};
use super::input::Bodies;
use super::output::{Form, Output, Style, clean};
use super::query::Query;
use super::remote::{Ask, Remote};
use super::table::counted;
use super::trace::Attempt;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence explain 1
  hence explain note-1
  hence explain 1 --json
  hence explain @event.json";

/// Says where an event is: which subscriptions take it, by which clause, and what it waits for.
///
/// Of an event that is not published yet it says which subscriptions would take it; nothing is
/// published.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Explain {
    /// The position or the id of the event, or a file with one that is not published yet; `@-` is
    /// standard input.
    #[arg(value_name = "POS|ID|@FILE")]
    event: String,

    #[command(flatten)]
    times: Times,
}

/// The answer of the server.
#[derive(Debug, Deserialize)]
struct Explanation {
    // Not an `Item` that is flattened: raw values cannot be read through that.
    position: Option<String>,
    #[serde(default)]
    appended: String,
    event: Option<Event>,
    orphan: bool,
    items: Vec<Verdict>,
}

impl Explanation {
    /// The event, if it is stored.
    fn item(&self) -> Option<Item> {
        Some(Item {
            position: self.position.clone()?,
            appended: self.appended.clone(),
            event: self.event.clone()?,
        })
    }
}

/// What one subscription says to it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Verdict {
    subscription: String,
    matched: bool,
    clause: String,
    since: Option<String>,
    takes: Vec<String>,
    state: String,
    due: Option<String>,
    limit: Option<u32>,
    attempts: Vec<Attempt>,
    waits: Vec<Wait>,
}

/// One thing that it waits for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wait {
    r#for: String,
    detail: String,
    position: Option<String>,
}

/// An event that is not published yet.
fn file_of(file: &str) -> Result<Bytes> {
    let from = match file {
        "-" => file.to_owned(),
        path => format!("@{path}"),
    };
    match Bodies::open(Some(&from), false, true)? {
        Bodies::Whole(bytes) => Ok(bytes),
        Bodies::None | Bodies::Lines(_) => Ok(Bytes::new()),
    }
}

impl Explain {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let remote = Remote::open(global)?;
        let body = match self.event.strip_prefix('@') {
            Some(file) => file_of(file)?,
            None => {
                let (_, item) = get::find(out, &remote, &self.event).await?;
                json!({"position": item.position}).to_string().into()
            }
        };
        let ask = Ask {
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.clone(),
            ..Ask::post("/v1/explain", Query::default())
        };
        let answer = remote.ask(out, &ask).await?;
        if out.form() == Form::Json {
            let raw: Box<RawValue> = answer.read()?;
            return out.raw(&raw);
        }
        let explanation: Explanation = answer.read()?;
        match out.form() {
            Form::Plain => explanation.items.iter().try_for_each(|one| one.row(out)),
            _ => match explanation.item() {
                Some(item) => self.tell(out, &explanation, &item.event, Some(&item)),
                None => self.tell(out, &explanation, &read(&body)?, None),
            },
        }
    }

    /// Tells it of an event, which is stored if it has an item.
    fn tell(
        &self,
        out: &mut Output,
        explanation: &Explanation,
        event: &Event,
        item: Option<&Item>,
    ) -> Result<()> {
        let kind = clean(&event.or_empty("type")).into_owned();
        let head = out.paint(Style::Head, &kind);
        let about = event.about();
        let (position, time) = match item {
            Some(item) => (
                clean(&item.position).into_owned(),
                self.times.show(&item.appended),
            ),
            None => ("not published".to_owned(), String::new()),
        };
        let time = out.paint(Style::Faint, &time);
        let line = format!("{head}  {position}  {}  {time}", clean(&about));
        out.line(line.trim_end())?;
        let (taken, others): (Vec<_>, Vec<_>) =
            explanation.items.iter().partition(|one| one.matched);
        for one in taken {
            for line in one.lines(out, self.times, &kind) {
                out.line(&line)?;
            }
        }
        for one in others {
            let name = clean(&one.subscription);
            let line = format!("  – {name} does not take it: {}", one.why(&kind));
            out.line(&out.paint(Style::Faint, &line))?;
        }
        if explanation.orphan {
            out.note(&format!(
                "no subscription takes {kind} here: it is kept, and nothing follows from it"
            ));
        }
        let Some(item) = item else {
            return Ok(());
        };
        let dead = |one: &&Verdict| one.state == "dead";
        let letter = explanation.items.iter().find(dead);
        let letter = letter.map(|one| format!("{}.{}", one.subscription, item.position));
        match letter.or_else(|| explanation.items.iter().find_map(Verdict::held_by)) {
            Some(id) => out.next(&format!("hence dlq show {id}")),
            None => out.next(&format!("hence trace {}", item.position)),
        }
        Ok(())
    }
}

impl Verdict {
    /// The dead letter that it waits for.
    fn held_by(&self) -> Option<String> {
        let wait = self.waits.iter().find(|wait| wait.r#for == "dead-letter")?;
        Some(format!("{}.{}", self.subscription, wait.position.as_ref()?))
    }

    /// Why it is taken, or not.
    fn why(&self, kind: &str) -> String {
        let since = self.since.as_deref().unwrap_or_default();
        match self.clause.as_str() {
            "type" => format!("it takes {kind} from {since} on"),
            "start" => format!("it takes {kind}, and began behind it, at {since}"),
            "other-types" => format!("it takes {}", clean(&self.takes.join(", "))),
            other => clean(other).into_owned(),
        }
    }

    fn lines(&self, out: &Output, times: Times, kind: &str) -> Vec<String> {
        let (mark, style) = match self.state.as_str() {
            "done" => ("✓", Style::Good),
            "dead" | "held" => ("✗", Style::Bad),
            "skipped" | "expired" => ("–", Style::Faint),
            "" => ("·", Style::Name),
            _ => ("…", Style::Wait),
        };
        let name = clean(&self.subscription);
        let state = match self.state.as_str() {
            "" => "would take it".into(),
            state => clean(state),
        };
        let mut head = out.paint(style, &format!("{mark} {name} {state}"));
        let ended = self.attempts.len();
        let of = self.limit.map(|limit| format!(" of {limit}"));
        if ended > 0 {
            head.push_str(&format!(
                ", {}{}",
                counted(ended, "attempt"),
                of.unwrap_or_default()
            ));
        }
        if let Some(due) = &self.due {
            head.push_str(&format!(", the next {}", times.show(due)));
        }
        let mut lines = vec![format!("  {head}")];
        let why = self.why(kind);
        lines.push(format!("      {}", out.paint(Style::Faint, &why)));
        for wait in &self.waits {
            lines.push(format!("      waits: {}", clean(&wait.detail)));
        }
        let last = self.attempts.last();
        if let Some(last) = last.filter(|last| !last.error.is_empty()) {
            let what = match self.state.as_str() {
                "skipped" => "why",
                _ => "last error",
            };
            lines.push(format!("      {what}: {}", clean(&last.error)));
        }
        let emitted: Vec<&str> = self
            .attempts
            .iter()
            .flat_map(|attempt| attempt.emitted.iter().map(String::as_str))
            .collect();
        if !emitted.is_empty() {
            lines.push(format!("      then: {}", clean(&emitted.join(", "))));
        }
        lines
    }

    fn row(&self, out: &mut Output) -> Result<()> {
        let matched = if self.matched { "yes" } else { "no" };
        let attempts = self.attempts.len().to_string();
        let waits: Vec<&str> = self.waits.iter().map(|wait| wait.r#for.as_str()).collect();
        let waits = waits.join(",");
        let name = self.subscription.as_str();
        out.row([name, matched, &self.clause, &self.state, &attempts, &waits])
    }
}
