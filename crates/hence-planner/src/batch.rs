//! Batch arrivals: M^X/M/1.
//!
//! L = ρ(1+E\[X²\]/E\[X\])/(2(1-ρ)), ρ = λ_batch·E\[X\]/μ, W = L/(λ_batch·E\[X\]).
//! Valid for ρ < 1; rates in 1/s, times in seconds. Gross & Harris, §3.1.

use crate::arrivals::BatchSize;
use crate::error::{Domain, positive, stable};

/// Mean response time of M^X/M/1 with `lambda_batch` batches per second, seconds.
///
/// # Errors
/// [`Domain`] for bad parameters or ρ ≥ 1.
pub fn batch_arrivals(lambda_batch: f64, size: BatchSize, mu: f64) -> Result<f64, Domain> {
    positive("lambda_batch", lambda_batch)?;
    positive("mu", mu)?;
    let mean = positive("size", size.mean())?;
    let lambda = lambda_batch * mean;
    let rho = lambda / mu;
    stable(rho)?;
    let l = rho * (1.0 + size.second_moment() / mean) / (2.0 * (1.0 - rho));
    Ok(l / lambda)
}
