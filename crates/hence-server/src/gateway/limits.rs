//! `Limits`: how much one request, one connection and the whole gateway may take; each has a name.
//!
//! They hold before anybody is authenticated.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::http::request::Parts;

use super::problem::{Code, Problem};

/// The smallest limit for an event: every CloudEvents intermediary must forward this much.
pub(crate) const EVENT_BYTES_FLOOR: usize = 64 * 1024;
/// The longest URL.
pub(crate) const URL_BYTES_MAX: usize = 8 * 1024;
/// All names and values of headers together.
pub(crate) const HEADER_BYTES_MAX: usize = 32 * 1024;
/// The most headers of one request.
pub(crate) const HEADERS_MAX: usize = 100;
/// How deep JSON may nest.
pub(crate) const JSON_DEPTH_MAX: usize = 64;
/// How long the head of a request may take.
pub(crate) const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the body of a request may take.
pub(crate) const BODY_TIME_MAX: Duration = Duration::from_secs(20);
/// How long a connection may be idle.
pub(crate) const IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a client may take nothing of what is written to it.
pub(crate) const STALL_TIME_MAX: Duration = Duration::from_secs(60);
/// Requests that one HTTP/2 connection may have open.
pub(crate) const STREAMS_MAX: u32 = 100;
/// HTTP/2 streams that a client may reset before they were taken.
pub(crate) const RESETS_MAX: usize = 20;
/// Bytes that one tail may have waiting for its reader.
pub(crate) const TAIL_BYTES_MAX: usize = 1024 * 1024;
/// Items of one page of a list, unless `limit` says otherwise.
pub(crate) const PAGE_ITEMS: usize = 50;
/// The most items of one page of a list.
pub(crate) const PAGE_ITEMS_MAX: usize = 500;

/// Bytes of events after which a page of a list ends, however few items it has.
pub(crate) const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The limits that the configuration may change (`gateway.limits`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// `event`: bytes of one event, attributes and data.
    pub(crate) event: usize,
    /// `body`: bytes of the body of a request.
    pub(crate) body: usize,
    /// `batch`: events of one batch.
    pub(crate) batch: usize,
    /// `connections`: open connections.
    pub(crate) connections: usize,
    /// `wait`: how long `Prefer: wait` may ask to wait.
    pub(crate) wait: Duration,
    /// `idempotency`: receipts that are remembered for `Idempotency-Key`.
    pub(crate) idempotency: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event: 256 * 1024,
            body: 1024 * 1024,
            batch: 1_000,
            connections: 10_000,
            wait: Duration::from_secs(30),
            idempotency: 50_000,
        }
    }
}

/// Checks the head of a request.
pub(crate) fn check_head(parts: &Parts) -> Result<(), Problem> {
    let url = parts
        .uri
        .path_and_query()
        .map_or(0, |url| url.as_str().len());
    if url > URL_BYTES_MAX {
        let detail = format!("the URL has {url} bytes, the limit is {URL_BYTES_MAX}");
        return Err(Code::URL_TOO_LONG.problem(detail));
    }
    let count = parts.headers.len();
    let bytes: usize = parts
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if count > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        let detail = format!(
            "{count} headers of {bytes} bytes, the limits are {HEADERS_MAX} and {HEADER_BYTES_MAX}"
        );
        return Err(Code::HEADERS.problem(detail));
    }
    Ok(())
}

impl Limits {
    /// Reads a whole body.
    ///
    /// # Errors
    /// `HN4131`/`HN4132` when it is too large, `HN4081` when it is too slow, `HN4003` when it
    /// breaks off.
    pub(crate) async fn read(&self, body: Body, batch: bool) -> Result<Bytes, Problem> {
        let size = body.size_hint();
        if size.lower() > self.body as u64 {
            return Err(self.too_large(batch));
        }
        tokio::time::timeout(BODY_TIME_MAX, self.collect(body, batch))
            .await
            .unwrap_or_else(|_| {
                let detail = format!("the body was not there after {BODY_TIME_MAX:?}");
                let close = HeaderValue::from_static("close");
                Err(Code::BODY_SLOW.problem(detail).header(CONNECTION, close))
            })
    }

    async fn collect(&self, mut body: Body, batch: bool) -> Result<Bytes, Problem> {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Code::MALFORMED.problem("the body broke off"))?;
            if let Ok(data) = frame.into_data() {
                if whole.len() + data.len() > self.body {
                    return Err(self.too_large(batch));
                }
                whole.extend_from_slice(&data);
            }
        }
        Ok(whole.freeze())
    }

    fn too_large(&self, batch: bool) -> Problem {
        let limit = self.body;
        let detail = format!("the body is larger than {limit} bytes (gateway.limits.body)");
        if batch {
            return Code::BATCH_TOO_LARGE
                .problem(detail)
                .hint("send the events in several batches");
        }
        event_too_large(detail)
    }

    /// Checks the size of one event.
    pub(crate) fn check_event(&self, bytes: usize) -> Result<(), Problem> {
        if bytes <= self.event {
            return Ok(());
        }
        let limit = self.event;
        Err(event_too_large(format!(
            "the event has {bytes} bytes, the limit is {limit} (gateway.limits.event)"
        )))
    }
}

fn event_too_large(detail: String) -> Problem {
    Code::EVENT_TOO_LARGE
        .problem(detail)
        .hint("store large data elsewhere and send its address in the attribute 'dataref'")
}

/// Checks that JSON does not nest deeper than [`JSON_DEPTH_MAX`], without reading it.
pub(crate) fn check_depth(json: &[u8]) -> Result<(), Problem> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > JSON_DEPTH_MAX {
            let detail = format!("the JSON nests deeper than {JSON_DEPTH_MAX}");
            return Err(Code::MALFORMED.problem(detail));
        }
    }
    Ok(())
}
