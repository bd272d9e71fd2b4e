//! The answer to a publish: the status rule, receipts, and what handlers made of the events.

use std::time::Duration;

use axum::response::Response;
use futures_util::future::join_all;
use hence::core::engine::{AttemptReport, DeliveryState};
use hence::core::{Code, Position, Timestamp};
use hence::{Durability, Receipt};
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue, LOCATION};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Gateway;
use super::idempotency::Stored;
use super::problem::Problem;
use super::publish::Ask;
use super::reply::{Item, TOPIC, json};

/// A receipt as the API writes it.
#[derive(Serialize)]
struct Written<'a> {
    id: &'a str,
    source: &'a str,
    topic: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    durability: &'static str,
    duplicate: bool,
}

impl<'a> Written<'a> {
    fn of(receipt: &'a Receipt) -> Self {
        Self {
            id: receipt.id(),
            source: receipt.source(),
            topic: TOPIC,
            position: receipt.position.map(|position| position.to_string()),
            durability: receipt.durability.as_str(),
            duplicate: receipt.duplicate,
        }
    }
}

/// What a batch came to.
#[derive(Serialize)]
struct Receipts<'a> {
    receipts: Vec<Written<'a>>,
}

/// What one event of a batch came to, when a part of it was enough.
#[derive(Serialize)]
struct Part<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Written<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Box<RawValue>>,
}

/// A list of parts, or of waits.
#[derive(Serialize)]
struct Items<T> {
    items: Vec<T>,
}

/// A receipt, and what the subscriptions made of the event.
#[derive(Serialize)]
struct Waited<'a> {
    receipt: Written<'a>,
    results: Vec<Settled>,
}

/// What one subscription made of an event.
#[derive(Serialize)]
struct Settled {
    subscription: String,
    outcome: &'static str,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What the handler published; absent for a caller that may not read events.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<Box<RawValue>>>,
}

/// The status of one receipt: stored now, stored before, or only accepted.
fn status(receipt: &Receipt) -> StatusCode {
    match receipt {
        Receipt {
            duplicate: true, ..
        } => StatusCode::OK,
        Receipt {
            durability: Durability::Accepted,
            ..
        } => StatusCode::ACCEPTED,
        _ => StatusCode::CREATED,
    }
}

impl Gateway {
    /// The answer by the status rule: 201 stored, 202 not finished, 200 read the body.
    pub(super) async fn answer(
        &self,
        ask: &Ask,
        batch: bool,
        stored: &[Stored],
    ) -> Result<Response, Problem> {
        if ask.partial {
            let items = stored.iter().map(part).collect();
            return Ok(json(StatusCode::OK, &Items { items }));
        }
        let mut receipts = Vec::with_capacity(stored.len());
        for one in stored {
            receipts.push(one.as_ref().map_err(Clone::clone)?);
        }
        if let Some(wait) = ask.wait
            && !receipts.is_empty()
            && !self.is_later(&receipts).await
        {
            return self.wait(wait, ask.reads, batch, &receipts).await;
        }
        let statuses: Vec<_> = receipts.iter().copied().map(status).collect();
        let whole = if statuses.iter().all(|status| *status == StatusCode::OK) {
            StatusCode::OK
        } else if statuses.contains(&StatusCode::ACCEPTED) {
            StatusCode::ACCEPTED
        } else {
            StatusCode::CREATED
        };
        let written: Vec<_> = receipts.iter().copied().map(Written::of).collect();
        let mut response = match written.as_slice() {
            [one] if !batch => json(whole, one),
            _ => json(whole, &Receipts { receipts: written }),
        };
        locate(&mut response, &receipts, "");
        Ok(response)
    }

    /// Whether an event is not delivered before a later time, so that there is nothing to wait for.
    async fn is_later(&self, receipts: &[&Receipt]) -> bool {
        let now = Timestamp::steady();
        for position in receipts.iter().filter_map(|receipt| receipt.position) {
            if let Ok(entry) = self.bus.engine().get(position).await
                && entry
                    .message
                    .attributes()
                    .deliver_at()
                    .is_some_and(|due| due > now)
            {
                return true;
            }
        }
        false
    }

