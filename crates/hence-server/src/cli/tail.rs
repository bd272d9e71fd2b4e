//! `hence tail`: events as they come, across restarts of the server.

use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use super::error::{Fault, Result};
use super::event::{Event, Item, Page, read};
use super::filter::Filter;
use super::format::{self, Format};
use super::global::{Global, Times};
use super::lines::Lines;
use super::moment;
use super::output::{Form, Output, Style, clean};
use super::query::Query;
use super::remote::{Ask, Remote};
use super::table::{columns, counted, shorten};

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence tail
  hence tail 'order.*' --from earliest --count 3
  hence tail order.placed --since 1h --from earliest --count 1 --format '%p %k %d%n'
  hence tail --from earliest --count 2 --json";

/// The first wait before the server is tried again; each further one is twice as long.
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// The longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How long the server may be away before `tail` gives up.
const AWAY_MAX: Duration = Duration::from_secs(600);

/// Shows events as they come. It settles nothing and moves no subscription.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Tail {
    #[command(flatten)]
    filter: Filter,

    /// Where to begin: `latest`, `earliest`, a position, a time, or how long ago: `10m`.
    #[arg(long, value_name = "START", default_value = "latest")]
    from: String,

    /// Stop after so many events.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Write each event in this format; `help` lists the marks.
    #[arg(long, value_name = "FORMAT", conflicts_with_all = ["json", "plain"])]
    format: Option<String>,

    #[command(flatten)]
    times: Times,
}

impl Tail {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        if self.format.as_deref() == Some("help") {
            for (mark, meaning) in format::HELP {
                out.line(&format!("{mark:10}{meaning}"))?;
            }
            return Ok(());
        }
        let format = self.format.as_deref().map(Format::parse).transpose();
        let format = format.map_err(|cause| {
            Fault::INPUT
                .error("the format is not understood")
                .cause(cause)
                .fix("`hence tail --format help` lists the marks")
        })?;
        let remote = Remote::open(global)?;
        let start = self.start(out, &remote).await?;
        let mut follow = Follow {
            tail: &self,
            remote,
            format,
            start,
            left: self.count.unwrap_or(u64::MAX),
            seen: 0,
            widths: (6, 14, 6),
        };
        follow.run(out).await
    }

    /// Where to begin. `latest` becomes a fixed place now, so that nothing is lost when the server
    /// restarts before the first event came.
    async fn start(&self, out: &mut Output, remote: &Remote) -> Result<Start> {
        if self.from == "latest" {
            let query = Query::default().with("order", "desc").with("limit", "1");
            let page: Page = remote.get(out, "/v1/events", &query).await?;
            return match page.items.first() {
                Some(newest) => Ok(Start::After(read::<Item>(newest.get())?.position)),
                None => Ok(Start::From("earliest".to_owned())),
            };
        }
        // How long ago is the client's to say; a position or a time is the server's to understand.
        match moment::duration(&self.from) {
            Ok(_) => {
                let since = moment::past(&self.from)
                    .map_err(|cause| Fault::INPUT.error("--from is not understood").cause(cause))?;
                Ok(Start::From(since.to_string()))
            }
            Err(_) => Ok(Start::From(self.from.clone())),
        }
    }
}

/// Where a stream begins.
#[derive(Clone, Debug)]
enum Start {
    /// As `--from` says.
    From(String),
    /// Behind the event at this position.
    After(String),
}

/// Why a stream ended.
enum End {
    /// Everything that was asked for came.
    Complete,
    /// The connection broke.
    Broken(String),
}

/// A tail across connections.
struct Follow<'a> {
    tail: &'a Tail,
    remote: Remote,
    format: Option<Format>,
    start: Start,
    left: u64,
    seen: u64,
    /// How wide position, type and subject have been so far.
    widths: (usize, usize, usize),
}

