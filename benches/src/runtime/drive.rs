//! The same work by each: Hence on `memory:`, RustStream's memory broker, a bare tokio channel.

use std::time::Instant;

use hence::{App, Running};
use ruststream::OutgoingMessage;
use ruststream::memory::prelude::*;
use ruststream::runtime::App as _;

use super::payload::{COUNT, Order, Payload, Raw, Small};

/// The capacity of the bare channel.
const CHANNEL: usize = 1_024;
/// The name under which RustStream publishes and subscribes.
pub(super) const NAME: &str = "orders";

async fn raw(_: Raw) {
    COUNT.add();
}

async fn small(event: Small) {
    std::hint::black_box(event);
    COUNT.add();
}

async fn json(event: Order) {
    std::hint::black_box(&event);
    COUNT.add();
}

/// Hence with so many subscriptions.
pub(super) async fn ours(payload: Payload, subscriptions: usize) -> anyhow::Result<Running> {
    Ok(app(payload, subscriptions).start("memory:").await?)
}

/// The application of [`ours`].
pub(super) fn app(payload: Payload, subscriptions: usize) -> App {
    let mut app = App::new("bench");
    for number in 0..subscriptions {
        let name = format!("s{number}");
        app = match payload {
            Payload::Bytes => app.subscribe(&name, raw),
            Payload::Small => app.subscribe(&name, small),
            Payload::Json => app.subscribe(&name, json),
        };
    }
    app
}

/// Events per second through Hence: encoded before, decoded by each subscription.
pub(super) async fn hence(
    payload: Payload,
    events: usize,
    subscriptions: usize,
) -> anyhow::Result<f64> {
    let running = ours(payload, subscriptions).await?;
    COUNT.begin(events * subscriptions);
    let (bus, data) = (running.bus().clone(), payload.bytes());
    let began = Instant::now();
    let publisher = tokio::spawn(async move {
        let level = bus.durability();
        for number in 0..events {
            bus.commit(vec![payload.message(number, &data)?], level)
                .await?;
        }
        anyhow::Ok(())
    });
    publisher.await??;
    COUNT.all().await;
    let rate = events as f64 / began.elapsed().as_secs_f64();
    running.drain().await;
    Ok(rate)
}

/// The same, encoded by the publish.
pub(super) async fn hence_typed(events: usize) -> anyhow::Result<f64> {
    let running = ours(Payload::Json, 1).await?;
    COUNT.begin(events);
    let bus = running.bus().clone();
    let began = Instant::now();
    let publisher = tokio::spawn(async move {
        let order = Order::new();
        for _ in 0..events {
            bus.publish(order.clone()).await?;
        }
        anyhow::Ok(())
    });
    publisher.await??;
    COUNT.all().await;
    let rate = events as f64 / began.elapsed().as_secs_f64();
    running.drain().await;
    Ok(rate)
}

#[derive(Deserialized)]
struct Frame<'a>(&'a [u8]);

#[subscriber("orders")]
async fn their_raw(frame: &Frame<'_>) -> HandlerOutcome {
    std::hint::black_box(frame.0.first());
    COUNT.add();
    HandlerOutcome::ack()
}

#[subscriber("orders")]
async fn their_small(event: &Small) -> HandlerOutcome {
    std::hint::black_box(event);
    COUNT.add();
    HandlerOutcome::ack()
}

#[subscriber("orders")]
async fn their_json(event: &Order) -> HandlerOutcome {
    std::hint::black_box(event);
    COUNT.add();
    HandlerOutcome::ack()
}

pub(super) fn theirs(
    broker: MemoryBroker,
    payload: Payload,
    subscriptions: usize,
) -> impl ruststream::runtime::App {
    RustStream::new(AppInfo::new("bench", "0.1.0")).with_broker(broker, |b| {
        for _ in 0..subscriptions {
            match payload {
                Payload::Bytes => drop(b.include(their_raw)),
                Payload::Small => drop(b.include(their_small)),
                Payload::Json => drop(b.include(their_json)),
            }
        }
    })
}

/// Events per second through RustStream; `typed` lets it encode.
pub(super) async fn ruststream(
    payload: Payload,
    events: usize,
    subscriptions: usize,
    typed: bool,
) -> anyhow::Result<f64> {
    let broker = MemoryBroker::new();
    let publisher = broker.publisher();
    let running = theirs(broker, payload, subscriptions).start().await?;
    COUNT.begin(events * subscriptions);
    let began = Instant::now();
    let data = payload.bytes();
    let published = tokio::spawn(async move {
        let order = Order::new();
        for _ in 0..events {
            if typed {
                publisher.message(&order.clone()).publish().await?;
            } else {
                publisher
                    .publish(OutgoingMessage::new(NAME, &data), None)
                    .await?;
            }
        }
        anyhow::Ok(())
    });
    published.await??;
    COUNT.all().await;
    let rate = events as f64 / began.elapsed().as_secs_f64();
    running.shutdown().await?;
    Ok(rate)
}

/// Events per second through a bare bounded channel to one task that decodes; `typed` encodes each.
pub(super) async fn channel(payload: Payload, events: usize, typed: bool) -> anyhow::Result<f64> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<bytes::Bytes>(CHANNEL);
    let began = Instant::now();
    let data = payload.bytes();
    tokio::spawn(async move {
        let order = Order::new();
        for _ in 0..events {
            let bytes = if typed {
                serde_json::to_vec(&order.clone())
                    .unwrap_or_default()
                    .into()
            } else {
                data.clone()
            };
            if sender.send(bytes).await.is_err() {
                return;
            }
        }
    });
    let counted = tokio::spawn(async move {
        let mut counted = 0;
        while let Some(bytes) = receiver.recv().await {
            counted += usize::from(payload.decode(&bytes));
        }
        counted
    });
    let counted = counted.await?;
    anyhow::ensure!(counted == events, "{counted} of {events} were decoded");
    Ok(events as f64 / began.elapsed().as_secs_f64())
}
