//! The committing side of the pump: from a call that has ended to lanes that go on.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hence_core::engine::Done;
use hence_core::notice::{SubscriptionPaused, SubscriptionResumed, SubscriptionTripped};
use hence_core::{
    Code, Commit, CommitNow, Delivery, Error, Event, Outcome, Position, Result, Skip, Timestamp,
};
use tokio::time::Instant;

use super::Pump;
use crate::runtime::breaker::Change;
use crate::runtime::call::{Ended, Taken, failed};
use crate::runtime::crash;
use crate::runtime::intake::Skipped;
use crate::runtime::measure::{self, CallTime, Sample};
use crate::runtime::metrics::count;
use crate::runtime::settle::Verdict;

/// How long the pump waits before it commits again what the engine could not take.
const COMMIT_AGAIN: Duration = Duration::from_millis(200);

/// The most settlements that one commit brings together.
const TOGETHER_MAX: usize = 64;

/// A commit that has been answered.
pub(super) struct Answered {
    deliveries: Vec<Delivery>,
    commit: Commit,
    result: Result<()>,
}

/// Deliveries that are done, with nothing that follows: they share a commit, because each of them
/// alone would be as true without the others.
#[derive(Default)]
pub(super) struct AllDone {
    deliveries: Vec<Delivery>,
    ended: Vec<Done>,
    /// What is measured of those that are chosen: when each could begin, its time, and for how many
    /// it stands.
    calls: Vec<(Option<Timestamp>, CallTime, u32)>,
    sample: Sample,
    /// The window of the sample, and when it ends.
    window: (u64, Option<Instant>),
}

impl AllDone {
    /// For how many a call that ended at a moment stands; `None` for one that is not measured.
    fn weight(&mut self, at: Instant) -> Option<u32> {
        let (window, end) = self.window;
        if end.is_none_or(|end| at >= end) {
            self.window = (window + 1, Some(at + measure::WINDOW));
            self.sample.turn(window + 1);
        }
        self.sample.next()
    }
}

