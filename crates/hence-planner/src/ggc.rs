//! G/G/c mean wait: Whitt's approximation of 1993, and Kingman's bound.
//!
//! Wq ≈ φ(ρ,ca²,cs²,c)·(ca²+cs²)/2·Wq(M/M/c). Typical error ≤ 5 % (planner notes §3.5); exact
//! for M/M/c and M/G/1. Whitt, "Approximations for the GI/G/m queue", Prod. Oper. Manag. 2 (1993)
//! 114-161. Kingman (1962): for c = 1 the wait is at most λ(σa²+σs²)/(2(1-ρ)), guaranteed.
//! Times in seconds, rates in 1/s; valid for ρ < 1, renewal arrivals, finite SCVs.

use crate::error::{Domain, non_negative, positive};
use crate::mmc::mmc;

/// Mean wait by Whitt (1993), seconds.
///
/// # Errors
/// [`Domain`] for bad parameters or ρ ≥ 1.
pub fn gg_c_whitt93(lambda: f64, es: f64, c: u32, ca2: f64, cs2: f64) -> Result<f64, Domain> {
    positive("es", es)?;
    non_negative("ca2", ca2)?;
    non_negative("cs2", cs2)?;
    let markov = mmc(lambda, 1.0 / es, c)?;
    if ca2 + cs2 == 0.0 || lambda == 0.0 {
        return Ok(0.0);
    }
    let x = 0.5 * (ca2 + cs2);
    Ok(correction(markov.rho(), ca2, cs2, f64::from(c)) * x * markov.wq())
}

/// Mean wait by Allen & Cunneen (φ = 1), seconds: what most tools print; up to 18 % off.
///
/// # Errors
/// [`Domain`] for bad parameters or ρ ≥ 1.
pub fn allen_cunneen(lambda: f64, es: f64, c: u32, ca2: f64, cs2: f64) -> Result<f64, Domain> {
    positive("es", es)?;
    non_negative("ca2", ca2)?;
    non_negative("cs2", cs2)?;
    Ok(0.5 * (ca2 + cs2) * mmc(lambda, 1.0 / es, c)?.wq())
}

/// Kingman's upper bound on the mean wait of GI/G/1, seconds.
///
/// # Errors
/// [`Domain`] for bad parameters or ρ ≥ 1.
pub fn kingman_bound(lambda: f64, es: f64, ca2: f64, cs2: f64) -> Result<f64, Domain> {
    positive("lambda", lambda)?;
    positive("es", es)?;
    let rho = lambda * es;
    crate::error::stable(rho)?;
    non_negative("ca2", ca2)?;
    non_negative("cs2", cs2)?;
    let (va, vs) = (ca2 / (lambda * lambda), cs2 * es * es);
    Ok(lambda * (va + vs) / (2.0 * (1.0 - rho)))
}

fn correction(rho: f64, ca2: f64, cs2: f64, c: f64) -> f64 {
    let gamma =
        ((1.0 - rho) * (c - 1.0) * ((4.0 + 5.0 * c).sqrt() - 2.0) / (16.0 * c * rho)).min(0.24);
    let phi1 = 1.0 + gamma;
    let phi3 = (1.0 - 4.0 * gamma) * (-2.0 * (1.0 - rho) / (3.0 * rho)).exp();
    let phi4 = (0.5 * (phi1 + phi3)).min(1.0);
    let x = 0.5 * (ca2 + cs2);
    let psi = if x >= 1.0 {
        1.0
    } else {
        phi4.powf(2.0 * (1.0 - x))
    };
    if ca2 >= cs2 {
        let d = 4.0 * ca2 - 3.0 * cs2;
        4.0 * (ca2 - cs2) / d * phi1 + cs2 / d * psi
    } else {
        let d = 2.0 * (ca2 + cs2);
        (cs2 - ca2) / d * phi3 + (cs2 + 3.0 * ca2) / d * psi
    }
}
