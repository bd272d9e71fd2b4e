//! Measured distributions: counts over bins, log-uniform inside a bin.
//!
//! The planner's main input. A bin \[a, b) with a > 0 is spread as density ∝ 1/x, the natural
//! choice for log-linear recorders; a bin that starts at 0 is spread evenly. Values in seconds.

use serde::{Deserialize, Serialize};

use crate::error::Domain;

/// One bin of a [`Hist`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Lower edge, seconds.
    pub lo: f64,
    /// Upper edge, seconds.
    pub hi: f64,
    /// Observations in the bin.
    pub count: u64,
}

impl Bin {
    fn raw_moment(&self, k: i32) -> f64 {
        let (a, b) = (self.lo, self.hi);
        if b - a <= 1e-12 * b {
            return b.powi(k);
        }
        if a > 0.0 {
            (b.powi(k) - a.powi(k)) / (f64::from(k) * (b / a).ln())
        } else {
            b.powi(k) / f64::from(k + 1)
        }
    }

    /// Value at the fraction `u` of the bin.
    pub(crate) fn at(&self, u: f64) -> f64 {
        use crate::numeric::elementary::{exp, ln};
        if self.lo > 0.0 && self.hi > self.lo {
            self.lo * exp(u * ln(self.hi / self.lo))
        } else {
            self.lo + u * (self.hi - self.lo)
        }
    }

    fn share_above(&self, t: f64) -> f64 {
        if t <= self.lo {
            1.0
        } else if t >= self.hi {
            0.0
        } else if self.lo > 0.0 {
            (self.hi / t).ln() / (self.hi / self.lo).ln()
        } else {
            (self.hi - t) / self.hi
        }
    }
}

/// A histogram of positive durations, bins in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Hist {
    /// The bins, ascending and not overlapping; empty ones may be left out.
    pub bins: Vec<Bin>,
}

impl Hist {
    /// From raw samples, with bins about 1 % wide.
    ///
    /// # Errors
    /// [`Domain::Argument`] for a negative or not finite sample, or when there is none.
    pub fn from_samples(samples: &[f64]) -> Result<Self, Domain> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        if sorted.is_empty() {
            return Err(Domain::undefined("no samples"));
        }
        let mut hist = Self::default();
        for value in sorted {
            crate::error::non_negative("sample", value)?;
            match hist.bins.last_mut() {
                Some(bin) if value < bin.hi || value == bin.lo => bin.count += 1,
                _ => {
                    let (lo, hi) = if value > 0.0 {
                        let step = (value.log2() * 64.0).floor();
                        (
                            (step / 64.0).exp2().min(value),
                            ((step + 1.0) / 64.0).exp2(),
                        )
                    } else {
                        (0.0, 0.0)
                    };
                    hist.bins.push(Bin { lo, hi, count: 1 });
                }
            }
        }
        Ok(hist)
    }

    /// Number of observations.
    pub fn count(&self) -> u64 {
        self.bins.iter().map(|b| b.count).sum()
    }

    /// E\[Sᵏ\].
    pub fn moment(&self, k: u32) -> f64 {
        self.average(|b| b.raw_moment(k as i32))
    }

    /// P(S > t).
    pub fn tail(&self, t: f64) -> f64 {
        self.average(|b| b.share_above(t))
    }

    /// The smallest t with P(S ≤ t) ≥ p.
    pub fn quantile(&self, p: f64) -> f64 {
        let mut left = p.clamp(0.0, 1.0) * self.count() as f64;
        for bin in &self.bins {
            let n = bin.count as f64;
            if left <= n && n > 0.0 {
                return bin.at(left / n);
            }
            left -= n;
        }
        self.bins.last().map_or(0.0, |b| b.hi)
    }

    /// E\[e^{xS}\] by the mid-points of eight slices per bin; always finite.
    pub fn mgf(&self, x: f64) -> f64 {
        self.average(|b| {
            (0..8)
                .map(|i| (x * b.at((f64::from(i) + 0.5) / 8.0)).exp())
                .sum::<f64>()
        }) / 8.0
    }

    /// Share of Σs² that comes from the largest 0.1 % of the observations.
    ///
    /// Above one half the sample carries no reliable second moment: a heavy tail.
    pub fn top_share_of_squares(&self) -> f64 {
        let cut = self.quantile(0.999);
        let above: f64 = self
            .bins
            .iter()
            .filter(|b| b.hi > cut)
            .map(|b| b.raw_moment(2) * b.count as f64 * b.share_above(cut))
            .sum();
        let all = self.moment(2) * self.count() as f64;
        if all > 0.0 { above / all } else { 0.0 }
    }

    fn average(&self, f: impl Fn(&Bin) -> f64) -> f64 {
        let n = self.count();
        if n == 0 {
            return 0.0;
        }
        self.bins.iter().map(|b| f(b) * b.count as f64).sum::<f64>() / n as f64
    }
}
