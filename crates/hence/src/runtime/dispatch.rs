//! The pump of one subscription: pulls deliveries, runs them lane by lane, commits how they ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use hence_core::notice::{SubscriptionPaused, SubscriptionResumed, SubscriptionTripped};
use hence_core::{
    BoxFuture, Call, Code, Commit, Deliveries, Delivery, Engine, Event, Options, Outcome, Result,
    States, Undecodable, Unhandled,
};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::breaker::{Breaker, Change};
use super::budget::{Budget, Pace};
use super::clock::Clock;
use super::lanes::Lanes;
use super::measure;
use super::metrics::SubscriptionMetrics;
use super::pool::{self, CHOICE_MAX};
use super::settle::{Settler, Verdict};
use crate::subscription::Subscription;

/// Deliveries that a subscription may hold for each that it handles at a time.
const CREDIT_PER_WORKER: usize = 4;
/// How long the pump waits before it commits again what the engine could not take.
const COMMIT_AGAIN: Duration = Duration::from_millis(200);

/// What may be pulled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Credit {
    None,
    /// So many deliveries.
    Some(usize),
    /// One that is sent again from the dead letters: too much waits behind these.
    Redriven,
}

impl Credit {
    fn of(count: usize) -> Self {
        if count > 0 {
            Self::Some(count)
        } else {
            Self::None
        }
    }
}

/// A call that has ended, and how.
struct Ended {
    deliveries: Vec<Delivery>,
    verdict: Verdict,
    ran: Duration,
    /// Deliveries that were with a handler when it began; `None` when no handler was called.
    beside: Option<usize>,
}

/// A commit that has been answered.
struct Answered {
    deliveries: Vec<Delivery>,
    commit: Commit,
    result: Result<()>,
}

/// The pump of one subscription.
pub(crate) struct Pump {
    subscription: Subscription,
    engine: Arc<dyn Engine>,
    states: Arc<States>,
    metrics: Arc<SubscriptionMetrics>,
    settler: Settler,
    lanes: Lanes,
    calls: JoinSet<Ended>,
    commits: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// Deliveries with a handler.
    running: usize,
    /// Deliveries whose settlement is with the engine.
    committing: usize,
    /// When a batch that is not full yet is handled all the same.
    batch_due: Option<Instant>,
    clock: Clock,
    breaker: Breaker,
    budget: Budget,
    pace: Pace,
    /// So much waits behind keys that fail that no more is pulled; it was said.
    paused: bool,
}

impl Pump {
    pub(crate) fn new(
        subscription: Subscription,
        engine: Arc<dyn Engine>,
        states: Arc<States>,
        metrics: Arc<SubscriptionMetrics>,
        source: &str,
        deliveries: &dyn Deliveries,
    ) -> Self {
        let (clock, now) = (Clock::start(), Instant::now());
        let options = subscription.options;
        let settler = Settler {
            subscription: subscription.name.to_string(),
            source: source.to_owned(),
            options,
            durability: engine.capability().strongest(),
            clock,
        };
        metrics.meter.runs_with(subscription.options);
        Self {
            lanes: Lanes::new(options.order, deliveries.held(), clock),
            breaker: Breaker::new(options.breaker),
            budget: Budget::new(options.retry_budget, now),
            pace: Pace::new(options.rate, now),
            clock,
            paused: false,
            subscription,
            engine,
            states,
            metrics,
            settler,
            calls: JoinSet::new(),
            commits: FuturesUnordered::new(),
            running: 0,
            committing: 0,
            batch_due: None,
        }
    }

