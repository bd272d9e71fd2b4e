//! `Lanes`: deliveries that wait for their turn, one lane for each key.
//!
//! A lane exists only while something of its key is here, so idle keys cost nothing but the memory of a
//! lane for the next key, as long as any key is busy. It gives out one delivery at a time; while that runs, backs off, or lies with the dead letters, the rest of
//! its key waits, and other keys go on. Deliveries without a key, and all of an order that knows
//! no keys, wait in one [`Pool`].

mod batch;
mod lane;
mod place;
mod shelf;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

use hence_core::{Delivery, Message, Options, Order, Position, Timestamp};

use self::lane::{Lane, Tally};
use self::shelf::{Number, Shelf};
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
    lanes: Shelf,
    /// Lanes that have something to give, in the order of their turns.
    listed: Turns<Number>,
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
            lanes: Shelf::default(),
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
                lanes.change_key(key, |lane| lane.hold(position));
            }
        }
        lanes
    }

    /// Takes deliveries from the engine.
    pub(crate) fn push_all(&mut self, deliveries: Vec<Delivery>) {
        let has_lane = |delivery: &Delivery| {
            let key = self.lane_of(delivery.message.attributes().key());
            key.is_some() || delivery.due.is_some()
        };
        if deliveries.iter().any(has_lane) {
            deliveries.into_iter().for_each(|one| self.push(one));
            return;
        }
        for delivery in &deliveries {
            self.ready.add(Load::of(delivery));
        }
        self.free.extend(deliveries);
    }

    /// Takes a delivery from the engine.
    pub(crate) fn push(&mut self, delivery: Delivery) {
        if let Some(due) = delivery.due.filter(|due| *due > self.clock.now()) {
            self.change_of(&delivery.message, Lane::backs_off);
            self.wait(delivery, due, false);
            return;
        }
        let key = self.lane_of(delivery.message.attributes().key());
        let Some(number) = key.map(|key| self.lanes.open(key)) else {
            self.ready.add(Load::of(&delivery));
            self.free.push(delivery);
            return;
        };
        self.change(number, |lane| {
            if delivery.redriven {
                lane.insert(delivery);
            } else {
                lane.push(delivery);
            }
        });
    }

    /// Gives the next delivery that may be handled. Its lane is busy until it is
    /// [`done`](Self::done), [`hold`](Self::hold) or [`back_off`](Self::back_off).
    pub(crate) fn pop(&mut self) -> Option<Delivery> {
        loop {
            while let Some(number) = self.listed.pop() {
                if let Some(delivery) = self.pop_lane(number) {
                    return Some(delivery);
                }
            }
            while let Some(delivery) = self.free.pop(|| self.clock.now()) {
                self.ready.take(Load::of(&delivery));
                match &mut self.gate {
                    Some(gate) if !gate.admits(&delivery) => {
                        self.parked.add(Load::of(&delivery));
                        gate.wait(&delivery.clone(), Unit::Free(delivery));
                    }
                    _ => {
                        self.begin(&delivery);
                        return Some(delivery);
                    }
                }
            }
            if !self.reopen() {
                return None;
            }
        }
    }

    /// Takes from a lane that has its turn, or lets it wait at the gate.
    fn pop_lane(&mut self, number: Number) -> Option<Delivery> {
        if let Some(gate) = &mut self.gate
            && let Some(head) = self.lanes.get(number).and_then(Lane::head)
            && !gate.admits(head)
        {
            gate.wait(head, Unit::Lane(number));
            self.change(number, |lane| lane.gated = true);
            return None;
        }
        let mut taken = None;
        self.change(number, |lane| {
            lane.listed = false;
            taken = lane.take_one();
        });
        if let Some(delivery) = &taken {
            self.begin(delivery);
        }
        taken
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
                Unit::Lane(number) => {
                    self.change(number, |lane| {
                        lane.gated = false;
                        lane.listed = lane.head().is_some();
                    });
                    if let Some(head) = self.lanes.get(number).and_then(Lane::head) {
                        self.listed.put_back(number, head);
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
            lane.done(delivery.position);
        });
    }

    /// Frees the lane of a delivery that became a dead letter; the rest of the key waits for it.
    pub(crate) fn hold(&mut self, delivery: &Delivery) {
        self.end(delivery);
        self.change_of(&delivery.message, |lane| {
            if lane.free(delivery.position) {
                lane.hold(delivery.position);
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
                self.change_key(key, |lane| lane.release(position, waiting.is_some()));
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
            if is_wanted {
                lane.backs_off();
            }
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
            let key = self.lane_of(delivery.message.attributes().key());
            match key.map(|key| self.lanes.open(key)) {
                None => {
                    self.ready.add(Load::of(&delivery));
                    self.free.put_back(delivery);
                }
                Some(number) => self.change(number, |lane| lane.comes_back(delivery)),
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
            self.change_key(key, change);
        }
        lane.is_some()
    }

    fn change_key(&mut self, key: &str, change: impl FnOnce(&mut Lane)) {
        let number = self.lanes.open(key);
        self.change(number, change);
    }

    fn change(&mut self, number: Number, change: impl FnOnce(&mut Lane)) {
        let Some(lane) = self.lanes.get_mut(number) else {
            return;
        };
        let before = lane.tally(self.width);
        change(lane);
        if lane.has_next() && !lane.listed {
            lane.listed = true;
            if let Some(head) = lane.head() {
                self.listed.push(number, head);
            }
        }
        let after = lane.tally(self.width);
        let over = lane.is_idle();
        self.count(before, after);
        if over {
            self.lanes.close(number);
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
