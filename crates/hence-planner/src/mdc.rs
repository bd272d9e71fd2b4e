//! M/D/c: Poisson arrivals, constant service D, c workers; exact by the embedded chain.
//!
//! Seen every D seconds the number present obeys N' = (N-c)⁺ + Poisson(λD), whose stationary law
//! is also that of any time (Crommelin 1932; Tijms, "A First Course in Stochastic Models" (2003),
//! §9.6.2). Iterated to a fixed point, truncation mass below 1e-14. Times in seconds; ρ ≤ 0.995.
#![allow(
    clippy::indexing_slicing,
    reason = "state vectors; every index is below their length"
)]

use serde::{Deserialize, Serialize};

use crate::error::{Domain, count, positive, stable};

/// Solution of M/D/c.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mdc {
    /// Mean wait, seconds.
    pub wq: f64,
    /// Probability that an arrival waits.
    pub p_wait: f64,
}

/// The M/D/c queue with constant service `d`.
///
/// # Errors
/// [`Domain`] for bad parameters, ρ ≥ 1, or a load so near 1 that the chain is too long (> 0.995).
pub fn mdc(lambda: f64, d: f64, c: u32) -> Result<Mdc, Domain> {
    positive("lambda", lambda)?;
    positive("d", d)?;
    let a = lambda * d;
    let rho = a / count("c", c, WORKERS_MAX)?;
    stable(rho)?;
    if rho > 0.995 {
        return Err(Domain::undefined(
            "M/D/c by iteration needs rho ≤ 0.995; use Whitt's formula",
        ));
    }
    let c = c as usize;
    let poisson = poisson_weights(a);
    // P(N > n) falls like e^{-2(1-ρ)n} or faster: 40 e-folds put the rest below 1e-16.
    let last = c + poisson.len() + (20.0 / (1.0 - rho)) as usize + 40;
    let mut p = vec![0.0; last + 1];
    p[0] = 1.0;
    for _ in 0..200_000 {
        let next = step(&p, &poisson, c);
        let moved: f64 = p.iter().zip(&next).map(|(x, y)| (x - y).abs()).sum();
        p = next;
        if moved < 1e-15 * (1.0 - rho) {
            break;
        }
    }
    let waiting = (0..).zip(p[c..].iter());
    let lq: f64 = waiting.map(|(n, p)| f64::from(n) * p).sum();
    Ok(Mdc {
        wq: lq / lambda,
        p_wait: p[c..].iter().sum(),
    })
}

/// Most workers: a step of the iteration costs their square.
const WORKERS_MAX: u32 = 500;

fn step(p: &[f64], poisson: &[f64], c: usize) -> Vec<f64> {
    let mut next = vec![0.0; p.len()];
    let idle: f64 = p[..=c].iter().sum();
    let left = std::iter::once(idle).chain(p[c + 1..].iter().copied());
    for (n, mass) in left.enumerate() {
        if mass > 0.0 {
            for (x, w) in next[n..].iter_mut().zip(poisson) {
                *x += mass * w;
            }
        }
    }
    let sum: f64 = next.iter().sum();
    next.iter_mut().for_each(|x| *x /= sum);
    next
}

fn poisson_weights(a: f64) -> Vec<f64> {
    let last = (a + 12.0 * a.sqrt() + 30.0) as u32;
    let mut log = -a;
    (0..=last)
        .map(|k| {
            if k > 0 {
                log += (a / f64::from(k)).ln();
            }
            log.exp()
        })
        .collect()
}
