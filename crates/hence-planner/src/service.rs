//! Service-time (and renewal) distributions: moments, tails, transforms.
//!
//! All times in seconds. SCV is the squared coefficient of variation, Var\[S\]/E\[S\]², never its
//! root. Formulas are elementary; transforms without a closed form are computed by quadrature.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, PHASES_MAX, STATES_MAX, count, positive, probability};
use crate::histogram::Hist;
use crate::numeric::elementary::ln;
use crate::numeric::quadrature::simpson;
use crate::numeric::root;
use crate::phase_type::Ph;

/// A distribution of durations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Dist {
    /// Always the same.
    Det {
        /// Value, seconds.
        mean: f64,
    },
    /// Exponential.
    Exp {
        /// Mean, seconds.
        mean: f64,
    },
    /// Sum of k equal exponentials; SCV 1/k.
    Erlang {
        /// Number of phases.
        k: u32,
        /// Mean of the sum, seconds.
        mean: f64,
    },
    /// Two exponentials, mixed; SCV ≥ 1.
    Hyper2 {
        /// Probability of the first branch.
        p: f64,
        /// Mean of the first branch, seconds.
        mean1: f64,
        /// Mean of the second branch, seconds.
        mean2: f64,
    },
    /// Log-normal: the common shape of calls over a network.
    #[serde(rename = "lognormal")]
    LogNormal {
        /// Mean, seconds.
        mean: f64,
        /// Squared coefficient of variation.
        scv: f64,
    },
    /// Pareto II, P(S > t) = (1 + t/s)^-α: a heavy tail.
    Lomax {
        /// Tail index; moments of order ≥ α are infinite.
        alpha: f64,
        /// Mean, seconds; α must exceed 1.
        mean: f64,
    },
    /// Phase-type.
    Ph(Ph),
    /// Measured.
    Empirical(Hist),
}

/// Least variation of a log-normal law: below it 1+SCV is 1, and the law a constant.
const SCV_MIN: f64 = 1e-12;

