use hence_core::Commit;
use hence_core::engine::TryCommitError;

use crate::common::*;

on_both! {
    async fn a_slow_subscription_blocks_no_other_and_misses_nothing(bench: Bench) {
        let mut bench = bench;
        bench.options.ready_events = 8;
        let engine = bench.open();
        let mut slow = subscribe(&engine, "slow").await;
        let mut fast = subscribe(&engine, "fast").await;
        for round in 0..30_u64 {
            let ids = round * 10..round * 10 + 10;
            let batch = ids.map(|id| event(&id.to_string())).collect();
            publish(&engine, batch).await.unwrap();
            let got = pull(&mut fast, 10).await;
            assert_eq!(got[0].position.0, round * 10 + 1);
            done(&engine, "fast", &got).await;
        }
        assert_eq!(engine.subscriptions()[0].lag, 300);
        let mut seen = Vec::new();
        while seen.len() < 300 {
            let got = slow.next(3).await.unwrap();
            done(&engine, "slow", &got).await;
            seen.extend(positions(&got));
        }
        assert_eq!(seen, (1..=300).collect::<Vec<_>>());
        // It keeps up again.
        publish_range(&engine, 1000, 1003).await;
        assert_eq!(positions(&pull(&mut slow, 4).await), [301, 302, 303, 304]);
        assert_eq!(engine.subscriptions()[0].settled, position(300));
    }

    async fn many_subscriptions_of_other_types_hear_nothing(bench: Bench) {
        let engine = bench.open();
        let mut idle = Vec::new();
        for number in 0..50 {
            let name = format!("s{number}");
            let spec = spec_of(&name, &[name.as_str()], hence_core::Start::Latest);
            idle.push(engine.subscribe(spec).await.unwrap());
        }
        publish(&engine, vec![typed("x", "s7")]).await.unwrap();
        for (number, deliveries) in idle.iter_mut().enumerate() {
            assert_eq!(ready(deliveries).await.len(), usize::from(number == 7));
        }
    }
}

#[test]
fn memory_waits_when_it_is_full_until_something_is_settled() {
    block_on(async {
        let mut bench = Bench::memory();
        bench.options.memory_events = 4;
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 4).await;
        let commit = Commit::publish(vec![event("try")], strongest(&engine));
        match engine.try_commit(commit).err().unwrap() {
            TryCommitError::Full(commit) => assert_eq!(commit.publish, [event("try")]),
            TryCommitError::Refused(error) => panic!("{error}"),
        }
        let mut first = Box::pin(publish(&engine, vec![event("5")]));
        let mut second = Box::pin(publish(&engine, vec![event("6")]));
        let mut given_up = Box::pin(publish(&engine, vec![event("never")]));
        for waiting in [&mut first, &mut given_up, &mut second] {
            tokio::select! {
                biased;
                _ = waiting => panic!("there is no room"),
                () = tokio::task::yield_now() => {}
            }
        }
        drop(given_up);
        let got = pull(&mut deliveries, 4).await;
        // What settles may publish although there is no room for others.
        let emit = vec![event("emitted")];
        settle_and_publish(&engine, "s", &got[0], hence_core::Outcome::Done, emit)
            .await
            .unwrap();
        done(&engine, "s", &got[1..3]).await;
        assert_eq!(first.await.unwrap()[0].position, Some(position(6)));
        assert_eq!(second.await.unwrap()[0].position, Some(position(7)));
        assert_eq!(engine.subscriptions()[0].lag, 4);
    });
}

/// What is held behind a dead letter may be all that fills the memory, and nothing is settled then
/// before somebody sends the letter again or gives it up.
#[test]
fn a_full_memory_takes_what_is_decided_of_dead_letters() {
    block_on(async {
        for discards in [false, true] {
            let mut bench = Bench::memory();
            bench.options.memory_events = 2;
            let engine = bench.open();
            let mut deliveries = subscribe(&engine, "s").await;
            publish_range(&engine, 1, 2).await;
            let got = pull(&mut deliveries, 2).await;
            let rejected = settle(&engine, "s", &got[0], reject(true)).await;
            rejected.unwrap();
            publish_range(&engine, 3, 3).await;
            let mut waiting = Box::pin(publish(&engine, vec![event("4")]));
            tokio::select! {
                biased;
                _ = &mut waiting => panic!("there is no room"),
                () = tokio::task::yield_now() => {}
            }
            if discards {
                discard(&engine, &["s.1"]).await.unwrap();
            } else {
                redrive(&engine, &["s.1"]).await.unwrap();
                let again = pull(&mut deliveries, 1).await;
                assert_eq!(positions(&again), [1]);
                done(&engine, "s", &again).await;
            }
            done(&engine, "s", &got[1..]).await;
            assert_eq!(waiting.await.unwrap()[0].position, Some(position(4)));
        }
    });
}

#[test]
fn memory_forgets_what_is_settled_but_nothing_else() {
    block_on(async {
        let mut bench = Bench::memory();
        bench.options.memory_keep_bytes = 4096;
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish_range(&engine, 1, 1).await;
        let stuck = pull(&mut deliveries, 1).await;
        for id in 2..200 {
            publish_range(&engine, id, id).await;
            let got = pull(&mut deliveries, 1).await;
            done(&engine, "s", &got).await;
        }
        let kept = all_entries(&engine).await;
        assert!(kept.len() < 20, "{} are kept", kept.len());
        assert_eq!(kept[0].position, position(1));
        assert_eq!(kept[0].message, stuck[0].message);
        drop(deliveries);
        let mut deliveries = subscribe(&engine, "s").await;
        assert_eq!(positions(&ready(&mut deliveries).await), [1]);
        // Who waits for what is forgotten need not wait.
        engine.settled(position(2)).await.unwrap();
        let health = engine.health().unwrap();
        assert_eq!((health.first, health.last), (position(1), position(199)));
        assert!(health.bytes < 8192);
    });
}

#[test]
fn a_full_queue_gives_back_and_keeps_the_order() {
    block_on(async {
        let mut bench = Bench::log();
        bench.options.queue_commits = 2;
        let engine = bench.open();
        let mut waiting = Vec::new();
        for id in 0..200 {
            let mut publishing = Box::pin(publish(&engine, vec![event(&id.to_string())]));
            // Polled once, so that it has its place.
            tokio::select! {
                biased;
                receipts = &mut publishing => drop(receipts.unwrap()),
                () = tokio::task::yield_now() => waiting.push(publishing),
            }
        }
        for publishing in waiting {
            publishing.await.unwrap();
        }
        let entries = all_entries(&engine).await;
        let ids: Vec<_> = entries
            .iter()
            .map(|e| e.message.attributes().id().to_owned())
            .collect();
        assert_eq!(ids, (0..200).map(|id| id.to_string()).collect::<Vec<_>>());
    });
}
