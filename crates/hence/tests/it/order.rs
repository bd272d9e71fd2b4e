//! Order per key, also through failures and restarts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hence::{App, Attempt, HandlerExt, Order, Start, State};
use tokio::sync::Semaphore;

use crate::kit::{Seen, Tick, log, on_both_engines, tick};

async fn see(tick: Tick, seen: State<Seen>) {
    seen.add(&tick.key, tick.number);
}

/// Every third event fails at first.
async fn stumble(tick: Tick, attempt: Attempt, seen: State<Seen>) -> Result<(), &'static str> {
    if tick.number.is_multiple_of(3) && attempt.0 == 1 {
        return Err("stumbled");
    }
    tokio::task::yield_now().await;
    seen.add(&tick.key, tick.number);
    Ok(())
}

async fn gated(tick: Tick, seen: State<Seen>, gate: State<Arc<Semaphore>>) {
    seen.add(&tick.key, tick.number);
    gate.acquire().await.unwrap().forget();
}

fn assert_ordered_per_key(seen: &Seen) {
    let mut last: HashMap<String, u64> = HashMap::new();
    for (key, number) in seen.all() {
        let before = last.insert(key.clone(), number);
        assert!(
            before.is_none_or(|before| before < number),
            "'{key}': {before:?}, then {number}"
        );
    }
}

on_both_engines! {
    async fn a_key_keeps_its_order_through_retries(place: Place) {
        let seen = Seen::default();
        // Eleven keys that stumble at the same time are a storm; here they are meant to.
        let handler = stumble.breaker(None).with(|options| options.retry.first = Duration::from_millis(2));
        let app = App::new("test").state(seen.clone()).subscribe("stumble", handler);
        let running = place.start(app).await;
        let events = (0..300).map(|n| tick(&format!("key-{}", n % 11), n));
        running.publish_all(events).await.unwrap();
        seen.reach(300).await;
        assert_ordered_per_key(&seen);
    }

    async fn fifo_keeps_the_order_of_all(place: Place) {
        let seen = Seen::default();
        let app = App::new("test")
            .state(seen.clone())
            .subscribe("stumble", stumble.order(Order::Fifo).with(|o| o.retry.first = Duration::from_millis(1)));
        let running = place.start(app).await;
        running.publish_all((0..60).map(|n| tick(&n.to_string(), n))).await.unwrap();
        seen.reach(60).await;
        assert_eq!(seen.numbers(), (0..60).collect::<Vec<_>>());
    }

    async fn what_comes_next_is_chosen_by_the_order(place: Place) {
        for (order, expected) in [
            (Order::Lifo, [0, 3, 2, 1]),
            (Order::Priority, [0, 2, 3, 1]),
            (Order::Deadline, [0, 3, 1, 2]),
        ] {
            let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
            let handler = gated.order(order).concurrency(1);
            let app = App::new("test").state(seen.clone()).state(Arc::clone(&gate));
            let name = format!("gated-{}", order.as_str());
            let running = place.start(app.subscribe(&name, handler)).await;
            running.publish(tick("a", 0)).await.unwrap();
            seen.reach(1).await;
            let far = |hours: u64| {
                let wait = Duration::from_secs(hours * 3_600);
                hence::core::Timestamp::steady().after(wait).to_string()
            };
            for (number, priority, hours) in [(1, "-3", 2), (2, "5", 3), (3, "0", 1)] {
                let publish = running.publish(tick("a", number)).attribute("priority", priority);
                publish.attribute("expirytime", far(hours)).await.unwrap();
            }
            // The pump has them all once it holds four.
            while running.engine().subscriptions().iter().find(|s| s.name == name).unwrap().in_flight < 4 {
                tokio::task::yield_now().await;
            }
            gate.add_permits(4);
            seen.reach(4).await;
            assert_eq!(seen.numbers(), expected, "{order:?}");
            running.drain().await;
        }
    }

    async fn a_hot_key_keeps_no_other_key_waiting(place: Place) {
        let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
        let app = App::new("test").state(seen.clone()).state(Arc::clone(&gate));
        let running = place.start(app.subscribe("gated", gated.concurrency(2))).await;
        // Far more than the credit of two workers, and all behind the one that does not end.
        running.publish_all((0..500).map(|n| tick("hot", n))).await.unwrap();
        running.publish(tick("cold", 500)).await.unwrap();
        seen.reach(2).await;
        // They run beside each other, so either may be seen first.
        let mut both = seen.all();
        both.sort();
        assert_eq!(both, [("cold".to_owned(), 500), ("hot".to_owned(), 0)]);
        gate.add_permits(501);
        seen.reach(501).await;
        assert_ordered_per_key(&seen);
    }

    async fn a_throttle_spreads_calls(place: Place) {
        let seen = Seen::default();
        let handler = see.throttle(10, Duration::from_millis(100));
        let running = place.start(App::new("test").state(seen.clone()).subscribe("see", handler)).await;
        let begin = std::time::Instant::now();
        running.publish_all((0..40).map(|n| tick(&n.to_string(), n))).await.unwrap();
        seen.reach(40).await;
        assert!(begin.elapsed() >= Duration::from_millis(290), "{:?}", begin.elapsed());
    }

    async fn a_new_subscription_starts_where_it_is_told(place: Place) {
        let (early, late) = (Seen::default(), Seen::default());
        let running = place.start(App::new("test")).await;
        running.publish_all((0..5).map(|n| tick("a", n))).await.unwrap();
        let engine = running.engine().clone();
        let app = App::new("test").state(early.clone()).subscribe("early", see.from(Start::Earliest));
        let first = app.start_on(engine.clone()).await.unwrap();
        early.reach(5).await;
        let app = App::new("test").state(late.clone()).subscribe("late", see);
        let second = app.start_on(engine).await.unwrap();
        second.publish(tick("a", 5)).until_handled().await.unwrap();
        assert_eq!(early.numbers(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(late.numbers(), [5]);
        drop((running, first, second));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_where_it_was() {
    let place = log();
    let seen = Seen::default();
    let app = || App::new("test").state(seen.clone()).subscribe("see", see);
    let first = place.start(app()).await;
    for number in 0..20 {
        first
            .publish(tick("a", number))
            .until_handled()
            .await
            .unwrap();
    }
    first.drain().await;
    let second = place.start(app()).await;
    for number in 20..40 {
        second
            .publish(tick("a", number))
            .until_handled()
            .await
            .unwrap();
    }
    second.drain().await;
    assert_eq!(seen.numbers(), (0..40).collect::<Vec<_>>());
}
