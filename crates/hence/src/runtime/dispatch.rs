//! The pump of one subscription: pulls deliveries, runs them lane by lane, commits how they ended.

mod pulling;
mod settling;
mod telling;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hence_core::{BoxFuture, Call, Deliveries, Delivery, Engine, Options, States};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::pulling::{Again, Credit, pull};
use self::settling::{Answered, Done};
use super::breaker::Breaker;
use super::budget::{Budget, Pace};
use super::call::{self, Brevity, Ended, Taken};
use super::clock::Clock;
use super::lanes::Lanes;
use super::metrics::SubscriptionMetrics;
use super::settle::Settler;
use super::standing::Question;
use crate::subscription::Subscription;

/// The most calls that are made here before others may run.
const TURN_MAX: usize = 128;

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
    /// Since reading failed.
    again: Option<Again>,
    /// The engine is closed: nothing can be settled any more.
    closed: bool,
    /// Whether calls are brief enough to be made here.
    brevity: Brevity,
    /// How many calls were made here in this turn.
    turn: usize,
    /// What is settled as done and will be committed together.
    done: Done,
    questions: mpsc::Receiver<Question>,
}

impl Pump {
    pub(crate) fn new(
        subscription: Subscription,
        engine: Arc<dyn Engine>,
        states: Arc<States>,
        metrics: Arc<SubscriptionMetrics>,
        source: &str,
        deliveries: &dyn Deliveries,
        questions: mpsc::Receiver<Question>,
    ) -> Self {
        let (clock, now) = (Clock::start_at(engine.now()), Instant::now());
        let options = &subscription.options;
        let settler = Settler {
            subscription: Arc::clone(&subscription.name),
            source: source.to_owned(),
            options: options.clone(),
            durability: engine.capability().strongest(),
            clock,
        };
        let width = if subscription.signature.batch {
            options.batch_events
        } else {
            1
        };
        metrics.meter.runs_with(options.clone(), &engine);
        Self {
            lanes: Lanes::new(options.order, deliveries.held(), clock, width),
            breaker: Breaker::new(options.breaker),
            budget: Budget::new(options.retry_budget, now),
            pace: Pace::new(options.rate, now),
            clock,
            paused: false,
            again: None,
            closed: false,
            brevity: Brevity::default(),
            turn: 0,
            done: Done::default(),
            questions,
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
        deliveries: Box<dyn Deliveries>,
        drain: CancellationToken,
        stop: CancellationToken,
    ) {
        self.pump(deliveries, &drain, &stop).await;
        if !drain.is_cancelled() && !stop.is_cancelled() {
            tracing::error!(subscription = %self.subscription.name, "the subscription stands still");
            if self.metrics.trouble.get().is_none() {
                let why = "the engine gives and takes nothing any more";
                self.metrics.trouble.set(why.to_owned());
            }
        }
    }

    async fn pump(
        &mut self,
        mut deliveries: Box<dyn Deliveries>,
        drain: &CancellationToken,
        stop: &CancellationToken,
    ) {
        let mut pulling = true;
        loop {
            // Before the question whether there is anything left: nothing else would wake it.
            pulling &= !drain.is_cancelled();
            self.flush();
            if self.closed || !pulling && self.running + self.committing == 0 {
                return;
            }
            self.turn = 0;
            if pulling {
                self.start_calls();
                // What an engine answers on the spot may let more of a key begin.
                while self.flush() && self.turn < TURN_MAX {
                    self.start_calls();
                }
                self.flush();
            } else {
                // Nothing begins any more, so nothing may wake the pump for it.
                self.batch_due = None;
            }
            // Others want to run, too.
            let more = self.turn >= TURN_MAX;
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
                pulled = pull(&mut *deliveries, credit), if credit != Credit::None => {
                    pulling &= self.pulled(pulled, &mut *deliveries);
                }
                () = sleep_until(wake), if wake.is_some() => self.lanes.wake(self.clock.now()),
                () = tokio::task::yield_now(), if more => {}
                Some(question) = self.questions.recv() => self.tell(question),
            }
        }
    }

    /// When something happens by itself: a retry is due, a batch is old enough, the rate permits
    /// a call, or the breaker is to try.
    fn next_wake(&self) -> Option<Instant> {
        let retry = self
            .lanes
            .next_due()
            .map(|due| Instant::now() + due.since(self.clock.now()));
        let pace = self.pace.wake();
        // A batch that may not begin anyway would wake the pump again and again.
        let batch = self.batch_due.filter(|_| self.may_start());
        let again = self
            .again
            .map(|again| again.at)
            .filter(|at| *at > Instant::now());
        [retry, batch, pace, again, self.breaker.wake()]
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
        while self.breaker.is_ready() {
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
            && self.turn < TURN_MAX
            && self.calls.len() < self.subscription.options.concurrency
            && self.pace.wake().is_none()
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
                at: Instant::now(),
                taken: None,
                at_once: false,
            });
        }
        if deliveries.is_empty() {
            return false;
        }
        self.pace.begin();
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
        let is_due = self.lanes.ready() >= batch_events || Instant::now() >= due;
        if is_due {
            self.batch_due = None;
        }
        is_due
    }

    fn start(&mut self, deliveries: Vec<Delivery>) {
        let began = Instant::now();
        let now = self.clock.at(began);
        for delivery in &deliveries {
            self.metrics.wait.count(now.since(delivery.appended));
        }
        let taken = Taken {
            at: began,
            beside: self.running,
        };
        self.running += deliveries.len();
        self.metrics.running.store(self.running as u64, Relaxed);
        let name = Arc::clone(&self.subscription.name);
        let call = Call::new(name, &deliveries, Arc::clone(&self.states));
        let limit = self.subscription.options.timeout;
        let is_keyed = !self.subscription.signature.keyed.is_empty();
        // A value is looked up first, which is another wait than the handler's.
        if is_keyed || !self.brevity.is_usual() {
            let handler = Arc::clone(&self.subscription.handler);
            let keyed = is_keyed.then(|| Arc::clone(&self.engine));
            let call = call::run(handler, call, keyed, deliveries, limit, taken);
            drop(self.calls.spawn(call));
            return;
        }
        self.turn += 1;
        match call::at_once(&*self.subscription.handler, call) {
            Ok(verdict) => {
                let at = Instant::now();
                self.settle(Ended {
                    deliveries,
                    verdict,
                    ran: at.duration_since(began),
                    at,
                    taken: Some(taken),
                    at_once: true,
                });
            }
            Err(work) => {
                self.brevity.learn(false, Duration::ZERO);
                let call = call::go_on(work, deliveries, limit, (taken, began));
                drop(self.calls.spawn(call));
            }
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
