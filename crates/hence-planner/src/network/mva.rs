//! Closed networks: mean value analysis and normalising constants.
//!
//! Single-class and multi-class exact MVA for single-worker stations plus think time Z:
//! R_k = D_k(1+Q_k(N-1)), X = N/(Z+ΣR_k), Q_k = XR_k. Reiser & Lavenberg, J. ACM 27 (1980) 313.
//! Stations with several workers: convolution of log-space normalising constants (Buzen 1973),
//! because load-dependent MVA loses all digits near saturation. Beyond 10⁶ population vectors the
//! multi-class form is the Bard-Schweitzer approximation, and says so.
//! D: service demand per visit cycle, seconds. Bounds: X ≤ min(1/D_max, N/(ΣD+Z)).
#![allow(
    clippy::indexing_slicing,
    reason = "population lattice; indices are built from its size"
)]

use serde::{Deserialize, Serialize};

use crate::error::{Domain, STATES_MAX, count, non_negative, positive, workers};

/// Throughput and response of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClosedFlow {
    /// Throughput X, 1/s.
    pub x: f64,
    /// Response time R over all stations, seconds (think time not included).
    pub r: f64,
    /// Mean number at each station.
    pub q: Vec<f64>,
}

/// Exact single-class MVA.
///
/// # Errors
/// [`Domain::Argument`] for negative demands or no customer.
pub fn mva(demands: &[f64], z: f64, n: u32) -> Result<ClosedFlow, Domain> {
    check(demands, z)?;
    count("n", n, STATES_MAX)?;
    let mut flow = ClosedFlow {
        x: 0.0,
        r: 0.0,
        q: vec![0.0; demands.len()],
    };
    for k in 1..=n {
        let r: Vec<f64> = demands
            .iter()
            .zip(&flow.q)
            .map(|(d, q)| d * (1.0 + q))
            .collect();
        flow.r = r.iter().sum();
        flow.x = f64::from(k) / (z + flow.r);
        flow.q = r.iter().map(|r| flow.x * r).collect();
    }
    Ok(flow)
}

/// Bounds that hold for any service law: (largest throughput, saturation population N*).
///
/// # Errors
/// [`Domain::Argument`] when all demands are 0.
pub fn bounds(demands: &[f64], z: f64, n: u32) -> Result<(f64, f64), Domain> {
    check(demands, z)?;
    let total: f64 = demands.iter().sum();
    let largest = demands.iter().copied().fold(0.0, f64::max);
    let x = (1.0 / largest).min(f64::from(n) / (total + z));
    Ok((x, (total + z) / largest))
}

/// Demands that are times and do not all vanish, and a think time.
fn check(demands: &[f64], z: f64) -> Result<(), Domain> {
    for &demand in demands {
        non_negative("demand", demand)?;
    }
    positive(
        "largest demand",
        demands.iter().copied().fold(0.0, f64::max),
    )?;
    non_negative("z", z).map(|_| ())
}

/// One class of a closed network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClosedClass {
    /// Demand at each station, seconds.
    pub demands: Vec<f64>,
    /// Think time, seconds.
    pub z: f64,
    /// Customers.
    pub n: u32,
}

/// Multi-class solution and whether it is exact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClosedNetwork {
    /// One flow per class.
    pub classes: Vec<ClosedFlow>,
    /// False when the lattice was too large and Bard-Schweitzer was used.
    pub exact: bool,
}

/// Multi-class MVA: exact up to 10⁶ population vectors.
///
/// # Errors
/// [`Domain::Argument`] for negative demands or classes of different length.
pub fn mva_multi(classes: &[ClosedClass]) -> Result<ClosedNetwork, Domain> {
    let stations = classes.first().map_or(0, |c| c.demands.len());
    for class in classes {
        if class.demands.len() != stations {
            let value = class.demands.len() as f64;
            return Err(Domain::Argument {
                name: "demands of a class".into(),
                value,
            });
        }
        check(&class.demands, class.z)?;
        count("n", class.n, STATES_MAX)?;
    }
    let states = classes.iter().fold(1.0, |s, c| s * (f64::from(c.n) + 1.0));
    if states > 1e6 {
        return Ok(ClosedNetwork {
            classes: schweitzer(classes, stations),
            exact: false,
        });
    }
    Ok(ClosedNetwork {
        classes: lattice(classes, stations),
        exact: true,
    })
}

