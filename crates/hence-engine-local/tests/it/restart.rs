use hence_core::engine::DeliveryState;
use hence_core::{Commit, DeadLetterQuery, Durability, Outcome, Read, Start, Timestamp};

use crate::common::*;

/// Runs a test once with an engine that is dropped, as if killed, and once with one that is closed.
fn over_a_restart<F: Future<Output = ()>>(test: impl Fn(Bench, bool) -> F) {
    for clean in [false, true] {
        block_on(test(Bench::log(), clean));
    }
}

async fn end(engine: std::sync::Arc<dyn hence_core::Engine>, clean: bool) {
    if clean {
        engine.close().await;
    }
    drop(engine);
}

#[test]
fn a_subscription_continues_where_it_was() {
    over_a_restart(|bench, clean| async move {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 6).await;
        let got = pull(&mut deliveries, 5).await;
        done(
            &engine,
            "s",
            &[got[0].clone(), got[1].clone(), got[3].clone()],
        )
        .await;
        drop(deliveries);
        end(engine, clean).await;

        let engine = bench.open();
        let report = &engine.subscriptions()[0];
        assert_eq!(
            (report.settled, report.lag, report.attached),
            (position(2), 3, false)
        );
        // It is known, so that where it would start when new does not matter.
        let mut deliveries = engine
            .subscribe(spec_of("s", &["t"], Start::Latest))
            .await
            .unwrap();
        let got = ready(&mut deliveries).await;
        assert_eq!(positions(&got), [3, 5, 6]);
        assert!(got.iter().all(|delivery| delivery.attempt == 1));
        assert_eq!(got[0].message, event("3"));
        publish_range(&engine, 7, 7).await;
        assert_eq!(positions(&pull(&mut deliveries, 1).await), [7]);
    });
}

#[test]
fn a_retry_keeps_its_count_and_its_time() {
    over_a_restart(|bench, clean| async move {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 1).await;
        let mut delivery = pull(&mut deliveries, 1).await.remove(0);
        for attempt in 1..=2 {
            delivery.attempt = attempt;
            let due = Timestamp::from_micros(i64::from(attempt) * 1_000_000_000);
            settle(&engine, "s", &delivery, retry(due)).await.unwrap();
        }
        drop(deliveries);
        end(engine, clean).await;

        let engine = bench.open();
        let due = Timestamp::from_micros(2_000_000_000);
        let report = engine.report(position(1)).await.unwrap().remove(0);
        assert_eq!(
            (report.state, report.attempts.len()),
            (DeliveryState::Retrying(due), 2)
        );
        let mut deliveries = subscribe(&engine, "s").await;
        let again = pull(&mut deliveries, 1).await.remove(0);
        assert_eq!((again.attempt, again.due), (3, Some(due)));
    });
}

#[test]
fn dead_letters_and_redrives_are_kept() {
    over_a_restart(|bench, clean| async move {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        let keyed = |id: &str| with(event(id), "partitionkey", "k");
        publish(&engine, vec![keyed("1"), keyed("2"), keyed("3")])
            .await
            .unwrap();
        for delivery in &pull(&mut deliveries, 3).await {
            settle(&engine, "s", delivery, reject(true)).await.unwrap();
        }
        redrive(&engine, &["s.2"]).await.unwrap();
        let before = engine
            .dead_letters(&DeadLetterQuery::default())
            .await
            .unwrap();
        drop(deliveries);
        end(engine, clean).await;

        let engine = bench.open();
        let after = engine
            .dead_letters(&DeadLetterQuery::default())
            .await
            .unwrap();
        assert_eq!(format!("{after:?}"), format!("{before:?}"));
        let mut deliveries = subscribe(&engine, "s").await;
        assert_eq!(deliveries.held().len(), 3);
        let again = ready(&mut deliveries).await;
        assert_eq!(positions(&again), [2]);
        assert!(again[0].redriven);
        assert_eq!(again[0].message, keyed("2"));
        done(&engine, "s", &again).await;
        drop(deliveries);
        end(engine, clean).await;

        let engine = bench.open();
        assert_eq!(
            engine
                .dead_letters(&DeadLetterQuery::default())
                .await
                .unwrap()
                .len(),
            2
        );
        assert_eq!(engine.subscriptions()[0].lag, 0);
        assert!(ready(&mut subscribe(&engine, "s").await).await.is_empty());
    });
}

#[test]
fn a_delayed_event_waits_over_a_restart_and_is_never_early() {
    over_a_restart(|bench, clean| async move {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        let later = with(event("1"), "deliverat", "1970-01-01T00:00:10Z");
        publish(&engine, vec![later, event("2")]).await.unwrap();
        done(&engine, "s", &ready(&mut deliveries).await).await;
        drop(deliveries);
        end(engine, clean).await;

        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        assert!(ready(&mut deliveries).await.is_empty());
        bench.clock.set(Timestamp::from_micros(10_000_000));
        let got = ready(&mut deliveries).await;
        assert_eq!(positions(&got), [1]);
        done(&engine, "s", &got).await;
        assert_eq!(engine.subscriptions()[0].settled, position(2));
    });
}

#[test]
fn ids_and_positions_are_remembered() {
    over_a_restart(|bench, clean| async move {
        let engine = bench.open();
        publish_range(&engine, 1, 3).await;
        end(engine, clean).await;

        let engine = bench.open();
        let receipts = publish(&engine, vec![event("2"), event("4")])
            .await
            .unwrap();
        let told: Vec<_> = receipts
            .iter()
            .map(|r| (r.position.unwrap().0, r.duplicate))
            .collect();
        assert_eq!(told, [(2, true), (4, false)]);
        assert_eq!(
            engine.find(Some("/test"), "3").await.unwrap(),
            [position(3)]
        );
        assert!(publish(&engine, vec![typed("1", "u")]).await.is_err());
    });
}

