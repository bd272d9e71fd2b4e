//! `hence publish`: events from the command line, a file, or lines of standard input.

use std::time::Duration;

use bytes::Bytes;
use hence::core::{Durability, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep_until};

use super::error::{Error, Result};
use super::global::Global;
use super::input::{self, Data};
use super::moment;
use super::output::{Form, Output, Style};
use super::query::{Query, encode, encode_header};
use super::remote::{Answer, Ask, Remote};
use super::table::counted;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence publish order.placed '{\"order_id\":\"A-17\",\"amount\":99.5,\"items\":[{\"sku\":\"X\",\"qty\":2}]}'
  hence publish order.placed @order.json --key A-18 --wait 5s
  hence publish order.placed --lines --rate 50 < orders.jsonl
  hence publish note.written 'plain text' --attr datacontenttype=text/plain --id note-1";

/// Publishes events and prints the receipt of each.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Publish {
    /// The type of the event, for example `order.placed`.
    #[arg(value_name = "TYPE")]
    event_type: String,

    /// The data: JSON text, `@FILE`, or `-` for standard input. Without it the event has none.
    data: Option<String>,

    /// The ordering key: events with one key are handled one after the other.
    #[arg(long)]
    key: Option<String>,

    /// What the event is about, within its source.
    #[arg(long)]
    subject: Option<String>,

    /// Any attribute: `--attr source=/shop --attr tenantid=7`.
    #[arg(long = "attr", value_name = "NAME=VALUE", value_parser = input::attribute)]
    attributes: Vec<(String, String)>,

    /// The id. The same id, source and data again is stored once.
    #[arg(long, conflicts_with_all = ["lines", "count"])]
    id: Option<String>,

    /// Deliver it after a while.
    #[arg(long, value_name = "TIME", value_parser = moment::duration, conflicts_with = "at")]
    delay: Option<Duration>,

    /// Deliver it at this time (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = moment::exact)]
    at: Option<Timestamp>,

    /// Wait so long for the handlers, and print what became of it.
    #[arg(long, value_name = "TIME", value_parser = moment::duration)]
    wait: Option<Duration>,

    /// The durability to reach: `accepted`, `written` or `synced`.
    #[arg(long, value_name = "LEVEL")]
    durability: Option<Durability>,

    /// Make an event of each line of DATA, or of standard input.
    #[arg(long)]
    lines: bool,

    /// Publish it so many times, each time with a new id.
    #[arg(long, value_name = "N", conflicts_with = "lines", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Publish at most so many a second.
    #[arg(long, value_name = "N", value_parser = input::rate)]
    rate: Option<f64>,

    /// Show what would be sent, and send nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

#[derive(Deserialize)]
struct Receipt {
    id: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    position: Option<String>,
    durability: String,
    #[serde(default)]
    duplicate: bool,
}

/// The answer to a publish that waited.
#[derive(Deserialize)]
struct Handled {
    receipt: Receipt,
    #[serde(default)]
    results: Vec<Settled>,
}

#[derive(Deserialize)]
struct Settled {
    subscription: String,
    outcome: String,
    #[serde(default)]
    attempts: u64,
    #[serde(default)]
    error: Option<String>,
}

