//! Sources: what ends one, and what starts it again.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use hence::core::{BoxFuture, EventType};
use hence::source::Source;
use hence::{App, Bus, Result};

use crate::kit::{Seen, Tick, memory, tick};

/// Brings one event a run; the first runs panic.
struct Brings {
    panics: u64,
    runs: AtomicU64,
}

impl Source for Brings {
    fn name(&self) -> &str {
        "brings"
    }

    fn types(&self, types: &mut Vec<EventType>) {
        types.push(EventType::of::<Tick>());
    }

    fn run(&self, bus: Bus) -> BoxFuture<'_, Result<()>> {
        let run = self.runs.fetch_add(1, SeqCst);
        assert!(run >= self.panics, "run {run}");
        Box::pin(async move { bus.publish(tick("a", run)).await.map(drop) })
    }
}

async fn saw(tick: Tick, seen: hence::State<Seen>) {
    seen.add(&tick.key, tick.number);
}

async fn runs(panics: u64) -> Vec<u64> {
    let seen = Seen::default();
    let source = Brings {
        panics,
        runs: AtomicU64::new(0),
    };
    let app = App::new("test")
        .state(seen.clone())
        .subscribe("saw", saw)
        .source(source);
    let running = memory().start(app).await;
    seen.reach(1).await;
    // Time is paused: a minute passes when nobody has anything to do.
    tokio::time::sleep(Duration::from_secs(60)).await;
    running.drain().await;
    seen.numbers()
}

#[tokio::test(start_paused = true)]
async fn a_source_that_returns_is_finished() {
    assert_eq!(runs(0).await, [0]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_is_started_again() {
    let all = tokio::time::timeout(Duration::from_secs(600), runs(2));
    assert_eq!(all.await.expect("it never came back"), [2]);
}
