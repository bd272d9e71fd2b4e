//! `Lanes`: deliveries that wait for their turn, one lane for each key.
//!
//! A lane exists only while something of its key is here, so idle keys cost nothing. It gives out
//! one delivery at a time; while that runs, backs off, or lies with the dead letters, the rest of
//! its key waits, and other keys go on. Deliveries without a key, and all of an order that knows
//! no keys, wait in one [`Pool`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};

use hence_core::{Delivery, Order, Position, Timestamp};

use super::clock::Clock;
use super::pool::Pool;

/// The most deliveries that may wait behind one key that backs off or is held; beyond it the
/// subscription pulls no more.
pub(crate) const BLOCKED_PER_KEY_MAX: usize = 1_000;
/// The same for all keys of a subscription together.
pub(crate) const BLOCKED_MAX: usize = 100_000;

/// The lane of all deliveries under [`Order::Fifo`].
const FIFO: &str = "";

#[derive(Default)]
struct Lane {
    /// Deliveries in order; those from the dead letters stand before the others.
    redriven: VecDeque<Delivery>,
    queue: VecDeque<Delivery>,
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
}

impl Lane {
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

    /// Takes up to `max` deliveries that may be handled in one call.
    fn take(&mut self, max: usize) -> Vec<Delivery> {
        let redriven = self.goes(&self.redriven);
        let from = if redriven {
            &self.redriven
        } else {
            &self.queue
        };
        let going = from.iter().take(max);
        let count = going.take_while(|next| !self.is_behind(next)).count();
        self.busy = count;
        let from = if redriven {
            &mut self.redriven
        } else {
            &mut self.queue
        };
        from.drain(..count).collect()
    }

    /// Puts a delivery where its position belongs.
    fn insert(&mut self, delivery: Delivery) {
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

/// Deliveries that wait for their turn.
pub(crate) struct Lanes {
    order: Order,
    clock: Clock,
    lanes: HashMap<Box<str>, Lane>,
    /// Lanes that have something to give, oldest first.
    listed: VecDeque<Box<str>>,
    /// Deliveries without a lane.
    free: Pool,
    /// Deliveries that wait for their next attempt, soonest first.
    retries: BinaryHeap<Reverse<(Timestamp, Position)>>,
    waiting: HashMap<Position, Delivery>,
    /// Deliveries behind keys that back off or are held.
    blocked: usize,
    /// Deliveries that could run now or once their lane is free.
    runnable: usize,
    /// A key has reached [`BLOCKED_PER_KEY_MAX`].
    crowded: usize,
}

impl Lanes {
    pub(crate) fn new(
        order: Order,
        held: BTreeMap<Position, Option<String>>,
        clock: Clock,
    ) -> Self {
        let mut lanes = Self {
            order,
            clock,
            lanes: HashMap::new(),
            listed: VecDeque::new(),
            free: Pool::new(order),
            retries: BinaryHeap::new(),
            waiting: HashMap::new(),
            blocked: 0,
            runnable: 0,
            crowded: 0,
        };
        for (position, key) in held {
            if let Some(key) = lanes.lane_of(key.as_deref()) {
                lanes.lanes.entry(key).or_default().held.insert(position);
            }
        }
        lanes
    }

    /// Takes a delivery from the engine.
    pub(crate) fn push(&mut self, delivery: Delivery) {
        let key = self.key_of(&delivery);
        if let Some(due) = delivery.due.filter(|due| *due > self.clock.now()) {
            if let Some(key) = key {
                self.change(key, |lane| lane.retrying += 1);
            }
            self.wait(delivery, due);
            return;
        }
        let Some(key) = key else {
            self.free.push(delivery);
            self.runnable += 1;
            return;
        };
        self.change(key, |lane| {
            if delivery.redriven {
                lane.insert(delivery);
            } else {
                lane.queue.push_back(delivery);
            }
        });
    }

    /// Gives up to `max` deliveries that may be handled in one call, those of one key in their
    /// order. Their lanes are busy until each is [`done`](Self::done), [`hold`](Self::hold) or
    /// [`back_off`](Self::back_off).
    pub(crate) fn pop(&mut self, max: usize) -> Vec<Delivery> {
        let mut popped = Vec::with_capacity(max.min(self.runnable));
        while popped.len() < max {
            let Some(key) = self.listed.pop_front() else {
                break;
            };
            self.change(key, |lane| {
                lane.listed = false;
                if lane.has_next() {
                    popped.extend(lane.take(max - popped.len()));
                }
            });
        }
        while popped.len() < max
            && let Some(delivery) = self.free.pop()
        {
            self.runnable -= 1;
            popped.push(delivery);
        }
        popped
    }

    /// Frees the lane of a delivery that is settled as done, or as dead without a hold.
    pub(crate) fn done(&mut self, delivery: &Delivery) {
        if let Some(key) = self.key_of(delivery) {
            self.change(key, |lane| {
                lane.free(delivery.position);
                lane.held.remove(&delivery.position);
            });
        }
    }

    /// Frees the lane of a delivery that became a dead letter; the rest of the key waits for it.
    pub(crate) fn hold(&mut self, delivery: &Delivery) {
        if let Some(key) = self.key_of(delivery) {
            self.change(key, |lane| {
                if lane.free(delivery.position) {
                    lane.held.insert(delivery.position);
                }
            });
        }
    }

    /// Forgets dead letters that were discarded: what is behind them goes on.
    pub(crate) fn release(&mut self, released: BTreeMap<Position, Option<String>>) {
        for (position, key) in released {
            let backs_off = self.waiting.remove(&position).is_some();
            if let Some(key) = self.lane_of(key.as_deref()) {
                self.change(key, |lane| {
                    lane.held.remove(&position);
                    lane.redriven.retain(|sent| sent.position != position);
                    lane.retrying -= usize::from(backs_off);
                    if lane.busy > 0 {
                        lane.discarded.insert(position);
                    }
                });
            } else if self.free.forget(position) {
                self.runnable -= 1;
            }
        }
    }

    /// Keeps a delivery that ran until it is due again; the rest of its key waits for it.
    pub(crate) fn back_off(&mut self, delivery: Delivery) {
        let due = delivery.due.unwrap_or_else(|| self.clock.now());
        let mut is_wanted = true;
        if let Some(key) = self.key_of(&delivery) {
            self.change(key, |lane| {
                is_wanted = lane.free(delivery.position);
                lane.retrying += usize::from(is_wanted);
            });
        }
        if is_wanted {
            self.wait(delivery, due);
        }
    }

    fn wait(&mut self, delivery: Delivery, due: Timestamp) {
        self.retries.push(Reverse((due, delivery.position)));
        self.waiting.insert(delivery.position, delivery);
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
            let Some(delivery) = self.waiting.remove(&position) else {
                continue;
            };
            match self.key_of(&delivery) {
                None => {
                    self.free.put_back(delivery);
                    self.runnable += 1;
                }
                Some(key) => self.change(key, |lane| {
                    lane.retrying -= 1;
                    lane.insert(delivery);
                }),
            }
        }
    }

    /// Deliveries that could run now or once their lane is free.
    pub(crate) fn runnable(&self) -> usize {
        self.runnable
    }

    /// Whether a delivery may run now.
    pub(crate) fn has_next(&self) -> bool {
        !self.free.is_empty() || !self.listed.is_empty()
    }

    /// Whether so many wait behind failures that no more should be pulled.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded > 0 || self.blocked + self.waiting.len() >= BLOCKED_MAX
    }

