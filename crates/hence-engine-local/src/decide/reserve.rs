//! `Reserve`: how much more values and timers take than the state says, until that is stored.

use std::collections::HashMap;

use crate::keyed::Room;
use crate::timers::TimerId;

/// What takes room: the value of a key of a subscription, or a timer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    Value(u32, String),
    Timer(TimerId),
}

/// What each takes more at most, however often it is written. What something takes less is not
/// counted: it makes room once it is gone.
#[derive(Debug, Default)]
pub(super) struct Reserve {
    all: Room,
    each: HashMap<Holder, Room>,
}

impl Reserve {
    pub(super) fn all(&self) -> Room {
        self.all
    }

    /// How much is added when something takes so much more than the state says.
    pub(super) fn beyond(&self, holder: &Holder, more: Room) -> Room {
        more.beyond(self.each.get(holder).copied().unwrap_or_default())
    }

    pub(super) fn add(&mut self, holder: Holder, more: Room) {
        self.all.add(more);
        self.each.entry(holder).or_default().add(more);
    }

    /// Takes back what was added.
    pub(super) fn sub(&mut self, holder: &Holder, more: Room) {
        self.all.sub(more);
        if let Some(known) = self.each.get_mut(holder) {
            known.sub(more);
        }
    }

    pub(super) fn clear(&mut self) {
        self.all = Room::default();
        self.each.clear();
    }
}