    /// Waits until every subscription has settled the events: 200, or 202 when time runs out.
    async fn wait(
        &self,
        wait: Duration,
        reads: bool,
        batch: bool,
        receipts: &[&Receipt],
    ) -> Result<Response, Problem> {
        let engine = self.bus.engine();
        let positions = receipts.iter().filter_map(|receipt| receipt.position);
        let all = join_all(positions.map(|position| engine.settled(position)));
        let finished = tokio::select! {
            results = all => results.into_iter().all(|result| result.is_ok()),
            () = tokio::time::sleep(wait) => false,
            () = self.drain.cancelled() => false,
        };
        let mut items = Vec::with_capacity(receipts.len());
        let mut pending = !finished;
        for receipt in receipts {
            let results = match receipt.position {
                Some(position) => self.results(position, reads).await?,
                None => Vec::new(),
            };
            // A repetition that is not known any more is over: nobody can wait for it.
            pending |= receipt.position.is_none() && !receipt.duplicate;
            pending |= results.iter().any(|result| result.outcome == "pending");
            let receipt = Written::of(receipt);
            items.push(Waited { receipt, results });
        }
        let status = if pending {
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        };
        let mut response = match items.as_slice() {
            [one] if !batch => json(status, one),
            _ => json(status, &Items { items }),
        };
        if pending {
            locate(&mut response, receipts, "/deliveries");
        }
        let applied = HeaderValue::try_from(format!("wait={}", wait.as_secs()));
        if let Ok(applied) = applied {
            let name = HeaderName::from_static("preference-applied");
            response.headers_mut().insert(name, applied);
        }
        Ok(response)
    }

    /// What each subscription made of an event; nothing once the engine has forgotten the event,
    /// which was stored all the same. What a handler says and publishes is for those who may read.
    async fn results(&self, position: Position, reads: bool) -> Result<Vec<Settled>, Problem> {
        let engine = self.bus.engine();
        let mut results = Vec::new();
        let reports = match engine.report(position).await {
            Err(error) if error.code() == Code::NOT_FOUND => Vec::new(),
            reports => reports?,
        };
        for report in reports {
            let outcome = match report.state {
                DeliveryState::Done => "done",
                DeliveryState::Dead => "rejected",
                _ => "pending",
            };
            let last = report.attempts.last();
            let error = last.filter(|_| reads).map(|attempt| attempt.error.clone());
            let events = match reads {
                true => Some(self.emitted(&report.attempts).await),
                false => None,
            };
            results.push(Settled {
                subscription: report.subscription,
                outcome,
                attempts: last.map_or(0, |attempt| attempt.attempt),
                error: error.filter(|error| !error.is_empty()),
                events,
            });
        }
        Ok(results)
    }

    /// What a handler published in its attempts, as far as it is still kept.
    async fn emitted(&self, attempts: &[AttemptReport]) -> Vec<Box<RawValue>> {
        let mut events = Vec::new();
        for emitted in attempts.iter().flat_map(|attempt| &attempt.emitted) {
            if let Ok(entry) = self.bus.engine().get(*emitted).await {
                events.extend(serde_json::value::to_raw_value(&Item::of(&entry)).ok());
            }
        }
        events
    }
}

fn part(stored: &Stored) -> Part<'_> {
    match stored {
        Ok(receipt) => Part {
            status: status(receipt).as_u16(),
            receipt: Some(Written::of(receipt)),
            problem: None,
        },
        Err(problem) => Part {
            status: problem.code().status().as_u16(),
            receipt: None,
            problem: RawValue::from_string(problem.to_json(None)).ok(),
        },
    }
}

/// Says where the first event is.
fn locate(response: &mut Response, receipts: &[&Receipt], what: &str) {
    let first = receipts.iter().find_map(|receipt| receipt.position);
    let location = first.map(|position| format!("/v1/events/{position}{what}"));
    if let Some(Ok(location)) = location.map(HeaderValue::try_from) {
        response.headers_mut().insert(LOCATION, location);
    }
}
