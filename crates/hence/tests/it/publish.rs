//! Publishing: receipts, durability, delays, duplicates, what follows.

use std::time::Duration;

use hence::bus::TryPublishError;
use hence::core::{Code, Timestamp};
use hence::{App, Durability, HandlerExt, Publisher, State};

use crate::kit::{Seen, Tick, Tock, follow, log, on_both_engines, tick, types};

async fn see(tick: Tick, seen: State<Seen>) {
    seen.add(&tick.key, tick.number);
}

async fn tock(tick: Tick) -> Tock {
    Tock {
        key: tick.key,
        number: tick.number * 10,
    }
}

async fn both(tick: Tick, publisher: Publisher<Tock>) -> Result<Option<Tock>, hence::Error> {
    publisher.publish(Tock {
        key: tick.key.clone(),
        number: 1,
    })?;
    Ok(Some(Tock {
        key: tick.key,
        number: 2,
    }))
}

on_both_engines! {
    async fn g9_what_a_sender_counts_is_stored_once(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone()).subscribe("see", see);
        let running = place.start(app).await;
        let send = |number: u64| running.publish(tick("a", number)).sequence("file", number);
        let first = send(1).await.unwrap();
        let gap = send(3).await.unwrap_err();
        assert_eq!(gap.code(), Code::SEQUENCE_GAP);
        let second = send(2).until_handled().await.unwrap().receipt;
        assert!(!first.duplicate && !second.duplicate);
        // A sender that forgot how far it was begins again.
        for (number, before) in [(1, &first), (2, &second)] {
            let again = send(number).await.unwrap();
            assert!(again.duplicate, "{again:?}");
            assert_eq!((again.position, again.id()), (before.position, before.id()));
        }
        let other = running.publish(tick("a", 7)).sequence("file", 2).await.unwrap_err();
        assert_eq!(other.code(), Code::DUPLICATE);
        // Another sender counts for itself.
        assert!(!running.publish(tick("a", 1)).sequence("other", 1).await.unwrap().duplicate);
        seen.reach(3).await;
        assert_eq!(running.engine().health().unwrap().last.0, 3);
        assert_eq!(seen.numbers(), [1, 2, 1]);
    }

    async fn what_a_handler_returns_is_published_with_its_cause(place: Place) {
        let running = place.start(App::new("test").subscribe("tock", tock)).await;
        let handled = running.publish(tick("a", 1)).until_handled().await.unwrap();
        let trace = running.trace(handled.receipt.position.unwrap()).await.unwrap();
        assert_eq!(trace.nodes.len(), 2);
        let (cause, effect) = (&trace.nodes[0], &trace.nodes[1]);
        assert_eq!(effect.cause, Some(cause.entry.position));
        let attributes = effect.entry.message.attributes();
        assert_eq!(attributes.event_type(), "test.tock");
        assert_eq!(attributes.causation_id(), Some(handled.receipt.id()));
        assert_eq!(attributes.correlation_id(), Some(handled.receipt.id()));
        assert_eq!(attributes.key(), Some("a"));
        assert_eq!(attributes.source(), "/test");
        assert_eq!(cause.deliveries[0].state.as_str(), "done");
        assert_eq!(cause.deliveries[0].attempts[0].emitted, [effect.entry.position]);
    }

    async fn a_publisher_speaks_before_the_return_value(place: Place) {
        let running = place.start(App::new("test").subscribe("both", both)).await;
        let mut reader = follow(&running).await;
        running.publish(tick("a", 7)).until_handled().await.unwrap();
        assert_eq!(types(&mut *reader, 3).await, ["test.tick", "test.tock", "test.tock"]);
    }

    async fn a_batch_is_one_commit(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone()).subscribe("see", see);
        let running = place.start(app).await;
        let receipts = running.publish_all((0..50).map(|n| tick("a", n))).await.unwrap();
        assert_eq!(receipts.len(), 50);
        seen.reach(50).await;
        assert_eq!(seen.numbers(), (0..50).collect::<Vec<_>>());
    }

    async fn a_delayed_event_comes_not_early(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone()).subscribe("see", see);
        let running = place.start(app).await;
        let wait = Duration::from_millis(150);
        let before = Timestamp::steady();
        running.publish(tick("a", 1)).after(wait).await.unwrap();
        running.publish(tick("a", 2)).until_handled().await.unwrap();
        assert_eq!(seen.numbers(), [2], "it overtakes the one that is not due");
        seen.reach(2).await;
        assert!(Timestamp::steady().since(before) >= wait);
    }

    async fn fire_and_forget_gives_the_event_back_when_there_is_no_room(place: Place) {
        let running = place.start(App::new("test")).await;
        running.try_publish(tick("a", 1)).unwrap();
        running.bus().engine().close().await;
        let refused = running.try_publish(tick("a", 2)).unwrap_err();
        assert!(matches!(refused, TryPublishError::Failed(_)), "{refused}");
    }

    async fn an_event_that_nobody_wants_is_kept(place: Place) {
        let running = place.start(App::new("test")).await;
        let receipt = running.publish(tick("a", 1)).await.unwrap();
        let mut reader = follow(&running).await;
        assert_eq!(types(&mut *reader, 1).await, ["test.tick"]);
        drop(receipt);
    }
}

