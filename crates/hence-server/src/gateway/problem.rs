//! `Problem`: every error of the gateway as RFC 9457 (`application/problem+json`).
//!
//! The codes stand in one table; each has a page in `docs/errors`, which is compiled in, so that a
//! code without a page does not build.

use axum::response::{IntoResponse, Response};
use hence::core::Kind;
use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::{Method, StatusCode};
use serde::Serialize;

/// Seconds after which a client that was told to come back should.
const RETRY_AFTER_SECONDS: u64 = 1;

/// A code of the gateway: `HN`, the HTTP status, and one digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    id: &'static str,
    status: StatusCode,
    title: &'static str,
    page: &'static str,
}

macro_rules! codes {
    ($($name:ident = $id:literal, $status:ident, $title:literal;)*) => {
        impl Code {
            $(pub(crate) const $name: Self = Self {
                id: $id,
                status: StatusCode::$status,
                title: $title,
                page: include_str!(concat!("../../../../docs/errors/", $id, ".md")),
            };)*

            /// Every code of the gateway, in the order of their numbers.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

codes! {
    NOT_A_CLOUDEVENT = "HN4001", BAD_REQUEST, "Not a CloudEvent";
    UNKNOWN = "HN4002", BAD_REQUEST, "Unknown parameter or member";
    MALFORMED = "HN4003", BAD_REQUEST, "Malformed JSON or value";
    TOKEN = "HN4011", UNAUTHORIZED, "No valid token";
    PERMISSION = "HN4031", FORBIDDEN, "Permission missing";
    HOST = "HN4032", FORBIDDEN, "Host not allowed";
    ORIGIN = "HN4033", FORBIDDEN, "Origin not allowed";
    NOT_FOUND = "HN4041", NOT_FOUND, "Not found";
    METHOD = "HN4051", METHOD_NOT_ALLOWED, "Method not allowed";
    NOT_ACCEPTABLE = "HN4061", NOT_ACCEPTABLE, "Not acceptable";
    BODY_SLOW = "HN4081", REQUEST_TIMEOUT, "Body too slow";
    KEY_RUNNING = "HN4091", CONFLICT, "Idempotency key in use";
    SEQUENCE_GAP = "HN4092", CONFLICT, "Gap in a sequence";
    NOT_NOW = "HN4096", CONFLICT, "Not possible in this state";
    NO_LONGER_KEPT = "HN4101", GONE, "Position no longer kept";
    EVENT_TOO_LARGE = "HN4131", PAYLOAD_TOO_LARGE, "Event too large";
    BATCH_TOO_LARGE = "HN4132", PAYLOAD_TOO_LARGE, "Batch too large";
    URL_TOO_LONG = "HN4141", URI_TOO_LONG, "URL too long";
    MEDIA_TYPE = "HN4151", UNSUPPORTED_MEDIA_TYPE, "Media type not supported";
    DURABILITY = "HN4221", UNPROCESSABLE_ENTITY, "Durability not available";
    OTHER_CONTENT = "HN4222", UNPROCESSABLE_ENTITY, "Same id, other content";
    KEY_REUSED = "HN4223", UNPROCESSABLE_ENTITY, "Idempotency key reused";
    DATA = "HN4224", UNPROCESSABLE_ENTITY, "Data does not fit its type";
    CONNECTIONS = "HN4292", TOO_MANY_REQUESTS, "Too many connections";
    HEADERS = "HN4311", REQUEST_HEADER_FIELDS_TOO_LARGE, "Headers too large";
    INTERNAL = "HN5001", INTERNAL_SERVER_ERROR, "Internal error";
    OVERLOADED = "HN5031", SERVICE_UNAVAILABLE, "Overloaded";
    DRAINING = "HN5032", SERVICE_UNAVAILABLE, "Draining";
    STORAGE_FAILED = "HN5034", SERVICE_UNAVAILABLE, "Storage failed";
    STORAGE_FULL = "HN5071", INSUFFICIENT_STORAGE, "Storage full";
    STATE_FULL = "HN5072", INSUFFICIENT_STORAGE, "State over its limit";
}

impl Code {
    /// The code as written.
    pub(crate) const fn as_str(self) -> &'static str {
        self.id
    }

    /// The HTTP status that it goes with.
    pub(crate) const fn status(self) -> StatusCode {
        self.status
    }

    /// Its page in Markdown: what, why, and the fix.
    pub(crate) const fn page(self) -> &'static str {
        self.page
    }

    /// A problem with this code and what happened in particular.
    pub(crate) fn problem(self, detail: impl Into<String>) -> Problem {
        let parts = Parts {
            code: self,
            detail: detail.into(),
            hint: None,
            errors: Vec::new(),
            headers: Vec::new(),
        };
        let problem = Problem(Box::new(parts));
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                problem.header(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))
            }
            _ => problem,
        }
    }
}

