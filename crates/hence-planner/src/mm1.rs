//! M/M/1: Poisson arrivals, exponential service, one worker.
//!
//! W = 1/(μ-λ); P(T > t) = e^{-(μ-λ)t}; P(Wq > t) = ρe^{-(μ-λ)t}. Rates in 1/s, times in seconds.
//! Valid for ρ < 1. Kleinrock, "Queueing Systems" I (1975), §3.2 and §5.12.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, non_negative, positive, stable};

/// A stable M/M/1 queue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mm1 {
    /// Arrival rate, 1/s.
    pub lambda: f64,
    /// Service rate, 1/s.
    pub mu: f64,
}

/// The M/M/1 queue with these rates.
///
/// # Errors
/// [`Domain`] for negative rates or ρ ≥ 1.
pub fn mm1(lambda: f64, mu: f64) -> Result<Mm1, Domain> {
    non_negative("lambda", lambda)?;
    positive("mu", mu)?;
    stable(lambda / mu)?;
    Ok(Mm1 { lambda, mu })
}

impl Mm1 {
    /// Utilisation ρ.
    pub fn rho(&self) -> f64 {
        self.lambda / self.mu
    }

    /// Mean response time W, seconds.
    pub fn w(&self) -> f64 {
        1.0 / (self.mu - self.lambda)
    }

    /// Mean wait Wq, seconds.
    pub fn wq(&self) -> f64 {
        self.rho() * self.w()
    }

    /// Mean number in the station L.
    pub fn l(&self) -> f64 {
        self.lambda * self.w()
    }

    /// The p-quantile of the response time, seconds.
    pub fn response_quantile(&self, p: f64) -> f64 {
        -(-p).ln_1p() * self.w()
    }

    /// The p-quantile of the wait, seconds; 0 when that share never waits.
    pub fn wait_quantile(&self, p: f64) -> f64 {
        ((self.rho() / (1.0 - p)).ln() * self.w()).max(0.0)
    }

    /// Relaxation time 1/(μ(1-√ρ)²), seconds: how long the queue remembers its start.
    pub fn relaxation(&self) -> f64 {
        1.0 / (self.mu * (1.0 - self.rho().sqrt()).powi(2))
    }
}
