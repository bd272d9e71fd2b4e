//! The ways of an order, over the public API.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::collections::BTreeSet;

use hence::core::engine::{DeliveryReport, DeliveryState};
use hence::core::{DeadLetterQuery, Filter, Read, RejectReason, Start};
use hence::{App, Bus, Event, Failure, Receipt, Running, State};
use hence_orders::event::{
    CardDeclined, Item, OrderCancelled, OrderCompleted, OrderPlaced, StockReleased,
};
use hence_orders::payments::Payments;
use hence_orders::step::{Asked, release_stock, reserve_stock};
use hence_orders::stock::{Reservation, Stock, Unreachable};

async fn start() -> Running {
    hence_orders::app().start("memory:").await.unwrap()
}

fn order(order_id: &str, amount: f64, sku: &str) -> OrderPlaced {
    let items = vec![Item {
        sku: sku.to_owned(),
        qty: 2,
    }];
    OrderPlaced {
        order_id: order_id.to_owned(),
        amount,
        items,
    }
}

/// Waits for an event of this type that the order caused, and gives it.
async fn caused<E: Event>(bus: &Bus, receipt: &Receipt) -> E {
    let filter = Filter {
        types: vec![E::TYPE.to_owned()],
        correlation_id: Some(receipt.id().to_owned()),
        ..Filter::default()
    };
    let read = Read {
        from: Start::Earliest,
        filter,
        follow: true,
    };
    let found = bus.read(read).await.unwrap().next(1).await.unwrap();
    found[0].message.decode().unwrap()
}

/// The types of all events that the order caused, itself first.
async fn chain(bus: &Bus, receipt: &Receipt) -> Vec<String> {
    let trace = bus.trace(receipt.position.unwrap()).await.unwrap();
    let types = trace
        .nodes
        .iter()
        .map(|node| node.entry.message.attributes().event_type().to_owned());
    types.collect()
}

#[tokio::test]
async fn an_order_is_reserved_charged_and_completed() {
    let app = start().await;
    // The bytes of the first event that a newcomer sends.
    let json = r#"{"order_id":"A-17","amount":99.5,"items":[{"sku":"X","qty":2}]}"#;
    let placed: OrderPlaced = serde_json::from_str(json).unwrap();
    assert_eq!(placed, order("A-17", 99.5, "X"));

    let receipt = app.publish(placed).await.unwrap();
    let completed: OrderCompleted = caused(&app, &receipt).await;
    assert_eq!(completed.order_id, "A-17");
    let expected = [
        "order.placed",
        "stock.reserved",
        "card.charged",
        "order.completed",
    ];
    assert_eq!(chain(&app, &receipt).await, expected);
}

#[tokio::test]
async fn what_is_out_of_stock_cancels_the_order() {
    let app = start().await;
    let receipt = app.publish(order("A-18", 20.0, "GONE")).await.unwrap();
    let cancelled: OrderCancelled = caused(&app, &receipt).await;
    assert_eq!(cancelled.reason, "GONE is out of stock");
    let expected = ["order.placed", "stock.refused", "order.cancelled"];
    assert_eq!(chain(&app, &receipt).await, expected);
}

#[tokio::test]
async fn a_declined_card_releases_the_stock_and_cancels_the_order() {
    let app = start().await;
    let receipt = app.publish(order("A-19", 4_800.0, "piano")).await.unwrap();
    let cancelled: OrderCancelled = caused(&app, &receipt).await;
    assert_eq!(cancelled.reason, "the card pays no more than 1000");
    let expected = [
        "order.placed",
        "stock.reserved",
        "card.declined",
        "stock.released",
        "order.cancelled",
    ];
    assert_eq!(chain(&app, &receipt).await, expected);
}

#[tokio::test]
async fn a_stock_that_does_not_answer_is_asked_again() {
    let app = start().await;
    let placed = app.publish(order("A-20", 35.0, "FLAKY"));
    let handled = placed.until_handled().await.unwrap();
    let [report] = &*handled.results else {
        panic!("one subscription takes an order: {:?}", handled.results);
    };
    let outcomes: Vec<_> = report
        .attempts
        .iter()
        .map(|a| (a.attempt, a.outcome))
        .collect();
    assert_eq!(outcomes, [(1, "retry"), (2, "done")]);
    assert_eq!(report.attempts[0].error, Unreachable.to_string());
    let completed: OrderCompleted = caused(&app, &handled.receipt).await;
    assert_eq!(completed.order_id, "A-20");
}

#[tokio::test]
async fn a_negative_amount_is_a_dead_letter_also_when_it_is_sent_again() {
    let app = start().await;
    let handled = app
        .publish(order("A-21", -5.0, "X"))
        .until_handled()
        .await
        .unwrap();
    assert_eq!(states(&handled.results), [DeliveryState::Dead]);
    let position = handled.receipt.position.unwrap();

    let dead = app
        .engine()
        .dead_letters(&DeadLetterQuery::of("reserve-stock"))
        .await
        .unwrap();
    let [letter] = &*dead else {
        panic!("one dead letter: {dead:?}");
    };
    assert_eq!((letter.position, letter.attempts), (position, 1));
    assert_eq!(letter.reason, RejectReason::Rejected);
    assert_eq!(
        letter.error,
        "the amount of an order cannot be negative: -5"
    );
    assert_eq!(
        app.dead_letter(&letter.id)
            .await
            .unwrap()
            .1
            .decode::<OrderPlaced>()
            .unwrap(),
        order("A-21", -5.0, "X")
    );

    app.redrive(vec![letter.id.clone()]).await.unwrap();
    app.engine().settled(position).await.unwrap();
    let report = app.engine().report(position).await.unwrap();
    assert_eq!(states(&report), [DeliveryState::Dead]);
    assert!(
        report[0].attempts.len() >= 2,
        "it was handled again: {report:?}"
    );
    assert_eq!(
        app.engine()
            .dead_letters(&DeadLetterQuery::default())
            .await
            .unwrap()
            .len(),
        1
    );
}

