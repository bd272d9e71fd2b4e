//! Places one order of each kind, waits until it has come to its end, and prints what followed.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use hence::core::{DeadLetterQuery, Filter, Position, Read, Start};
use hence::{Bus, Receipt, Result};
use hence_orders::event::{Item, OrderPlaced};

/// The ends of an order.
const ENDS: [&str; 2] = ["order.completed", "order.cancelled"];

#[tokio::main]
async fn main() -> Result<()> {
    let orders = hence_orders::app().start("memory:").await?;
    for (order_id, amount, sku) in [
        ("A-17", 99.5, "X"),
        ("A-18", 20.0, "GONE"),
        ("A-19", 4_800.0, "piano"),
        ("A-20", 35.0, "FLAKY"),
    ] {
        let receipt = orders.publish(order(order_id, amount, sku)).await?;
        wait_for_the_end(&orders, &receipt).await?;
        print(
            &orders,
            &format!("{order_id}: {sku} for {amount}"),
            &receipt,
        )
        .await?;
    }
    // Nothing follows from this one, so it is enough to wait for its own handler.
    let handled = orders
        .publish(order("A-21", -5.0, "X"))
        .until_handled()
        .await?;
    print(&orders, "A-21: X for -5", &handled.receipt).await?;
    for dead in orders.dead_letters(&DeadLetterQuery::default()).await? {
        println!("dead letter of {}: {}", dead.subscription, dead.error);
    }
    orders.drain().await;
    Ok(())
}

fn order(order_id: &str, amount: f64, sku: &str) -> OrderPlaced {
    let (order_id, sku) = (order_id.to_owned(), sku.to_owned());
    let items = vec![Item { sku, qty: 2 }];
    OrderPlaced {
        order_id,
        amount,
        items,
    }
}

/// Follows what the order causes until its last event is there.
async fn wait_for_the_end(bus: &Bus, receipt: &Receipt) -> Result<()> {
    let filter = Filter {
        types: ENDS.map(str::to_owned).to_vec(),
        correlation_id: Some(receipt.id().to_owned()),
        ..Filter::default()
    };
    let from = receipt.position.map_or(Start::Earliest, Start::Position);
    let read = Read {
        from,
        filter,
        follow: true,
    };
    bus.read(read).await?.next(1).await.map(drop)
}

/// Prints the events of an order, and below each the attempts to handle it.
async fn print(bus: &Bus, title: &str, receipt: &Receipt) -> Result<()> {
    println!("{title}");
    let trace = bus.trace(receipt.position.unwrap_or(Position(1))).await?;
    for node in trace.nodes {
        println!("  {}", node.entry.message.attributes().event_type());
        for delivery in node.deliveries {
            for attempt in delivery.attempts {
                let (name, number) = (&delivery.subscription, attempt.attempt);
                let because = match &*attempt.error {
                    "" => String::new(),
                    error => format!(": {error}"),
                };
                println!("    {name}, attempt {number}: {}{because}", attempt.outcome);
            }
        }
    }
    println!();
    Ok(())
}
