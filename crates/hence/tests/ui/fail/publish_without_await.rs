//! Nothing is published before the `await`.

#![deny(unused_must_use)]

use hence::{Bus, Event};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

async fn publish(bus: Bus) {
    bus.publish(OrderPlaced { order_id: "A-17".into() });
}

fn main() {
    let _ = publish;
}
