//! A handler is an async function, also without `#[handler]`.

use hence::{App, Event};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

fn greet(_: OrderPlaced) {}

fn main() {
    let _ = App::new("shop").subscribe("greet", greet);
}
