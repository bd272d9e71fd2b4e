//! M/G/1: Poisson arrivals, any service distribution, one worker, first come first served.
//!
//! Pollaczek-Khinchine: Wq = λE\[S²\]/(2(1-ρ)); E\[Wq²\] = 2Wq² + λE\[S³\]/(3(1-ρ)).
//! Decay rate η: the root of λ(E\[e^{ηS}\]-1) = η, exists for light tails only.
//! Exact distribution for phase-type service (β, T), t⁰ = -T·1:
//! P(Wq > t) = ρβ_e·exp((T+ρt⁰β_e)t)·1, β_e = β(-T)⁻¹/E\[S\]; the response is a longer chain.
//! Valid for ρ < 1. Kleinrock I (1975), §5.6-5.7; Neuts (1981), theorem 3.2.1.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, non_negative, positive, stable};
use crate::numeric::matrix::Matrix;
use crate::phase_type::Ph;
use crate::service::Dist;

/// Moments of a stable M/G/1 queue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mg1 {
    /// Arrival rate, 1/s.
    pub lambda: f64,
    /// Utilisation ρ.
    pub rho: f64,
    /// Mean service time, seconds.
    pub es: f64,
    /// Mean wait, seconds; infinite when E\[S²\] is.
    pub wq: f64,
    /// E\[Wq²\], seconds²; infinite when E\[S³\] is.
    pub wq2: f64,
}

/// The M/G/1 queue at rate λ with this service time.
///
/// # Errors
/// [`Domain`] for bad parameters or ρ ≥ 1.
pub fn mg1(lambda: f64, service: &Dist) -> Result<Mg1, Domain> {
    service.check()?;
    let es = service.mean();
    let scv = service.scv();
    let mut queue = mg1_moments(lambda, es, scv)?;
    let third = service.moment(3);
    queue.wq2 = if queue.rho > 0.0 {
        2.0 * queue.wq.powi(2) + lambda * third / (3.0 * (1.0 - queue.rho))
    } else {
        0.0
    };
    Ok(queue)
}

/// The M/G/1 queue from mean and SCV alone; `wq2` is NaN, it needs a third moment.
///
/// # Errors
/// [`Domain`] for bad parameters or ρ ≥ 1.
pub fn mg1_moments(lambda: f64, es: f64, scv: f64) -> Result<Mg1, Domain> {
    non_negative("lambda", lambda)?;
    positive("es", es)?;
    // The SCV of a heavy tail is infinite, and so is its wait.
    if scv != f64::INFINITY {
        non_negative("scv", scv)?;
    }
    let rho = lambda * es;
    stable(rho)?;
    // Nobody waits where nobody comes, however heavy the tail.
    let wq = if rho > 0.0 {
        rho * es * (1.0 + scv) / (2.0 * (1.0 - rho))
    } else {
        0.0
    };
    Ok(Mg1 {
        lambda,
        rho,
        es,
        wq,
        wq2: f64::NAN,
    })
}

impl Mg1 {
    /// Mean response time W, seconds.
    pub fn w(&self) -> f64 {
        self.wq + self.es
    }

    /// Standard deviation of the wait, seconds.
    pub fn wait_sd(&self) -> f64 {
        (self.wq2 - self.wq * self.wq).sqrt()
    }
}

/// Decay rate η of the wait's tail, 1/s.
///
/// # Errors
/// [`Domain::Undefined`] for a heavy tail, [`Domain::Unstable`] for ρ ≥ 1.
pub fn decay_rate(lambda: f64, service: &Dist) -> Result<f64, Domain> {
    positive("lambda", lambda)?;
    service.check()?;
    stable(lambda * service.mean())?;
    if !service.is_light_tailed() {
        return Err(Domain::undefined(
            "the service time has no exponential tail",
        ));
    }
    let excess = |x: f64| service.mgf(x).map(|m| lambda * (m - 1.0) - x);
    first_crossing(excess, 1.0 / service.mean())
}

/// The x > 0 where a function that starts out negative becomes positive or stops to exist.
pub(crate) fn first_crossing(f: impl Fn(f64) -> Option<f64>, scale: f64) -> Result<f64, Domain> {
    let below = |x: f64| f(x).is_some_and(|v| v < 0.0);
    let (mut lo, mut hi) = (0.0, scale);
    while below(hi) {
        lo = hi;
        hi *= 2.0;
        if !hi.is_finite() {
            return Err(Domain::undefined(
                "no decay rate: the service time is bounded away",
            ));
        }
    }
    for _ in 0..200 {
        let mid = 0.5 * (lo + hi);
        // Near 0 the function is negative but drowns in rounding: only a clear sign moves `lo`.
        if below(mid) { lo = mid } else { hi = mid }
    }
    Ok(0.5 * (lo + hi))
}

/// Wait and response of M/PH/1 as phase-type distributions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mph1 {
    /// The wait; its atom at 0 is 1-ρ.
    pub wait: Ph,
    /// Wait plus service.
    pub response: Ph,
}

/// Exact wait and response distributions of M/PH/1.
///
/// # Errors
/// [`Domain`] for bad parameters or ρ ≥ 1.
pub fn mph1(lambda: f64, service: &Ph) -> Result<Mph1, Domain> {
    non_negative("lambda", lambda)?;
    let n = service.order();
    let es = service.moment(1)?;
    let rho = lambda * es;
    stable(rho)?;
    let sojourn = service
        .t
        .scaled(-1.0)
        .transpose()
        .solve_vec(&service.alpha)?;
    let equilibrium: Vec<f64> = sojourn.iter().map(|v| v / es).collect();
    let exit = service.exit();
    let mut t = service.t.clone();
    let mut both = Matrix::zeros(2 * n, 2 * n);
    for (i, &out) in exit.iter().enumerate() {
        for (j, &e) in equilibrium.iter().enumerate() {
            t.add_to(i, j, rho * out * e);
        }
    }
    for (i, &out) in exit.iter().enumerate() {
        for (j, &b) in service.alpha.iter().enumerate() {
            both.set(i, j, t.at(i, j));
            both.set(i, n + j, (1.0 - rho) * out * b);
            both.set(n + i, n + j, service.t.at(i, j));
        }
    }
    let waiting: Vec<f64> = equilibrium.iter().map(|v| v * rho).collect();
    let start = waiting
        .iter()
        .copied()
        .chain(service.alpha.iter().map(|b| b * (1.0 - rho)))
        .collect();
    Ok(Mph1 {
        wait: Ph { alpha: waiting, t },
        response: Ph {
            alpha: start,
            t: both,
        },
    })
}
