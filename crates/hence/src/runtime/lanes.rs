//! `Lanes`: deliveries that wait for their turn, one lane for each key.
//!
//! A lane exists only while something of its key is here, so idle keys cost nothing. It gives out
//! one delivery at a time; while that runs, backs off, or lies with the dead letters, the rest of
//! its key waits, and other keys go on. Deliveries without a key, and all of an order that knows
//! no keys, wait in one [`Pool`].

mod batch;
mod place;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use hence_core::{Delivery, Message, Options, Order, Position, Timestamp};

use super::clock::Clock;
use super::gate::{Gate, Unit};
use super::pool::Pool;
use super::turns::Turns;

pub(crate) use batch::Batch;

/// The most deliveries that may wait behind one key that backs off or is held; beyond it the
/// subscription pulls no more.
pub(crate) const BLOCKED_PER_KEY_MAX: usize = 1_000;
/// The same for all keys of a subscription together.
pub(crate) const BLOCKED_MAX: usize = 100_000;
/// The most deliveries that may wait behind keys that are busy; beyond it nothing is pulled until
/// one of them ends. Below it a key that is hot keeps no other key waiting.
pub(crate) const PARKED_MAX: usize = 10_000;
/// About how many bytes the deliveries of a subscription that wait here may have together. Where
/// most of them wait behind failures, the subscription pauses; else it pulls when some have ended.
pub(crate) const WAITING_BYTES_MAX: usize = 64 << 20;

/// The lane of all deliveries under [`Order::Fifo`].
const FIFO: &str = "";

/// So many deliveries, and about how many bytes they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl Load {
    pub(crate) fn add(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
    }

    pub(crate) fn take(&mut self, other: Self) {
        self.events -= other.events;
        self.bytes -= other.bytes;
    }

    fn change(&mut self, before: Self, after: Self) {
        self.add(after);
        self.take(before);
    }

    pub(crate) fn of(delivery: &Delivery) -> Self {
        Self {
            events: 1,
            bytes: delivery.message.footprint(),
        }
    }
}

/// As what the deliveries of one lane count.
#[derive(Clone, Copy, Default)]
struct Tally {
    blocked: Load,
    ready: Load,
    parked: Load,
    crowded: usize,
}

struct Lane {
    name: Arc<str>,
    /// Deliveries in order; those from the dead letters stand before the others.
    redriven: VecDeque<Delivery>,
    queue: VecDeque<Delivery>,
    /// About how many bytes these have.
    bytes: usize,
    /// How many of the lane are with a handler or with the engine: several only in one batch.
    busy: usize,
    /// How many of the lane wait for their next attempt.
    retrying: usize,
    /// Dead letters: what is behind one of them waits for it, redriven or not.
    held: BTreeSet<Position>,
    /// Dead letters that were discarded while some of the lane were busy, perhaps with them.
    discarded: BTreeSet<Position>,
    /// The lane stands in the list of lanes that have something to give.
    listed: bool,
    /// It waits at the gate.
    gated: bool,
}

impl Lane {
    fn new(name: Arc<str>) -> Self {
        Self {
            name,
            redriven: VecDeque::new(),
            queue: VecDeque::new(),
            bytes: 0,
            busy: 0,
            retrying: 0,
            held: BTreeSet::new(),
            discarded: BTreeSet::new(),
            listed: false,
            gated: false,
        }
    }

    /// As what its deliveries count, where so many of them may be handled in one call.
    fn tally(&self, width: usize) -> Tally {
        let (length, bytes) = (self.len(), self.bytes);
        if self.is_blocked() {
            return Tally {
                blocked: Load {
                    events: length,
                    bytes,
                },
                crowded: usize::from(length >= BLOCKED_PER_KEY_MAX),
                ..Tally::default()
            };
        }
        let ready = match self.busy {
            0 if !self.gated => length.min(width),
            _ => 0,
        };
        Tally {
            ready: Load {
                events: ready,
                bytes: 0,
            },
            parked: Load {
                events: length - ready,
                bytes,
            },
            ..Tally::default()
        }
    }