impl Follow<'_> {
    async fn run(&mut self, out: &mut Output) -> Result<()> {
        let body = self.open(out).await?;
        if self.tail.count.is_none() && out.form() == Form::Human {
            let base = self.remote.base();
            out.note(&format!("events of {base} as they come; Ctrl-C stops"));
        }
        let mut lines = Lines::new(body);
        loop {
            match self.read(out, &mut lines).await? {
                End::Complete => return Ok(()),
                End::Broken(why) => lines = self.reopen(out, &why).await?,
            }
        }
    }

    async fn open(&self, out: &mut Output) -> Result<hyper::body::Incoming> {
        let mut query = self.tail.filter.query();
        match &self.start {
            Start::From(from) => query.add("from", from),
            Start::After(position) => query.add("lasteventid", position),
        }
        let ask = Ask::get("/v1/tail", query);
        self.remote.stream(out, &ask, "application/x-ndjson").await
    }

    /// Opens the stream again behind what was shown, with growing waits.
    async fn reopen(&mut self, out: &mut Output, why: &str) -> Result<Lines> {
        let away = Instant::now();
        let base = self.remote.base().to_owned();
        out.note(&format!(
            "the server at {base} has gone ({why}); waiting for it"
        ));
        let mut wait = WAIT_FIRST;
        loop {
            sleep(wait.mul_f64(0.5 + jitter() / 2.0)).await;
            match self.open(out).await {
                Ok(body) => {
                    let span = moment::span(away.elapsed());
                    out.note(&format!(
                        "the server is back after {span}; nothing is left out"
                    ));
                    return Ok(Lines::new(body));
                }
                Err(error) if !error.is_outage() => return Err(error),
                Err(error) if away.elapsed() > AWAY_MAX => return Err(error),
                Err(_) => wait = (wait * 2).min(WAIT_MAX),
            }
        }
    }

    async fn read(&mut self, out: &mut Output, lines: &mut Lines) -> Result<End> {
        loop {
            let line = match lines.next().await {
                Ok(Some(line)) => line,
                Ok(None) if self.tail.filter.until.is_some() => return Ok(End::Complete),
                Ok(None) => return Ok(End::Broken("it closed the stream".to_owned())),
                Err(why) => return Ok(End::Broken(why)),
            };
            if line.trim_ascii().is_empty() {
                continue; // keep-alive
            }
            let event: Event = read(&line)?;
            match event.or_empty("type").as_str() {
                "hence.tail.gap" => {
                    let lost = event.data().unwrap_or_default();
                    out.note(&format!("events are missing here: {}", clean(&lost)));
                    continue;
                }
                "hence.tail.end" => return Ok(End::Complete),
                _ => {}
            }
            self.show(out, &line, &event)?;
            if let Some(position) = event.text("henceposition") {
                self.start = Start::After(position);
            }
            self.seen += 1;
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                out.detail(&format!("{} shown", counted(self.seen as usize, "event")));
                return Ok(End::Complete);
            }
        }
    }

    fn show(&mut self, out: &mut Output, line: &Bytes, event: &Event) -> Result<()> {
        let position = event.or_empty("henceposition");
        if let Some(format) = &self.format {
            return out.bytes(format.write(&position, event).as_bytes());
        }
        let data = event.data().unwrap_or_default();
        match out.form() {
            Form::Json => out.raw(read::<Box<RawValue>>(line)?.as_ref()),
            Form::Plain => out.row([
                position.as_str(),
                &event.or_empty("time"),
                &event.or_empty("type"),
                &event.or_empty("source"),
                &event.or_empty("subject"),
                &event.or_empty("partitionkey"),
                &event.or_empty("id"),
                &data,
            ]),
            Form::Human => {
                let text = self.for_people(out, &position, event, &data);
                out.line(&text)
            }
        }
    }

    /// Position, type, subject or key, time and data in columns that grow as they must.
    fn for_people(&mut self, out: &Output, position: &str, event: &Event, data: &str) -> String {
        let (kind, about) = (event.or_empty("type"), event.about());
        let (kind, about) = (clean(&kind), clean(&about));
        let (p, k, a) = &mut self.widths;
        *p = (*p).max(columns(position));
        *k = (*k).max(columns(&kind));
        *a = (*a).max(columns(&about)).min(24);
        let time = self.tail.times.show(&event.or_empty("time"));
        let head = format!("{position:>p$}  ", p = *p);
        let kind = out.paint(Style::Name, &format!("{kind:k$}", k = *k));
        let about = format!("  {:a$}  ", shorten(&about, *a), a = *a);
        let time_width = if self.tail.times.utc { 27 } else { 10 };
        let used = columns(&head) + *k + columns(&about) + time_width + 2;
        let room = out
            .width()
            .map_or(usize::MAX, |width| width.saturating_sub(used).max(8));
        let time = out.paint(Style::Faint, &format!("{time:time_width$}"));
        let line = format!("{head}{kind}{about}{time}  {}", shorten(&clean(data), room));
        line.trim_end().to_owned()
    }
}

/// A number from 0 to 1 that differs between processes, so that they do not come back together.
fn jitter() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    f64::from(now.map_or(0, |since| since.subsec_nanos()) % 1_000) / 1_000.0
}
