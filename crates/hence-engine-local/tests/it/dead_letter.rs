use futures_util::FutureExt;
use hence_core::engine::DeliveryState;
use hence_core::{Code, DeadLetterQuery, Delivery, Message, Outcome, RejectReason, Timestamp};

use crate::common::*;

on_both! {
    async fn a_dead_letter_keeps_its_bytes_and_its_cause(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        let message = with(with(event("a"), "partitionkey", "k"), "custom", "kept");
        publish(&engine, vec![message.clone()]).await.unwrap();
        let mut delivery = pull(&mut deliveries, 1).await.remove(0);
        delivery.attempt = 8;
        bench.clock.set(Timestamp::from_micros(7_000_000));
        let outcome = Outcome::Reject {
            reason: RejectReason::RetriesExhausted,
            error: "é".repeat(4000),
            hold: true,
        };
        settle(&engine, "s", &delivery, outcome).await.unwrap();
        let letter = engine.dead_letters(&DeadLetterQuery::of("s")).await.unwrap().remove(0);
        assert_eq!((letter.id.as_str(), letter.position), ("s.1", position(1)));
        assert_eq!((letter.event_type.as_str(), letter.key.as_deref()), ("t", Some("k")));
        assert_eq!(engine.dead_letter("s.1").await.unwrap(), (letter.clone(), message));
        assert_eq!((letter.reason, letter.attempts), (RejectReason::RetriesExhausted, 8));
        assert_eq!(letter.since, Timestamp::from_micros(7_000_000));
        assert_eq!(letter.error.len(), hence_engine_local::ERROR_BYTES_MAX);
        assert!(letter.hold);
        let report = &engine.subscriptions()[0];
        assert_eq!((report.dead, report.lag, report.settled), (1, 0, position(1)));
        let report = engine.report(position(1)).await.unwrap().remove(0);
        assert_eq!((report.state, report.attempts.len()), (DeliveryState::Dead, 1));
        let unknown = engine.dead_letters(&DeadLetterQuery::of("nobody")).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NOT_FOUND);
    }

    async fn the_keys_that_wait_are_told_at_subscribe(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        let keyed = |id: &str, key: &str| with(event(id), "partitionkey", key);
        let batch = vec![keyed("1", "a"), keyed("2", "a"), keyed("3", "b"), event("4")];
        publish(&engine, batch).await.unwrap();
        let got = pull(&mut deliveries, 4).await;
        for (delivery, hold) in got.iter().zip([true, true, false, true]) {
            settle(&engine, "s", delivery, reject(hold)).await.unwrap();
        }
        assert!(deliveries.held().is_empty());
        drop(deliveries);
        let deliveries = subscribe(&engine, "s").await;
        let key = |key: &str| Some(key.to_owned());
        let held = [(position(1), key("a")), (position(2), key("a")), (position(4), None)];
        assert_eq!(deliveries.held(), held.into());
    }

    async fn what_is_redriven_comes_in_order_and_its_attempts_count_on(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 3).await;
        let mut got = pull(&mut deliveries, 3).await;
        settle(&engine, "s", &got[0], retry(Timestamp::from_micros(1))).await.unwrap();
        got[0].attempt = 5;
        for delivery in &got {
            settle(&engine, "s", delivery, reject(true)).await.unwrap();
        }
        redrive(&engine, &["s.3", "s.1"]).await.unwrap();
        let again = pull(&mut deliveries, 2).await;
        assert_eq!(positions(&again), [1, 3]);
        let told: Vec<_> = again.iter().map(|d| (d.attempt, d.turn())).collect();
        assert_eq!(told, [(6, 1), (2, 1)]);
        assert!(again.iter().all(|d| d.redriven && d.due.is_none()));
        assert_eq!(again[0].message, got[0].message);
        assert_eq!(again[0].appended, got[0].appended);
        let report = &engine.subscriptions()[0];
        assert_eq!((report.dead, report.lag, report.settled), (1, 2, position(0)));
        // One is handled, the other fails again, with another cause.
        settle(&engine, "s", &again[0], Outcome::Done).await.unwrap();
        settle(&engine, "s", &again[1], retry(Timestamp::from_micros(5))).await.unwrap();
        let mut second = again[1].clone();
        second.attempt = 3;
        let outcome = Outcome::Reject {
            reason: RejectReason::Undecodable,
            error: "still".to_owned(),
            hold: false,
        };
        settle(&engine, "s", &second, outcome).await.unwrap();
        let letters = engine.dead_letters(&DeadLetterQuery::default()).await.unwrap();
        let told: Vec<_> = letters.iter().map(|l| (l.id.as_str(), l.error.as_str())).collect();
        assert_eq!(told, [("s.2", "never"), ("s.3", "still")]);
        assert_eq!((letters[1].reason, letters[1].attempts), (RejectReason::Undecodable, 3));
        assert_eq!(engine.subscriptions()[0].settled, position(3));
        let report = engine.report(position(3)).await.unwrap().remove(0);
        let outcomes: Vec<_> = report.attempts.iter().map(|attempt| attempt.outcome).collect();
        assert_eq!(outcomes, ["reject", "retry", "reject"]);
    }

    async fn redriving_twice_is_safe(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 2).await;
        let got = pull(&mut deliveries, 2).await;
        settle(&engine, "s", &got[0], reject(true)).await.unwrap();
        redrive(&engine, &["s.1", "s.1"]).await.unwrap();
        redrive(&engine, &["s.1"]).await.unwrap();
        let again = ready(&mut deliveries).await;
        assert_eq!(positions(&again), [1]);
        redrive(&engine, &["s.1"]).await.unwrap();
        assert!(ready(&mut deliveries).await.is_empty());
        done(&engine, "s", &again).await;
        redrive(&engine, &["s.1"]).await.unwrap();
        assert!(ready(&mut deliveries).await.is_empty());
        assert!(engine.dead_letters(&DeadLetterQuery::default()).await.unwrap().is_empty());
        for id in ["s.2", "s.9", "nobody.1", "s", "s.x"] {
            let error = redrive(&engine, &["s.1", id]).await.unwrap_err();
            assert_eq!(error.code(), Code::NOT_FOUND, "{id}");
        }
    }

    async fn with_no_room_only_what_is_redriven_comes(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 3).await;
        let got = pull(&mut deliveries, 1).await;
        settle(&engine, "s", &got[0], reject(true)).await.unwrap();
        assert!(deliveries.next(0).now_or_never().is_none(), "2 and 3 have no room");
        redrive(&engine, &["s.1"]).await.unwrap();
        assert_eq!(positions(&deliveries.next(0).await.unwrap()), [1]);
        assert_eq!(positions(&pull(&mut deliveries, 2).await), [2, 3]);
    }

    async fn what_is_redriven_while_nobody_listens_comes_first(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 2).await;
        let got = pull(&mut deliveries, 1).await;
        settle(&engine, "s", &got[0], reject(true)).await.unwrap();
        drop(deliveries);
        redrive(&engine, &["s.1"]).await.unwrap();
        let mut deliveries = subscribe(&engine, "s").await;
        assert!(deliveries.held().contains_key(&position(1)), "it may die again");
        let again = pull(&mut deliveries, 2).await;
        assert_eq!(positions(&again), [1, 2]);
        assert_eq!((again[0].redriven, again[1].redriven), (true, false));
        // Given back and taken again, it is still the redriven one.
        drop(deliveries);
        let mut deliveries = subscribe(&engine, "s").await;
        assert!(pull(&mut deliveries, 1).await[0].redriven);
    }
}

