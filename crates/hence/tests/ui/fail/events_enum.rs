//! An enum of events holds one event in each variant.

use hence::{Event, Events};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

struct NotAnEvent;

#[derive(Events)]
struct Fact {
    order_id: String,
}

#[derive(Events)]
enum Shapes {
    Unit,
    Named { placed: OrderPlaced },
    Two(OrderPlaced, OrderPlaced),
}

#[derive(Events)]
enum Empty {}

#[derive(Events)]
enum Generic<T> {
    One(T),
}

fn main() {}
