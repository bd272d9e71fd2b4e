//! `Timers`: events that are published later, one for each subscription, key and name.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hence_core::message::Message;
use hence_core::time::Timestamp;

use crate::keyed::Room;

/// Timers that end in one group of commits.
pub const TIMERS_AT_A_TIME: usize = 256;

/// Which timer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TimerId {
    pub(crate) subscription: u32,
    pub(crate) key: String,
    pub(crate) name: String,
}

/// A timer that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timer {
    pub(crate) due: Timestamp,
    pub(crate) message: Message,
}

/// A timer, and which of those that are due at one moment it is.
#[derive(Clone, Debug)]
struct Set {
    timer: Timer,
    serial: u64,
}

/// Every timer that is set, by id and by the moment when it is due.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    set: HashMap<Arc<TimerId>, Set>,
    due: BTreeMap<(Timestamp, u64), Arc<TimerId>>,
    /// How many were set; of those that are due at one moment the first goes first.
    serial: u64,
    room: Room,
}

/// About how much memory a timer takes.
pub(crate) fn weigh(id: &TimerId, message: &Message) -> Room {
    Room::one(id.key.len() + id.name.len() + message.footprint())
}

impl Timers {
    pub(crate) fn room(&self) -> Room {
        self.room
    }

    pub(crate) fn contains(&self, id: &TimerId) -> bool {
        self.set.contains_key(id)
    }

    /// How much a timer has now.
    pub(crate) fn weight(&self, id: &TimerId) -> Room {
        let known = self.set.get(id);
        known.map_or(Room::default(), |set| weigh(id, &set.timer.message))
    }

    /// Sets a timer, in place of the one of the same id.
    pub(crate) fn set(&mut self, id: TimerId, timer: Timer) {
        self.end(&id);
        self.room.add(weigh(&id, &timer.message));
        let (id, serial) = (Arc::new(id), self.serial);
        self.serial += 1;
        self.due.insert((timer.due, serial), Arc::clone(&id));
        self.set.insert(id, Set { timer, serial });
    }

    /// Ends a timer, because it fired or because it was cancelled.
    pub(crate) fn end(&mut self, id: &TimerId) {
        if let Some(Set { timer, serial }) = self.set.remove(id) {
            self.room.sub(weigh(id, &timer.message));
            self.due.remove(&(timer.due, serial));
        }
    }

    /// When the next one is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.first().map(|(due, _)| due)
    }

    /// The next one, and which of those of its moment it is.
    pub(crate) fn first(&self) -> Option<(Timestamp, u64)> {
        self.due.keys().next().copied()
    }

    /// Those that are due by now, soonest first.
    pub(crate) fn due_by(&self, now: Timestamp) -> impl Iterator<Item = (&TimerId, &Timer)> {
        let due = self.due.range(..=(now, u64::MAX));
        due.filter_map(|(_, id)| Some((&**id, &self.set.get(id)?.timer)))
    }

    /// Every timer, soonest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TimerId, &Timer)> {
        let all = self.due.values();
        all.filter_map(|id| Some((&**id, &self.set.get(id)?.timer)))
    }
}

impl PartialEq for Timers {
    /// Whether the same timers would fire in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Timers {}
