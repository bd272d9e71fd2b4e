//! `hence get`: one event, by its position or its id.

use serde_json::value::RawValue;

use super::error::{Exit, Fault, Result};
use super::event::{Item, Page, read};
use super::global::{Global, Times};
use super::output::{Form, Output, Style, clean};
use super::query::{Query, encode};
use super::remote::{Ask, Remote};

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence get 1
  hence get note-1
  hence get 1 --json";

/// The most candidates that are listed for an id.
const CANDIDATES_MAX: &str = "20";

/// The code of a position whose event retention has removed.
const NO_LONGER_KEPT: &str = "HN4101";

/// Shows one event with all its attributes.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Get {
    /// The position or the id of the event.
    #[arg(value_name = "POS|ID")]
    event: String,

    #[command(flatten)]
    times: Times,
}

impl Get {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let remote = Remote::open(global)?;
        let (raw, item) = find(out, &remote, &self.event).await?;
        match out.form() {
            Form::Json => return out.raw(&raw),
            Form::Plain => {
                let event = &item.event;
                out.row(["position", &item.position])?;
                out.row(["appended", &item.appended])?;
                for (name, value) in event.attributes() {
                    out.row([name.as_str(), &value])?;
                }
                return match event.data() {
                    Some(data) => out.row(["data", &data]),
                    None => Ok(()),
                };
            }
            Form::Human => {}
        }
        let kind = item.event.or_empty("type");
        let head = out.paint(Style::Head, &clean(&kind));
        out.line(&format!("{head} at {}", item.position))?;
        let mut rows = item.event.attributes();
        rows.retain(|(name, _)| name != "type");
        rows.push(("stored".to_owned(), self.times.show(&item.appended)));
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in rows {
            let name = out.paint(Style::Faint, &format!("{name:width$}"));
            out.line(&format!("  {name}  {}", clean(&value)))?;
        }
        for line in item.event.data_laid_out().unwrap_or_default().lines() {
            out.line(&format!("  {}", clean(line)))?;
        }
        out.next(&format!("hence trace {}", item.position));
        Ok(())
    }
}

/// The event at a position or with an id, as it came and as it is read.
pub(crate) async fn find(
    out: &mut Output,
    remote: &Remote,
    wanted: &str,
) -> Result<(Box<RawValue>, Item)> {
    let mut gone = None;
    // A text that cannot be a position is not asked for as one.
    if is_position(wanted) {
        let ask = Ask::get(format!("/v1/events/{}", encode(wanted)), Query::default());
        match remote.ask(out, &ask).await {
            Ok(answer) => return Ok((answer.read()?, answer.read()?)),
            Err(error) if error.exit() == Exit::NotFound => gone = Some(error),
            Err(error) => return Err(error),
        }
    }
    let query = Query::default()
        .with("id", wanted)
        .with("limit", CANDIDATES_MAX);
    let page: Page = remote.get(out, "/v1/events", &query).await?;
    // That retention has removed it says more than that there is no such id.
    let gone = gone.filter(|error| error.code() == NO_LONGER_KEPT);
    let nothing = || {
        Fault::NOT_FOUND
            .error(format!(
                "there is no event with the position or id '{wanted}'"
            ))
            .fix("see what there is: hence tail --from earliest")
    };
    let mut found = Vec::new();
    for raw in page.items {
        let item: Item = read(raw.get())?;
        found.push((raw, item));
    }
    if found.len() > 1 {
        let mut error = Fault::NOT_FOUND
            .error(format!("{} events have the id '{wanted}'", found.len()))
            .fix("name one of them by its position");
        for (_, item) in &found {
            let source = item.event.or_empty("source");
            error = error.cause(format!("position {} is from {source}", item.position));
        }
        return Err(error);
    }
    found.pop().ok_or_else(|| gone.unwrap_or_else(nothing))
}

/// Positions are at most 128 characters of `[A-Za-z0-9._~-]`; those of today are numbers.
fn is_position(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
