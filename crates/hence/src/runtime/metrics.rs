//! What the runtime counts, for each subscription.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::measure::{Measured, Meter};

/// Upper bounds of the buckets in which durations are counted, in seconds; the last is open.
pub const BOUNDS: [f64; 15] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];

/// How often durations fell into each bucket of [`BOUNDS`], and their sum.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_micros: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        let (index, micros) = place(duration);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_micros.fetch_add(micros, Relaxed);
    }

    /// Counts one duration, where one task alone counts and any may read.
    pub(crate) fn count(&self, duration: Duration) {
        let (index, micros) = place(duration);
        if let Some(bucket) = self.buckets.get(index) {
            add(bucket, 1);
        }
        add(&self.sum_micros, micros);
    }

    /// The count of each bucket; the last is for what is beyond every bound.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        self.buckets
            .iter()
            .map(|bucket| bucket.load(Relaxed))
            .collect()
    }

    /// The sum of all durations, in seconds.
    #[must_use]
    pub fn sum(&self) -> f64 {
        Duration::from_micros(self.sum_micros.load(Relaxed)).as_secs_f64()
    }
}

/// [`BOUNDS`] in nanoseconds, because it is asked for each event.
#[expect(clippy::indexing_slicing, reason = "it would not compile")]
const NANOS: [u64; BOUNDS.len()] = {
    let mut nanos = [0; BOUNDS.len()];
    let mut index = 0;
    while index < BOUNDS.len() {
        nanos[index] = (BOUNDS[index] * 1e9).round() as u64;
        index += 1;
    }
    nanos
};

/// The bucket of a duration, and its microseconds.
fn place(duration: Duration) -> (usize, u64) {
    let nanos = duration.as_secs() * 1_000_000_000 + u64::from(duration.subsec_nanos());
    let index = NANOS.iter().take_while(|bound| **bound < nanos).count();
    (index, nanos / 1_000)
}

/// Counts one more, where one task alone counts and any may read.
pub(crate) fn count(number: &AtomicU64) {
    add(number, 1);
}

fn add(number: &AtomicU64, more: u64) {
    number.store(number.load(Relaxed).wrapping_add(more), Relaxed);
}

/// What was counted of one subscription since the process began.
#[derive(Debug, Default)]
pub struct SubscriptionMetrics {
    pub(crate) done: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) shed: AtomicU64,
    pub(crate) running: AtomicU64,
    pub(crate) meter: Meter,
    pub(crate) trouble: Trouble,
    /// From the append of an event to the beginning of its attempt.
    pub wait: Histogram,
    /// How long handlers ran.
    pub duration: Histogram,
}

impl SubscriptionMetrics {
    /// Deliveries that were handled.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Attempts that failed and are tried again.
    pub fn retried(&self) -> u64 {
        self.retried.load(Relaxed)
    }

    /// Deliveries that became dead letters.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Relaxed)
    }

    /// Deliveries whose time was over before a handler had them.
    pub fn expired(&self) -> u64 {
        self.expired.load(Relaxed)
    }

    /// Deliveries that were settled without a handler having done with them, by choice of the
    /// subscription: debounced, beyond a rate, or beside another of their group.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Relaxed)
    }

    /// How often a delivery was put off because there was too much.
    pub fn shed(&self) -> u64 {
        self.shed.load(Relaxed)
    }

    /// Deliveries that are with a handler now.
    pub fn running(&self) -> u64 {
        self.running.load(Relaxed)
    }

    /// Measures for planning, which it does from the start, or stops; counters and histograms go on
    /// in any case.
    pub fn measure(&self, on: bool) {
        self.meter.measure(on);
    }

    /// Why it stands still, in words; `None` while it does not.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.get()
    }

    /// What was measured of it in the last minutes, for planning.
    pub fn measured(&self) -> Measured {
        self.meter.measured()
    }
}

/// What was counted, by subscription.
pub type Metrics = BTreeMap<String, Arc<SubscriptionMetrics>>;

/// Why a subscription stands still.
#[derive(Debug, Default)]
pub(crate) struct Trouble(Mutex<Option<String>>);

impl Trouble {
    pub(crate) fn set(&self, why: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    pub(crate) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn get(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