#[test]
fn a_settlement_and_what_it_publishes_are_one() {
    over_a_restart(|bench, clean| async move {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 1).await;
        let delivery = pull(&mut deliveries, 1).await.remove(0);
        let emit = vec![typed("x", "u"), typed("y", "u")];
        settle_and_publish(&engine, "s", &delivery, Outcome::Done, emit)
            .await
            .unwrap();
        drop(deliveries);
        end(engine, clean).await;

        let engine = bench.open();
        assert_eq!(all_entries(&engine).await.len(), 3);
        assert_eq!(engine.subscriptions()[0].lag, 0);
        let report = engine.report(position(1)).await.unwrap().remove(0);
        assert_eq!(report.attempts[0].emitted, [position(2), position(3)]);
    });
}

#[test]
fn a_receipt_names_the_place_behind_positions_that_a_crash_made_doubtful() {
    over_a_restart(|bench, clean| async move {
        let engine = bench.open();
        let commit = Commit::publish(vec![event("1")], Durability::Written);
        engine.commit(commit).await.unwrap();
        end(engine, clean).await;

        let engine = bench.open();
        assert_eq!(
            engine.health().unwrap().last,
            position(1),
            "the newest event"
        );
        let mut deliveries = subscribe(&engine, "s").await;
        assert_eq!(positions(&ready(&mut deliveries).await), [1]);
        let read = Read {
            from: Start::Earliest,
            ..Read::default()
        };
        let mut reader = engine.read(read).await.unwrap();
        assert_eq!(reader.next(9).await.unwrap().len(), 1);
        assert!(reader.next(9).await.unwrap().is_empty(), "the end is found");
        drop((deliveries, reader));
        let receipts = publish(&engine, vec![event("2")]).await.unwrap();
        let second = receipts[0].position.unwrap();
        assert_eq!(engine.get(second).await.unwrap().message, event("2"));
        end(engine, clean).await;

        let engine = bench.open();
        assert_eq!(engine.health().unwrap().last, second);
        assert_eq!(engine.get(second).await.unwrap().message, event("2"));
        assert_eq!(engine.find(None, "2").await.unwrap(), [second]);
    });
}

#[test]
fn a_clean_end_leaves_a_snapshot() {
    block_on(async {
        let bench = Bench::log();
        let engine = bench.open();
        publish_range(&engine, 1, 3).await;
        engine.close().await;
        drop(engine);
        let names = || -> Vec<String> {
            let files = std::fs::read_dir(bench.path()).unwrap();
            files
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect()
        };
        assert!(
            names().iter().any(|name| name.starts_with("snapshot-")),
            "{:?}",
            names()
        );
    });
}

#[test]
fn a_restored_backup_is_the_same_engine_and_goes_on() {
    let bench = Bench::log();
    let home = tempfile::tempdir().unwrap();
    let (copy, again) = (home.path().join("copy"), home.path().join("again"));
    block_on(async {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        let keyed = |id: &str| with(event(id), "partitionkey", "k");
        publish(
            &engine,
            vec![keyed("1"), keyed("2"), event("3"), event("4"), event("5")],
        )
        .await
        .unwrap();
        let got = pull(&mut deliveries, 5).await;
        settle(&engine, "s", &got[0], reject(true)).await.unwrap();
        settle(&engine, "s", &got[1], reject(true)).await.unwrap();
        redrive(&engine, &["s.2"]).await.unwrap();
        let due = Timestamp::from_micros(3_000_000_000);
        settle(&engine, "s", &got[2], retry(due)).await.unwrap();
        done(&engine, "s", &got[4..]).await;
        let events = format!("{:?}", all_entries(&engine).await);
        let letters = engine
            .dead_letters(&DeadLetterQuery::default())
            .await
            .unwrap();
        let report = engine.subscriptions().remove(0);
        // The engine is open, and goes on: this is not in the backup, or behind all that must be.
        hence_log::backup(bench.path(), &copy).unwrap();
        publish_range(&engine, 6, 6).await;
        hence_log::restore(&copy, &again).unwrap();

        let restored = hence_engine_local::log(&again, &bench.options).unwrap();
        assert_eq!(format!("{:?}", all_entries(&restored).await), events);
        let found = restored
            .dead_letters(&DeadLetterQuery::default())
            .await
            .unwrap();
        assert_eq!(format!("{found:?}"), format!("{letters:?}"));
        let known = restored.subscriptions().remove(0);
        assert_eq!((known.settled, known.lag), (report.settled, report.lag));
        let mut deliveries = subscribe(&restored, "s").await;
        assert_eq!(deliveries.held().len(), 2);
        let mut open = ready(&mut deliveries).await;
        open.sort_by_key(|delivery| delivery.position);
        assert_eq!(positions(&open), [2, 3, 4]);
        assert!(open[0].redriven);
        assert_eq!((open[1].attempt, open[1].due), (2, Some(due)));
        // Ids stay known, and no position comes back that the lost log may have given.
        let receipts = publish(&restored, vec![event("5"), event("6")])
            .await
            .unwrap();
        assert_eq!(receipts[0].position, Some(position(5)));
        assert!(
            receipts[1].position > Some(position(1_000_000)),
            "{receipts:?}"
        );
    });
}
