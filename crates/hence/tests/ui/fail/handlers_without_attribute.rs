//! `handlers![]` lists functions with `#[handler]`, which stand beside a type of their name. The
//! wording is the compiler's own, and the documentation of `handlers!` quotes it.

use hence::{App, Event, handlers};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

async fn greet(_: OrderPlaced) {}

fn main() {
    let _ = App::new("shop").subscribe_all(handlers![greet]);
}