    fn has_next(&self) -> bool {
        self.busy == 0
            && self.retrying == 0
            && (self.goes(&self.redriven) || self.goes(&self.queue))
    }

    /// Whether the first of a queue has no dead letter before it.
    fn goes(&self, queue: &VecDeque<Delivery>) -> bool {
        queue.front().is_some_and(|first| !self.is_behind(first))
    }

    fn is_behind(&self, delivery: &Delivery) -> bool {
        self.held.range(..delivery.position).next().is_some()
    }

    /// What it would give next.
    fn head(&self) -> Option<&Delivery> {
        if self.goes(&self.redriven) {
            self.redriven.front()
        } else {
            self.queue.front()
        }
    }

    /// Takes deliveries that may be handled in one call, from the first on as long as they fit, and
    /// says how many.
    fn take_while(
        &mut self,
        mut fits: impl FnMut(&Delivery) -> bool,
        taken: &mut Vec<Delivery>,
    ) -> usize {
        let redriven = self.goes(&self.redriven);
        let from = if redriven {
            &self.redriven
        } else {
            &self.queue
        };
        let going = from.iter().take_while(|next| !self.is_behind(next));
        let count = going.take_while(|next| fits(next)).count();
        self.busy = count;
        let from = if redriven {
            &mut self.redriven
        } else {
            &mut self.queue
        };
        for delivery in from.drain(..count) {
            self.bytes -= Load::of(&delivery).bytes;
            taken.push(delivery);
        }
        count
    }

    /// Puts a delivery behind all others.
    fn push(&mut self, delivery: Delivery) {
        self.bytes += Load::of(&delivery).bytes;
        // Most lanes have one at a time, and room for more would be most of what they take.
        self.queue.reserve_exact(usize::from(self.queue.is_empty()));
        self.queue.push_back(delivery);
    }

    /// Puts a delivery where its position belongs.
    fn insert(&mut self, delivery: Delivery) {
        self.bytes += Load::of(&delivery).bytes;
        let queue = self.queue_for(&delivery);
        let before = queue.partition_point(|other| other.position < delivery.position);
        queue.insert(before, delivery);
    }

    /// Notes that a delivery is busy no longer; whether it is wanted, for it may be discarded.
    fn free(&mut self, position: Position) -> bool {
        self.busy -= 1;
        let is_wanted = !self.discarded.remove(&position);
        if self.busy == 0 {
            self.discarded.clear();
        }
        is_wanted
    }

    /// Forgets a dead letter that was discarded, wherever it is.
    fn release(&mut self, position: Position, backs_off: bool) {
        self.held.remove(&position);
        let at = self
            .redriven
            .iter()
            .position(|sent| sent.position == position);
        if let Some(sent) = at.and_then(|at| self.redriven.remove(at)) {
            self.bytes -= Load::of(&sent).bytes;
        }
        self.retrying -= usize::from(backs_off);
        if self.busy > 0 {
            self.discarded.insert(position);
        }
    }

    fn queue_for(&mut self, delivery: &Delivery) -> &mut VecDeque<Delivery> {
        if delivery.redriven {
            &mut self.redriven
        } else {
            &mut self.queue
        }
    }

    fn is_blocked(&self) -> bool {
        self.retrying > 0 || !self.held.is_empty()
    }

    fn len(&self) -> usize {
        self.queue.len() + self.redriven.len()
    }

    fn is_idle(&self) -> bool {
        self.busy + self.retrying + self.held.len() + self.len() == 0
    }
}

/// A delivery that waits for a moment.
struct Waiting {
    delivery: Delivery,
    /// It was shed, and has not failed.
    shed: bool,
}

/// Deliveries that wait for their turn.
pub(crate) struct Lanes {
    order: Order,
    clock: Clock,
    lanes: HashMap<Arc<str>, Lane, RandomState>,
    /// Lanes that have something to give, in the order of their turns.
    listed: Turns<Arc<str>>,
    /// Where those of a group wait that may not begin together.
    gate: Option<Gate>,
    /// Deliveries without a lane.
    free: Pool,
    /// Deliveries that wait for their next attempt, soonest first.
    retries: BinaryHeap<Reverse<(Timestamp, Position)>>,
    waiting: HashMap<Position, Waiting>,
    /// Those of them that back off.
    retrying: Load,
    /// Deliveries behind keys that back off or are held.
    blocked: Load,
    /// Deliveries that could run now.
    ready: Load,
    /// Deliveries that could run once their lane is free.
    parked: Load,
    /// How many deliveries of one key may be handled in one call.
    width: usize,
    /// A key has reached [`BLOCKED_PER_KEY_MAX`].
    crowded: usize,
}

