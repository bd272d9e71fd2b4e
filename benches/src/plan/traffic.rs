//! What comes in and how long it takes: draws of arrivals and service times.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hence_planner::simulate::Rng;
use tokio::time::Instant;

/// How events come in.
#[derive(Clone, Copy)]
pub(super) enum Traffic {
    /// At random.
    Poisson,
    /// At random, at half or at one and a half times the rate, a tenth of a second each on average.
    Bursty,
    /// Three at a time on average (geometric), at random.
    Batch,
}

impl Traffic {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Poisson => "Poisson",
            Self::Bursty => "bursty",
            Self::Batch => "batches",
        }
    }
}

/// How long a job takes.
#[derive(Clone, Copy)]
pub(super) enum Law {
    Exponential,
    /// With an SCV of 1.5.
    LogNormal,
    Constant,
}

impl Law {
    pub(super) const ALL: [Self; 3] = [Self::Exponential, Self::LogNormal, Self::Constant];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Exponential => "exponential",
            Self::LogNormal => "lognormal",
            Self::Constant => "constant",
        }
    }

    /// A draw with this mean, in seconds.
    pub(super) fn draw(self, mean: f64, rng: &mut Rng) -> f64 {
        match self {
            Self::Exponential => mean * rng.exponential(),
            Self::LogNormal => {
                let variance = 2.5_f64.ln();
                mean * (variance.sqrt() * rng.normal() - 0.5 * variance).exp()
            }
            Self::Constant => mean,
        }
    }
}

/// A stream of arrivals.
pub(super) struct Stream {
    traffic: Traffic,
    rate: f64,
    rng: Rng,
    fast: bool,
    /// Seconds until a bursty stream changes its rate.
    stay: f64,
}

/// How often a bursty stream changes its rate, per second.
pub(super) const CHANGES: f64 = 10.0;
/// Events in a batch, on average.
pub(super) const BATCH: f64 = 3.0;

impl Stream {
    pub(super) fn new(traffic: Traffic, rate: f64, seed: u64) -> Self {
        let mut rng = Rng::stream(seed, 0, "arrivals", 0);
        Self {
            traffic,
            rate,
            fast: rng.uniform() < 0.5,
            stay: rng.exponential() / CHANGES,
            rng,
        }
    }

    /// The time to the next arrivals, and how many they are.
    pub(super) fn next(&mut self) -> (Duration, usize) {
        let (gap, count) = match self.traffic {
            Traffic::Poisson => (self.rng.exponential() / self.rate, 1),
            Traffic::Bursty => (self.bursty(), 1),
            Traffic::Batch => {
                let more = self.rng.uniform().ln() / (1.0 - 1.0 / BATCH).ln();
                (
                    BATCH * self.rng.exponential() / self.rate,
                    1 + more as usize,
                )
            }
        };
        (Duration::from_secs_f64(gap), count)
    }

    fn bursty(&mut self) -> f64 {
        let mut gap = 0.0;
        loop {
            let factor = if self.fast { 1.5 } else { 0.5 };
            let next = self.rng.exponential() / (factor * self.rate);
            if next <= self.stay {
                self.stay -= next;
                return gap + next;
            }
            gap += self.stay;
            self.fast = !self.fast;
            self.stay = self.rng.exponential() / CHANGES;
        }
    }
}

/// By how much a sleep is longer than it was asked to be, in seconds, as the bits of a number.
///
/// Timers fire on whole milliseconds and never early, so a job would take about one longer than it
/// should. The excess is measured before anything else runs, and every sleep is asked to be shorter
/// by it: then the load is what its name says. What is left is in the measured service times,
/// from which the prediction is made.
static EXCESS: AtomicU64 = AtomicU64::new(0);

/// Measures it, for the clock of this runtime.
pub(super) async fn calibrate() -> f64 {
    const SLEEPS: u32 = 400;
    let mut sum = 0.0;
    for number in 0..SLEEPS {
        let asked = Duration::from_micros(3_000 + u64::from(number) * 7);
        let began = Instant::now();
        tokio::time::sleep(asked).await;
        sum += (began.elapsed() - asked).as_secs_f64();
    }
    let excess = sum / f64::from(SLEEPS);
    EXCESS.store(excess.to_bits(), Relaxed);
    excess
}

/// Sleeps for so many seconds, on average.
pub(super) async fn sleep(seconds: f64) {
    let excess = f64::from_bits(EXCESS.load(Relaxed));
    if seconds > excess {
        tokio::time::sleep(Duration::from_secs_f64(seconds - excess)).await;
    }
}
