//! GI/M/1 and D/M/1: independent intervals, exponential service, one worker.
//!
//! σ is the root in (0,1) of Ã(μ(1-σ)) = σ, Ã the Laplace transform of the interval;
//! Wq = σ/(μ(1-σ)); T is exponential of rate μ(1-σ). A periodic timer is D/M/1.
//! Valid for ρ < 1. Kleinrock I (1975), §6.4. Solved by bracketing, not by iteration, which is
//! slow as ρ → 1.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, positive, stable};
use crate::numeric::root;
use crate::service::Dist;

/// A stable GI/M/1 queue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gm1 {
    /// Probability that an arrival waits.
    pub sigma: f64,
    /// Service rate, 1/s.
    pub mu: f64,
}

/// The GI/M/1 queue with this interval between arrivals.
///
/// # Errors
/// [`Domain`] for bad parameters or ρ ≥ 1.
pub fn gm1(interval: &Dist, mu: f64) -> Result<Gm1, Domain> {
    interval.check()?;
    positive("mu", mu)?;
    let rho = 1.0 / (interval.mean() * mu);
    stable(rho)?;
    // σ = 1 is always a root; solving for d = 1-σ over the mean slope keeps clear of it.
    let gap = |d: f64| (interval.laplace(mu * d) - (1.0 - d)) / d;
    let d = root::brent(gap, 1e-9 * (1.0 - rho), 1.0 - 1e-16)?;
    Ok(Gm1 { sigma: 1.0 - d, mu })
}

impl Gm1 {
    /// Mean wait, seconds.
    pub fn wq(&self) -> f64 {
        self.sigma / (self.mu * (1.0 - self.sigma))
    }

    /// Mean response time, seconds.
    pub fn w(&self) -> f64 {
        1.0 / (self.mu * (1.0 - self.sigma))
    }

    /// The p-quantile of the response time, seconds.
    pub fn response_quantile(&self, p: f64) -> f64 {
        -(-p).ln_1p() * self.w()
    }
}