fn lattice(classes: &[ClosedClass], stations: usize) -> Vec<ClosedFlow> {
    let mut strides = Vec::with_capacity(classes.len());
    let mut states = 1_usize;
    for class in classes {
        strides.push(states);
        states *= class.n as usize + 1;
    }
    let mut queue = vec![0.0; states * stations];
    let mut last = Vec::new();
    for state in 1..states {
        let mut total = vec![0.0; stations];
        last = classes
            .iter()
            .zip(&strides)
            .map(|(class, &stride)| {
                let n = state / stride % (class.n as usize + 1);
                let mut flow = ClosedFlow {
                    x: 0.0,
                    r: 0.0,
                    q: vec![0.0; stations],
                };
                if n > 0 {
                    let without = (state - stride) * stations;
                    let r: Vec<f64> = (0..stations)
                        .map(|k| class.demands[k] * (1.0 + queue[without + k]))
                        .collect();
                    flow.r = r.iter().sum();
                    flow.x = n as f64 / (class.z + flow.r);
                    flow.q = r.iter().map(|r| flow.x * r).collect();
                    total.iter_mut().zip(&flow.q).for_each(|(t, q)| *t += q);
                }
                flow
            })
            .collect();
        queue[state * stations..(state + 1) * stations].copy_from_slice(&total);
    }
    last
}

fn schweitzer(classes: &[ClosedClass], stations: usize) -> Vec<ClosedFlow> {
    let share = |class: &ClosedClass| f64::from(class.n) / stations.max(1) as f64;
    let mut flows: Vec<ClosedFlow> = classes
        .iter()
        .map(|class| ClosedFlow {
            x: 0.0,
            r: 0.0,
            q: vec![share(class); stations],
        })
        .collect();
    for _ in 0..10_000 {
        let before = flows.clone();
        for (i, class) in classes.iter().enumerate() {
            let n = f64::from(class.n);
            let r: Vec<f64> = (0..stations)
                .map(|k| {
                    let all: f64 = before.iter().map(|f| f.q[k]).sum();
                    class.demands[k] * (1.0 + all - before[i].q[k] / n)
                })
                .collect();
            let total: f64 = r.iter().sum();
            let x = n / (class.z + total);
            flows[i] = ClosedFlow {
                x,
                r: total,
                q: r.iter().map(|r| x * r).collect(),
            };
        }
        let moved = flows
            .iter()
            .zip(&before)
            .map(|(a, b)| (a.x - b.x).abs() / a.x);
        if moved.fold(0.0, f64::max) < 1e-12 {
            break;
        }
    }
    flows
}

/// Single-class closed network whose stations have several workers, by convolution.
///
/// # Errors
/// [`Domain::Argument`] for negative demands or no worker.
pub fn closed_multi_server(stations: &[(f64, u32)], z: f64, n: u32) -> Result<ClosedFlow, Domain> {
    let demands: Vec<f64> = stations.iter().map(|station| station.0).collect();
    check(&demands, z)?;
    count("n", n, CONVOLVED_MAX)?;
    let size = n as usize + 1;
    let term = |demand: f64, c: f64| {
        let mut log = 0.0_f64;
        let mut terms = vec![0.0];
        for k in 1..size {
            log += demand.ln() - (k as f64).min(c).ln();
            terms.push(log);
        }
        terms
    };
    let mut all = vec![term(z, f64::INFINITY)];
    for &(demand, c) in stations {
        all.push(term(demand, workers(c)?));
    }
    let mut g = vec![f64::NEG_INFINITY; size];
    g[0] = 0.0;
    let g = all.iter().fold(g, |g, f| convolve(&g, f));
    let x = (g[size - 2] - g[size - 1]).exp();
    let q = (1..all.len())
        .map(|i| {
            let mut rest = vec![f64::NEG_INFINITY; size];
            rest[0] = 0.0;
            for (j, f) in all.iter().enumerate() {
                if j != i {
                    rest = convolve(&rest, f);
                }
            }
            (1..size)
                .map(|k| k as f64 * (all[i][k] + rest[size - 1 - k] - g[size - 1]).exp())
                .sum()
        })
        .collect::<Vec<f64>>();
    // By Little's law of the stations: n/x - z would cancel when most are thinking.
    let r = q.iter().sum::<f64>() / x;
    Ok(ClosedFlow { x, r, q })
}

/// Most customers of a convolution, whose cost is their square for each pair of stations.
const CONVOLVED_MAX: u32 = 2_000;

/// log Σ exp of products: the convolution of two sequences given by their logarithms.
fn convolve(a: &[f64], b: &[f64]) -> Vec<f64> {
    (0..a.len())
        .map(|n| {
            let terms = (0..=n).map(|k| a[k] + b[n - k]);
            let top = terms.clone().fold(f64::NEG_INFINITY, f64::max);
            if top == f64::NEG_INFINITY {
                return top;
            }
            top + terms.map(|t| (t - top).exp()).sum::<f64>().ln()
        })
        .collect()
}
