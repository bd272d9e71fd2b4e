//! `Stock`: a warehouse in memory, with rules that a visitor can trigger.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::event::Item;
use crate::ledger::Ledger;

/// The article that is never there.
const GONE: &str = "GONE";
/// The article for which the warehouse does not answer the first time.
const FLAKY: &str = "FLAKY";

/// A warehouse in memory.
///
/// An event may be delivered again, so each method can be called again: it remembers the order,
/// gives the same answer, and changes nothing.
#[derive(Debug, Default)]
pub struct Stock {
    orders: Mutex<Ledger<Held>>,
}

/// Where an order stands with the warehouse.
#[derive(Debug, PartialEq)]
enum Held {
    Asked,
    Yes,
    No { missing: String },
    Released,
}

/// What the warehouse says to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// Everything is put aside.
    Held,
    /// This article is missing.
    OutOfStock {
        /// Which.
        sku: String,
    },
}

/// The warehouse does not answer; it may the next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable;

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the warehouse does not answer")
    }
}

impl std::error::Error for Unreachable {}

impl Stock {
    /// Puts the items of an order aside: all of them, or none.
    ///
    /// # Errors
    /// [`Unreachable`], for an order with the article `FLAKY`, the first time.
    pub fn reserve(&self, order_id: &str, items: &[Item]) -> Result<Reservation, Unreachable> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let asked_before = match orders.get(order_id) {
            // A late repetition for an order that was released is answered as the first time.
            Some(Held::Yes | Held::Released) => return Ok(Reservation::Held),
            Some(Held::No { missing }) => {
                let sku = missing.clone();
                return Ok(Reservation::OutOfStock { sku });
            }
            Some(Held::Asked) => true,
            None => false,
        };
        if !asked_before && items.iter().any(|item| item.sku == FLAKY) {
            orders.set(order_id, Held::Asked);
            return Err(Unreachable);
        }
        if items.iter().any(|item| item.sku == GONE) {
            let missing = GONE.to_owned();
            orders.set(order_id, Held::No { missing });
            let sku = GONE.to_owned();
            return Ok(Reservation::OutOfStock { sku });
        }
        orders.set(order_id, Held::Yes);
        Ok(Reservation::Held)
    }

    /// Frees what was put aside for an order, if anything.
    pub fn release(&self, order_id: &str) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.get(order_id) == Some(&Held::Yes) {
            orders.set(order_id, Held::Released);
        }
    }

    /// For how many of the orders that it remembers something is put aside.
    #[must_use]
    pub fn held(&self) -> usize {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.values().filter(|held| **held == Held::Yes).count()
    }
}