impl Dist {
    /// Balanced two-branch hyperexponential of the given SCV ≥ 1.
    pub fn balanced_h2(mean: f64, scv: f64) -> Self {
        let p = 0.5 * (1.0 + ((scv - 1.0) / (scv + 1.0)).max(0.0).sqrt());
        Self::Hyper2 {
            p,
            mean1: mean / (2.0 * p),
            mean2: mean / (2.0 * (1.0 - p)),
        }
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Domain::Argument`] naming the parameter.
    pub fn check(&self) -> Result<(), Domain> {
        match self {
            Self::Det { mean } | Self::Exp { mean } => positive("mean", *mean).map(|_| ()),
            Self::Erlang { k, mean } => {
                count("k", *k, STATES_MAX)?;
                positive("mean", *mean).map(|_| ())
            }
            Self::Hyper2 { p, mean1, mean2 } => {
                probability("p", *p)?;
                positive("mean1", *mean1)?;
                positive("mean2", *mean2).map(|_| ())
            }
            Self::LogNormal { mean, scv } => {
                positive("scv", if *scv < SCV_MIN { 0.0 } else { *scv })?;
                positive("mean", *mean).map(|_| ())
            }
            Self::Lomax { alpha, mean } => {
                positive("alpha - 1", alpha - 1.0)?;
                positive("mean", *mean).map(|_| ())
            }
            Self::Ph(ph) => {
                positive("E[S] of the phase-type distribution", ph.moment(1)?).map(|_| ())
            }
            Self::Empirical(h) => positive("E[S] of the histogram", h.moment(1)).map(|_| ()),
        }
    }

    /// E\[S\], seconds.
    pub fn mean(&self) -> f64 {
        self.moment(1)
    }

    /// Squared coefficient of variation; infinite when the variance is.
    pub fn scv(&self) -> f64 {
        let m = self.mean();
        match self {
            Self::Det { .. } => 0.0,
            Self::Exp { .. } => 1.0,
            Self::Erlang { k, .. } => 1.0 / f64::from(*k),
            Self::LogNormal { scv, .. } => *scv,
            Self::Hyper2 { .. } | Self::Lomax { .. } | Self::Ph(_) | Self::Empirical(_) => {
                (self.moment(2) / (m * m) - 1.0).max(0.0)
            }
        }
    }

    /// E\[Sᵏ\] for k = 1, 2, 3; infinite or NaN where it does not exist.
    pub fn moment(&self, k: u32) -> f64 {
        let n = k as i32;
        let factorial = f64::from((1..=k).product::<u32>());
        match self {
            Self::Det { mean } => mean.powi(n),
            Self::Exp { mean } => factorial * mean.powi(n),
            Self::Erlang { k: phases, mean } => {
                let m = f64::from(*phases);
                (0..k).fold(1.0, |product, i| product * (m + f64::from(i)) * mean / m)
            }
            Self::Hyper2 { p, mean1, mean2 } => {
                factorial * (p * mean1.powi(n) + (1.0 - p) * mean2.powi(n))
            }
            Self::LogNormal { mean, scv } => mean.powi(n) * (1.0 + scv).powi(n * (n - 1) / 2),
            Self::Lomax { alpha, mean } => {
                if f64::from(k) >= *alpha {
                    return f64::INFINITY;
                }
                let scale = mean * (alpha - 1.0);
                (1..=k).fold(factorial, |product, i| {
                    product * scale / (alpha - f64::from(i))
                })
            }
            Self::Ph(ph) => ph.moment(k).unwrap_or(f64::NAN),
            Self::Empirical(h) => h.moment(k),
        }
    }

    /// P(S > t).
    pub fn tail(&self, t: f64) -> f64 {
        if t < 0.0 {
            return 1.0;
        }
        match self {
            Self::Det { mean } => f64::from(t < *mean),
            Self::Exp { mean } => (-t / mean).exp(),
            Self::Erlang { k, mean } => {
                let phases = f64::from(*k);
                if t > 0.0 {
                    statrs::function::gamma::gamma_ur(phases, phases * t / mean)
                } else {
                    1.0
                }
            }
            Self::Hyper2 { p, mean1, mean2 } => {
                p * (-t / mean1).exp() + (1.0 - p) * (-t / mean2).exp()
            }
            Self::LogNormal { mean, scv } => {
                if t == 0.0 {
                    return 1.0;
                }
                let (mu, sigma) = log_parameters(*mean, *scv);
                0.5 * statrs::function::erf::erfc((t.ln() - mu) / (sigma * 2.0_f64.sqrt()))
            }
            Self::Lomax { alpha, mean } => (1.0 + t / (mean * (alpha - 1.0))).powf(-alpha),
            Self::Ph(ph) => ph.tail(t),
            Self::Empirical(h) => h.tail(t),
        }
    }

    /// Density at t, where there is one in closed form.
    pub fn density(&self, t: f64) -> Option<f64> {
        match self {
            Self::Det { .. } | Self::Empirical(_) => None,
            Self::LogNormal { mean, scv } => {
                let (mu, sigma) = log_parameters(*mean, *scv);
                let z = (t.ln() - mu) / sigma;
                let scale = t * sigma * (2.0 * std::f64::consts::PI).sqrt();
                Some(if t > 0.0 {
                    (-0.5 * z * z).exp() / scale
                } else {
                    0.0
                })
            }
            Self::Lomax { alpha, mean } => {
                let scale = mean * (alpha - 1.0);
                Some(alpha / scale * (1.0 + t / scale).powf(-alpha - 1.0))
            }
            Self::Erlang { k, mean } => {
                let (phases, rate) = (f64::from(*k), f64::from(*k) / mean);
                let ln = (phases - 1.0) * (rate * t).ln()
                    - rate * t
                    - statrs::function::gamma::ln_gamma(phases);
                Some(if t > 0.0 || *k > 1 {
                    rate * ln.exp()
                } else {
                    rate
                })
            }
            Self::Exp { mean } => Some((-t / mean).exp() / mean),
            Self::Hyper2 { p, mean1, mean2 } => {
                Some(p * (-t / mean1).exp() / mean1 + (1.0 - p) * (-t / mean2).exp() / mean2)
            }
            Self::Ph(ph) => Some(ph.density(t)),
        }
    }

    /// The t with P(S ≤ t) = p, seconds.
    ///
    /// # Errors
    /// [`Domain`] when p is not in \[0, 1).
    pub fn quantile(&self, p: f64) -> Result<f64, Domain> {
        crate::error::non_negative("1 - p", 1.0 - p)?;
        match self {
            Self::Det { mean } => Ok(*mean),
            Self::Exp { mean } => Ok(-mean * (-p).ln_1p()),
            Self::Lomax { alpha, mean } => {
                Ok(mean * (alpha - 1.0) * ((1.0 - p).powf(-1.0 / alpha) - 1.0))
            }
            Self::Empirical(h) => Ok(h.quantile(p)),
            Self::Erlang { .. } | Self::Hyper2 { .. } | Self::LogNormal { .. } | Self::Ph(_) => {
                root::quantile(|t| self.tail(t), 1.0 - p, self.mean())
            }
        }
    }

    /// E\[e^{xS}\] for any x it exists for; x = -s gives the Laplace transform.
    pub fn mgf(&self, x: f64) -> Option<f64> {
        let rational = |mean: f64| (x * mean < 1.0).then(|| 1.0 / (1.0 - x * mean));
        match self {
            Self::Det { mean } => Some((x * mean).exp()),
            Self::Exp { mean } => rational(*mean),
            Self::Erlang { k, mean } => Some(rational(mean / f64::from(*k))?.powi(*k as i32)),
            Self::Hyper2 { p, mean1, mean2 } => {
                Some(p * rational(*mean1)? + (1.0 - p) * rational(*mean2)?)
            }
            Self::LogNormal { mean, scv } => {
                if x > 0.0 {
                    return None;
                }
                let (mu, sigma) = log_parameters(*mean, *scv);
                let step = 0.02;
                let sum: f64 = (-500..=500)
                    .map(|i| f64::from(i) * step)
                    .map(|z| (-0.5 * z * z + x * (mu + sigma * z).exp()).exp())
                    .sum();
                Some(sum * step / (2.0 * std::f64::consts::PI).sqrt())
            }
            Self::Lomax { alpha, mean } => {
                if x > 0.0 {
                    return None;
                }
                let scale = mean * (alpha - 1.0);
                let value = |u: f64| scale * (u.powf(-1.0 / alpha) - 1.0);
                let f = |u: f64| {
                    if u > 0.0 {
                        (x * value(u)).exp()
                    } else {
                        f64::from(x == 0.0)
                    }
                };
                Some(simpson(&f, 0.0, 1.0, 1e-12))
            }
            Self::Ph(ph) => ph.mgf(x),
            Self::Empirical(h) => Some(h.mgf(x)),
        }
    }

    /// Laplace transform E\[e^{-sS}\], s ≥ 0.
    pub fn laplace(&self, s: f64) -> f64 {
        self.mgf(-s).unwrap_or(f64::NAN)
    }

    /// The same distribution as a phase-type one, where that is exact and has at most
    /// [`PHASES_MAX`] phases.
    pub fn to_phase_type(&self) -> Option<Ph> {
        match self {
            Self::Exp { mean } => Some(Ph::exponential(1.0 / mean)),
            Self::Erlang { k, mean } => (*k <= PHASES_MAX).then(|| Ph::erlang(*k, *mean)),
            Self::Hyper2 { p, mean1, mean2 } => Some(Ph::hyper2(*p, *mean1, *mean2)),
            Self::Ph(ph) => Some(ph.clone()),
            Self::Det { .. } | Self::LogNormal { .. } | Self::Lomax { .. } | Self::Empirical(_) => {
                None
            }
        }
    }

    /// Whether the tail falls exponentially, so that a decay rate exists and p99 can be extrapolated.
    pub fn is_light_tailed(&self) -> bool {
        match self {
            Self::LogNormal { .. } | Self::Lomax { .. } => false,
            Self::Empirical(h) => h.top_share_of_squares() <= 0.1,
            Self::Det { .. }
            | Self::Exp { .. }
            | Self::Erlang { .. }
            | Self::Hyper2 { .. }
            | Self::Ph(_) => true,
        }
    }

    /// The same shape with the mean multiplied by `factor`.
    #[must_use]
    pub fn stretched(&self, factor: f64) -> Self {
        let mut next = self.clone();
        match &mut next {
            Self::Det { mean }
            | Self::Exp { mean }
            | Self::Erlang { mean, .. }
            | Self::LogNormal { mean, .. }
            | Self::Lomax { mean, .. } => *mean *= factor,
            Self::Hyper2 { mean1, mean2, .. } => {
                *mean1 *= factor;
                *mean2 *= factor;
            }
            Self::Ph(ph) => ph.t = ph.t.scaled(1.0 / factor),
            Self::Empirical(h) => {
                for bin in &mut h.bins {
                    bin.lo *= factor;
                    bin.hi *= factor;
                }
            }
        }
        next
    }
}

/// (μ, σ) of the logarithm.
pub(crate) fn log_parameters(mean: f64, scv: f64) -> (f64, f64) {
    let variance = ln(1.0 + scv);
    (ln(mean) - 0.5 * variance, variance.sqrt())
}
