//! `GET /v1/tail`: events as they come, as Server-Sent Events or as lines of JSON.
//!
//! At most once; it settles nothing and slows nobody. One task reads from the engine and puts
//! frames into a buffer of bounded size; history waits for a slow reader, live events do not.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use hence::core::codec::json::Structured;
use hence::core::{Attributes, Entry, Filter, Message, Position, Read, Reader, Start, Timestamp};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use hyper::{HeaderMap, StatusCode, Uri};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Gateway;
use super::auth::MayRead;
use super::cloudevents::accepted;
use super::limits::TAIL_BYTES_MAX;
use super::problem::{Code, Problem};
use super::query::{FILTER, Query, malformed, time};

/// The media type of Server-Sent Events.
const SSE: &str = "text/event-stream";
/// The media type of lines of JSON.
const NDJSON: &str = "application/x-ndjson";
/// How often a quiet tail says that it is alive.
const PING: Duration = Duration::from_secs(15);
/// How long an `EventSource` waits before it connects again, in milliseconds.
const RETRY_MILLIS: u64 = 1_000;
/// Events that are read from the engine at a time.
const READ_EVENTS: usize = 64;
/// What a tail may be asked besides a filter.
const ASK: [&str; 4] = ["from", "lasteventid", "named", "slow"];

/// How frames are written.
#[derive(Clone, Copy, Debug)]
struct Form {
    sse: bool,
    named: bool,
}

/// Where a tail ends.
#[derive(Clone, Copy, Debug)]
enum Until {
    /// Behind this position.
    Position(Position),
    /// With the last event that was appended before this moment.
    Time(Timestamp),
}

/// What a tail is asked for.
struct Ask {
    form: Form,
    filter: Filter,
    from: Start,
    /// Where the reader was when it lost the connection.
    resumed: Option<Position>,
    until: Option<Until>,
    close_when_slow: bool,
}

/// `GET /v1/tail`.
pub(crate) async fn tail(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let media_type = accepted(&headers, &[SSE, NDJSON])?;
    let mut ask = Ask::of(&headers, &uri, media_type == SSE)?;
    let report = gateway.bus.engine().health()?;
    // A reader that was further than we are has seen another log: it gets what is new in this one.
    if ask.resumed.is_some_and(|resumed| resumed > report.last) {
        ask.from = Start::Position(Position(report.last.0 + 1));
    }
    let lost = ask.lost(report.first);
    let reached = match ask.until {
        Some(Until::Position(position)) => position <= report.last,
        Some(Until::Time(moment)) => moment <= Timestamp::now(),
        None => false,
    };
    let seen_all = matches!((ask.until, ask.resumed), (Some(Until::Position(until)), Some(resumed)) if resumed >= until);
    // A position that is still to come must be seen even if its event does not pass the filter.
    let sees_all = matches!(ask.until, Some(Until::Position(_))) && !reached;
    let filter = if sees_all {
        Filter::default()
    } else {
        ask.filter.clone()
    };
    let (from, follow) = (ask.from, !reached);
    let mut reader = gateway
        .bus
        .read(Read {
            from,
            filter,
            follow,
        })
        .await?;
    let mut first = Vec::new();
    if reached && ask.resumed.is_some() {
        first = reader.next(READ_EVENTS).await?;
        first.retain(|entry| !ask.is_beyond(entry));
        if seen_all || first.is_empty() {
            // The `EventSource` that comes back after `end` stops at this.
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
    let (buffer, frames) = Buffer::new();
    let pump = Pump {
        sent: ask.resumed.unwrap_or_default(),
        live_after: report.last,
        ask,
        buffer,
        skipped: None,
    };
    tokio::spawn(pump.run(reader, first, lost, gateway.drain.clone()));
    Ok(respond(media_type, frames))
}

fn respond(media_type: &'static str, frames: UnboundedReceiver<Frame>) -> Response {
    let body = stream::unfold(frames, |mut frames| async {
        let (bytes, _room) = frames.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), frames))
    });
    let headers = [
        (CONTENT_TYPE.as_str(), media_type),
        (CACHE_CONTROL.as_str(), "no-store"),
        ("x-accel-buffering", "no"),
    ];
    (headers, Body::from_stream(body)).into_response()
}

