//! Arrival processes: rate, variability of intervals, index of dispersion for counts.
//!
//! IDC(w) = Var\[N(w)\]/E\[N(w)\] over windows of w seconds; 1 for Poisson at every w. The SCV of
//! single intervals hides burstiness (planner notes, case V23: SCV 4.6, IDC(∞) 27.4).
//! MMPP: Fischer & Meier-Hellstern, "The MMPP cookbook", Perf. Eval. 18 (1993) 149-171.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, non_negative, positive};
use crate::service::Dist;

/// How events come in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Arrivals {
    /// Poisson.
    Poisson {
        /// Rate λ, 1/s.
        rate: f64,
    },
    /// Independent intervals.
    Renewal(Dist),
    /// Markov-modulated Poisson process with two states.
    Mmpp2 {
        /// Rate in state 1, 1/s.
        rate1: f64,
        /// Rate in state 2, 1/s.
        rate2: f64,
        /// Rate of leaving state 1, 1/s.
        leave1: f64,
        /// Rate of leaving state 2, 1/s.
        leave2: f64,
    },
    /// Periodic timers.
    Timer {
        /// Period, seconds.
        period: f64,
        /// How many timers share the period.
        count: u32,
        /// All fire together; otherwise each has a random phase.
        aligned: bool,
    },
    /// Poisson batches.
    Batch {
        /// Batches per second.
        rate: f64,
        /// Events in a batch.
        size: BatchSize,
    },
    /// Poisson with a rate that is constant on pieces.
    Profile {
        /// (seconds, rate) in turn; the last rate stays for ever.
        pieces: Vec<(f64, f64)>,
    },
    /// Recorded times, seconds from the start, ascending.
    Trace {
        /// The times.
        at: Vec<f64>,
    },
}

/// Number of events in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchSize {
    /// Always this many.
    Fixed(u32),
    /// Geometric on 1, 2, … with this mean.
    Geometric(f64),
}

impl BatchSize {
    /// E\[X\].
    pub fn mean(self) -> f64 {
        match self {
            Self::Fixed(n) => f64::from(n),
            Self::Geometric(mean) => mean,
        }
    }

    /// E\[X²\].
    pub fn second_moment(self) -> f64 {
        match self {
            Self::Fixed(n) => f64::from(n).powi(2),
            Self::Geometric(mean) => mean * (2.0 * mean - 1.0),
        }
    }
}

impl Arrivals {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Domain::Argument`] naming the parameter.
    pub fn check(&self) -> Result<(), Domain> {
        match self {
            Self::Poisson { rate } => non_negative("rate", *rate).map(|_| ()),
            Self::Renewal(d) => d.check(),
            Self::Mmpp2 {
                rate1,
                rate2,
                leave1,
                leave2,
            } => {
                non_negative("rate1", *rate1)?;
                non_negative("rate2", *rate2)?;
                positive("leave1", *leave1)?;
                positive("leave2", *leave2).map(|_| ())
            }
            Self::Timer { period, .. } => positive("period", *period).map(|_| ()),
            Self::Batch { rate, size } => {
                positive("size", size.mean())?;
                non_negative("rate", *rate).map(|_| ())
            }
            Self::Profile { pieces } => pieces.iter().try_for_each(|(time, rate)| {
                non_negative("rate", *rate)?;
                positive("seconds", *time).map(|_| ())
            }),
            Self::Trace { at } => at
                .iter()
                .try_for_each(|t| non_negative("at", *t).map(|_| ())),
        }
    }

    /// Mean rate λ, 1/s (over the whole profile or trace for those).
    pub fn rate(&self) -> f64 {
        match self {
            Self::Poisson { rate } => *rate,
            Self::Renewal(d) => 1.0 / d.mean(),
            Self::Mmpp2 {
                rate1,
                rate2,
                leave1,
                leave2,
            } => (rate1 * leave2 + rate2 * leave1) / (leave1 + leave2),
            Self::Timer { period, count, .. } => f64::from(*count) / period,
            Self::Batch { rate, size } => rate * size.mean(),
            Self::Profile { pieces } => {
                let time: f64 = pieces.iter().map(|(t, _)| t).sum();
                let events: f64 = pieces.iter().map(|(t, r)| t * r).sum();
                if time > 0.0 { events / time } else { 0.0 }
            }
            Self::Trace { at } => match at.last() {
                Some(&end) if end > 0.0 => at.len() as f64 / end,
                _ => 0.0,
            },
        }
    }

    /// Limit of the index of dispersion IDC(w) for w → ∞.
    ///
    /// Equals the SCV of the intervals for a renewal process; 0 for timers.
    pub fn idc_limit(&self) -> f64 {
        match self {
            Self::Poisson { .. } => 1.0,
            Self::Renewal(d) => d.scv(),
            Self::Mmpp2 { .. } => self.idc(f64::INFINITY),
            Self::Timer { .. } => 0.0,
            Self::Batch { size, .. } => size.second_moment() / size.mean(),
            Self::Profile { .. } => 1.0,
            Self::Trace { at } => {
                let window = 20.0 * at.last().copied().unwrap_or(0.0) / at.len().max(1) as f64;
                crate::fit::dispersion::of_times(at, window).unwrap_or(1.0)
            }
        }
    }

    /// IDC over windows of `w` seconds: exact for Poisson, MMPP and batches, the limit otherwise.
    pub fn idc(&self, w: f64) -> f64 {
        let Self::Mmpp2 {
            rate1,
            rate2,
            leave1,
            leave2,
        } = self
        else {
            return self.idc_limit();
        };
        let leave = leave1 + leave2;
        if *rate1 == *rate2 {
            return 1.0;
        }
        let spread = 2.0 * (rate1 - rate2).powi(2) * leave1 * leave2
            / (leave * leave * (rate1 * leave2 + rate2 * leave1));
        let x = leave * w;
        let share = if x.is_infinite() {
            1.0
        } else {
            1.0 + (-x).exp_m1() / x
        };
        1.0 + spread * share
    }

    /// Whether the process is Poisson at a constant rate.
    pub fn is_poisson(&self) -> bool {
        match self {
            Self::Poisson { .. } => true,
            Self::Renewal(d) => matches!(d, Dist::Exp { .. }),
            _ => false,
        }
    }

    /// The same process with every rate multiplied by `factor`.
    #[must_use]
    pub fn faster(&self, factor: f64) -> Self {
        let mut next = self.clone();
        match &mut next {
            Self::Poisson { rate } | Self::Batch { rate, .. } => *rate *= factor,
            Self::Renewal(d) => *d = d.stretched(1.0 / factor),
            Self::Mmpp2 { rate1, rate2, .. } => {
                *rate1 *= factor;
                *rate2 *= factor;
            }
            Self::Timer { period, .. } => *period /= factor,
            Self::Profile { pieces } => pieces.iter_mut().for_each(|(_, r)| *r *= factor),
            Self::Trace { at } => at.iter_mut().for_each(|t| *t /= factor),
        }
        next
    }
}
