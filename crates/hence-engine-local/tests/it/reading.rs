use std::time::Duration;

use hence_core::engine::{Filter, Read};
use hence_core::{Code, Start};
use hence_engine_local::Clock as _;

use crate::common::*;

on_both! {
    async fn a_reader_gives_what_passes_in_order_and_ends(bench: Bench) {
        let engine = bench.open();
        for id in 1..=6_u64 {
            let event_type = ["a.x", "b.y", "a.z"][usize::try_from(id % 3).unwrap()];
            publish(&engine, vec![typed(&id.to_string(), event_type)]).await.unwrap();
            bench.clock.advance(Duration::from_secs(1));
        }
        let filter = |filter: Filter| Read { from: Start::Earliest, filter, follow: false };
        for (filter_by, expected) in [
            (Filter::default(), vec![1, 2, 3, 4, 5, 6]),
            (Filter { types: vec!["b.y".into()], ..Filter::default() }, vec![1, 4]),
            (Filter { type_prefixes: vec!["a.".into()], ..Filter::default() }, vec![2, 3, 5, 6]),
            (Filter { id: Some("5".into()), ..Filter::default() }, vec![5]),
        ] {
            let mut reader = engine.read(filter(filter_by)).await.unwrap();
            publish(&engine, vec![typed("late", "b.y")]).await.unwrap();
            let mut got = Vec::new();
            loop {
                let some = reader.next(2).await.unwrap();
                assert!(some.len() <= 2);
                if some.is_empty() {
                    break;
                }
                got.extend(some.iter().map(|entry| entry.position.0));
            }
            // What came after it began is not its own.
            got.retain(|position| *position <= 6);
            assert_eq!(got, expected);
        }
    }

    async fn a_reader_that_follows_waits_for_more(bench: Bench) {
        let engine = bench.open();
        publish_range(&engine, 1, 1).await;
        let filter = Filter { types: vec!["t".into()], ..Filter::default() };
        let read = Read { from: Start::Latest, filter, follow: true };
        let mut reader = engine.read(read).await.unwrap();
        let more = async {
            publish(&engine, vec![typed("x", "u")]).await.unwrap();
            publish(&engine, vec![event("y")]).await.unwrap();
        };
        let (got, ()) = tokio::join!(reader.next(5), more);
        assert_eq!(got.unwrap()[0].position, position(3));
        let (got, ()) = tokio::join!(reader.next(5), engine.close());
        assert!(got.unwrap().is_empty());
    }

    async fn an_entry_is_found_by_position_and_by_id(bench: Bench) {
        let engine = bench.open();
        bench.clock.advance(Duration::from_secs(3));
        publish(&engine, vec![event("a"), typed("b", "u")]).await.unwrap();
        let entry = engine.get(position(2)).await.unwrap();
        assert_eq!(entry.message, typed("b", "u"));
        assert_eq!(entry.appended, bench.clock.now());
        for missing in [0, 3] {
            let error = engine.get(position(missing)).await.unwrap_err();
            assert_eq!(error.code(), Code::NOT_FOUND);
        }
        assert_eq!(engine.find(Some("/test"), "b").await.unwrap(), [position(2)]);
        assert_eq!(engine.find(None, "b").await.unwrap(), [position(2)]);
        assert!(engine.find(Some("/other"), "b").await.unwrap().is_empty());
        assert!(engine.find(None, "c").await.unwrap().is_empty());
    }
}

/// What left the memory is read from the disk, by readers, by look-ups and by subscriptions.
#[test]
fn what_left_the_memory_comes_from_the_disk() {
    block_on(async {
        let mut bench = Bench::log();
        bench.options.tail_bytes = 4096;
        bench.options.ready_events = 4;
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        let later = with(event("later"), "deliverat", "1970-01-01T00:00:10Z");
        publish(&engine, vec![later]).await.unwrap();
        assert!(ready(&mut deliveries).await.is_empty());
        for first in (2..1000).step_by(100) {
            let batch = (first..first + 100)
                .map(|id| event(&id.to_string()))
                .collect();
            publish(&engine, batch).await.unwrap();
        }
        assert_eq!(all_entries(&engine).await.len(), 1001);
        assert_eq!(engine.get(position(7)).await.unwrap().message, event("7"));
        assert_eq!(engine.find(None, "8").await.unwrap(), [position(8)]);
        let got = ready(&mut deliveries).await;
        assert_eq!(positions(&got), (2..=1001).collect::<Vec<_>>());
        bench.clock.advance(Duration::from_secs(100));
        let late = pull(&mut deliveries, 1).await;
        assert_eq!(positions(&late), [1]);
        settle(&engine, "s", &got[0], reject(false)).await.unwrap();
        done(&engine, "s", &late).await;
        done(&engine, "s", &got[1..5]).await;
        assert_eq!(engine.dead_letter("s.2").await.unwrap().1, event("2"));
        assert_eq!(engine.subscriptions()[0].settled, position(6));
        assert_eq!(
            engine.report(position(3)).await.unwrap()[0].attempts.len(),
            1
        );
    });
}
