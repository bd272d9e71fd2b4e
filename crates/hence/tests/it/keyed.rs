//! `Keyed<T>` and `Timer<E>` through the runtime.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use hence::core::commit::{Change, Durability, What};
use hence::core::engine::{Capability, Feature};
use hence::core::{
    BoxFuture, Commit, DeadLetter, DeadLetterQuery, Deliveries, Engine as _, Entry, Position, Read,
    Reader, RejectReason, SubscriptionSpec,
};
use hence::{App, Batch, Event, Failure, HandlerExt, Keyed, Order, Running, State, Timer};
use serde::{Deserialize, Serialize};

use crate::kit::{Seen, Tick, Tock, follow, on_both_engines, tick};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Total {
    sum: u64,
    count: u64,
}

async fn value(running: &Running, subscription: &str, key: &str) -> Option<Total> {
    let value = running.bus().engine().keyed(subscription, key).await;
    value
        .unwrap()
        .map(|value| serde_json::from_slice(&value).unwrap())
}

/// Adds up, and fails once for each number that ends with 3.
async fn add(
    tick: Tick,
    mut total: Keyed<Total>,
    failed: State<AtomicU32>,
    seen: State<Seen>,
) -> Result<(), Failure> {
    assert_eq!(Keyed::key(&total), tick.key);
    total.sum += tick.number;
    total.count += 1;
    if tick.number % 10 == 3 && failed.fetch_add(1, SeqCst).is_multiple_of(2) {
        return Err(Failure::retry_after(Duration::ZERO, "once"));
    }
    seen.add(&tick.key, total.sum);
    Ok(())
}

fn adding(seen: &Seen) -> App {
    App::new("test")
        .state(seen.clone())
        .state(AtomicU32::new(0))
        .subscribe("add", add)
}

