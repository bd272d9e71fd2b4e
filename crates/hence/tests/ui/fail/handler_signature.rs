//! What else cannot be a handler.

use hence::{Event, handler};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

#[handler(name = "nothing")]
async fn nothing() {}

#[handler(name = "generic")]
async fn generic<T: Event>(_: T) {}

#[handler(name = "opaque")]
async fn opaque(_: impl Event) {}

#[handler(name = "opaque-reply")]
async fn opaque_reply(_: OrderPlaced) -> impl Event {
    OrderPlaced { order_id: String::new() }
}

struct Shop;

impl Shop {
    #[handler(name = "method")]
    async fn method(&self, _: OrderPlaced) {}
}

#[handler(name = "no-function")]
struct NoFunction;

fn main() {}
