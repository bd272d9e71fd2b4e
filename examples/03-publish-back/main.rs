//! What a handler returns is published.

use hence::core::Position;
use hence::{App, Event};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: u32,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.confirmed", key = order_id)]
struct OrderConfirmed {
    order_id: u32,
}

// The order is settled and the confirmation stored in one commit: never one without the other.
async fn confirm(OrderPlaced { order_id }: OrderPlaced) -> OrderConfirmed {
    OrderConfirmed { order_id }
}

#[tokio::main]
async fn main() -> hence::Result<()> {
    let app = App::new("shop").subscribe("confirm", confirm);
    let app = app.start("memory:").await?;
    let order = OrderPlaced { order_id: 17 };
    app.publish(order).until_handled().await?;

    // Each event names its cause, so what followed from the first one is a tree.
    for node in app.trace(Position(1)).await?.nodes {
        let event_type = node.entry.message.attributes().event_type();
        let cause = node.cause.map_or("a user", |_| "the event before");
        println!("{event_type}, because of {cause}");
    }
    app.drain().await;
    Ok(())
}
