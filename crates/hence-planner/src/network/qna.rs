//! Networks of non-Poisson streams: the Queueing Network Analyzer.
//!
//! split cd²_j = q·cd²+1-q; departures cd² = 1+(1-ρ²)(ca²-1)+ρ²/√c·(max(cs²,.2)-1);
//! superposition ca²_j = 1+w_j(Σp_ij·ca²_ij-1), w = \[1+4(1-ρ)²(v-1)\]⁻¹, v = 1/Σp_ij²:
//! one linear system for ca². Waits by (ca²+cs²)/2·Wq(M/M/c), for c = 1 and ca² < 1 with the
//! Krämer-Langenbach-Belz factor. Immediate feedback is removed first.
//! Whitt, Bell Syst. Tech. J. 62 (1983) 2779. Good for ranking and bottleneck; the number can be
//! 20 % off where correlated streams merge (planner notes V32). Rates 1/s, times seconds.
#![allow(
    clippy::indexing_slicing,
    reason = "parallel arrays of one length, checked on entry"
)]

use serde::{Deserialize, Serialize};

use crate::error::{Domain, non_negative, positive};
use crate::ggc::allen_cunneen;
use crate::network::jackson::traffic;
use crate::numeric::matrix::Matrix;

/// One station of the network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// External arrivals, 1/s.
    pub gamma: f64,
    /// SCV of their intervals.
    pub ca2: f64,
    /// Mean service time, seconds.
    pub es: f64,
    /// SCV of the service time.
    pub cs2: f64,
    /// Workers.
    pub c: u32,
}

/// What QNA says about one station.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Total arrivals, 1/s (all visits, immediate feedback included).
    pub lambda: f64,
    /// Approximate SCV of the intervals between arrivals.
    pub ca2: f64,
    /// Mean wait of a visit, seconds; infinite at ρ ≥ 1.
    pub wq: f64,
    /// Utilisation ρ.
    pub rho: f64,
}

/// Solves the network; row i of `p` routes what leaves station i.
///
/// # Errors
/// [`Domain`] for bad parameters or a loop without exit. Saturated stations are reported with an
/// infinite wait, not refused.
pub fn qna(nodes: &[Node], p: &Matrix) -> Result<Vec<Flow>, Domain> {
    let n = nodes.len();
    for node in nodes {
        non_negative("gamma", node.gamma)?;
        non_negative("ca2", node.ca2)?;
        positive("es", node.es)?;
        non_negative("cs2", node.cs2)?;
    }
    let gamma: Vec<f64> = nodes.iter().map(|node| node.gamma).collect();
    let visits = traffic(&gamma, p)?;
    // Immediate feedback q: serve all passes at once, then correct the visit's wait back.
    let back: Vec<f64> = (0..n).map(|i| p.at(i, i).min(0.999_999)).collect();
    let lambda: Vec<f64> = (0..n).map(|i| visits[i] * (1.0 - back[i])).collect();
    let route = |i: usize, j: usize| {
        if i == j {
            0.0
        } else {
            p.at(i, j) / (1.0 - back[i])
        }
    };
    let es: Vec<f64> = (0..n).map(|i| nodes[i].es / (1.0 - back[i])).collect();
    let cs2: Vec<f64> = (0..n)
        .map(|i| back[i] + (1.0 - back[i]) * nodes[i].cs2)
        .collect();
    let rho: Vec<f64> = (0..n)
        .map(|i| lambda[i] * es[i] / f64::from(nodes[i].c))
        .collect();
    let mut system = Matrix::identity(n);
    let mut constant = vec![1.0; n];
    for j in 0..n {
        if lambda[j] <= 0.0 {
            continue;
        }
        let outside = gamma[j] / lambda[j];
        let share: Vec<f64> = (0..n)
            .map(|i| lambda[i] * route(i, j) / lambda[j])
            .collect();
        let squares = outside * outside + share.iter().map(|s| s * s).sum::<f64>();
        let v = 1.0 / squares.max(1e-12);
        let busy = rho[j].min(1.0);
        let weight = 1.0 / (1.0 + 4.0 * (1.0 - busy).powi(2) * (v - 1.0));
        let mut base = outside * nodes[j].ca2;
        for i in 0..n {
            let q = route(i, j).min(1.0);
            let r2 = rho[i].min(1.0).powi(2);
            let own = r2 + r2 / f64::from(nodes[i].c).sqrt() * (cs2[i].max(0.2) - 1.0);
            base += share[i] * (q * own + 1.0 - q);
            system.add_to(j, i, -weight * share[i] * q * (1.0 - r2));
        }
        constant[j] = 1.0 - weight + weight * base;
    }
    let ca2 = system.solve_vec(&constant)?;
    (0..n)
        .map(|i| {
            let wait = wait(lambda[i], es[i], nodes[i].c, ca2[i].max(0.0), cs2[i]);
            let wq = match wait {
                // A pass waits its share; the passes after the first return to an equal queue.
                Ok(total) => (1.0 - back[i]) * (total + es[i]) - nodes[i].es,
                Err(Domain::Unstable { .. }) => f64::INFINITY,
                Err(other) => return Err(other),
            };
            Ok(Flow {
                lambda: visits[i],
                ca2: ca2[i].max(0.0),
                wq: wq.max(0.0),
                rho: rho[i],
            })
        })
        .collect()
}

fn wait(lambda: f64, es: f64, c: u32, ca2: f64, cs2: f64) -> Result<f64, Domain> {
    let base = allen_cunneen(lambda, es, c, ca2, cs2)?;
    let rho = lambda * es;
    if c == 1 && ca2 < 1.0 && ca2 + cs2 > 0.0 && rho > 0.0 {
        let exponent = 2.0 * (1.0 - rho) * (1.0 - ca2).powi(2) / (3.0 * rho * (ca2 + cs2));
        return Ok(base * (-exponent).exp());
    }
    Ok(base)
}