/// Why a request was not done, in the words of RFC 9457.
#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    code: Code,
    detail: String,
    hint: Option<String>,
    errors: Vec<Place>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// One place in the input that is wrong.
#[derive(Clone, Debug, Serialize)]
struct Place {
    pointer: String,
    detail: String,
}

/// A problem as it is written.
#[derive(Serialize)]
struct Written<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Place],
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl Problem {
    /// What cures it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Names a place in the input, as a JSON pointer.
    pub(crate) fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (pointer.into(), detail.into());
        self.0.errors.push(Place { pointer, detail });
        self
    }

    /// Puts every place below a pointer, as those of one event in a batch.
    pub(crate) fn below(mut self, pointer: &str) -> Self {
        for place in &mut self.0.errors {
            place.pointer.insert_str(0, pointer);
        }
        if self.0.errors.is_empty() {
            let detail = self.0.detail.clone();
            return self.at(pointer, detail);
        }
        self
    }

    /// Adds what another problem says about other places.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.errors.extend(other.0.errors);
        self
    }

    /// The same with words before the detail.
    pub(crate) fn within(mut self, where_: &str) -> Self {
        self.0.detail.insert_str(0, where_);
        self
    }

    /// A header that goes with it.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The code.
    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    /// The problem as JSON, for the resource `instance` if it is the answer to a whole request.
    pub(crate) fn to_json(&self, instance: Option<&str>) -> String {
        let Parts {
            code,
            detail,
            hint,
            errors,
            ..
        } = &*self.0;
        let written = Written {
            // Relative on purpose: the server that answers serves the page.
            r#type: format!("/errors/{}", code.id),
            title: code.title,
            status: code.status.as_u16(),
            code: code.id,
            detail,
            instance,
            errors,
            hint: hint.as_deref(),
        };
        serde_json::to_string(&written).unwrap_or_default()
    }

    /// The whole response to a request for `path`.
    pub(crate) fn respond(self, method: &Method, path: &str) -> Response {
        let body = self.to_json(Some(path));
        let length = HeaderValue::from(body.len());
        let body = if method == Method::HEAD {
            String::new()
        } else {
            body
        };
        let mut response = (self.0.code.status, body).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, json);
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.0.headers);
        response
    }
}

/// A response that only carries the problem; the edge of the gateway writes it, because only it
/// knows the resource that was asked for.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.code.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<hence::Error> for Problem {
    fn from(error: hence::Error) -> Self {
        let detail = error.detail();
        match (error.code().as_str(), error.kind()) {
            ("HN0101" | "HN0102", _) => not_a_cloudevent(detail),
            ("HN0209", _) => Code::OTHER_CONTENT
                .problem(detail)
                .hint("an id names one fact for ever: send the new fact under a new id"),
            ("HN0223", _) => Code::SEQUENCE_GAP.problem(detail).hint(
                "send the request with the next number; who has lost count takes another name",
            ),
            ("HN0222", _) => Code::STATE_FULL
                .problem(detail)
                .hint("let handlers remove values and cancel timers that nobody needs"),
            ("HN0105", _) => Code::DATA.problem(detail),
            ("HN0216", _) => Code::NOT_NOW.problem(detail),
            ("HN0204", _) => Code::STORAGE_FAILED
                .problem("storage failed; nothing more is taken until the log is opened again")
                .hint("look at the log of the server, cure the disk, and start it again"),
            (_, Kind::TooLarge) => Code::EVENT_TOO_LARGE.problem(detail),
            (_, Kind::NotFound) => Code::NOT_FOUND.problem(detail),
            (_, Kind::Conflict) => Code::OTHER_CONTENT.problem(detail),
            ("HN0202", _) => Code::DURABILITY.problem(detail),
            ("HN0205", _) => Code::STORAGE_FULL
                .problem("storage is full")
                .hint("make room on the disk; readers and handlers go on meanwhile"),
            (_, Kind::Full) => Code::OVERLOADED.problem("the queue of the engine is full"),
            (_, Kind::Unavailable) => Code::DRAINING.problem("the server is going down"),
            _ => {
                // Inside stays inside: the log has the detail, the client has the code.
                tracing::error!(%error, "a request failed");
                Code::INTERNAL
                    .problem("something failed that should not; the log of the server has it")
            }
        }
    }
}

/// `HN4001`, pointing at the attribute that the detail quotes first.
pub(crate) fn not_a_cloudevent(detail: &str) -> Problem {
    let problem = Code::NOT_A_CLOUDEVENT
        .problem(detail)
        .hint("POST /v1/publish/{type} fills id, source and time for you");
    let attribute = detail
        .split_once("attribute '")
        .and_then(|(_, rest)| rest.split_once('\''))
        .map(|(name, _)| name.to_owned());
    match attribute {
        Some(name) => problem.at(format!("/{name}"), detail),
        None => problem,
    }
}
