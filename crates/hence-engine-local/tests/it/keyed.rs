//! Keyed state: it changes with its commit alone, and survives what the commit survives.

use std::sync::Arc;

use bytes::Bytes;
use hence_core::commit::{Change, What};
use hence_core::engine::Feature;
use hence_core::{Code, Commit, Delivery, Engine, Outcome};
use hence_engine_local::{KEYED_VALUE_BYTES_MAX, STATE_BYTES_MAX};
use hence_log::sim::SimStorage;

use crate::common::*;

fn change(key: &str, what: What) -> Change {
    Change {
        subscription: "s".into(),
        key: key.to_owned(),
        what,
    }
}

fn write(key: &str, value: impl Into<Bytes>) -> Change {
    change(key, What::Write(value.into()))
}

async fn settle_and_change(
    engine: &Arc<dyn Engine>,
    delivery: &Delivery,
    change: Vec<Change>,
) -> hence_core::Result<()> {
    let commit = Commit {
        settle: vec![settlement("s", delivery, Outcome::Done)],
        change,
        durability: strongest(engine),
        ..Commit::default()
    };
    engine.commit(commit).await.map(drop)
}

async fn changes(engine: &Arc<dyn Engine>, change: Vec<Change>) -> hence_core::Result<()> {
    let commit = Commit {
        change,
        durability: strongest(engine),
        ..Commit::default()
    };
    engine.commit(commit).await.map(drop)
}

async fn value(engine: &Arc<dyn Engine>, key: &str) -> Option<Vec<u8>> {
    let value = engine.keyed("s", key).await.unwrap();
    value.map(|value| value.to_vec())
}

on_both! {
    /// A commit that was repeated, or whose attempt was over, changes nothing.
    async fn g7_a_value_changes_with_its_settlement_and_once(bench: Bench) {
        let engine = bench.open();
        assert!(engine.capability().has(Feature::Keyed));
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 2).await;
        let found = pull(&mut deliveries, 2).await;
        assert_eq!(value(&engine, "k").await, None);
        settle_and_change(&engine, &found[0], vec![write("k", "1")]).await.unwrap();
        assert_eq!(value(&engine, "k").await.unwrap(), b"1");
        settle_and_change(&engine, &found[0], vec![write("k", "again")]).await.unwrap();
        assert_eq!(value(&engine, "k").await.unwrap(), b"1");
        let due = bench.clock_now();
        settle(&engine, "s", &found[1], retry(due)).await.unwrap();
        settle_and_change(&engine, &found[1], vec![write("k", "zombie")]).await.unwrap();
        assert_eq!(value(&engine, "k").await.unwrap(), b"1");
        assert_eq!(value(&engine, "another").await, None);
    }

    /// What is written last in a commit counts, and each subscription has values of its own.
    async fn values_belong_to_a_subscription_and_a_key(bench: Bench) {
        let engine = bench.open();
        let _s = subscribe(&engine, "s").await;
        let _t = subscribe(&engine, "t").await;
        changes(&engine, vec![write("k", "1"), write("k", "2"), write("l", "3")]).await.unwrap();
        assert_eq!(value(&engine, "k").await.unwrap(), b"2");
        assert_eq!(value(&engine, "l").await.unwrap(), b"3");
        assert_eq!(engine.keyed("t", "k").await.unwrap(), None);
        changes(&engine, vec![change("k", What::Remove), change("m", What::Remove)]).await.unwrap();
        assert_eq!(value(&engine, "k").await, None);
        changes(&engine, vec![write("k", "")]).await.unwrap();
        assert_eq!(value(&engine, "k").await.unwrap(), b"");
        let error = engine.keyed("nobody", "k").await.unwrap_err();
        assert_eq!(error.code(), Code::NOT_FOUND);
    }

    /// What is refused changes nothing, not even what stands beside it.
    async fn g7_a_refused_commit_writes_nothing(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 1).await;
        let found = pull(&mut deliveries, 1).await;
        let large = vec![0; KEYED_VALUE_BYTES_MAX + 1];
        let stranger = Change {
            subscription: "nobody".into(),
            ..write("k", "1")
        };
        for (refused, code) in [
            (write("large", large), Code::STATE_FULL),
            (stranger, Code::NOT_FOUND),
        ] {
            let refused = vec![write("k", "ghost"), refused];
            let error = settle_and_change(&engine, &found[0], refused).await.unwrap_err();
            assert_eq!(error.code(), code);
            assert_eq!(value(&engine, "k").await, None);
        }
        settle_and_change(&engine, &found[0], vec![write("k", "1")]).await.unwrap();
        assert_eq!(value(&engine, "k").await.unwrap(), b"1");
    }

    /// The memory for values has a limit; what shrinks or goes is taken all the same.
    async fn g12_values_have_a_limit(bench: Bench) {
        let mut bench = bench;
        bench.options.segment_bytes = 8 << 20;
        let engine = bench.open();
        let _deliveries = subscribe(&engine, "s").await;
        let large = Bytes::from(vec![7; KEYED_VALUE_BYTES_MAX]);
        let fit = STATE_BYTES_MAX / KEYED_VALUE_BYTES_MAX - 1;
        for key in 0..fit {
            changes(&engine, vec![write(&key.to_string(), large.clone())]).await.unwrap();
        }
        // What is written twice in one commit takes its room once.
        let part = large.slice(..KEYED_VALUE_BYTES_MAX * 3 / 5);
        let twice = |last: &Bytes| vec![write("twice", part.clone()), write("twice", last.clone())];
        let error = changes(&engine, twice(&large)).await.unwrap_err();
        assert_eq!(error.code(), Code::STATE_FULL);
        changes(&engine, twice(&part)).await.unwrap();
        changes(&engine, vec![change("twice", What::Remove)]).await.unwrap();
        let more = vec![write("more", large.clone())];
        let error = changes(&engine, more.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::STATE_FULL);
        assert!(!error.is_retryable());
        changes(&engine, vec![write("0", large.clone())]).await.unwrap();
        changes(&engine, vec![change("1", What::Remove)]).await.unwrap();
        changes(&engine, more).await.unwrap();
        assert_eq!(value(&engine, "more").await.unwrap().len(), large.len());
    }
}

