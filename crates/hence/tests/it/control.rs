//! Flow control: what waits, what is skipped, and that nothing vanishes.

use std::collections::{BTreeMap, HashMap};
use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use hence::core::engine::{DeliveryReport, DeliveryState};
use hence::core::flow::{RateLimit, Shedding, While};
use hence::core::{By, HandlerExt, Options, Position};
use hence::{App, Attempt, Batch, Envelope, Failure, Order, Running, State};
use tokio::sync::{Notify, Semaphore};

use crate::kit::{Seen, Tick, letters_of, log, on_both_engines, on_both_engines_paused, tick};

const DAY: Duration = Duration::from_secs(86_400);

async fn see(tick: Tick, seen: State<Seen>) {
    seen.add(&tick.key, tick.number);
}

async fn gated(tick: Tick, seen: State<Seen>, gate: State<Arc<Semaphore>>) {
    seen.add(&tick.key, tick.number);
    gate.acquire().await.unwrap().forget();
}

/// Notes the tenant in place of the key.
async fn tenant(tick: Envelope<Tick>, seen: State<Seen>, gate: State<Arc<Semaphore>>) {
    let tenant = tick.attributes.extension("tenantid").unwrap();
    let tenant = tenant.to_text();
    seen.add(&tenant, tick.data.number);
    gate.acquire().await.unwrap().forget();
}

async fn group(ticks: Batch<Tick>, seen: State<Seen>) {
    let keys: Vec<_> = ticks.iter().map(|tick| tick.key.clone()).collect();
    seen.add(&keys.join(""), ticks.len() as u64);
}

fn app(seen: &Seen, gate: &Arc<Semaphore>) -> App {
    App::new("test").state(seen.clone()).state(Arc::clone(gate))
}

async fn publish(running: &Running, key: &str, number: u64, tenant: &str) -> Position {
    let publish = running
        .publish(tick(key, number))
        .attribute("tenantid", tenant);
    publish.await.unwrap().position.unwrap()
}

/// What became of an event in the one subscription, once it is settled.
async fn settled(running: &Running, position: Position) -> DeliveryReport {
    running.engine().settled(position).await.unwrap();
    running.engine().report(position).await.unwrap().remove(0)
}

fn outcome(report: &DeliveryReport) -> (&str, &str) {
    let last = report.attempts.last().unwrap();
    (last.outcome, last.error.as_str())
}

