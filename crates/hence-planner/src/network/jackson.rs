//! Open Jackson networks: Poisson sources, exponential stations, probabilistic routing.
//!
//! λ = (I-Pᵀ)⁻¹γ; station i is M/M/c_i; ART = ΣL_i/Σγ. Rates in 1/s, times in seconds.
//! Jackson, Manag. Sci. 10 (1963) 131. Valid when every loop has an exit and every ρ_i < 1.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, non_negative, positive, probability};
use crate::mmc::{Mmc, mmc};
use crate::numeric::matrix::Matrix;

/// Solution of an open Jackson network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Jackson {
    /// The stations at their total rates.
    pub stations: Vec<Mmc>,
    /// Mean time from source to exit, seconds.
    pub art: f64,
}

/// Total rates λ = (I-Pᵀ)⁻¹γ, 1/s; row i of `p` routes what leaves station i.
///
/// Row sums may exceed 1: a fan-out emits several copies.
///
/// # Errors
/// [`Domain::Singular`] when a loop has no exit or multiplies events without bound.
pub fn traffic(gamma: &[f64], p: &Matrix) -> Result<Vec<f64>, Domain> {
    gamma
        .iter()
        .try_for_each(|&g| non_negative("gamma", g).map(|_| ()))?;
    let system = Matrix::identity(gamma.len()).plus(&p.transpose(), -1.0);
    let no_exit = || Domain::singular("I-P: a loop of the network without exit");
    let lambda = system.solve_vec(gamma).map_err(|_| no_exit())?;
    // A spectral radius above 1 shows as a negative rate for some positive source.
    let everywhere = system
        .solve_vec(&vec![1.0; gamma.len()])
        .map_err(|_| no_exit())?;
    if everywhere.iter().any(|&v| v < 1.0 - 1e-9 || !v.is_finite()) {
        return Err(no_exit());
    }
    Ok(lambda)
}

/// The open Jackson network.
///
/// # Errors
/// [`Domain`] for bad parameters, a loop without exit, or a station with ρ ≥ 1.
pub fn jackson(gamma: &[f64], p: &Matrix, mu: &[f64], c: &[u32]) -> Result<Jackson, Domain> {
    for i in 0..p.rows() {
        probability(
            "sum of a row of P",
            p.row(i).iter().sum::<f64>().max(0.0) - 1e-12,
        )
        .or_else(|e| {
            if p.row(i).iter().all(|&x| x == 0.0) {
                Ok(0.0)
            } else {
                Err(e)
            }
        })?;
    }
    let fresh = positive("sum of gamma", gamma.iter().sum())?;
    let lambda = traffic(gamma, p)?;
    let stations: Vec<Mmc> = lambda
        .iter()
        .zip(mu)
        .zip(c)
        .map(|((&l, &m), &c)| mmc(l, m, c))
        .collect::<Result<_, _>>()?;
    let inside: f64 = stations.iter().map(Mmc::l).sum();
    Ok(Jackson {
        art: inside / fresh,
        stations,
    })
}
