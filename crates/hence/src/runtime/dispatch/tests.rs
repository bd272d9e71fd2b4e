use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use futures_util::StreamExt;
use hence_core::commit::{Change, What};
use hence_core::engine::Deliveries;
use hence_core::flow::Throttle;
use hence_core::{
    BoxFuture, Code, Commit, Delivery, Durability, Engine, Position, Result, States,
    SubscriptionSpec,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Pump;
use super::pulling::Credit;
use crate::metrics::SubscriptionMetrics;
use crate::runtime::breaker::Breaker;
use crate::runtime::budget::Pace;
use crate::runtime::call::{Ended, Taken};
use crate::runtime::crash::{Suspects, Watch};
use crate::runtime::lanes::{BLOCKED_PER_KEY_MAX, Lanes};
use crate::runtime::settle::Verdict;
use crate::subscription::Subscription;
use crate::{App, Event};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "test.tick")]
struct Tick {}

/// Deliveries that cannot be read at first.
struct Flaky {
    inner: Box<dyn Deliveries>,
    failures: u32,
    code: Code,
}

impl Deliveries for Flaky {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Delivery>>> {
        if self.failures > 0 {
            self.failures -= 1;
            let error = self.code.error("the disk does not answer");
            return Box::pin(async move { Err(error) });
        }
        self.inner.next(max)
    }

    fn held(&self) -> BTreeMap<Position, Option<String>> {
        self.inner.held()
    }
}

struct Stand {
    engine: Arc<dyn Engine>,
    handled: Arc<AtomicU64>,
    metrics: Arc<SubscriptionMetrics>,
    pump: Pump,
    deliveries: Box<dyn Deliveries>,
}

/// A pump that has one event to handle.
async fn stand() -> Stand {
    stand_on(hence_engine_local::open("memory:").unwrap()).await
}

