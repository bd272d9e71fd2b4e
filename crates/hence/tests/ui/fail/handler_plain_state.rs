//! A dependency comes as `State<T>`.

use hence::{Event, handler};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

struct Stock;

#[handler(name = "reserve-stock")]
async fn reserve_stock(_: OrderPlaced, _: Stock) {}

fn main() {}
