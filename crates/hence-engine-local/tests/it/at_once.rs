//! What `memory:` does on the spot, without a future and without a commit.

use std::time::Duration;

use hence_core::engine::Done;
use hence_core::{Commit, CommitNow, Delivery, Timestamp};
use hence_engine_local::Options;

use crate::common::*;

fn done(delivery: &Delivery) -> Done {
    Done {
        position: delivery.position,
        attempt: delivery.attempt,
        ran: Duration::ZERO,
    }
}

/// What the runtime does not hold stays as it is, what it holds is settled, and to ask again for
/// what has ended changes nothing.
#[test]
fn in_memory_what_is_done_is_settled_on_the_spot_each_on_its_own() {
    block_on(async {
        let engine = hence_engine_local::memory(&Options::default());
        let mut deliveries = subscribe(&engine, "s").await;
        for id in ["a", "b", "c"] {
            publish(&engine, vec![event(id)]).await.unwrap();
        }
        let held = pull(&mut deliveries, 2).await;
        let [first, second] = &*held else {
            panic!("two were wanted: {held:?}");
        };
        let waits = Done {
            position: position(3),
            ..done(first)
        };
        let never = Done {
            position: position(4),
            ..done(first)
        };
        assert!(!engine.done_now("s", &[done(second), waits, never]));
        assert!(!engine.done_now("nobody", &[done(first)]));
        let report = engine.subscriptions().remove(0);
        assert_eq!(
            (report.lag, report.in_flight, report.settled),
            (2, 1, position(0))
        );
        assert!(engine.done_now("s", &[done(first), done(first), done(second)]));
        assert!(engine.done_now("s", &[done(first)]));
        let report = engine.subscriptions().remove(0);
        assert_eq!(
            (report.lag, report.in_flight, report.settled),
            (1, 0, position(2))
        );
        assert_eq!(pull(&mut deliveries, 1).await[0].position, position(3));
    });
}

/// An attempt that a later one has followed ends nothing.
#[test]
fn in_memory_an_attempt_of_before_is_not_done() {
    block_on(async {
        let engine = hence_engine_local::memory(&Options::default());
        let mut deliveries = subscribe(&engine, "s").await;
        publish(&engine, vec![event("a")]).await.unwrap();
        let held = pull(&mut deliveries, 1).await;
        let retry = settlement("s", &held[0], retry(Timestamp::from_micros(1)));
        let commit = Commit {
            settle: vec![retry],
            durability: strongest(&engine),
            ..Commit::default()
        };
        engine.commit(commit).await.unwrap();
        assert!(engine.done_now("s", &[done(&held[0])]));
        assert_eq!(engine.subscriptions().remove(0).lag, 1);
        let next = Done {
            attempt: 2,
            ..done(&held[0])
        };
        assert!(engine.done_now("s", &[next]));
        assert_eq!(engine.subscriptions().remove(0).lag, 0);
    });
}

/// What has to be stored first is not settled on the spot.
#[test]
fn the_log_settles_nothing_on_the_spot() {
    block_on(async {
        let bench = Bench::log();
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish(&engine, vec![event("a")]).await.unwrap();
        let held = pull(&mut deliveries, 1).await;
        assert!(!engine.done_now("s", &[done(&held[0])]));
        assert_eq!(engine.subscriptions().remove(0).lag, 1);
    });
}

/// When there is no room, an event comes back as it was.
#[test]
fn in_memory_what_cannot_be_published_on_the_spot_comes_back() {
    block_on(async {
        let mut options = Options::default();
        options.memory_events = 1;
        let engine = hence_engine_local::memory(&options);
        let deliveries = subscribe(&engine, "s").await;
        let commit = |id: &str| Commit::publish(vec![event(id)], strongest(&engine));
        let CommitNow::Done(Ok(receipts)) = engine.commit_now(commit("a")) else {
            panic!("there is room for one");
        };
        assert_eq!(receipts[0].position, Some(position(1)));
        let CommitNow::Waits(back) = engine.commit_now(commit("b")) else {
            panic!("there is no room for two");
        };
        assert_eq!(back.publish[0].attributes().id(), "b");
        drop(deliveries);
    });
}
