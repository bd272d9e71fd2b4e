//! What planning needs of each subscription: when events arrived, how long they were served and how
//! long they took, how attempts ended, what followed, and which keys are hot.
//!
//! Everything is bounded and forgotten after a while; one lock, which nobody else holds but a
//! reader, is taken for each pull, and for all calls together whose settlements share a commit.
//!
//! Every arrival and every end of an attempt is counted, and every key is seen. What else is known of
//! an event (its times, how often its key came, its priority) is noted of all while they are few, and
//! of one in eight beyond a limit in each window, which counts for eight.

mod keys;
mod sample;
mod series;
mod times;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use hence_core::{
    Delivery, Engine, EventType, Message, Options, Order, Outcome, RejectReason, Settlement,
    Timestamp,
};

pub use self::keys::KeyCounts;
use self::keys::Sketch;
pub(crate) use self::sample::Sample;
use self::series::{Inflows, Series};
pub use self::times::{Bin, Times};

/// The windows in which arrivals are counted.
pub const WINDOW: Duration = Duration::from_millis(20);
/// Windows that are kept, about eleven minutes.
pub const WINDOWS_MAX: usize = 32_768;
/// The blocks of time over which services are summed.
pub const BLOCK: Duration = Duration::from_secs(1);
/// Blocks that are kept, as long as the windows.
pub const BLOCKS_MAX: usize = 655;
/// After how long the counts begin anew; those of the period before are kept beside them.
const PERIOD: Duration = Duration::from_secs(327);
/// Types of events that are told apart; what is beyond counts for the whole subscription only.
const TYPES_MAX: usize = 64;
/// Priorities that are told apart; what is beyond counts with the least urgent of them.
const PRIORITIES_MAX: usize = 16;
/// Numbers of handlers at a time that are told apart; what is beyond counts with the last.
pub const BESIDE_MAX: usize = 64;

/// Sums over one block of time, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Block {
    /// About how many attempts ended: one that was measured counts for all that it stands for.
    pub count: u64,
    /// The sum of their service times, estimated so.
    pub sum: f64,
    /// The sum of their squares, estimated so.
    pub squares: f64,
}

/// Attempts that began beside the same number of others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Level {
    /// Of which a time was taken.
    pub samples: u64,
    /// For which these stand.
    pub count: u64,
    /// The sum of the service times of those, in seconds.
    pub sum: f64,
}

/// What was measured of one subscription in the last minutes. Times in seconds.
///
/// `arrivals`, `inflows`, `done`, `failed`, `rejected` and `emitted` count every event. Of an event
/// in a crowd the rest is a sample, in which one that was measured counts for all that it stands for:
/// exact while few come, and right on average when many do.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Arrivals in each window of [`WINDOW`], the oldest first; retries do not count.
    pub arrivals: Vec<u64>,
    /// The same for events that no other event caused, by type.
    pub inflows: BTreeMap<String, Vec<u64>>,
    /// From the beginning of an attempt to its end.
    pub service: Times,
    /// From the moment when an attempt could begin to its end.
    pub response: Times,
    /// Service times by [`BLOCK`], the oldest first.
    pub blocks: Vec<Block>,
    /// By how many others were with a handler when an attempt began: of the time of some minutes that
    /// goes on, and of the one before it. The last of 65 stands for all that had more company.
    pub beside: [Vec<Level>; 2],
    /// Attempts that were handled.
    pub done: u64,
    /// Attempts that failed, with or without another one after them.
    pub failed: u64,
    /// Attempts that the handler or the codec rejected.
    pub rejected: u64,
    /// Attempts that the time-out ended.
    pub cut: u64,
    /// Events that were published for what was handled, by type.
    pub emitted: BTreeMap<String, u64>,
    /// The keys of arrivals.
    pub keys: KeyCounts,
    /// Arrivals by priority, where the order of the subscription looks at it.
    pub priorities: BTreeMap<i32, u64>,
    /// From arrival to expiry, of those that expire.
    pub expiry: Times,
    /// About how many arrivals were in the time for which priorities and expiry are counted.
    pub counted: u64,
    /// Whether a call took several events at once.
    pub batched: bool,
    /// The numbers with which it runs.
    pub options: Option<Options>,
}

