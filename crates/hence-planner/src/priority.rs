//! Priorities: class 1 first. Non-preemptive (Cobham) and preemptive-resume.
//!
//! M/G/1, σ_k = Σ_{i≤k}ρ_i, W0 = Σλ_iE\[S_i²\]/2:
//! non-preemptive wait W_k = W0/((1-σ_{k-1})(1-σ_k));
//! preemptive response T_k = E\[S_k\]/(1-σ_{k-1}) + Σ_{i≤k}λ_iE\[S_i²\]/(2(1-σ_{k-1})(1-σ_k)).
//! M/M/c with one μ: non-preemptive W_k = C/(cμ)/((1-σ_{k-1})(1-σ_k)); preemptive by differences
//! of M/M/c. Cobham (Oper. Res. 2 (1954) 70); Kleinrock II (1976), §3.6. Times in seconds.
//! A class with σ_k ≥ 1 starves and is `None`; those above it stay exact.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, non_negative, positive, workers};
use crate::mmc::{erlang_c, mmc};

/// One class of arrivals, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// Arrival rate, 1/s.
    pub lambda: f64,
    /// Mean service time, seconds.
    pub es: f64,
    /// SCV of the service time.
    pub cs2: f64,
}

impl Class {
    fn es2(&self) -> f64 {
        (1.0 + self.cs2) * self.es * self.es
    }

    fn check(&self) -> Result<(), Domain> {
        non_negative("lambda", self.lambda)?;
        positive("es", self.es)?;
        non_negative("cs2", self.cs2).map(|_| ())
    }
}

/// Mean wait of each class in a non-preemptive M/G/1, seconds; `None` for a starved class.
///
/// # Errors
/// [`Domain::Argument`] for a bad class.
pub fn cobham(classes: &[Class]) -> Result<Vec<Option<f64>>, Domain> {
    classes.iter().try_for_each(Class::check)?;
    let w0: f64 = classes.iter().map(|k| 0.5 * k.lambda * k.es2()).sum();
    let total: f64 = classes.iter().map(|k| k.lambda * k.es).sum();
    let mut sigma = 0.0;
    Ok(classes
        .iter()
        .map(|class| {
            let above = 1.0 - sigma;
            sigma += class.lambda * class.es;
            // Above saturation the residual service comes from the classes that are served.
            let residual = if total < 1.0 {
                w0
            } else {
                w0.min(saturated_residual(classes))
            };
            (sigma < 1.0).then(|| residual / (above * (1.0 - sigma)))
        })
        .collect())
}

/// Residual service met when the station never idles: classes weighted by what they really get.
fn saturated_residual(classes: &[Class]) -> f64 {
    let (mut left, mut w0) = (1.0_f64, 0.0);
    for class in classes {
        let share = (class.lambda * class.es).min(left);
        w0 += 0.5 * share / class.es * class.es2();
        left -= share;
    }
    w0
}

/// Mean response time of each class in a preemptive-resume M/G/1, seconds.
///
/// # Errors
/// [`Domain::Argument`] for a bad class.
pub fn preemptive_resume(classes: &[Class]) -> Result<Vec<Option<f64>>, Domain> {
    classes.iter().try_for_each(Class::check)?;
    let (mut sigma, mut w0) = (0.0, 0.0);
    Ok(classes
        .iter()
        .map(|class| {
            let above = 1.0 - sigma;
            sigma += class.lambda * class.es;
            w0 += 0.5 * class.lambda * class.es2();
            (sigma < 1.0).then(|| class.es / above + w0 / (above * (1.0 - sigma)))
        })
        .collect())
}

/// Mean wait of each class in a non-preemptive M/M/c with one service rate, seconds.
///
/// # Errors
/// [`Domain`] for bad parameters or total ρ ≥ 1.
pub fn mmc_non_preemptive(lambdas: &[f64], mu: f64, c: u32) -> Result<Vec<f64>, Domain> {
    let capacity = positive("mu", mu)? * workers(c)?;
    let w0 = erlang_c(c, lambdas.iter().sum::<f64>() / mu)? / capacity;
    let mut sigma = 0.0;
    Ok(lambdas
        .iter()
        .map(|lambda| {
            let above = 1.0 - sigma;
            sigma += lambda / capacity;
            w0 / (above * (1.0 - sigma))
        })
        .collect())
}

/// Mean response time of each class in a preemptive-resume M/M/c with one service rate, seconds.
///
/// # Errors
/// [`Domain`] for bad parameters or total ρ ≥ 1.
pub fn mmc_preemptive(lambdas: &[f64], mu: f64, c: u32) -> Result<Vec<f64>, Domain> {
    let (mut sum, mut before) = (0.0, 0.0);
    lambdas
        .iter()
        .map(|&lambda| {
            positive("lambda", lambda)?;
            sum += lambda;
            let l = mmc(sum, mu, c)?.l();
            let own = l - before;
            before = l;
            Ok(own / lambda)
        })
        .collect()
}
