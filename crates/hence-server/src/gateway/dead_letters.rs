//! `/v1/deadletters…`: what could not be handled, and sending it again.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use hence::core::DeadLetter;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{StatusCode, Uri};
use serde::Serialize;

use super::auth::{MayRead, MayRedrive};
use super::problem::{Code, Problem};
use super::query::Query;
use super::reply::{self, Cursor, Dead, bad_cursor, json};
use super::suggest::did_you_mean;
use super::{Gateway, cloudevents, segment};

/// `GET /v1/deadletters`.
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::of(&uri, &[&["subscription", "limit", "cursor"]])?;
    let limit = reply::limit(&query)?;
    let subscription = query.text("subscription");
    if let Some(name) = subscription {
        gateway.check_subscription(name)?;
    }
    let all = gateway.bus.engine().dead_letters(subscription).await?;
    let after = match Cursor::of(&query)? {
        None => 0,
        // The last one of the page before may be redriven by now, so its place counts too.
        Some(cursor) => {
            let (place, id) = cursor.0.split_once(':').unwrap_or_default();
            let place: usize = place.parse().map_err(|_| bad_cursor(&cursor.0))?;
            let found = all.iter().position(|letter| letter.id == id);
            found.map_or(place, |index| index + 1)
        }
    };
    let rest = all.get(after..).unwrap_or_default();
    let letters = rest.get(..limit).unwrap_or(rest);
    let next = letters
        .last()
        .filter(|_| rest.len() > limit)
        .map(|last| Cursor(format!("{}:{}", after + limit - 1, last.id)));
    let items: Vec<_> = letters.iter().map(Dead::of).collect();
    Ok(reply::page(uri.path(), &query, items, next.as_ref()))
}

/// `GET /v1/deadletters/{id}`.
pub(crate) async fn one(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[])?;
    let letter = gateway.dead_letter(&segment(path)?).await?;
    Ok(json(StatusCode::OK, &Dead::of(&letter)))
}

/// A dead letter that was sent again.
#[derive(Serialize)]
struct Redriven<'a> {
    id: &'a str,
    subscription: &'a str,
    position: String,
    status: &'static str,
}

/// `POST /v1/deadletters/{id}/redrive`.
pub(crate) async fn redrive(
    State(gateway): State<Arc<Gateway>>,
    MayRedrive(caller): MayRedrive,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    Query::of(&parts.uri, &[])?;
    let id = segment(path)?;
    let body = gateway.limits.read(body, false).await?;
    check_empty(&body)?;
    let letter = gateway.dead_letter(&id).await?;
    gateway.bus.redrive(vec![id.clone()]).await?;
    tracing::info!(id, by = &*caller.name, "redriven");
    let position = letter.position.to_string();
    let location = format!("/v1/events/{position}/deliveries");
    let redriven = Redriven {
        id: &id,
        subscription: &letter.subscription,
        position,
        status: "waiting",
    };
    let mut response = json(StatusCode::ACCEPTED, &redriven);
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// A redrive takes no members; an empty object is as good as nothing.
fn check_empty(body: &[u8]) -> Result<(), Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(());
    }
    cloudevents::check_json(body)?;
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body)
        .map_err(|_| Code::MALFORMED.problem("the body is not a JSON object"))?;
    members.keys().next().map_or(Ok(()), |name| {
        let detail = format!("'{name}' is not a member of this request; it takes none");
        Err(Code::UNKNOWN
            .problem(&detail)
            .at(format!("/{name}"), detail))
    })
}

impl Gateway {
    async fn dead_letter(&self, id: &str) -> Result<DeadLetter, Problem> {
        let none = || Code::NOT_FOUND.problem(format!("there is no dead letter '{id}'"));
        let (subscription, _) = id.rsplit_once('.').ok_or_else(none)?;
        let all = self.bus.engine().dead_letters(Some(subscription)).await?;
        all.into_iter()
            .find(|letter| letter.id == id)
            .ok_or_else(none)
    }

    fn check_subscription(&self, name: &str) -> Result<(), Problem> {
        let reports = self.bus.engine().subscriptions();
        let known = || reports.iter().map(|report| report.name.as_str());
        if known().any(|other| other == name) {
            return Ok(());
        }
        let near = did_you_mean(name, known());
        Err(Code::NOT_FOUND.problem(format!("there is no subscription '{name}'{near}")))
    }
}
