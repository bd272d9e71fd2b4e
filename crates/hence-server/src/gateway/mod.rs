//! The HTTP gateway: any language takes part over plain HTTP.
//!
//! ```text
//!   connection ─► edge (limits, Host, Origin) ─► router ─► who may ─► resource ─► Bus, Engine
//!    server          router                                  auth      publish, events, tail, …
//! ```

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use hence::core::Topology;
use hence::explain::Explainer;
use hence::metrics::Metrics;
use hence::pause::Pauser;
use hence::replay::Replayer;
use hence::{Bus, Running};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub(crate) mod auth;
mod cloudevents;
mod dead_letters;
mod events;
mod explain;
mod health;
mod idempotency;
mod jobs;
pub(crate) mod limits;
pub(crate) mod listen;
mod metrics;
mod plan;
pub(crate) mod problem;
mod publish;
mod query;
mod receipt;
mod reply;
mod router;
mod sequence;
pub(crate) mod server;
mod subscriptions;
pub(crate) mod suggest;
mod tail;
mod topology;

#[cfg(test)]
mod tests;

use auth::Access;
use limits::Limits;
use problem::{Code, Problem};

/// What every request sees.
pub(crate) struct Gateway {
    bus: Bus,
    topology: Topology,
    metrics: Metrics,
    explainer: Explainer,
    replayer: Replayer,
    pauser: Pauser,
    limits: Limits,
    access: Access,
    keys: idempotency::Keys,
    counters: metrics::Counters,
    jobs: jobs::Jobs,
    drain: CancellationToken,
    /// How many plans are made at a time.
    questions: Semaphore,
    backtests: plan::backtest::BackTests,
}

impl Gateway {
    /// A gateway to an application that runs. Cancelling `drain` makes it finish.
    pub(crate) fn new(
        running: &Running,
        access: Access,
        limits: Limits,
        dedup: Duration,
        drain: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            bus: running.bus().clone(),
            topology: running.topology().clone(),
            metrics: running.metrics().clone(),
            explainer: running.explainer().clone(),
            replayer: running.replayer().clone(),
            pauser: running.pauser().clone(),
            keys: idempotency::Keys::new(limits.idempotency, dedup),
            counters: metrics::Counters::default(),
            jobs: jobs::Jobs::default(),
            questions: Semaphore::new(plan::QUESTIONS_MAX),
            backtests: plan::backtest::BackTests::default(),
            limits,
            access,
            drain,
        })
    }
}

/// A segment of the path.
fn segment(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    path.map(|Path(segment)| segment)
        .map_err(|_| Code::MALFORMED.problem("the path does not decode to UTF-8"))
}
