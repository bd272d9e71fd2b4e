//! `GET /v1/plan`, `GET /v1/plan/model` and `POST /v1/plan/whatif`: what the planner says of the
//! running application.

mod answer;
pub(crate) mod backtest;
mod question;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use hence_planner::model::Model;
use hence_planner::plan::{Knowledge, PlanOptions, plan as plan_of};
use hyper::{StatusCode, Uri};
use serde::Serialize;

use self::answer::Answer;
use self::question::Question;
use super::auth::MayRead;
use super::problem::{Code, Problem};
use super::query::Query;
use super::reply::json;
use super::{Gateway, cloudevents};
use crate::planning::{self, All};

/// The most that is asked of the simulation, in entries of its calendar.
const EVENTS_MAX: u64 = 2_000_000;
/// The most that a round of the back-test simulates.
const TEST_EVENTS_MAX: u64 = 200_000;
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
    Ok(json(StatusCode::OK, &gateway.plan(question).await?))
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

/// The model behind the plan, for other tools and for another day.
#[derive(Serialize)]
struct Modelled {
    model: Model,
    knowledge: BTreeMap<String, Knowledge>,
    /// Why there is nothing to say of a subscription.
    unknown: BTreeMap<String, String>,
}

/// `GET /v1/plan/model`.
pub(crate) async fn model(
    State(gateway): State<Arc<Gateway>>,
    _: MayRead,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[])?;
    let measured = gateway.metered();
    let topology = gateway.topology.clone();
    let fitted = gateway
        .work(move || {
            let mut fitted = planning::fit(&topology, &measured);
            planning::relax(&mut fitted.model, &measured);
            fitted
        })
        .await?;
    let modelled = Modelled {
        model: fitted.model,
        knowledge: fitted.knowledge,
        unknown: fitted.unknown,
    };
    Ok(json(StatusCode::OK, &modelled))
}

/// Predicts once a minute and judges the prediction by the minute that follows, until the gateway
/// drains.
pub(crate) async fn keep_testing(gateway: Arc<Gateway>) {
    let mut minutes = tokio::time::interval(backtest::EVERY);
    minutes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = gateway.drain.cancelled() => return,
            _ = minutes.tick() => gateway.test_once().await,
        }
    }
}

impl Gateway {
    fn metered(&self) -> All {
        let metrics = self.metrics.iter();
        metrics
            .map(|(name, metrics)| (name.clone(), metrics.measured()))
            .collect()
    }

    /// Does work of a second or so off the threads that serve requests, one at a time.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = tokio::time::timeout(WAIT_MAX, self.questions.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Code::OVERLOADED.problem("others are asking for plans; ask again"));
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            tracing::error!(%error, "a plan failed");
            Code::INTERNAL.problem("the planner made a mistake; the log of the server has it")
        })
    }

    /// One round of the back-test.
    async fn test_once(&self) {
        let measured = self.metered();
        let topology = self.topology.clone();
        let work = move || {
            let mut fitted = planning::fit(&topology, &measured);
            planning::relax(&mut fitted.model, &measured);
            let options = PlanOptions {
                events: TEST_EVENTS_MAX,
                knowledge: fitted.knowledge,
                ..PlanOptions::default()
            };
            let predictions = plan_of(&fitted.model, &options)
                .map(|plan| plan.predictions)
                .unwrap_or_default();
            let figures = predictions.into_iter().map(|p| (p.station, p.art));
            (measured, figures.collect())
        };
        // Whoever asks for a plan goes first; a minute without a test is no loss.
        if let Ok((measured, figures)) = self.work(work).await {
            self.backtests.judge(&measured, &figures);
        }
    }

    async fn plan(&self, question: Question) -> Result<Answer, Problem> {
        let reports = self.bus.engine().subscriptions();
        let lags = reports
            .iter()
            .map(|report| (report.name.clone(), report.lag))
            .collect();
        let measured = self.metered();
        let topology = self.topology.clone();
        let work = move || answer::answer(&topology, &measured, &lags, &question);
        let mut answer = self.work(work).await?;
        answer.backtest = self.backtests.all();
        Ok(answer)
    }
}
