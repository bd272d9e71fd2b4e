//! Events go when they need not be kept, and never before every subscription has settled them.

use std::sync::Arc;
use std::time::Duration;

use hence_core::engine::Engine;
use hence_core::error::Code;
use hence_engine_local::Retention;

use crate::common::*;

/// More commits than any of these tests needs before a segment goes.
const ROUNDS_MAX: u64 = 2_000;
/// Looks at what the keeper does beside, until it must have been done.
const LOOKS_MAX: u64 = 2_000_000;
/// Events in each of them.
const BATCH: u64 = 50;

fn bench(retention: Retention) -> Bench {
    let mut bench = Bench::log();
    bench.options.segment_bytes = 16 << 10;
    bench.options.keep_interval = Duration::from_millis(1);
    bench.options.snapshot_interval = Duration::ZERO;
    bench.options.retention = retention;
    bench
}

fn size() -> Retention {
    Retention {
        bytes: Some(64 << 10),
        ..Retention::default()
    }
}

fn first(engine: &Arc<dyn Engine>) -> u64 {
    engine.health().unwrap().first.0
}

/// Publishes until the log is twice as large as it may be; nothing may go meanwhile.
async fn fill(engine: &Arc<dyn Engine>, from: u64) -> u64 {
    let mut id = from;
    while engine.health().unwrap().bytes < 128 << 10 {
        publish_range(engine, id, id + BATCH - 1).await;
        id += BATCH;
        assert_eq!(first(engine), 1, "nobody has settled it");
    }
    id
}

/// Publishes until something goes; says how far it got.
async fn until_retired(engine: &Arc<dyn Engine>, from: u64) -> u64 {
    for round in 1..=ROUNDS_MAX {
        let last = from - 1 + round * BATCH;
        publish_range(engine, last - BATCH + 1, last).await;
        if first(engine) > 1 {
            return last;
        }
    }
    panic!("nothing was retired");
}

#[test]
fn the_oldest_events_go_by_size_and_stay_gone() {
    block_on(async {
        let bench = bench(size());
        let engine = bench.open();
        let last = until_retired(&engine, 1).await;
        let gone = engine.get(position(1)).await.unwrap_err();
        assert_eq!(gone.code(), Code::NOT_FOUND);
        let kept = all_entries(&engine).await;
        assert!(kept[0].position.0 > 1);
        assert_eq!(kept.last().unwrap().position.0, last);
        // An id is known although its event is gone.
        let receipts = publish(&engine, vec![event("1")]).await.unwrap();
        assert!(receipts[0].duplicate);
        engine.close().await;
        drop(engine);
        let again = bench.open();
        assert!(first(&again) > 1);
        let kept_again = all_entries(&again).await;
        assert_eq!(kept_again.last().unwrap().position.0, last);
    });
}

#[test]
fn the_oldest_events_go_by_age_on_the_engines_clock() {
    block_on(async {
        let age = Some(Duration::from_secs(3600));
        let bench = bench(Retention {
            age,
            ..Retention::default()
        });
        let engine = bench.open();
        let next = fill(&engine, 1).await;
        bench.clock.advance(Duration::from_secs(7200));
        until_retired(&engine, next).await;
    });
}

#[test]
fn g2_nothing_goes_that_a_subscription_has_not_settled() {
    block_on(async {
        for retention in [
            size(),
            Retention {
                settled: true,
                ..Retention::default()
            },
        ] {
            let bench = bench(retention);
            let engine = bench.open();
            let mut slow = subscribe(&engine, "slow").await;
            let next = fill(&engine, 1).await;
            for _ in 0..next {
                if engine.subscriptions()[0].lag == 0 {
                    break;
                }
                let got = slow.next(100).await.unwrap();
                done(&engine, "slow", &got).await;
            }
            for round in 0..ROUNDS_MAX {
                let id = next + round * BATCH;
                publish_range(&engine, id, id + BATCH - 1).await;
                let got = slow.next(100).await.unwrap();
                done(&engine, "slow", &got).await;
                if first(&engine) > 1 {
                    break;
                }
            }
            assert!(first(&engine) > 1, "what is settled goes: {retention:?}");
            let settled = engine.subscriptions()[0].settled.0;
            assert!(first(&engine) <= settled + 1);
        }
    });
}