/// A log of the version that kept dead letters in its snapshots: 1 to 3 are of segments that are
/// gone, and 2 is redriven; 1804 and 1805 are in the snapshot too, 1806 is behind it.
const FORMER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/dead-letters-1");

#[test]
fn dead_letters_of_a_former_version_open_for_ever() {
    block_on(async {
        let mut bench = Bench::log();
        bench.options.segment_bytes = 16 << 10;
        for file in std::fs::read_dir(FORMER).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), bench.path().join(file.file_name())).unwrap();
        }
        let ids = [
            ("1", 1),
            ("2", 2),
            ("3", 3),
            ("4", 1804),
            ("5", 1805),
            ("6", 1806),
        ];
        // As it was found, then from the log and the snapshot that this version wrote.
        for _ in 0..3 {
            let engine = bench.open();
            assert!(
                engine.get(position(3)).await.is_err(),
                "its segment is gone"
            );
            let letters = engine
                .dead_letters(&DeadLetterQuery::of("s"))
                .await
                .unwrap();
            let told: Vec<_> = letters.iter().map(|l| (l.position.0, l.redriven)).collect();
            let wanted = ids.map(|(_, position)| (position, position == 2));
            assert_eq!(told, wanted);
            for (id, position) in ids {
                let (letter, message) = engine.dead_letter(&format!("s.{position}")).await.unwrap();
                assert_eq!(message.attributes().id(), id);
                assert_eq!(message.data(), event(id).data());
                assert_eq!(letter.key.is_some(), id != "5");
                assert_eq!((letter.hold, letter.attempts), (id != "6", 1));
            }
            let mut deliveries = subscribe(&engine, "s").await;
            assert_eq!(deliveries.held().len(), 5);
            let again = ready(&mut deliveries).await;
            assert_eq!((positions(&again), again[0].redriven), (vec![2], true));
            drop(deliveries);
            engine.close().await;
        }
        let engine = bench.open();
        redrive(&engine, &["s.1", "s.1804"]).await.unwrap();
        let mut deliveries = subscribe(&engine, "s").await;
        let again = pull(&mut deliveries, 3).await;
        assert_eq!(positions(&again), [1, 2, 1804]);
        done(&engine, "s", &again).await;
        discard(&engine, &["s.3"]).await.unwrap();
        assert_eq!(
            engine
                .dead_letters(&DeadLetterQuery::default())
                .await
                .unwrap()
                .len(),
            2
        );
    });
}

