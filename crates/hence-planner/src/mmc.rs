//! Erlang B, Erlang C and M/M/c.
//!
//! 1/B(c) = 1 + (c/a)/B(c-1), B(0) = 1, a = λ/μ erlang; C = B/(1-ρ(1-B));
//! Wq = C/(cμ-λ); P(Wq > t) = Ce^{-θt}, θ = cμ-λ;
//! P(T > t) = e^{-μt} + Cμ/(θ-μ)·(e^{-μt}-e^{-θt}). Rates 1/s, times seconds.
//! Valid for any a (B), for ρ < 1 (C and M/M/c). The inverse recursion adds positive terms only,
//! so it neither overflows nor cancels (tested to c = 10,000).
//! Erlang (1917); Gross & Harris, "Fundamentals of Queueing Theory", §2.3-2.5.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, non_negative, positive, stable, workers};
use crate::numeric::root;

/// Erlang B: probability that a call finds all `c` servers busy at `a` erlang, without queue.
///
/// # Errors
/// [`Domain::Argument`] for a negative load.
pub fn erlang_b(c: u32, a: f64) -> Result<f64, Domain> {
    non_negative("a", a)?;
    if c > 0 {
        workers(c)?;
    }
    if a == 0.0 {
        return Ok(f64::from(c == 0));
    }
    let inverse = (1..=c).fold(1.0, |inverse, k| 1.0 + f64::from(k) / a * inverse);
    Ok(1.0 / inverse)
}

/// The smallest number of servers with Erlang B at most `blocking`.
///
/// # Errors
/// [`Domain::Argument`] for a load or a probability that is not positive.
pub fn servers_for_blocking(a: f64, blocking: f64) -> Result<u32, Domain> {
    positive("a", a)?;
    positive("blocking", blocking)?;
    let (mut inverse, mut c) = (1.0_f64, 0_u32);
    while 1.0 / inverse > blocking {
        c += 1;
        workers(c)?;
        inverse = 1.0 + f64::from(c) / a * inverse;
    }
    Ok(c)
}

/// Erlang C: probability that an arrival waits.
///
/// # Errors
/// [`Domain`] for negative load, no server, or ρ ≥ 1.
pub fn erlang_c(c: u32, a: f64) -> Result<f64, Domain> {
    let rho = non_negative("a", a)? / workers(c)?;
    stable(rho)?;
    let b = erlang_b(c, a)?;
    Ok(b / (1.0 - rho * (1.0 - b)))
}

/// A stable M/M/c queue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mmc {
    /// Arrival rate, 1/s.
    pub lambda: f64,
    /// Service rate of one worker, 1/s.
    pub mu: f64,
    /// Workers.
    pub c: u32,
    /// Probability of waiting, Erlang C.
    pub p_wait: f64,
}

/// The M/M/c queue with these rates and workers.
///
/// # Errors
/// [`Domain`] for negative rates, no worker, or ρ ≥ 1.
pub fn mmc(lambda: f64, mu: f64, c: u32) -> Result<Mmc, Domain> {
    non_negative("lambda", lambda)?;
    positive("mu", mu)?;
    // By the same product as θ: rounding must not leave a stable queue without spare capacity.
    stable(lambda / (workers(c)? * mu))?;
    let p_wait = erlang_c(c, lambda / mu)?;
    Ok(Mmc {
        lambda,
        mu,
        c,
        p_wait,
    })
}

impl Mmc {
    /// Rate θ = cμ-λ at which the wait's tail decays, 1/s.
    pub fn theta(&self) -> f64 {
        f64::from(self.c) * self.mu - self.lambda
    }

    /// Utilisation ρ.
    pub fn rho(&self) -> f64 {
        self.lambda / (f64::from(self.c) * self.mu)
    }

    /// Mean wait Wq, seconds.
    pub fn wq(&self) -> f64 {
        self.p_wait / self.theta()
    }

    /// Mean response time W, seconds.
    pub fn w(&self) -> f64 {
        self.wq() + 1.0 / self.mu
    }

    /// Mean number waiting.
    pub fn lq(&self) -> f64 {
        self.lambda * self.wq()
    }

    /// Mean number in the station.
    pub fn l(&self) -> f64 {
        self.lambda * self.w()
    }

    /// P(Wq > t).
    pub fn wait_tail(&self, t: f64) -> f64 {
        self.p_wait * (-self.theta() * t).exp()
    }

    /// P(T > t), T the response time.
    pub fn response_tail(&self, t: f64) -> f64 {
        let (mu, theta) = (self.mu, self.theta());
        let served = (-mu * t).exp();
        let gap = (theta - mu).abs();
        if gap < 1e-8 * mu {
            return served * (1.0 + self.p_wait * mu * t);
        }
        // The slower exponential stands in front, so that no factor grows with t.
        let slower = (-theta.min(mu) * t).exp();
        served + self.p_wait * mu * slower * -(-gap * t).exp_m1() / gap
    }

    /// The p-quantile of the wait, seconds; 0 when that share never waits.
    pub fn wait_quantile(&self, p: f64) -> f64 {
        ((self.p_wait / (1.0 - p)).ln() / self.theta()).max(0.0)
    }

    /// The p-quantile of the response time, seconds.
    ///
    /// # Errors
    /// [`Domain`] when p is not below 1.
    pub fn response_quantile(&self, p: f64) -> Result<f64, Domain> {
        root::quantile(|t| self.response_tail(t), 1.0 - p, 1.0 / self.mu)
    }
}
