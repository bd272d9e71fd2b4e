//! `POST /v1/explain`: where an event is, and which subscriptions take it by which clause.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use hence::core::engine::{DeliveryReport, DeliveryState};
use hence::core::{Code as Cause, Timestamp};
use hence::explain::{Behind, Clause, Explanation, Place, Stop, Turn, Verdict};
use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use super::auth::MayRead;
use super::problem::{Code, Problem};
use super::query::Query;
use super::reply::{Attempt, Item, json};
use super::{Gateway, cloudevents};

/// What is asked for: an event that is stored.
#[derive(Deserialize)]
struct Asked {
    position: String,
}

/// What becomes of an event.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    item: Option<Item<'a>>,
    /// No subscription takes it.
    orphan: bool,
    items: Vec<Row<'a>>,
}

/// What one subscription says to it.
#[derive(Default, Serialize)]
struct Row<'a> {
    subscription: &'a str,
    matched: bool,
    clause: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    takes: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    /// Attempts that it has in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<Attempt<'a>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waits: Vec<Wait>,
}

/// One thing that a delivery waits for.
#[derive(Default, Serialize)]
struct Wait {
    r#for: &'static str,
    /// The same for people.
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<String>,
}

/// `POST /v1/explain`.
pub(crate) async fn explain(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    Query::of(&parts.uri, &[])?;
    let body = gateway.limits.read(body, false).await?;
    cloudevents::check_json(&body)?;
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&body)
        .map_err(|_| Code::MALFORMED.problem("the body is not a JSON object"))?;
    if members.contains_key("specversion") {
        let message = cloudevents::structured(&body)?;
        let verdicts = gateway.explainer.would(message.attributes().event_type());
        let rows = verdicts.iter();
        let items: Vec<_> = rows.map(|(name, clause)| Row::of(name, clause)).collect();
        let answer = Answer {
            item: None,
            orphan: !items.iter().any(|row| row.matched),
            items,
        };
        return Ok(json(StatusCode::OK, &answer));
    }
    if let Some(other) = members.keys().find(|name| *name != "position") {
        let detail = format!(
            "'{other}' is not a member of this request; it takes position, or it is a whole event with its specversion"
        );
        return Err(Code::UNKNOWN
            .problem(&detail)
            .at(format!("/{other}"), detail));
    }
    let asked: Asked = serde_json::from_slice(&body).map_err(|error| {
        Code::MALFORMED
            .problem(format!("the body: {error}"))
            .hint(r#"send {"position":"12"}, or a CloudEvent that is not published yet"#)
    })?;
    let entry = gateway.entry(&asked.position).await?;
    let explained = gateway.explainer.explain(entry.position).await;
    let explanation = explained.map_err(|error| match error.code() {
        Cause::NOT_FOUND => Code::NOT_FOUND.problem(error.to_string()),
        _ => error.into(),
    })?;
    Ok(json(StatusCode::OK, &Answer::of(&explanation)))
}

impl<'a> Answer<'a> {
    fn of(explanation: &'a Explanation) -> Self {
        let now = Timestamp::now();
        let due = explanation.entry.message.attributes().deliver_at();
        let due = due.filter(|due| *due > now);
        let row = |verdict| Row::stored(verdict, due);
        Self {
            item: Some(Item::of(&explanation.entry)),
            orphan: explanation.is_orphan(),
            items: explanation.verdicts.iter().map(row).collect(),
        }
    }
}

impl<'a> Row<'a> {
    fn of(subscription: &'a str, clause: &'a Clause) -> Self {
        let row = Self {
            subscription,
            matched: clause.takes(),
            ..Self::default()
        };
        match clause {
            Clause::Type(since) => Self {
                clause: "type",
                since: Some(since.to_string()),
                ..row
            },
            Clause::Start(since) => Self {
                clause: "start",
                since: Some(since.to_string()),
                ..row
            },
            Clause::OtherTypes(takes) => Self {
                clause: "other-types",
                takes: Some(takes),
                ..row
            },
            _ => row,
        }
    }