    /// Runs until `drain`, then finishes what runs; until `stop`, which abandons it.
    pub(crate) async fn run(
        mut self,
        mut deliveries: Box<dyn Deliveries>,
        drain: CancellationToken,
        stop: CancellationToken,
    ) {
        let mut pulling = true;
        loop {
            // Before the question whether there is anything left: nothing else would wake it.
            pulling &= !drain.is_cancelled();
            if !pulling && self.running + self.committing == 0 {
                return;
            }
            if pulling {
                self.start_calls();
            } else {
                // Nothing begins any more, so nothing may wake the pump for it.
                self.batch_due = None;
            }
            let credit = if pulling { self.credit() } else { Credit::None };
            let wake = self.next_wake();
            tokio::select! {
                () = stop.cancelled() => return,
                () = drain.cancelled(), if pulling => pulling = false,
                Some(ended) = self.calls.join_next(), if !self.calls.is_empty() => {
                    // A call catches its own panics; a join error means that it was aborted.
                    if let Ok(ended) = ended {
                        self.settle(ended);
                    }
                }
                Some(answered) = self.commits.next(), if !self.commits.is_empty() => {
                    self.answered(answered);
                }
                pulled = pull(&mut *deliveries, credit), if credit != Credit::None => match pulled {
                    Ok(list) if list.is_empty() => {
                        let released = deliveries.released();
                        pulling = !released.is_empty();
                        self.lanes.release(released);
                    }
                    Ok(list) => {
                        self.metrics.meter.arrived(&list);
                        list.into_iter().for_each(|delivery| self.lanes.push(delivery));
                    }
                    Err(error) => {
                        tracing::error!(subscription = %self.subscription.name, %error, "cannot pull");
                        pulling = false;
                    }
                },
                () = sleep_until(wake), if wake.is_some() => self.lanes.wake(self.clock.now()),
            }
        }
    }

    /// How many more deliveries may be pulled.
    fn credit(&mut self) -> Credit {
        self.say_paused();
        let held = self.lanes.runnable() + self.running + self.committing;
        if self.paused {
            let room = self.breaker.is_closed() && held < self.subscription.options.concurrency;
            return if room { Credit::Redriven } else { Credit::None };
        }
        if !self.breaker.is_closed() {
            // One event to try with, if none is here.
            let wanted = self.breaker.is_waiting() && self.lanes.runnable() == 0;
            return Credit::of(usize::from(wanted));
        }
        let workers = self.subscription.options.concurrency;
        let batch = if self.subscription.signature.batch {
            self.subscription.options.batch_events
        } else {
            1
        };
        let choice = pool::rank(self.subscription.options.order).map_or(0, |_| CHOICE_MAX);
        let most = workers
            .saturating_mul(batch.max(CREDIT_PER_WORKER))
            .max(choice);
        Credit::of(most.saturating_sub(held))
    }

    /// When something happens by itself: a retry is due, a batch is old enough, the rate permits
    /// a call, or the breaker is to try.
    fn next_wake(&self) -> Option<Instant> {
        let retry = self
            .lanes
            .next_due()
            .map(|due| Instant::now() + due.since(self.clock.now()));
        let pace = self.pace.wake(Instant::now());
        // A batch that may not begin anyway would wake the pump again and again.
        let batch = self.batch_due.filter(|_| self.may_start());
        [retry, batch, pace, self.breaker.wake()]
            .into_iter()
            .flatten()
            .min()
    }

    fn start_calls(&mut self) {
        let batch = self.subscription.signature.batch;
        let most = if batch {
            self.subscription.options.batch_events
        } else {
            1
        };
        while self.may_start() && (!batch || self.batch_is_due()) {
            let deliveries = self.lanes.pop(most);
            if deliveries.is_empty() {
                return;
            }
            self.start_fit(deliveries);
        }
        while self.breaker.is_ready(Instant::now()) {
            let Some(probe) = self.lanes.pop(1).pop() else {
                return;
            };
            let position = probe.position;
            if self.start_fit(vec![probe]) {
                self.breaker.probe(position);
            }
        }
    }

    /// Whether a call may begin now, if there is something for it.
    fn may_start(&self) -> bool {
        self.breaker.is_closed()
            && self.calls.len() < self.subscription.options.concurrency
            && self.pace.wake(Instant::now()).is_none()
    }

