//! Events that end the process: each life of the application is a process of its own.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use hence::core::commit::{Change, What};
use hence::core::{
    Breaker, Commit, DeadLetterQuery, Durability, Order, Position, Read, RejectReason,
    SubscriptionSpec,
};
use hence::explain::{Behind, Place, Turn};
use hence::{App, Batch, Event, HandlerExt as _, Running, Start, State};
use serde::{Deserialize, Serialize};
use tokio::sync::{Barrier, Notify, Semaphore};

use crate::kit::{Tick, Tock, follow, holds, limited, tick};

/// The directory of the log, for the process that is one life of the application.
const DIR: &str = "HENCE_TEST_CRASH_DIR";
/// Which life that is, from 1.
const LIFE: &str = "HENCE_TEST_CRASH_LIFE";
const QUARANTINED: &str = "hence.event.quarantined";
const TRIPPED: &str = "hence.subscription.tripped";
const RESUMED: &str = "hence.subscription.resumed";
/// Longer than any test.
const DAY: Duration = Duration::from_secs(86_400);
/// Lives that no test may need.
const LIVES_MAX: u32 = 10;

/// What the handlers of one life know.
struct Life {
    number: u32,
    innocent: Notify,
}

/// The number of the event that ends every process that handles it.
const POISON: u64 = 13;

async fn work(job: Tick, life: State<Arc<Life>>) -> Tock {
    let Tick { key, number } = job;
    match (life.number, &*key) {
        (1, "beside") => {
            life.innocent.notify_one();
            // It is with a handler when the process ends.
            std::future::pending().await
        }
        (1, _) if number == POISON => {
            life.innocent.notified().await;
            std::process::abort();
        }
        _ if number == POISON => std::process::abort(),
        _ => Tock { key, number },
    }
}

async fn mended(job: Tick) -> Tock {
    let Tick { key, number } = job;
    Tock { key, number }
}

fn app(number: u32) -> App {
    let innocent = Notify::new();
    App::new("shop").state(Arc::new(Life { number, innocent }))
}

fn url(dir: &Path) -> String {
    format!("log:{}", dir.display())
}

/// The life that this process is to be, unless it is the test itself.
fn life() -> Option<(PathBuf, u32)> {
    let number = env::var(LIFE).ok()?.parse().ok()?;
    Some((env::var_os(DIR)?.into(), number))
}

/// Lives the application of a test once more, in a process of its own.
fn live(test: &str, dir: &Path, number: u32) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    command.env(DIR, dir).env(LIFE, number.to_string());
    command.output().unwrap()
}

/// How many lives ended with a crash before one ended well.
fn crashes(test: &str, dir: &Path) -> u32 {
    for number in 1..LIVES_MAX {
        let output = live(test, dir, number);
        if output.status.success() {
            return number - 1;
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), None, "it was no crash: {said}");
    }
    panic!("it crashes for ever");
}

/// Publishes events that wait for the first life.
async fn publish(dir: &Path, events: impl IntoIterator<Item = Tick>) {
    let running = App::new("shop").start(&url(dir)).await.unwrap();
    running.publish_all(events).await.unwrap();
    running.drain().await;
}

/// Everything that was published of one type, oldest first.
async fn all<E: Event + for<'a> Deserialize<'a>>(running: &Running) -> Vec<E> {
    let from = Start::Earliest;
    let read = Read {
        from,
        ..Read::default()
    };
    let mut reader = running.read(read).await.unwrap();
    let mut found = Vec::new();
    loop {
        let some = reader.next(100).await.unwrap();
        if some.is_empty() {
            return found;
        }
        let own = some
            .iter()
            .filter(|e| e.message.attributes().event_type() == E::TYPE);
        found.extend(own.map(|e| serde_json::from_slice(e.message.data().unwrap()).unwrap()));
    }
}

