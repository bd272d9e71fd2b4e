//! `handlers![]` lists functions with `#[handler]`.

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
