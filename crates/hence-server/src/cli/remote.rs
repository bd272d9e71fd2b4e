//! `Remote`: the server as the command line reaches it, over plain HTTP.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::address;
use super::error::{Error, Fault, Result};
use super::event;
use super::global::Global;
use super::moment;
use super::output::Output;
use super::problem;
use super::query::Query;
use super::token;

/// The largest answer that is read; a list comes in pages.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long a connection may lie idle before it is not used again; servers close theirs after 60 s.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// The header with which the server says that something was done and is probably not what is meant.
const WARNING: &str = "hence-warning";
/// The media type of most answers, and of every error.
const JSON: &str = "application/json, application/problem+json, text/*";

/// The server as the command line reaches it.
pub(crate) struct Remote {
    base: String,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    token: Option<HeaderValue>,
    timeout: Duration,
}

/// A request, before it is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Query,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// What the answer may take beyond `--timeout`.
    pub(crate) patience: Duration,
}

impl Ask {
    /// A request to read.
    pub(crate) fn get(path: impl Into<String>, query: Query) -> Self {
        Self {
            path: path.into(),
            query,
            ..Self::default()
        }
    }

    /// A request to change something.
    pub(crate) fn post(path: impl Into<String>, query: Query) -> Self {
        Self {
            method: Method::POST,
            ..Self::get(path, query)
        }
    }

    /// A request to take something away.
    pub(crate) fn delete(path: impl Into<String>, query: Query) -> Self {
        Self {
            method: Method::DELETE,
            ..Self::get(path, query)
        }
    }
}

/// An answer that is no error.
pub(crate) struct Answer {
    pub(crate) body: Bytes,
}

impl Answer {
    /// Reads the JSON of the answer.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        event::read(&self.body)
    }
}

impl Remote {
    /// The server that the flags name. Nothing is sent yet.
    pub(crate) fn open(global: &Global) -> Result<Self> {
        let token = match &global.token_file {
            Some(path) => Some(token::read(path)?),
            None => None,
        };
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(global.timeout));
        connector.set_nodelay(true);
        Ok(Self {
            base: address::read(&global.server)?,
            http: legacy::Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_MAX)
                .build(connector),
            token,
            timeout: global.timeout,
        })
    }

    /// The URL of the server.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Reads the JSON at a path.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        out: &mut Output,
        path: &str,
        query: &Query,
    ) -> Result<T> {
        self.ask(out, &Ask::get(path, query.clone())).await?.read()
    }

    /// Sends a request and reads the whole answer within the time-out.
    pub(crate) async fn ask(&self, out: &mut Output, ask: &Ask) -> Result<Answer> {
        let begin = Instant::now();
        let patience = self.timeout.saturating_add(ask.patience);
        let whole = async {
            let response = self.begin(ask, JSON).await?;
            let status = response.status();
            let warning = response.headers().get(WARNING).cloned();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
            let body = body.collect().await.map_err(|error| {
                self.unreachable("the answer of the server broke off")
                    .cause(error)
            })?;
            Ok::<_, Error>((status, warning, body.to_bytes()))
        };
        let (status, warning, body) = timeout(patience, whole)
            .await
            .map_err(|_| self.silent(patience))??;
        out.detail(&format!(
            "{} {}{}{} → {} in {}",
            ask.method,
            self.base,
            ask.path,
            ask.query.as_str(),
            status.as_u16(),
            moment::span(begin.elapsed())
        ));
        if let Some(warning) = warning.as_ref().and_then(|text| text.to_str().ok()) {
            // The server names the parameter of the API; here it is a flag.
            out.warn(&warning.replace("?key=", "--key"));
        }
        if status.is_success() {
            Ok(Answer { body })
        } else {
            Err(problem::error(status, &body))
        }
    }

    /// Opens a stream: only the headers must come within the time-out.
    pub(crate) async fn stream(
        &self,
        out: &mut Output,
        ask: &Ask,
        accept: &str,
    ) -> Result<Incoming> {
        let response = timeout(self.timeout, self.begin(ask, accept))
            .await
            .map_err(|_| self.silent(self.timeout))??;
        let status = response.status();
        let (path, query) = (&ask.path, ask.query.as_str());
        out.detail(&format!(
            "GET {}{path}{query} → {}",
            self.base,
            status.as_u16()
        ));
        if status.is_success() {
            return Ok(response.into_body());
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
        let body = timeout(self.timeout, body).await;
        let body = body
            .ok()
            .and_then(Result::ok)
            .map(http_body_util::Collected::to_bytes);
        Err(problem::error(status, &body.unwrap_or_default()))
    }

    async fn begin(&self, ask: &Ask, accept: &str) -> Result<Response<Incoming>> {
        let uri = format!("{}{}{}", self.base, ask.path, ask.query.as_str());
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(uri)
            .header(ACCEPT, accept)
            .header(USER_AGENT, concat!("hence/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &ask.headers {
            let (name, value) = (header_name(name)?, header_value(name, value)?);
            request = request.header(name, value);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request.body(Full::new(ask.body.clone())).map_err(|error| {
            let sentence = format!("the request to {} cannot be formed", self.base);
            Fault::SERVER_URL.error(sentence).cause(error)
        })?;
        self.http.request(request).await.map_err(|error| {
            let sentence = if error.is_connect() {
                "cannot be reached"
            } else {
                "closed the connection without an answer"
            };
            self.unreachable(&format!("the server at {} {sentence}", self.base))
                .cause(innermost(&error))
        })
    }

    /// An error of the connection.
    pub(crate) fn unreachable(&self, sentence: &str) -> Error {
        Fault::UNREACHABLE.error(sentence)
    }

    /// An error of a server that takes too long.
    pub(crate) fn silent(&self, patience: Duration) -> Error {
        let (base, patience) = (&self.base, moment::span(patience));
        Fault::SILENT.error(format!(
            "the server at {base} did not answer within {patience}"
        ))
    }
}

fn header_name(name: &str) -> Result<HeaderName> {
    let wrong = |_| Fault::INPUT.error(format!("'{name}' cannot be sent as a header"));
    HeaderName::from_bytes(name.as_bytes()).map_err(wrong)
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue> {
    let wrong = |_| Fault::INPUT.error(format!("the value of '{name}' cannot be sent"));
    HeaderValue::from_str(value).map_err(wrong)
}

/// The cause of all causes: "connection refused" in place of "client error (Connect)".
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
