//! `Gates`: which subscriptions get an event only after others have handled it.
//!
//! A gate belongs to the application that runs now, so it is given anew with each attachment and is
//! not in the journal; what it asks, whether a delivery is settled, is.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use hence_core::engine::Entry;

use crate::state::State;
use crate::subscription::Status;

/// The edges between attached subscriptions, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    after: BTreeMap<u32, Vec<u32>>,
}

impl Gates {
    /// Lets a subscription wait for others from now on.
    pub(crate) fn set(&mut self, id: u32, after: Vec<u32>) {
        if after.is_empty() {
            self.after.remove(&id);
        } else {
            self.after.insert(id, after);
        }
    }

    /// Those that wait for a subscription.
    pub(crate) fn followers(&self, id: u32) -> impl Iterator<Item = u32> {
        let waits = self.after.iter();
        let waits = waits.filter(move |(_, after)| after.contains(&id));
        waits.map(|(follower, _)| *follower)
    }

    /// The gate before one subscription.
    pub(crate) fn of<'a>(&'a self, state: &'a State, id: u32) -> Gate<'a> {
        let after = self.after.get(&id).map_or(&[][..], Vec::as_slice);
        Gate { state, after }
    }
}

/// What stands before one subscription.
#[derive(Clone, Copy)]
pub(crate) struct Gate<'a> {
    state: &'a State,
    after: &'a [u32],
}

impl Gate<'_> {
    /// Whether an entry has to wait, because a subscription that goes first takes it and has not
    /// handled it.
    pub(crate) fn is_shut(&self, entry: &Entry) -> bool {
        let first = self.after.iter();
        first
            .filter_map(|id| self.state.subscription(*id))
            .any(|first| {
                first.takes_entry(entry) && first.status(entry.position.0) != Status::Settled
            })
    }
}

/// A message that waited for another subscription and need not any longer.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) after: u64,
    /// Only when it came from the disk.
    pub(crate) entry: Option<Entry>,
}

/// What one subscription has behind its gate, and what has just come through it, by position.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// The last open position before each.
    shut: BTreeMap<u64, u64>,
    opened: BTreeMap<u64, Opened>,
    /// Where those of the shut lie that are to be looked at again, one after the other.
    again: Option<RangeInclusive<u64>>,
}

impl Waiting {
    pub(crate) fn len(&self) -> usize {
        self.shut.len() + self.opened.len()
    }

    pub(crate) fn shut(&mut self, position: u64, after: u64) {
        self.shut.insert(position, after);
    }

    /// Lets a message through, to be looked at again; whether it was there.
    pub(crate) fn open(&mut self, position: u64) -> bool {
        let Some(after) = self.shut.remove(&position) else {
            return false;
        };
        let entry = None;
        self.opened.insert(position, Opened { after, entry });
        true
    }

    /// Lets everything through that is there now, to be looked at again; whether there was anything.
    /// However much that is, it moves only when its turn comes.
    pub(crate) fn open_all(&mut self) -> bool {
        let last = self.shut.last_key_value().map(|(position, _)| *position);
        if let Some(last) = last {
            self.again = Some(0..=last);
        }
        last.is_some()
    }

    /// The first that came through.
    pub(crate) fn first(&mut self) -> Option<(u64, &Opened)> {
        self.open_next();
        let first = self.opened.first_key_value();
        first.map(|(position, opened)| (*position, opened))
    }

    /// Lets the next one through that is to be looked at again, if it is the first of all.
    fn open_next(&mut self) {
        let Some(again) = self.again.clone() else {
            return;
        };
        let last = *again.end();
        let Some((&position, _)) = self.shut.range(again).next() else {
            self.again = None;
            return;
        };
        if self
            .opened
            .keys()
            .next()
            .is_none_or(|first| position < *first)
        {
            // What is shut again behind this place is not looked at twice.
            self.again = (position < last).then_some(position + 1..=last);
            self.open(position);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Opened)> {
        self.opened.pop_first()
    }

    /// Takes the entry of one that came through; gives it back when there is none such.
    pub(crate) fn feed(&mut self, entry: Entry) -> Option<Entry> {
        match self.opened.get_mut(&entry.position.0) {
            Some(opened) => {
                opened.entry = Some(entry);
                None
            }
            None => Some(entry),
        }
    }

    pub(crate) fn remove(&mut self, position: u64) {
        self.shut.remove(&position);
        self.opened.remove(&position);
    }

    /// Forgets everything from a position on.
    pub(crate) fn forget_from(&mut self, position: u64) {
        drop((
            self.shut.split_off(&position),
            self.opened.split_off(&position),
        ));
    }
}
