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
    let _ = App::new("shop").subscribe("greet", |order: OrderPlaced| {
        println!("{greeting} {}", order.order_id);
        std::future::ready(())
    });
}
