//! The committing side of the pump: from a call that has ended to lanes that go on.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hence_core::notice::{SubscriptionPaused, SubscriptionResumed, SubscriptionTripped};
use hence_core::{Code, Commit, Delivery, Error, Event, Outcome, Result};
use tokio::time::Instant;

use super::Pump;
use crate::runtime::breaker::Change;
use crate::runtime::call::{Ended, failed};
use crate::runtime::measure;
use crate::runtime::settle::Verdict;

/// How long the pump waits before it commits again what the engine could not take.
const COMMIT_AGAIN: Duration = Duration::from_millis(200);

/// A commit that has been answered.
pub(super) struct Answered {
    deliveries: Vec<Delivery>,
    commit: Commit,
    result: Result<()>,
}

impl Pump {
    /// Commits how a call ended.
    pub(super) fn settle(&mut self, ended: Ended) {
        let Ended {
            mut deliveries,
            mut verdict,
            ran,
            beside,
        } = ended;
        self.running -= deliveries.len();
        self.metrics.running.store(self.running as u64, Relaxed);
        self.note(&deliveries, &verdict, ran);
        if let Verdict::Undecodable { position, .. } = &verdict {
            let bad = deliveries
                .iter()
                .position(|d| d.position == *position)
                .unwrap_or(0);
            // One bad delivery does not spoil its batch: what came before it is called without
            // it, and only when it comes first it goes to the dead letters, so order is kept.
            for later in deliveries.split_off(bad.max(1)) {
                self.lanes.back_off(Delivery { due: None, ..later });
            }
            self.lanes.wake(self.clock.now());
            if bad > 0 {
                return self.start(deliveries);
            }
        }
        let longer = match &verdict {
            Verdict::Failed { .. } => self.budget.wait(deliveries.len(), Instant::now()),
            _ => Duration::ZERO,
        };
        let commit = loop {
            match self.settler.commit(&deliveries, verdict, (ran, longer)) {
                Ok(commit) => break commit,
                Err(error) => verdict = failed(error),
            }
        };
        self.log(&commit, &deliveries);
        if let Some(beside) = beside {
            self.metrics.meter.ended(&measure::Call {
                deliveries: &deliveries,
                commit: &commit,
                ran,
                beside,
            });
        }
        self.commit(deliveries, commit, None);
    }

    /// Counts a call that has ended, and stops or resumes the subscription.
    fn note(&mut self, deliveries: &[Delivery], verdict: &Verdict, ran: Duration) {
        let change = match verdict {
            Verdict::Expired(_) | Verdict::Cycle(_) => return,
            Verdict::Done(_) => self.breaker.done(deliveries),
            Verdict::Failed { .. } => self.breaker.failed(deliveries, Instant::now()),
            Verdict::Rejected { .. } | Verdict::Undecodable { .. } => {
                self.breaker.neither(deliveries);
                None
            }
        };
        self.metrics.duration.record(ran);
        self.lanes.served(deliveries, ran);
        let subscription = self.settler.subscription.to_string();
        match (change, verdict) {
            (Some(Change::Tripped), Verdict::Failed { error, .. }) => {
                tracing::error!(
                    subscription,
                    error,
                    "a storm of failures stops the subscription"
                );
                let error = error.clone();
                self.raise(&SubscriptionTripped {
                    subscription,
                    error,
                });
            }
            (Some(Change::Resumed), _) => {
                tracing::info!(subscription, "the subscription goes on");
                let was = "tripped".to_owned();
                self.raise(&SubscriptionResumed { subscription, was });
            }
            _ => {}
        }
    }

    /// Says once that so much waits behind keys that fail that no more is pulled, and when it is
    /// over.
    pub(super) fn say_paused(&mut self) {
        let crowded = self.lanes.is_crowded();
        if crowded == self.paused {
            return;
        }
        self.paused = crowded;
        let subscription = self.settler.subscription.to_string();
        if crowded {
            let limit = self.lanes.limit();
            tracing::error!(subscription, limit, "the subscription pauses");
            self.raise(&SubscriptionPaused {
                subscription,
                limit,
            });
        } else {
            tracing::info!(subscription, "the subscription goes on");
            let was = "paused".to_owned();
            self.raise(&SubscriptionResumed { subscription, was });
        }
    }

    /// Publishes what happened to the subscription itself.
    fn raise(&mut self, event: &impl Event) {
        match self.settler.notice(event) {
            Ok(commit) => self.commit(Vec::new(), commit, None),
            Err(error) => tracing::error!(%error, "cannot say what happened"),
        }
    }

