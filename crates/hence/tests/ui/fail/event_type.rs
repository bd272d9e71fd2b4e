//! Every event has a stable type.

use hence::Event;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
struct OrderPlaced;

#[derive(Event, Serialize, Deserialize)]
#[event]
struct OrderPaid;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "")]
struct Empty;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order placed")]
struct Spaces;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "hence.order.placed")]
struct Reserved;

#[derive(Event, Serialize, Deserialize)]
#[event(typ = "order.placed")]
struct Misspelt;

#[derive(Event, Serialize, Deserialize)]
#[event(type = ORDER_PLACED)]
struct NotText;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed")]
struct Generic<T> {
    field: T,
}

fn main() {}