on_both_engines! {
    async fn a_limit_holds_across_keys(place: Place) {
        let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
        let running = place.start(app(&seen, &gate).subscribe("tenant", tenant.limit("tenantid", 2))).await;
        for number in 0..200 {
            publish(&running, &number.to_string(), number, "many").await;
        }
        publish(&running, "other", 200, "few").await;
        seen.reach(3).await;
        let mut begun = seen.all();
        begun.sort();
        let names: Vec<_> = begun.iter().map(|(tenant, _)| tenant.as_str()).collect();
        assert_eq!(names, ["few", "many", "many"], "two of one, and the other is not behind them");
        gate.add_permits(500);
        seen.reach(201).await;
    }

    async fn a_rate_limit_skips_what_is_beyond_it(place: Place) {
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone()).subscribe("see", see.rate_limit(2, DAY));
        let running = place.start(app).await;
        let mut positions = Vec::new();
        for number in 0..4 {
            positions.push(publish(&running, "a", number, "t").await);
        }
        let mut outcomes = Vec::new();
        for position in positions {
            let report = settled(&running, position).await;
            assert_eq!(report.state, DeliveryState::Done);
            outcomes.push(outcome(&report).0.to_owned());
        }
        assert_eq!(outcomes, ["done", "done", "skipped", "skipped"]);
        assert_eq!(seen.numbers(), [0, 1]);
        while running.metrics()["see"].skipped() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(letters_of(&running, None).await.is_empty());
    }

    async fn a_singleton_skips_what_comes_while_one_runs(place: Place) {
        let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
        let handler = gated.singleton(By::KEY, While::Skip);
        let running = place.start(app(&seen, &gate).subscribe("gated", handler)).await;
        let first = publish(&running, "a", 1, "t").await;
        seen.reach(1).await;
        let second = publish(&running, "a", 2, "t").await;
        publish(&running, "b", 3, "t").await;
        seen.reach(2).await;
        let report = settled(&running, second).await;
        assert_eq!(outcome(&report), ("skipped", &*format!("singleton, in favour of {first}")));
        gate.add_permits(9);
        settled(&running, first).await;
        while running.metrics()["gated"].done() < 2 {
            tokio::task::yield_now().await;
        }
        publish(&running, "a", 4, "t").await;
        seen.reach(3).await;
        assert_eq!(seen.numbers(), [1, 3, 4]);
    }

    async fn a_singleton_that_cancels_gives_up_the_one_that_runs(place: Place) {
        let (seen, dropped) = (Seen::default(), Arc::new(AtomicUsize::new(0)));
        let handler = (async |tick: Tick, seen: State<Seen>, dropped: State<Arc<AtomicUsize>>| {
            struct Guard(Arc<AtomicUsize>);
            impl Drop for Guard {
                fn drop(&mut self) {
                    self.0.fetch_add(1, SeqCst);
                }
            }
            let _guard = Guard(Arc::clone(&dropped));
            seen.add(&tick.key, tick.number);
            if tick.number < 3 {
                std::future::pending::<()>().await;
            }
        }).singleton(By::KEY, While::Cancel);
        let app = App::new("test").state(seen.clone()).state(Arc::clone(&dropped));
        let running = place.start(app.subscribe("cancel", handler)).await;
        let mut positions = Vec::new();
        for number in 1..=3 {
            positions.push(publish(&running, "a", number, "t").await);
            seen.reach(usize::try_from(number).unwrap()).await;
        }
        let [first, second, third] = positions[..] else { panic!("three") };
        let of = |by: Position| format!("singleton, in favour of {by}");
        assert_eq!(outcome(&settled(&running, first).await), ("skipped", &*of(second)));
        assert_eq!(outcome(&settled(&running, second).await), ("skipped", &*of(third)));
        assert_eq!(outcome(&settled(&running, third).await), ("done", ""));
        assert_eq!((seen.numbers(), dropped.load(SeqCst)), (vec![1, 2, 3], 3));
    }

    async fn a_batch_has_events_of_one_group_and_no_more_bytes_than_it_may(place: Place) {
        let seen = Seen::default();
        let handler = group.batch(4, place.seconds(1)).with(|options| options.batch_by = Some(By::KEY));
        let running = place.start(App::new("test").state(seen.clone()).subscribe("group", handler)).await;
        let ticks = (0..30).map(|n| tick(if n % 3 == 0 { "a" } else { "b" }, n));
        running.publish_all(ticks).await.unwrap();
        while seen.numbers().iter().sum::<u64>() < 30 {
            seen.reach(seen.all().len() + 1).await;
        }
        for (keys, count) in seen.all() {
            assert!(keys == "a".repeat(keys.len()) || keys == "b".repeat(keys.len()), "{keys}");
            assert!(count <= 4);
        }
        running.drain().await;
        let seen = Seen::default();
        let handler = group.with(|options| (options.batch_bytes, options.batch_age) = (1, Duration::ZERO));
        let running = place.start(App::new("test").state(seen.clone()).subscribe("small", handler)).await;
        running.publish_all((0..5).map(|n| tick("a", n))).await.unwrap();
        seen.reach(5).await;
        assert_eq!(seen.numbers(), [1; 5], "but always one");
    }

    async fn a_small_tenant_is_not_behind_a_large_one(place: Place) {
        let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
        let handler = tenant.concurrency(1).fair("tenantid", []);
        let running = place.start(app(&seen, &gate).subscribe("tenant", handler)).await;
        for number in 0..300 {
            publish(&running, &number.to_string(), number, "large").await;
        }
        let last = publish(&running, "other", 300, "small").await;
        let held = || {
            let reports = running.engine().subscriptions();
            reports.iter().find(|report| report.name == "tenant").unwrap().in_flight
        };
        while held() < last.0 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(500);
        seen.reach(301).await;
        let turn = seen.all().iter().position(|(tenant, _)| tenant == "small").unwrap();
        assert!(turn <= 2, "its turn came after {turn} others");
    }

    async fn what_is_shed_is_kept_as_a_dead_letter_by_choice(place: Place) {
        let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
        let handler = gated
            .order(Order::Priority)
            .concurrency(1)
            .shed(Duration::from_millis(1), Shedding::Reject);
        let running = place.start(app(&seen, &gate).subscribe("gated", handler)).await;
        let publish = |range: std::ops::Range<u64>, urgent| {
            let publishes = range.map(|number| {
                let publish = running.publish(tick(&number.to_string(), number));
                publish.attribute("priority", urgent).into_future()
            });
            futures_util::future::try_join_all(publishes)
        };
        // Two windows of each sort that wait behind one another far longer than they may.
        publish(0..1_000, "5").await.unwrap();
        publish(1_000..2_400, "-5").await.unwrap();
        gate.add_permits(10_000);
        let settle = |report: &hence::core::engine::SubscriptionReport| report.lag == 0;
        while !running.engine().subscriptions().iter().all(settle) {
            tokio::task::yield_now().await;
        }
        let letters = letters_of(&running, None).await;
        assert!(letters.iter().all(|letter| letter.reason.as_str() == "shed"));
        for letter in &letters {
            let (_, message) = running.engine().dead_letter(&letter.id).await.unwrap();
            assert_eq!(message.attributes().priority(), -5);
        }
        assert!(!letters.is_empty());
        assert_eq!(seen.all().len() + letters.len(), 2_400, "nothing vanished");
    }
}

