//! Sources, layers, drain.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use hence::core::{Call, DeadLetterQuery, Effects, Unhandled};
use hence::source::{Every, Poisson};
use hence::subscription::HandlerService;
use hence::{App, HandlerExt, State};
use tokio::sync::Notify;
use tower::{Layer, Service};

use crate::kit::{Seen, Tick, on_both_engines, tick};

async fn see(tick: Tick, seen: State<Seen>) {
    seen.add(&tick.key, tick.number);
}

/// Counts the calls that pass.
#[derive(Clone, Default)]
struct Count(Arc<AtomicU64>);

#[derive(Clone)]
struct Counting(Count, HandlerService);

impl Layer<HandlerService> for Count {
    type Service = Counting;

    fn layer(&self, inner: HandlerService) -> Counting {
        Counting(self.clone(), inner)
    }
}

impl Service<Call> for Counting {
    type Response = Effects;
    type Error = Unhandled;
    type Future = <HandlerService as Service<Call>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unhandled>> {
        self.1.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        self.0.0.fetch_add(1, SeqCst);
        self.1.call(call)
    }
}

struct Gate {
    entered: Notify,
    open: Notify,
}

async fn wait_at(_: Tick, gate: State<Arc<Gate>>, seen: State<Seen>) {
    gate.entered.notify_one();
    gate.open.notified().await;
    seen.add("gate", 1);
}

on_both_engines! {
    async fn a_layer_wraps_every_call(place: Place) {
        let (seen, count) = (Seen::default(), Count::default());
        let app = App::new("test").state(seen.clone()).subscribe("see", see).layer(count.clone());
        let running = place.start(app).await;
        for number in 0..7 {
            running.publish(tick("a", number)).until_handled().await.unwrap();
        }
        assert_eq!((count.0.load(SeqCst), seen.all().len()), (7, 7));
    }

    async fn layers_of_tower_with_errors_of_their_own(place: Place) {
        let seen = Seen::default();
        let hangs = async |_: Tick| std::future::pending::<()>().await;
        let refuses = async |_: Tick| Err::<(), _>(hence::Failure::reject("never"));
        let layers = tower::ServiceBuilder::new()
            .buffer(64)
            .rate_limit(1_000, Duration::from_secs(1))
            .concurrency_limit(8)
            .timeout(Duration::from_millis(200));
        let app = App::new("test")
            .state(seen.clone())
            .subscribe("see", see)
            .subscribe("hangs", hangs.retry(1))
            .subscribe("refuses", refuses)
            .layer(layers);
        let running = place.start(app).await;
        running.publish(tick("a", 1)).until_handled().await.unwrap();
        assert_eq!(seen.numbers(), [1]);
        let mut letters = running.engine().dead_letters(&DeadLetterQuery::default()).await.unwrap();
        letters.sort_by(|a, b| a.subscription.cmp(&b.subscription));
        let found: Vec<_> = letters
            .iter()
            .map(|l| (l.subscription.as_str(), l.reason.as_str(), l.error.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("hangs", "retries-exhausted", "request timed out"),
                ("refuses", "rejected", "never"),
            ]
        );
    }

    async fn sources_bring_events_under_their_own_name(place: Place) {
        let seen = Seen::default();
        let app = App::new("test")
            .state(seen.clone())
            .subscribe("see", see)
            .source(Every::new(Duration::from_millis(5), "clock", || tick("every", 1)))
            .source(Poisson::new(500.0, "crowd", || tick("poisson", 1)));
        assert_eq!(app.topology().sources.len(), 2);
        let running = place.start(app).await;
        let has = |key: &str| seen.all().iter().any(|(seen, _)| seen == key);
        while !(has("every") && has("poisson")) {
            seen.reach(seen.all().len() + 1).await;
        }
        let first = running.engine().get(hence::core::Position(1)).await.unwrap();
        assert!(first.message.attributes().source().starts_with("/test/c"));
    }

    async fn a_drain_lets_handlers_finish(place: Place) {
        let seen = Seen::default();
        let gate = Arc::new(Gate { entered: Notify::new(), open: Notify::new() });
        let app = App::new("test").state(seen.clone()).state(gate.clone()).subscribe("gate", wait_at);
        let running = place.start(app).await;
        running.publish(tick("a", 1)).await.unwrap();
        gate.entered.notified().await;
        let drained = tokio::spawn(running.drain());
        tokio::task::yield_now().await;
        gate.open.notify_one();
        assert_eq!(drained.await.unwrap().abandoned, 0);
        assert_eq!(seen.all().len(), 1);
    }

    async fn a_drain_of_an_idle_app_ends_at_once(place: Place) {
        let running = place.start(App::new("test").state(Seen::default()).subscribe("see", see)).await;
        // The pumps have not run yet when they are told to stop.
        let drained = tokio::time::timeout(Duration::from_secs(5), running.drain()).await;
        assert_eq!(drained.expect("nothing is left to wait for").abandoned, 0);
    }
}
