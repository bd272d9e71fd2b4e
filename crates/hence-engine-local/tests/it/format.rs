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
