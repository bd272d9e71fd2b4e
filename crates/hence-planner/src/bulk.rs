//! Bulk service: one worker takes up to b at once, exponential service of rate μ per batch.
//!
//! r is the root in (0,1) of μr^{b+1}-(λ+μ)r+λ = 0. Two models share it:
//! * joining (the textbook, Gross & Harris §3.2): arrivals enter a batch already in service,
//!   L = r/(1-r);
//! * closed batches (what software does): a batch is sealed when it is taken. States: idle, or
//!   busy with q waiting; p_q = p₀r^q, p_idle = μp₀/λ, Lq = p₀r/(1-r)², W = Lq/λ + 1/μ.
//!
//! Valid for λ < bμ; rates in 1/s. Group commit with service s₀+k·s₁ has the capacity
//! b/(s₀+b·s₁) ([`group_commit_capacity`]); its latency needs simulation.

use crate::error::{Domain, count, non_negative, positive, stable, workers};
use crate::numeric::root;

/// Mean response time when arrivals may join a batch in service, seconds.
///
/// # Errors
/// [`Domain`] for bad parameters or λ ≥ bμ.
pub fn bulk_joining(lambda: f64, mu: f64, b: u32) -> Result<f64, Domain> {
    let r = ratio(lambda, mu, b)?;
    Ok(r / (1.0 - r) / lambda)
}

/// Mean response time when a batch is sealed as it is taken, seconds.
///
/// # Errors
/// [`Domain`] for bad parameters or λ ≥ bμ.
pub fn bulk_closed(lambda: f64, mu: f64, b: u32) -> Result<f64, Domain> {
    let r = ratio(lambda, mu, b)?;
    let p0 = 1.0 / (mu / lambda + 1.0 / (1.0 - r));
    Ok(p0 * r / ((1.0 - r).powi(2) * lambda) + 1.0 / mu)
}

/// Largest sustainable rate of group commit, 1/s: batches of at most `b`, each `s0 + k·s1` long.
///
/// # Errors
/// [`Domain`] for times that are negative or both 0.
pub fn group_commit_capacity(s0: f64, s1: f64, b: u32) -> Result<f64, Domain> {
    let b = workers(b)?;
    let full = non_negative("s0", s0)? + b * non_negative("s1", s1)?;
    Ok(b / positive("s0 + b·s1", full)?)
}

/// Largest batch: each step of the search for r sums a power for each place.
const BATCH_MAX: u32 = 100_000;

fn ratio(lambda: f64, mu: f64, b: u32) -> Result<f64, Domain> {
    positive("lambda", lambda)?;
    positive("mu", mu)?;
    let size = count("b", b, BATCH_MAX)?;
    stable(lambda / (size * mu))?;
    // Divided by (1-r): λ = μ(r + r² + … + r^b), increasing in r.
    let sum = |r: f64| (1..=b).fold((0.0, 1.0), |(s, p), _| (s + p * r, p * r)).0;
    root::brent(|r| mu * sum(r) - lambda, 0.0, 1.0)
}