impl Lanes {
    pub(crate) fn new(
        options: &Options,
        held: BTreeMap<Position, Option<String>>,
        clock: Clock,
        width: usize,
    ) -> Self {
        let mut lanes = Self {
            order: options.order,
            clock,
            lanes: HashMap::default(),
            listed: Turns::new(options.fair.as_ref()),
            gate: options.limit.clone().map(Gate::new),
            free: Pool::new(options.order, options.fair.as_ref()),
            retries: BinaryHeap::new(),
            waiting: HashMap::new(),
            retrying: Load::default(),
            blocked: Load::default(),
            ready: Load::default(),
            parked: Load::default(),
            width,
            crowded: 0,
        };
        for (position, key) in held {
            if let Some(key) = lanes.lane_of(key.as_deref()) {
                lanes.change(key, |lane| {
                    lane.held.insert(position);
                });
            }
        }
        lanes
    }

    /// Takes a delivery from the engine.
    pub(crate) fn push(&mut self, delivery: Delivery) {
        if let Some(due) = delivery.due.filter(|due| *due > self.clock.now()) {
            self.change_of(&delivery.message, |lane| lane.retrying += 1);
            self.wait(delivery, due, false);
            return;
        }
        // Kept for its key beside the delivery, which moves into the lane.
        let message = match self.lane_of(delivery.message.attributes().key()) {
            Some(_) => Some(delivery.message.clone()),
            None => None,
        };
        let key = message.as_ref().map(|message| message.attributes().key());
        let Some(key) = key.and_then(|key| self.lane_of(key)) else {
            self.ready.add(Load::of(&delivery));
            self.free.push(delivery);
            return;
        };
        self.change(key, |lane| {
            if delivery.redriven {
                lane.insert(delivery);
            } else {
                lane.push(delivery);
            }
        });
    }

    /// Gives up to `max` deliveries that may be handled in one call, those of one key in their
    /// order. Their lanes are busy until each is [`done`](Self::done), [`hold`](Self::hold) or
    /// [`back_off`](Self::back_off).
    pub(crate) fn pop(&mut self, max: usize, popped: &mut Vec<Delivery>) {
        loop {
            while popped.len() < max
                && let Some(key) = self.listed.pop()
            {
                self.pop_lane(&key, max, popped);
            }
            while popped.len() < max
                && let Some(delivery) = self.free.pop(|| self.clock.now())
            {
                self.ready.take(Load::of(&delivery));
                match &mut self.gate {
                    Some(gate) if !gate.admits(&delivery) => {
                        self.parked.add(Load::of(&delivery));
                        gate.wait(&delivery.clone(), Unit::Free(delivery));
                    }
                    _ => {
                        self.begin(&delivery);
                        popped.push(delivery);
                    }
                }
            }
            if popped.len() == max || !self.reopen() {
                return;
            }
        }
    }

    /// Takes from a lane that has its turn, or lets it wait at the gate.
    fn pop_lane(&mut self, key: &Arc<str>, max: usize, popped: &mut Vec<Delivery>) {
        if let Some(gate) = &mut self.gate
            && let Some(head) = self.lanes.get(key).and_then(Lane::head)
            && !gate.admits(head)
        {
            gate.wait(head, Unit::Lane(Arc::clone(key)));
            return self.change(key, |lane| lane.gated = true);
        }
        let first = popped.len();
        self.change(key, |lane| {
            lane.listed = false;
            if lane.has_next() {
                let mut left = max - popped.len();
                let fits = |_: &Delivery| {
                    let more = left > 0;
                    left = left.saturating_sub(1);
                    more
                };
                lane.take_while(fits, popped);
            }
        });
        for delivery in popped.iter().skip(first) {
            self.begin(delivery);
        }
    }

