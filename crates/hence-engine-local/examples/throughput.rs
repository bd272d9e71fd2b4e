//! How many events a second the engine takes and hands on: `cargo run --release --example
//! throughput [events]`. Figures travel badly between machines; ratios within one run do better.

#![allow(clippy::print_stdout, reason = "it is its purpose")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails is none")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hence_core::{
    Attributes, Commit, Engine, Message, Outcome, Settlement, Start, SubscriptionSpec,
};
use hence_engine_local::Options;

const DATA: &[u8; 256] = &[b'x'; 256];

fn message(publisher: usize, number: usize) -> Message {
    let id = format!("{publisher}-{number}");
    let mut attributes = Attributes::new(id, "/bench", "bench.event").unwrap();
    attributes
        .set("partitionkey", (number % 64).to_string())
        .unwrap();
    Message::new(attributes, Some(bytes::Bytes::from_static(DATA)))
}

/// Publishes with so many commits under way at a time.
async fn publisher(engine: Arc<dyn Engine>, who: usize, events: usize, window: usize) {
    let level = engine.capability().strongest();
    let mut under_way = VecDeque::new();
    for number in 0..events {
        let commit = Commit::publish(vec![message(who, number)], level);
        if window == 1 {
            engine.commit(commit).await.unwrap();
            continue;
        }
        match engine.try_commit(commit) {
            Ok(answer) => under_way.push_back(answer),
            Err(hence_core::engine::TryCommitError::Full(commit)) => {
                engine.commit(*commit).await.unwrap();
            }
            Err(hence_core::engine::TryCommitError::Refused(error)) => panic!("{error}"),
        }
        if under_way.len() >= window {
            under_way.pop_front().unwrap().await.unwrap();
        }
    }
    for answer in under_way {
        answer.await.unwrap();
    }
}

/// Pulls and settles everything, with up to `batch` settlements in a commit.
async fn consumer(engine: Arc<dyn Engine>, events: usize, batch: usize) {
    let types = vec!["bench.event".to_owned()];
    let spec = SubscriptionSpec::new("s", types, Start::Earliest);
    let mut deliveries = engine.subscribe(spec).await.unwrap();
    let level = engine.capability().strongest();
    let mut seen = 0;
    let mut under_way = VecDeque::new();
    while seen < events {
        let some = deliveries.next(batch).await.unwrap();
        seen += some.len();
        let settle = some.iter().map(|delivery| Settlement {
            subscription: "s".into(),
            position: delivery.position,
            attempt: delivery.attempt,
            outcome: Outcome::Done,
            ran: Duration::ZERO,
        });
        let commit = Commit {
            settle: settle.collect(),
            durability: level,
            ..Commit::default()
        };
        match engine.try_commit(commit) {
            Ok(answer) => under_way.push_back(answer),
            Err(hence_core::engine::TryCommitError::Full(commit)) => {
                engine.commit(*commit).await.unwrap();
            }
            Err(hence_core::engine::TryCommitError::Refused(error)) => panic!("{error}"),
        }
        if under_way.len() >= 256 {
            under_way.pop_front().unwrap().await.unwrap();
        }
    }
    for answer in under_way {
        answer.await.unwrap();
    }
}

fn engine(name: &str) -> (Arc<dyn Engine>, Option<tempfile::TempDir>) {
    let options = Options::default();
    if name == "memory" {
        return (hence_engine_local::memory(&options), None);
    }
    let dir = tempfile::tempdir_in(".").unwrap();
    let engine = hence_engine_local::log(dir.path(), &options).unwrap();
    (engine, Some(dir))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let events = std::env::args()
        .nth(1)
        .map_or(1_000_000, |text| text.parse().unwrap());
    for name in ["memory", "log"] {
        for (publishers, window, handled) in [
            (1, 1, false),
            (1, 256, false),
            (4, 1, false),
            (4, 256, false),
            (1, 256, true),
            (4, 256, true),
        ] {
            let slow = name == "log" && window == 1;
            let events = if slow { events / 100 } else { events } / publishers * publishers;
            let (engine, dir) = engine(name);
            let begin = Instant::now();
            let consumer = handled.then(|| tokio::spawn(consumer(Arc::clone(&engine), events, 64)));
            let publishing: Vec<_> = (0..publishers)
                .map(|who| {
                    let engine = Arc::clone(&engine);
                    tokio::spawn(publisher(engine, who, events / publishers, window))
                })
                .collect();
            for publisher in publishing {
                publisher.await.unwrap();
            }
            if let Some(consumer) = consumer {
                consumer.await.unwrap();
            }
            let took = begin.elapsed();
            let health = engine.health().unwrap();
            let rate = events as f64 / took.as_secs_f64();
            let what = if handled { "handled" } else { "published" };
            let syncs = u32::try_from(health.syncs).unwrap();
            let each = health.syncing.checked_div(syncs).unwrap_or_default();
            println!("{name:6} publishers {publishers} window {window:3} {what:9} {rate:>9.0}/s");
            println!("       {syncs:>6} syncs of {each:?}");
            engine.close().await;
            drop(dir);
        }
    }
}
