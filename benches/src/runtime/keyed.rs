//! Lanes: four workers with ten thousand keys beside one worker without any.

use std::time::{Duration, Instant};

use hence::core::Order;
use hence::{App, Event, HandlerExt};
use serde::{Deserialize, Serialize};

use super::payload::COUNT;

const KEYS: usize = 10_000;
const WORKERS: usize = 4;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "bench.keyed", key = key)]
struct Keyed {
    key: String,
}

async fn free(_: Keyed) {
    COUNT.add();
}

async fn waits(_: Keyed) {
    tokio::time::sleep(Duration::from_millis(1)).await;
    COUNT.add();
}

/// Events per second with lanes, and one after the other.
pub(super) async fn pair(events: usize, with_await: bool) -> anyhow::Result<(f64, f64)> {
    let lanes = rate(events, with_await, true).await?;
    Ok((lanes, rate(events, with_await, false).await?))
}

async fn rate(events: usize, with_await: bool, lanes: bool) -> anyhow::Result<f64> {
    let set = |options: &mut hence::core::Options| {
        options.concurrency = if lanes { WORKERS } else { 1 };
        options.order = if lanes { Order::PerKey } else { Order::Any };
    };
    let app = App::new("bench");
    let app = if with_await {
        app.subscribe("keyed", waits.with(set))
    } else {
        app.subscribe("keyed", free.with(set))
    };
    let running = app.start("memory:").await?;
    COUNT.begin(events);
    let bus = running.bus().clone();
    let began = Instant::now();
    let publisher = tokio::spawn(async move {
        for number in 0..events {
            let key = (number * 7_919 % KEYS).to_string();
            bus.publish(Keyed { key }).await?;
        }
        anyhow::Ok(())
    });
    publisher.await??;
    COUNT.all().await;
    let rate = events as f64 / began.elapsed().as_secs_f64();
    running.drain().await;
    Ok(rate)
}
