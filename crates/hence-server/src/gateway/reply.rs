//! The shapes of answers: JSON objects of events, deliveries and lists.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hence::core::codec::json::Structured;
use hence::core::engine::{AttemptReport, DeliveryReport, DeliveryState};
use hence::core::{DeadLetter, Entry, Message};
use hence::dead_letter::DeadLetterGroup;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LINK};
use serde::{Serialize, Serializer};

use super::limits::{PAGE_ITEMS, PAGE_ITEMS_MAX};
use super::problem::{Code, Problem};
use super::query::{Query, malformed};

/// The topic of every event; further ones come with their configuration.
pub(crate) const TOPIC: &str = "events";

/// A response of JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let Ok(text) = serde_json::to_vec(body) else {
        return Code::INTERNAL
            .problem("the answer cannot be written")
            .into_response();
    };
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, text).into_response()
}

/// A response of text.
pub(crate) fn text(media_type: &'static str, body: String) -> Response {
    let headers = [(CONTENT_TYPE, media_type), (CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

/// An event with its place.
#[derive(Serialize)]
pub(crate) struct Item<'a> {
    position: String,
    topic: &'static str,
    appended: String,
    event: Structured<'a>,
}

impl<'a> Item<'a> {
    pub(crate) fn of(entry: &'a Entry) -> Self {
        Self {
            position: entry.position.to_string(),
            topic: TOPIC,
            appended: entry.appended.to_string(),
            event: Structured(&entry.message, &[]),
        }
    }
}

/// What became of an event in one subscription.
#[derive(Serialize)]
pub(crate) struct Delivery<'a> {
    subscription: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    attempts: Vec<Attempt<'a>>,
}

/// One attempt that has ended.
#[derive(Serialize)]
pub(crate) struct Attempt<'a> {
    attempt: u32,
    outcome: &'static str,
    ended: String,
    #[serde(serialize_with = "seconds")]
    ran: Duration,
    #[serde(skip_serializing_if = "str::is_empty")]
    error: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    emitted: Vec<String>,
}

impl<'a> Delivery<'a> {
    pub(crate) fn of(report: &'a DeliveryReport) -> Self {
        let due = match report.state {
            DeliveryState::Retrying(due) => Some(due.to_string()),
            _ => None,
        };
        Self {
            subscription: &report.subscription,
            state: report.state.as_str(),
            due,
            attempts: report.attempts.iter().map(Attempt::of).collect(),
        }
    }
}

impl<'a> Attempt<'a> {
    pub(crate) fn of(report: &'a AttemptReport) -> Self {
        Self {
            attempt: report.attempt,
            outcome: report.outcome,
            ended: report.ended.to_string(),
            ran: report.ran,
            error: &report.error,
            emitted: report.emitted.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A dead letter, without the data of its event.
#[derive(Serialize)]
pub(crate) struct Dead<'a> {
    id: &'a str,
    subscription: &'a str,
    position: String,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    /// `dead`, or `waiting` once it was sent again.
    status: &'static str,
    reason: &'static str,
    error: &'a str,
    fingerprint: String,
    attempts: u32,
    since: String,
    hold: bool,
    edited: bool,
}

impl<'a> Dead<'a> {
    pub(crate) fn of(letter: &'a DeadLetter) -> Self {
        Self {
            id: &letter.id,
            subscription: &letter.subscription,
            position: letter.position.to_string(),
            r#type: &letter.event_type,
            key: letter.key.as_deref(),
            status: if letter.redriven { "waiting" } else { "dead" },
            reason: letter.reason.as_str(),
            error: &letter.error,
            fingerprint: letter.fingerprint().to_string(),
            attempts: letter.attempts,
            since: letter.since.to_string(),
            hold: letter.hold,
            edited: letter.edited,
        }
    }
}

/// A dead letter with its event.
#[derive(Serialize)]
pub(crate) struct WholeLetter<'a> {
    #[serde(flatten)]
    letter: Dead<'a>,
    event: Structured<'a>,
}

impl<'a> WholeLetter<'a> {
    pub(crate) fn of(letter: &'a DeadLetter, message: &'a Message) -> Self {
        Self {
            letter: Dead::of(letter),
            event: Structured(message, &[]),
        }
    }
}

/// Dead letters of one cause.
#[derive(Serialize)]
pub(crate) struct Group<'a> {
    subscription: &'a str,
    fingerprint: String,
    reason: &'static str,
    error: &'a str,
    count: u64,
    first: String,
    last: String,
    sample: &'a str,
}

impl<'a> Group<'a> {
    pub(crate) fn of(group: &'a DeadLetterGroup) -> Self {
        Self {
            subscription: &group.subscription,
            fingerprint: group.fingerprint.to_string(),
            reason: group.reason.as_str(),
            error: &group.cause,
            count: group.count,
            first: group.first.to_string(),
            last: group.last.to_string(),
            sample: &group.sample,
        }
    }
}

/// A duration as the API writes it: `0.012s`.
fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}s", duration.as_secs_f64()))
}

/// A page of a list.
#[derive(Serialize)]
struct Page<T> {
    items: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A list without pages.
pub(crate) fn list<T: Serialize>(items: Vec<T>) -> Response {
    json(StatusCode::OK, &Page { items, next: None })
}

/// A page of a list, with the link to the next one when there is more.
pub(crate) fn page<T: Serialize>(
    path: &str,
    query: &Query,
    items: Vec<T>,
    next: Option<&Cursor>,
) -> Response {
    let next = next.map(Cursor::to_text);
    let link = next.as_ref().and_then(|cursor| {
        let link = format!("<{path}?{}>; rel=\"next\"", query.with("cursor", cursor));
        HeaderValue::try_from(link).ok()
    });
    let mut response = json(StatusCode::OK, &Page { items, next });
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    response
}

/// How many items a page has.
pub(crate) fn limit(query: &Query) -> Result<usize, Problem> {
    let limit = query.parsed("limit", "a number")?.unwrap_or(PAGE_ITEMS);
    if (1..=PAGE_ITEMS_MAX).contains(&limit) {
        return Ok(limit);
    }
    let reason = format!("is not between 1 and {PAGE_ITEMS_MAX}");
    Err(malformed("limit", &limit.to_string(), &reason))
}

/// Where the next page of a list begins; opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor(pub(crate) String);

impl Cursor {
    fn to_text(&self) -> String {
        BASE64.encode(&self.0)
    }

    /// The cursor that a query carries.
    pub(crate) fn of(query: &Query) -> Result<Option<Self>, Problem> {
        let Some(text) = query.text("cursor") else {
            return Ok(None);
        };
        let bytes = BASE64.decode(text).ok();
        let inner = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        inner
            .map(|inner| Some(Self(inner)))
            .ok_or_else(|| bad_cursor(text))
    }
}

/// `HN4003` for a cursor that this server did not write.
pub(crate) fn bad_cursor(text: &str) -> Problem {
    malformed("cursor", text, "is not a cursor that this list gave")
}
