//! The error of a handler says what failed.

use hence::{Event, handler};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

struct OutOfStock;

#[handler(name = "reserve-stock")]
async fn reserve_stock(_: OrderPlaced) -> Result<(), OutOfStock> {
    Err(OutOfStock)
}

fn main() {}
