//! A handler lives as long as the application, so it borrows nothing.

use hence::{App, Event};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

fn main() {
    let greeting = String::from("hello");
    let greet = async |order: OrderPlaced| println!("{greeting} {}", order.order_id);
    let _ = App::new("shop").subscribe("greet", greet);
}