on_both_engines! {
    async fn g7_a_value_counts_each_event_once(place: Place) {
        let seen = Seen::default();
        let running = place.start(adding(&seen)).await;
        let keys = ["a", "b", "c"];
        let mut wanted: HashMap<_, Total> = HashMap::new();
        for number in 0..90 {
            let key = keys[usize::try_from(number).unwrap() % keys.len()];
            let total = wanted.entry(key).or_default();
            total.sum += number;
            total.count += 1;
            running.publish(tick(key, number)).await.unwrap();
        }
        seen.reach(90).await;
        running.drain().await;
        for key in keys {
            let sums = seen.all().into_iter().filter(|(of, _)| of == key).map(|(_, sum)| sum);
            let sums: Vec<_> = sums.collect();
            assert!(sums.is_sorted(), "{key}: {sums:?}");
            assert_eq!(sums.last().copied(), Some(wanted[key].sum));
        }
    }

    async fn a_value_that_is_removed_begins_anew(place: Place) {
        async fn until_ten(tick: Tick, mut total: Keyed<Total>, seen: State<Seen>) {
            total.sum += tick.number;
            seen.add(&tick.key, total.sum);
            if total.sum >= 10 {
                Keyed::remove(&mut total);
            }
        }
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone()).subscribe("until-ten", until_ten);
        let running = place.start(app).await;
        for number in [4, 6, 1] {
            running.publish(tick("k", number)).until_handled().await.unwrap();
            let kept = value(&running, "until-ten", "k").await;
            assert_eq!(kept.is_some(), number != 6, "after {number}");
        }
        assert_eq!(seen.numbers(), [4, 10, 1]);
    }

    /// It is said what is missing, and nothing is lost.
    async fn an_event_without_a_key_becomes_a_dead_letter(place: Place) {
        #[derive(Event, Serialize, Deserialize)]
        #[event(type = "test.keyless")]
        struct Keyless;
        async fn keep(_: Keyless, _total: Keyed<Total>) {}
        async fn wait(_: Keyless, _timer: Timer<Tock>) {}
        let app = App::new("test").subscribe("keep", keep).subscribe("wait", wait);
        let running = place.start(app).await;
        running.publish(Keyless).until_handled().await.unwrap();
        let letters: Vec<DeadLetter> = running.bus().engine().dead_letters(&DeadLetterQuery::default()).await.unwrap();
        assert_eq!(letters.len(), 2);
        for letter in letters {
            assert_eq!(letter.reason, RejectReason::Rejected);
            assert!(letter.error.starts_with("HN0404"), "{}", letter.error);
            assert!(letter.error.contains("has no key"), "{}", letter.error);
        }
        running.publish(Keyless).key("k").until_handled().await.unwrap();
        assert_eq!(running.bus().engine().dead_letters(&DeadLetterQuery::default()).await.unwrap().len(), 2);
    }

    /// A value of another form is refused and kept as it is.
    async fn a_value_that_does_not_decode_becomes_a_dead_letter(place: Place) {
        async fn number(_: Tick, mut number: Keyed<Vec<u8>>, names: State<Seen>) {
            number.push(1);
            names.add("number", 1);
        }
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone()).subscribe("same", number);
        let running = place.start(app).await;
        let engine = running.bus().engine();
        let written = Change {
            subscription: "same".into(),
            key: "k".to_owned(),
            what: What::Write("\"!\"".into()),
        };
        let commit = Commit {
            change: vec![written],
            durability: engine.capability().strongest(),
            ..Commit::default()
        };
        engine.commit(commit).await.unwrap();
        running.publish(tick("k", 2)).until_handled().await.unwrap();
        let letters = engine.dead_letters(&DeadLetterQuery::default()).await.unwrap();
        assert!(letters[0].error.contains("HN0404"), "{}", letters[0].error);
        assert_eq!(engine.keyed("same", "k").await.unwrap().unwrap(), "\"!\"");
        assert!(seen.all().is_empty());
    }

    /// What a handler still holds when it returns cannot be stored, and that is said.
    async fn a_value_that_outlives_its_handler_is_refused(place: Place) {
        async fn leak(_: Tick, total: Keyed<Total>, kept: State<std::sync::Mutex<Vec<Keyed<Total>>>>) {
            kept.lock().unwrap().push(total);
        }
        let app = App::new("test")
            .state(std::sync::Mutex::new(Vec::<Keyed<Total>>::new()))
            .subscribe("leak", leak);
        let running = place.start(app).await;
        running.publish(tick("k", 1)).until_handled().await.unwrap();
        let letters = running.bus().engine().dead_letters(&DeadLetterQuery::default()).await.unwrap();
        assert!(letters[0].error.contains("outlived its handler"), "{}", letters[0].error);
    }

    /// A timer that sets itself again is no loop that runs away, and has no limit.
    async fn a_timer_may_set_itself_again(place: Place) {
        async fn beat(tick: Tick, next: Timer<Tick>, seen: State<Seen>) -> Result<(), Failure> {
            seen.add(&tick.key, tick.number);
            if tick.number < 80 {
                next.after(Duration::ZERO, Tick { number: tick.number + 1, ..tick })?;
            }
            Ok(())
        }
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone()).subscribe("beat", beat);
        assert_eq!(app.topology().subscriptions[0].emits, ["test.tick"]);
        let running = place.start(app).await;
        running.publish(tick("k", 0)).await.unwrap();
        seen.reach(81).await;
        assert_eq!(seen.numbers(), (0..=80).collect::<Vec<_>>());
    }

    async fn g10_a_timer_publishes_unless_it_is_cancelled(place: Place) {
        async fn begin(tick: Tick, later: Timer<Tock>) -> Result<(), Failure> {
            let tock = |number| Tock { key: tick.key.clone(), number };
            let moment = Duration::from_millis(30);
            match tick.number {
                0 => later.after(Duration::from_secs(3600), tock(0))?,
                1 => later.after(moment, tock(1))?,
                2 => later.cancel(),
                3 => later.named("another").after(moment, tock(3))?,
                _ => return Err(Failure::reject("so it sets nothing")),
            }
            Ok(())
        }
        async fn see(tock: Tock, seen: State<Seen>) {
            seen.add(&tock.key, tock.number);
        }
        let seen = Seen::default();
        let app = App::new("test")
            .state(seen.clone())
            .subscribe("begin", begin)
            .subscribe("see", see);
        assert_eq!(app.topology().subscriptions[0].emits, ["test.tock"]);
        let running = place.start(app).await;
        let mut all = follow(&running).await;
        for number in [0, 2, 0, 1, 3] {
            // The second 0 is replaced by 1.
            running.publish(tick("k", number)).until_handled().await.unwrap();
        }
        running.publish(tick("l", 4)).until_handled().await.unwrap();
        seen.reach(2).await;
        let mut numbers = seen.numbers();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 3]);
        let mut fired = Vec::new();
        let mut causes = HashMap::new();
        while fired.len() < 2 {
            for entry in all.next(10).await.unwrap() {
                let attributes = entry.message.attributes();
                causes.insert(attributes.id().to_owned(), attributes.event_type().to_owned());
                if attributes.event_type() == "test.tock" {
                    fired.push(entry.message);
                }
            }
        }
        for message in fired {
            let attributes = message.attributes();
            assert_eq!(attributes.key(), Some("k"));
            assert_eq!(causes[attributes.causation_id().unwrap()], "test.tick");
        }
    }
}

/// Values are there again after a restart, and go on from where they were.
#[tokio::test]
async fn g7_values_survive_a_restart_of_the_application() {
    let place = crate::kit::log();
    let mut wanted = Total::default();
    for round in 0..3 {
        let seen = Seen::default();
        let running = place.start(adding(&seen)).await;
        for number in 0..5 {
            wanted.sum += number + round;
            wanted.count += 1;
            let publish = running.publish(tick("k", number + round));
            publish.until_handled().await.unwrap();
        }
        assert_eq!(value(&running, "add", "k").await, Some(wanted.clone()));
        running.drain().await;
    }
}

