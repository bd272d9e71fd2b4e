//! How many calls there should be at a time, sought from how long they take.

use std::time::Duration;

use hence_core::flow;

/// Calls over which the usual time is averaged.
const CALLS_REMEMBERED: f64 = 600.0;
/// So much longer than usual is still usual.
const TOLERANCE: f64 = 1.5;
/// So much of each correction is applied.
const SMOOTHING: f64 = 0.2;
/// Calls by which it tries to grow while nothing gets slower.
const GROWTH: f64 = 4.0;
/// What remains at least of the number of calls after one correction, before smoothing.
const GRADIENT_MIN: f64 = 0.5;
/// How fast the usual time falls when calls are twice as fast.
const RECOVERY: f64 = 0.95;

/// The gradient rule with a long and a short time (`Gradient2Limit` of Netflix's concurrency-limits):
/// `n ← n·g + 4` with `g = clamp(1.5 · usual ÷ this, ½, 1)`, of which a fifth is applied each time.
///
/// It learns only from calls that had company: a subscription that is half idle says nothing of what
/// more calls would do.
#[derive(Debug)]
pub(crate) struct Adaptive {
    bounds: Option<flow::Adaptive>,
    calls: f64,
    /// The usual time of a call, in seconds.
    usual: f64,
    seen: f64,
}

impl Adaptive {
    pub(crate) fn new(bounds: Option<flow::Adaptive>, concurrency: usize) -> Self {
        let calls = match bounds {
            None => concurrency,
            Some(bounds) => concurrency.clamp(bounds.least, bounds.most.max(bounds.least)),
        };
        Self {
            bounds,
            calls: calls as f64,
            usual: 0.0,
            seen: 0.0,
        }
    }

    /// Calls at a time.
    pub(crate) fn calls(&self) -> usize {
        self.calls as usize
    }

    /// A call has ended that began beside so many others.
    pub(crate) fn ended(&mut self, ran: Duration, beside: usize) {
        let Some(bounds) = self.bounds else {
            return;
        };
        let this = ran.as_secs_f64().max(1e-9);
        self.seen = (self.seen + 1.0).min(CALLS_REMEMBERED);
        self.usual += (this - self.usual) / self.seen;
        if self.usual / this > 2.0 {
            self.usual *= RECOVERY;
        }
        if ((beside + 1) as f64) < self.calls / 2.0 {
            return;
        }
        let gradient = (TOLERANCE * self.usual / this).clamp(GRADIENT_MIN, 1.0);
        let wanted = self.calls * gradient + GROWTH;
        let next = self.calls + SMOOTHING * (wanted - self.calls);
        self.calls = next.min(bounds.most as f64).max(bounds.least as f64);
    }
}

#[cfg(test)]
mod tests;
