//! Order per key, also through failures and restarts.

use std::collections::HashMap;
use std::time::Duration;

use hence::{App, Attempt, HandlerExt, Order, Start, State};

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
        let handler = stumble.with(|options| options.retry.first = Duration::from_millis(2));
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