impl Ask {
    fn of(headers: &HeaderMap, uri: &Uri, sse: bool) -> Result<Self, Problem> {
        let query = Query::of(uri, &[&FILTER, &ASK])?;
        let header = match headers.get("last-event-id").map(|value| value.to_str()) {
            None => None,
            Some(Ok(text)) => Some(text.trim()).filter(|text| !text.is_empty()),
            Some(Err(_)) => return Err(Code::MALFORMED.problem("the Last-Event-ID is not text")),
        };
        let last = header.or_else(|| query.text("lasteventid"));
        let position = |name: &str, text: &str| {
            let read: Result<Position, _> = text.parse();
            read.map_err(|_| malformed(name, text, "is not a position of this server"))
        };
        let resumed = last.map(|text| position("lasteventid", text)).transpose()?;
        let from = match (resumed, query.text("from")) {
            (Some(Position(last)), _) => Start::Position(Position(last.saturating_add(1))),
            (None, None | Some("latest")) => Start::Latest,
            (None, Some("earliest")) => Start::Earliest,
            (None, Some(text)) => match text.parse() {
                Ok(position) => Start::Position(position),
                Err(_) => Start::Time(time("from", text).map_err(|_| {
                    malformed(
                        "from",
                        text,
                        "is not earliest, latest, a position or a time",
                    )
                })?),
            },
        };
        let until = match query.text("until") {
            None => None,
            Some(text) => match text.parse() {
                Ok(position) => Some(Until::Position(position)),
                Err(_) => Some(Until::Time(time("until", text)?)),
            },
        };
        let named = query.flag("named")?;
        let close_when_slow = query.one_of("slow", &["gap", "close"])? == Some("close");
        Ok(Self {
            form: Form { sse, named },
            filter: query.filter()?,
            from,
            resumed,
            until,
            close_when_slow,
        })
    }

    /// The positions that were asked for and are no longer kept.
    fn lost(&self, first: Position) -> Option<(Position, Position)> {
        match self.from {
            Start::Position(from) if from < first && first.0 > 1 => {
                Some((from, Position(first.0 - 1)))
            }
            _ => None,
        }
    }

    /// Whether an entry lies behind the end.
    fn is_beyond(&self, entry: &Entry) -> bool {
        match self.until {
            None => false,
            Some(Until::Position(until)) => entry.position > until,
            Some(Until::Time(until)) => entry.appended >= until,
        }
    }

    /// Whether an entry is the last one.
    fn is_end(&self, entry: &Entry) -> bool {
        matches!(self.until, Some(Until::Position(until)) if entry.position >= until)
    }
}

/// Bytes for the reader, and the room that they take until they are gone.
type Frame = (Bytes, OwnedSemaphorePermit);

/// Frames that wait for the reader, up to [`TAIL_BYTES_MAX`] bytes.
struct Buffer {
    frames: UnboundedSender<Frame>,
    room: Arc<Semaphore>,
}

impl Buffer {
    fn new() -> (Self, UnboundedReceiver<Frame>) {
        let (frames, received) = unbounded_channel();
        let room = Arc::new(Semaphore::new(TAIL_BYTES_MAX));
        (Self { frames, room }, received)
    }

    /// The room that a frame takes; one that is larger than the buffer takes all of it.
    fn size(frame: &Bytes) -> u32 {
        u32::try_from(frame.len().min(TAIL_BYTES_MAX)).unwrap_or(u32::MAX)
    }

    /// Puts a frame in if there is room.
    fn try_put(&self, frame: Bytes) -> bool {
        match Arc::clone(&self.room).try_acquire_many_owned(Self::size(&frame)) {
            Ok(room) => self.frames.send((frame, room)).is_ok(),
            Err(_) => false,
        }
    }

    /// Puts a frame in, and waits for room. `false` when the reader is gone.
    async fn put(&self, frame: Bytes) -> bool {
        let room = Arc::clone(&self.room).acquire_many_owned(Self::size(&frame));
        tokio::select! {
            room = room => match room {
                Ok(room) => self.frames.send((frame, room)).is_ok(),
                Err(_) => false,
            },
            () = self.frames.closed() => false,
        }
    }
}

/// What moves events from the engine into the buffer.
struct Pump {
    ask: Ask,
    buffer: Buffer,
    /// Events up to here were there when the tail began: history, which waits for the reader.
    live_after: Position,
    /// The last position that went out or was left out.
    sent: Position,
    /// Positions that the reader was too slow for.
    skipped: Option<(Position, Position)>,
}

/// Whether the pump goes on.
type GoesOn = bool;

impl Pump {
    async fn run(
        mut self,
        mut reader: Box<dyn Reader>,
        first: Vec<Entry>,
        lost: Option<(Position, Position)>,
        drain: CancellationToken,
    ) {
        tokio::select! {
            () = drain.cancelled() => {}
            () = self.flow(&mut *reader, first, lost) => {}
        }
    }

