//! Two stations in series with a bounded second one: M/M/1 → ·/M/1/B, block after service.
//!
//! A job that finds B (including the one in service) at the second station stays at the first and
//! blocks its worker. Solved as a level chain: level = jobs at the first, phase = jobs at the
//! second or "blocked". Perros, "Queueing Networks with Blocking" (1994), chapter 3.
//! Rates in 1/s, times in seconds. With equal rates the first station saturates at μ(B+1)/(B+2).

use serde::{Deserialize, Serialize};

use crate::error::{Domain, PHASES_MAX, count, positive};
use crate::level_chain::LevelChain;
use crate::numeric::matrix::Matrix;

/// Solution of a blocking tandem.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tandem {
    /// Mean time through both stations, seconds.
    pub t: f64,
    /// Share of time the first worker is blocked.
    pub time_blocked: f64,
    /// Share of jobs that block the first worker.
    pub jobs_blocked: f64,
}

/// The blocking tandem; `b` counts the place in service of the second station.
///
/// # Errors
/// [`Domain`] for bad parameters or a rate at or above [`tandem_capacity`].
pub fn tandem(lambda: f64, mu1: f64, mu2: f64, b: u32) -> Result<Tandem, Domain> {
    positive("lambda", lambda)?;
    let capacity = tandem_capacity(mu1, mu2, b)?;
    crate::error::stable(lambda / capacity)?;
    let full = b as usize;
    let blocked = full + 1;
    let phases = full + 2;
    let up = Matrix::identity(phases).scaled(lambda);
    let local = |n: usize| {
        let mut m = Matrix::zeros(phases, phases);
        for k in 1..=full {
            m.set(k, k - 1, mu2);
        }
        if n > 0 {
            m.set(full, blocked, mu1);
        } else {
            m.set(blocked, full, 1.0); // not reachable; only keeps the matrices regular
        }
        m
    };
    let mut down = Matrix::zeros(phases, phases);
    for k in 0..full {
        down.set(k, k + 1, mu1);
    }
    down.set(blocked, full, mu2);
    let chain = LevelChain {
        phases,
        homogeneous: 1,
        up: &|_| up.clone(),
        local: &local,
        down: &|_| down.clone(),
    };
    let levels = chain.solve()?;
    let second = |phase: usize| phase.min(full) as f64;
    if levels.mean_level().is_nan() || levels.mean_level() < 0.0 {
        return Err(Domain::undefined(
            "the chain cannot be solved with so extreme rates",
        ));
    }
    let downstream = levels.expect(|_, k| second(k), second);
    let time_blocked = levels.expect(|_, k| f64::from(k == blocked), |k| f64::from(k == blocked));
    let about_to_block = levels.expect(|_, _| 0.0, |k| f64::from(k == full));
    Ok(Tandem {
        t: (levels.mean_level() + downstream) / lambda,
        time_blocked: time_blocked.max(0.0),
        jobs_blocked: (mu1 * about_to_block / lambda).max(0.0),
    })
}

/// Largest sustainable rate of the tandem, 1/s.
///
/// # Errors
/// [`Domain::Argument`] for rates that are not positive.
pub fn tandem_capacity(mu1: f64, mu2: f64, b: u32) -> Result<f64, Domain> {
    positive("mu1", mu1)?;
    positive("mu2", mu2)?;
    count("b", b, PHASES_MAX)?;
    // With the first station never idle the second is a birth-death chain of b+2 states.
    let p = crate::birth_death::stationary(b + 1, |_| mu1, |_| mu2);
    Ok(mu1 * (1.0 - p.last().copied().unwrap_or(0.0)))
}
