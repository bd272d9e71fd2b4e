//! `Times`: a histogram of durations, three per cent wide at any size.

use std::time::Duration;

/// Bins in each doubling, as a power of two.
const FINE: u32 = 5;
/// Bins in all: up to 2^42 ns, more than an hour; what is beyond counts with the last.
const BINS: usize = (42 << FINE) as usize;

/// Durations that were counted: log-linear bins, and sums in which none is rounded. One that was
/// measured counts for all that it stands for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    bins: Vec<u32>,
    count: u64,
    sum: f64,
    squares: f64,
}

/// One bin of [`Times`] that is not empty, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Its lower edge.
    pub lo: f64,
    /// Its upper edge.
    pub hi: f64,
    /// How many fell into it.
    pub count: u64,
}

impl Times {
    /// Counts a duration as often as it stands for.
    pub(super) fn record(&mut self, time: Duration, weight: u32) {
        // In 64 bits: a time that overflows them is beyond the last bin in any case.
        let nanos = (time.as_secs().saturating_mul(1_000_000_000))
            .saturating_add(u64::from(time.subsec_nanos()));
        let index = index(nanos);
        if self.bins.len() <= index {
            self.bins.resize(index + 1, 0);
        }
        if let Some(bin) = self.bins.get_mut(index) {
            *bin = bin.saturating_add(weight);
        }
        let seconds = time.as_secs_f64();
        let sum = f64::from(weight) * seconds;
        self.count += u64::from(weight);
        self.sum += sum;
        self.squares += sum * seconds;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.bins.resize(self.bins.len().max(other.bins.len()), 0);
        for (mine, theirs) in self.bins.iter_mut().zip(&other.bins) {
            *mine = mine.saturating_add(*theirs);
        }
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// How many were counted, those included for which a measured one stands.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean of what was measured in seconds, by weight and with no rounding to bins; `None` of
    /// nothing.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    /// The variance over the square of the mean; `None` of nothing.
    #[must_use]
    pub fn scv(&self) -> Option<f64> {
        let mean = self.mean().filter(|mean| *mean > 0.0)?;
        Some((self.squares / self.count as f64 / (mean * mean) - 1.0).max(0.0))
    }

    /// The bins that are not empty, in ascending order.
    #[must_use]
    pub fn bins(&self) -> Vec<Bin> {
        let full = self
            .bins
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        full.map(|(index, count)| Bin {
            lo: edge(index),
            hi: edge(index + 1),
            count: u64::from(*count),
        })
        .collect()
    }

    /// The time in seconds below which the share `p` of all lies; `None` of nothing.
    #[must_use]
    pub fn quantile(&self, p: f64) -> Option<f64> {
        let mut left = p.clamp(0.0, 1.0) * self.count as f64;
        for Bin { lo, hi, count } in self.bins() {
            let count = count as f64;
            if left <= count {
                return Some(lo + (hi - lo) * left / count);
            }
            left -= count;
        }
        None
    }
}

/// The bin of a number of nanoseconds: exact below 2^FINE, then 2^FINE for each doubling.
fn index(nanos: u64) -> usize {
    let lead = 63 - (nanos | 1).leading_zeros();
    let index = if lead < FINE {
        nanos
    } else {
        let shift = lead - FINE;
        (u64::from(shift + 1) << FINE) + ((nanos >> shift) - (1 << FINE))
    };
    usize::try_from(index).unwrap_or(BINS).min(BINS - 1)
}

/// The lower edge of a bin, in seconds.
fn edge(index: usize) -> f64 {
    let (octave, rest) = (index >> FINE, index & ((1 << FINE) - 1));
    let nanos = match octave {
        0 => rest as f64,
        octave => ((1_usize << FINE) + rest) as f64 * 2_f64.powi(octave as i32 - 1),
    };
    nanos * 1e-9
}
