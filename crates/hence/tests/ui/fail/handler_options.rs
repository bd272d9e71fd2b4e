//! Options that are missing, unknown, or make no sense.

use hence::{Event, handler};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

#[handler]
async fn reserve_stock(_: OrderPlaced) {}

#[handler(name = "Reserve Stock")]
async fn spaces(_: OrderPlaced) {}

#[handler(name = "a", retries = 5)]
async fn unknown(_: OrderPlaced) {}

#[handler(name = "b", colour = "red")]
async fn far_off(_: OrderPlaced) {}

#[handler(name = "c", retry = 0)]
async fn never(_: OrderPlaced) {}

#[handler(name = "d", timeout = 10)]
async fn without_a_unit(_: OrderPlaced) {}

#[handler(name = "e", order = "perkey")]
async fn misspelt(_: OrderPlaced) {}

#[handler(name = "f", name = "g")]
async fn twice(_: OrderPlaced) {}

#[handler(name)]
async fn without_a_value(_: OrderPlaced) {}

fn main() {}
