//! Timers: never early, once, replaced and cancelled by name, over restarts and jumps of the clock.

use std::sync::Arc;
use std::time::Duration;

use hence_core::commit::{Change, What};
use hence_core::{Commit, Engine, Message, Timestamp};
use hence_engine_local::{Clock, ManualClock};
use hence_log::sim::SimStorage;

use crate::common::*;

fn set(key: &str, name: &str, due: Timestamp, message: Message) -> Change {
    Change {
        subscription: "s".into(),
        key: key.to_owned(),
        what: What::SetTimer {
            name: name.to_owned(),
            due,
            message: Box::new(message),
        },
    }
}

fn cancel(key: &str, name: &str) -> Change {
    Change {
        subscription: "s".into(),
        key: key.to_owned(),
        what: What::CancelTimer {
            name: name.to_owned(),
        },
    }
}

async fn changes(engine: &Arc<dyn Engine>, change: Vec<Change>) {
    let commit = Commit {
        change,
        durability: strongest(engine),
        ..Commit::default()
    };
    engine.commit(commit).await.unwrap();
}

async fn ids(engine: &Arc<dyn Engine>) -> Vec<String> {
    let all = all_entries(engine).await;
    let id = |entry: &hence_core::Entry| entry.message.attributes().id().to_owned();
    all.iter().map(id).collect()
}

const MINUTE: Duration = Duration::from_secs(60);

on_both! {
    async fn g10_a_timer_fires_by_itself_when_it_is_due(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        let due = bench.clock_now().after(MINUTE);
        changes(&engine, vec![set("k", "one", due, event("fired"))]).await;
        bench.clock.set(Timestamp::from_micros(due.as_micros() - 1));
        publish(&engine, vec![event("before")]).await.unwrap();
        assert_eq!(ids(&engine).await, ["before"]);
        bench.clock.advance(Duration::from_micros(1));
        let found = pull(&mut deliveries, 2).await;
        assert_eq!(found[1].message, event("fired"));
        bench.clock.advance(MINUTE * 10);
        publish(&engine, vec![event("after")]).await.unwrap();
        assert_eq!(ids(&engine).await, ["before", "fired", "after"]);
    }

    async fn a_timer_is_replaced_and_cancelled_by_its_name(bench: Bench) {
        let mut bench = bench;
        bench.options.alarm = false;
        let engine = bench.open();
        let _deliveries = subscribe(&engine, "s").await;
        let at = |minutes: u32| bench.clock_now().after(MINUTE * minutes);
        let all = vec![
            set("k", "one", at(1), event("replaced")),
            set("k", "two", at(1), event("cancelled")),
            set("k", "three", at(1), event("stays")),
            set("l", "one", at(1), event("of another key")),
        ];
        changes(&engine, all).await;
        let then = vec![set("k", "one", at(2), event("in its place")), cancel("k", "two")];
        changes(&engine, then).await;
        changes(&engine, vec![cancel("k", "nothing")]).await;
        bench.clock.advance(MINUTE);
        publish(&engine, vec![event("mark")]).await.unwrap();
        assert_eq!(ids(&engine).await, ["stays", "of another key", "mark"]);
        bench.clock.advance(MINUTE);
        changes(&engine, vec![set("k", "two", at(0), event("set and cancelled")), cancel("k", "two")])
            .await;
        publish(&engine, vec![event("end")]).await.unwrap();
        let all = ["stays", "of another key", "mark", "in its place", "end"];
        assert_eq!(ids(&engine).await, all);
    }

    /// Whoever sets the clock forward and back again does not make a timer fire twice.
    async fn g10_a_jump_of_the_clock_fires_nothing_twice(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        let now = bench.clock_now();
        changes(&engine, vec![set("k", "one", now.after(MINUTE), event("fired"))]).await;
        bench.clock.advance(MINUTE * 5);
        pull(&mut deliveries, 1).await;
        bench.clock.set(now);
        publish(&engine, vec![event("mark")]).await.unwrap();
        bench.clock.advance(MINUTE * 5);
        publish(&engine, vec![event("end")]).await.unwrap();
        assert_eq!(ids(&engine).await, ["fired", "mark", "end"]);
    }

    async fn a_timer_whose_event_is_known_publishes_nothing(bench: Bench) {
        let mut bench = bench;
        bench.options.alarm = false;
        let engine = bench.open();
        let _deliveries = subscribe(&engine, "s").await;
        publish(&engine, vec![event("known")]).await.unwrap();
        let now = bench.clock_now();
        let all = vec![
            set("k", "same", now, event("known")),
            set("k", "other", now, with(event("known"), "subject", "other")),
            set("k", "twice", now, event("new")),
            set("l", "twice", now, event("new")),
        ];
        changes(&engine, all).await;
        for id in ["a", "b"] {
            publish(&engine, vec![event(id)]).await.unwrap();
        }
        assert_eq!(ids(&engine).await, ["known", "new", "a", "b"]);
    }

    /// More are due than fire at a time.
    async fn g10_many_timers_fire_in_their_order(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        let now = bench.clock_now();
        let count = 600;
        for id in (0..count).rev() {
            let due = now.after(MINUTE + Duration::from_micros(id));
            let name = id.to_string();
            changes(&engine, vec![set("k", &name, due, event(&name))]).await;
        }
        bench.clock.advance(MINUTE * 2);
        let found = pull(&mut deliveries, usize::try_from(count).unwrap()).await;
        let found: Vec<_> = found.iter().map(|it| it.message.attributes().id().to_owned()).collect();
        let wanted: Vec<_> = (0..count).map(|id| id.to_string()).collect();
        assert_eq!(found, wanted);
    }
}

