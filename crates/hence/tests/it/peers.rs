//! What the users of other frameworks complain about most, each as a test: order together with
//! parallelism, and retries and dead letters that lose or surprise. The names carry the project and
//! the number of the issue there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use hence::core::engine::DeliveryState;
use hence::core::{Attributes, DeadLetterQuery, Message, RejectReason};
use hence::{App, Attempt, Batch, Failure, Handler, HandlerExt, Publisher, State};
use tokio::sync::Semaphore;

use crate::kit::{
    Seen, Tick, Tock, letters, letters_of, limited, log, memory, on_both_engines, tick,
};

fn quick<A: 'static>(handler: impl Handler<A>) -> impl Handler<A> {
    handler.with(|options| {
        options.retry.first = Duration::from_millis(2);
        options.breaker = None;
    })
}

/// The key `slow` waits for its gate.
async fn gated(tick: Tick, gate: State<Arc<Semaphore>>, seen: State<Seen>) {
    if tick.key == "slow" {
        gate.acquire().await.unwrap().forget();
    }
    seen.add(&tick.key, tick.number);
}

/// Rejects number 1 until it is mended.
async fn broken(
    tick: Tick,
    mended: State<Arc<AtomicBool>>,
    seen: State<Seen>,
) -> Result<(), Failure> {
    if tick.number == 1 && !mended.load(SeqCst) {
        return Err(Failure::reject("broken"));
    }
    seen.add(&tick.key, tick.number);
    Ok(())
}

/// Takes its time now and then, and fails at first now and then.
async fn uneven(tick: Tick, attempt: Attempt, seen: State<Seen>) -> Result<(), &'static str> {
    for _ in 0..tick.number * 7 % 5 {
        tokio::task::yield_now().await;
    }
    if tick.number.is_multiple_of(13) && attempt.0 == 1 {
        return Err("not yet");
    }
    seen.add(&tick.key, tick.number);
    Ok(())
}

/// Publishes, then fails; only its third attempt succeeds.
async fn says_and_fails(
    tick: Tick,
    attempt: Attempt,
    out: Publisher<Tock>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let Tick { key, number } = tick;
    out.publish(Tock { key, number })?;
    if attempt.0 < 3 {
        return Err("not yet".into());
    }
    Ok(())
}

async fn never(_: Tick, attempt: Attempt, seen: State<Seen>) -> Result<(), &'static str> {
    seen.add("attempt", attempt.0.into());
    Err("never")
}

async fn forward(tick: Tick) -> Tock {
    let Tick { key, number } = tick;
    Tock { key, number }
}

async fn tock(tock: Tock, seen: State<Seen>) {
    seen.add(&tock.key, tock.number);
}

async fn batch(ticks: Batch<Tick>, seen: State<Seen>) {
    seen.add("batch", ticks.len() as u64);
}

