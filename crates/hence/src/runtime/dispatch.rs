//! The pump of one subscription: pulls deliveries, runs them lane by lane, commits how they ended.

mod pulling;
mod settling;
mod telling;
#[cfg(test)]
mod tests;
mod trying;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use hence_core::flow::{Shedding, While};
use hence_core::{
    BoxFuture, Call, Deliveries, Delivery, Engine, Position, Skip, States, Timestamp,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::pulling::{Again, Credit, pull};
use self::settling::{AllDone, Answered};
use self::trying::Tried;
use super::adaptive::Adaptive;
use super::breaker::Breaker;
use super::budget::{Budget, Pace};
use super::call::{self, Brevity, Ended, Taken};
use super::clock::Clock;
use super::crash::{Suspects, Watch};
use super::intake::{Intake, Sorted};
use super::lanes::{Batch, Lanes};
use super::metrics::SubscriptionMetrics;
use super::settle::{Settler, Verdict};
use super::shed::Shed;
use super::standing::Asked;
use crate::pause::Paused;
use crate::subscription::Subscription;

/// The most calls that are made here before others may run.
const TURN_MAX: usize = 128;

/// After how long it is asked again whether a delivery that was shed may be handled.
const SHED_AGAIN: Duration = Duration::from_secs(1);

/// The pump of one subscription.
pub(crate) struct Pump {
    subscription: Subscription,
    engine: Arc<dyn Engine>,
    states: Arc<States>,
    metrics: Arc<SubscriptionMetrics>,
    settler: Settler,
    intake: Intake,
    lanes: Lanes,
    calls: JoinSet<Ended>,
    commits: FuturesUnordered<BoxFuture<'static, Answered>>,
    suspects: Suspects,
    /// What goes step by step, because it may have ended the process before.
    trials: FuturesUnordered<BoxFuture<'static, Tried>>,
    /// Deliveries of which these are; they are with no handler yet.
    trying: usize,
    /// Deliveries with a handler.
    running: usize,
    /// Deliveries whose settlement is with the engine.
    committing: usize,
    /// What one call takes, when it takes several.
    batch: Option<Batch>,
    /// When a batch that is not full yet is handled all the same.
    batch_due: Option<Instant>,
    clock: Clock,
    breaker: Breaker,
    budget: Budget,
    pace: Pace,
    /// When the rate permits the call that it alone kept from beginning.
    paced: Option<Instant>,
    adaptive: Adaptive,
    shed: Shed,
    /// How to cancel the calls that run, where others may come in their place.
    cancels: HashMap<Position, oneshot::Sender<Position>>,
    /// What is not to be handled any more, and in favour of what.
    cancelled: HashMap<Position, Position>,
    /// What is being settled without ever having had a lane.
    laneless: HashSet<Position>,
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
    done: AllDone,
    questions: mpsc::Receiver<Asked>,
    /// Somebody has paused the subscription: no call begins, and nothing is pulled.
    halted: Option<Paused>,
    /// What runs is finished, and no call begins any more.
    ending: bool,
    /// When the last call ended, by both clocks, while nothing else has been done since.
    ended_at: Option<(Instant, Timestamp)>,
}

impl Pump {
    pub(crate) fn new(
        subscription: Subscription,
        engine: Arc<dyn Engine>,
        states: Arc<States>,
        metrics: Arc<SubscriptionMetrics>,
        source: &str,
        deliveries: &dyn Deliveries,
        (questions, watch, halted): (mpsc::Receiver<Asked>, Option<Watch>, Option<Paused>),
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
        let batch = subscription.signature.batch.then(|| Batch::of(options));
        let width = batch.as_ref().map_or(1, |batch| batch.events);
        let takes = &subscription.signature.takes;
        metrics.meter.runs_with(options.clone(), &engine, takes);
        Self {
            suspects: Suspects::new(watch, &subscription.name, options.crashes),
            intake: Intake::new(options),
            lanes: Lanes::new(options, deliveries.held(), clock, width),
            breaker: Breaker::new(options.breaker),
            budget: Budget::new(options.retry_budget, now),
            pace: Pace::new(options.throttle, now),
            paced: None,
            adaptive: Adaptive::new(options.adaptive, options.concurrency),
            shed: Shed::new(options.shed),
            cancels: HashMap::new(),
            cancelled: HashMap::new(),
            laneless: HashSet::new(),
            clock,
            paused: false,
            again: None,
            closed: false,
            brevity: Brevity::default(),
            turn: 0,
            done: AllDone::default(),
            questions,
            halted,
            ending: false,
            subscription,
            engine,
            states,
            metrics,
            settler,
            calls: JoinSet::new(),
            commits: FuturesUnordered::new(),
            trials: FuturesUnordered::new(),
            trying: 0,
            running: 0,
            committing: 0,
            batch,
            batch_due: None,
            ended_at: None,
        }
    }

    /// Runs until `drain`, then finishes what runs; until `stop`, which abandons it.
    pub(crate) async fn run(
        mut self,
        deliveries: Box<dyn Deliveries>,
        drain: CancellationToken,
        stop: CancellationToken,
    ) {
        if self.suspects.was_tripped().await {
            self.breaker.reopen();
        }
        self.pump(deliveries, &drain, &stop).await;
        // What is settled goes to the engine first: what is given up is what remains.
        while let Some(Some(answered)) = self.commits.next().now_or_never() {
            self.answered(answered);
        }
        self.suspects.give_up();
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
            if !pulling {
                self.begin_no_more();
            }
            if self.closed || !pulling && self.running + self.committing == 0 {
                return;
            }
            self.turn = 0;
            let begins = self.begins();
            if begins {
                self.start_calls();
                // What an engine answers on the spot may let more of a key begin.
                while self.flush() && self.turn < TURN_MAX {
                    self.start_calls();
                }
                self.flush();
            }
            // What comes next comes after a while.
            self.ended_at = None;
            // Others want to run, too.
            let more = self.turn >= TURN_MAX;
            let credit = if begins { self.credit() } else { Credit::None };
            // Once nothing begins any more, nothing may wake the pump for it.
            let wake = if pulling {
                self.next_wake(credit)
            } else {
                None
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = drain.cancelled(), if pulling => pulling = false,
                Some(ended) = self.calls.join_next(), if !self.calls.is_empty() => {
                    // A call catches its own panics; a join error means that it was aborted.
                    if let Ok(ended) = ended {
                        self.settle(ended);
                    }
                    // What has ended meanwhile is settled in the same commit.
                    while let Some(ended) = self.calls.try_join_next() {
                        if let Ok(ended) = ended {
                            self.settle(ended);
                        }
                    }
                }
                Some(answered) = self.commits.next(), if !self.commits.is_empty() => {
                    self.answered(answered);
                }
                Some(tried) = self.trials.next(), if !self.trials.is_empty() => self.tried(tried),
                pulled = pull(&mut *deliveries, credit), if credit.is_any() => {
                    pulling &= self.pulled(pulled, &mut *deliveries);
                }
                () = sleep_until(wake), if wake.is_some() => self.woken(),
                () = tokio::task::yield_now(), if more => {}
                Some(asked) = self.questions.recv() => self.hear(asked),
            }
        }
    }

    /// When something happens by itself: a retry is due, a batch is old enough, the rate permits
    /// a call, the engine is to be read again, or the breaker is to try.
    ///
    /// What the looks before it found is not looked at again: a moment that passed in between would
    /// wake nobody.
    fn next_wake(&self, credit: Credit) -> Option<Instant> {
        let dues = [self.lanes.next_due(), self.intake.next_due()];
        let due = dues.into_iter().flatten().min();
        let due = due.map(|due| Instant::now() + due.since(self.clock.now()));
        if self.halted.is_some() {
            // What else may come would begin a call.
            return due;
        }
        // A batch that may not begin anyway would wake the pump again and again.
        let may_start = self.has_worker() && self.paced.is_none();
        let batch = self.batch_due.filter(|_| may_start);
        let again = match credit {
            Credit::Later(at) => Some(at),
            _ => None,
        };
        [due, batch, self.paced, again, self.breaker.wake()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Lets go on what has waited long enough.
    fn woken(&mut self) {
        let now = self.clock.now();
        self.lanes.wake(now);
        let mut taken = Sorted::default();
        self.intake.wake(now, &mut taken);
        self.taken(taken);
    }

    /// Brings deliveries to their lanes, or settles them without one.
    fn taken(&mut self, taken: Sorted) {
        for (position, by) in taken.cancel {
            self.cancelled.insert(position, by);
            match self.cancels.remove(&position) {
                // A call that has just ended is not there to be told.
                Some(running) => drop(running.send(by)),
                None => self.lanes.hurry(position),
            }
        }
        for delivery in taken.go {
            self.lanes.push(delivery);
        }
        self.skip(taken.skipped);
    }

    /// Whether calls begin at all.
    fn begins(&self) -> bool {
        !self.ending && self.halted.is_none()
    }

    fn start_calls(&mut self) {
        loop {
            while self.may_start() {
                if self.batch.is_none() {
                    match self.pop() {
                        Some(delivery) => drop(self.start_fit(delivery)),
                        None => break,
                    }
                    continue;
                }
                let deliveries = self.pop_batch();
                if deliveries.is_empty() {
                    break;
                }
                let mut fit = Vec::with_capacity(deliveries.len());
                for delivery in deliveries {
                    match self.unfit(&delivery) {
                        None => fit.push(delivery),
                        Some(unfit) => self.turn_away(delivery, unfit),
                    }
                }
                if !fit.is_empty() {
                    self.pace.begin();
                    if self.suspects.are_among(&fit) {
                        self.look(fit);
                    } else {
                        self.count_first(&fit);
                        self.start(fit);
                    }
                }
            }
            // A brief call that tries may have ended well: nothing else would wake what waits.
            if !self.try_one() || !self.breaker.is_closed() {
                return;
            }
        }
    }

    /// The next delivery that may be handled.
    fn pop(&mut self) -> Option<Delivery> {
        self.lanes.pop()
    }

    /// Tries with one event, if it is time to; whether there is a call.
    fn try_one(&mut self) -> bool {
        while self.breaker.is_ready() {
            let Some(probe) = self.pop() else {
                return false;
            };
            let position = probe.position;
            // Before the call begins: a brief one has ended when this comes back.
            self.breaker.probe(position);
            if !self.start_fit(probe) {
                self.breaker.unfit(position);
                continue;
            }
            if !self.breaker.is_waiting() {
                return true;
            }
        }
        false
    }

    /// Whether a call may begin now, if there is something for it; notes when it is the rate alone
    /// that says no.
    fn may_start(&mut self) -> bool {
        let has_worker = self.has_worker();
        self.paced = self.pace.wake().filter(|_| has_worker);
        has_worker && self.paced.is_none()
    }

    fn has_worker(&self) -> bool {
        let calls = self.calls.len() + self.trials.len();
        self.breaker.is_closed() && self.turn < TURN_MAX && calls < self.adaptive.calls()
    }

    /// Starts a call for a delivery that is fit for one, and says whether there is a call.
    fn start_fit(&mut self, delivery: Delivery) -> bool {
        if let Some(unfit) = self.unfit(&delivery) {
            self.turn_away(delivery, unfit);
            return false;
        }
        let one = std::slice::from_ref(&delivery);
        self.pace.begin();
        if self.suspects.are_among(one) {
            self.look(vec![delivery]);
        } else {
            self.count_first(one);
            self.start_one(delivery);
        }
        true
    }

    /// Counts the first attempts of a call that begins, of which retries may be a part.
    fn count_first(&mut self, deliveries: &[Delivery]) {
        let first = deliveries.iter().filter(|d| d.turn() == 1).count();
        self.budget.delivered(first);
    }

    /// Why there is no call for a delivery now; `None` when there is one.
    fn unfit(&mut self, delivery: &Delivery) -> Option<Unfit> {
        if let Some(verdict) = self.needs_no_call(delivery) {
            return Some(Unfit::Settled(verdict));
        }
        let refused = self.shed.refuses(delivery, || self.clock.now());
        refused.map(|then| match then {
            Shedding::Reject => Unfit::Settled(Verdict::Shed),
            Shedding::Later => Unfit::Later,
        })
    }

    /// Settles a delivery that is not fit for a call, or puts it off.
    fn turn_away(&mut self, delivery: Delivery, unfit: Unfit) {
        match unfit {
            Unfit::Settled(verdict) => {
                self.running += 1;
                self.settle_without(vec![delivery], verdict);
            }
            Unfit::Later => {
                self.metrics.shed.fetch_add(1, Relaxed);
                let due = Some(self.clock.now().after(SHED_AGAIN));
                self.lanes.shed(Delivery { due, ..delivery });
            }
        }
    }

    /// Why a delivery is settled without a call.
    fn needs_no_call(&self, delivery: &Delivery) -> Option<Verdict> {
        let by = self.cancelled.get(&delivery.position).copied();
        let skipped = by.map(|by| Verdict::Skipped {
            why: Skip::Singleton,
            by: Some(by),
        });
        skipped.or_else(|| self.settler.unfit(delivery))
    }

    /// A batch that is full, or whose first delivery has waited long enough.
    fn pop_batch(&mut self) -> Vec<Delivery> {
        let now = Instant::now();
        let Some(batch) = self.batch.as_ref().filter(|_| self.lanes.has_next()) else {
            self.batch_due = None;
            return Vec::new();
        };
        let age = self.subscription.options.batch_age;
        let due = *self.batch_due.get_or_insert_with(|| now + age);
        if let Some(group) = self.lanes.full_batch(batch) {
            return self.lanes.pop_batch(batch, Some(group));
        }
        if now < due {
            return Vec::new();
        }
        // Whatever else is here goes too: an age is the greatest, and not one to wait for.
        let popped = self.lanes.pop_batch(batch, None);
        if !self.lanes.has_next() {
            self.batch_due = None;
        }
        popped
    }

    /// Calls the handler for one delivery. Almost every call is such a one, so it needs no list.
    fn start_one(&mut self, delivery: Delivery) {
        let one = std::slice::from_ref(&delivery);
        let (call, taken) = self.begin(one);
        if self.needs_task() {
            return self.call_in_task(call, vec![delivery], taken);
        }
        match self.call_here(call, one, taken) {
            None => {}
            Some(Verdict::Done) => {
                let at = Instant::now();
                let ran = at.duration_since(taken.at);
                self.ended(one, &Verdict::Done, ran, Some((taken, true)));
                self.ended_at = Some((at, self.clock.at(at)));
                self.done(delivery, (ran, at), Some(taken));
            }
            Some(verdict) => self.settle(Ended::here(vec![delivery], verdict, taken)),
        }
    }

    fn start(&mut self, deliveries: Vec<Delivery>) {
        let (call, taken) = self.begin(&deliveries);
        if self.needs_task() {
            return self.call_in_task(call, deliveries, taken);
        }
        if let Some(verdict) = self.call_here(call, &deliveries, taken) {
            self.settle(Ended::here(deliveries, verdict, taken));
        }
    }

    /// Counts a call that begins.
    fn begin(&mut self, deliveries: &[Delivery]) -> (Call, Taken) {
        // To ask the clock again for a call that follows at once would cost more than most calls.
        let (began, now) = self.ended_at.take().unwrap_or_else(|| {
            let now = Instant::now();
            (now, self.clock.at(now))
        });
        for delivery in deliveries {
            self.metrics.wait.count(now.since(delivery.appended));
        }
        let taken = Taken {
            at: began,
            beside: self.running,
        };
        self.running += deliveries.len();
        self.metrics.running.store(self.running as u64, Relaxed);
        let name = Arc::clone(&self.subscription.name);
        let call = Call::new(name, deliveries, Arc::clone(&self.states));
        (call, taken)
    }

    /// Whether a call has a task of its own.
    fn needs_task(&self) -> bool {
        // A value is looked up first, which is another wait than the handler's.
        !self.subscription.signature.keyed.is_empty() || !self.brevity.is_usual()
    }

    fn call_in_task(&mut self, call: Call, deliveries: Vec<Delivery>, taken: Taken) {
        let handler = Arc::clone(&self.subscription.handler);
        let is_keyed = !self.subscription.signature.keyed.is_empty();
        let keyed = is_keyed.then(|| Arc::clone(&self.engine));
        let limit = self.subscription.options.timeout;
        let call = call::run(handler, call, keyed, deliveries.clone(), limit, taken);
        self.spawn(call, deliveries, taken);
    }

    /// Calls a handler that is usually brief; `None` when it waits after all, in a task.
    fn call_here(&mut self, call: Call, own: &[Delivery], taken: Taken) -> Option<Verdict> {
        self.turn += 1;
        match call::at_once(&*self.subscription.handler, call) {
            Ok(verdict) => Some(verdict),
            Err(work) => {
                self.brevity.learn(false, Duration::ZERO);
                let limit = self.subscription.options.timeout;
                let call = call::go_on(work, own.to_vec(), limit, (taken, taken.at));
                self.spawn(call, own.to_vec(), taken);
                None
            }
        }
    }

    /// Gives a call a task of its own, which may be cancelled where another may come in its place.
    fn spawn(
        &mut self,
        call: impl Future<Output = Ended> + Send + 'static,
        deliveries: Vec<Delivery>,
        taken: Taken,
    ) {
        let singleton = self.subscription.options.singleton.as_ref();
        match (singleton.map(|single| single.then), &*deliveries) {
            (Some(While::Cancel), [only]) => {
                let (cancel, cancelled) = oneshot::channel();
                self.cancels.insert(only.position, cancel);
                let call = call::cancellable(call, deliveries.clone(), cancelled);
                drop(self.calls.spawn(call::guarded(call, deliveries, taken)));
            }
            _ => drop(self.calls.spawn(call::guarded(call, deliveries, taken))),
        }
    }
}

/// Why there is no call for a delivery now.
enum Unfit {
    /// It is settled without one.
    Settled(Verdict),
    /// Others go first.
    Later,
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
