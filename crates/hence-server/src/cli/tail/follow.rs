//! A tail across connections: what was shown is not shown again, what was not is not left out.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hence::core::Timestamp;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep};

use super::writer::Writer;
use crate::cli::error::{Error, Result};
use crate::cli::event::{Event, read};
use crate::cli::filter::Filter;
use crate::cli::lines::Lines;
use crate::cli::moment;
use crate::cli::output::{Form, Output, clean, reader_gone};
use crate::cli::remote::{Ask, Remote};
use crate::cli::table::counted;

/// The first wait before the server is tried again; each further one is twice as long.
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// The longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How long the server may be away before `tail` gives up.
const AWAY_MAX: Duration = Duration::from_secs(600);

/// Where a stream begins.
#[derive(Clone, Debug)]
pub(super) enum Start {
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
pub(super) struct Follow {
    filter: Filter,
    remote: Remote,
    writer: Writer,
    start: Start,
    /// How many events are still wanted.
    left: u64,
    seen: u64,
    /// Whether the connection of now has brought anything.
    is_alive: bool,
    /// The wait before the next try.
    wait: Duration,
}

impl Follow {
    pub(super) fn new(
        filter: Filter,
        count: Option<u64>,
        remote: Remote,
        start: Start,
        writer: Writer,
    ) -> Self {
        Self {
            filter,
            remote,
            writer,
            start,
            left: count.unwrap_or(u64::MAX),
            seen: 0,
            is_alive: false,
            wait: WAIT_FIRST,
        }
    }

    pub(super) async fn run(self, out: &mut Output) -> Result<()> {
        tokio::select! {
            result = self.follow(out) => result,
            () = reader_gone() => Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
        }
    }

    async fn follow(mut self, out: &mut Output) -> Result<()> {
        let body = self.open(out).await?;
        if self.left == u64::MAX && out.form() == Form::Human {
            let base = self.remote.base();
            out.note(&format!("events of {base} as they come; Ctrl-C stops"));
        }
        let mut lines = Lines::new(body);
        loop {
            match self.read(out, &mut lines).await? {
                End::Complete => break,
                End::Broken(why) => lines = self.reopen(out, &why).await?,
            }
        }
        out.detail(&format!("{} shown", counted(self.seen, "event")));
        Ok(())
    }

    async fn open(&self, out: &mut Output) -> Result<Incoming> {
        // A reader that is too slow is cut off and comes back, so that it misses nothing.
        let mut query = self.filter.query().with("slow", "close");
        match &self.start {
            Start::From(from) => query.add("from", from),
            Start::After(position) => query.add("lasteventid", position),
        }
        let ask = Ask::get("/v1/tail", query);
        self.remote.stream(out, &ask, "application/x-ndjson").await
    }

    /// Opens the stream again behind what was shown: at once, then with growing waits.
    async fn reopen(&mut self, out: &mut Output, why: &str) -> Result<Lines> {
        out.detail(&format!("the stream ended: {why}"));
        let begin = Instant::now();
        let mut told = false;
        // A stream that brings nothing and ends again does not set off a storm of requests.
        if std::mem::take(&mut self.is_alive) {
            self.wait = WAIT_FIRST;
        } else {
            sleep(self.next_wait()).await;
        }
        loop {
            match self.open(out).await {
                Ok(body) => {
                    if told {
                        let away = moment::span(begin.elapsed());
                        out.note(&format!(
                            "the server is back after {away}; nothing is left out"
                        ));
                    }
                    return Ok(Lines::new(body));
                }
                Err(error) if !is_passing(&error, begin) => return Err(error),
                Err(_) if !told => {
                    let base = self.remote.base();
                    out.note(&format!(
                        "the server at {base} has gone ({why}); waiting for it"
                    ));
                    told = true;
                }
                Err(_) => {}
            }
            sleep(self.next_wait()).await;
        }
    }

    /// Half of the wait to all of it, at random, and twice as long the next time.
    fn next_wait(&mut self) -> Duration {
        let wait = self.wait.mul_f64(0.5 + random() / 2.0);
        self.wait = (self.wait * 2).min(WAIT_MAX);
        wait
    }

    async fn read(&mut self, out: &mut Output, lines: &mut Lines) -> Result<End> {
        let mut shown = false;
        loop {
            let line = match lines.next().await {
                Ok(Some(line)) => line,
                // Behind `--until`, a stream that has nothing more to bring is the end of it.
                Ok(None) if !shown && self.is_over() => return Ok(End::Complete),
                Ok(None) => return Ok(End::Broken("it closed the stream".to_owned())),
                Err(why) => return Ok(End::Broken(why)),
            };
            self.is_alive = true;
            if line.trim_ascii().is_empty() {
                continue; // keep-alive
            }
            let event: Event = read(&line)?;
            match event.or_empty("type").as_str() {
                "hence.tail.gap" => {
                    let lost = event.data().unwrap_or_default();
                    out.note(&format!(
                        "no longer kept, so missing here: {}",
                        clean(&lost)
                    ));
                    continue;
                }
                "hence.tail.end" => return Ok(End::Complete),
                _ => {}
            }
            self.writer.write(out, &line, &event)?;
            shown = true;
            if let Some(position) = event.text("henceposition") {
                self.start = Start::After(position);
            }
            self.seen += 1;
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                return Ok(End::Complete);
            }
        }
    }

    fn is_over(&self) -> bool {
        let until = self.filter.until;
        until.is_some_and(|until| until <= Timestamp::now())
    }
}

/// Whether it is worth to try again.
fn is_passing(error: &Error, begin: Instant) -> bool {
    error.is_outage() && begin.elapsed() < AWAY_MAX
}

/// A number from 0 to 1 that differs between processes, so that they do not come back together.
fn random() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    f64::from(now.map_or(0, |since| since.subsec_nanos()) % 1_000) / 1_000.0
}
