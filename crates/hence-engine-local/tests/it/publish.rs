use hence_core::engine::TryCommitError;
use hence_core::{Code, Commit, Durability, Outcome};

use crate::common::*;

on_both! {
    async fn receipts_name_id_source_position_and_level(bench: Bench) {
        let engine = bench.open();
        let receipts = publish(&engine, vec![event("a"), event("b")]).await.unwrap();
        assert_eq!(receipts.len(), 2);
        assert_eq!((receipts[1].id(), receipts[1].source()), ("b", "/test"));
        assert_eq!(receipts[1].position, Some(position(2)));
        assert_eq!(receipts[1].durability, strongest(&engine));
        assert!(!receipts[1].duplicate);
    }

    async fn a_duplicate_gets_the_first_receipt_and_is_not_stored(bench: Bench) {
        let engine = bench.open();
        publish(&engine, vec![event("a"), event("b")]).await.unwrap();
        let batch = vec![event("b"), event("c"), event("c")];
        let receipts = publish(&engine, batch).await.unwrap();
        let told: Vec<_> = receipts.iter().map(|r| (r.position.unwrap().0, r.duplicate)).collect();
        assert_eq!(told, [(2, true), (3, false), (3, true)]);
        assert_eq!(all_entries(&engine).await.len(), 3);
    }

    async fn time_and_trace_context_do_not_make_another_event(bench: Bench) {
        let engine = bench.open();
        publish(&engine, vec![event("a")]).await.unwrap();
        let again = with(with(event("a"), "time", "2026-11-20T10:00:00Z"), "traceparent", "00-1");
        assert!(publish(&engine, vec![again]).await.unwrap()[0].duplicate);
    }

    async fn other_content_under_a_known_id_refuses_the_whole_commit(bench: Bench) {
        let engine = bench.open();
        publish(&engine, vec![event("a")]).await.unwrap();
        let gold = with(event("a"), "tier", "gold");
        for other in [with(event("a"), "subject", "x"), gold, typed("a", "u")] {
            let batch = vec![event("new"), other];
            let error = publish(&engine, batch).await.unwrap_err();
            assert_eq!(error.code(), Code::DUPLICATE);
        }
        let error = publish(&engine, vec![event("z"), typed("z", "u")]).await.unwrap_err();
        assert_eq!(error.code(), Code::DUPLICATE);
        assert_eq!(all_entries(&engine).await.len(), 1);
        // Nothing of it is remembered either.
        let receipts = publish(&engine, vec![event("new"), event("z")]).await.unwrap();
        assert!(receipts.iter().all(|receipt| !receipt.duplicate));
    }

    async fn the_oldest_ids_are_forgotten_first(bench: Bench) {
        let mut bench = bench;
        bench.options.dedup_events = 3;
        let engine = bench.open();
        publish_range(&engine, 1, 4).await;
        assert!(publish(&engine, vec![event("2")]).await.unwrap()[0].duplicate);
        assert!(!publish(&engine, vec![event("1")]).await.unwrap()[0].duplicate);
        // The index does not know the first of the two any more, but the journal does.
        assert_eq!(engine.find(None, "1").await.unwrap(), [position(1), position(5)]);
        assert_eq!(engine.find(Some("/test"), "2").await.unwrap(), [position(2)]);
    }

    async fn what_the_engine_cannot_do_is_refused_by_name(bench: Bench) {
        let engine = bench.open();
        if !bench.is_log() {
            let commit = Commit::publish(vec![event("a")], Durability::Synced);
            let error = engine.commit(commit).await.unwrap_err();
            assert_eq!(error.code(), Code::DURABILITY);
            assert!(error.detail().contains("only: accepted"), "{error}");
        }
        let large = event("a").attributes().clone();
        let large = hence_core::Message::new(large, Some(vec![b'0'; 2 << 20].into()));
        let error = publish(&engine, vec![large]).await.unwrap_err();
        assert_eq!(error.code(), Code::TOO_LARGE);
        let many = (0..1001).map(|id| event(&id.to_string())).collect();
        let error = publish(&engine, many).await.unwrap_err();
        assert_eq!(error.code(), Code::TOO_LARGE);
        assert!(all_entries(&engine).await.is_empty());
        assert!(publish(&engine, Vec::new()).await.unwrap().is_empty());
    }

    async fn try_commit_answers_like_commit(bench: Bench) {
        let engine = bench.open();
        let commit = Commit::publish(vec![event("a")], strongest(&engine));
        let receipts = engine.try_commit(commit).unwrap().await.unwrap();
        assert_eq!(receipts[0].position, Some(position(1)));
        let commit = Commit::publish(vec![typed("a", "u")], strongest(&engine));
        let code = match engine.try_commit(commit) {
            Err(TryCommitError::Refused(error)) => error.code(),
            Err(TryCommitError::Full(_)) => panic!("it is not full"),
            Ok(answer) => answer.await.unwrap_err().code(),
        };
        assert_eq!(code, Code::DUPLICATE);
    }

    async fn a_repeated_settlement_is_absorbed_with_what_it_publishes(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish(&engine, vec![event("a")]).await.unwrap();
        let delivery = pull(&mut deliveries, 1).await.remove(0);
        let emit = |id: &str| vec![typed(id, "u")];
        let first = settle_and_publish(&engine, "s", &delivery, Outcome::Done, emit("x")).await;
        assert!(!first.unwrap()[0].duplicate);
        let again = settle_and_publish(&engine, "s", &delivery, Outcome::Done, emit("x")).await;
        let again = again.unwrap();
        assert_eq!((again[0].position, again[0].duplicate), (Some(position(2)), true));
        // Even under another id it is not stored a second time.
        let other = settle_and_publish(&engine, "s", &delivery, Outcome::Done, emit("y")).await;
        assert_eq!(other.unwrap()[0].position, None);
        assert_eq!(all_entries(&engine).await.len(), 2);
    }

    async fn settling_what_was_never_delivered_refuses_the_whole_commit(bench: Bench) {
        let engine = bench.open();
        let mut deliveries = subscribe(&engine, "s").await;
        publish(&engine, vec![event("a"), typed("b", "u")]).await.unwrap();
        let known = pull(&mut deliveries, 1).await.remove(0);
        let mut other_type = known.clone();
        other_type.position = position(2);
        let mut future = known.clone();
        future.position = position(99);
        for (name, delivery) in [("nobody", &known), ("s", &other_type), ("s", &future)] {
            let emit = vec![typed("x", "u")];
            let error = settle_and_publish(&engine, name, delivery, Outcome::Done, emit).await;
            assert_eq!(error.unwrap_err().code(), Code::NOT_FOUND);
        }
        assert_eq!(all_entries(&engine).await.len(), 2);
        assert_eq!(engine.subscriptions()[0].lag, 1);
    }
}
