//! What a run remembers of many durations: moments, and a log-linear histogram.
//!
//! 256 buckets per octave: a quantile is within 0.4 % of the sample's before interpolation, well
//! below its sampling error.
#![allow(
    clippy::indexing_slicing,
    reason = "bucket numbers are below the table's length"
)]

use crate::histogram::{Bin, Hist};
use crate::simulate::sampler::TICKS;

const BITS: u32 = 8;
const SUB: u64 = 1 << BITS;

/// Moments and histogram of durations in ticks.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    n: u64,
    sum: u128,
    squares: f64,
    counts: Vec<u64>,
}

impl Tally {
    #[inline]
    pub(crate) fn record(&mut self, ticks: u64) {
        self.n += 1;
        self.sum += u128::from(ticks);
        let x = ticks as f64;
        self.squares += x * x;
        let bucket = bucket(ticks);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 64, 0);
        }
        self.counts[bucket] += 1;
    }

    /// Number of durations.
    pub fn count(&self) -> u64 {
        self.n
    }

    /// Exact sum, ticks.
    pub(crate) fn total(&self) -> u128 {
        self.sum
    }

    /// Mean, seconds; NaN when empty.
    pub fn mean(&self) -> f64 {
        self.sum as f64 / self.n as f64 / TICKS
    }

    /// Mean of the squares, seconds²; NaN when empty.
    pub fn mean_square(&self) -> f64 {
        self.squares / self.n as f64 / (TICKS * TICKS)
    }

    /// The p-quantile, seconds, interpolated inside its bucket; NaN when empty.
    pub fn quantile(&self, p: f64) -> f64 {
        if self.n == 0 {
            return f64::NAN;
        }
        let mut left = p * self.n as f64;
        for (i, &count) in self.counts.iter().enumerate() {
            let n = count as f64;
            if n > 0.0 && left <= n {
                let (lo, hi) = edges(i);
                return (lo + (hi - lo) * left / n) / TICKS;
            }
            left -= n;
        }
        edges(self.counts.len()).0 / TICKS
    }

    /// The histogram, seconds.
    pub fn histogram(&self) -> Hist {
        let bins = self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(i, &count)| {
                let (lo, hi) = edges(i);
                Bin {
                    lo: lo / TICKS,
                    hi: hi / TICKS,
                    count,
                }
            })
            .collect();
        Hist { bins }
    }

    /// Adds another tally: the only way to combine percentiles.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.sum += other.sum;
        self.squares += other.squares;
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (a, b) in self.counts.iter_mut().zip(&other.counts) {
            *a += b;
        }
    }
}

#[inline]
fn bucket(ticks: u64) -> usize {
    if ticks < SUB {
        return ticks as usize;
    }
    let octave = 63 - ticks.leading_zeros() - BITS;
    ((u64::from(octave) << BITS) + (ticks >> octave)) as usize
}

fn edges(bucket: usize) -> (f64, f64) {
    let b = bucket as u64;
    if b < SUB {
        return (b as f64, (b + 1) as f64);
    }
    let octave = (b >> BITS) - 1;
    let step = (octave as f64).exp2();
    let lo = (SUB + (b & (SUB - 1))) as f64 * step;
    (lo, lo + step)
}
