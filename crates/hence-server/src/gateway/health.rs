//! `/livez`, `/readyz`, `/startupz`, `/healthz`, `GET /v1/status` and the pages of errors.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use hyper::{StatusCode, Uri};
use serde::Serialize;

use super::auth::{Anyone, Verb};
use super::limits::{
    BODY_TIME_MAX, HEADER_BYTES_MAX, HEADERS_MAX, JSON_DEPTH_MAX, PAGE_ITEMS_MAX, TAIL_BYTES_MAX,
    URL_BYTES_MAX,
};
use super::problem::{Code, Problem};
use super::query::Query;
use super::reply::{json, text};
use super::{Gateway, segment};

/// The media type of probes.
const PLAIN: &str = "text/plain; charset=utf-8";

/// `GET /livez`, `/healthz` and `/startupz`: the process answers. It begins to listen only after
/// everything has started, so this is also the answer of `/startupz`.
pub(crate) async fn live(uri: Uri) -> Result<Response, Problem> {
    Query::of(&uri, &[&["verbose"]])?;
    Ok(text(PLAIN, "ok\n".to_owned()))
}

/// `GET /readyz`: the engine takes commits, every subscription reads its events, and the server is
/// not going down.
pub(crate) async fn ready(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::of(&uri, &[&["verbose"]])?;
    let draining = gateway.drain.is_cancelled();
    let engine = gateway.bus.engine().health();
    let troubles = gateway.metrics.iter().filter_map(|(name, metrics)| {
        let trouble = metrics.trouble()?;
        Some(format!("{name} stands still: {trouble}"))
    });
    let troubles: Vec<_> = troubles.collect();
    let checks = [
        ("engine", engine.err().map(|error| error.to_string())),
        (
            "subscriptions",
            (!troubles.is_empty()).then(|| troubles.join("; ")),
        ),
        (
            "draining",
            draining.then(|| "the server is going down".to_owned()),
        ),
    ];
    let ready = checks.iter().all(|(_, trouble)| trouble.is_none());
    let line = |(name, trouble): &(&str, Option<String>)| match trouble {
        None => format!("[+] {name}: ok\n"),
        Some(trouble) => format!("[-] {name}: {trouble}\n"),
    };
    let last = if ready { "ok\n" } else { "not ready\n" };
    let body = match query.text("verbose") {
        Some(_) => checks.iter().map(line).chain([last.to_owned()]).collect(),
        None => last.to_owned(),
    };
    let response = text(PLAIN, body);
    Ok(if ready {
        response
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, response).into_response()
    })
}

/// How the server is set up, and what the caller may do.
#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    app: &'a str,
    mode: &'static str,
    engine: &'static str,
    durability: Levels,
    first: String,
    last: String,
    bytes: u64,
    limits: Numbers,
    caller: Permissions<'a>,
}

#[derive(Serialize)]
struct Levels {
    default: &'static str,
    available: Vec<&'static str>,
}

/// The limits, in bytes, items and seconds.
#[derive(Serialize)]
struct Numbers {
    event: usize,
    body: usize,
    batch: usize,
    connections: usize,
    wait: String,
    idempotency: usize,
    url: usize,
    headers: usize,
    headerbytes: usize,
    jsondepth: usize,
    bodytime: String,
    page: usize,
    tail: usize,
}

#[derive(Serialize)]
struct Permissions<'a> {
    name: &'a str,
    allow: Vec<&'static str>,
}

/// `GET /v1/status`.
pub(crate) async fn status(
    State(gateway): State<Arc<Gateway>>,
    Anyone(caller): Anyone,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[])?;
    let capability = gateway.bus.engine().capability();
    let report = gateway.bus.engine().health()?;
    let limits = &gateway.limits;
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        app: &gateway.topology.app,
        mode: if gateway.access.open { "dev" } else { "serve" },
        engine: capability.name,
        durability: Levels {
            default: gateway.bus.durability().as_str(),
            available: capability
                .durability
                .iter()
                .map(|level| level.as_str())
                .collect(),
        },
        first: report.first.to_string(),
        last: report.last.to_string(),
        bytes: report.bytes,
        limits: Numbers {
            event: limits.event,
            body: limits.body,
            batch: limits.batch,
            connections: limits.connections,
            wait: format!("{}s", limits.wait.as_secs_f64()),
            idempotency: limits.idempotency,
            url: URL_BYTES_MAX,
            headers: HEADERS_MAX,
            headerbytes: HEADER_BYTES_MAX,
            jsondepth: JSON_DEPTH_MAX,
            bodytime: format!("{}s", BODY_TIME_MAX.as_secs()),
            page: PAGE_ITEMS_MAX,
            tail: TAIL_BYTES_MAX,
        },
        caller: Permissions {
            name: &caller.name,
            allow: caller.allow.iter().copied().map(Verb::as_str).collect(),
        },
    };
    Ok(json(StatusCode::OK, &status))
}

/// `GET /errors/{code}`: the page of a code; the `type` of every problem leads here.
pub(crate) async fn page(path: Result<Path<String>, PathRejection>) -> Result<Response, Problem> {
    let wanted = segment(path)?;
    let wanted = wanted.trim_end_matches(".md");
    let code = Code::ALL.iter().find(|code| code.as_str() == wanted);
    let none = || Code::NOT_FOUND.problem(format!("the gateway has no code '{wanted}'"));
    let code = code.ok_or_else(none)?;
    Ok(text("text/markdown; charset=utf-8", code.page().to_owned()))
}
