//! The retry budget and the throttle of one subscription: what goes beyond them waits.

use std::time::Duration;

use hence_core::RetryBudget;
use hence_core::flow::Throttle;
use tokio::time::Instant;

/// Deliveries are remembered for about so long.
const MEMORY: Duration = Duration::from_secs(60);
/// So much of the budget may be used at once.
const BURST: Duration = Duration::from_secs(10);

/// How much longer retries wait than their back-off says.
///
/// The retries of a storm are spread at the rate that the budget permits, in the order in which
/// their attempts failed; so none is lost, and none waits for a counter to become free.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Option<RetryBudget>,
    /// Deliveries that are not counted in `past` yet.
    fresh: u64,
    /// Deliveries, each the less the longer ago it was.
    past: f64,
    counted: Instant,
    /// When the budget will have been used up evenly.
    used: Instant,
}

impl Budget {
    pub(crate) fn new(limits: Option<RetryBudget>, now: Instant) -> Self {
        Self {
            limits,
            fresh: 0,
            past: 0.0,
            counted: now,
            used: now,
        }
    }

    /// So many deliveries began their first attempt.
    pub(crate) fn delivered(&mut self, count: usize) {
        self.fresh += count as u64;
    }

    /// How much longer retries wait of which so many failed now.
    pub(crate) fn wait(&mut self, retries: usize, now: Instant) -> Duration {
        let Some(limits) = self.limits else {
            return Duration::ZERO;
        };
        let age = now.duration_since(self.counted);
        self.past *= (-age.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        self.past += self.fresh as f64;
        (self.fresh, self.counted) = (0, now);
        let rate = limits.per_second + limits.share * self.past / MEMORY.as_secs_f64();
        let spacing = Duration::try_from_secs_f64(retries as f64 / rate).unwrap_or(MEMORY);
        self.used = self.used.max(now) + spacing;
        self.used.duration_since(now).saturating_sub(BURST)
    }
}

/// When the next call may begin.
#[derive(Debug)]
pub(crate) struct Pace {
    throttle: Option<Throttle>,
    /// When the rate will have been used up evenly.
    used: Instant,
}

impl Pace {
    pub(crate) fn new(throttle: Option<Throttle>, now: Instant) -> Self {
        let used = now;
        Self { throttle, used }
    }

    /// When a call may begin that may not begin now.
    pub(crate) fn wake(&self) -> Option<Instant> {
        let (Throttle { calls, per }, now) = (self.throttle?, Instant::now());
        let spacing = per / calls.max(1);
        // A call may begin as long as those before it leave room for it within one period.
        let free = self.used + spacing;
        (free > now + per).then(|| free - per)
    }

    /// A call begins.
    pub(crate) fn begin(&mut self) {
        if let Some(Throttle { calls, per }) = self.throttle {
            self.used = self.used.max(Instant::now()) + per / calls.max(1);
        }
    }
}