#[test]
fn g4_nothing_goes_that_a_dead_letter_needs() {
    block_on(async {
        let bench = bench(size());
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish(&engine, vec![typed("x", "u"), event("letter")])
            .await
            .unwrap();
        for delivery in pull(&mut deliveries, 1).await {
            settle(&engine, "s", &delivery, reject(false))
                .await
                .unwrap();
        }
        drop(deliveries);
        let mut id = 0;
        let mut more = async |engine: &Arc<dyn Engine>| {
            id += 1;
            let batch = (0..BATCH).map(|n| typed(&format!("{id}-{n}"), "u"));
            publish(engine, batch.collect()).await.unwrap();
        };
        while engine.health().unwrap().bytes < 160 << 10 {
            more(&engine).await;
        }
        assert_eq!(first(&engine), 1, "the dead letter is in the first segment");
        engine.close().await;
        drop(engine);
        let engine = bench.open();
        let (_, message) = engine.dead_letter("s.2").await.unwrap();
        assert_eq!(message, event("letter"));
        discard(&engine, &["s.2"]).await.unwrap();
        for _ in 0..ROUNDS_MAX {
            if first(&engine) > 2 {
                return;
            }
            more(&engine).await;
        }
        panic!("nobody needs it, and it stays");
    });
}

#[test]
fn without_a_subscription_nothing_counts_as_settled_by_all() {
    block_on(async {
        let bench = bench(Retention {
            settled: true,
            ..Retention::default()
        });
        let engine = bench.open();
        fill(&engine, 1).await;
        assert_eq!(all_entries(&engine).await[0].position.0, 1);
    });
}

#[test]
fn what_is_old_goes_also_where_nothing_is_published() {
    block_on(async {
        let age = Some(Duration::from_secs(3600));
        let mut bench = bench(Retention {
            age,
            ..Retention::default()
        });
        bench.options.segment_bytes = 1 << 20;
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, BATCH).await;
        let got = pull(&mut deliveries, BATCH as usize).await;
        done(&engine, "s", &got).await;
        assert!(engine.get(position(1)).await.is_ok());
        bench.clock.advance(Duration::from_secs(7200));
        let gone = async || engine.health().unwrap().first.0 == BATCH;
        for _ in 0..LOOKS_MAX {
            if gone().await {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert!(gone().await);
        // It is at rest then: a log that holds nothing old is left alone.
        engine.close().await;
        drop((engine, deliveries));
        let engine = bench.open();
        assert_eq!(engine.subscriptions()[0].lag, 0);
        let receipts = publish(&engine, vec![event("next")]).await.unwrap();
        assert_eq!(receipts[0].position, Some(position(BATCH + 1)));
    });
}

#[test]
fn a_spare_is_ready_before_it_is_needed_and_is_used() {
    block_on(async {
        let mut bench = bench(Retention::default());
        bench.options.spares = true;
        let engine = bench.open();
        let files = |prefix: &str| {
            let names = std::fs::read_dir(bench.path()).unwrap();
            let names = names.map(|entry| entry.unwrap().file_name());
            names
                .filter(|name| name.to_string_lossy().starts_with(prefix))
                .count()
        };
        let mut id = 1;
        while files("spare-blank-") == 0 {
            assert!(id < ROUNDS_MAX * BATCH, "no spare was made ready");
            publish_range(&engine, id, id).await;
            id += 1;
        }
        let before = files("segment-");
        while files("segment-") == before {
            publish_range(&engine, id, id).await;
            id += 1;
        }
        engine.close().await;
        drop(engine);
        let engine = bench.open();
        assert_eq!(all_entries(&engine).await.len() as u64, id - 1);
    });
}