#[test]
fn dead_letters_that_left_the_memory_are_read_from_the_log() {
    block_on(async {
        let mut bench = Bench::log();
        bench.options.tail_bytes = 1;
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        let keyed = |id: &str| with(event(id), "partitionkey", id);
        publish(&engine, (1..=9).map(|id| keyed(&id.to_string())).collect())
            .await
            .unwrap();
        let got = pull(&mut deliveries, 9).await;
        publish(&engine, vec![typed("x", "u")]).await.unwrap();
        drop(deliveries);
        // Nobody holds them any more, so the log has to say whose they are, and what.
        for delivery in &got {
            settle(&engine, "s", delivery, reject(true)).await.unwrap();
        }
        let letters = engine
            .dead_letters(&DeadLetterQuery::default())
            .await
            .unwrap();
        let keys: Vec<_> = letters
            .iter()
            .filter_map(|letter| letter.key.as_deref())
            .collect();
        assert_eq!(keys, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        let stranger = Delivery {
            position: position(10),
            ..got[0].clone()
        };
        let error = settle(&engine, "s", &stranger, reject(true))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::NOT_FOUND);
        let mut deliveries = subscribe(&engine, "s").await;
        redrive(&engine, &["s.3", "s.5", "s.8"]).await.unwrap();
        let again = pull(&mut deliveries, 3).await;
        assert_eq!(positions(&again), [3, 5, 8]);
        assert_eq!(again[1].message, keyed("5"));
        settle(&engine, "s", &again[1], reject(true)).await.unwrap();
        redrive(&engine, &["s.5"]).await.unwrap();
        assert_eq!(positions(&deliveries.next(0).await.unwrap()), [5]);
    });
}

on_both! {
    async fn edited_copies_are_bounded(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        let most = hence_engine_local::EDITED_BYTES_MAX / (1 << 20) + 1;
        publish_range(&engine, 1, most as u64).await;
        for delivery in pull(&mut deliveries, most).await {
            settle(&engine, "s", &delivery, reject(true)).await.unwrap();
        }
        let copy = |id: &str, bytes: usize| {
            Message::new(event(id).attributes().clone(), Some(vec![b'x'; bytes].into()))
        };
        let nearly = (1 << 20) - 1024;
        for id in 1..most {
            edit(&engine, &format!("s.{id}"), copy(&format!("c{id}"), nearly)).await.unwrap();
        }
        let last = format!("s.{most}");
        let error = edit(&engine, &last, copy("last", nearly)).await.unwrap_err();
        assert_eq!(error.code(), Code::EDIT);
        let error = edit(&engine, &last, copy("last", 2 << 20)).await.unwrap_err();
        assert_eq!(error.code(), Code::TOO_LARGE);
        discard(&engine, &["s.1"]).await.unwrap();
        edit(&engine, &last, copy("last", nearly)).await.unwrap();
    }

    async fn edited_copies_of_one_commit_are_bounded_together(bench: Bench) {
        let mut bench = bench;
        bench.options.segment_bytes = 64 << 20;
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        let most = hence_engine_local::EDITED_BYTES_MAX / (1 << 20) + 1;
        publish_range(&engine, 1, most as u64).await;
        for delivery in pull(&mut deliveries, most).await {
            settle(&engine, "s", &delivery, reject(true)).await.unwrap();
        }
        let edit = |id: usize| hence_core::Edit {
            id: format!("s.{id}"),
            message: Message::new(
                event(&format!("c{id}")).attributes().clone(),
                Some(vec![b'x'; (1 << 20) - 1024].into()),
            ),
        };
        let commit = |edit| hence_core::Commit {
            edit,
            durability: strongest(&engine),
            ..hence_core::Commit::default()
        };
        let all = commit((1..=most).map(edit).collect());
        assert_eq!(engine.commit(all).await.unwrap_err().code(), Code::EDIT);
        assert!(ready(&mut deliveries).await.is_empty(), "none of them goes alone");
        // The same copy twice in one commit is one copy.
        let twice = commit((1..most).map(edit).chain([edit(1)]).collect());
        engine.commit(twice).await.unwrap();
        assert_eq!(pull(&mut deliveries, most - 1).await.len(), most - 1);
        assert!(ready(&mut deliveries).await.is_empty());
        assert_eq!(engine.commit(commit(vec![edit(most)])).await.unwrap_err().code(), Code::EDIT);
    }

    async fn a_discard_wakes_whoever_waits_for_the_event(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 1).await;
        let got = pull(&mut deliveries, 1).await;
        settle(&engine, "s", &got[0], reject(true)).await.unwrap();
        redrive(&engine, &["s.1"]).await.unwrap();
        let again = pull(&mut deliveries, 1).await;
        let mut settled = engine.settled(position(1));
        assert!((&mut settled).now_or_never().is_none(), "it is on its way");
        discard(&engine, &["s.1"]).await.unwrap();
        settled.await.unwrap();
        // What the handler says afterwards changes nothing.
        settle(&engine, "s", &again[0], reject(true)).await.unwrap();
        assert!(engine.dead_letters(&DeadLetterQuery::default()).await.unwrap().is_empty());
        assert_eq!(engine.subscriptions()[0].lag, 0);
    }
}
