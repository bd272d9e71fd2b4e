//! Queues solved as level chains: MMPP/M/c and M/PH/c with two phases.
//!
//! * MMPP(2)/M/c: bursty arrivals, phase = state of the source.
//! * M/PH₂/c: exact wait for two-phase service (hyperexponential, Erlang-2, Coxian), phase =
//!   how many of the busy workers are in phase 1.
//!
//! Neuts (1981), §6.2 and §6.5. Rates in 1/s, times in seconds; valid for ρ < 1.
#![allow(
    clippy::indexing_slicing,
    reason = "two-phase vectors; their order is checked first"
)]

use serde::{Deserialize, Serialize};

use crate::arrivals::Arrivals;
use crate::error::{Domain, count, positive, stable};
use crate::level_chain::LevelChain;
use crate::numeric::matrix::Matrix;
use crate::phase_type::Ph;

/// Means of a queue solved as a Markov chain.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Solved {
    /// Mean response time, seconds.
    pub w: f64,
    /// Mean wait, seconds.
    pub wq: f64,
    /// Probability that an arrival waits.
    pub p_wait: f64,
}

/// MMPP(2)/M/c; `arrivals` must be [`Arrivals::Mmpp2`].
///
/// # Errors
/// [`Domain`] for bad parameters, another process, or ρ ≥ 1.
pub fn mmpp_mc(arrivals: &Arrivals, mu: f64, c: u32) -> Result<Solved, Domain> {
    let &Arrivals::Mmpp2 {
        rate1,
        rate2,
        leave1,
        leave2,
    } = arrivals
    else {
        return Err(Domain::undefined(
            "the chain is written for a two-state MMPP",
        ));
    };
    arrivals.check()?;
    positive("mu", mu)?;
    let lambda = positive("lambda", arrivals.rate())?;
    stable(lambda / (mu * count("c", c, LEVELS_MAX)?))?;
    let up = Matrix::from_rows(&[vec![rate1, 0.0], vec![0.0, rate2]]);
    let local = Matrix::from_rows(&[vec![0.0, leave1], vec![leave2, 0.0]]);
    let levels = LevelChain {
        phases: 2,
        homogeneous: c as usize,
        up: &|_| up.clone(),
        local: &|_| local.clone(),
        down: &|n| Matrix::identity(2).scaled(mu * (n as f64).min(f64::from(c))),
    }
    .solve()?;
    let w = response(levels.mean_level() / lambda, 1.0 / mu)?;
    let found: f64 = levels
        .tail_by_phase()
        .iter()
        .zip([rate1, rate2])
        .map(|(p, r)| p * r)
        .sum();
    Ok(Solved {
        w,
        wq: (w - 1.0 / mu).max(0.0),
        p_wait: (found / lambda).max(0.0),
    })
}

/// M/PH/c for a phase-type service of order 2.
///
/// # Errors
/// [`Domain`] for bad parameters, another order, or ρ ≥ 1.
pub fn mph2_c(lambda: f64, service: &Ph, c: u32) -> Result<Solved, Domain> {
    positive("lambda", lambda)?;
    if service.order() != 2 {
        return Err(Domain::undefined("the chain is written for two phases"));
    }
    let es = positive("E[S]", service.moment(1)?)?;
    stable(lambda * es / count("c", c, BUSY_MAX)?)?;
    let busy = Busy {
        workers: c as usize,
        lambda,
        service,
        exit: service.exit(),
    };
    let chain = LevelChain {
        phases: busy.workers + 1,
        homogeneous: busy.workers,
        up: &|n| busy.up(n),
        local: &|n| busy.local(n),
        down: &|n| busy.down(n),
    };
    let levels = chain.solve()?;
    let w = response(levels.mean_level() / lambda, es)?;
    Ok(Solved {
        w,
        wq: (w - es).max(0.0),
        p_wait: levels.tail_by_phase().iter().sum::<f64>().max(0.0),
    })
}

/// Most workers of MMPP(2)/M/c: the chain keeps a small matrix for each.
const LEVELS_MAX: u32 = 10_000;

/// Most workers of M/PH₂/c: the chain inverts a matrix of their number for each of them.
const BUSY_MAX: u32 = 64;

/// A response time, which is no shorter than the service unless rates that lie too far apart, or
/// a load too near 1, have eaten the digits of the solution.
fn response(w: f64, es: f64) -> Result<f64, Domain> {
    if w.is_finite() && w >= es * (1.0 - 1e-6) {
        return Ok(w);
    }
    Err(Domain::undefined(
        "the chain cannot be solved with so extreme rates",
    ))
}

/// Rates of M/PH₂/c; the phase j counts the busy workers in phase 1.
struct Busy<'a> {
    workers: usize,
    lambda: f64,
    service: &'a Ph,
    exit: Vec<f64>,
}

impl Busy<'_> {
    fn empty(&self) -> Matrix {
        Matrix::zeros(self.workers + 1, self.workers + 1)
    }

    /// An arrival: it starts at once while a worker is idle.
    fn up(&self, n: usize) -> Matrix {
        let mut m = self.empty();
        let first = self.service.alpha[0];
        for j in 0..=self.workers {
            if n >= self.workers || j > n {
                m.set(j, j, self.lambda);
            } else {
                m.set(j, j + 1, self.lambda * first);
                m.add_to(j, j, self.lambda * (1.0 - first));
            }
        }
        m
    }

    /// A worker changes its phase.
    fn local(&self, n: usize) -> Matrix {
        let mut m = self.empty();
        let working = n.min(self.workers);
        for j in 0..=self.workers {
            if j > working {
                m.set(j, 0, 1.0); // not reachable; only keeps the matrices regular
                continue;
            }
            if j > 0 {
                m.set(j, j - 1, j as f64 * self.service.t.at(0, 1));
            }
            if j < working {
                m.set(j, j + 1, (working - j) as f64 * self.service.t.at(1, 0));
            }
        }
        m
    }

    /// A service ends; above `workers` present, the next one starts in its place.
    fn down(&self, n: usize) -> Matrix {
        let mut m = self.empty();
        let working = n.min(self.workers);
        let refill = if n > self.workers {
            self.service.alpha[0]
        } else {
            0.0
        };
        for j in 0..=working {
            let (one, two) = (j as f64 * self.exit[0], (working - j) as f64 * self.exit[1]);
            if j > 0 {
                m.add_to(j, j - 1, one * (1.0 - refill));
            }
            m.add_to(j, j, one * refill + two * (1.0 - refill));
            if j < self.workers {
                m.add_to(j, j + 1, two * refill);
            }
        }
        m
    }
}