#[tokio::test]
async fn the_receipt_names_the_durability_that_was_reached() {
    let place = log();
    let running = place.start(App::new("test")).await;
    let default = running.publish(tick("a", 1)).await.unwrap();
    assert_eq!(default.durability, Durability::Synced);
    let less = running
        .publish(tick("a", 2))
        .durability(Durability::Written)
        .await
        .unwrap();
    assert!(less.durability >= Durability::Written);
}

#[tokio::test]
async fn more_durability_than_the_engine_has_is_refused() {
    let app = App::new("test").durability(Durability::Synced);
    let error = app.start("memory:").await.unwrap_err();
    assert_eq!(error.code().as_str(), "HN0202");
    let running = App::new("test").start("memory:").await.unwrap();
    let error = running
        .publish(tick("a", 1))
        .durability(Durability::Synced)
        .await
        .unwrap_err();
    assert_eq!(error.code().as_str(), "HN0202");
}

#[tokio::test]
async fn the_key_of_a_known_type_is_found_in_its_data() {
    let running = App::new("test")
        .subscribe("tock", tock)
        .start("memory:")
        .await
        .unwrap();
    let data = br#"{"key":"A-17","number":1}"#;
    assert_eq!(
        running.key_of("test.tick", 1, data).as_deref(),
        Some("A-17")
    );
    assert_eq!(running.key_of("test.tick", 1, b"{}"), None);
    assert_eq!(running.key_of("unknown", 1, data), None);
}

#[tokio::test]
async fn what_memory_forgot_was_handled_all_the_same() {
    let seen = Seen::default();
    let mut options = hence_engine_local::Options::default();
    options.memory_keep_bytes = 0;
    let app = App::new("test").state(seen.clone()).subscribe("see", see);
    let running = app
        .start_on(hence_engine_local::memory(&options))
        .await
        .unwrap();
    let handled = running.publish(tick("a", 7)).until_handled().await.unwrap();
    assert_eq!((seen.numbers(), handled.results.len()), (vec![7], 0));
}

#[tokio::test]
async fn any_concurrency_is_no_overflow() {
    let seen = Seen::default();
    let most = hence::core::setting::CALLS_MAX;
    let beyond = App::new("test")
        .state(seen.clone())
        .subscribe("see", see.concurrency(usize::MAX));
    assert!(beyond.check().is_err());
    let handler = see.concurrency(most);
    let app = App::new("test")
        .state(seen.clone())
        .subscribe("see", handler);
    let running = crate::kit::memory().start(app).await;
    running.publish(tick("a", 7)).until_handled().await.unwrap();
    assert_eq!(seen.numbers(), [7]);
}
