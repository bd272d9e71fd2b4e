//! A handler that no list names would never be called.

#![deny(dead_code)]

use hence::{App, Event, handler, handlers};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

#[handler(name = "listed")]
async fn listed(_: OrderPlaced) {}

#[handler(name = "forgotten")]
async fn forgotten(_: OrderPlaced) {}

fn main() {
    let _ = App::new("shop").subscribe_all(handlers![listed]);
}
