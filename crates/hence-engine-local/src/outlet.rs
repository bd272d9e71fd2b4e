//! `Outlet`: what one attached subscription has ready, holds, and still has to read.
//!
//! While it keeps up, every new message of its types is put into its ready queue, as a position
//! only. When the queue is full the outlet falls behind: it is left alone until it has room, then
//! reads on from where it stopped. So its memory is bounded, and it blocks nobody.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use hence_core::delivery::{Delivery, Position};
use hence_core::engine::Entry;
use hence_core::time::Timestamp;
use tokio::sync::Notify;

use crate::gates::{Gate, Waiting};
use crate::identity::Direct;
use crate::subscription::Subscription;
use crate::tail::Tail;

/// Deliveries that wait in memory for one subscription.
pub const READY_EVENTS_MAX: usize = 1024;
/// Events with a `deliverat` in the future, or that wait for another subscription, of which one
/// subscription knows at a time; with more it reads on when one of them is due.
pub const DELAYED_EVENTS_MAX: usize = 100_000;
/// Entries that are looked at before the lock is given to others.
pub const SCAN_EVENTS_MAX: usize = 4096;

/// What [`Outlet::take`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// At least one delivery.
    Some,
    /// Dead letters that need not be waited for.
    Released,
    /// Nothing yet; to be asked again at once.
    Again,
    /// Nothing until more is published, or until this moment.
    Nothing(Option<Timestamp>),
    /// The entries behind this position are not in memory.
    Cold(u64),
    /// The entry at this position, which is due or redriven, is not in memory.
    ColdOne(u64),
}

/// When a message may be given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Now,
    /// Not before this moment.
    Due(Timestamp),
    /// Not before another subscription has handled it.
    Shut,
}

#[derive(Debug)]
struct Ready {
    position: u64,
    after: u64,
    /// Only when it came from the disk.
    entry: Option<Entry>,
}

/// One attached subscription.
#[derive(Debug)]
pub(crate) struct Outlet {
    /// Every own message up to here was looked at.
    cursor: u64,
    /// The last open one of them.
    after: u64,
    /// Whether new messages are put into the queue at once.
    live: bool,
    ready: VecDeque<Ready>,
    /// What the runtime holds, and the last open position before each.
    in_flight: HashMap<u64, u64, Direct>,
    /// By the moment when they are due: the last open position before each.
    delayed: BTreeMap<(Timestamp, u64), u64>,
    /// Due, and read from the disk, in the order in which they were due.
    fetched: VecDeque<(Entry, u64)>,
    /// What waits for another subscription.
    waiting: Waiting,
    redriven: BTreeSet<u64>,
    /// The entry of the next redriven one, when it had to be read from the disk.
    unburied: Option<Entry>,
    /// Dead letters that were discarded, and their keys, until the runtime asks.
    released: BTreeMap<Position, Option<String>>,
    limit: usize,
    asleep: bool,
    pub(crate) notify: Arc<Notify>,
}

