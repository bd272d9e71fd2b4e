//! Erlang A (M/M/c+M): callers who give up, events that expire while they wait.
//!
//! Death rate μ·min(n,c) + θ(n-c)⁺; P(abandon) = θLq/λ. Always stable for θ > 0.
//! Rates in 1/s (θ: rate of patience, 1/mean patience), times in seconds. Truncated where the
//! probability falls below 1e-16 of the largest. Palm (1957); Garnett, Mandelbaum & Reiman,
//! M&SOM 4 (2002) 208-227.

use serde::{Deserialize, Serialize};

use crate::birth_death::{expect, stationary};
use crate::error::{Domain, STATES_MAX, positive, workers};

/// Solution of an Erlang A queue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ErlangA {
    /// Share that leaves before service.
    pub abandon: f64,
    /// Mean wait of all arrivals, seconds.
    pub wq: f64,
    /// Mean number waiting.
    pub lq: f64,
    /// Mean number in the station.
    pub l: f64,
    /// Probability that an arrival waits.
    pub p_wait: f64,
}

/// The Erlang A queue with abandonment rate θ.
///
/// # Errors
/// [`Domain::Argument`] for rates that are not positive.
pub fn erlang_a(lambda: f64, mu: f64, c: u32, theta: f64) -> Result<ErlangA, Domain> {
    positive("lambda", lambda)?;
    positive("mu", mu)?;
    positive("theta", theta)?;
    let servers = workers(c)?;
    let death = |n: f64| mu * n.min(servers) + theta * (n - servers).max(0.0);
    // Beyond `balance` deaths exceed births; from twice there the ratio is below 1/2 … 60 e-folds.
    let balance = servers + (lambda / theta).max((lambda - servers * mu).max(0.0) / theta);
    let states = balance + 60.0 + 12.0 * balance.sqrt();
    if states > f64::from(STATES_MAX) {
        return Err(Domain::undefined(format!(
            "so little patience needs more than {STATES_MAX} states: use M/M/c"
        )));
    }
    let last = states as u32;
    let p = stationary(last, |_| lambda, death);
    let lq = expect(&p, |n| (n - servers).max(0.0));
    Ok(ErlangA {
        abandon: theta * lq / lambda,
        wq: lq / lambda,
        lq,
        l: expect(&p, |n| n),
        p_wait: expect(&p, |n| f64::from(n >= servers)),
    })
}
