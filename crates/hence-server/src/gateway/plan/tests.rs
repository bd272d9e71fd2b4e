//! What the planner is told of the orders application while it runs, in time that jumps to the next
//! timer.

use std::sync::Arc;
use std::time::Duration;

use hence::core::{BoxFuture, Engine, Timestamp};
use hence::measure::Measured;
use hence_engine_local::{Clock, Options};
use hence_orders::event::{Item, OrderPlaced};
use hence_planner::arrivals::Arrivals;
use hence_planner::lint::{Finding, lint};
use tokio::time::Instant;

use crate::planning::{self, All};

/// The time by which the timers of the test run.
struct TimerClock(Instant, Timestamp);

impl Clock for TimerClock {
    fn now(&self) -> Timestamp {
        self.1.after(self.0.elapsed())
    }

    fn reached(&self, due: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(due.since(self.now())))
    }
}

fn engine() -> Arc<dyn Engine> {
    let mut options = Options::default();
    options.clock = Arc::new(TimerClock(Instant::now(), Timestamp::now()));
    hence_engine_local::memory(&options)
}

fn order(number: u64) -> OrderPlaced {
    OrderPlaced {
        order_id: format!("o-{number}"),
        amount: 9.0,
        items: vec![Item {
            sku: "tea".to_owned(),
            qty: 1,
        }],
    }
}

/// One more reaction, which takes its time: the others take none where time only jumps.
async fn pack(_: OrderPlaced) {
    tokio::time::sleep(Duration::from_millis(4)).await;
}

#[tokio::test(start_paused = true)]
async fn orders_that_come_with_the_clock_are_seen_as_timers() {
    let app = hence_orders::app().subscribe("pack", pack);
    let app = app.start_on(engine()).await.unwrap();
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    for second in 0..40 {
        beat.tick().await;
        for number in 0..50 {
            app.publish(order(50 * second + number)).await.unwrap();
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let metrics = app.metrics().iter();
    let measured: All = metrics
        .map(|(name, metrics)| (name.clone(), metrics.measured()))
        .collect();
    let fitted = planning::fit(app.topology(), &measured);
    let source = fitted.model.sources.first().unwrap();
    let Arrivals::Timer {
        period,
        count: 50,
        aligned: true,
    } = source.arrivals
    else {
        panic!("{:?}, {:?}", source.arrivals, fitted.unknown);
    };
    assert!((period - 1.0).abs() < 0.01, "{period}");
    let found = lint(&fitted.model).unwrap();
    let found = found.iter().find_map(|finding| match finding {
        Finding::AlignedTimers {
            station,
            count: 50,
            wait,
            ..
        } => Some((station.as_str(), *wait)),
        _ => None,
    });
    let (station, wait) = found.unwrap();
    assert!(station == "pack" && wait > 0.0, "{station} {wait}");
    app.drain().await;
}

/// What a subscription measures whose handlers get in one another's way: the most is done by 20.
fn crowded(options: &hence::core::Options) -> Measured {
    // X(N) = N / (1 + σ(N-1) + κN(N-1)), with √((1-σ)/κ) = 20.
    let (sigma, kappa) = (0.04, 0.0024);
    let beside = (1..=32).map(|n| {
        let n = f64::from(n);
        let each = 0.01 * (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0));
        (100, 100.0 * each)
    });
    Measured {
        beside: beside.collect(),
        options: Some(options.clone()),
        ..Measured::default()
    }
}

#[tokio::test]
async fn the_knee_bounds_those_who_seek_their_number_of_calls() {
    let app = hence_orders::app().subscribe("pack", pack);
    let app = app.start_on(engine()).await.unwrap();
    let mut options = hence::core::Options::default();
    options.adaptive = Some(hence::core::flow::Adaptive::default());
    let mut measured: All = [("pack".to_owned(), crowded(&options))].into();
    super::bound(app.metrics(), &measured);
    let bounded = |name: &str| app.metrics()[name].bounded();
    assert!(
        bounded("pack").is_some_and(|knee| (19..=21).contains(&knee)),
        "{:?}",
        bounded("pack")
    );
    assert_eq!(bounded("charge-card"), None);
    // Nothing of it is seen any more: it may try again.
    measured.insert(
        "pack".to_owned(),
        Measured {
            options: Some(options),
            ..Measured::default()
        },
    );
    super::bound(app.metrics(), &measured);
    assert_eq!(bounded("pack"), None);
    // Who does not seek keeps its number.
    measured.insert("pack".to_owned(), crowded(&hence::core::Options::default()));
    super::bound(app.metrics(), &measured);
    assert_eq!(bounded("pack"), None);
    app.drain().await;
}
