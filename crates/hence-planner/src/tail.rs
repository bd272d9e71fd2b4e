//! Tails of wait and response beyond the exact cases.
//!
//! * Decay of GI/G/c: x > 0 solves Ã(c·x)·E\[e^{xS}\] = 1, then η = c·x (M/M/c: cμ-λ).
//! * Abate, Choudhury & Whitt (Oper. Res. 43 (1995) 885): P(Wq > t) ≈ αe^{-ηt}, α ≈ η·Wq;
//!   remarkably accurate from p90 for light tails.
//! * Two moments: P(Wq > t) ≈ P_w·e^{-tP_w/Wq}; up to 20 % off on Wq99.
//! * Response = wait ∗ service, convolved; never "wait p99 plus mean service".
//!
//! Refused for heavy tails. Times in seconds.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, non_negative, positive, probability};
use crate::mg1::first_crossing;
use crate::numeric::root;
use crate::service::Dist;

/// Decay rate η of the wait of GI/G/c, 1/s.
///
/// # Errors
/// [`Domain::Undefined`] for a heavy service tail.
pub fn decay_rate(interval: &Dist, service: &Dist, c: u32) -> Result<f64, Domain> {
    let c = crate::error::workers(c)?;
    interval.check()?;
    service.check()?;
    crate::error::stable(service.mean() / (interval.mean() * c))?;
    if !service.is_light_tailed() {
        return Err(Domain::undefined(
            "the service time has no exponential tail",
        ));
    }
    let excess = |x: f64| Some(service.mgf(x)?.ln() + interval.laplace(c * x).ln());
    Ok(c * first_crossing(excess, 1.0 / service.mean())?)
}

/// A wait that is 0 with probability 1-p and otherwise exponential: atom plus exponential.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WaitTail {
    /// P(Wq > 0), as far as the tail is concerned.
    pub p: f64,
    /// Decay rate, 1/s.
    pub rate: f64,
}

impl WaitTail {
    /// From the decay rate η and the mean wait (Abate, Choudhury & Whitt 1995).
    ///
    /// # Errors
    /// [`Domain::Argument`] for a rate that is not positive or a negative wait.
    pub fn from_decay(eta: f64, wq: f64) -> Result<Self, Domain> {
        positive("eta", eta)?;
        non_negative("wq", wq)?;
        Ok(Self {
            p: (eta * wq).min(1.0),
            rate: eta,
        })
    }

    /// From the probability of waiting and the mean wait alone.
    ///
    /// # Errors
    /// [`Domain::Argument`] for values outside their range.
    pub fn from_two_moments(p_wait: f64, wq: f64) -> Result<Self, Domain> {
        probability("p_wait", p_wait)?;
        non_negative("wq", wq)?;
        Ok(Self {
            p: p_wait,
            rate: if wq > 0.0 {
                (positive("p_wait", p_wait)? / wq).min(f64::MAX)
            } else {
                f64::MAX
            },
        })
    }

    /// P(Wq > t).
    pub fn tail(&self, t: f64) -> f64 {
        self.p * (-self.rate * t).exp()
    }

    /// The q-quantile of the wait, seconds.
    pub fn quantile(&self, q: f64) -> f64 {
        ((self.p / (1.0 - q)).ln() / self.rate).max(0.0)
    }

    /// The q-quantile of wait + service, by convolution over 1,000 slices of the service time.
    ///
    /// # Errors
    /// [`Domain`] when q is not below 1.
    pub fn response_quantile(&self, service: &Dist, q: f64) -> Result<f64, Domain> {
        let slices = slices(service)?;
        let n = slices.len() as f64;
        let tail = |t: f64| {
            slices
                .iter()
                .map(|&s| if s >= t { 1.0 } else { self.tail(t - s) })
                .sum::<f64>()
                / n
        };
        root::quantile(tail, 1.0 - q, service.mean() + 1.0 / self.rate.max(1e-12))
    }
}

/// Mid-point quantiles of 4,000 equal slices of the distribution.
fn slices(service: &Dist) -> Result<Vec<f64>, Domain> {
    const N: u32 = 4000;
    (0..N)
        .map(|i| service.quantile((f64::from(i) + 0.5) / f64::from(N)))
        .collect()
}
