//! The key of an event is one of its fields, and has a text.

use hence::Event;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = orderid)]
struct Misspelt {
    order_id: String,
    amount: f64,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = customer.name)]
struct NoFieldOfThat {
    customer: Customer,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = customer)]
struct NoText {
    customer: Customer,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = "order_id")]
struct Quoted {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed")]
struct OnTheField {
    #[event(key)]
    order_id: String,
}

#[derive(Serialize, Deserialize)]
struct Customer {
    id: u64,
}

fn main() {}
