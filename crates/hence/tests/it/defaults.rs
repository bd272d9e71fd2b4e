//! The table of safe defaults: each row has a test of its name, here or beside its kin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use hence::core::engine::DeliveryState;
use hence::core::notice::{SubscriptionPaused, SubscriptionResumed, SubscriptionTripped};
use hence::core::{Attributes, Breaker, Message, Position, Read, RejectReason};
use hence::{App, Attempt, Batch, Event, Failure, HandlerExt, Publisher, Running, Start, State};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::kit::{
    Place, Seen, Tick, Tock, follow, letters, letters_of, on_both_engines, on_both_engines_paused,
    tick, types,
};

/// Longer than anything that a test waits for.
const DAY: Duration = Duration::from_secs(86_400);
const TRIPPED: &str = "hence.subscription.tripped";
const PAUSED: &str = "hence.subscription.paused";
const RESUMED: &str = "hence.subscription.resumed";

#[derive(Clone)]
struct World {
    seen: Seen,
    broken: Arc<AtomicBool>,
    begin: Instant,
}

impl World {
    fn new() -> Self {
        Self {
            seen: Seen::default(),
            broken: Arc::new(AtomicBool::new(true)),
            begin: Instant::now(),
        }
    }

    /// Notes a call under its time in milliseconds.
    fn note(&self, key: &str) {
        let millis = self.begin.elapsed().as_millis();
        self.seen.add(key, u64::try_from(millis).unwrap());
    }
}

async fn fragile(tick: Tick, world: State<World>) -> Result<(), &'static str> {
    world.note(&tick.key);
    if world.broken.load(SeqCst) {
        return Err("the bank is away");
    }
    Ok(())
}

async fn second_time(tick: Tick, attempt: Attempt, world: State<World>) -> Result<(), String> {
    if attempt.0 == 1 {
        return Err("not yet".to_owned());
    }
    world.note(&tick.key);
    Ok(())
}

async fn refuse_one(tick: Tick, world: State<World>) -> Result<(), Failure> {
    if tick.number == 0 && world.broken.load(SeqCst) {
        return Err(Failure::reject("never"));
    }
    world.seen.add(&tick.key, tick.number);
    Ok(())
}

async fn there(tick: Tick, world: State<World>) -> Tock {
    let Tick { key, number } = tick;
    world.seen.add(&key, number);
    Tock { key, number }
}

async fn back(tock: Tock) -> Tick {
    let Tock { key, number } = tock;
    Tick { key, number }
}

async fn all_at_once(ticks: Batch<Tick>, world: State<World>) {
    world.seen.add("batch", ticks.len() as u64);
}

async fn watch(tripped: SubscriptionTripped, world: State<World>) {
    world.seen.add(&tripped.subscription, 0);
}

async fn speaks_of_us(_: Tick, publisher: Publisher<SubscriptionTripped>) -> Result<(), Failure> {
    let (subscription, error) = ("other".to_owned(), String::new());
    publisher.publish(SubscriptionTripped {
        subscription,
        error,
    })?;
    Ok(())
}

#[derive(Default)]
struct Crowd {
    inside: AtomicUsize,
    most: AtomicUsize,
}

async fn crowd(
    tick: Tick,
    crowd: State<Arc<Crowd>>,
    gate: State<Arc<Semaphore>>,
    world: State<World>,
) {
    let inside = crowd.inside.fetch_add(1, SeqCst) + 1;
    crowd.most.fetch_max(inside, SeqCst);
    world.seen.add(&tick.key, tick.number);
    drop(gate.acquire().await.unwrap());
    crowd.inside.fetch_sub(1, SeqCst);
}

fn app(world: &World) -> App {
    App::new("test").state(world.clone())
}

/// The breaker as it is by default, as fast as the place is.
fn storm(place: &Place) -> Option<Breaker> {
    let probe = place.seconds(30);
    Some(Breaker {
        probe,
        ..Breaker::default()
    })
}

/// Ticks of so many keys.
fn ticks(count: u64) -> impl Iterator<Item = Tick> {
    (0..count).map(|number| tick(&format!("k{number}"), number))
}

/// Reads on until an event of this type.
async fn until(running: &Running, event_type: &str) {
    told(running, event_type).await;
}

/// What an event says, once it is there.
async fn told(running: &Running, event_type: &str) -> Message {
    let mut reader = follow(running).await;
    loop {
        for entry in reader.next(1).await.unwrap() {
            if entry.message.attributes().event_type() == event_type {
                return entry.message;
            }
        }
    }
}

