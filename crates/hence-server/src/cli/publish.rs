//! `hence publish`: events from the command line, a file, or lines of standard input.

mod asks;
mod receipt;

use std::time::Duration;

use hence::core::{Durability, Timestamp};
use tokio::time::{Instant, sleep_until};

use self::asks::{Asks, show};
use super::error::{Error, Result};
use super::global::Global;
use super::input;
use super::moment;
use super::output::Output;
use super::remote::Remote;
use super::table::counted;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence publish order.placed '{\"order_id\":\"A-17\",\"amount\":99.5,\"items\":[{\"sku\":\"X\",\"qty\":2}]}' --key A-17
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

impl Publish {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        input::check_stdin(self.data.as_deref(), self.lines, global)?;
        let remote = Remote::open(global)?;
        let mut asks = Asks::of(&self)?;
        let begin = Instant::now();
        let mut stored: u64 = 0;
        let mut last = None;
        while let Some(ask) = asks.next().map_err(|error| before(error, stored))? {
            if let Some(rate) = self.rate {
                // Paced from the begin, so that a slow answer is caught up with.
                sleep_until(begin + Duration::from_secs_f64(asks.sent as f64 / rate)).await;
            }
            asks.sent += 1;
            if self.dry_run {
                show(out, &ask)?;
                continue;
            }
            let answer = remote.ask(out, &ask).await;
            let answer = answer.map_err(|error| before(asks.place(error), stored))?;
            last = receipt::tell(out, &self.event_type, &answer)?;
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
            let rate = stored as f64 / took.as_secs_f64().max(1e-9);
            let (events, took) = (counted(stored, "event"), moment::span(took));
            out.note(&format!(
                "published {events} in {took} ({rate:.0} a second)"
            ));
        }
        if let Some(position) = last {
            out.next(&format!("hence trace {position}"));
        }
    }
}

/// Says what was stored before the trouble.
fn before(error: Error, stored: u64) -> Error {
    match stored {
        0 => error,
        n => error.cause(format!("{} stored before it", counted(n, "event"))),
    }
}