on_both_engines! {
    /// Watermill #374 and #484, FastStream #2217, Dapr #7332: one message at a time, or no order.
    async fn watermill_374_a_slow_key_stops_itself_alone(place: Place) {
        let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
        let app = App::new("test").state(seen.clone()).state(Arc::clone(&gate));
        // As many of the slow key as there are workers, and far more than there is credit.
        let running = place.start(app.subscribe("gated", gated.concurrency(2))).await;
        running.publish_all((0..300).map(|n| tick("slow", n))).await.unwrap();
        running.publish_all((300..400).map(|n| tick("fast", n))).await.unwrap();
        seen.reach(100).await;
        assert_eq!(seen.numbers(), (300..400).collect::<Vec<_>>());
        gate.add_permits(300);
        seen.reach(400).await;
        let slow = seen.all().into_iter().filter(|(key, _)| key == "slow");
        assert_eq!(slow.map(|(_, n)| n).collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());
    }

    /// MassTransit #4777, Dapr's components-contrib #277 and #3601: with several calls at a time the
    /// order of a key breaks now and then.
    async fn masstransit_4777_every_key_keeps_its_order_beside_others(place: Place) {
        const KEYS: u64 = 16;
        const EVENTS: u64 = 800;
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone());
        let running = place.start(app.subscribe("uneven", quick(uneven))).await;
        for first in (0..EVENTS).step_by(100) {
            let events = (first..first + 100).map(|n| tick(&(n % KEYS).to_string(), n));
            running.publish_all(events).await.unwrap();
        }
        seen.reach(EVENTS as usize).await;
        let all = seen.all();
        let mut overtook = false;
        for key in 0..KEYS {
            let own = all.iter().filter(|(other, _)| *other == key.to_string());
            let own: Vec<_> = own.map(|(_, number)| *number).collect();
            let wanted: Vec<_> = (0..EVENTS).filter(|n| n % KEYS == key).collect();
            assert_eq!(own, wanted, "key {key}");
        }
        for pair in all.windows(2) {
            overtook |= pair[0].1 > pair[1].1;
        }
        assert!(overtook, "keys went one after the other");
    }

    /// NServiceBus, ServiceControl #660: the retry of a group takes others than were seen.
    async fn servicecontrol_660_a_redrive_takes_what_was_previewed(place: Place) {
        let (seen, mended) = (Seen::default(), Arc::new(AtomicBool::new(false)));
        let app = App::new("test").state(seen.clone()).state(Arc::clone(&mended));
        let running = place.start(app.subscribe("broken", broken)).await;
        running.publish_all(["a", "b"].map(|key| tick(key, 1))).await.unwrap();
        letters(&running, 2).await;
        let seen_by_somebody = running.freeze_dead_letters(DeadLetterQuery::default()).await.unwrap();
        running.publish(tick("c", 1)).await.unwrap();
        letters(&running, 3).await;
        mended.store(true, SeqCst);
        let again = DeadLetterQuery { upto: seen_by_somebody.upto, ..DeadLetterQuery::default() };
        let frozen = running.freeze_dead_letters(again).await.unwrap();
        assert_eq!(frozen.ids, seen_by_somebody.ids);
        running.redrive(frozen.ids).await.unwrap();
        seen.reach(2).await;
        let left = letters(&running, 1).await.remove(0);
        assert_eq!(left.key.as_deref(), Some("c"));
    }

    /// Wolverine #986: order is lost when dead letters are recovered.
    async fn wolverine_986_order_survives_the_recovery_of_a_dead_letter(place: Place) {
        let (seen, mended) = (Seen::default(), Arc::new(AtomicBool::new(false)));
        let app = App::new("test").state(seen.clone()).state(Arc::clone(&mended));
        let running = place.start(app.subscribe("broken", broken)).await;
        running.publish_all((1..=5).map(|n| tick("k", n))).await.unwrap();
        let letter = letters(&running, 1).await.remove(0);
        mended.store(true, SeqCst);
        running.publish(tick("k", 6)).await.unwrap();
        running.redrive(vec![letter.id]).await.unwrap();
        seen.reach(6).await;
        assert_eq!(seen.numbers(), [1, 2, 3, 4, 5, 6]);
    }

    /// MassTransit #4458 and #1089: what a failed attempt said goes out, once for each retry.
    async fn masstransit_4458_an_attempt_that_failed_has_said_nothing(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone());
        let app = app.subscribe("says", quick(says_and_fails)).subscribe("tock", tock);
        let running = place.start(app).await;
        running.publish(tick("k", 1)).until_handled().await.unwrap();
        running.publish(tick("k", 2)).until_handled().await.unwrap();
        seen.reach(2).await;
        assert_eq!(seen.numbers(), [1, 2]);
        assert!(letters_of(&running, None).await.is_empty());
    }

    /// Dapr #5511 and #5331: retries are ignored as soon as there is a dead-letter topic.
    async fn dapr_5511_every_attempt_is_made_before_the_dead_letter(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone());
        let running = place.start(app.subscribe("never", quick(never.retry(4)))).await;
        running.publish(tick("k", 1)).await.unwrap();
        let letter = letters(&running, 1).await.remove(0);
        assert_eq!((letter.attempts, letter.reason), (4, RejectReason::RetriesExhausted));
        assert_eq!(seen.numbers(), [1, 2, 3, 4]);
    }

    /// NestJS #4241, #10617, #14664: the error of an event handler is swallowed.
    async fn nestjs_4241_whoever_publishes_can_see_the_error(place: Place) {
        let app = App::new("test").state(Seen::default());
        let running = place.start(app.subscribe("never", quick(never.retry(1)))).await;
        let handled = running.publish(tick("k", 1)).until_handled().await.unwrap();
        assert_eq!(handled.results[0].state, DeliveryState::Dead);
        assert_eq!(handled.results[0].attempts[0].error, "never");
    }

    /// Spring Cloud Stream #2317 and #3189: what becomes of a batch with one bad record is open.
    async fn spring_2317_one_bad_event_is_one_dead_letter_and_its_batch_goes_on(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone());
        let running = place.start(app.subscribe("batch", batch.batch(10, Duration::from_millis(20)))).await;
        let message = |n: u64| {
            let attributes = Attributes::new(n.to_string(), "/test", "test.tick").unwrap();
            let good = format!("{{\"key\":\"k{n}\",\"number\":{n}}}");
            Message::new(attributes, Some(if n == 3 { "bad".into() } else { good.into() }))
        };
        running.commit((1..=5).map(message).collect(), running.durability()).await.unwrap();
        let letter = letters(&running, 1).await.remove(0);
        assert_eq!((letter.position.0, letter.reason), (3, RejectReason::Undecodable));
        while seen.numbers().iter().sum::<u64>() < 4 {
            tokio::task::yield_now().await;
        }
        assert_eq!(seen.numbers().iter().sum::<u64>(), 4);
    }
}