on_both_engines_paused! {
    async fn a_storm_of_failures_stops_the_subscription(place: Place) {
        let world = World::new();
        let handler = fragile.concurrency(1).with(|options| {
            (options.retry.first, options.retry.max) = (DAY, DAY);
            options.breaker = storm(&place);
        });
        let app = app(&world).subscribe("fragile", handler).subscribe("watch", watch);
        let running = place.start(app).await;
        running.publish_all(ticks(20)).await.unwrap();
        until(&running, TRIPPED).await;
        // The word of the watch is the thirteenth.
        world.seen.reach(13).await;
        world.broken.store(false, SeqCst);
        until(&running, RESUMED).await;
        // How many were tried with before it was whole again is a matter of time.
        let told = ("fragile".to_owned(), 0);
        let ended = || running.metrics()["fragile"].done() + running.metrics()["fragile"].retried();
        while ended() < 20 || !world.seen.all().contains(&told) {
            tokio::task::yield_now().await;
        }
        let calls: Vec<_> = world.seen.all().into_iter().filter(|(key, _)| key != "fragile").collect();
        let first: std::collections::BTreeSet<_> = calls[..10].iter().map(|(key, _)| key).collect();
        assert_eq!(first.len(), 10, "ten keys failed");
        let probe = u64::try_from(place.seconds(30).as_millis()).unwrap();
        let wait = |n: usize| calls[n].1 - calls[n - 1].1;
        assert!(wait(10) >= probe && wait(11) >= probe, "{calls:?}");
        assert!(letters_of(&running, None).await.is_empty());
    }

    async fn half_of_the_last_hundred_is_a_storm_too(place: Place) {
        let world = World::new();
        let handler = (async |tick: Tick, world: State<World>| {
            world.note(&tick.key);
            // Two of three fail, never three in a row.
            if tick.number.is_multiple_of(3) { Ok(()) } else { Err("often") }
        }).concurrency(1).with(|options| {
            (options.retry.first, options.retry.max) = (DAY, DAY);
            options.breaker = storm(&place);
        });
        let running = place.start(app(&world).subscribe("often", handler)).await;
        running.publish_all(ticks(120)).await.unwrap();
        until(&running, TRIPPED).await;
        let (times, keys): (Vec<_>, std::collections::BTreeSet<_>) =
            world.seen.all().into_iter().map(|(key, time)| (time, key)).unzip();
        let probe = u64::try_from(place.seconds(30).as_millis()).unwrap();
        assert!(keys.len() >= 100, "it was seen from a hundred on");
        assert!(times.windows(2).skip(100).all(|pair| pair[1] - pair[0] >= probe), "{times:?}");
    }

    async fn a_failing_key_alone_is_no_storm(place: Place) {
        let world = World::new();
        let handler = fragile.concurrency(1).with(|options| {
            options.retry.attempts = 1;
            options.after_dead_letter = hence::core::AfterDeadLetter::Continue;
        });
        let running = place.start(app(&world).subscribe("fragile", handler)).await;
        running.publish_all((0..30).map(|number| tick("a", number))).await.unwrap();
        world.seen.reach(30).await;
    }

    async fn retries_beyond_the_budget_wait_longer(place: Place) {
        let world = World::new();
        let handler = second_time.breaker(None::<Breaker>).with(|options| {
            options.retry.first = Duration::from_millis(1);
        });
        let running = place.start(app(&world).subscribe("second", handler)).await;
        let count = if place.seconds(1) > Duration::from_millis(1) { 300 } else { 130 };
        running.publish_all(ticks(count)).await.unwrap();
        world.seen.reach(usize::try_from(count).unwrap()).await;
        let last = world.seen.numbers().into_iter().max().unwrap();
        // The budget of ten seconds at once, then about ten a second.
        assert!(last >= (count - 100) * 90, "{count} retries within {last} ms");
        assert!(letters_of(&running, None).await.is_empty());
    }

    async fn a_batch_is_what_came_in_time(place: Place) {
        let world = World::new();
        let running = place.start(app(&world).subscribe("batch", all_at_once)).await;
        running.publish_all(ticks(250)).await.unwrap();
        while world.seen.numbers().iter().sum::<u64>() < 250 {
            world.seen.reach(world.seen.all().len() + 1).await;
        }
        assert!(world.seen.numbers().iter().all(|size| *size <= 100));
    }
}

