//! Fan-out and fork-join: an event is done when all its copies are.
//!
//! * Product of CDFs: P(max > t) ≈ 1-Π(1-P(T_i > t)). Branches fed by one stream are positively
//!   associated, so this is an **upper** bound on E\[max\] (planner notes V33: 1.4 % high).
//! * Two equal M/M/1: T₂ = (12-ρ)/8·1/(μ-λ), exact (Flatto & Hahn 1984).
//! * K equal M/M/1, K ≤ 32: Nelson & Tantawi, IEEE Trans. Comput. 37 (1988) 739; error < 5 %.
//! * K equal exponential branches without queueing: H_K/μ.
//!
//! Times in seconds, rates in 1/s; ρ < 1.

use crate::error::Domain;
use crate::mm1::mm1;
use crate::numeric::quadrature::simpson;
use crate::numeric::root;

/// P(max > t) of independent branches with these tails.
pub fn max_tail(tails: &[&dyn Fn(f64) -> f64], t: f64) -> f64 {
    // 1-Π(1-x) without cancellation for small tails.
    -tails
        .iter()
        .map(|tail| (-tail(t).min(1.0)).ln_1p())
        .sum::<f64>()
        .exp_m1()
}

/// Mean of the maximum of independent branches, seconds; `scale` is the size of one branch's mean.
pub fn max_mean(tails: &[&dyn Fn(f64) -> f64], scale: f64) -> f64 {
    let f = |t: f64| max_tail(tails, t);
    let (mut from, mut to, mut sum) = (0.0, scale, 0.0);
    for _ in 0..60 {
        sum += simpson(&f, from, to, 1e-13 * scale);
        if f(to) < 1e-15 {
            break;
        }
        from = to;
        to *= 2.0;
    }
    sum
}

/// The p-quantile of the maximum of independent branches, seconds.
///
/// # Errors
/// [`Domain`] when p is not below 1 or a tail does not vanish.
pub fn max_quantile(tails: &[&dyn Fn(f64) -> f64], p: f64, scale: f64) -> Result<f64, Domain> {
    root::quantile(|t| max_tail(tails, t), 1.0 - p, scale)
}

/// Mean response of two equal M/M/1 branches with a join, seconds; exact.
///
/// # Errors
/// [`Domain`] for bad rates or ρ ≥ 1.
pub fn fork_join_2(lambda: f64, mu: f64) -> Result<f64, Domain> {
    let branch = mm1(lambda, mu)?;
    Ok((12.0 - branch.rho()) / 8.0 * branch.w())
}

/// Mean response of K equal M/M/1 branches with a join by Nelson & Tantawi, seconds.
///
/// # Errors
/// [`Domain`] for bad rates, ρ ≥ 1, K = 0 or K > 32.
pub fn nelson_tantawi(k: u32, lambda: f64, mu: f64) -> Result<f64, Domain> {
    let branch = mm1(lambda, mu)?;
    match k {
        1 => Ok(branch.w()),
        2..=32 => {
            let h = harmonic(k) / harmonic(2);
            Ok(fork_join_2(lambda, mu)? * (h + (1.0 - h) * 4.0 * branch.rho() / 11.0))
        }
        _ => Err(Domain::Argument {
            name: "k".into(),
            value: f64::from(k),
        }),
    }
}

/// H_K = 1 + 1/2 + … + 1/K.
pub fn harmonic(k: u32) -> f64 {
    (1..=k).map(|i| 1.0 / f64::from(i)).sum()
}