/// Wolverine GH-3490: the timer of a batch was a debounce, so that a steady stream of 8 messages a
/// second had a median of 5.8 s.
#[tokio::test(start_paused = true)]
async fn wolverine_3490_the_age_of_a_batch_is_a_maximum() {
    limited("wolverine_3490", async {
        let (seen, age) = (Seen::default(), Duration::from_millis(250));
        let app = App::new("test").state(seen.clone());
        let running = memory()
            .start(app.subscribe("batch", batch.batch(1_000, age)))
            .await;
        for number in 0..80 {
            running
                .publish(tick(&number.to_string(), number))
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(125)).await;
        }
        seen.reach(26).await;
        assert!(
            seen.numbers().iter().all(|events| *events <= 3),
            "{:?}",
            seen.numbers()
        );
    })
    .await;
}

/// MassTransit #5860: a second round of retries, half an hour later, does not come. apalis #503: it
/// comes, and when all attempts are made the job begins from the first again.
#[tokio::test(start_paused = true)]
async fn masstransit_5860_a_retry_in_hours_comes_once_and_the_last_is_the_last() {
    limited("masstransit_5860", async {
        let (seen, hour) = (Seen::default(), Duration::from_secs(3_600));
        let app = App::new("test").state(seen.clone());
        let handler = never.retry(3).with(|options| {
            (options.retry.first, options.retry.max) = (hour, 24 * hour);
            options.breaker = None;
        });
        let running = memory().start(app.subscribe("never", handler)).await;
        running.publish(tick("k", 1)).await.unwrap();
        tokio::time::sleep(1_000 * hour).await;
        let letter = letters(&running, 1).await.remove(0);
        assert_eq!(
            (letter.attempts, letter.reason),
            (3, RejectReason::RetriesExhausted)
        );
        assert_eq!(seen.numbers(), [1, 2, 3]);
        assert_eq!(letters_of(&running, None).await.len(), 1);
    })
    .await;
}

/// FastStream #1488, #1603, #1657, #2216: retries go on for ever, or are counted by each process
/// for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faststream_1488_attempts_are_counted_over_restarts() {
    limited("faststream_1488", async {
        let (place, seen) = (log(), Seen::default());
        let handler = || {
            never.retry(5).with(|options| {
                options.retry.first = Duration::from_millis(30);
                options.breaker = None;
            })
        };
        let app = || {
            App::new("test")
                .state(seen.clone())
                .subscribe("never", handler())
        };
        let running = place.start(app()).await;
        running.publish(tick("k", 1)).await.unwrap();
        seen.reach(1).await;
        running.drain().await;
        let running = place.start(app()).await;
        let letter = letters(&running, 1).await.remove(0);
        assert_eq!(letter.attempts, 5);
        assert_eq!(seen.numbers(), [1, 2, 3, 4, 5]);
        running.drain().await;
    })
    .await;
}

/// MassTransit #4990: the outbox loses messages under load. What a handler returns is part of its
/// commit, so each follows once, also over a restart in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn masstransit_4990_what_follows_is_there_once_under_load() {
    limited("masstransit_4990", async {
        const EVENTS: u64 = 3_000;
        let (place, seen) = (log(), Seen::default());
        let app = || {
            let app = App::new("test").state(seen.clone());
            app.subscribe("forward", forward).subscribe("tock", tock)
        };
        let running = place.start(app()).await;
        for first in (0..EVENTS).step_by(500) {
            let events = (first..first + 500).map(|n| tick(&(n % 97).to_string(), n));
            running.publish_all(events).await.unwrap();
        }
        seen.reach(500).await;
        running.drain().await;
        let running = place.start(app()).await;
        seen.reach(EVENTS as usize).await;
        running.drain().await;
        let numbers = seen.numbers();
        assert_eq!(
            numbers.iter().copied().collect::<BTreeSet<_>>(),
            (0..EVENTS).collect()
        );
        assert_eq!(
            numbers.len() as u64,
            EVENTS,
            "a clean drain repeats nothing"
        );
    })
    .await;
}
