//! From measurements to model parameters: rates, burstiness, service laws, failures, key skew.
//!
//! Plain numbers in, an [`Arrivals`](crate::arrivals::Arrivals) or [`Dist`](crate::service::Dist)
//! with bands and warnings out, or a refusal with the reason. Times in seconds, rates in 1/s.

pub mod arrival;
pub mod dispersion;
pub mod key;
pub mod law;
pub mod service;
pub mod stationary;
pub mod timer;

use serde::{Deserialize, Serialize};

/// An estimate with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// The estimate.
    pub value: f64,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

impl Band {
    /// Value ± half.
    pub fn around(value: f64, half: f64) -> Self {
        Self {
            value,
            lo: (value - half).max(0.0),
            hi: value + half,
        }
    }

    /// A value known exactly.
    pub fn exact(value: f64) -> Self {
        Self {
            value,
            lo: value,
            hi: value,
        }
    }

    /// Whether the interval holds x.
    pub fn contains(&self, x: f64) -> bool {
        (self.lo..=self.hi).contains(&x)
    }
}

/// A doubt that is shown beside every figure computed from the fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// The rate or the service time changed during the measurement.
    #[error("{what} changed {seconds_ago:.0} s ago: older data no longer describe the system")]
    NotStationary {
        /// What changed.
        what: String,
        /// Time since the change, seconds.
        seconds_ago: f64,
    },
    /// Arrivals come in bursts.
    #[error("arrivals are bursty: IDC {idc:.1} over windows of {window} s (Poisson: 1)")]
    Bursty {
        /// The window, seconds.
        window: f64,
        /// Index of dispersion.
        idc: f64,
    },
    /// The SCV of a variable service time needs more samples.
    #[error("SCV {scv:.1} from {samples} samples only: 10,000 are needed above 1.5")]
    FewSamples {
        /// Estimated SCV.
        scv: f64,
        /// Samples.
        samples: u64,
    },
    /// The tail is too heavy for formulas.
    #[error("the largest 0.1 % of service times hold {share:.0} % of Σs²: no formula for p99")]
    HeavyTail {
        /// Share of Σs², per cent.
        share: f64,
    },
    /// Service slows down under load.
    #[error("service time grows by {percent:.0} % per event in flight: a shared resource")]
    LoadDependent {
        /// Growth per event in flight, per cent of the mean.
        percent: f64,
    },
    /// Time-outs hide the end of long services.
    #[error("{share:.1} % of service times were cut by the time-out")]
    Censored {
        /// Share, per cent.
        share: f64,
    },
    /// Little's law does not hold in the measurement.
    #[error("measurement inconsistent: L = {l:.3} but X·W = {xw:.3}")]
    LittleViolated {
        /// Measured number present.
        l: f64,
        /// Throughput times response time.
        xw: f64,
    },
}

/// Why the data cannot carry an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// Too few observations.
    #[error("{what}: {have} observations, at least {need} are needed")]
    TooFew {
        /// Of what.
        what: String,
        /// Observations made.
        have: u64,
        /// Observations needed.
        need: u64,
    },
    /// A value that cannot be.
    #[error("{what} = {value} cannot be")]
    Impossible {
        /// Of what.
        what: String,
        /// The value.
        value: f64,
    },
}

/// Little's law as a test of the instrumentation, over a window of `seconds`.
///
/// `edge` is the work present at the two ends over the work done; above 1 % the law says nothing
/// yet. A gap above 5 % means that the measurement is inconsistent.
pub fn little(l: f64, x: f64, w: f64, edge: f64) -> Option<Warning> {
    let xw = x * w;
    let gap = (l - xw).abs() / l.max(f64::MIN_POSITIVE);
    (edge < 0.01 && gap >= 0.05).then_some(Warning::LittleViolated { l, xw })
}