/// A timer outlives every end of the process, fires after it when it was due meanwhile, and once.
#[test]
fn g10_a_timer_survives_restarts_and_fires_once() {
    for (ending, due_meanwhile) in [(0, false), (1, false), (2, false), (1, true), (2, true)] {
        let disk = SimStorage::new();
        let bench = Bench::storage(Arc::new(disk.clone()));
        block_on(async {
            let engine = bench.open();
            let deliveries = subscribe(&engine, "s").await;
            let due = bench.clock_now().after(MINUTE);
            changes(&engine, vec![set("k", "one", due, event("fired"))]).await;
            if ending == 0 {
                engine.close().await;
            }
            drop((deliveries, engine));
            if ending == 2 {
                disk.crash(1);
            } else {
                disk.kill();
            }
            if due_meanwhile {
                bench.clock.advance(MINUTE);
            }
            let engine = bench.open();
            let mut deliveries = subscribe(&engine, "s").await;
            if !due_meanwhile {
                publish(&engine, vec![event("before")]).await.unwrap();
                assert_eq!(ids(&engine).await, ["before"]);
                pull(&mut deliveries, 1).await;
                bench.clock.advance(MINUTE);
            }
            assert_eq!(pull(&mut deliveries, 1).await[0].message, event("fired"));
            drop((deliveries, engine));
            disk.crash(2);
            let engine = bench.open();
            publish(&engine, vec![event("end")]).await.unwrap();
            let fired = ids(&engine).await;
            let fired = fired.iter().filter(|id| *id == "fired").count();
            assert_eq!(fired, 1, "ending {ending}, due meanwhile {due_meanwhile}");
        });
    }
}

/// A clock whose wall time somebody sets; what waits goes by the other hand.
#[test]
fn g10_the_clock_of_the_system_does_not_follow_jumps() {
    let before = hence_engine_local::SystemClock.now();
    let steady = Timestamp::steady();
    assert!(steady >= before, "it goes back");
    // It begins with the wall clock, and drifts from it by no more than this test takes.
    assert!(Timestamp::now().since(steady) < MINUTE);
    assert!(steady.since(Timestamp::now()) < MINUTE);
    drop(ManualClock::new(steady));
}