    fn begin(&mut self, delivery: &Delivery) {
        if let Some(gate) = &mut self.gate {
            gate.begin(delivery);
        }
    }

    fn end(&mut self, delivery: &Delivery) {
        if let Some(gate) = &mut self.gate {
            gate.end(delivery);
        }
    }

    /// Takes back what may pass the gate now, and says whether there is anything.
    fn reopen(&mut self) -> bool {
        let units = self.gate.as_mut().map(Gate::reopen).unwrap_or_default();
        let any = !units.is_empty();
        for unit in units {
            match unit {
                Unit::Free(delivery) => {
                    self.parked.take(Load::of(&delivery));
                    self.ready.add(Load::of(&delivery));
                    self.free.put_back(delivery);
                }
                Unit::Lane(key) => {
                    self.change(&key, |lane| {
                        lane.gated = false;
                        lane.listed = lane.head().is_some();
                    });
                    if let Some(head) = self.lanes.get(&key).and_then(Lane::head) {
                        self.listed.put_back(key, head);
                    }
                }
            }
        }
        any
    }

    /// Learns how long a call for some deliveries took.
    pub(crate) fn served(&mut self, deliveries: &[Delivery], ran: Duration) {
        if let Some(first) = deliveries.first() {
            self.free.served(first, ran);
        }
    }

    /// Frees the lane of a delivery that is settled as done, or as dead without a hold.
    pub(crate) fn done(&mut self, delivery: &Delivery) {
        self.end(delivery);
        self.change_of(&delivery.message, |lane| {
            lane.free(delivery.position);
            lane.held.remove(&delivery.position);
        });
    }

    /// Frees the lane of a delivery that became a dead letter; the rest of the key waits for it.
    pub(crate) fn hold(&mut self, delivery: &Delivery) {
        self.end(delivery);
        self.change_of(&delivery.message, |lane| {
            if lane.free(delivery.position) {
                lane.held.insert(delivery.position);
            }
        });
    }

    /// Forgets dead letters that were discarded: what is behind them goes on.
    pub(crate) fn release(&mut self, released: BTreeMap<Position, Option<String>>) {
        for (position, key) in released {
            let waiting = self.waiting.remove(&position);
            if let Some(waiting) = &waiting {
                self.retrying.take(Load::of(&waiting.delivery));
            }
            if let Some(key) = self.lane_of(key.as_deref()) {
                self.change(key, |lane| lane.release(position, waiting.is_some()));
            } else if let Some(delivery) = self.free.forget(position) {
                self.ready.take(Load::of(&delivery));
            }
        }
    }

    /// Keeps a delivery that ran until it is due again; the rest of its key waits for it.
    pub(crate) fn back_off(&mut self, delivery: Delivery) {
        self.put_off(delivery, false);
    }

    /// Keeps a delivery that was shed until it has its turn again, as one that failed.
    pub(crate) fn shed(&mut self, delivery: Delivery) {
        self.put_off(delivery, true);
    }

    fn put_off(&mut self, delivery: Delivery, shed: bool) {
        self.end(&delivery);
        let due = delivery.due.unwrap_or_else(|| self.clock.now());
        let mut is_wanted = true;
        self.change_of(&delivery.message, |lane| {
            is_wanted = lane.free(delivery.position);
            lane.retrying += usize::from(is_wanted);
        });
        if is_wanted {
            self.wait(delivery, due, shed);
        }
    }

    fn wait(&mut self, delivery: Delivery, due: Timestamp, shed: bool) {
        self.retrying.add(Load::of(&delivery));
        self.retries.push(Reverse((due, delivery.position)));
        let position = delivery.position;
        self.waiting.insert(position, Waiting { delivery, shed });
    }

    /// Lets a delivery that backs off go on at once.
    pub(crate) fn hurry(&mut self, position: Position) {
        if self.waiting.contains_key(&position) {
            let now = self.clock.now();
            self.retries.push(Reverse((now, position)));
            self.wake(now);
        }
    }