/// Follows until so many events of each of these types have come.
async fn until(running: &Running, wanted: &[(&str, usize)]) {
    let mut wanted: BTreeMap<String, usize> = wanted
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect();
    let mut reader = follow(running).await;
    limited("what was published", async {
        while wanted.values().any(|count| *count > 0) {
            for entry in reader.next(100).await.unwrap() {
                if let Some(count) = wanted.get_mut(entry.message.attributes().event_type()) {
                    *count = count.saturating_sub(1);
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_that_ends_the_process_is_quarantined() {
    let test = "crash::an_event_that_ends_the_process_is_quarantined";
    if let Some((dir, number)) = life() {
        let work = work.from(Start::Earliest);
        let running = app(number)
            .subscribe("work", work)
            .start(&url(&dir))
            .await
            .unwrap();
        until(&running, &[(QUARANTINED, 1), (Tock::TYPE, 4)]).await;
        running.drain().await;
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let others = ["beside", "b", "c", "d"].map(|key| tick(key, 1));
    let poisoned = [tick("a", POISON), tick("a", POISON + 1)];
    publish(dir.path(), others.into_iter().chain(poisoned)).await;
    assert_eq!(crashes(test, dir.path()), 3);

    let running = App::new("shop")
        .subscribe("work", mended)
        .start(&url(dir.path()))
        .await
        .unwrap();
    let letters = running
        .dead_letters(&DeadLetterQuery::default())
        .await
        .unwrap();
    let [letter] = &*letters else {
        panic!("{letters:?}")
    };
    assert_eq!(
        (letter.reason, letter.key.as_deref()),
        (RejectReason::Quarantined, Some("a"))
    );
    assert!(
        letter.hold && letter.error.ends_with("in a row while a handler had it: 3"),
        "{letter:?}"
    );
    let told: Vec<Told> = all(&running).await;
    let told: Vec<_> = told
        .iter()
        .map(|told| (&*told.subscription, &*told.letter))
        .collect();
    assert_eq!(told, [("work", &*letter.id)]);
    let mut done: Vec<Tock> = all(&running).await;
    done.sort_by(|one, other| one.key.cmp(&other.key));
    let keys: Vec<_> = done.iter().map(|done| &*done.key).collect();
    assert_eq!(
        keys,
        ["b", "beside", "c", "d"],
        "each once, and none behind the poison"
    );

    running.redrive(vec![letter.id.clone()]).await.unwrap();
    until(&running, &[(Tock::TYPE, 6)]).await;
    let done: Vec<Tock> = all(&running).await;
    let last: Vec<_> = done[4..]
        .iter()
        .map(|done| (&*done.key, done.number))
        .collect();
    assert_eq!(last, [("a", POISON), ("a", POISON + 1)]);
    running.drain().await;
}

#[derive(Deserialize, Serialize)]
struct Told {
    subscription: String,
    letter: String,
}

impl Event for Told {
    const TYPE: &'static str = QUARANTINED;
}

async fn heap(jobs: Batch<Tick>) -> Vec<Tock> {
    let tocks = jobs.iter().map(|job| {
        let Tick { key, number } = job.clone();
        if number == POISON {
            std::process::abort();
        }
        Tock { key, number }
    });
    tocks.collect()
}

#[tokio::test]
async fn of_a_batch_that_ends_the_process_only_one_event_is_quarantined() {
    let test = "crash::of_a_batch_that_ends_the_process_only_one_event_is_quarantined";
    if let Some((dir, number)) = life() {
        let heap = heap.from(Start::Earliest);
        let running = app(number)
            .subscribe("heap", heap)
            .start(&url(&dir))
            .await
            .unwrap();
        until(&running, &[(QUARANTINED, 1), (Tock::TYPE, 6)]).await;
        running.drain().await;
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let numbers = (1..=3).chain([POISON]).chain(21..=23);
    publish(
        dir.path(),
        numbers.map(|number| tick(&format!("k{number}"), number)),
    )
    .await;
    assert_eq!(crashes(test, dir.path()), 3);
}

/// Handles one event that ends the process, in a subscription with this number of crashes.
async fn live_with(crashes: Option<u32>, (dir, number): (PathBuf, u32)) {
    let work = work.from(Start::Earliest).crashes(crashes);
    let app = app(number).subscribe("work", work);
    let running = app.start(&url(&dir)).await.unwrap();
    until(&running, &[(QUARANTINED, 1)]).await;
    running.drain().await;
}

#[tokio::test]
async fn a_subscription_may_have_its_own_number_of_crashes() {
    let test = "crash::a_subscription_may_have_its_own_number_of_crashes";
    if let Some(life) = life() {
        return live_with(Some(1), life).await;
    }
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), [tick("beside", 1), tick("a", POISON)]).await;
    assert_eq!(crashes(test, dir.path()), 1);
}

#[tokio::test]
async fn where_crashes_are_not_counted_nothing_is_quarantined() {
    let test = "crash::where_crashes_are_not_counted_nothing_is_quarantined";
    if let Some(life) = life() {
        return live_with(None, life).await;
    }
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), [tick("beside", 1), tick("a", POISON)]).await;
    for number in 1..=5 {
        assert_eq!(live(test, dir.path(), number).status.code(), None);
    }
    assert_eq!(marks(dir.path()).await, 0);
    let running = App::new("shop")
        .subscribe("work", mended)
        .start(&url(dir.path()))
        .await
        .unwrap();
    until(&running, &[(Tock::TYPE, 2)]).await;
    running.drain().await;
}

/// How many marks of the first positions are stored.
async fn marks(dir: &Path) -> usize {
    let running = App::new("shop").start(&url(dir)).await.unwrap();
    let mut found = 0;
    for position in 1..100 {
        let key = format!("\u{1}began.{position}");
        let value = running.engine().keyed("work", &key).await.unwrap();
        found += usize::from(value.is_some());
    }
    running.drain().await;
    found
}

#[tokio::test]
async fn after_a_restart_no_more_calls_run_than_may() {
    for order in [Order::PerKey, Order::Lifo] {
        let dir = tempfile::tempdir().unwrap();
        let old = (0..8).map(|number| tick(&format!("k{number}"), number));
        publish(dir.path(), old).await;
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (running_now, top) = (Arc::clone(&now), Arc::clone(&most));
        let handler = move |job: Tick| {
            let (now, most) = (Arc::clone(&running_now), Arc::clone(&top));
            async move {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                // Whoever else was to begin has begun by then.
                for _ in 0..1_000 {
                    tokio::task::yield_now().await;
                }
                now.fetch_sub(1, SeqCst);
                let Tick { key, number } = job;
                Tock { key, number }
            }
        };
        let handler = handler.from(Start::Earliest).concurrency(1).order(order);
        let app = App::new("shop").subscribe("work", handler);
        let running = app.start(&url(dir.path())).await.unwrap();
        until(&running, &[(Tock::TYPE, 8)]).await;
        running.drain().await;
        assert_eq!(most.load(SeqCst), 1, "{order:?}");
    }
}

/// A job that does not decode as one.
#[derive(Deserialize, Serialize)]
struct Torn {
    key: String,
}

impl Event for Torn {
    const TYPE: &'static str = Tick::TYPE;

    fn key(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some(self.key.as_str().into())
    }
}

#[tokio::test]
async fn what_does_not_decode_accuses_nothing_of_its_batch() {
    let dir = tempfile::tempdir().unwrap();
    let some = |numbers: std::ops::Range<u64>| numbers.map(|n| tick(&format!("k{n}"), n));
    publish(dir.path(), some(0..2)).await;
    let running = App::new("shop").start(&url(dir.path())).await.unwrap();
    let key = "torn".to_owned();
    running.publish(Torn { key }).await.unwrap();
    running.drain().await;
    publish(dir.path(), some(2..5)).await;
    let sizes = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&sizes);
    let handler = move |jobs: Batch<Tick>| {
        told.lock().unwrap().push(jobs.len());
        async {}
    };
    let handler = handler.from(Start::Earliest);
    let app = App::new("shop").subscribe("work", handler);
    let running = app.start(&url(dir.path())).await.unwrap();
    holds("all five", || running.metrics()["work"].done() >= 5).await;
    running.drain().await;
    assert_eq!(*sizes.lock().unwrap(), [2, 3]);
    assert_eq!(marks(dir.path()).await, 0);
}

#[tokio::test]
async fn a_call_that_is_given_up_is_no_crash() {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), [tick("a", 1)]).await;
    for _ in 0..5 {
        let began = Arc::new(Notify::new());
        let told = Arc::clone(&began);
        let hangs = move |_: Tick| {
            told.notify_one();
            std::future::pending::<()>()
        };
        let app = App::new("shop").subscribe("work", hangs.from(Start::Earliest));
        let running = app.start(&url(dir.path())).await.unwrap();
        began.notified().await;
        let drained = running.drain_within(Duration::ZERO).await;
        assert_eq!(drained.abandoned, 1);
    }
    let running = App::new("shop")
        .subscribe("work", mended)
        .start(&url(dir.path()))
        .await
        .unwrap();
    until(&running, &[(Tock::TYPE, 1)]).await;
    assert!(
        running
            .dead_letters(&DeadLetterQuery::default())
            .await
            .unwrap()
            .is_empty()
    );
    running.drain().await;
}

/// Notes that the events at these positions were seen at a crash, with a handler of "work".
async fn accuse(dir: &Path, positions: &[u64]) {
    let running = App::new("shop").start(&url(dir)).await.unwrap();
    let spec = SubscriptionSpec::new("work", vec![Tick::TYPE.to_owned()], Start::Earliest);
    let deliveries = running.engine().subscribe(spec).await.unwrap();
    let change = positions.iter().map(|position| Change {
        subscription: "work".into(),
        key: format!("\u{1}began.{position}"),
        what: What::Write("1".into()),
    });
    let commit = Commit {
        change: change.collect(),
        durability: Durability::Written,
        ..Commit::default()
    };
    running.engine().commit(commit).await.unwrap();
    drop(deliveries);
    running.drain().await;
}

/// Where the delivery of "work" at a position is.
async fn place(running: &Running, position: u64) -> Option<Place> {
    let explained = running.explainer().explain(Position(position)).await;
    let verdict = explained.unwrap().verdicts.remove(0);
    Some(verdict.standing?.place)
}

#[tokio::test]
async fn what_is_to_be_handled_alone_says_for_whom_it_waits() {
    let dir = tempfile::tempdir().unwrap();
    let twice = [tick("a", 1), tick("b", 1), tick("a", 2), tick("b", 2)];
    publish(dir.path(), twice).await;
    accuse(dir.path(), &[1, 2]).await;
    let gate = Arc::new(Semaphore::new(0));
    let shut = Arc::clone(&gate);
    let handler = move |_: Tick| {
        let shut = Arc::clone(&shut);
        async move { shut.acquire().await.unwrap().forget() }
    };
    let app = App::new("shop").subscribe("work", handler.from(Start::Earliest));
    let running = app.start(&url(dir.path())).await.unwrap();
    // Which of the two comes first does not matter.
    let has_none =
        |place: &Option<Place>| matches!(place, Some(Place::Alone { turn: Some(_), .. }));
    let mut waits = 0;
    limited("one of the two", async {
        while waits == 0 {
            let (one, two) = (place(&running, 1).await, place(&running, 2).await);
            let found = [one, two].iter().position(has_none);
            match found.filter(|_| running.metrics()["work"].running() == 1) {
                Some(found) => waits = found as u64 + 1,
                None => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    let turn = Turn {
        subscription: "work".to_owned(),
        position: Position(3 - waits),
    };
    let alone = Place::Alone {
        crashes: 1,
        turn: Some(turn),
    };
    assert_eq!(place(&running, waits).await, Some(alone));
    let behind = |behind| Place::Waits {
        ahead: Some(0),
        behind: Some(behind),
    };
    let next = behind(Behind::Alone(Position(waits)));
    assert_eq!(place(&running, waits + 2).await, Some(next));
    let other = behind(Behind::Running);
    assert_eq!(place(&running, 5 - waits).await, Some(other));
    gate.add_permits(4);
    holds("all four", || running.metrics()["work"].done() >= 4).await;
    running.drain().await;
    assert_eq!(marks(dir.path()).await, 0);
}

async fn fragile(_: Tick, broken: State<Arc<Broken>>) -> Result<(), &'static str> {
    broken.calls.fetch_add(1, SeqCst);
    broken.together.wait().await;
    if broken.is {
        Err("it is broken")
    } else {
        Ok(())
    }
}

struct Broken {
    is: bool,
    calls: AtomicUsize,
    /// No call ends before so many have begun.
    together: Barrier,
}

#[tokio::test]
async fn what_a_storm_has_stopped_begins_with_one_event_in_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let life = async |is: bool, together| {
        let broken = Arc::new(Broken {
            is,
            calls: AtomicUsize::new(0),
            together: Barrier::new(together),
        });
        let handler = fragile.from(Start::Earliest).with(|options| {
            (options.retry.first, options.retry.max) = (DAY, DAY);
            options.breaker = Some(Breaker {
                failures: 2,
                probe: DAY,
                ..Breaker::default()
            });
        });
        let app = App::new("shop")
            .state(Arc::clone(&broken))
            .subscribe("fragile", handler);
        (app.start(&url(dir.path())).await.unwrap(), broken)
    };
    let retried = async |running: &Running, count| {
        let is_so = || running.metrics()["fragile"].retried() >= count;
        holds("the retries", is_so).await;
    };
    let more =
        |key: &'static str| (0..4).map(move |number| tick(&format!("{key}{number}"), number));
    publish(dir.path(), more("a")).await;
    let (running, broken) = life(true, 4).await;
    retried(&running, 4).await;
    until(&running, &[(TRIPPED, 1)]).await;
    assert_eq!(broken.calls.load(SeqCst), 4, "all of them at a time");
    running.drain().await;

    publish(dir.path(), more("b")).await;
    let (running, broken) = life(true, 1).await;
    retried(&running, 1).await;
    running.drain().await;
    assert_eq!(
        broken.calls.load(SeqCst),
        1,
        "one that tries, and then none for a day"
    );

    let (running, broken) = life(false, 1).await;
    until(&running, &[(RESUMED, 1)]).await;
    holds("three calls", || broken.calls.load(SeqCst) >= 3).await;
    running.drain().await;

    publish(dir.path(), more("c")).await;
    let (running, broken) = life(true, 4).await;
    until(&running, &[(TRIPPED, 2)]).await;
    running.drain().await;
    assert_eq!(
        broken.calls.load(SeqCst),
        4,
        "it goes on at once where it had gone on"
    );
}