on_both_engines! {
    async fn too_much_behind_failures_pauses_the_subscription(place: Place) {
        let world = World::new();
        let running = place.start(app(&world).subscribe("refuse", refuse_one)).await;
        for half in [0..750, 750..1_500] {
            let ticks = half.map(|number| tick("a", number));
            running.publish_all(ticks).await.unwrap();
        }
        let paused: SubscriptionPaused = told(&running, PAUSED).await.decode().unwrap();
        assert_eq!(paused.kind, "paused");
        world.broken.store(false, SeqCst);
        running.redrive(vec!["refuse.1".to_owned()]).await.unwrap();
        let resumed: SubscriptionResumed = told(&running, RESUMED).await.decode().unwrap();
        assert_eq!((&*resumed.was, &*resumed.by), ("paused", ""));
        world.seen.reach(1_500).await;
        assert!(world.seen.numbers().is_sorted(), "in the order of the key");
    }

    async fn an_expired_event_is_skipped(place: Place) {
        let world = World::new();
        world.broken.store(false, SeqCst);
        let running = place.start(app(&world).subscribe("fragile", fragile)).await;
        let late = running.publish(tick("a", 1)).attribute("expirytime", "2020-01-01T00:00:00Z");
        let handled = late.until_handled().await.unwrap();
        let report = &handled.results[0];
        assert_eq!(report.state, DeliveryState::Done);
        assert_eq!(report.attempts[0].outcome, "expired");
        assert!(report.attempts[0].error.contains("2020-01-01"), "{report:?}");
        running.publish(tick("a", 2)).until_handled().await.unwrap();
        let metrics = &running.metrics()["fragile"];
        while metrics.done() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!((metrics.expired(), metrics.done(), world.seen.all().len()), (1, 1, 1));
    }

    async fn a_cycle_of_events_ends_with_a_dead_letter(place: Place) {
        let world = World::new();
        let app = app(&world).subscribe("there", there).subscribe("back", back).allow_cycles();
        let running = place.start(app).await;
        running.publish(tick("a", 1)).await.unwrap();
        let letter = letters(&running, 1).await.remove(0);
        let (_, message) = running.dead_letter(&letter.id).await.unwrap();
        assert_eq!((letter.reason, message.attributes().causation_depth()), (RejectReason::Cycle, 65));
        assert_eq!(letter.position.0, 66);
        // Hence says so in the same commit, and nothing more follows from it.
        let mut reader = follow(&running).await;
        assert_eq!(types(&mut *reader, 67).await[66], "hence.cycle.stopped");
        let (at, all) = (Position(67), Read { from: Start::Position(Position(67)), ..Read::default() });
        let told = &running.read(all).await.unwrap().next(2).await.unwrap();
        let [told] = &**told else { panic!("{told:?}") };
        let attributes = told.message.attributes();
        assert_eq!((told.position, attributes.key(), attributes.causation_depth()), (at, Some("back"), 0));
        let text = String::from_utf8_lossy(told.message.data().unwrap()).into_owned();
        assert!(text.contains(&letter.id) && text.contains("65 events"), "{text}");
    }

    async fn so_many_are_handled_at_a_time(place: Place) {
        let (world, most) = (World::new(), Arc::new(Crowd::default()));
        let gate = Arc::new(Semaphore::new(0));
        let app = app(&world).state(most.clone()).state(gate.clone()).subscribe("crowd", crowd);
        let running = place.start(app).await;
        running.publish_all(ticks(80)).await.unwrap();
        world.seen.reach(32).await;
        gate.add_permits(1);
        world.seen.reach(80).await;
        assert_eq!(most.most.load(SeqCst), 32);
    }

    async fn the_same_event_again_is_a_duplicate(place: Place) {
        let running = place.start(App::new("test")).await;
        let message = |data: &'static str| {
            let attributes = Attributes::new("1", "/s", "test.tick").unwrap();
            vec![Message::new(attributes, Some(data.into()))]
        };
        let level = running.durability();
        let first = running.commit(message("{}"), level).await.unwrap();
        let again = running.commit(message("{}"), level).await.unwrap();
        assert_eq!((first[0].duplicate, again[0].duplicate), (false, true));
        assert_eq!(first[0].position, again[0].position);
        let error = running.commit(message("[]"), level).await.unwrap_err();
        assert_eq!(error.code().as_str(), "HN0209");
    }

    async fn a_reserved_type_is_refused(place: Place) {
        let app = App::new("test").subscribe("speaks", speaks_of_us.retry(1));
        let running = place.start(app).await;
        let (subscription, error) = ("other".to_owned(), String::new());
        let event = SubscriptionTripped { subscription, error };
        let refused = running.publish(event.clone()).await.unwrap_err();
        assert!(refused.to_string().contains(SubscriptionTripped::TYPE), "{refused}");
        assert!(running.try_publish(event).is_err());
        running.publish(tick("a", 1)).until_handled().await.unwrap();
        let letters = letters_of(&running, None).await;
        assert!(letters[0].error.contains("only Hence publishes"), "{}", letters[0].error);
    }
}

#[test]
fn each_row_has_a_test_of_its_name() {
    let tests = [
        include_str!("control.rs"),
        include_str!("crash.rs"),
        include_str!("defaults.rs"),
        include_str!("failure.rs"),
        include_str!("flow.rs"),
        include_str!("order.rs"),
        include_str!("publish.rs"),
    ];
    for row in hence::defaults::defaults() {
        let name = format!("async fn {}(", row.name);
        assert!(
            tests.iter().any(|text| text.contains(&name)),
            "no test {}",
            row.name
        );
    }
}

/// `HENCE_BLESS=1` writes the page.
#[test]
fn the_page_says_what_the_code_does() {
    let page =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/defaults.md");
    let text = hence::defaults::markdown();
    if std::env::var_os("HENCE_BLESS").is_some() {
        std::fs::write(&page, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(page).unwrap(), text);
}
