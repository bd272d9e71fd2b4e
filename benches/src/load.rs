//! What the benchmarks publish, and who counts what was handled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hence::{Event, State};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// An event whose data is 256 bytes of JSON.
#[derive(Clone, Event, Serialize, Deserialize)]
#[event(type = "bench.load")]
pub(crate) struct Load {
    text: String,
}

impl Load {
    /// 256 bytes, once encoded.
    pub(crate) fn new() -> Self {
        Self {
            text: "x".repeat(256 - r#"{"text":""}"#.len()),
        }
    }
}

/// Counts what was handled and tells when all of it was.
#[derive(Clone)]
pub(crate) struct Counter(Arc<(AtomicUsize, usize, Notify)>);

impl Counter {
    /// Waits for so many.
    pub(crate) fn new(expected: usize) -> Self {
        Self(Arc::new((AtomicUsize::new(0), expected, Notify::new())))
    }

    /// One more.
    pub(crate) fn add(&self) {
        if self.0.0.fetch_add(1, Relaxed) + 1 == self.0.1 {
            self.0.2.notify_one();
        }
    }

    /// Waits until all were counted.
    pub(crate) async fn all(&self) {
        self.0.2.notified().await;
    }
}

/// The handler under test: it only counts.
pub(crate) async fn count(_: Load, counter: State<Counter>) {
    counter.add();
}
