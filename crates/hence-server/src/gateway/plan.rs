//! `GET /v1/plan` and `POST /v1/plan/whatif`: what the planner says of the running application.

mod answer;
mod question;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use hyper::{StatusCode, Uri};

use self::answer::Answer;
use self::question::Question;
use super::auth::MayRead;
use super::problem::{Code, Problem};
use super::query::Query;
use super::reply::json;
use super::{Gateway, cloudevents};
use crate::planning::All;

/// The most that is asked of the simulation, in entries of its calendar.
const EVENTS_MAX: u64 = 2_000_000;
/// Questions that are worked on at a time; others wait.
pub(crate) const QUESTIONS_MAX: usize = 1;
/// How long a question waits for the others before it.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// `GET /v1/plan`.
pub(crate) async fn plan(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::of(&uri, &[&["target"]])?;
    let question = Question::of_target(query.text("target"), &gateway.topology)?;
    let answer = gateway.plan(question).await?;
    gateway.remember(&answer);
    Ok(json(StatusCode::OK, &answer))
}

/// `POST /v1/plan/whatif`.
pub(crate) async fn what_if(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    Query::of(&parts.uri, &[])?;
    let body = gateway.limits.read(body, false).await?;
    cloudevents::check_json(&body)?;
    let question = Question::read(&body, &gateway.topology)?;
    Ok(json(StatusCode::OK, &gateway.plan(question).await?))
}

impl Gateway {
    /// Keeps how wrong the plan was, for `/metrics`.
    fn remember(&self, answer: &Answer) {
        let rows = answer.subscriptions.iter();
        let errors = rows.filter_map(|row| Some((row.subscription.clone(), row.error?)));
        *self.errors.lock().unwrap_or_else(PoisonError::into_inner) = errors.collect();
    }

    async fn plan(&self, question: Question) -> Result<Answer, Problem> {
        let reports = self.bus.engine().subscriptions();
        let lags = reports
            .iter()
            .map(|report| (report.name.clone(), report.lag))
            .collect();
        let measured: All = self
            .metrics
            .iter()
            .map(|(name, metrics)| (name.clone(), metrics.measured()))
            .collect();
        let topology = self.topology.clone();
        // A plan may take a second of a processor; requests go on meanwhile.
        let turn = tokio::time::timeout(WAIT_MAX, self.questions.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Code::OVERLOADED.problem("others are asking for plans; ask again"));
        };
        let work = move || answer::answer(&topology, &measured, &lags, &question);
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            tracing::error!(%error, "a plan failed");
            Code::INTERNAL.problem("the planner made a mistake; the log of the server has it")
        })
    }
}