    /// Starts a call for those that are fit for one, settles the others, and says whether there
    /// is a call.
    fn start_fit(&mut self, mut deliveries: Vec<Delivery>) -> bool {
        let mut unfit = Vec::new();
        deliveries.retain(|delivery| match self.settler.unfit(delivery) {
            None => true,
            Some(verdict) => {
                unfit.push((delivery.clone(), verdict));
                false
            }
        });
        for (delivery, verdict) in unfit {
            self.running += 1;
            self.settle(Ended {
                deliveries: vec![delivery],
                verdict,
                ran: Duration::ZERO,
                beside: None,
            });
        }
        if deliveries.is_empty() {
            return false;
        }
        self.pace.begin(Instant::now());
        let first = deliveries.iter().filter(|d| d.attempt == 1).count();
        self.budget.delivered(first);
        self.start(deliveries);
        true
    }

    /// Whether a batch is full, or its first delivery has waited long enough.
    fn batch_is_due(&mut self) -> bool {
        if !self.lanes.has_next() {
            self.batch_due = None;
            return false;
        }
        let Options {
            batch_events,
            batch_age,
            ..
        } = self.subscription.options;
        let due = *self
            .batch_due
            .get_or_insert_with(|| Instant::now() + batch_age);
        let is_due = self.lanes.runnable() >= batch_events || Instant::now() >= due;
        if is_due {
            self.batch_due = None;
        }
        is_due
    }

    fn start(&mut self, deliveries: Vec<Delivery>) {
        let now = self.clock.now();
        for delivery in &deliveries {
            self.metrics.wait.record(now.since(delivery.appended));
        }
        let beside = Some(self.running);
        self.running += deliveries.len();
        self.metrics.running.store(self.running as u64, Relaxed);
        let name = Arc::clone(&self.subscription.name);
        let call = Call::new(name, deliveries.clone(), Arc::clone(&self.states));
        let handler = Arc::clone(&self.subscription.handler);
        let limit = self.subscription.options.timeout;
        self.calls.spawn(async move {
            let began = Instant::now();
            // The handler is called within the future, so a panic before its first await counts.
            let work = AssertUnwindSafe(async move { handler.call(call).await }).catch_unwind();
            let result = tokio::time::timeout(limit, work).await;
            let ran = began.elapsed();
            let verdict = match result {
                Ok(Ok(Ok(drafts))) => Verdict::Done(drafts),
                Ok(Ok(Err(unhandled))) => unhandled_verdict(unhandled),
                Ok(Err(panic)) => failed(Code::HANDLER_PANICKED.error(panic_text(&*panic))),
                Err(_) => {
                    failed(Code::HANDLER_TIMEOUT.error(format!("no answer within {limit:?}")))
                }
            };
            Ended {
                deliveries,
                verdict,
                ran,
                beside,
            }
        });
    }

    /// Commits how a call ended.
    fn settle(&mut self, ended: Ended) {
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
        let subscription = self.settler.subscription.clone();
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
    fn say_paused(&mut self) {
        let crowded = self.lanes.is_crowded();
        if crowded == self.paused {
            return;
        }
        self.paused = crowded;
        let subscription = self.settler.subscription.clone();
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

    fn commit(&mut self, deliveries: Vec<Delivery>, commit: Commit, after: Option<Duration>) {
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
    fn answered(&mut self, answered: Answered) {
        let Answered {
            deliveries,
            commit,
            result,
        } = answered;
        if let Err(error) = result {
            let name = &self.subscription.name;
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
            self.committing -= deliveries.len();
            return;
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

fn failed(error: hence_core::Error) -> Verdict {
    Verdict::Failed {
        after: None,
        error: error.to_string(),
    }
}

/// How a call ended whose handler said no, or was not called at all.
fn unhandled_verdict(unhandled: Unhandled) -> Verdict {
    match unhandled {
        Unhandled::Undecodable(Undecodable { position, error }) => Verdict::Undecodable {
            position,
            error: error.to_string(),
        },
        Unhandled::Failed(failure) if failure.is_reject() => Verdict::Rejected {
            error: failure.describe(),
        },
        Unhandled::Failed(failure) => Verdict::Failed {
            after: failure.after(),
            error: failure.describe(),
        },
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}

async fn pull(deliveries: &mut dyn Deliveries, credit: Credit) -> Result<Vec<Delivery>> {
    match credit {
        Credit::None => std::future::pending().await,
        Credit::Some(count) => deliveries.next(count).await,
        Credit::Redriven => deliveries.next(0).await,
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