    /// Which limit is reached, in words.
    pub(crate) fn limit(&self) -> String {
        if self.crowded > 0 {
            format!("{BLOCKED_PER_KEY_MAX} events of one key wait")
        } else {
            format!("{BLOCKED_MAX} events wait")
        }
    }

    fn lane_of(&self, key: Option<&str>) -> Option<Box<str>> {
        match self.order {
            Order::Fifo => Some(FIFO.into()),
            Order::PerKey => key.map(Into::into),
            _ => None,
        }
    }

    fn key_of(&self, delivery: &Delivery) -> Option<Box<str>> {
        self.lane_of(delivery.message.attributes().key())
    }

    /// Changes a lane and keeps the counts and the list true.
    fn change(&mut self, key: Box<str>, change: impl FnOnce(&mut Lane)) {
        self.count(&key, false);
        let lane = self.lanes.entry(key.clone()).or_default();
        change(lane);
        if lane.has_next() && !lane.listed {
            lane.listed = true;
            self.listed.push_back(key.clone());
        }
        if lane.is_idle() && !lane.listed {
            self.lanes.remove(&key);
        } else {
            self.count(&key, true);
        }
    }

    fn count(&mut self, key: &str, add: bool) {
        let Some(lane) = self.lanes.get(key) else {
            return;
        };
        let (blocked, length) = (lane.is_blocked(), lane.len());
        let crowded = usize::from(blocked && length >= BLOCKED_PER_KEY_MAX);
        let counts = if blocked {
            &mut self.blocked
        } else {
            &mut self.runnable
        };
        if add {
            *counts += length;
            self.crowded += crowded;
        } else {
            *counts -= length;
            self.crowded -= crowded;
        }
    }
}

#[cfg(test)]
mod tests;
