//! Batches that their senders count: stored once however late they come again, and none left out.

use std::sync::Arc;

use hence_core::commit::Sequence;
use hence_core::{Code, Commit, Engine, Message, Receipt, Result};
use hence_engine_local::SENDER_BYTES_MAX;
use hence_log::sim::SimStorage;

use crate::common::*;

async fn send(
    engine: &Arc<dyn Engine>,
    sender: &str,
    number: u64,
    publish: Vec<Message>,
) -> Result<Vec<Receipt>> {
    let sequence = Sequence {
        sender: sender.to_owned(),
        number,
    };
    let commit = Commit {
        publish,
        sequence: Some(sequence),
        durability: strongest(engine),
        ..Commit::default()
    };
    engine.commit(commit).await
}

fn places(receipts: &[Receipt]) -> Vec<(Option<u64>, bool)> {
    let place = |receipt: &Receipt| (receipt.position.map(|at| at.0), receipt.duplicate);
    receipts.iter().map(place).collect()
}

fn batch(prefix: &str) -> Vec<Message> {
    vec![event(&format!("{prefix}1")), event(&format!("{prefix}2"))]
}

on_both! {
    /// Also when the ids are forgotten long since.
    async fn g9_the_same_number_again_gets_the_first_receipts(bench: Bench) {
        let mut bench = bench;
        bench.options.dedup_events = 1;
        let engine = bench.open();
        let first = send(&engine, "a", 1, batch("a")).await.unwrap();
        assert_eq!(places(&first), [(Some(1), false), (Some(2), false)]);
        publish(&engine, batch("other")).await.unwrap();
        let again = send(&engine, "a", 1, batch("a")).await.unwrap();
        assert_eq!(places(&again), [(Some(1), true), (Some(2), true)]);
        send(&engine, "a", 2, batch("b")).await.unwrap();
        publish(&engine, batch("another")).await.unwrap();
        // One before the newest: known as stored, and not where.
        let old = send(&engine, "a", 1, batch("a")).await.unwrap();
        assert_eq!(places(&old), [(None, true), (None, true)]);
        let newest = send(&engine, "a", 2, batch("b")).await.unwrap();
        assert_eq!(places(&newest), [(Some(5), true), (Some(6), true)]);
        assert_eq!(all_entries(&engine).await.len(), 8);
    }

    async fn a_gap_in_a_sequence_is_refused(bench: Bench) {
        let engine = bench.open();
        for number in [0, 2, u64::MAX] {
            let error = send(&engine, "a", number, batch("a")).await.unwrap_err();
            assert_eq!(error.code(), Code::SEQUENCE_GAP);
        }
        send(&engine, "a", 1, batch("a")).await.unwrap();
        let error = send(&engine, "a", 3, batch("c")).await.unwrap_err();
        assert_eq!(error.code(), Code::SEQUENCE_GAP);
        assert!(error.to_string().contains("the next one is 2"), "{error}");
        send(&engine, "b", 1, batch("b")).await.unwrap();
        send(&engine, "a", 2, Vec::new()).await.unwrap();
        send(&engine, "a", 3, batch("c")).await.unwrap();
        assert_eq!(all_entries(&engine).await.len(), 6);
    }

    /// A refused batch does not count, so the sender may mend it and send it again.
    async fn a_refused_batch_is_not_counted(bench: Bench) {
        let engine = bench.open();
        publish(&engine, vec![event("taken")]).await.unwrap();
        let bad = vec![event("new"), typed("taken", "u")];
        let error = send(&engine, "a", 1, bad).await.unwrap_err();
        assert_eq!(error.code(), Code::DUPLICATE);
        let mended = send(&engine, "a", 1, vec![event("new")]).await.unwrap();
        assert_eq!(places(&mended), [(Some(2), false)]);
        let other = send(&engine, "a", 1, vec![event("not the same")]).await.unwrap_err();
        assert_eq!(other.code(), Code::DUPLICATE);
    }

    /// What some events of a batch had as their place before it stays their place.
    async fn a_batch_with_a_known_event_keeps_its_places(bench: Bench) {
        let engine = bench.open();
        publish(&engine, vec![event("known")]).await.unwrap();
        let all = vec![event("new"), event("known"), event("newer")];
        let wanted = [(Some(2), false), (Some(1), true), (Some(3), false)];
        assert_eq!(places(&send(&engine, "a", 1, all.clone()).await.unwrap()), wanted);
        let wanted = [(Some(2), true), (Some(1), true), (Some(3), true)];
        assert_eq!(places(&send(&engine, "a", 1, all).await.unwrap()), wanted);
    }

    async fn names_of_senders_have_limits(bench: Bench) {
        let engine = bench.open();
        for name in ["", &"x".repeat(SENDER_BYTES_MAX + 1)] {
            let error = send(&engine, name, 1, batch("a")).await.unwrap_err();
            assert_eq!(error.code(), Code::ATTRIBUTE);
        }
        send(&engine, &"x".repeat(SENDER_BYTES_MAX), 1, batch("a")).await.unwrap();
    }
}

/// Pipelined batches are numbered within one group of commits.
#[test]
fn batches_sent_at_once_are_counted() {
    let bench = Bench::log();
    block_on(async {
        let engine = bench.open();
        let (one, two, three) = (batch("a"), batch("b"), batch("a"));
        let sent = tokio::join!(
            send(&engine, "a", 1, one),
            send(&engine, "a", 2, two),
            send(&engine, "a", 1, three),
            send(&engine, "a", 4, batch("d")),
        );
        assert_eq!(
            places(&sent.0.unwrap()),
            [(Some(1), false), (Some(2), false)]
        );
        assert_eq!(
            places(&sent.1.unwrap()),
            [(Some(3), false), (Some(4), false)]
        );
        assert_eq!(places(&sent.2.unwrap()), [(Some(1), true), (Some(2), true)]);
        assert_eq!(sent.3.unwrap_err().code(), Code::SEQUENCE_GAP);
    });
}

#[test]
fn g9_a_sequence_survives_restarts() {
    let disk = SimStorage::new();
    let mut bench = Bench::storage(Arc::new(disk.clone()));
    bench.options.dedup_events = 1;
    bench.options.segment_bytes = 8192;
    block_on(async {
        for number in 1..=9 {
            let engine = bench.open();
            if number > 1 {
                let last = number - 1;
                let again = send(&engine, "a", last, batch(&format!("{last}-")))
                    .await
                    .unwrap();
                assert!(again.iter().all(|it| it.duplicate && it.position.is_some()));
            }
            send(&engine, "a", number, batch(&format!("{number}-")))
                .await
                .unwrap();
            if number % 3 == 0 {
                engine.close().await;
            }
            drop(engine);
            match number % 3 {
                1 => disk.kill(),
                2 => disk.crash(number),
                _ => {}
            }
        }
        let engine = bench.open();
        assert_eq!(all_entries(&engine).await.len(), 18);
    });
}