on_both_engines_paused! {
    async fn the_last_of_a_burst_is_handled(place: Place) {
        let seen = Seen::default();
        let handler = see.debounce(By::KEY, place.seconds(200), place.seconds(10_000));
        let running = place.start(App::new("test").state(seen.clone()).subscribe("see", handler)).await;
        let mut positions = Vec::new();
        for number in 0..5 {
            positions.push(publish(&running, "a", number, "t").await);
        }
        seen.reach(1).await;
        assert_eq!(seen.numbers(), [4]);
        for pair in positions.windows(2) {
            let report = settled(&running, pair[0]).await;
            assert_eq!(outcome(&report), ("skipped", &*format!("debounced, in favour of {}", pair[1])));
        }
        assert_eq!(outcome(&settled(&running, positions[4]).await), ("done", ""));
    }

    async fn what_is_shed_comes_later_and_in_order(place: Place) {
        let seen = Seen::default();
        let handler = see.shed(Duration::from_millis(1), Shedding::Later);
        let running = place.start(App::new("test").state(seen.clone()).subscribe("see", handler)).await;
        let publishes = (0..3_000_u64).map(|n| {
            let urgent = if n.is_multiple_of(2) { "3" } else { "0" };
            running.publish(tick(urgent, n)).attribute("priority", urgent).into_future()
        });
        let receipts = futures_util::future::try_join_all(publishes).await.unwrap();
        seen.reach(3_000).await;
        let mut last: HashMap<String, u64> = HashMap::new();
        for (key, number) in seen.all() {
            // They were published side by side: where they stand is what counts.
            let position = receipts[usize::try_from(number).unwrap()].position.unwrap().0;
            assert!(last.insert(key, position).is_none_or(|before| before < position));
        }
        assert_eq!(seen.all().len(), 3_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_skipped_stays_skipped_after_a_restart() {
    let (place, seen) = (log(), Seen::default());
    let start = async |quiet| {
        let handler = see.debounce(By::KEY, quiet, DAY);
        let app = App::new("test")
            .state(seen.clone())
            .subscribe("see", handler);
        place.start(app).await
    };
    let first = start(DAY).await;
    let mut positions = Vec::new();
    for number in 0..3 {
        positions.push(publish(&first, "a", number, "t").await);
    }
    for position in &positions[..2] {
        assert_eq!(outcome(&settled(&first, *position).await).0, "skipped");
    }
    assert_eq!(seen.all(), [], "the last waits for quiet");
    first.drain().await;
    let second = start(Duration::from_millis(1)).await;
    assert_eq!(outcome(&settled(&second, positions[2]).await).0, "done");
    assert_eq!(seen.numbers(), [2]);
}

#[derive(Default)]
struct Crowd {
    inside: AtomicUsize,
    most: AtomicUsize,
    moved: Notify,
}

/// The most calls at a time of a subscription that seeks their number, under so much that each has
/// company.
async fn most_calls() -> usize {
    let (seen, crowd) = (Seen::default(), Arc::new(Crowd::default()));
    let handler = (async |tick: Tick, seen: State<Seen>, crowd: State<Arc<Crowd>>| {
        let inside = crowd.inside.fetch_add(1, SeqCst) + 1;
        crowd.most.fetch_max(inside, SeqCst);
        // Beyond eight it gets slower, and much slower.
        let slow = Duration::from_millis(if inside <= 8 { 10 } else { 1_000 });
        let _ = tokio::time::timeout(slow, crowd.moved.notified()).await;
        crowd.inside.fetch_sub(1, SeqCst);
        seen.add(&tick.key, tick.number);
    })
    .concurrency(4)
    .adaptive(2, 40);
    let app = App::new("test")
        .state(seen.clone())
        .state(Arc::clone(&crowd));
    let running = app
        .subscribe("slow", handler)
        .start("memory:")
        .await
        .unwrap();
    running
        .publish_all((0..1_000).map(|n| tick(&n.to_string(), n)))
        .await
        .unwrap();
    seen.reach(1_000).await;
    crowd.most.load(SeqCst)
}

#[tokio::test(start_paused = true)]
async fn the_number_of_calls_follows_how_long_they_take() {
    let most = most_calls().await;
    assert!((9..=40).contains(&most), "it tried {most}");
}

/// A handler that fails often, and refuses some.
async fn stumble(tick: Tick, attempt: Attempt, seen: State<Seen>) -> Result<(), Failure> {
    match (tick.number % 7, attempt.0) {
        (3, 1 | 2) => return Err(Failure::retry("stumbled")),
        (5, _) => return Err(Failure::reject("never")),
        _ => tokio::task::yield_now().await,
    }
    seen.add(&tick.key, tick.number);
    Ok(())
}

/// What it is called, and how it is switched on.
type Control = (&'static str, fn(&mut Options));

const CONTROLS: &[Control] = &[
    ("none", |_| {}),
    ("limit", |options| {
        options.set("limit.by", "tenantid").unwrap();
    }),
    ("throttle", |options| {
        options.set("throttle.calls", "50").unwrap();
        options.set("throttle.per", "10ms").unwrap();
    }),
    ("ratelimit", |options| {
        let (events, per, by) = (3, Duration::from_millis(20), Some(By::KEY));
        options.rate_limit = Some(RateLimit { events, per, by });
    }),
    ("debounce", |options| {
        options.set("debounce.quiet", "2ms").unwrap();
        options.set("debounce.most", "20ms").unwrap();
    }),
    ("singleton", |options| {
        options.set("singleton.then", "skip").unwrap();
    }),
    ("singleton-cancel", |options| {
        options.set("singleton.then", "cancel").unwrap();
    }),
    ("fair", |options| {
        options.set("fair.by", "tenantid").unwrap();
    }),
    ("shed", |options| {
        options.set("shed.wait", "1ms").unwrap();
    }),
    ("adaptive", |options| {
        options.set("adaptive.most", "9").unwrap();
    }),
    ("several", |options| {
        options.set("limit.by", "tenantid").unwrap();
        options.set("fair.by", "tenantid").unwrap();
        options.set("ratelimit.events", "400").unwrap();
        options.set("singleton.by", "subject").unwrap();
    }),
];

on_both_engines! {
    /// Every event is handled, skipped with a record, or dead; and what is handled is in the order
    /// of its key.
    async fn g3_order_holds_and_nothing_vanishes_under_every_control(place: Place) {
        for (name, switch) in CONTROLS {
            let seen = Seen::default();
            let handler = stumble.breaker(None).with(|options| {
                options.retry.first = Duration::from_millis(1);
                options.after_dead_letter = hence::core::AfterDeadLetter::Continue;
                switch(options);
            });
            let app = App::new("test").state(seen.clone()).subscribe(name, handler);
            let running = place.start(app).await;
            let mut rng = fastrand::Rng::with_seed(17);
            let mut all = BTreeMap::new();
            for number in 0..250_u64 {
                let (key, tenant) = (rng.u8(0..6).to_string(), rng.u8(0..3).to_string());
                all.insert(publish(&running, &key, number, &tenant).await, number);
            }
            let mut handled: Vec<u64> = Vec::new();
            for (position, number) in &all {
                running.engine().settled(*position).await.unwrap();
                let reports = running.engine().report(*position).await.unwrap();
                let report = reports.iter().find(|report| report.subscription == *name).unwrap();
                match (report.state, outcome(report)) {
                    (DeliveryState::Done, ("done", "")) => handled.push(*number),
                    (DeliveryState::Done, ("skipped", why)) => assert!(!why.is_empty()),
                    (DeliveryState::Dead, ("reject", _)) => {}
                    other => panic!("{name}: {number} ended as {other:?}"),
                }
            }
            let mut last: HashMap<String, u64> = HashMap::new();
            for (key, number) in seen.all() {
                let before = last.insert(key, number);
                assert!(before.is_none_or(|before| before < number), "{name}: {before:?}, {number}");
            }
            let calls = seen.numbers();
            assert!(handled.iter().all(|number| calls.contains(number)), "{name}");
            assert!(letters_of(&running, Some(name)).await.iter().all(|letter| all[&letter.position] % 7 == 5));
            running.drain().await;
        }
    }
}
