//! `Payments`: a bank in memory.

use std::sync::{Mutex, PoisonError};

use crate::ledger::Ledger;

/// The most that a card pays.
const AMOUNT_MAX: f64 = 1_000.0;

/// A bank in memory. The number of the order is the idempotency key: to charge an order again
/// gives the first answer and takes no money.
#[derive(Debug, Default)]
pub struct Payments {
    orders: Mutex<Ledger<Payment>>,
}

/// What the bank says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Payment {
    /// The card has paid this much.
    Charged(f64),
    /// The card pays no more than this.
    Declined {
        /// The limit of the card.
        limit: f64,
    },
}

impl Payments {
    /// Charges the card of an order, once.
    pub fn charge(&self, order_id: &str, amount: f64) -> Payment {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = orders.get(order_id) {
            return *answer;
        }
        let answer = if amount > AMOUNT_MAX {
            Payment::Declined { limit: AMOUNT_MAX }
        } else {
            Payment::Charged(amount)
        };
        orders.set(order_id, answer);
        answer
    }

    /// The sum of what was charged, for the orders that it remembers.
    #[must_use]
    pub fn taken(&self) -> f64 {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let charged = orders.values().map(|answer| match answer {
            Payment::Charged(amount) => *amount,
            Payment::Declined { .. } => 0.0,
        });
        charged.sum()
    }
}