fn states(reports: &[DeliveryReport]) -> Vec<DeliveryState> {
    reports.iter().map(|report| report.state).collect()
}

#[tokio::test]
async fn a_dead_letter_that_was_redriven_after_the_cure_completes() {
    // An application whose first version refuses what the second handles; the events stay the same.
    let cured = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let switch = std::sync::Arc::clone(&cured);
    let handle = move |order: OrderPlaced| {
        let cured = switch.load(std::sync::atomic::Ordering::Relaxed);
        let OrderPlaced { order_id, .. } = order;
        std::future::ready(if cured {
            Ok(OrderCompleted { order_id })
        } else {
            Err(Failure::reject("not yet"))
        })
    };
    let app = App::new("orders").subscribe("complete", handle);
    let app = app.start("memory:").await.unwrap();
    let first = app
        .publish(order("A-22", 1.0, "X"))
        .until_handled()
        .await
        .unwrap();
    let second = app.publish(order("A-22", 2.0, "X")).await.unwrap();

    cured.store(true, std::sync::atomic::Ordering::Relaxed);
    let dead = app
        .engine()
        .dead_letters(&DeadLetterQuery::default())
        .await
        .unwrap();
    app.redrive(dead.into_iter().map(|letter| letter.id).collect())
        .await
        .unwrap();
    // The second order of the key was held behind the first.
    app.engine()
        .settled(second.position.unwrap())
        .await
        .unwrap();
    for receipt in [first.receipt, second] {
        let report = app
            .engine()
            .report(receipt.position.unwrap())
            .await
            .unwrap();
        assert_eq!(states(&report), [DeliveryState::Done]);
    }
    assert!(
        app.engine()
            .dead_letters(&DeadLetterQuery::default())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_step_is_a_function_that_may_be_called_again() {
    let stock = State::new(Stock::default());
    for _ in 0..2 {
        let asked = reserve_stock(order("A-23", 20.0, "X"), stock.clone())
            .await
            .unwrap();
        assert!(matches!(asked, Asked::Reserved(_)));
        assert_eq!(stock.held(), 1);
    }
    for _ in 0..2 {
        let declined = CardDeclined {
            order_id: "A-23".to_owned(),
            reason: "no".to_owned(),
        };
        let StockReleased { order_id, .. } = release_stock(declined, stock.clone()).await;
        assert_eq!((&*order_id, stock.held()), ("A-23", 0));
    }
    // A late repetition of the reservation holds nothing again.
    assert_eq!(stock.reserve("A-23", &[]), Ok(Reservation::Held));
    assert_eq!(stock.held(), 0);
}

#[test]
fn a_card_pays_once() {
    let payments = Payments::default();
    let first = payments.charge("A-24", 99.5);
    assert_eq!(payments.charge("A-24", 99.5), first);
    assert!((payments.taken() - 99.5).abs() < f64::EPSILON);
}

#[tokio::test]
async fn the_demonstration_takes_every_way() {
    let load = hence_orders::demo_load(2_000.0);
    let app = hence_orders::app()
        .source(load)
        .start("memory:")
        .await
        .unwrap();
    let filter = Filter {
        types: vec![
            OrderCompleted::TYPE.to_owned(),
            OrderCancelled::TYPE.to_owned(),
        ],
        ..Filter::default()
    };
    let read = Read {
        from: Start::Earliest,
        filter,
        follow: true,
    };
    let mut ends = app.read(read).await.unwrap();
    let mut seen = BTreeSet::new();
    while seen.len() < 3 {
        for entry in ends.next(100).await.unwrap() {
            let cancelled = entry.message.decode::<OrderCancelled>();
            seen.insert(cancelled.map_or("completed".to_owned(), |order| order.reason));
        }
    }
    let expected = [
        "GONE is out of stock",
        "completed",
        "the card pays no more than 1000",
    ];
    assert!(seen.iter().eq(expected), "{seen:?}");
    assert_eq!(app.metrics()["reserve-stock"].rejected(), 0);
}

#[test]
fn the_wiring_holds() {
    let app = hence_orders::app().source(hence_orders::demo_load(10.0));
    app.check().unwrap();
    let topology = app.topology();
    assert_eq!(topology.sources[0].emits, ["order.placed"]);
    let names: Vec<_> = topology
        .subscriptions
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    let expected = [
        "reserve-stock",
        "charge-card",
        "complete-order",
        "release-stock",
        "cancel-order",
    ];
    assert_eq!(names, expected);
    assert!(topology.types.iter().all(|event_type| event_type.keyed));
}