    pub(super) fn commit(
        &mut self,
        deliveries: Vec<Delivery>,
        commit: Commit,
        after: Option<Duration>,
    ) {
        if after.is_none() {
            self.committing += deliveries.len();
        }
        let engine = Arc::clone(&self.engine);
        self.commits.push(Box::pin(async move {
            if let Some(wait) = after {
                tokio::time::sleep(wait).await;
            }
            let result = engine.commit(commit.clone()).await.map(drop);
            Answered {
                deliveries,
                commit,
                result,
            }
        }));
    }

    /// Moves the lanes on, now that the engine has answered.
    pub(super) fn answered(&mut self, answered: Answered) {
        let Answered {
            deliveries,
            commit,
            result,
        } = answered;
        if let Err(error) = result {
            return self.refused(deliveries, commit, error);
        }
        self.committing -= deliveries.len();
        for (delivery, settlement) in deliveries.into_iter().zip(commit.settle) {
            match settlement.outcome {
                Outcome::Done => {
                    self.metrics.done.fetch_add(1, Relaxed);
                    self.lanes.done(&delivery);
                }
                Outcome::Expired { .. } => {
                    self.metrics.expired.fetch_add(1, Relaxed);
                    self.lanes.done(&delivery);
                }
                Outcome::Retry { due, .. } => {
                    self.metrics.retried.fetch_add(1, Relaxed);
                    let attempt = delivery.attempt + 1;
                    self.lanes.back_off(Delivery {
                        attempt,
                        due: Some(due),
                        ..delivery
                    });
                }
                Outcome::Reject { hold, .. } => {
                    self.metrics.rejected.fetch_add(1, Relaxed);
                    if hold {
                        self.lanes.hold(&delivery);
                    } else {
                        self.lanes.done(&delivery);
                    }
                }
            }
        }
    }

    /// Goes on where the engine did not take a commit.
    fn refused(&mut self, deliveries: Vec<Delivery>, commit: Commit, error: Error) {
        let name = &self.subscription.name;
        if error.code() == Code::CLOSED {
            // Nothing will be taken in this process; what is not settled is delivered again.
            tracing::warn!(subscription = %name, %error, "cannot settle");
            self.closed = true;
            return;
        }
        // A disk that failed once and an engine that is well: what is not settled now would
        // otherwise wait for a restart that nobody has a reason for.
        let passes = error.code() == Code::STORAGE && self.engine.health().is_ok();
        if error.is_retryable() || passes {
            tracing::warn!(subscription = %name, %error, "cannot settle now, trying again");
            return self.commit(deliveries, commit, Some(COMMIT_AGAIN));
        }
        // What an event of the handler breaks, another attempt may not; the engine said no
        // to the whole commit, so the attempt counts as failed.
        if deliveries.is_empty() {
            tracing::error!(subscription = %name, %error, "cannot say what happened");
            return;
        }
        if !commit.publish.is_empty() {
            tracing::warn!(subscription = %name, %error, "cannot publish what the handler returned");
            self.committing -= deliveries.len();
            self.running += deliveries.len();
            return self.settle(Ended {
                deliveries,
                verdict: failed(error),
                ran: Duration::ZERO,
                beside: None,
            });
        }
        tracing::error!(subscription = %name, %error, "cannot settle; the key waits for a restart");
        self.metrics.trouble.set(format!("cannot settle: {error}"));
        self.committing -= deliveries.len();
    }

    /// Says what failed, so that no failure is silent.
    fn log(&self, commit: &Commit, deliveries: &[Delivery]) {
        for (settlement, delivery) in commit.settle.iter().zip(deliveries) {
            let subscription = &*self.subscription.name;
            let (position, attempt) = (delivery.position.0, delivery.attempt);
            let event_type = delivery.message.attributes().event_type();
            match &settlement.outcome {
                Outcome::Done => {}
                Outcome::Expired { at } => {
                    tracing::warn!(subscription, position, event_type, %at, "expired");
                }
                Outcome::Retry { due, error } => tracing::warn!(
                    subscription, position, event_type, attempt, %due, error, "attempt failed"
                ),
                Outcome::Reject { reason, error, .. } => tracing::error!(
                    subscription,
                    position,
                    event_type,
                    attempt,
                    reason = reason.as_str(),
                    error,
                    "to the dead letters"
                ),
            }
        }
    }
}
