//! Everything that a handler may be.

#![deny(warnings)]

mod orders {
    use hence::{Failure, State, handler};

    pub struct Stock;

    #[handler(name = "reserve-stock", retry = 5, timeout = "10s", concurrency = 4, order = "fifo")]
    pub async fn reserve_stock(order: super::OrderPlaced, _stock: State<Stock>) -> super::Answer {
        let order_id = order.customer.id;
        if order_id == 0 {
            super::Answer::Refused(super::StockRefused { order_id })
        } else {
            super::Answer::Reserved(super::StockReserved(order_id))
        }
    }

    #[handler(name = "fail", from = "earliest", after_dead_letter = "continue")]
    pub(crate) async fn fail(_: super::Answer) -> Result<(), Failure> {
        Err(Failure::reject("no"))
    }
}

use hence::core::{AfterDeadLetter, Key, Order, Start};
use hence::{App, Attempt, Batch, Envelope, Event, Events, HandlerExt, Publisher, handler, handlers};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct Customer {
    id: u64,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = customer.id)]
pub struct OrderPlaced {
    customer: Customer,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "stock.reserved", key = 0)]
pub struct StockReserved(u64);

#[derive(Event, Serialize, Deserialize)]
#[event(key = order_id, type = "stock.refused",)]
pub struct StockRefused {
    order_id: u64,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "shift.ended")]
enum ShiftEnded {
    Early,
    Late { minutes: u32 },
}

#[derive(Events)]
pub enum Answer {
    Reserved(StockReserved),
    Refused(StockRefused),
}

#[handler(name = "everything")]
async fn everything(
    _: Envelope<StockReserved>,
    Attempt(_attempt): Attempt,
    Key(_key): Key,
    publisher: Publisher<ShiftEnded>,
    _: Attempt,
    _: Attempt,
    _: Attempt,
    _: Attempt,
) -> Result<Option<(StockRefused, Vec<StockRefused>)>, std::io::Error> {
    publisher.publish(ShiftEnded::Late { minutes: 5 }).map_err(std::io::Error::other)?;
    Ok(None)
}

#[handler(name = "batch", batch(events = 10, age = "20ms"), breaker = "off", crashes = "off")]
async fn batch(_: Batch<StockRefused>) -> Result<(), String> {
    Ok(())
}

#[handler(name = "absent")]
#[cfg(any())]
async fn absent(_: Missing) {}

async fn plain(_: ShiftEnded) {}

fn main() {
    let app = App::new("shop")
        .state(orders::Stock)
        .subscribe_all(handlers![orders::reserve_stock, orders::fail, everything, batch])
        .subscribe("plain", plain.retry(2))
        .subscribe("closure", async |_: StockRefused, _: Attempt| ShiftEnded::Early);
    app.check().unwrap();

    let subscriptions = app.topology().subscriptions;
    assert_eq!(subscriptions[0].name, "reserve-stock");
    assert_eq!(subscriptions[0].takes, ["order.placed"]);
    assert_eq!(subscriptions[0].emits, ["stock.reserved", "stock.refused"]);
    assert_eq!((subscriptions[0].attempts, subscriptions[0].concurrency), (5, 4));
    assert_eq!(subscriptions[1].takes, ["stock.reserved", "stock.refused"]);

    let [fail, batch] = handlers![orders::fail, batch];
    assert_eq!(fail.options().start, Start::Earliest);
    assert_eq!(fail.options().after_dead_letter, AfterDeadLetter::Continue);
    assert_eq!(fail.options().order, Order::PerKey);
    assert_eq!(batch.options().batch_events, 10);
    assert_eq!(batch.options().batch_age.as_millis(), 20);

    let placed = OrderPlaced { customer: Customer { id: 7 } };
    assert_eq!(placed.key().as_deref(), Some("7"));
    assert_eq!(StockReserved(8).key().as_deref(), Some("8"));
    assert!(StockReserved::KEYED && !ShiftEnded::KEYED);
    assert_eq!(ShiftEnded::Early.key(), None);
}
