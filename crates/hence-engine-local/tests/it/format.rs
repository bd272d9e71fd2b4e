//! Directories that older versions wrote open for ever.

use hence_core::{DeadLetterQuery, Outcome};
use hence_engine_local::Options;

use crate::common::*;

/// A log with a snapshot of version 1, and commits behind it: 42 events of three types, a subscription
/// with retries, dead letters and a gap; 30 ids are known.
const FORMAT_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/format-1");

#[test]
fn a_log_with_a_snapshot_of_version_1_opens() {
    let dir = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(FORMAT_1).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    block_on(async {
        let mut options = Options::default();
        options.dedup_events = 30;
        for opened in 0..3 {
            let engine = hence_engine_local::log(dir.path(), &options).unwrap();
            assert_eq!(all_entries(&engine).await.len(), 42);
            let reports = engine.subscriptions();
            let [report] = reports.as_slice() else {
                panic!("one subscription, not {reports:?}");
            };
            assert_eq!(report.types, ["t", "v"]);
            let lying = DeadLetterQuery {
                redriven: Some(false),
                ..DeadLetterQuery::of("s")
            };
            let dead = engine.dead_letters(&lying).await.unwrap();
            assert_eq!(dead.len(), 4);
            // The newest ids are known, with their content.
            let mut deliveries = engine
                .subscribe(spec_of("s", &["t", "v"], hence_core::Start::Earliest))
                .await
                .unwrap();
            let found = ready(&mut deliveries).await;
            assert_eq!(
                found.len(),
                if opened == 0 { 19 } else { 0 },
                "open: {found:?}"
            );
            assert!(opened > 0 || found.iter().any(|it| it.attempt == 2));
            assert!(opened > 0 || found.iter().any(|it| it.redriven));
            let newest = all_entries(&engine).await.pop().unwrap();
            let again = publish(&engine, vec![newest.message.clone()])
                .await
                .unwrap();
            assert!(again[0].duplicate && again[0].position == Some(newest.position));
            for delivery in &found {
                settle(&engine, "s", delivery, Outcome::Done).await.unwrap();
            }
            // From here on it has a snapshot of this version.
            engine.close().await;
        }
    });
}

/// A log of the version in which attempts began anew with a redrive. Behind 4 there is no snapshot.
/// 1 was rejected at its third attempt and redriven, 2 and 5 at their second, and retried since; 3
/// was rejected twice and lies; 4 is done; 6 was rejected twice, at its first attempt and, redriven,
/// at its second, redriven again and retried.
const REDRIVEN_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/redriven-1");

#[test]
fn what_was_redriven_when_attempts_began_anew_opens_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(REDRIVEN_1).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    block_on(async {
        // As it was found, then from the snapshot that this version wrote.
        for _ in 0..2 {
            let engine = hence_engine_local::log(dir.path(), &Options::default()).unwrap();
            let told = [
                (1, "1 retry, 2 retry, 3 reject"),
                (2, "1 retry, 2 reject, 1 retry"),
                (3, "1 reject, 1 reject"),
                (4, "1 retry, 2 reject, 1 done"),
                (5, "1 retry, 2 reject, 1 retry"),
                (6, "1 reject, 1 retry, 2 reject, 1 retry"),
            ];
            for (number, told) in told {
                let report = engine.report(position(number)).await.unwrap().remove(0);
                let attempts = report.attempts.iter();
                let attempts = attempts.map(|it| format!("{} {}", it.attempt, it.outcome));
                assert_eq!(attempts.collect::<Vec<_>>().join(", "), told, "of {number}");
            }
            let mut deliveries = subscribe(&engine, "s").await;
            let given = pull(&mut deliveries, 4).await;
            let numbers = given
                .iter()
                .map(|it| (it.position.0, it.attempt, it.before));
            let wanted = [(1, 4, 3), (2, 3, 2), (5, 3, 2), (6, 3, 2)];
            assert_eq!(numbers.collect::<Vec<_>>(), wanted);
            assert!(given.iter().all(|it| it.redriven));
            drop(deliveries);
            engine.close().await;
        }
        let engine = hence_engine_local::log(dir.path(), &Options::default()).unwrap();
        let mut deliveries = subscribe(&engine, "s").await;
        redrive(&engine, &["s.3"]).await.unwrap();
        let given = pull(&mut deliveries, 5).await;
        let third = given.iter().find(|it| it.position.0 == 3).unwrap();
        assert_eq!((third.attempt, third.before), (2, 1));
        // Whoever has an attempt from before the redrive cannot end one of now.
        let mut former = third.clone();
        former.attempt = 1;
        settle(&engine, "s", &former, Outcome::Done).await.unwrap();
        assert_eq!(engine.subscriptions().remove(0).lag, 5);
        done(&engine, "s", &given).await;
        let left = engine.dead_letters(&DeadLetterQuery::of("s")).await;
        assert_eq!(left.unwrap(), []);
        assert_eq!(engine.subscriptions().remove(0).lag, 0);
    });
}
