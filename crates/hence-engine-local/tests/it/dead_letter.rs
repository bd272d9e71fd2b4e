use futures_util::FutureExt;
use hence_core::engine::DeliveryState;
use hence_core::{Code, Outcome, RejectReason, Timestamp};

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
        let letter = engine.dead_letters(Some("s")).await.unwrap().remove(0);
        assert_eq!((letter.id.as_str(), letter.position), ("s.1", position(1)));
        assert_eq!(letter.message, message);
        assert_eq!((letter.reason, letter.attempts), (RejectReason::RetriesExhausted, 8));
        assert_eq!(letter.since, Timestamp::from_micros(7_000_000));
        assert_eq!(letter.error.len(), hence_engine_local::ERROR_BYTES_MAX);
        assert!(letter.hold);
        let report = &engine.subscriptions()[0];
        assert_eq!((report.dead, report.lag, report.settled), (1, 0, position(1)));
        let report = engine.report(position(1)).await.unwrap().remove(0);
        assert_eq!((report.state, report.attempts.len()), (DeliveryState::Dead, 1));
        let unknown = engine.dead_letters(Some("nobody")).await.unwrap_err();
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

    async fn what_is_redriven_comes_in_order_from_the_first_attempt(bench: Bench) {
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
        assert!(again.iter().all(|d| d.redriven && d.attempt == 1 && d.due.is_none()));
        assert_eq!(again[0].message, got[0].message);
        assert_eq!(again[0].appended, got[0].appended);
        let report = &engine.subscriptions()[0];
        assert_eq!((report.dead, report.lag, report.settled), (1, 2, position(0)));
        // One is handled, the other fails again, with another cause.
        settle(&engine, "s", &again[0], Outcome::Done).await.unwrap();
        settle(&engine, "s", &again[1], retry(Timestamp::from_micros(5))).await.unwrap();
        let mut second = again[1].clone();
        second.attempt = 2;
        let outcome = Outcome::Reject {
            reason: RejectReason::Undecodable,
            error: "still".to_owned(),
            hold: false,
        };
        settle(&engine, "s", &second, outcome).await.unwrap();
        let letters = engine.dead_letters(None).await.unwrap();
        let told: Vec<_> = letters.iter().map(|l| (l.id.as_str(), l.error.as_str())).collect();
        assert_eq!(told, [("s.2", "never"), ("s.3", "still")]);
        assert_eq!((letters[1].reason, letters[1].attempts), (RejectReason::Undecodable, 2));
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
        assert!(engine.dead_letters(None).await.unwrap().is_empty());
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
