//! `Ledger`: what was answered about each order, so that asking again changes nothing.

use std::collections::{HashMap, VecDeque};

/// The most orders that a ledger remembers; beyond that it forgets the oldest.
pub(crate) const ORDERS_MAX: usize = 10_000;

/// What is known of each order.
#[derive(Debug)]
pub(crate) struct Ledger<T> {
    known: HashMap<String, T>,
    oldest: VecDeque<String>,
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            oldest: VecDeque::new(),
        }
    }
}

impl<T> Ledger<T> {
    pub(crate) fn get(&self, order_id: &str) -> Option<&T> {
        self.known.get(order_id)
    }

    pub(crate) fn set(&mut self, order_id: &str, value: T) {
        if self.known.insert(order_id.to_owned(), value).is_some() {
            return;
        }
        self.oldest.push_back(order_id.to_owned());
        if self.oldest.len() > ORDERS_MAX
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.known.values()
    }
}
