//! The facts of an order, in the order in which they may happen.

use hence::Event;
use serde::{Deserialize, Serialize};

/// A customer has placed an order.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
pub struct OrderPlaced {
    /// Which order; all events of an order have it as their key.
    pub order_id: String,
    /// What it costs.
    pub amount: f64,
    /// What was ordered.
    pub items: Vec<Item>,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The article.
    pub sku: String,
    /// How many of it.
    pub qty: u32,
}

/// The stock holds everything that the order needs.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(type = "stock.reserved", key = order_id)]
pub struct StockReserved {
    /// Which order.
    pub order_id: String,
    /// What it costs, for whoever charges it.
    pub amount: f64,
}

/// Something that the order needs is not there.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(type = "stock.refused", key = order_id)]
pub struct StockRefused {
    /// Which order.
    pub order_id: String,
    /// The article that is out of stock.
    pub sku: String,
}

/// The card has paid.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(type = "card.charged", key = order_id)]
pub struct CardCharged {
    /// Which order.
    pub order_id: String,
    /// How much.
    pub amount: f64,
}

/// The card has not paid, and will not.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(type = "card.declined", key = order_id)]
pub struct CardDeclined {
    /// Which order.
    pub order_id: String,
    /// What the bank said.
    pub reason: String,
}

/// What the stock held for the order is free again.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(type = "stock.released", key = order_id)]
pub struct StockReleased {
    /// Which order.
    pub order_id: String,
    /// Why the order needs it no longer.
    pub reason: String,
}

/// The order is reserved and paid: an end.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(type = "order.completed", key = order_id)]
pub struct OrderCompleted {
    /// Which order.
    pub order_id: String,
}

/// Nothing comes of the order, and nothing is held for it: the other end.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(type = "order.cancelled", key = order_id)]
pub struct OrderCancelled {
    /// Which order.
    pub order_id: String,
    /// Why.
    pub reason: String,
}
