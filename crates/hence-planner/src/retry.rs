//! Retries: exact for failures that do not depend on load, a fixed point for time-outs.
//!
//! * Failure probability p, at most n attempts, back-off b_k before attempt k+1: with exponential
//!   service a Kelly network, so the station is M/M/c at λ_eff = λ(1-pⁿ)/(1-p) for any back-off
//!   law; back-off adds Σp^k·b_k; capacity λ_max = cμ(1-p)/(1-pⁿ). Kelly (1979), chapter 3.
//! * Time-out τ on an M/M/1: p(x) = e^{-(μ-x)τ}, λ = x/Σ_{k<n}p(x)^k. The largest λ on the lower
//!   branch is the **fold**; a bad branch exists from λ·n ≥ μ; in between the system is
//!   metastable (Bronson & al., HotOS 2021; mean field). Report simulated survival beside it.
//!
//! Rates in 1/s, times in seconds.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, count, non_negative, positive, probability};
use crate::mmc::{Mmc, mmc};

/// A station with retries whose failures do not depend on load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retried {
    /// The station as an M/M/c queue at the effective rate.
    pub station: Mmc,
    /// Attempts per event.
    pub attempts: f64,
    /// Probability that all attempts fail.
    pub dead: f64,
    /// Mean time from first arrival to the end, seconds: waits, services and back-offs.
    pub art: f64,
    /// Largest rate of new events the station can carry, 1/s.
    pub capacity: f64,
}

/// M/M/c with retries; `backoff` lists the mean delays before attempts 2, 3, … n.
///
/// # Errors
/// [`Domain`] for bad parameters or an effective ρ ≥ 1.
pub fn retried(lambda: f64, mu: f64, c: u32, p: f64, backoff: &[f64]) -> Result<Retried, Domain> {
    probability("p", p)?;
    for &delay in backoff {
        non_negative("backoff", delay)?;
    }
    count("attempts", backoff.len() as u32 + 1, ATTEMPTS_MAX)?;
    let n = backoff.len() as i32 + 1;
    let attempts = attempts(p, n as u32);
    let station = mmc(lambda * attempts, mu, c)?;
    let waiting: f64 = (1..).zip(backoff).map(|(k, b)| p.powi(k) * b).sum();
    Ok(Retried {
        station,
        attempts,
        dead: p.powi(n),
        art: attempts * station.w() + waiting,
        capacity: f64::from(c) * mu / attempts,
    })
}

/// Mean attempts per event, (1-pⁿ)/(1-p).
pub fn attempts(p: f64, n: u32) -> f64 {
    (0..n as i32).map(|k| p.powi(k)).sum()
}

/// Most attempts of a retry policy that the formulas sum up.
const ATTEMPTS_MAX: u32 = 1_000;

/// The fold of a retry storm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fold {
    /// Largest rate of new requests with a good steady state (mean field), 1/s.
    pub lambda: f64,
    /// Rate of attempts there, 1/s.
    pub effective: f64,
    /// Rate above which a collapsed state exists too: μ/n, 1/s.
    pub metastable_from: f64,
}

/// The fold of M/M/1 with client time-out `tau` and `n` attempts, nothing cancelled.
///
/// # Errors
/// [`Domain::Argument`] for parameters that are not positive.
pub fn retry_fold(mu: f64, tau: f64, n: u32) -> Result<Fold, Domain> {
    positive("mu", mu)?;
    positive("tau", tau)?;
    count("n", n, ATTEMPTS_MAX)?;
    let fresh = |x: f64| x / attempts((-(mu - x) * tau).exp(), n);
    // λ(x) rises to the fold, falls, and may rise again towards μ: scan for the first peak.
    let grid = 4000;
    let at = |i: u32| mu * f64::from(i) / f64::from(grid);
    let peak = (1..grid)
        .find(|&i| fresh(at(i + 1)) < fresh(at(i)))
        .unwrap_or(grid);
    let (mut lo, mut hi) = (at(peak - 1), at((peak + 1).min(grid)));
    for _ in 0..200 {
        let (a, b) = (lo + (hi - lo) / 3.0, hi - (hi - lo) / 3.0);
        if fresh(a) < fresh(b) { lo = a } else { hi = b }
    }
    let effective = 0.5 * (lo + hi);
    Ok(Fold {
        lambda: fresh(effective),
        effective,
        metastable_from: mu / f64::from(n),
    })
}

/// All steady rates of attempts for `lambda` new requests per second, ascending (mean field).
///
/// # Errors
/// [`Domain::Argument`] for parameters that are not positive.
pub fn retry_branches(lambda: f64, mu: f64, tau: f64, n: u32) -> Result<Vec<f64>, Domain> {
    positive("lambda", lambda)?;
    positive("mu", mu)?;
    positive("tau", tau)?;
    count("n", n, ATTEMPTS_MAX)?;
    let gap = |x: f64| x - lambda * attempts((-(mu - x).max(0.0) * tau).exp(), n);
    let top = 1.01 * (lambda * f64::from(n)).max(mu);
    let grid = 4000;
    let at = |i: u32| top * f64::from(i) / f64::from(grid);
    (0..grid)
        .filter(|&i| (gap(at(i)) < 0.0) != (gap(at(i + 1)) < 0.0))
        .map(|i| crate::numeric::root::brent(gap, at(i), at(i + 1)))
        .collect()
}
