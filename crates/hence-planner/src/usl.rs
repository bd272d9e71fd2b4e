//! Universal Scalability Law: throughput of N parallel handlers.
//!
//! X(N) = γN/(1+σ(N-1)+κN(N-1)), capacity C(N) = X(N)/γ, peak at N* = √((1-σ)/κ).
//! γ: events/s of one handler; σ: contention; κ: coherency. Gunther, "Guerrilla Capacity
//! Planning" (2007), chapter 6. Fitted by Levenberg-Marquardt with γ, σ, κ ≥ 0 on at least six
//! levels; beyond twice the largest measured N the law is not extrapolated.
#![allow(clippy::indexing_slicing, reason = "three parameters, three columns")]

use serde::{Deserialize, Serialize};

use crate::error::{Domain, non_negative, positive};
use crate::numeric::matrix::Matrix;

/// A scalability law.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usl {
    /// Throughput of one handler γ, 1/s.
    pub gamma: f64,
    /// Contention σ.
    pub sigma: f64,
    /// Coherency κ.
    pub kappa: f64,
}

impl Usl {
    /// Throughput X(N), 1/s.
    pub fn throughput(&self, n: f64) -> f64 {
        self.gamma * self.capacity(n)
    }

    /// Relative capacity C(N).
    pub fn capacity(&self, n: f64) -> f64 {
        n / (1.0 + self.sigma * (n - 1.0) + self.kappa * n * (n - 1.0))
    }

    /// N* = √((1-σ)/κ), beyond which more handlers lower the throughput; infinite for κ = 0.
    pub fn peak(&self) -> f64 {
        ((1.0 - self.sigma).max(0.0) / self.kappa).sqrt()
    }
}

/// A fitted law with standard errors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct UslFit {
    /// The estimate.
    pub law: Usl,
    /// One standard error of γ, σ, κ.
    pub se: [f64; 3],
    /// Sum of squared residuals.
    pub sse: f64,
    /// Largest measured N.
    pub largest: f64,
}

impl UslFit {
    /// Throughput at N, refused beyond twice the largest measured level.
    ///
    /// # Errors
    /// [`Domain::Undefined`] when N is too far out.
    pub fn throughput(&self, n: f64) -> Result<f64, Domain> {
        if n > 2.0 * self.largest {
            return Err(Domain::undefined(format!(
                "N = {n} is beyond twice the largest measured level {}",
                self.largest
            )));
        }
        Ok(self.law.throughput(n))
    }
}

/// Least-squares fit of (N, throughput) points.
///
/// # Errors
/// [`Domain`] for fewer than six distinct levels or values that are not positive.
pub fn usl_fit(points: &[(f64, f64)]) -> Result<UslFit, Domain> {
    let points: Vec<_> = points.iter().map(|&(n, x)| (n, x, 1.0)).collect();
    usl_fit_weighted(&points)
}

/// The same for (N, throughput, weight) points: a weight is one over a variance, up to a factor that
/// all share.
///
/// # Errors
/// [`Domain`] for fewer than six distinct levels or values that are not positive.
pub fn usl_fit_weighted(points: &[(f64, f64, f64)]) -> Result<UslFit, Domain> {
    let mut levels: Vec<f64> = points.iter().map(|p| p.0).collect();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    if levels.len() < 6 {
        return Err(Domain::undefined(
            "a scalability law needs at least six levels",
        ));
    }
    for &(n, x, weight) in points {
        positive("N", n)?;
        non_negative("X", x)?;
        positive("weight", weight)?;
    }
    let slope = points.iter().map(|(n, x, _)| x / n).fold(0.0, f64::max);
    let mut p = [slope, 0.05, 1e-4];
    let mut damping = 1e-3;
    let mut sse = residual(&p, points);
    for _ in 0..500 {
        let (jtj, jtr) = normal(&p, points);
        let mut damped = jtj.clone();
        for i in 0..3 {
            damped.set(i, i, jtj.at(i, i) * (1.0 + damping));
        }
        let step = damped.solve_vec(&jtr)?;
        let next: [f64; 3] = std::array::from_fn(|i| (p[i] + step[i]).max(0.0));
        let after = residual(&next, points);
        if after <= sse {
            let small = (sse - after) <= 1e-15 * sse;
            (p, sse) = (next, after);
            damping = (damping * 0.2).max(1e-12);
            if small {
                break;
            }
        } else {
            damping *= 5.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    let freedom = (points.len() as f64 - 3.0).max(1.0);
    let covariance = normal(&p, points).0.inverse()?.scaled(sse / freedom);
    let se = std::array::from_fn(|i| covariance.at(i, i).max(0.0).sqrt());
    let law = Usl {
        gamma: p[0],
        sigma: p[1],
        kappa: p[2],
    };
    Ok(UslFit {
        law,
        se,
        sse,
        largest: levels.last().copied().unwrap_or(0.0),
    })
}

fn residual(p: &[f64; 3], points: &[(f64, f64, f64)]) -> f64 {
    let law = Usl {
        gamma: p[0],
        sigma: p[1],
        kappa: p[2],
    };
    points
        .iter()
        .map(|&(n, x, weight)| weight * (x - law.throughput(n)).powi(2))
        .sum()
}

/// JᵀWJ and JᵀWr of the residuals.
fn normal(p: &[f64; 3], points: &[(f64, f64, f64)]) -> (Matrix, Vec<f64>) {
    let (mut jtj, mut jtr) = (Matrix::zeros(3, 3), vec![0.0; 3]);
    for &(n, x, weight) in points {
        let d = 1.0 + p[1] * (n - 1.0) + p[2] * n * (n - 1.0);
        let f = p[0] * n / d;
        let j = [n / d, -f * (n - 1.0) / d, -f * n * (n - 1.0) / d];
        for a in 0..3 {
            jtr[a] += weight * j[a] * (x - f);
            for b in 0..3 {
                jtj.add_to(a, b, weight * j[a] * j[b]);
            }
        }
    }
    (jtj, jtr)
}
