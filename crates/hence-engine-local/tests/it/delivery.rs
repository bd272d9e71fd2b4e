use std::time::Duration;

use hence_core::engine::DeliveryState;
use hence_core::{Code, Outcome, Start, Timestamp};

use hence_engine_local::Clock as _;

use crate::common::*;

on_both! {
    async fn messages_of_its_types_come_in_the_order_of_positions(bench: Bench) {
        let engine = bench.open();
        let spec = spec_of("s", &["t", "v"], Start::Latest);
        let mut deliveries = engine.subscribe(spec).await.unwrap();
        for id in 0..9 {
            let event_type = ["t", "u", "v"][id % 3];
            publish(&engine, vec![typed(&id.to_string(), event_type)]).await.unwrap();
        }
        let got = pull(&mut deliveries, 6).await;
        assert_eq!(positions(&got), [1, 3, 4, 6, 7, 9]);
        assert!(got.iter().all(|d| d.attempt == 1 && d.due.is_none() && !d.redriven));
        assert!(ready(&mut deliveries).await.is_empty());
        let report = &engine.subscriptions()[0];
        assert_eq!((report.lag, report.in_flight, report.settled), (6, 6, position(0)));
    }

    async fn no_attempt_ends_under_a_number_that_none_can_follow(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 1).await;
        let mut got = pull(&mut deliveries, 1).await;
        let attempt = std::mem::replace(&mut got[0].attempt, u32::MAX);
        drop(settle(&engine, "s", &got[0], reject(true)).await);
        let report = &engine.subscriptions()[0];
        assert_eq!((report.lag, report.dead), (1, 0));
        got[0].attempt = attempt;
        done(&engine, "s", &got).await;
        assert_eq!(engine.subscriptions()[0].lag, 0);
    }

    async fn a_pull_gives_no_more_than_asked_for(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 5).await;
        assert_eq!(positions(&deliveries.next(2).await.unwrap()), [1, 2]);
        assert_eq!(positions(&deliveries.next(2).await.unwrap()), [3, 4]);
        assert_eq!(positions(&deliveries.next(2).await.unwrap()), [5]);
    }

    async fn a_waiting_pull_is_woken_and_a_dropped_one_loses_nothing(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        assert!(ready(&mut deliveries).await.is_empty());
        let publishing = publish(&engine, vec![event("a")]);
        let (got, _) = tokio::join!(deliveries.next(1), publishing);
        assert_eq!(positions(&got.unwrap()), [1]);
    }

    async fn starts_are_honoured(bench: Bench) {
        let engine = bench.open();
        for id in 1..=4 {
            bench.clock.advance(Duration::from_secs(1));
            publish_range(&engine, id, id).await;
        }
        let third = Timestamp::from_micros(bench.clock.now().as_micros() - 1_000_000);
        for (name, start, first) in [
            ("earliest", Start::Earliest, vec![1, 2, 3, 4, 5]),
            ("position", Start::Position(position(2)), vec![2, 3, 4, 5]),
            ("time", Start::Time(third), vec![3, 4, 5]),
            ("latest", Start::Latest, vec![5]),
            ("future", Start::Position(position(6)), vec![]),
        ] {
            let spec = spec_of(name, &["t"], start);
            let expected: Vec<u64> = first;
            let mut deliveries = engine.subscribe(spec).await.unwrap();
            if name == "earliest" {
                publish_range(&engine, 5, 5).await;
            }
            if name == "latest" {
                // It began behind the fifth.
                assert!(ready(&mut deliveries).await.is_empty());
                continue;
            }
            assert_eq!(positions(&ready(&mut deliveries).await), expected, "{name}");
            let report = engine.subscriptions().into_iter().find(|r| r.name == name).unwrap();
            assert_eq!(report.lag, expected.len() as u64, "{name}");
        }
    }

    async fn what_was_given_back_comes_again(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 4).await;
        let got = pull(&mut deliveries, 3).await;
        done(&engine, "s", &got[1..2]).await;
        drop(deliveries);
        // A worker that outlived its subscription may still finish.
        settle(&engine, "s", &got[2], Outcome::Done).await.unwrap();
        let mut deliveries = subscribe(&engine, "s").await;
        assert_eq!(positions(&pull(&mut deliveries, 2).await), [1, 4]);
        assert!(ready(&mut deliveries).await.is_empty());
    }

    async fn a_second_subscriber_is_refused_until_the_first_is_gone(bench: Bench) {
        let engine = bench.open();
        let deliveries = subscribe(&engine, "s").await;
        let second = engine.subscribe(spec("s")).await;
        assert_eq!(second.err().unwrap().code(), Code::CLOSED);
        assert!(engine.subscriptions()[0].attached);
        drop(deliveries);
        assert!(!engine.subscriptions()[0].attached);
        subscribe(&engine, "s").await;
    }

    async fn a_subscription_that_changes_its_types_keeps_its_place(bench: Bench) {
        let engine = bench.open();
        publish(&engine, vec![event("1"), typed("2", "u"), typed("3", "v")]).await.unwrap();
        let spec = |types: &[&str]| spec_of("s", types, Start::Earliest);
        let mut deliveries = engine.subscribe(spec(&["t", "u"])).await.unwrap();
        let got = pull(&mut deliveries, 2).await;
        done(&engine, "s", &got[..1]).await;
        drop(deliveries);
        let mut deliveries = engine.subscribe(spec(&["u", "v"])).await.unwrap();
        publish(&engine, vec![event("4"), typed("5", "v")]).await.unwrap();
        assert_eq!(positions(&pull(&mut deliveries, 2).await), [2, 5]);
        assert_eq!(engine.subscriptions()[0].lag, 2);
    }

    async fn a_retry_stays_with_the_runtime_and_counts(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 1).await;
        let first = pull(&mut deliveries, 1).await.remove(0);
        let due = Timestamp::from_micros(9_000_000);
        settle(&engine, "s", &first, retry(due)).await.unwrap();
        assert!(ready(&mut deliveries).await.is_empty());
        let report = engine.report(position(1)).await.unwrap().remove(0);
        assert_eq!(report.state, DeliveryState::Retrying(due));
        // The attempt that ended cannot end again: a zombie changes nothing.
        settle(&engine, "s", &first, Outcome::Done).await.unwrap();
        assert_eq!(engine.subscriptions()[0].lag, 1);
        drop(deliveries);
        let mut deliveries = subscribe(&engine, "s").await;
        let second = pull(&mut deliveries, 1).await.remove(0);
        assert_eq!((second.attempt, second.due), (2, Some(due)));
        done(&engine, "s", &[second]).await;
        assert_eq!(engine.subscriptions()[0].lag, 0);
    }

    async fn an_event_is_not_delivered_before_its_time(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        let later = |id: &str| with(event(id), "deliverat", "1970-01-01T00:00:10Z");
        publish(&engine, vec![later("1"), event("2")]).await.unwrap();
        assert_eq!(positions(&ready(&mut deliveries).await), [2]);
        bench.clock.set(Timestamp::from_micros(9_999_999));
        assert!(ready(&mut deliveries).await.is_empty());
        // A clock that jumps back makes it later, but does not lose it.
        bench.clock.set(Timestamp::from_micros(0));
        assert!(ready(&mut deliveries).await.is_empty());
        let wait = async {
            tokio::task::yield_now().await;
            bench.clock.set(Timestamp::from_micros(10_000_000));
        };
        let (got, ()) = tokio::join!(deliveries.next(5), wait);
        assert_eq!(positions(&got.unwrap()), [1]);
    }

    async fn settled_wakes_when_the_last_attached_subscription_has_settled(bench: Bench) {
        let engine = bench.open();
        let mut one = subscribe(&engine, "one").await;
        let mut two = subscribe(&engine, "two").await;
        let three = subscribe(&engine, "three").await;
        drop(three);
        publish_range(&engine, 1, 1).await;
        let first = pull(&mut one, 1).await;
        let second = pull(&mut two, 1).await;
        let mut settled = engine.settled(position(1));
        let is_pending = async |settling: &mut _| {
            tokio::select! {
                biased;
                _ = settling => false,
                () = tokio::task::yield_now() => true,
            }
        };
        assert!(is_pending(&mut settled).await);
        done(&engine, "one", &first).await;
        assert!(is_pending(&mut settled).await);
        settle(&engine, "two", &second[0], reject(false)).await.unwrap();
        settled.await.unwrap();
        // Nobody takes this one, so that it is settled as it is.
        publish(&engine, vec![typed("x", "u")]).await.unwrap();
        engine.settled(position(2)).await.unwrap();
        assert_eq!(engine.settled(position(9)).await.unwrap_err().code(), Code::NOT_FOUND);
    }

    async fn settled_wakes_when_the_subscription_leaves(bench: Bench) {
        let engine = bench.open();
        let deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 1).await;
        let leave = async {
            tokio::task::yield_now().await;
            drop(deliveries);
        };
        let (settled, ()) = tokio::join!(engine.settled(position(1)), leave);
        settled.unwrap();
    }

    async fn a_report_tells_every_attempt_and_what_followed(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        let _idle = subscribe(&engine, "idle").await;
        publish_range(&engine, 1, 2).await;
        let mut first = pull(&mut deliveries, 1).await.remove(0);
        bench.clock.set(Timestamp::from_micros(2_000_000));
        settle(&engine, "s", &first, retry(bench.clock.now().after(Duration::from_secs(5)))).await.unwrap();
        first.attempt = 2;
        let emit = vec![typed("x", "u"), typed("y", "u")];
        settle_and_publish(&engine, "s", &first, Outcome::Done, emit).await.unwrap();
        let reports = engine.report(position(1)).await.unwrap();
        assert_eq!(reports[0].state, DeliveryState::Done);
        assert_eq!(reports[1].state, DeliveryState::Waiting);
        let [retried, handled] = &reports[0].attempts[..] else {
            panic!("two attempts: {reports:?}");
        };
        assert_eq!((retried.attempt, retried.outcome), (1, "retry"));
        assert_eq!((retried.error.as_str(), retried.ran), ("not yet", Duration::from_millis(3)));
        assert_eq!(retried.ended, Timestamp::from_micros(2_000_000));
        assert_eq!((handled.attempt, handled.outcome), (2, "done"));
        assert_eq!(handled.emitted, [position(3), position(4)]);
        assert!(engine.report(position(3)).await.unwrap().is_empty());
        assert_eq!(engine.report(position(9)).await.unwrap_err().code(), Code::NOT_FOUND);
    }
}