/// Measures one subscription.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    options: OnceLock<Options>,
    /// Whose clock tells the time: it has stamped the events. It may close while this is kept.
    engine: OnceLock<Weak<dyn Engine>>,
    off: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    began: Timestamp,
    arrivals: Series<u16>,
    inflows: Inflows,
    /// Where the series of the only type is that it takes: most take one, and to compare the names
    /// of types for each event costs.
    only: Option<usize>,
    blocks: Series<Block>,
    /// Of which arrivals keys, priorities and expiry are counted.
    sample: Sample,
    now: Counts,
    before: Counts,
    /// Which period `now` counts.
    period: u64,
}

/// What is counted for one period.
#[derive(Clone, Debug, Default)]
struct Counts {
    service: Times,
    response: Times,
    beside: Vec<Level>,
    done: u64,
    failed: u64,
    rejected: u64,
    cut: u64,
    emitted: BTreeMap<String, u64>,
    keys: Sketch,
    priorities: BTreeMap<i32, u64>,
    expiry: Times,
    counted: u64,
    batched: bool,
}

/// A call that has ended.
pub(crate) struct Call<'a> {
    pub(crate) deliveries: &'a [Delivery],
    pub(crate) settle: &'a [Settlement],
    /// What follows from it.
    pub(crate) publish: &'a [Message],
    pub(crate) time: CallTime,
}

/// When a call was, and how long it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallTime {
    /// How long the handler ran.
    pub(crate) ran: Duration,
    /// How long it had a worker: the handler, and what the runtime did before and after it while no
    /// other event could have the worker. This is the service time.
    pub(crate) occupied: Duration,
    /// When it ended.
    pub(crate) now: Timestamp,
    /// How many deliveries were with a handler when it began.
    pub(crate) beside: usize,
}

impl Meter {
    /// Says with which numbers, on which engine, and for which types the subscription runs.
    pub(crate) fn runs_with(
        &self,
        options: Options,
        engine: &Arc<dyn Engine>,
        takes: &[EventType],
    ) {
        // A subscription runs once in a process; its numbers do not change.
        let _ = self.options.set(options);
        if self.engine.set(Arc::downgrade(engine)).is_ok() {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.began = engine.now();
            if let [only] = takes {
                state.only = state.inflows.index_of(only.name, TYPES_MAX);
            }
        }
    }

    fn now(&self) -> Timestamp {
        let engine = self.engine.get().and_then(Weak::upgrade);
        engine.map_or_else(Timestamp::now, |engine| engine.now())
    }

    /// Goes on or stops measuring.
    pub(crate) fn measure(&self, on: bool) {
        self.off.store(!on, Relaxed);
    }

    /// Counts deliveries that the engine gave.
    pub(crate) fn arrived(&self, deliveries: &[Delivery]) {
        if self.off.load(Relaxed) {
            return;
        }
        let order = self.options.get().map(|options| options.order);
        let by_priority = order == Some(Order::Priority);
        let state = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let began = state.began;
        // What is pulled together mostly came together: one step in the series for all of it.
        let mut same = Together::default();
        for delivery in deliveries {
            if delivery.attempt != 1 || delivery.redriven {
                continue;
            }
            let at = ready(delivery);
            if at < began {
                continue;
            }
            if !same.has(at) {
                state.came(&mut same);
                same = Together::at(at, began);
                state.sample.turn(same.window);
            }
            state.arrived(delivery, &mut same, by_priority);
        }
        state.came(&mut same);
    }

    /// Counts a call that has ended.
    pub(crate) fn ended(&self, call: &Call<'_>) {
        if self.off.load(Relaxed) {
            return;
        }
        let limit = self.limit();
        let state = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.timed(&call.time, limit, 1);
        state.now.count(call, state.began);
    }

    /// Counts so many calls of one delivery each that have ended well, with nothing that follows.
    /// Of those that were chosen: when each could begin (not for what is redriven), its time, and
    /// for how many it stands. Empties the list.
    pub(crate) fn done(&self, count: usize, calls: &mut Vec<(Option<Timestamp>, CallTime, u32)>) {
        let limit = self.limit();
        let last = calls.last().map(|(_, time, _)| time.now);
        let now = last.unwrap_or_else(|| self.now());
        let state = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let began = state.began;
        // Perhaps none was chosen, and they ended in a new period all the same.
        state.turn(steps(now, began, PERIOD));
        state.now.done += count as u64;
        for (ready, time, weight) in calls.drain(..) {
            state.timed(&time, limit, weight);
            if let Some(ready) = ready.filter(|ready| *ready >= began) {
                (state.now.response).record(time.now.since(ready), weight);
            }
        }
    }