async fn stand_on(engine: Arc<dyn Engine>) -> Stand {
    let handled = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&handled);
    let handler = move |_: Tick| {
        let count = Arc::clone(&count);
        async move {
            count.fetch_add(1, SeqCst);
        }
    };
    let spec = SubscriptionSpec::new(
        "count",
        vec![Tick::TYPE.to_owned()],
        hence_core::Start::Latest,
    );
    let deliveries = engine.subscribe(spec).await.unwrap();
    let metrics = Arc::new(SubscriptionMetrics::default());
    let pump = Pump::new(
        Subscription::new("count", handler),
        Arc::clone(&engine),
        Arc::new(States::default()),
        Arc::clone(&metrics),
        "/test",
        &*deliveries,
        (tokio::sync::mpsc::channel(1).1, None, None),
    );
    let app = App::new("other")
        .start_on(Arc::clone(&engine))
        .await
        .unwrap();
    app.publish(Tick {}).await.unwrap();
    Stand {
        engine,
        handled,
        metrics,
        pump,
        deliveries,
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_read_is_read_again() {
    let stand = stand().await;
    let deliveries = Box::new(Flaky {
        inner: stand.deliveries,
        failures: 12,
        code: Code::CORRUPT,
    });
    let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
    let metrics = Arc::clone(&stand.metrics);
    let pump = tokio::spawn(stand.pump.run(deliveries, drain.clone(), stop));
    while metrics.trouble().is_none() {
        tokio::task::yield_now().await;
    }
    assert!(metrics.trouble().unwrap().contains("HN0206"));
    while metrics.done() == 0 {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(stand.handled.load(SeqCst), 1);
    assert_eq!(metrics.trouble(), None, "it is over");
    drain.cancel();
    pump.await.unwrap();
    drop(stand.engine);
}

#[tokio::test(start_paused = true)]
async fn a_pump_of_a_closed_engine_ends_and_says_so() {
    let stand = stand().await;
    let deliveries = Box::new(Flaky {
        inner: stand.deliveries,
        failures: 1,
        code: Code::CLOSED,
    });
    let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
    stand.pump.run(deliveries, drain, stop).await;
    assert!(stand.metrics.trouble().unwrap().contains("HN0203"));
}

#[tokio::test(start_paused = true)]
async fn what_a_closed_engine_does_not_take_is_not_tried_for_ever() {
    let mut stand = stand().await;
    let pulled = stand.deliveries.next(1).await.unwrap();
    stand.engine.close().await;
    let settle = hence_core::Settlement {
        subscription: "count".into(),
        position: pulled[0].position,
        attempt: 1,
        outcome: hence_core::Outcome::Done,
        ran: Duration::ZERO,
    };
    let commit = Commit {
        settle: vec![settle],
        durability: Durability::Accepted,
        ..Commit::default()
    };
    stand.pump.commit(pulled, commit, None);
    let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
    stand.pump.run(Box::new(Silent), drain, stop).await;
    assert!(stand.metrics.trouble().is_some());
    assert_eq!(stand.metrics.done(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_one_settlement_keeps_no_other_from_being_settled() {
    let mut stand = stand().await;
    let mut pulled = stand.deliveries.next(1).await.unwrap();
    pulled.push(Delivery {
        position: Position(1_000),
        ..pulled[0].clone()
    });
    let pump = &mut stand.pump;
    pump.running = pulled.len();
    for delivery in pulled {
        pump.settle(Ended {
            deliveries: vec![delivery],
            verdict: Verdict::Done,
            ran: Duration::ZERO,
            at: Instant::now(),
            taken: None,
            at_once: true,
        });
    }
    assert_eq!(stand.metrics.done(), 0, "nothing is committed yet");
    assert!(pump.flush(), "memory answers on the spot");
    assert_eq!(stand.metrics.done(), 1);
    assert_eq!(pump.committing, 0);
    assert!(stand.metrics.trouble().unwrap().contains("HN0211"));
    assert_eq!(stand.engine.subscriptions()[0].lag, 0);
}

#[tokio::test(start_paused = true)]
async fn what_waits_goes_on_after_a_brief_call_that_tried_and_ended_well() {
    let mut stand = stand().await;
    let pulled = stand.deliveries.next(1).await.unwrap();
    let pump = &mut stand.pump;
    for number in 0..3 {
        let position = Position(pulled[0].position.0 + number);
        let waits = pulled[0].clone();
        pump.lanes.push(Delivery { position, ..waits });
    }
    while !pump.brevity.is_usual() {
        pump.brevity.learn(true, Duration::ZERO);
    }
    let none = Position(u64::MAX);
    pump.breaker.probe(none);
    pump.breaker.unfit(none);
    assert!(pump.breaker.is_waiting());
    pump.start_calls();
    assert!(pump.breaker.is_closed());
    assert_eq!(stand.handled.load(SeqCst), 3, "no later event is needed");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_sent_again_is_tried_with_when_all_else_waits_behind_it() {
    let mut stand = stand().await;
    let pulled = stand.deliveries.next(1).await.unwrap();
    let pump = &mut stand.pump;
    let mut options = hence_core::Options::default();
    options.order = hence_core::Order::Fifo;
    let held = BTreeMap::from([(Position(0), None)]);
    pump.lanes = Lanes::new(&options, held, pump.clock, 1);
    for number in 1..=BLOCKED_PER_KEY_MAX as u64 {
        let position = Position(number);
        let waits = pulled[0].clone();
        pump.lanes.push(Delivery { position, ..waits });
    }
    let none = Position(u64::MAX);
    pump.breaker.probe(none);
    assert_eq!(pump.credit(), Credit::None, "one is tried with already");
    pump.breaker.unfit(none);
    assert_eq!(pump.credit(), Credit::Redriven);
}

/// A pump whose rate permits no call before a second has passed, and its only event waits.
async fn paced() -> Stand {
    let mut stand = stand().await;
    let pulled = stand.deliveries.next(1).await.unwrap();
    let per = Duration::from_secs(1);
    stand.pump.pace = Pace::new(Some(Throttle { calls: 1, per }), Instant::now());
    stand.pump.pace.begin();
    stand.pump.lanes.push(pulled[0].clone());
    stand
}

#[tokio::test(start_paused = true)]
async fn a_moment_of_the_rate_that_passes_between_two_looks_wakes_the_pump() {
    let mut stand = paced().await;
    stand.pump.start_calls();
    assert_eq!(stand.pump.running, 0, "the rate says no");
    tokio::time::advance(Duration::from_secs(2)).await;
    let wake = stand.pump.next_wake(Credit::None);
    assert!(wake.is_some_and(|wake| wake <= Instant::now()));
    stand.pump.start_calls();
    assert_eq!(stand.pump.running, 1);
    let wake = stand.pump.next_wake(Credit::None);
    assert!(
        wake.is_none_or(|wake| wake > Instant::now()),
        "once is enough"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rate_does_not_wake_a_pump_that_waits_for_something_else() {
    let mut stand = paced().await;
    let none = Position(u64::MAX);
    stand.pump.start_calls();
    stand.pump.breaker.probe(none);
    stand.pump.start_calls();
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(stand.pump.next_wake(Credit::None), None, "a call tries");
}

#[tokio::test(start_paused = true)]
async fn a_moment_of_reading_again_that_passes_between_two_looks_wakes_the_pump() {
    let mut stand = stand().await;
    let error = Err(Code::CORRUPT.error("the disk does not answer"));
    assert!(stand.pump.pulled(error, &mut *stand.deliveries));
    let credit = stand.pump.credit();
    assert!(matches!(credit, Credit::Later(_)), "{credit:?}");
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(stand.pump.next_wake(credit).is_some());
    assert!(stand.pump.credit().is_any());
}

/// Begins a pump that has nothing to do, and sees that it does not ask to be asked again.
async fn resting<P>(pump: P) -> tokio::task::JoinHandle<P::Output>
where
    P: Future<Output: Send> + Send + 'static,
{
    let turns = Arc::new(AtomicU64::new(0));
    let (counted, mut pump) = (Arc::clone(&turns), Box::pin(pump));
    let pump = tokio::spawn(std::future::poll_fn(move |context| {
        counted.fetch_add(1, SeqCst);
        pump.as_mut().poll(context)
    }));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(turns.load(SeqCst), 1, "it asked to be asked again");
    pump
}

#[tokio::test(start_paused = true)]
async fn a_draining_pump_with_an_open_breaker_rests_while_a_call_runs() {
    let mut stand = stand().await;
    let mut breaker = Breaker::new(Some(hence_core::Breaker::default()));
    let pulled = stand.deliveries.next(1).await.unwrap();
    breaker.probe(pulled[0].position);
    breaker.failed(&pulled, Instant::now());
    assert!(breaker.wake().is_some(), "it is open");
    stand.pump.breaker = breaker;
    // A call that does not end.
    stand.pump.running = 1;
    let call = std::future::pending::<Ended>();
    stand.pump.spawn(call, pulled, Taken::alone());
    let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
    drain.cancel();
    tokio::time::advance(Duration::from_secs(60)).await;
    let pump = resting(stand.pump.run(stand.deliveries, drain, stop.clone())).await;
    stop.cancel();
    pump.await.unwrap();
}

#[tokio::test]
async fn a_call_that_panics_outside_its_handler_has_failed() {
    let mut stand = stand().await;
    let pulled = stand.deliveries.next(1).await.unwrap();
    stand.pump.running = 1;
    let call = async { panic!("on purpose") };
    stand.pump.spawn(call, pulled, Taken::alone());
    let ended = stand.pump.calls.join_next().await.unwrap();
    stand
        .pump
        .settle(ended.expect("a task that panicked is nobody's attempt"));
    commit_all(&mut stand.pump).await;
    assert_eq!((stand.pump.running, stand.metrics.retried()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_paused_pump_rests_whatever_else_is_due() {
    let mut stand = stand().await;
    let now = Instant::now();
    let mut breaker = Breaker::new(Some(hence_core::Breaker::default()));
    let pulled = stand.deliveries.next(1).await.unwrap();
    breaker.probe(pulled[0].position);
    breaker.failed(&pulled, now);
    stand.pump.breaker = breaker;
    stand.pump.lanes.push(pulled[0].clone());
    (stand.pump.paced, stand.pump.batch_due) = (Some(now), Some(now));
    stand.pump.halted = Some(crate::pause::Paused {
        since: hence_core::Timestamp::now(),
        by: "a test".to_owned(),
        reason: String::new(),
    });
    tokio::time::advance(Duration::from_secs(60)).await;
    let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
    let pump = resting(stand.pump.run(stand.deliveries, drain.clone(), stop)).await;
    drain.cancel();
    pump.await.unwrap();
    assert_eq!(stand.handled.load(SeqCst), 0);
}

#[tokio::test]
async fn what_was_to_be_tried_with_and_is_paused_lets_another_try() {
    let dir = tempfile::tempdir().unwrap();
    let (mut stand, watch, delivery) = accused(&dir).await;
    stand.pump.lanes.push(delivery.clone());
    stand.pump.start_calls();
    step(&mut stand.pump).await;
    stand.pump.breaker.probe(delivery.position);
    stand.pump.halted = Some(crate::pause::Paused {
        since: hence_core::Timestamp::now(),
        by: "a test".to_owned(),
        reason: String::new(),
    });
    step(&mut stand.pump).await;
    assert_eq!((stand.handled.load(SeqCst), stand.pump.running), (0, 0));
    assert!(watch.is_free() && stand.pump.lanes.has_next());
    assert!(stand.pump.breaker.is_waiting());
}

/// A batch of three is with its handler, which cannot decode the last of them.
async fn undecodable(stop: impl FnOnce(&mut Pump)) -> Stand {
    let mut stand = stand().await;
    let pulled = stand.deliveries.next(1).await.unwrap();
    let pump = &mut stand.pump;
    for number in 0..3 {
        let position = Position(pulled[0].position.0 + number);
        let one = pulled[0].clone();
        pump.lanes.push(Delivery { position, ..one });
    }
    let deliveries: Vec<_> = std::iter::from_fn(|| pump.lanes.pop()).collect();
    pump.running = deliveries.len();
    stop(pump);
    let verdict = Verdict::Undecodable {
        position: deliveries[2].position,
        error: "bad".to_owned(),
    };
    pump.settle(Ended {
        deliveries,
        verdict,
        ran: Duration::ZERO,
        at: Instant::now(),
        taken: None,
        at_once: true,
    });
    stand
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_bad_event_of_its_batch_is_called_unless_nothing_begins() {
    let mut stand = undecodable(|pump| {
        let per = Duration::from_secs(1);
        pump.pace = Pace::new(Some(Throttle { calls: 1, per }), Instant::now());
    })
    .await;
    assert_eq!((stand.pump.running, stand.pump.calls.len()), (2, 1));
    assert!(stand.pump.pace.wake().is_some(), "it counts as a call");
    let stops: [fn(&mut Pump); 3] = [
        |pump| {
            pump.halted = Some(crate::pause::Paused {
                since: hence_core::Timestamp::now(),
                by: "a test".to_owned(),
                reason: String::new(),
            });
        },
        |pump| pump.breaker.probe(Position(u64::MAX)),
        Pump::begin_no_more,
    ];
    for stop in stops {
        stand = undecodable(stop).await;
        assert_eq!((stand.pump.running, stand.pump.calls.len()), (0, 0));
        let back = std::iter::from_fn(|| stand.pump.lanes.pop());
        assert_eq!(back.count(), 3);
    }
}

/// A pump whose one event was there when the process began, and was seen at a crash.
async fn accused(dir: &tempfile::TempDir) -> (Stand, Watch, Delivery) {
    let engine = hence_engine_local::open(&format!("log:{}", dir.path().display())).unwrap();
    let mut stand = stand_on(engine).await;
    let pulled = stand.deliveries.next(1).await.unwrap().remove(0);
    let commit = Commit {
        change: vec![Change {
            subscription: "count".into(),
            key: mark_of(&pulled),
            what: What::Write("1".into()),
        }],
        durability: Durability::Written,
        ..Commit::default()
    };
    stand.engine.commit(commit).await.unwrap();
    let watch = Watch::of(&stand.engine).unwrap();
    let name = "count".into();
    stand.pump.suspects = Suspects::new(Some(watch.clone()), &name, Some(3));
    (stand, watch, pulled)
}

fn mark_of(delivery: &Delivery) -> String {
    format!("\u{1}began.{}", delivery.position)
}

async fn mark(stand: &Stand, delivery: &Delivery) -> Option<String> {
    let value = stand.engine.keyed("count", &mark_of(delivery)).await;
    let value = value.unwrap()?;
    Some(String::from_utf8(value.to_vec()).unwrap())
}

/// Lets a delivery come one step further on its way to the handler.
async fn step(pump: &mut Pump) {
    let tried = pump.trials.next().await.unwrap();
    pump.tried(tried);
}

async fn commit_all(pump: &mut Pump) {
    pump.flush();
    while let Some(answered) = pump.commits.next().await {
        pump.answered(answered);
    }
}

#[tokio::test]
async fn what_waited_for_its_turn_does_not_begin_in_a_storm() {
    let dir = tempfile::tempdir().unwrap();
    let (mut stand, watch, delivery) = accused(&dir).await;
    stand.pump.lanes.push(delivery.clone());
    stand.pump.start_calls();
    step(&mut stand.pump).await;
    let (none, now) = (Position(u64::MAX), Instant::now());
    stand.pump.breaker.probe(none);
    let other = Delivery {
        position: none,
        ..delivery.clone()
    };
    stand.pump.breaker.failed(&[other], now);
    step(&mut stand.pump).await;
    assert_eq!((stand.handled.load(SeqCst), stand.pump.running), (0, 0));
    assert!(watch.is_free() && stand.pump.lanes.has_next());
    // The engine takes commits in their order: once this one is in, that of the mark is.
    let behind = Commit {
        change: vec![Change {
            subscription: "count".into(),
            key: "behind".to_owned(),
            what: What::Write("1".into()),
        }],
        durability: Durability::Written,
        ..Commit::default()
    };
    stand.engine.commit(behind).await.unwrap();
    assert_eq!(mark(&stand, &delivery).await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_settlement_that_is_refused_for_good_gives_the_turn_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut stand, watch, delivery) = accused(&dir).await;
    stand.pump.lanes.push(delivery);
    stand.pump.start_calls();
    step(&mut stand.pump).await;
    step(&mut stand.pump).await;
    assert!(!watch.is_free());
    // The engine knows no such subscription.
    stand.pump.settler.subscription = "nobody".into();
    while let Some(ended) = stand.pump.calls.join_next().await {
        stand.pump.settle(ended.unwrap());
    }
    commit_all(&mut stand.pump).await;
    assert!(stand.metrics.trouble().is_some());
    assert!(watch.is_free());
}

#[tokio::test]
async fn what_expires_while_it_was_to_be_tried_with_lets_another_try() {
    let mut stand = stand().await;
    let pulled = stand.deliveries.next(1).await.unwrap();
    stand.pump.breaker.probe(pulled[0].position);
    stand.pump.running = 1;
    let verdict = Verdict::Expired(hence_core::Timestamp::now());
    stand.pump.settle_without(pulled, verdict);
    assert!(stand.pump.breaker.is_waiting());
}

#[tokio::test]
async fn what_is_settled_without_a_look_leaves_no_mark() {
    let dir = tempfile::tempdir().unwrap();
    let (mut stand, _, delivery) = accused(&dir).await;
    stand.pump.running = 1;
    (stand.pump).settle_without(vec![delivery.clone()], Verdict::Shed);
    commit_all(&mut stand.pump).await;
    assert_eq!(mark(&stand, &delivery).await, None);
}

/// Deliveries of which there are none.
struct Silent;

impl Deliveries for Silent {
    fn next(&mut self, _: usize) -> BoxFuture<'_, Result<Vec<Delivery>>> {
        Box::pin(std::future::pending())
    }

    fn held(&self) -> BTreeMap<Position, Option<String>> {
        BTreeMap::new()
    }
}
