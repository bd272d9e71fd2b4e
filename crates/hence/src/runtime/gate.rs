//! `Gate`: at most so many calls at a time for each group; what is beyond waits here.

use std::collections::{HashMap, VecDeque};

use hence_core::flow::Limit;
use hence_core::{Delivery, Position};

/// What waits for its group: the lane of a key, or a delivery without one.
#[derive(Debug)]
pub(crate) enum Unit {
    /// By its number.
    Lane(u32),
    Free(Delivery),
}

#[derive(Debug, Default)]
struct Group {
    running: usize,
    waiting: VecDeque<Unit>,
}

/// Counts the calls of each group. A group exists only while something of it is here.
#[derive(Debug)]
pub(crate) struct Gate {
    limit: Limit,
    groups: HashMap<Box<str>, Group>,
    /// Groups in which something waits that may perhaps begin.
    open: Vec<Box<str>>,
}

impl Gate {
    pub(crate) fn new(limit: Limit) -> Self {
        Self {
            limit,
            groups: HashMap::new(),
            open: Vec::new(),
        }
    }

    fn name(&self, delivery: &Delivery) -> Box<str> {
        let name = self.limit.by.group(delivery.message.attributes());
        name.unwrap_or_default().into()
    }

    /// Whether a call may begin for this one now.
    pub(crate) fn admits(&self, delivery: &Delivery) -> bool {
        let group = self.groups.get(&self.name(delivery));
        group.is_none_or(|group| group.running < self.limit.most)
    }

    /// Keeps what may not begin.
    pub(crate) fn wait(&mut self, delivery: &Delivery, unit: Unit) {
        let name = self.name(delivery);
        self.groups.entry(name).or_default().waiting.push_back(unit);
    }

    /// How many calls a group may have at a time, and which one it is.
    pub(crate) fn group_of(&self, delivery: &Delivery) -> (Option<String>, usize) {
        let name = self.limit.by.group(delivery.message.attributes());
        (name.map(Into::into), self.limit.most)
    }

    /// How many of its group wait before a delivery that has no lane, with the delivery.
    pub(crate) fn waits(&self, position: Position) -> Option<(usize, &Delivery)> {
        let own = |unit: &Unit| matches!(unit, Unit::Free(own) if own.position == position);
        self.groups.values().find_map(|group| {
            let ahead = group.waiting.iter().position(own)?;
            match group.waiting.get(ahead)? {
                Unit::Free(delivery) => Some((ahead, delivery)),
                Unit::Lane(_) => None,
            }
        })
    }

    /// A call begins.
    pub(crate) fn begin(&mut self, delivery: &Delivery) {
        let name = self.name(delivery);
        self.groups.entry(name).or_default().running += 1;
    }

    /// A call has ended.
    pub(crate) fn end(&mut self, delivery: &Delivery) {
        let name = self.name(delivery);
        let Some(group) = self.groups.get_mut(&name) else {
            return;
        };
        group.running = group.running.saturating_sub(1);
        if !group.waiting.is_empty() {
            self.open.push(name);
        } else if group.running == 0 {
            self.groups.remove(&name);
        }
    }

    /// Gives what may begin now; whoever takes it asks [`admits`](Self::admits) again.
    pub(crate) fn reopen(&mut self) -> Vec<Unit> {
        let mut units = Vec::new();
        for name in std::mem::take(&mut self.open) {
            let Some(group) = self.groups.get_mut(&name) else {
                continue;
            };
            let free = self.limit.most.saturating_sub(group.running);
            let count = free.min(group.waiting.len());
            units.extend(group.waiting.drain(..count));
            if group.waiting.is_empty() && group.running == 0 {
                self.groups.remove(&name);
            } else if count > 0 && !group.waiting.is_empty() {
                // What was given out may have become something else meanwhile.
                self.open.push(name);
            }
        }
        units
    }

    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.groups.is_empty()
    }
}
