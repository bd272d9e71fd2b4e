//! What a handler returns is published, so it is made of events.

use hence::{Event, handler};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

struct NotAnEvent;

#[handler(name = "one")]
async fn one(_: OrderPlaced) -> NotAnEvent {
    NotAnEvent
}

#[handler(name = "perhaps")]
async fn perhaps(_: OrderPlaced) -> Result<NotAnEvent, std::io::Error> {
    Ok(NotAnEvent)
}

#[handler(name = "many")]
async fn many(_: OrderPlaced) -> Vec<String> {
    Vec::new()
}

fn main() {}
