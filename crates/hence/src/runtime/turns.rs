//! `Turns`: whose turn it is among what could begin now.

use std::collections::{BTreeMap, HashMap, VecDeque};

use hence_core::flow::Fair;
use hence_core::{By, Delivery, Position};

/// What could begin, in the order of its turns.
#[derive(Debug)]
pub(crate) enum Turns<T> {
    /// As it came.
    Plain(VecDeque<T>),
    /// Group by group.
    Fair(Groups<T>),
}

/// Deficit round robin (Shreedhar and Varghese, 1995), where each piece of work costs one: a group
/// whose turn it is gives as many as its weight, then the next group has its turn.
#[derive(Debug)]
pub(crate) struct Groups<T> {
    by: By,
    weights: BTreeMap<String, u32>,
    groups: HashMap<Box<str>, Group<T>>,
    /// Groups that have something, the one whose turn it is first.
    ring: VecDeque<Box<str>>,
}

#[derive(Debug)]
struct Group<T> {
    queue: VecDeque<T>,
    /// How many more it may give in this turn.
    left: u32,
}

impl<T> Turns<T> {
    pub(crate) fn new(fair: Option<&Fair>) -> Self {
        match fair {
            None => Self::Plain(VecDeque::new()),
            Some(fair) => Self::Fair(Groups {
                by: fair.by.clone(),
                weights: fair.weights.clone(),
                groups: HashMap::new(),
                ring: VecDeque::new(),
            }),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Plain(queue) => queue.is_empty(),
            Self::Fair(groups) => groups.ring.is_empty(),
        }
    }

    /// Adds work that begins with a delivery.
    pub(crate) fn push(&mut self, work: T, delivery: &Delivery) {
        match self {
            Self::Plain(queue) => queue.push_back(work),
            Self::Fair(groups) => groups.queue(groups.name(delivery)).push_back(work),
        }
    }

    /// Adds work that had its turn before, in front of the other of its group.
    pub(crate) fn put_back(&mut self, work: T, delivery: &Delivery) {
        match self {
            Self::Plain(queue) => queue.push_front(work),
            Self::Fair(groups) => groups.queue(groups.name(delivery)).push_front(work),
        }
    }

    /// All of it, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let (plain, groups) = match self {
            Self::Plain(queue) => (Some(queue), None),
            Self::Fair(groups) => (None, Some(groups)),
        };
        let groups = groups.into_iter().flat_map(|groups| groups.groups.values());
        let fair = groups.flat_map(|group| &group.queue);
        plain.into_iter().flatten().chain(fair)
    }

    /// Takes what has its turn.
    pub(crate) fn pop(&mut self) -> Option<T> {
        match self {
            Self::Plain(queue) => queue.pop_front(),
            Self::Fair(groups) => groups.pop(),
        }
    }
}

impl Turns<Delivery> {
    /// Adds a delivery that is work by itself.
    pub(crate) fn push_own(&mut self, delivery: Delivery) {
        match self {
            Self::Plain(queue) => queue.push_back(delivery),
            Self::Fair(groups) => groups.queue(groups.name(&delivery)).push_back(delivery),
        }
    }

    /// Adds one that had its turn before.
    pub(crate) fn put_back_own(&mut self, delivery: Delivery) {
        match self {
            Self::Plain(queue) => queue.push_front(delivery),
            Self::Fair(groups) => groups.queue(groups.name(&delivery)).push_front(delivery),
        }
    }

    /// Lets go of a delivery, and gives it back if it was here.
    pub(crate) fn forget(&mut self, position: Position) -> Option<Delivery> {
        let is_it = |other: &Delivery| other.position == position;
        match self {
            Self::Plain(queue) => queue.remove(queue.iter().position(is_it)?),
            Self::Fair(groups) => {
                let mut named = groups.groups.iter();
                let (name, group) = named.find(|(_, group)| group.queue.iter().any(is_it))?;
                let (name, at) = (name.clone(), group.queue.iter().position(is_it)?);
                let group = groups.groups.get_mut(&name)?;
                let found = group.queue.remove(at);
                if group.queue.is_empty() {
                    groups.groups.remove(&name);
                    groups.ring.retain(|other| *other != name);
                }
                found
            }
        }
    }
}

impl<T> Groups<T> {
    fn name(&self, delivery: &Delivery) -> Box<str> {
        let name = self.by.group(delivery.message.attributes());
        name.unwrap_or_default().into()
    }

    fn queue(&mut self, name: Box<str>) -> &mut VecDeque<T> {
        let ring = &mut self.ring;
        let group = self.groups.entry(name).or_insert_with_key(|name| {
            ring.push_back(name.clone());
            let (queue, left) = (VecDeque::new(), 0);
            Group { queue, left }
        });
        &mut group.queue
    }

    fn pop(&mut self) -> Option<T> {
        let name = self.ring.pop_front()?;
        let group = self.groups.get_mut(&name)?;
        if group.left == 0 {
            group.left = self.weights.get(&*name).copied().unwrap_or(1).max(1);
        }
        let work = group.queue.pop_front();
        group.left -= 1;
        if group.queue.is_empty() {
            // What a group does not use it does not keep.
            self.groups.remove(&name);
        } else if group.left == 0 {
            self.ring.push_back(name);
        } else {
            self.ring.push_front(name);
        }
        work
    }
}

#[cfg(test)]
mod tests;
