//! `hence subs`: how each subscription stands; to pause one, and to let it go on.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::error::Result;
use super::event::{Page, read};
use super::global::{Global, Times};
use super::output::{Form, Output, Style, clean};
use super::query::{Query, encode};
use super::remote::{Ask, Remote};
use super::shell;
use super::table::{Side, Table};

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence subs ls";

/// Subscriptions: how they stand, to pause one, and to let it go on.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Subs {
    /// Lists the subscriptions: what waits, what runs, what is dead, and whether one is paused.
    Ls(Ls),
    /// Lets the events of a subscription wait, in their order, until it is resumed.
    Pause(Pause),
    /// Lets a paused subscription go on.
    Resume(Resume),
}

impl Subs {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        match self {
            Self::Ls(ls) => ls.run(out, global).await,
            Self::Pause(pause) => pause.run(out, global).await,
            Self::Resume(resume) => resume.run(out, global).await,
        }
    }
}

/// Lists the subscriptions: what waits, what runs, what is dead, and whether one is paused.
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:\n  hence subs ls\n  hence subs ls --json")]
pub(crate) struct Ls {
    #[command(flatten)]
    times: Times,
}

/// Lets the events of a subscription wait, in their order, until it is resumed.
///
/// What is with its handler ends; no other call begins. It stays paused over a restart, and other
/// subscriptions do not notice, unless they come after it.
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:\n  hence subs pause charge-card --reason 'the bank is closed'")]
pub(crate) struct Pause {
    /// The subscription, as `hence subs ls` lists it.
    name: String,

    /// Why, in a few words; it is shown to whoever asks where an event is.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Lets a paused subscription go on.
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:\n  hence subs resume charge-card")]
pub(crate) struct Resume {
    /// The subscription, as `hence subs ls` lists it.
    name: String,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    status: String,
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    lag: u64,
    #[serde(default)]
    inflight: u64,
    #[serde(default)]
    dead: u64,
    trouble: Option<String>,
    paused: Option<Paused>,
    was: Option<Paused>,
}

#[derive(Deserialize)]
struct Paused {
    since: String,
    by: String,
    #[serde(default)]
    reason: String,
}

impl Paused {
    /// Who did it, and why, for people.
    fn tell(&self, times: Times) -> String {
        let Self { since, by, reason } = self;
        let since = times.show(since);
        match reason.as_str() {
            "" => format!("by {by}, {since}"),
            reason => format!("by {by}, {since}: {reason}"),
        }
    }
}

impl Ls {
    async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let remote = Remote::open(global)?;
        let page: Page = remote
            .get(out, "/v1/subscriptions", &Query::default())
            .await?;
        if out.is_json() {
            return page.items.iter().try_for_each(|raw| out.raw(raw));
        }
        let mut table = Table::new([
            ("NAME", Side::Left),
            ("STATUS", Side::Left),
            ("LAG", Side::Right),
            ("INFLIGHT", Side::Right),
            ("DEAD", Side::Right),
            ("TAKES", Side::Left),
            ("WHY", Side::Left),
        ]);
        let mut paused = None;
        for raw in &page.items {
            let item: Item = read(raw.get())?;
            let style = match item.status.as_str() {
                "active" => Style::Good,
                "paused" => Style::Wait,
                _ => Style::Bad,
            };
            if item.paused.is_some() {
                paused.get_or_insert_with(|| item.id.clone());
            }
            let told = item.paused.map(|paused| match out.form() {
                Form::Human => paused.tell(self.times),
                Form::Json | Form::Plain => paused.reason,
            });
            table.styled([
                (item.id, Some(Style::Name)),
                (item.status, Some(style)),
                (item.lag.to_string(), None),
                (item.inflight.to_string(), None),
                (item.dead.to_string(), None),
                (item.types.join(", "), None),
                (item.trouble.or(told).unwrap_or_default(), None),
            ]);
        }
        if table.is_empty() && out.form() == Form::Human {
            out.note("no subscriptions");
        }
        table.write(out)?;
        if let Some(name) = paused {
            out.next(&format!("hence subs resume {}", shell::quoted(&name)));
        }
        Ok(())
    }
}

impl Pause {
    async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let body = json!({"reason": self.reason}).to_string();
        let item = turn(out, global, &self.name, "pause", body.into()).await?;
        if let Some(item) = item {
            let paused = item.paused.map(|paused| paused.tell(Times::default()));
            let name = clean(&item.id);
            let how = clean(&paused.unwrap_or_default()).into_owned();
            out.line(&format!("{name} is paused {how}"))?;
            out.next(&format!("hence subs resume {}", shell::quoted(&item.id)));
        }
        Ok(())
    }
}

impl Resume {
    async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let item = turn(out, global, &self.name, "resume", Bytes::new()).await?;
        if let Some(item) = item {
            let name = clean(&item.id);
            match item.was {
                Some(was) => {
                    let was = was.tell(Times::default());
                    out.line(&format!("{name} goes on; it was paused {}", clean(&was)))?;
                }
                None => out.line(&format!("{name} was not paused"))?,
            }
            out.next("hence subs ls");
        }
        Ok(())
    }
}

/// Asks for a state; for people what it is now comes back.
async fn turn(
    out: &mut Output,
    global: &Global,
    name: &str,
    verb: &str,
    body: Bytes,
) -> Result<Option<Item>> {
    let remote = Remote::open(global)?;
    let path = format!("/v1/subscriptions/{}/{verb}", encode(name));
    let ask = Ask {
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body,
        ..Ask::post(path, Query::default())
    };
    let answer = remote.ask(out, &ask).await?;
    let item: Item = answer.read()?;
    match out.form() {
        Form::Json => out.raw(answer.read::<Box<RawValue>>()?.as_ref())?,
        Form::Plain => out.row([&*item.id, &*item.status])?,
        Form::Human => return Ok(Some(item)),
    }
    Ok(None)
}