    async fn flow(
        &mut self,
        reader: &mut dyn Reader,
        first: Vec<Entry>,
        lost: Option<(Position, Position)>,
    ) {
        if self.ask.form.sse {
            self.buffer
                .try_put(format!("retry: {RETRY_MILLIS}\n\n").into());
        }
        if let Some((from, to)) = lost {
            self.buffer.put(self.gap(from, to)).await;
        }
        if !self.forward(first).await {
            return;
        }
        let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
        let end = self.end_instant();
        loop {
            let entries = tokio::select! {
                biased;
                () = self.buffer.frames.closed() => return,
                () = sleep_until(end) => break,
                entries = reader.next(READ_EVENTS) => match entries {
                    Ok(entries) => entries,
                    Err(error) => {
                        tracing::debug!(%error, "a tail ends");
                        return;
                    }
                },
                _ = ping.tick() => {
                    let ping = if self.ask.form.sse { ": ping\n\n" } else { "\n" };
                    self.buffer.try_put(Bytes::from_static(ping.as_bytes()));
                    self.fill_gap();
                    continue;
                }
            };
            if entries.is_empty() {
                break;
            }
            if !self.forward(entries).await {
                return;
            }
            ping.reset();
        }
        // What was appended in time but not read yet still belongs to the tail.
        while let Some(Ok(entries)) = reader.next(READ_EVENTS).now_or_never() {
            if entries.is_empty() || !self.forward(entries).await {
                break;
            }
        }
        if self.ask.until.is_some() {
            self.end().await;
        }
    }

    /// When a tail until a moment to come ends.
    fn end_instant(&self) -> Option<Instant> {
        match self.ask.until {
            Some(Until::Time(until)) => Some(Instant::now() + until.since(Timestamp::now())),
            _ => None,
        }
        .filter(|end| *end > Instant::now())
    }

    async fn forward(&mut self, entries: Vec<Entry>) -> GoesOn {
        for entry in entries {
            if self.ask.is_beyond(&entry) {
                self.end().await;
                return false;
            }
            let last = self.ask.is_end(&entry);
            if self.ask.filter.matches(&entry) && !self.one(&entry).await {
                return false;
            }
            if last {
                self.sent = entry.position;
                self.end().await;
                return false;
            }
        }
        true
    }

    async fn one(&mut self, entry: &Entry) -> GoesOn {
        let frame = self.event(entry);
        let position = entry.position;
        if position <= self.live_after {
            self.sent = position;
            return self.buffer.put(frame).await;
        }
        self.fill_gap();
        if self.skipped.is_none() && self.buffer.try_put(frame) {
            self.sent = position;
            return true;
        }
        if self.ask.close_when_slow || self.buffer.frames.is_closed() {
            return false;
        }
        let from = self.skipped.map_or(position, |(from, _)| from);
        self.skipped = Some((from, position));
        true
    }

    /// Says which positions were left out, as soon as there is room to say it.
    fn fill_gap(&mut self) {
        if let Some((from, to)) = self.skipped
            && self.buffer.try_put(self.gap(from, to))
        {
            self.skipped = None;
            self.sent = to;
        }
    }

    async fn end(&mut self) {
        if let Some((from, to)) = self.skipped.take() {
            self.buffer.put(self.gap(from, to)).await;
            self.sent = to;
        }
        if self.ask.form.sse {
            let id = match self.ask.until {
                Some(Until::Position(until)) => until.max(self.sent),
                _ => self.sent.max(self.live_after),
            };
            let frame = format!("id: {id}\nevent: end\ndata: {{}}\n\n");
            self.buffer.put(frame.into()).await;
        }
    }

    fn event(&self, entry: &Entry) -> Bytes {
        let name = self
            .ask
            .form
            .named
            .then(|| entry.message.attributes().event_type());
        self.frame(entry.position, name, &entry.message)
    }

    /// Positions that are not coming, as an event of its own.
    fn gap(&self, from: Position, to: Position) -> Bytes {
        let id = format!("gap-{from}-{to}");
        let data = format!("{{\"from\":\"{from}\",\"to\":\"{to}\"}}");
        let attributes = Attributes::new(id, "/hence/tail", "hence.tail.gap");
        match attributes {
            Ok(attributes) => {
                let message = Message::new(attributes, Some(data.into()));
                self.frame(to, Some("gap"), &message)
            }
            Err(_) => Bytes::new(),
        }
    }

    fn frame(&self, position: Position, name: Option<&str>, message: &Message) -> Bytes {
        let position = position.to_string();
        if !self.ask.form.sse {
            let line = one_line(message, &[("henceposition", &position)]);
            return format!("{line}\n").into();
        }
        let name = name
            .map(|name| format!("event: {name}\n"))
            .unwrap_or_default();
        let line = one_line(message, &[]);
        format!("id: {position}\n{name}data: {line}\n\n").into()
    }
}

/// A structured event on one line. Line breaks can only stand between the tokens of its data,
/// because inside strings JSON has them escaped.
fn one_line(message: &Message, members: &[(&str, &str)]) -> String {
    let text = serde_json::to_string(&Structured(message, members)).unwrap_or_default();
    if text.contains(['\n', '\r']) {
        text.replace(['\n', '\r'], " ")
    } else {
        text
    }
}

async fn sleep_until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}