impl Publish {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        input::check_stdin(self.data.as_deref(), self.lines, global)?;
        let remote = Remote::open(global)?;
        let mut asks = self.asks()?;
        let begin = Instant::now();
        let mut stored: u64 = 0;
        let mut last = None;
        while let Some(ask) = asks.next().map_err(|error| before(error, stored))? {
            if let Some(rate) = self.rate {
                // Paced from the begin, so that a slow answer is caught up with.
                sleep_until(begin + Duration::from_secs_f64(asks.sent() as f64 / rate)).await;
            }
            asks.count();
            if self.dry_run {
                show(out, &ask)?;
                continue;
            }
            let answer = remote.ask(out, &ask).await;
            let answer = answer.map_err(|error| before(asks.place(error), stored))?;
            last = self.tell(out, &answer)?;
            stored += 1;
        }
        self.conclude(out, stored, begin.elapsed(), last);
        Ok(())
    }

    /// What follows on standard error once everything is stored.
    fn conclude(&self, out: &mut Output, stored: u64, took: Duration, last: Option<String>) {
        if self.dry_run {
            out.note("nothing was sent");
        } else if self.lines || self.count.is_some() {
            let count = usize::try_from(stored).unwrap_or(usize::MAX);
            let rate = stored as f64 / took.as_secs_f64().max(1e-9);
            let (events, took) = (counted(count, "event"), moment::span(took));
            out.note(&format!(
                "published {events} in {took} ({rate:.0} a second)"
            ));
        }
        if let Some(position) = last {
            out.next(&format!("hence trace {position}"));
        }
    }

    fn asks(&self) -> Result<Asks> {
        let has_type = self
            .attributes
            .iter()
            .find(|(name, _)| name == "datacontenttype");
        let media = has_type.map(|(_, value)| value.clone());
        let data = Data::open(self.data.as_deref(), self.lines, media.is_none())?;
        let mut ask = Ask::post(
            format!("/v1/publish/{}", encode(&self.event_type)),
            self.query(),
        );
        for (name, value) in self
            .attributes
            .iter()
            .filter(|(name, _)| name != "datacontenttype")
        {
            ask.headers
                .push((format!("ce-{name}"), encode_header(value)));
        }
        if let Some(id) = &self.id {
            ask.headers.push(("ce-id".to_owned(), encode_header(id)));
        }
        if let Some(wait) = self.wait {
            let seconds = wait.as_secs_f64().ceil().max(1.0);
            ask.headers
                .push(("prefer".to_owned(), format!("wait={seconds}")));
            ask.patience = wait;
        }
        Ok(Asks {
            ask,
            data,
            media: media.unwrap_or_else(|| "application/json".to_owned()),
            left: self.count.unwrap_or(1),
            sent: 0,
        })
    }

    fn query(&self) -> Query {
        let mut query = Query::default();
        query.add_some("key", self.key.as_deref());
        query.add_some("subject", self.subject.as_deref());
        query.add_some("durability", self.durability.map(Durability::as_str));
        // A delay counts from here, so that `--at` and `--delay` are one thing to the server.
        let at = self
            .at
            .or_else(|| self.delay.map(|wait| Timestamp::now().after(wait)));
        query.add_some("at", at.map(|at| at.to_string()).as_deref());
        query
    }

    /// Prints the receipt; the position to look at next, if it is known.
    fn tell(&self, out: &mut Output, answer: &Answer) -> Result<Option<String>> {
        let handled: Handled = match answer.read::<Handled>() {
            Ok(handled) => handled,
            Err(_) => Handled {
                receipt: answer.read()?,
                results: Vec::new(),
            },
        };
        let receipt = &handled.receipt;
        match out.form() {
            Form::Json => out.raw(answer.read::<Box<RawValue>>()?.as_ref())?,
            Form::Plain => out.row([
                receipt.position.as_deref().unwrap_or_default(),
                &receipt.durability,
                if receipt.duplicate {
                    "duplicate"
                } else {
                    "new"
                },
                &receipt.source,
                &receipt.id,
            ])?,
            Form::Human => self.tell_people(out, &handled)?,
        }
        Ok(receipt.position.clone())
    }

    fn tell_people(&self, out: &mut Output, handled: &Handled) -> Result<()> {
        let Receipt {
            id,
            position,
            durability,
            duplicate,
            ..
        } = &handled.receipt;
        let verb = match (duplicate, position) {
            (true, _) => "already stored",
            (false, Some(_)) => "stored",
            (false, None) => "accepted",
        };
        let place = position
            .as_ref()
            .map(|p| format!(" at {p}"))
            .unwrap_or_default();
        let name = out.paint(Style::Name, &self.event_type);
        let verb = out.paint(Style::Good, verb);
        out.line(&format!("{verb} {name}{place} ({durability}), id {id}"))?;
        for settled in &handled.results {
            let style = match settled.outcome.as_str() {
                "done" => Style::Good,
                "pending" => Style::Wait,
                _ => Style::Bad,
            };
            let outcome = out.paint(style, &settled.outcome);
            let reason = settled
                .reason
                .as_ref()
                .map(|r| format!(": {r}"))
                .unwrap_or_default();
            let attempts = match settled.attempts {
                0 => String::new(),
                n => format!(" after {}", counted(n as usize, "attempt")),
            };
            out.line(&format!(
                "  {} {outcome}{attempts}{reason}",
                settled.subscription
            ))?;
        }
        if self.wait.is_some() && handled.results.is_empty() {
            out.note("no subscription takes this type");
        }
        Ok(())
    }
}

/// The requests of one command, made one at a time.
struct Asks {
    ask: Ask,
    data: Data,
    media: String,
    left: u64,
    sent: u64,
}

impl Asks {
    fn next(&mut self) -> Result<Option<Ask>> {
        let body = match &mut self.data {
            Data::None if self.left > 0 => None,
            Data::Whole(bytes) if self.left > 0 => Some(bytes.clone()),
            Data::None | Data::Whole(_) => return Ok(None),
            Data::Lines(lines) => match lines.next()? {
                Some(line) => Some(line),
                None => return Ok(None),
            },
        };
        self.left = self.left.saturating_sub(1);
        Ok(Some(self.with(body)))
    }

    fn with(&self, body: Option<Bytes>) -> Ask {
        let mut ask = self.ask.clone();
        if let Some(body) = body {
            ask.headers
                .push(("content-type".to_owned(), self.media.clone()));
            ask.body = body;
        }
        ask
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn count(&mut self) {
        self.sent += 1;
    }

    /// Says which line is in trouble.
    fn place(&self, error: Error) -> Error {
        match &self.data {
            Data::Lines(lines) => error.at(format!("line {}", lines.number())),
            _ => error,
        }
    }
}

/// Says what was stored before the trouble.
fn before(error: Error, stored: u64) -> Error {
    match stored {
        0 => error,
        n => error.cause(format!("{} stored before it", counted(n as usize, "event"))),
    }
}

/// Shows a request in place of sending it.
fn show(out: &mut Output, ask: &Ask) -> Result<()> {
    let body = String::from_utf8_lossy(&ask.body);
    if out.is_json() {
        let headers: serde_json::Map<_, _> = ask
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        return out.json(&serde_json::json!({
            "method": ask.method.as_str(), "path": ask.path, "query": ask.query.as_str(),
            "headers": headers, "body": body,
        }));
    }
    out.line(&format!(
        "{} {}{}",
        ask.method,
        ask.path,
        ask.query.as_str()
    ))?;
    for (name, value) in &ask.headers {
        out.line(&format!("{name}: {value}"))?;
    }
    if ask.body.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.line(&body)
}