    /// When the next delivery that backs off is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.retries.peek().map(|Reverse((due, _))| *due)
    }

    /// Puts deliveries that are due by `now` at the head of their lanes.
    ///
    /// They go in front of what came after them, so the order of the key is kept.
    pub(crate) fn wake(&mut self, now: Timestamp) {
        while self.next_due().is_some_and(|due| due <= now) {
            let Some(Reverse((_, position))) = self.retries.pop() else {
                return;
            };
            let Some(Waiting { delivery, .. }) = self.waiting.remove(&position) else {
                continue;
            };
            self.retrying.take(Load::of(&delivery));
            let message = delivery.message.clone();
            match self.lane_of(message.attributes().key()) {
                None => {
                    self.ready.add(Load::of(&delivery));
                    self.free.put_back(delivery);
                }
                Some(key) => self.change(key, |lane| {
                    lane.retrying -= 1;
                    lane.insert(delivery);
                }),
            }
        }
    }

    /// Deliveries that could run now.
    pub(crate) fn ready(&self) -> usize {
        self.ready.events
    }

    /// How many more may be taken in that would have to wait for something else than a worker;
    /// `before` the lanes waits so much already.
    pub(crate) fn room(&self, before: Load) -> usize {
        let loads = [before, self.ready, self.parked, self.blocked, self.retrying];
        let bytes: usize = loads.iter().map(|load| load.bytes).sum();
        if bytes >= WAITING_BYTES_MAX {
            return 0;
        }
        PARKED_MAX.saturating_sub(self.parked.events + before.events)
    }

    /// Whether a delivery may run now.
    pub(crate) fn has_next(&self) -> bool {
        !self.free.is_empty() || !self.listed.is_empty()
    }

    /// Whether so many wait behind failures that no more should be pulled.
    pub(crate) fn is_crowded(&self) -> bool {
        let Load { events, bytes } = self.behind_failures();
        self.crowded > 0 || events >= BLOCKED_MAX || bytes >= WAITING_BYTES_MAX
    }

    fn behind_failures(&self) -> Load {
        let mut all = self.blocked;
        all.add(self.retrying);
        all
    }

    /// Which limit is reached, in words.
    pub(crate) fn limit(&self) -> String {
        if self.crowded > 0 {
            format!("{BLOCKED_PER_KEY_MAX} events of one key wait")
        } else if self.behind_failures().events >= BLOCKED_MAX {
            format!("{BLOCKED_MAX} events wait")
        } else {
            format!("events of {} MiB wait", WAITING_BYTES_MAX >> 20)
        }
    }

    /// The lane of a message, as far as it has one.
    fn lane_of<'a>(&self, key: Option<&'a str>) -> Option<&'a str> {
        match self.order {
            Order::Fifo => Some(FIFO),
            Order::PerKey => key,
            _ => None,
        }
    }

    /// Changes the lane of a message and keeps the counts and the list true; whether it has one.
    fn change_of(&mut self, message: &Message, change: impl FnOnce(&mut Lane)) -> bool {
        let lane = self.lane_of(message.attributes().key());
        if let Some(key) = lane {
            self.change(key, change);
        }
        lane.is_some()
    }

    fn change(&mut self, key: &str, change: impl FnOnce(&mut Lane)) {
        let lane = match self.lanes.get_mut(key) {
            Some(lane) => lane,
            None => {
                let name: Arc<str> = key.into();
                let lane = Lane::new(Arc::clone(&name));
                self.lanes.entry(name).or_insert(lane)
            }
        };
        let before = lane.tally(self.width);
        change(lane);
        if lane.has_next() && !lane.listed {
            lane.listed = true;
            if let Some(head) = lane.head() {
                self.listed.push(Arc::clone(&lane.name), head);
            }
        }
        let after = lane.tally(self.width);
        let over = lane.is_idle() && !lane.listed;
        self.count(before, after);
        if over {
            self.lanes.remove(key);
        }
    }

    fn count(&mut self, before: Tally, after: Tally) {
        self.blocked.change(before.blocked, after.blocked);
        self.ready.change(before.ready, after.ready);
        self.parked.change(before.parked, after.parked);
        self.crowded = self.crowded + after.crowded - before.crowded;
    }
}

#[cfg(test)]
mod tests;
