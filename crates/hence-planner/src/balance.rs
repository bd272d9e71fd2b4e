//! Load balancing over many workers with their own queues: the power of d choices.
//!
//! Join the shortest of d sampled queues, M/M/1 each, n → ∞:
//! T = Σ_{i≥1} ρ^{(d^i-d)/(d-1)} in mean service times (d = 1: 1/(1-ρ)). ρ < 1.
//! Vvedenskaya, Dobrushin & Karpelevich (1996); Mitzenmacher, IEEE TPDS 12 (2001) 1094.

use crate::error::{Domain, non_negative, stable, workers};

/// Mean response time in units of the mean service time.
///
/// # Errors
/// [`Domain`] for ρ outside \[0, 1) or d = 0.
pub fn supermarket(rho: f64, d: u32) -> Result<f64, Domain> {
    non_negative("rho", rho)?;
    stable(rho)?;
    let d = workers(d)?;
    if d == 1.0 {
        return Ok(1.0 / (1.0 - rho));
    }
    let mut sum = 0.0;
    for i in 1..200 {
        let term = rho.powf((d.powi(i) - d) / (d - 1.0));
        sum += term;
        if term < 1e-17 {
            break;
        }
    }
    Ok(sum)
}
