//! M/G/1 processor sharing (PS): every handler present gets an equal share of the worker.
//!
//! E\[T|x\] = x/(1-ρ), mean E\[S\]/(1-ρ): insensitive to the SCV. The model of CPU-bound async
//! handlers on few cores. Valid for ρ < 1. Kleinrock, "Queueing Systems" II (1976), §4.4.

use crate::error::{Domain, non_negative, positive, stable};

/// Mean response time of M/G/1-PS, seconds.
///
/// # Errors
/// [`Domain`] for bad parameters or ρ ≥ 1.
pub fn ps(lambda: f64, es: f64) -> Result<f64, Domain> {
    ps_given(lambda, es, es)
}

/// Mean response time of a job that needs `x` seconds of the worker, seconds.
///
/// # Errors
/// [`Domain`] for bad parameters or ρ ≥ 1.
pub fn ps_given(lambda: f64, es: f64, x: f64) -> Result<f64, Domain> {
    let rho = non_negative("lambda", lambda)? * positive("es", es)?;
    non_negative("x", x)?;
    stable(rho)?;
    Ok(x / (1.0 - rho))
}