impl Pump {
    /// Commits how a call ended.
    pub(super) fn settle(&mut self, ended: Ended) {
        let Ended {
            mut deliveries,
            mut verdict,
            ran,
            at,
            taken,
            at_once,
        } = ended;
        // A call in a task has its worker until its end is seen here.
        let at = if at_once { at } else { Instant::now() };
        if let (Verdict::Failed { .. }, [only]) = (&verdict, &*deliveries)
            && let Some(by) = self.cancelled.get(&only.position).copied()
        {
            let (why, by) = (Skip::Singleton, Some(by));
            verdict = Verdict::Skipped { why, by };
        }
        self.ended(
            &deliveries,
            &verdict,
            ran,
            taken.map(|taken| (taken, at_once)),
        );
        if let (Verdict::Done, [_]) = (&verdict, &*deliveries)
            && let Some(only) = deliveries.pop()
        {
            return self.done(only, (ran, at), taken);
        }
        if let Verdict::Undecodable { position, .. } = &verdict {
            match self.without_bad(deliveries, *position) {
                Some(bad) => deliveries = bad,
                None => return,
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
        if let Some(taken) = taken {
            self.metrics.meter.ended(&measure::Call {
                deliveries: &deliveries,
                settle: &commit.settle,
                publish: &commit.publish,
                time: self.time(taken, ran, at),
            });
        }
        self.commit(deliveries, commit, None);
    }

    /// One bad delivery does not spoil its batch: what came before it is called without it, and only
    /// when it comes first it goes to the dead letters, so order is kept. Gives what is to be
    /// settled.
    fn without_bad(
        &mut self,
        mut deliveries: Vec<Delivery>,
        position: Position,
    ) -> Option<Vec<Delivery>> {
        let bad = deliveries.iter().position(|d| d.position == position);
        let bad = bad.unwrap_or(0);
        let begins = self.begins() && self.breaker.still_permits(&deliveries);
        if bad > 0 && !begins {
            // A pause was answered meanwhile, say: no call begins after that.
            self.put_back(deliveries);
            return None;
        }
        self.put_back(deliveries.split_off(bad.max(1)));
        if bad == 0 {
            return Some(deliveries);
        }
        self.pace.begin();
        self.start(deliveries);
        None
    }

    /// Gives deliveries back to their lanes, from which they come again.
    pub(super) fn put_back(&mut self, deliveries: Vec<Delivery>) {
        self.suspects.put_back(&deliveries);
        for delivery in deliveries {
            let due = None;
            self.lanes.back_off(Delivery { due, ..delivery });
        }
        self.lanes.wake(self.clock.now());
    }

    /// Notes that a call is over, and whether it ended at once.
    pub(super) fn ended(
        &mut self,
        deliveries: &[Delivery],
        verdict: &Verdict,
        ran: Duration,
        taken: Option<(Taken, bool)>,
    ) {
        self.running -= deliveries.len();
        self.metrics.running.store(self.running as u64, Relaxed);
        if let Some((Taken { beside, .. }, at_once)) = taken {
            self.brevity.learn(at_once, ran);
            self.adaptive.ended(ran, beside);
        }
        self.note(deliveries, verdict, ran);
    }

    /// Notes a delivery that is done, to be committed with others.
    pub(super) fn done(
        &mut self,
        delivery: Delivery,
        (ran, at): (Duration, Instant),
        taken: Option<Taken>,
    ) {
        if let Some(taken) = taken
            && self.metrics.meter.is_on()
            && let Some(weight) = self.done.weight(at)
        {
            let ready = (!delivery.redriven).then(|| measure::ready(&delivery));
            let time = self.time(taken, ran, at);
            self.done.calls.push((ready, time, weight));
        }
        self.committing += 1;
        self.done.ended.push(Done {
            position: delivery.position,
            attempt: delivery.attempt,
            ran,
        });
        self.done.deliveries.push(delivery);
        if self.done.ended.len() >= TOGETHER_MAX {
            self.flush();
        }
    }

    fn time(&self, taken: Taken, ran: Duration, at: Instant) -> CallTime {
        CallTime {
            ran,
            occupied: at.duration_since(taken.at),
            now: self.clock.at(at),
            beside: taken.beside,
        }
    }

    /// Commits what is done; whether the engine has answered on the spot.
    pub(super) fn flush(&mut self) -> bool {
        if self.done.ended.is_empty() {
            return false;
        }
        if self.metrics.meter.is_on() {
            let count = self.done.ended.len();
            self.metrics.meter.done(count, &mut self.done.calls);
        }
        let mut deliveries = std::mem::take(&mut self.done.deliveries);
        let mut ended = std::mem::take(&mut self.done.ended);
        self.committing -= deliveries.len();
        // Where marks are kept, a commit ends them with their attempts.
        let at_once = !self.suspects.are_watched()
            && (self.engine).done_now(&self.settler.subscription, &ended);
        if !at_once {
            let commit = self.settler.done(&ended);
            return self.commit(deliveries, commit, None);
        }
        self.ended_at = None;
        ended.clear();
        for delivery in deliveries.drain(..) {
            self.settled(&delivery);
            count(&self.metrics.done);
            self.lanes.done(&delivery);
        }
        // Kept for their memory.
        (self.done.deliveries, self.done.ended) = (deliveries, ended);
        true
    }

    /// Forgets what may have been noted of a delivery that is settled for good.
    fn settled(&mut self, delivery: &Delivery) {
        self.intake.ended(delivery);
        // Most subscriptions have none of these, and to hash for nothing costs.
        if !self.cancels.is_empty() {
            self.cancels.remove(&delivery.position);
        }
        if !self.cancelled.is_empty() {
            self.cancelled.remove(&delivery.position);
        }
    }

    /// Counts a call that has ended, and stops or resumes the subscription.
    fn note(&mut self, deliveries: &[Delivery], verdict: &Verdict, ran: Duration) {
        let change = match verdict {
            // What was to be tried with may have become this while it waited for its turn.
            Verdict::Expired(_) | Verdict::Cycle(_) | Verdict::Shed | Verdict::Quarantined(_) => {
                return self.breaker.neither(deliveries);
            }
            Verdict::Done | Verdict::Follows(_) => self.breaker.done(deliveries),
            Verdict::Failed { .. } => self.breaker.failed(deliveries, Instant::now()),
            Verdict::Rejected { .. } | Verdict::Undecodable { .. } | Verdict::Skipped { .. } => {
                self.breaker.neither(deliveries);
                None
            }
        };
        self.metrics.duration.count(ran);
        self.lanes.served(deliveries, ran);
        if change.is_none() {
            return;
        }
        let subscription = self.settler.subscription.to_string();
        match (change, verdict) {
            (Some(Change::Tripped), Verdict::Failed { error, .. }) => {
                tracing::error!(
                    subscription,
                    error,
                    "a storm of failures stops the subscription"
                );
                let error = error.clone();
                let event = SubscriptionTripped {
                    subscription,
                    error,
                };
                self.raise(&event, Some(true));
            }
            (Some(Change::Resumed), _) => {
                tracing::info!(subscription, "the subscription goes on");
                self.raise(&resumed(subscription, "tripped"), Some(false));
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
            let event = SubscriptionPaused {
                subscription,
                kind: "paused".to_owned(),
                limit,
            };
            self.raise(&event, None);
        } else {
            tracing::info!(subscription, "the subscription goes on");
            self.raise(&resumed(subscription, "paused"), None);
        }
    }

    /// Publishes what happened to the subscription itself, and remembers for the next process
    /// whether a storm has stopped it, where that has changed.
    fn raise(&mut self, event: &impl Event, tripped: Option<bool>) {
        match self.settler.notice(event) {
            Ok(message) => {
                let mut commit = Commit::publish(vec![message], self.settler.durability);
                if let Some(is_tripped) = tripped {
                    self.suspects.tripped(&mut commit, is_tripped);
                }
                self.commit(Vec::new(), commit, None);
            }
            Err(error) => tracing::error!(%error, "cannot say what happened"),
        }
    }

    /// Settles what is skipped before it has come to a lane.
    pub(super) fn skip(&mut self, skipped: Vec<Skipped>) {
        if skipped.is_empty() {
            return;
        }
        let commit = self.settler.skip(&skipped);
        let deliveries: Vec<_> = skipped.into_iter().map(|one| one.delivery).collect();
        self.laneless.extend(deliveries.iter().map(|d| d.position));
        self.commit(deliveries, commit, None);
    }

    /// Commits, after a while if one is given; whether the engine has answered on the spot.
    pub(super) fn commit(
        &mut self,
        deliveries: Vec<Delivery>,
        mut commit: Commit,
        after: Option<Duration>,
    ) -> bool {
        self.ended_at = None;
        if after.is_none() {
            self.suspects.end_with(&mut commit);
            self.committing += deliveries.len();
            // Kept, because a commit that fails is tried again.
            let kept = commit.clone();
            match self.engine.commit_now(commit) {
                CommitNow::Done(result) => {
                    self.answered(Answered {
                        deliveries,
                        commit: kept,
                        result: result.map(drop),
                    });
                    return true;
                }
                CommitNow::Waits(back) => commit = back,
            }
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
        false
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
            self.suspects.ended(delivery.position);
            if !matches!(settlement.outcome, Outcome::Retry { .. }) {
                self.settled(&delivery);
            }
            match settlement.outcome {
                Outcome::Skipped { .. } => {
                    count(&self.metrics.skipped);
                    if !self.laneless.remove(&delivery.position) {
                        self.lanes.done(&delivery);
                    }
                }
                Outcome::Done => {
                    count(&self.metrics.done);
                    self.lanes.done(&delivery);
                }
                Outcome::Expired { .. } => {
                    count(&self.metrics.expired);
                    self.lanes.done(&delivery);
                }
                Outcome::Retry { due, .. } => {
                    count(&self.metrics.retried);
                    let attempt = delivery.attempt + 1;
                    self.lanes.back_off(Delivery {
                        attempt,
                        due: Some(due),
                        ..delivery
                    });
                }
                Outcome::Reject { hold, .. } => {
                    count(&self.metrics.rejected);
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
            self.suspects.goes_on(&deliveries);
            self.commit(deliveries, commit, Some(COMMIT_AGAIN));
            return;
        }
        // What an event or a value of the handler breaks, another attempt may not; the engine said
        // no to the whole commit, so the attempt counts as failed.
        if deliveries.is_empty() {
            tracing::error!(subscription = %name, %error, "cannot say what happened");
            return;
        }
        let changes = commit.change.iter().any(|change| !crash::is_own(change));
        if !commit.publish.is_empty() || changes {
            tracing::warn!(subscription = %name, %error, "cannot store what the handler did");
            self.committing -= deliveries.len();
            self.running += deliveries.len();
            return self.settle(Ended {
                deliveries,
                verdict: failed(error),
                ran: Duration::ZERO,
                at: Instant::now(),
                taken: None,
                at_once: false,
            });
        }
        if commit.settle.len() > 1 && !self.subscription.signature.batch {
            // They only shared a commit: what is wrong with one of them says nothing about others.
            self.committing -= deliveries.len();
            for (delivery, settlement) in deliveries.into_iter().zip(commit.settle) {
                let commit = Commit {
                    settle: vec![settlement],
                    durability: commit.durability,
                    ..Commit::default()
                };
                self.commit(vec![delivery], commit, None);
            }
            return;
        }
        tracing::error!(subscription = %name, %error, "cannot settle; the key waits for a restart");
        self.metrics.trouble.set(format!("cannot settle: {error}"));
        self.suspects.wait(&deliveries);
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
                Outcome::Skipped { why, .. } => {
                    let why = why.as_str();
                    tracing::debug!(subscription, position, event_type, why, "skipped");
                }
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

/// A subscription goes on by itself.
fn resumed(subscription: String, was: &str) -> SubscriptionResumed {
    SubscriptionResumed {
        subscription,
        was: was.to_owned(),
        by: String::new(),
    }
}
