//! What a handler holds while it waits must be able to move to another thread.

use std::rc::Rc;

use hence::{Event, handler};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

#[handler(name = "greet")]
async fn greet(_: OrderPlaced) {
    let greeting = Rc::new("hello");
    std::future::ready(()).await;
    println!("{greeting}");
}

fn main() {}
