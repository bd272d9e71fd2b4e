//! Advice for the controls of the runtime: bounds, knees, priorities, budgets.
//!
//! * Bounded queue: the largest K of M/M/c/K with P(T > deadline | accepted) ≤ x.
//! * Concurrency: N* of the scalability law, or (ΣD+Z)/D_max of a closed loop.
//! * `auto` priority: the cμ rule, order by weight/E\[S\] (Cox & Smith 1961), optimal for linear
//!   costs without preemption in M/G/1.
//! * Retry budget: what keeps the attempts below capacity when everything fails.
//! * CoDel: target max(5 ms, 3·E\[S\]) (after Nichols & Jacobson 2012; see S16 for why).

use serde::{Deserialize, Serialize};

use crate::error::{Domain, WORKERS_MAX, positive, probability, workers};
use crate::mmck::mmck;

/// Places (including those in service) such that at most the share `late` of the accepted events
/// takes longer than `deadline`, at offered rate `lambda`.
///
/// # Errors
/// [`Domain::Undefined`] when even without waiting too many are late.
pub fn queue_bound(lambda: f64, mu: f64, c: u32, deadline: f64, late: f64) -> Result<u32, Domain> {
    positive("deadline", deadline)?;
    probability("late", late)?;
    let good = |k: u32| mmck(lambda, mu, c, k).map(|q| q.response_tail(deadline) <= late);
    if !good(c)? {
        return Err(Domain::undefined(
            "service alone exceeds the deadline too often",
        ));
    }
    // Accepted work never exceeds K services: from K = cμ·deadline·4 on the answer is no.
    let most = c + (4.0 * f64::from(c) * mu * deadline).ceil().min(1e5) as u32;
    if good(most)? {
        return Ok(most);
    }
    let (mut lo, mut hi) = (c, most);
    while hi - lo > 1 {
        let mid = lo + (hi - lo) / 2;
        if good(mid)? { lo = mid } else { hi = mid }
    }
    Ok(lo)
}

/// A class for the cμ rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Costed {
    /// Its name.
    pub name: String,
    /// Cost of a second of waiting of one event.
    pub weight: f64,
    /// Mean service time, seconds.
    pub es: f64,
}

/// Names by falling weight/E\[S\]: the first should be served first.
///
/// # Errors
/// [`Domain::Argument`] for a service time that is not positive.
pub fn c_mu_order(classes: &[Costed]) -> Result<Vec<String>, Domain> {
    for class in classes {
        positive("es", class.es)?;
    }
    let mut sorted: Vec<&Costed> = classes.iter().collect();
    sorted.sort_by(|a, b| (b.weight / b.es).total_cmp(&(a.weight / a.es)));
    Ok(sorted.into_iter().map(|class| class.name.clone()).collect())
}

/// Names with their classes by the cμ rule, class 0 first served; equal weight/E\[S\] share one.
///
/// # Errors
/// [`Domain::Argument`] for a service time that is not positive.
pub fn c_mu_classes(classes: &[Costed]) -> Result<Vec<(String, u32)>, Domain> {
    let order = c_mu_order(classes)?;
    let ratio = |name: &String| {
        let found = classes.iter().find(|class| class.name == *name);
        found.map_or(0.0, |class| class.weight / class.es)
    };
    let mut class = 0;
    let mut last: Option<f64> = None;
    let numbered = order.into_iter().map(|name| {
        let here = ratio(&name);
        if last.is_some_and(|last| (here / last - 1.0).abs() > 1e-9) {
            class += 1;
        }
        last = Some(here);
        (name, class)
    });
    Ok(numbered.collect())
}

/// The largest retries per new event that a station at `lambda` can bear with `reserve` to spare.
///
/// # Errors
/// [`Domain`] for rates that are not positive.
pub fn retry_budget(lambda: f64, mu: f64, c: u32, reserve: f64) -> Result<f64, Domain> {
    positive("lambda", lambda)?;
    positive("mu", mu)?;
    probability("reserve", reserve)?;
    let capacity = workers(c)? * mu * (1.0 - reserve);
    Ok((capacity / lambda - 1.0).max(0.0))
}

/// CoDel's target for a service time, seconds.
pub fn codel_target(es: f64) -> f64 {
    (3.0 * es).max(0.005)
}

/// Bounds for adaptive concurrency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Concurrency {
    /// Never below: what the load needs.
    pub least: u32,
    /// Where to start: the square-root rule a + √a.
    pub initial: u32,
    /// Never above: the knee of the scalability law.
    pub most: u32,
}

/// Bounds for an offered load of `a` erlang and a knee `peak` (infinite when unknown).
///
/// # Errors
/// [`Domain::Undefined`] when the load needs more than the knee.
pub fn concurrency(a: f64, peak: f64) -> Result<Concurrency, Domain> {
    positive("a", a)?;
    if a >= f64::from(WORKERS_MAX) {
        return Err(Domain::undefined(format!(
            "{a} erlang need more than {WORKERS_MAX} handlers"
        )));
    }
    let least = a.floor() as u32 + 1;
    let most = if peak.is_finite() {
        peak.floor().max(1.0) as u32
    } else {
        16 * least
    };
    if least > most {
        return Err(Domain::undefined(format!(
            "the load needs {least} handlers, but beyond {most} throughput falls"
        )));
    }
    let initial = (a + a.sqrt()).ceil() as u32;
    Ok(Concurrency {
        least,
        initial: initial.clamp(least, most),
        most,
    })
}
