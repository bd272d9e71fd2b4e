//! The wrapper is right, and what is in it is not.

use std::cell::RefCell;

use hence::{Batch, Event, Publisher, State, handler};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

struct NotAnEvent;

#[handler(name = "batch")]
async fn batch(_: Batch<NotAnEvent>) {}

#[handler(name = "publish")]
async fn publish(_: OrderPlaced, _: Publisher<NotAnEvent>) {}

#[handler(name = "count")]
async fn count(_: OrderPlaced, _: State<RefCell<u64>>) {}

fn main() {}
