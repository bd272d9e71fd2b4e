//! What a handler returns is published.

use hence::core::{Filter, Read, Start};
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
async fn confirm(order: OrderPlaced) -> OrderConfirmed {
    OrderConfirmed {
        order_id: order.order_id,
    }
}

#[tokio::main]
async fn main() -> hence::Result<()> {
    let app = App::new("shop")
        .subscribe("confirm", confirm)
        .start("memory:")
        .await?;
    let handled = app
        .publish(OrderPlaced { order_id: 17 })
        .until_handled()
        .await?;

    // Reading settles and moves nothing. The events of one chain share its correlation id.
    let filter = Filter {
        correlation_id: Some(handled.receipt.id),
        ..Filter::default()
    };
    let mut reader = app
        .read(Read {
            from: Start::Earliest,
            filter,
            follow: false,
        })
        .await?;
    for entry in reader.next(10).await? {
        let caused = entry.message.attributes().causation_id().is_some();
        let why = if caused {
            "because of the event before"
        } else {
            "by itself"
        };
        println!("{} {why}", entry.message.attributes().event_type());
    }
    app.drain().await;
    Ok(())
}