    /// Whether it measures.
    pub(crate) fn is_on(&self) -> bool {
        !self.off.load(Relaxed)
    }

    /// How long a call may take.
    fn limit(&self) -> Duration {
        let options = self.options.get();
        options.map_or(Duration::MAX, |options| options.timeout)
    }

    /// What was measured up to now.
    pub(crate) fn measured(&self) -> Measured {
        let now = self.now();
        let state = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let began = state.began;
        state.turn(steps(now, began, PERIOD));
        let window = steps(now, began, WINDOW);
        let counts = |series: &Series<u16>| {
            let counts = series.list(window, WINDOWS_MAX);
            counts.into_iter().map(u64::from).collect::<Vec<_>>()
        };
        let mut all = state.before.clone();
        all.add(&state.now);
        Measured {
            arrivals: counts(&state.arrivals),
            inflows: (state.inflows.all())
                .map(|(name, series)| (name.to_owned(), counts(series)))
                .collect(),
            blocks: state.blocks.list(steps(now, began, BLOCK), BLOCKS_MAX),
            service: all.service,
            response: all.response,
            beside: [state.now.beside.clone(), state.before.beside.clone()],
            done: all.done,
            failed: all.failed,
            rejected: all.rejected,
            cut: all.cut,
            emitted: all.emitted,
            keys: all.keys.counts(),
            priorities: all.priorities,
            expiry: all.expiry,
            counted: all.counted,
            batched: all.batched,
            options: self.options.get().cloned(),
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            began: Timestamp::steady(),
            arrivals: Series::default(),
            inflows: Inflows::default(),
            only: None,
            blocks: Series::default(),
            sample: Sample::default(),
            now: Counts::default(),
            before: Counts::default(),
            period: 0,
        }
    }
}

/// Arrivals of one window that are to be counted.
#[derive(Default)]
struct Together {
    /// Its number, and its bounds in microseconds.
    window: u64,
    from: i64,
    to: i64,
    all: u16,
    /// Of one type and from outside: where its series is, and how many.
    inflow: Option<usize>,
    of_type: u16,
}

impl Together {
    /// None yet, in the window of a moment.
    fn at(at: Timestamp, began: Timestamp) -> Self {
        let window = steps(at, began, WINDOW);
        let length = micros(WINDOW) as i64;
        let from = began.as_micros() + window as i64 * length;
        let to = from + length;
        Self {
            window,
            from,
            to,
            ..Self::default()
        }
    }

    fn has(&self, at: Timestamp) -> bool {
        (self.from..self.to).contains(&at.as_micros())
    }
}

impl State {
    fn arrived(&mut self, delivery: &Delivery, same: &mut Together, by_priority: bool) {
        same.all = same.all.saturating_add(1);
        let attributes = delivery.message.attributes();
        if attributes.causation_id().is_none() {
            let find = || self.inflows.index_of(attributes.event_type(), TYPES_MAX);
            let series = self.only.or_else(find);
            if series != same.inflow {
                self.flowed(same);
                same.inflow = series;
            }
            same.of_type = same.of_type.saturating_add(1);
        }
        let key = attributes.key().map(|key| self.now.keys.see(key));
        if let Some(weight) = self.sample.next() {
            self.now.count_traits(delivery, key, by_priority, weight);
        }
    }

    /// Writes down what came together.
    fn came(&mut self, same: &mut Together) {
        add(&mut self.arrivals, (same.window, same.all));
        same.all = 0;
        self.flowed(same);
    }

    fn flowed(&mut self, same: &mut Together) {
        if let Some(series) = same.inflow.and_then(|index| self.inflows.at(index)) {
            add(series, (same.window, same.of_type));
        }
        same.of_type = 0;
    }

    /// Counts when a call was and how long it took, in the period that it is then.
    fn timed(&mut self, time: &CallTime, limit: Duration, weight: u32) {
        self.turn(steps(time.now, self.began, PERIOD));
        let seconds = time.occupied.as_secs_f64();
        let (count, sum) = (u64::from(weight), f64::from(weight) * seconds);
        let block = steps(time.now, self.began, BLOCK);
        if let Some(block) = self.blocks.at(block, BLOCKS_MAX) {
            block.count += count;
            block.sum += sum;
            block.squares += sum * seconds;
        }
        let now = &mut self.now;
        now.service.record(time.occupied, weight);
        let slot = time.beside.min(BESIDE_MAX);
        if now.beside.len() <= slot {
            now.beside.resize(slot + 1, Level::default());
        }
        if let Some(beside) = now.beside.get_mut(slot) {
            beside.samples += 1;
            beside.count += count;
            beside.sum += sum;
        }
        if time.ran >= limit {
            now.cut += count;
        }
    }