impl Outlet {
    /// Begins with the first open message of a subscription.
    pub(crate) fn new(subscription: &Subscription, limit: usize) -> Self {
        let low = subscription.settled.low();
        Self {
            cursor: low,
            after: low,
            live: false,
            ready: VecDeque::new(),
            in_flight: HashMap::default(),
            delayed: BTreeMap::new(),
            fetched: VecDeque::new(),
            waiting: Waiting::default(),
            redriven: subscription.redriven().collect(),
            unburied: None,
            released: BTreeMap::new(),
            limit: limit.max(1),
            asleep: false,
            notify: Arc::new(Notify::new()),
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether the runtime has a delivery.
    pub(crate) fn holds(&self, position: u64) -> bool {
        self.in_flight.contains_key(&position)
    }

    /// The last position before a delivery that may be open too.
    pub(crate) fn after(&self, position: u64) -> Option<u64> {
        self.in_flight.get(&position).copied()
    }

    /// A new message of its types.
    pub(crate) fn offer(&mut self, position: u64, when: When) {
        if !self.live {
            return;
        }
        debug_assert!(position > self.cursor, "{position} was looked at before");
        if self.has_room(when) {
            self.admit(position, when, None);
            self.wake();
        } else {
            self.live = false;
            self.cursor = position - 1;
        }
    }

    fn has_room(&self, when: When) -> bool {
        match when {
            When::Now => self.ready.len() < self.limit,
            When::Due(_) => self.delayed.len() < DELAYED_EVENTS_MAX,
            When::Shut => self.waiting.len() < DELAYED_EVENTS_MAX,
        }
    }

    fn admit(&mut self, position: u64, when: When, entry: Option<Entry>) {
        let after = std::mem::replace(&mut self.after, position);
        self.cursor = position;
        match when {
            When::Due(due) => {
                self.delayed.insert((due, position), after);
            }
            When::Shut => self.waiting.shut(position, after),
            When::Now => self.ready.push_back(Ready {
                position,
                after,
                entry,
            }),
        }
    }

    /// A subscription that goes first has dealt with a message: the gate is to be looked at again.
    pub(crate) fn open(&mut self, position: u64) {
        if self.waiting.open(position) {
            self.wake();
        }
    }

    /// A subscription that goes first takes other types: every gate is to be looked at again.
    pub(crate) fn open_all(&mut self) {
        if self.waiting.open_all() {
            self.wake();
        }
    }

    /// A dead letter to be sent again.
    pub(crate) fn redrive(&mut self, position: u64) {
        self.redriven.insert(position);
        self.wake();
    }

    /// A delivery was settled, perhaps before it was given out.
    pub(crate) fn settle(&mut self, position: u64) {
        if self.in_flight.remove(&position).is_none() {
            self.redriven.remove(&position);
            self.ready.retain(|ready| ready.position != position);
            self.delayed.retain(|(_, delayed), _| *delayed != position);
            self.fetched
                .retain(|(entry, _)| entry.position.0 != position);
            self.waiting.remove(position);
        }
    }

    /// Does without a dead letter that cannot be read, until it is redriven or attached again;
    /// false when there is none.
    pub(crate) fn pass_over(&mut self, position: u64) -> bool {
        self.redriven.remove(&position)
    }

    /// A dead letter was discarded: later events of its key need not wait for it.
    pub(crate) fn release(&mut self, position: u64, key: Option<String>) {
        // As long as it was dead, nothing else had it.
        self.in_flight.remove(&position);
        self.redriven.remove(&position);
        self.released.insert(Position(position), key);
        self.wake();
    }

    /// What was released since this was last asked.
    pub(crate) fn released(&mut self) -> BTreeMap<Position, Option<String>> {
        std::mem::take(&mut self.released)
    }

    pub(crate) fn wake(&mut self) {
        if self.asleep {
            self.asleep = false;
            self.notify.notify_one();
        }
    }

    /// Gives out up to `max` deliveries; with `max` 0 one that was redriven, and no other.
    pub(crate) fn take(
        &mut self,
        (subscription, gate): (&Subscription, Gate<'_>),
        tail: &Tail,
        next: u64,
        now: Timestamp,
        (max, out): (usize, &mut Vec<Delivery>),
    ) -> Found {
        self.asleep = false;
        if !self.released.is_empty() {
            return Found::Released;
        }
        let cold = self.take_redriven(subscription, tail, (max.max(1), &mut *out));
        match cold {
            _ if !out.is_empty() && (max == 0 || cold.is_some()) => return Found::Some,
            Some(cold) => return cold,
            None if max == 0 => {
                self.asleep = true;
                return Found::Nothing(None);
            }
            None => {}
        }
        if let Some(cold) = self.take_due(subscription, tail, now, (max, out)) {
            return if out.is_empty() { cold } else { Found::Some };
        }
        let cold = self.take_ready((subscription, gate), tail, now, (max, out));
        if !out.is_empty() {
            return Found::Some;
        }
        if let Some(cold) = cold {
            return cold;
        }
        match self.refill((subscription, gate), tail, next, now) {
            Found::Nothing(due) => {
                self.asleep = true;
                Found::Nothing(due)
            }
            found => found,
        }
    }

    fn take_redriven(
        &mut self,
        found: &Subscription,
        tail: &Tail,
        (max, out): (usize, &mut Vec<Delivery>),
    ) -> Option<Found> {
        while out.len() < max
            && let Some(position) = self.redriven.first().copied()
        {
            if let Some(dead) = found.dead.get(&position) {
                let kept = || tail.get(position).map(|kept| kept.entry.message.clone());
                let unburied = self.unburied.take_if(|entry| entry.position.0 == position);
                let own = dead.message().cloned().or_else(kept);
                let Some(message) = own.or(unburied.map(|entry| entry.message)) else {
                    return Some(Found::ColdOne(position));
                };
                let (attempt, due) = next_attempt(found, position);
                let before = dead.attempts;
                self.in_flight.insert(position, position);
                out.push(Delivery {
                    position: Position(position),
                    message,
                    appended: dead.about.appended,
                    attempt,
                    before,
                    due,
                    redriven: true,
                });
            }
            self.redriven.remove(&position);
        }
        None
    }

    /// Gives out what was delayed and is due.
    fn take_due(
        &mut self,
        subscription: &Subscription,
        tail: &Tail,
        now: Timestamp,
        (max, out): (usize, &mut Vec<Delivery>),
    ) -> Option<Found> {
        while out.len() < max
            && let Some((entry, after)) = self.fetched.pop_front()
        {
            self.give(subscription, &entry, after, out);
        }
        while out.len() < max
            && let Some(first) = self.delayed.first_entry()
            && first.key().0 <= now
        {
            let Some(kept) = tail.get(first.key().1) else {
                return Some(Found::ColdOne(first.key().1));
            };
            let after = first.remove();
            self.give(subscription, &kept.entry, after, out);
        }
        None
    }

    /// Gives out what is ready and what has come through the gate, in the order of positions, so
    /// that a key keeps its order.
    fn take_ready(
        &mut self,
        (subscription, gate): (&Subscription, Gate<'_>),
        tail: &Tail,
        now: Timestamp,
        (max, out): (usize, &mut Vec<Delivery>),
    ) -> Option<Found> {
        let mut looked = 0;
        while out.len() < max {
            let ready = self.ready.front().map(|ready| ready.position);
            if let Some((position, opened)) = self.waiting.first()
                && ready.is_none_or(|ready| position < ready)
            {
                if opened.entry.is_none() && tail.get(position).is_none() {
                    return Some(Found::ColdOne(position));
                }
                if looked == SCAN_EVENTS_MAX {
                    return Some(Found::Again);
                }
                looked += 1;
                self.take_opened((subscription, gate), tail, now, out);
                continue;
            }
            let ready = self.ready.pop_front()?;
            match (&ready.entry, tail.get(ready.position)) {
                (Some(entry), _) => self.give(subscription, entry, ready.after, out),
                (None, Some(kept)) => self.give(subscription, &kept.entry, ready.after, out),
                (None, None) => {
                    // It left the memory while it waited: read it, and all behind it, again.
                    self.cursor = ready.position - 1;
                    self.after = ready.after;
                    self.live = false;
                    self.ready.clear();
                    self.waiting.forget_from(ready.position);
                    let behind = |(_, position): &(Timestamp, u64)| *position < ready.position;
                    self.delayed.retain(|key, _| behind(key));
                }
            }
        }
        None
    }

    /// Gives out the first that came through the gate, unless it is to wait for something else.
    fn take_opened(
        &mut self,
        (subscription, gate): (&Subscription, Gate<'_>),
        tail: &Tail,
        now: Timestamp,
        out: &mut Vec<Delivery>,
    ) {
        let Some((position, opened)) = self.waiting.pop() else {
            return;
        };
        let entry = opened.entry.as_ref();
        let Some(entry) = entry.or_else(|| tail.get(position).map(|kept| &kept.entry)) else {
            return;
        };
        match when(entry, gate, now) {
            When::Now => self.give(subscription, entry, opened.after, out),
            When::Due(due) => drop(self.delayed.insert((due, position), opened.after)),
            When::Shut => self.waiting.shut(position, opened.after),
        }
    }

    fn give(
        &mut self,
        subscription: &Subscription,
        entry: &Entry,
        after: u64,
        out: &mut Vec<Delivery>,
    ) {
        let position = entry.position.0;
        self.in_flight.insert(position, after);
        let (attempt, due) = next_attempt(subscription, position);
        out.push(Delivery {
            position: entry.position,
            message: entry.message.clone(),
            appended: entry.appended,
            attempt,
            before: 0,
            due,
            redriven: false,
        });
    }

    /// Reads on from the cursor until the queue is full or there is no more.
    fn refill(
        &mut self,
        (subscription, gate): (&Subscription, Gate<'_>),
        tail: &Tail,
        next: u64,
        now: Timestamp,
    ) -> Found {
        if self.live {
            return self.nothing();
        }
        let from = subscription.settled.skip(self.cursor + 1);
        if from < next && !tail.covers(from) {
            return Found::Cold(from);
        }
        for (count, kept) in tail.from(from).enumerate() {
            let position = kept.entry.position.0;
            if count == SCAN_EVENTS_MAX {
                self.cursor = position - 1;
                return Found::Again;
            }
            let event_type = kept.entry.message.attributes().event_type();
            let own = subscription.takes(position, kept.tag, event_type)
                && !subscription.settled.contains(position);
            if own && !self.look(&kept.entry, when(&kept.entry, gate, now), false) {
                return self.behind();
            }
        }
        self.cursor = next - 1;
        self.live = true;
        self.behind()
    }

    /// Admits an open message that was read; false when there is no room for it.
    fn look(&mut self, entry: &Entry, when: When, keep: bool) -> bool {
        let position = entry.position.0;
        if self.holds(position) {
            // Given out while it was due, before the cursor went back.
            self.after = position;
            self.cursor = position;
            return true;
        }
        let room = self.has_room(when);
        if room {
            self.admit(position, when, keep.then(|| entry.clone()));
        }
        room
    }

    fn behind(&self) -> Found {
        if self.ready.is_empty() {
            self.nothing()
        } else {
            Found::Again
        }
    }

    fn nothing(&self) -> Found {
        Found::Nothing(self.delayed.keys().next().map(|(due, _)| *due))
    }

    /// Takes entries that were read from the disk, everything from behind the cursor up to `upto`.
    pub(crate) fn feed(
        &mut self,
        (subscription, gate): (&Subscription, Gate<'_>),
        entries: Vec<Entry>,
        upto: u64,
        now: Timestamp,
    ) {
        for entry in entries {
            let position = entry.position.0;
            let own = position > self.cursor
                && subscription.takes_entry(&entry)
                && !subscription.settled.contains(position);
            if own && !self.look(&entry, when(&entry, gate, now), true) {
                return;
            }
        }
        self.cursor = self.cursor.max(upto);
    }

    /// Takes an entry that was read from the disk, which is due or redriven.
    pub(crate) fn feed_one(&mut self, entry: Entry) {
        let Some(entry) = self.waiting.feed(entry) else {
            return;
        };
        let position = entry.position.0;
        if self.redriven.contains(&position) {
            self.unburied = Some(entry);
            return;
        }
        let found = self
            .delayed
            .keys()
            .find(|(_, delayed)| *delayed == position);
        if let Some(key) = found.copied()
            && let Some(after) = self.delayed.remove(&key)
        {
            self.fetched.push_back((entry, after));
        }
    }
}

/// The moment before which an entry is not delivered, if it is still to come.
fn delay(entry: &Entry, now: Timestamp) -> Option<Timestamp> {
    let due = entry.message.attributes().deliver_at()?;
    (due > now).then_some(due)
}

/// When an entry may be given out to the subscription behind a gate.
pub(crate) fn when(entry: &Entry, gate: Gate<'_>, now: Timestamp) -> When {
    if gate.is_shut(entry) {
        return When::Shut;
    }
    delay(entry, now).map_or(When::Now, When::Due)
}

fn next_attempt(subscription: &Subscription, position: u64) -> (u32, Option<Timestamp>) {
    let attempt = subscription.attempts(position).saturating_add(1);
    let tried = subscription.tried.get(&position);
    (attempt, tried.map(|tried| tried.due))
}

#[cfg(test)]
mod tests;
