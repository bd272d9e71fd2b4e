//! Each variant holds an event, and no two the same.

use hence::{Event, Events};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

struct NotAnEvent;

#[derive(Events)]
enum Strangers {
    Placed(OrderPlaced),
    Stranger(NotAnEvent),
}

#[derive(Events)]
enum Twins {
    Placed(OrderPlaced),
    Again(OrderPlaced),
}

fn main() {}
