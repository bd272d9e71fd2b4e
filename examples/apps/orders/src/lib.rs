//! An order is placed, its stock reserved, its card charged, and it is completed; or it is cancelled
//! with the stock released.
//!
//! ```text
//! order.placed ─► reserve-stock ─┬► stock.reserved ─► charge-card ─┬► card.charged ─► complete-order ─► order.completed
//!                                │                                 │
//!                                │                                 └► card.declined ─► release-stock ─► stock.released ─┐
//!                                └► stock.refused ──────────────────────────────────────────► cancel-order ◄────────────┘
//!                                                                                                  └► order.cancelled
//! ```
//!
//! The stock and the bank are in memory and obey rules that a visitor can trigger:
//!
//! | Order | What happens |
//! |---|---|
//! | an amount above 1,000 | the card is declined, the stock released, the order cancelled |
//! | an item `GONE` | out of stock, the order cancelled |
//! | an item `FLAKY` | the stock does not answer the first time; the second attempt succeeds |
//! | an amount below 0 | a dead letter at once |

pub mod event;
mod ledger;
pub mod payments;
pub mod step;
pub mod stock;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use hence::source::{Poisson, Source};
use hence::{App, handlers};

use crate::event::{Item, OrderPlaced};
use crate::payments::Payments;
use crate::step::{cancel_order, charge_card, complete_order, release_stock, reserve_stock};
use crate::stock::Stock;

/// The application: its dependencies, and what reacts to what.
///
/// ```
/// let app = hence_orders::app();
/// app.check().unwrap();
/// assert_eq!(app.topology().subscriptions.len(), 5);
/// ```
pub fn app() -> App {
    App::new("orders")
        .state(Stock::default())
        .state(Payments::default())
        .subscribe_all(handlers![
            reserve_stock,
            charge_card,
            complete_order,
            release_stock,
            cancel_order,
        ])
}

/// Customers for a demonstration: `rate` orders a second on average, at moments that do not depend
/// on each other. Most of them succeed; the others take each of the other ways.
pub fn demo_load(rate: f64) -> impl Source {
    // The orders of one run begin alike, and those of the next differently.
    let run = RandomState::new().build_hasher().finish() & 0xffff;
    let count = AtomicU64::new(1);
    Poisson::new(rate, "customers", move || {
        demo_order(run, count.fetch_add(1, Ordering::Relaxed))
    })
}

/// The `number`-th order of a run.
fn demo_order(run: u64, number: u64) -> OrderPlaced {
    let (sku, amount) = match number % 20 {
        5 => ("GONE", 20.0),
        10 => ("FLAKY", 35.0),
        15 => ("piano", 4_800.0),
        other if other % 2 == 0 => ("tea", 12.5),
        _ => ("kettle", 49.0),
    };
    OrderPlaced {
        order_id: format!("demo-{run:04x}-{number}"),
        amount,
        items: vec![Item {
            sku: sku.to_owned(),
            qty: 1,
        }],
    }
}
