//! What the planner is told of the orders application while it runs, in time that jumps to the next
//! timer.

use std::sync::Arc;
use std::time::Duration;

use hence::core::{BoxFuture, Engine, Timestamp};
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
