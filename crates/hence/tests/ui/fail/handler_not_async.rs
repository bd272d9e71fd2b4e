//! A handler is an async function.

use hence::{Event, handler, handlers};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

#[handler(name = "greet")]
fn greet(_: OrderPlaced) {}

fn main() {
    let _ = handlers![greet];
}