/// Values outlive a kill, a clean end, a power cut, and the segments in which they were written.
#[test]
fn g7_values_survive_restarts_and_retention() {
    let disk = SimStorage::new();
    let mut bench = Bench::storage(Arc::new(disk.clone()));
    bench.options.segment_bytes = 8192;
    bench.options.snapshot_frames = 5;
    bench.options.snapshot_interval = std::time::Duration::ZERO;
    bench.options.retention.settled = true;
    bench.options.keep_interval = std::time::Duration::from_millis(1);
    block_on(async {
        for round in 0..6_u64 {
            let engine = bench.open();
            let mut deliveries = subscribe(&engine, "s").await;
            for key in ["old", "each"] {
                let wanted = round.checked_sub(1).map(|last| format!("{key}-{last}"));
                let wanted = wanted.map(|text| match key {
                    "old" => b"old-0".to_vec(),
                    _ => text.into_bytes(),
                });
                assert_eq!(value(&engine, key).await, wanted, "round {round}");
            }
            if round == 0 {
                changes(&engine, vec![write("old", "old-0")]).await.unwrap();
            }
            for id in 0..40 {
                let id = format!("{round}-{id}");
                publish(&engine, vec![with(event(&id), "subject", &"x".repeat(300))])
                    .await
                    .unwrap();
                let found = pull(&mut deliveries, 1).await;
                let text = format!("each-{round}");
                settle_and_change(&engine, &found[0], vec![write("each", text)])
                    .await
                    .unwrap();
            }
            if round == 4 {
                // The keeper lets the first segments go, in which "old" was written.
                while engine.health().unwrap().first.0 < 100 {
                    publish(&engine, vec![event("push")]).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
            if round % 3 == 0 {
                engine.close().await;
            }
            drop(deliveries);
            drop(engine);
            match round % 3 {
                1 => disk.kill(),
                2 => disk.crash(round),
                _ => {}
            }
        }
    });
}
