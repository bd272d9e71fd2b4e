//! `GET /v1/events…`: the list, one event, its deliveries, its trace.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use hence::core::codec::json::to_vec;
use hence::core::{Entry, Filter, Position, Read, Start};
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, StatusCode, Uri};
use serde::Serialize;

use super::auth::MayRead;
use super::cloudevents::{self, STRUCTURED, accepted};
use super::limits::PAGE_BYTES_MAX;
use super::problem::{Code, Problem};
use super::query::{FILTER, Query};
use super::reply::{self, Cursor, Delivery, Item, bad_cursor, json};
use super::{Gateway, segment};

/// How many positions a list that runs backwards looks at in one step.
const BACKWARDS_POSITIONS: u64 = 1_000;

/// `GET /v1/events`.
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::of(&uri, &[&FILTER, &["order", "limit", "cursor"]])?;
    let mut filter = query.filter()?;
    filter.until = query.time("until")?;
    let limit = reply::limit(&query)?;
    let backwards = query.one_of("order", &["asc", "desc"])? == Some("desc");
    let cursor = Cursor::of(&query)?;
    let begin = cursor
        .as_ref()
        .map(|cursor| begin(cursor, backwards))
        .transpose()?;
    // One more than a page tells whether there is another page.
    let mut entries = match (&filter.id, backwards) {
        (Some(_), _) => gateway.by_id(&filter, begin, backwards, limit + 1).await?,
        (None, false) => gateway.forwards(&filter, begin, limit + 1).await?,
        (None, true) => gateway.backwards(&filter, begin, limit + 1).await?,
    };
    let fit = limit.min(fit(&entries));
    let more = entries.get(fit).map(|entry| {
        let order = if backwards { "d" } else { "a" };
        Cursor(format!("{order}{}", entry.position))
    });
    entries.truncate(fit);
    let items: Vec<_> = entries.iter().map(Item::of).collect();
    Ok(reply::page(uri.path(), &query, items, more.as_ref()))
}

/// The position at which a page begins.
fn begin(cursor: &Cursor, backwards: bool) -> Result<Position, Problem> {
    let order = if backwards { "d" } else { "a" };
    let position = cursor
        .0
        .strip_prefix(order)
        .and_then(|text| text.parse().ok());
    position.ok_or_else(|| bad_cursor(&cursor.0))
}

/// How many of the first entries a page may have by their bytes: at least one.
fn fit(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fit = entries.iter().take_while(|entry| {
        bytes += size(entry);
        bytes <= PAGE_BYTES_MAX
    });
    fit.count().max(1)
}

fn size(entry: &Entry) -> usize {
    entry.message.data().map_or(0, bytes::Bytes::len)
}