    fn stored(verdict: &'a Verdict, due: Option<Timestamp>) -> Self {
        let row = Self::of(&verdict.subscription, &verdict.clause);
        let Some(report) = &verdict.report else {
            return row;
        };
        let mut waits = Vec::new();
        if !report.state.is_settled() {
            if let Some(due) = due {
                let detail = format!("it is not delivered before {due}");
                waits.push(Wait::until("deliverat", detail, Some(due)));
            }
            waits.extend(verdict.after.iter().map(|first| Wait {
                subscription: Some(first.clone()),
                ..Wait::of("after", format!("{first} has to handle it first"))
            }));
            waits.extend(places(verdict, report));
        }
        let held = waits.iter().any(|wait| wait.r#for == "dead-letter");
        let last = report.attempts.last().map(|last| last.outcome);
        let state = match report.state {
            DeliveryState::Waiting | DeliveryState::Running if held => "held",
            // Settled, and no handler had to do with it.
            DeliveryState::Done if last == Some("expired") => "expired",
            DeliveryState::Done if last == Some("skipped") => "skipped",
            // The runtime has it, and no handler yet.
            DeliveryState::Running if !waits.is_empty() => "waiting",
            state => state.as_str(),
        };
        Self {
            state: Some(state),
            due: match report.state {
                DeliveryState::Retrying(due) => Some(due.to_string()),
                _ => None,
            },
            limit: verdict.standing.as_ref().map(|standing| standing.attempts),
            attempts: Some(report.attempts.iter().map(Attempt::of).collect()),
            waits,
            ..row
        }
    }
}

/// What the runtime says that a delivery waits for.
fn places(verdict: &Verdict, report: &DeliveryReport) -> Vec<Wait> {
    let Some(standing) = &verdict.standing else {
        let detail = "no process runs this subscription now";
        return vec![Wait::of("process", detail.to_owned())];
    };
    let mut waits = Vec::new();
    match &standing.place {
        Place::BacksOff(due) => {
            let detail = format!("the next attempt begins at {due}");
            waits.push(Wait::until("back-off", detail, Some(*due)));
        }
        Place::Waits { ahead, behind } => {
            if let Some(behind) = behind {
                waits.push(Wait::behind(behind, &verdict.subscription));
            }
            let turn = match ahead {
                None if behind.is_none() => Some("whose turn it is changes with time".to_owned()),
                None | Some(0) => None,
                Some(ahead) => Some(format!("{ahead} stand before it")),
            };
            waits.extend(turn.map(|detail| Wait::of("turn", detail)));
        }
        Place::Debounced(due) => {
            let detail = format!("it goes on at {due}, unless another of its group comes");
            waits.push(Wait::until("debounce", detail, Some(*due)));
        }
        Place::Shed(due) => {
            let detail =
                format!("events wait too long and others are more urgent; asked again at {due}");
            waits.push(Wait::until("shed", detail, Some(*due)));
        }
        Place::Noted => {
            let detail = "it may have been with a handler when the process before this one ended, \
                          which is noted before it is handled again";
            waits.push(Wait::of("crash-note", detail.to_owned()));
        }
        Place::Alone { crashes, turn } => waits.push(Wait::alone(*crashes, turn.as_ref())),
        // With a handler, or being settled: it waits for nothing.
        Place::Elsewhere if report.state == DeliveryState::Running => return waits,
        _ => {
            let detail = "the runtime has not pulled it yet".to_owned();
            waits.push(Wait::of("pull", detail));
        }
    }
    waits.extend(standing.stops.iter().map(Wait::stop));
    if waits.is_empty() {
        waits.push(Wait::of("turn", "it is the next".to_owned()));
    }
    waits
}

impl Wait {
    fn of(name: &'static str, detail: String) -> Self {
        Self {
            r#for: name,
            detail,
            ..Self::default()
        }
    }

    fn until(name: &'static str, detail: String, until: Option<Timestamp>) -> Self {
        Self {
            until: until.map(|until| until.to_string()),
            ..Self::of(name, detail)
        }
    }

    fn alone(crashes: u32, turn: Option<&Turn>) -> Self {
        let crashes = match crashes {
            1 => "a crash".to_owned(),
            crashes => format!("{crashes} crashes in a row"),
        };
        let whose = match turn {
            Some(turn) => format!(
                "now it is the turn of {} in {}",
                turn.position, turn.subscription
            ),
            None => "it is the next, or one of the next".to_owned(),
        };
        let detail = format!(
            "it was seen at {crashes} of the process, so it is handled while no other such event \
             is; {whose}"
        );
        Self {
            position: turn.map(|turn| turn.position.to_string()),
            subscription: turn.map(|turn| turn.subscription.clone()),
            ..Self::of("alone", detail)
        }
    }

    fn behind(behind: &Behind, subscription: &str) -> Self {
        match behind {
            Behind::Alone(position) => Self {
                position: Some(position.to_string()),
                ..Self::of(
                    "key-alone",
                    format!(
                        "its key waits for {position}, which was seen at a crash and waits until it \
                         may be handled alone"
                    ),
                )
            },
            Behind::DeadLetter(position) => Self {
                position: Some(position.to_string()),
                ..Self::of(
                    "dead-letter",
                    format!("its key waits for the dead letter {subscription}.{position}"),
                )
            },
            Behind::BacksOff(position, due) => Self {
                position: Some(position.to_string()),
                ..Self::until(
                    "key-back-off",
                    format!("its key waits for the next attempt at {position}, at {due}"),
                    Some(*due),
                )
            },
            Behind::Group { name, most } => {
                let group = match name {
                    Some(name) => format!("its group '{name}'"),
                    None => "the group of those without the attribute".to_owned(),
                };
                Self::of(
                    "limit",
                    format!("{group} runs as many calls as it may: {most}"),
                )
            }
            _ => Self::of(
                "key",
                "one of its key is with the handler, or is being settled".to_owned(),
            ),
        }
    }

    fn stop(stop: &Stop) -> Self {
        match stop {
            Stop::Concurrency(most) => {
                let detail = format!("the subscription runs as many calls as it may: {most}");
                Self::of("concurrency", detail)
            }
            Stop::Throttle(at) => {
                let detail = format!("the throttle permits the next call at {at}");
                Self::until("throttle", detail, Some(*at))
            }
            Stop::Full => {
                let detail = "so much waits that no more is pulled until some of it has ended";
                Self::of("full", detail.to_owned())
            }
            Stop::Tripped(at) => {
                let when = at.map_or("now".to_owned(), |at| format!("at {at}"));
                let detail =
                    format!("a storm of failures stopped it; it tries with one event {when}");
                Self::until("breaker", detail, *at)
            }
            Stop::Asked(paused) => Self::of("paused-by", format!("the subscription is {paused}")),
            Stop::Paused(limit) => Self::of("paused", format!("the subscription pauses: {limit}")),
            Stop::Batch(at) => {
                let detail = format!("a batch is not full yet; it is handled at {at} all the same");
                Self::until("batch", detail, Some(*at))
            }
            Stop::Reading(at) => {
                let detail = format!("the engine could not be read; it is tried again at {at}");
                Self::until("reading", detail, Some(*at))
            }
            _ => Self::of(
                "subscription",
                "the subscription begins no call now".to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests;