    /// Begins the period that it is now.
    fn turn(&mut self, period: u64) {
        if period > self.period {
            let last = std::mem::take(&mut self.now);
            self.before = if period == self.period + 1 {
                last
            } else {
                Counts::default()
            };
            self.period = period;
        }
    }
}

impl Counts {
    /// Counts the key of an arrival, by its hash, and what an order may look at, as often as it
    /// stands for.
    fn count_traits(
        &mut self,
        delivery: &Delivery,
        key: Option<u64>,
        by_priority: bool,
        weight: u32,
    ) {
        self.counted += u64::from(weight);
        let attributes = delivery.message.attributes();
        if let Some(key) = key {
            self.keys.count(key, weight);
        }
        if let Some(expires) = attributes.expires() {
            self.expiry.record(expires.since(delivery.appended), weight);
        }
        if by_priority {
            let priority = attributes.priority();
            let known = self.priorities.contains_key(&priority);
            let priority = match self.priorities.first_key_value() {
                Some((least, _)) if !known && self.priorities.len() >= PRIORITIES_MAX => *least,
                _ => priority,
            };
            *self.priorities.entry(priority).or_default() += u64::from(weight);
        }
    }

    fn count(&mut self, call: &Call<'_>, began: Timestamp) {
        self.batched |= call.deliveries.len() > 1;
        for delivery in call.deliveries {
            let ready = ready(delivery);
            // What waited for a start of the process, or for a person, says nothing about load.
            if ready >= began && !delivery.redriven {
                self.response.record(call.time.now.since(ready), 1);
            }
        }
        for settlement in call.settle {
            match settlement.outcome {
                Outcome::Done => self.done += 1,
                Outcome::Retry { .. }
                | Outcome::Reject {
                    reason: RejectReason::RetriesExhausted,
                    ..
                } => self.failed += 1,
                Outcome::Reject { .. } => self.rejected += 1,
                // No handler ran, so it is no sample of anything.
                Outcome::Expired { .. } | Outcome::Skipped { .. } => {}
            }
        }
        for message in call.publish {
            let name = message.attributes().event_type();
            if let Some(count) = self.emitted.get_mut(name) {
                *count += 1;
            } else if self.emitted.len() < TYPES_MAX {
                self.emitted.insert(name.to_owned(), 1);
            }
        }
    }

    fn add(&mut self, other: &Self) {
        self.service.add(&other.service);
        self.response.add(&other.response);
        self.done += other.done;
        self.failed += other.failed;
        self.rejected += other.rejected;
        self.cut += other.cut;
        for (name, count) in &other.emitted {
            *self.emitted.entry(name.clone()).or_default() += count;
        }
        self.keys.add(&other.keys);
        for (priority, count) in &other.priorities {
            *self.priorities.entry(*priority).or_default() += count;
        }
        self.expiry.add(&other.expiry);
        self.counted += other.counted;
        self.batched |= other.batched;
    }
}

/// When an attempt could begin: after the back-off, or when it was due by its sender's wish.
pub(crate) fn ready(delivery: &Delivery) -> Timestamp {
    delivery.due.unwrap_or_else(|| {
        let at = delivery.message.attributes().deliver_at();
        at.map_or(delivery.appended, |at| at.max(delivery.appended))
    })
}

/// Counts so many more arrivals in a window.
fn add(series: &mut Series<u16>, (window, more): (u64, u16)) {
    if more > 0
        && let Some(count) = series.at(window, WINDOWS_MAX)
    {
        *count = count.saturating_add(more);
    }
}

/// How many whole steps a moment is after another; a microsecond is fine enough.
#[inline]
fn steps(at: Timestamp, began: Timestamp, step: Duration) -> u64 {
    let age = at.as_micros().saturating_sub(began.as_micros());
    u64::try_from(age).unwrap_or(0) / micros(step).max(1)
}

/// In 64 bits, because it is asked several times for each event.
const fn micros(time: Duration) -> u64 {
    time.as_secs() * 1_000_000 + time.subsec_micros() as u64
}

#[cfg(test)]
mod tests;