impl Gateway {
    /// The events of an id; the engine finds them without a search.
    async fn by_id(
        &self,
        filter: &Filter,
        begin: Option<Position>,
        backwards: bool,
        most: usize,
    ) -> Result<Vec<Entry>, Problem> {
        let engine = self.bus.engine();
        let id = filter.id.as_deref().unwrap_or_default();
        let mut positions = engine.find(filter.source.as_deref(), id).await?;
        positions.sort_unstable();
        if backwards {
            positions.reverse();
        }
        let mut entries = Vec::new();
        for position in positions {
            let before = begin.is_some_and(|begin| {
                if backwards {
                    position > begin
                } else {
                    position < begin
                }
            });
            if before || entries.len() >= most || entries.len() > fit(&entries) {
                continue;
            }
            // One that retention removed meanwhile is no longer part of the list.
            if let Ok(entry) = engine.get(position).await
                && filter.matches(&entry)
            {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    async fn forwards(
        &self,
        filter: &Filter,
        begin: Option<Position>,
        most: usize,
    ) -> Result<Vec<Entry>, Problem> {
        let from = match (begin, filter.since) {
            (Some(position), _) => Start::Position(position),
            (None, Some(since)) => Start::Time(since),
            (None, None) => Start::Earliest,
        };
        self.read_up_to(from, filter, most, |_| false).await
    }

    /// The newest first: windows of positions from the end, each read forwards.
    async fn backwards(
        &self,
        filter: &Filter,
        begin: Option<Position>,
        most: usize,
    ) -> Result<Vec<Entry>, Problem> {
        let report = self.bus.engine().health()?;
        let mut end = begin.map_or(report.last, |begin| begin.min(report.last)).0;
        let mut entries = Vec::new();
        let mut window = BACKWARDS_POSITIONS;
        let is_whole = |entries: &[Entry]| entries.len() >= most || entries.len() > fit(entries);
        while end >= report.first.0.max(1) && !is_whole(&entries) {
            let start = end.saturating_sub(window - 1).max(report.first.0).max(1);
            let from = Start::Position(Position(start));
            let all = usize::try_from(BACKWARDS_POSITIONS).unwrap_or(usize::MAX);
            let found = self.read_up_to(from, filter, all, |p| p.0 > end).await?;
            if found.len() > fit(&found) && window > 1 {
                // So large that reading ended before the window did, and its end comes first.
                window /= 2;
                continue;
            }
            entries.extend(found.into_iter().rev());
            end = start - 1;
        }
        entries.truncate(most);
        Ok(entries)
    }

    async fn read_up_to(
        &self,
        from: Start,
        filter: &Filter,
        most: usize,
        beyond: impl Fn(Position) -> bool,
    ) -> Result<Vec<Entry>, Problem> {
        let (filter, follow) = (filter.clone(), false);
        let read = Read {
            from,
            filter,
            follow,
        };
        let mut reader = self.bus.read(read).await?;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while entries.len() < most {
            let found = reader.next(most - entries.len()).await?;
            let end = found.is_empty();
            for entry in found {
                bytes += size(&entry);
                if beyond(entry.position) {
                    return Ok(entries);
                }
                entries.push(entry);
                // The last one tells that there is another page.
                if bytes > PAGE_BYTES_MAX && entries.len() > 1 {
                    return Ok(entries);
                }
            }
            if end {
                break;
            }
        }
        Ok(entries)
    }

    /// The event at the position that a path names.
    pub(super) async fn entry(&self, text: &str) -> Result<Entry, Problem> {
        let position: Position = text.parse().map_err(|_| no_event(text))?;
        if let Ok(entry) = self.bus.engine().get(position).await {
            return Ok(entry);
        }
        let report = self.bus.engine().health()?;
        if position.0 > 0 && position < report.first {
            let first = report.first;
            let detail =
                format!("the event at {position} is no longer kept; the oldest is {first}");
            return Err(Code::NO_LONGER_KEPT.problem(detail));
        }
        Err(no_event(text))
    }
}

fn no_event(text: &str) -> Problem {
    Code::NOT_FOUND
        .problem(format!("there is no event at '{text}'"))
        .hint("GET /v1/events?id=… finds an event by its id")
}

/// `GET /v1/events/{position}`.
pub(crate) async fn one(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::of(&uri, &[&["mode"]])?;
    let binary = query.one_of("mode", &["binary", "structured"])?;
    let entry = gateway.entry(&segment(path)?).await?;
    match binary {
        Some("binary") => {
            let headers = cloudevents::to_headers(&entry.message);
            // A plain body, because bytes would bring a media type that the event does not have.
            let body = Body::from(entry.message.data().cloned().unwrap_or_default());
            return Ok((headers, body).into_response());
        }
        Some(_) => return Ok(pure(&entry)),
        None => {}
    }
    match accepted(&headers, &["application/json", STRUCTURED])? {
        STRUCTURED => Ok(pure(&entry)),
        _ => Ok(json(StatusCode::OK, &Item::of(&entry))),
    }
}

fn pure(entry: &Entry) -> Response {
    ([(CONTENT_TYPE, STRUCTURED)], to_vec(&entry.message)).into_response()
}

/// `GET /v1/events/{position}/deliveries`.
pub(crate) async fn deliveries(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[])?;
    let entry = gateway.entry(&segment(path)?).await?;
    let reports = gateway.bus.engine().report(entry.position).await?;
    Ok(reply::list(reports.iter().map(Delivery::of).collect()))
}

/// A causation tree, as the list of its events in the order of their positions.
#[derive(Serialize)]
struct Tree<'a> {
    asked: String,
    items: Vec<Node<'a>>,
    truncated: bool,
}

/// One event of a tree.
#[derive(Serialize)]
struct Node<'a> {
    #[serde(flatten)]
    item: Item<'a>,
    cause: Option<String>,
    deliveries: Vec<Delivery<'a>>,
}

/// `GET /v1/events/{position}/trace`.
pub(crate) async fn trace(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[])?;
    let entry = gateway.entry(&segment(path)?).await?;
    let trace = gateway.bus.trace(entry.position).await?;
    let items = trace
        .nodes
        .iter()
        .map(|found| Node {
            item: Item::of(&found.entry),
            cause: found.cause.map(|cause| cause.to_string()),
            deliveries: found.deliveries.iter().map(Delivery::of).collect(),
        })
        .collect();
    let tree = Tree {
        asked: trace.asked.to_string(),
        items,
        truncated: trace.truncated,
    };
    Ok(json(StatusCode::OK, &tree))
}
