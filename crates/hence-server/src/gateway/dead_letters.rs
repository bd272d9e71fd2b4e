//! `/v1/deadletters…`: what could not be handled, by itself and by cause; sent again as it is or
//! edited, and given up.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hence::core::{DeadLetter, DeadLetterQuery};
use hyper::header::{HeaderValue, LOCATION};
use hyper::{StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::auth::{MayRead, MayRedrive};
use super::problem::{Code, Problem};
use super::query::{Query, malformed};
use super::reply::{self, Cursor, Dead, Group, WholeLetter, bad_cursor, json};
use super::suggest::did_you_mean;
use super::{Gateway, cloudevents, segment};

/// The parameters that filter dead letters.
const FILTER: [&str; 7] = [
    "subscription",
    "type",
    "key",
    "fingerprint",
    "status",
    "since",
    "until",
];

/// `GET /v1/deadletters`.
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::of(&uri, &[&FILTER, &["limit", "cursor"]])?;
    let limit = reply::limit(&query)?;
    let mut wanted = gateway.wanted(&query)?;
    let place = |cursor: Cursor| cursor.0.parse().map_err(|_| bad_cursor(&cursor.0));
    wanted.after = Cursor::of(&query)?.map(place).transpose()?;
    wanted.limit = limit;
    let letters = gateway.bus.dead_letters(&wanted).await?;
    // A page may be short because its texts are long, so only the engine knows whether it is the last.
    wanted.after = letters.last().map(DeadLetter::place);
    wanted.limit = 1;
    let more = wanted.after.is_some() && !gateway.bus.dead_letters(&wanted).await?.is_empty();
    let next = wanted.after.filter(|_| more);
    let next = next.map(|place| Cursor(place.to_string()));
    let items: Vec<_> = letters.iter().map(Dead::of).collect();
    Ok(reply::page(uri.path(), &query, items, next.as_ref()))
}

/// Dead letters by their causes.
#[derive(Serialize)]
struct Groups<'a> {
    items: Vec<Group<'a>>,
    /// Dead letters of further causes.
    rest: u64,
}

/// `GET /v1/deadletters/groups`.
pub(crate) async fn groups(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::of(&uri, &[&FILTER])?;
    let wanted = gateway.wanted(&query)?;
    let (groups, rest) = gateway.bus.dead_letter_groups(wanted).await?;
    let items = groups.iter().map(Group::of).collect();
    Ok(json(StatusCode::OK, &Groups { items, rest }))
}

/// `GET /v1/deadletters/{id}`.
pub(crate) async fn one(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[])?;
    let (letter, message) = gateway.bus.dead_letter(&segment(path)?).await?;
    Ok(json(StatusCode::OK, &WholeLetter::of(&letter, &message)))
}

/// A dead letter that was sent again.
#[derive(Serialize)]
struct Redriven<'a> {
    id: &'a str,
    subscription: &'a str,
    position: String,
    status: &'static str,
    /// The id of the edited copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    copy: Option<&'a str>,
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
    let edited = edited(&gateway.limits.read(body, false).await?)?;
    let (letter, _) = gateway.bus.dead_letter(&id).await?;
    let copy = match edited {
        None => {
            gateway.bus.redrive(vec![id.clone()]).await?;
            None
        }
        Some(data) => Some(gateway.bus.redrive_edited(&id, data).await?),
    };
    let copy = copy.as_ref().map(|copy| copy.attributes().id());
    tracing::info!(id, copy, by = &*caller.name, "redriven");
    let position = letter.position.to_string();
    let location = format!("/v1/events/{position}/deliveries");
    let redriven = Redriven {
        id: &id,
        subscription: &letter.subscription,
        position,
        status: "waiting",
        copy,
    };
    let mut response = json(StatusCode::ACCEPTED, &redriven);
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// `DELETE /v1/deadletters/{id}?reason=`.
pub(crate) async fn discard(
    State(gateway): State<Arc<Gateway>>,
    MayRedrive(caller): MayRedrive,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::of(&uri, &[&["reason"]])?;
    let id = segment(path)?;
    let Some(reason) = query.text("reason").filter(|text| !text.trim().is_empty()) else {
        return Err(Code::MALFORMED
            .problem("'reason' is missing")
            .hint("say in a few words why nobody needs it: ?reason=…"));
    };
    gateway
        .bus
        .discard(std::slice::from_ref(&id), reason)
        .await?;
    tracing::info!(id, reason, by = &*caller.name, "discarded");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What a redrive may say.
#[derive(Default, Deserialize)]
struct Edit<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The data of an edited copy; an empty object is as good as nothing.
fn edited(body: &Bytes) -> Result<Option<Bytes>, Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    cloudevents::check_json(body)?;
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body)
        .map_err(|_| Code::MALFORMED.problem("the body is not a JSON object"))?;
    if let Some(name) = members.keys().find(|name| *name != "data") {
        let detail = format!("'{name}' is not a member of this request; it takes data");
        let problem = Code::UNKNOWN.problem(&detail);
        return Err(problem.at(format!("/{name}"), detail));
    }
    let edit: Edit<'_> = serde_json::from_slice(body)
        .map_err(|error| Code::MALFORMED.problem(format!("the body: {error}")))?;
    Ok(edit
        .data
        .map(|data| Bytes::copy_from_slice(data.get().as_bytes())))
}

impl Gateway {
    /// The dead letters that the parameters of [`FILTER`] ask for.
    fn wanted(&self, query: &Query) -> Result<DeadLetterQuery, Problem> {
        let text = |name| query.text(name).map(str::to_owned);
        let subscription = text("subscription");
        if let Some(name) = &subscription {
            self.check_subscription(name)?;
        }
        let print = |text: String| {
            let print = text.parse();
            print.map_err(|_| malformed("fingerprint", &text, "is not 16 hexadecimal digits"))
        };
        let status = query.one_of("status", &["dead", "waiting"])?;
        Ok(DeadLetterQuery {
            redriven: status.map(|status| status == "waiting"),
            subscription,
            event_type: text("type"),
            key: text("key"),
            fingerprint: text("fingerprint").map(print).transpose()?,
            since: query.time("since")?,
            until: query.time("until")?,
            ..DeadLetterQuery::default()
        })
    }

    pub(super) fn check_subscription(&self, name: &str) -> Result<(), Problem> {
        let reports = self.bus.engine().subscriptions();
        let known = || reports.iter().map(|report| report.name.as_str());
        if known().any(|other| other == name) {
            return Ok(());
        }
        let near = did_you_mean(name, known());
        Err(Code::NOT_FOUND.problem(format!("there is no subscription '{name}'{near}")))
    }
}
