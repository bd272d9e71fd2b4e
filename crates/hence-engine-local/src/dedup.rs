//! `Dedup`: which ids were published, where they stand, and a mark of what they said.

use std::collections::{HashMap, VecDeque};

use crate::identity::Direct;

/// How many of the newest events are known by their ids.
pub const DEDUP_EVENTS_MAX: usize = 1_000_000;

/// Where an event stands, and what its content hashes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) position: u64,
    pub(crate) content: u64,
}

/// The newest ids, up to a limit; the oldest is forgotten first.
#[derive(Clone, Debug)]
pub(crate) struct Dedup {
    known: HashMap<u128, Known, Direct>,
    order: VecDeque<u128>,
    limit: usize,
}

impl Dedup {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            known: HashMap::default(),
            order: VecDeque::new(),
            limit: limit.max(1),
        }
    }

    pub(crate) fn get(&self, id: u128) -> Option<Known> {
        self.known.get(&id).copied()
    }

    /// Remembers an id that is not known.
    pub(crate) fn insert(&mut self, id: u128, known: Known) {
        if self.order.len() >= self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(id);
        self.known.insert(id, known);
    }

    /// Whether nothing was forgotten yet.
    pub(crate) fn is_complete(&self) -> bool {
        self.order.len() < self.limit
    }

    /// What is known, in no order.
    pub(crate) fn known(&self) -> Vec<(u128, Known)> {
        self.known.iter().map(|(id, known)| (*id, *known)).collect()
    }
}
