//! `/v1/subscriptions…`: how each subscription stands; to pause it, and to let it go on.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use hence::pause;
use hyper::{StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::auth::{MayOperate, MayRead};
use super::problem::{Code, Problem};
use super::query::Query;
use super::reply::{self, json};
use super::topology::config;
use super::{Gateway, cloudevents, segment};

/// The longest reason for a pause.
const REASON_BYTES_MAX: usize = 1_000;

/// Who has paused a subscription, as the API writes it.
#[derive(Serialize)]
struct Paused {
    since: String,
    by: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
}

impl From<pause::Paused> for Paused {
    fn from(paused: pause::Paused) -> Self {
        Self {
            since: paused.since.to_string(),
            by: paused.by,
            reason: paused.reason,
        }
    }
}

/// A subscription as the API writes it.
#[derive(Serialize)]
struct Subscription<'a> {
    id: &'a str,
    types: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Value>,
    /// What of it is not as it would be if nobody had asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Value>,
    /// Whether code of this process handles its events.
    handler: bool,
    status: &'static str,
    /// Why it stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    /// Who lets it wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Paused>,
    settled: String,
    lag: u64,
    inflight: u64,
    dead: u64,
}

/// `GET /v1/subscriptions`.
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[])?;
    let reports = gateway.bus.engine().subscriptions();
    let nodes = &gateway.topology.subscriptions;
    let items = reports.iter().map(|report| {
        let node = nodes.iter().find(|node| node.name == report.name);
        let metrics = gateway.metrics.get(&report.name);
        let trouble = metrics.and_then(|metrics| metrics.trouble());
        let paused = gateway.pauser.paused(&report.name);
        Subscription {
            id: &report.name,
            types: &report.types,
            config: node.map(|node| {
                let options = node.options.iter();
                config(options.map(|(name, value)| (name.as_str(), value.as_str())))
            }),
            changed: node.map(|node| config(node.changes())),
            handler: node.is_some(),
            status: match (&trouble, &paused) {
                (Some(_), _) => "failing",
                (None, _) if !report.attached => "detached",
                (None, Some(_)) => "paused",
                (None, None) => "active",
            },
            trouble,
            paused: paused.map(Paused::from),
            settled: report.settled.to_string(),
            lag: report.lag,
            inflight: report.in_flight,
            dead: report.dead,
        }
    });
    Ok(reply::list(items.collect()))
}

impl Gateway {
    /// Whether this process has the handler of a subscription: nobody else can call it.
    pub(super) fn check_handler(&self, name: &str) -> Result<(), Problem> {
        self.check_subscription(name)?;
        let mut own = self.topology.subscriptions.iter();
        if own.any(|node| node.name == name) {
            return Ok(());
        }
        let detail = format!("this process has no handler of '{name}', and so cannot call it");
        let hint = "do it in the program that has the handler, with `Running::replayer` or \
                    `Running::pauser`: docs/guides/replay.md";
        Err(Code::NOT_FOUND.problem(detail).hint(hint))
    }
}

/// What a pause may say.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Why {
    reason: String,
}

/// What a subscription is now.
#[derive(Serialize)]
struct Turned<'a> {
    id: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Paused>,
    /// What it was before it went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<Paused>,
}

/// `POST /v1/subscriptions/{id}/pause`: lets its events wait, until somebody lets it go on.
pub(crate) async fn pause(
    State(gateway): State<Arc<Gateway>>,
    MayOperate(caller): MayOperate,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    Query::of(&parts.uri, &[])?;
    let id = segment(path)?;
    let body = gateway.limits.read(body, false).await?;
    let reason = reason(&body)?;
    gateway.check_handler(&id)?;
    let paused = gateway.pauser.pause(&id, &caller.name, &reason).await?;
    let turned = Turned {
        id: &id,
        status: "paused",
        paused: Some(paused.into()),
        was: None,
    };
    Ok(json(StatusCode::OK, &turned))
}

/// `POST /v1/subscriptions/{id}/resume`: lets it go on.
pub(crate) async fn resume(
    State(gateway): State<Arc<Gateway>>,
    MayOperate(caller): MayOperate,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[])?;
    let id = segment(path)?;
    gateway.check_handler(&id)?;
    let was = gateway.pauser.resume(&id, &caller.name).await?;
    let turned = Turned {
        id: &id,
        status: "active",
        paused: None,
        was: was.map(Paused::from),
    };
    Ok(json(StatusCode::OK, &turned))
}

/// Why it is paused, which may be left out.
fn reason(body: &[u8]) -> Result<String, Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(String::new());
    }
    cloudevents::check_json(body)?;
    let members: serde_json::Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| Code::MALFORMED.problem("the body is not a JSON object"))?;
    if let Some(name) = members.keys().find(|name| *name != "reason") {
        let detail = format!("'{name}' is not a member of this request; it takes reason");
        let problem = Code::UNKNOWN.problem(&detail);
        return Err(problem.at(format!("/{name}"), detail));
    }
    let why: Why = serde_json::from_value(members.into())
        .map_err(|error| Code::MALFORMED.problem(format!("the body: {error}")))?;
    if why.reason.len() > REASON_BYTES_MAX {
        let detail = format!("the reason has more than {REASON_BYTES_MAX} bytes");
        return Err(Code::MALFORMED.problem(detail));
    }
    Ok(why.reason)
}
