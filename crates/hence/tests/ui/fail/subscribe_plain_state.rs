//! A dependency comes as `State<T>`, also without `#[handler]`.

use hence::{App, Event};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

struct Stock;

async fn reserve_stock(_: OrderPlaced, _: &'static Stock) {}

fn main() {
    let _ = App::new("shop").subscribe("reserve-stock", reserve_stock);
}