#[test]
fn state_that_cannot_be_kept_in_order_is_refused_at_once() {
    async fn one(_: Tick, _: Keyed<Total>) {}
    async fn two(_: Tick, _: Keyed<Total>, _: Keyed<String>) {}
    async fn many(_: Batch<Tick>, _: Keyed<Total>) {}
    async fn timed(_: Tick, _: Timer<Tock>) {}
    let app = App::new("test")
        .subscribe("any", one.order(Order::Any))
        .subscribe("two", two)
        .subscribe("many", many)
        .subscribe("timed", timed.order(Order::Lifo))
        .subscribe("fine", one.order(Order::Fifo));
    let text = app.check().unwrap_err().to_string();
    for part in [
        "'any' takes Keyed<",
        "must be per-key or fifo, not any",
        "'two' takes Keyed of",
        "'many' takes Keyed<",
        "a batch, whose events have different keys",
        "'timed' takes a Timer, so its order must be per-key or fifo, not lifo",
    ] {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
    assert!(!text.contains("'fine'"), "{text}");
}

/// An engine that has nothing beyond what every engine must have.
struct Plain(Arc<dyn hence::core::Engine>, Capability);

impl Plain {
    fn new() -> Self {
        let engine = hence_engine_local::memory(&hence_engine_local::Options::default());
        let levels = vec![Durability::Accepted];
        Self(engine, Capability::new("plain", levels, 1 << 20, 1_000))
    }
}

impl hence::core::Engine for Plain {
    fn capability(&self) -> &Capability {
        &self.1
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, hence::Result<Vec<hence::Receipt>>> {
        self.0.commit(commit)
    }

    fn try_commit(
        &self,
        commit: Commit,
    ) -> Result<hence::core::engine::Committing, hence::core::engine::TryCommitError> {
        self.0.try_commit(commit)
    }

    fn subscribe(
        &self,
        spec: SubscriptionSpec,
    ) -> BoxFuture<'_, hence::Result<Box<dyn Deliveries>>> {
        self.0.subscribe(spec)
    }

    fn read(&self, read: Read) -> BoxFuture<'_, hence::Result<Box<dyn Reader>>> {
        self.0.read(read)
    }

    fn get(&self, position: Position) -> BoxFuture<'_, hence::Result<Entry>> {
        self.0.get(position)
    }

    fn find<'a>(
        &'a self,
        source: Option<&'a str>,
        id: &'a str,
    ) -> BoxFuture<'a, hence::Result<Vec<Position>>> {
        self.0.find(source, id)
    }

    fn report(
        &self,
        position: Position,
    ) -> BoxFuture<'_, hence::Result<Vec<hence::core::engine::DeliveryReport>>> {
        self.0.report(position)
    }

    fn settled(&self, position: Position) -> BoxFuture<'_, hence::Result<()>> {
        self.0.settled(position)
    }

    fn subscriptions(&self) -> Vec<hence::core::engine::SubscriptionReport> {
        self.0.subscriptions()
    }

    fn dead_letters<'a>(
        &'a self,
        wanted: &'a DeadLetterQuery,
    ) -> BoxFuture<'a, hence::Result<Vec<DeadLetter>>> {
        self.0.dead_letters(wanted)
    }

    fn dead_letter<'a>(
        &'a self,
        id: &'a str,
    ) -> BoxFuture<'a, hence::Result<(DeadLetter, hence::core::Message)>> {
        self.0.dead_letter(id)
    }

    fn health(&self) -> hence::Result<hence::core::engine::EngineReport> {
        self.0.health()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.close()
    }
}

#[tokio::test]
async fn an_engine_without_the_feature_is_refused() {
    async fn keep(_: Tick, _: Keyed<Total>) {}
    async fn wait(_: Tick, _: Timer<Tock>) {}
    for (app, feature) in [
        (App::new("test").subscribe("keep", keep), Feature::Keyed),
        (App::new("test").subscribe("wait", wait), Feature::Timers),
    ] {
        let error = app.start_on(Arc::new(Plain::new())).await.unwrap_err();
        assert_eq!(error.code().as_str(), "HN0221");
        assert!(error.to_string().contains(feature.as_str()), "{error}");
    }
    async fn plain(_: Tick) {}
    let app = App::new("test").subscribe("plain", plain);
    let running = app.start_on(Arc::new(Plain::new())).await.unwrap();
    let error = running.pauser().pause("plain", "me", "").await.unwrap_err();
    assert_eq!(error.code().as_str(), "HN0221", "a pause is a value");
    assert_eq!(running.pauser().paused("plain"), None);
    running.drain().await;
    let error = Plain::new().keyed("keep", "k").await.unwrap_err();
    assert_eq!(error.code().as_str(), "HN0221");
}
