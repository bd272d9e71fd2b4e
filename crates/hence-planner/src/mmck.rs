//! M/M/c/K: a bounded queue that rejects when full.
//!
//! p_n ∝ Π λ/(μ·min(n,c)), n ≤ K (K **includes** those in service); rejected share p_K;
//! λ_acc = λ(1-p_K); W = L/λ_acc. Valid at any load, also ρ ≥ 1. Rates 1/s, times seconds.
//! Gross & Harris, "Fundamentals of Queueing Theory", §2.5.

use serde::{Deserialize, Serialize};

use crate::birth_death::{expect, stationary};
use crate::error::{Domain, STATES_MAX, positive, workers};
use crate::numeric::root;

/// Solution of an M/M/c/K queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mmck {
    /// Arrival rate, 1/s.
    pub lambda: f64,
    /// Service rate of one worker, 1/s.
    pub mu: f64,
    /// Workers.
    pub c: u32,
    /// Probabilities of 0..=K in the station.
    pub p: Vec<f64>,
}

/// The M/M/c/K queue; `k_total` counts places including those in service.
///
/// # Errors
/// [`Domain::Argument`] for rates that are not positive, K < c or K above [`STATES_MAX`].
pub fn mmck(lambda: f64, mu: f64, c: u32, k_total: u32) -> Result<Mmck, Domain> {
    positive("lambda", lambda)?;
    positive("mu", mu)?;
    let servers = workers(c)?;
    if k_total < c || k_total > STATES_MAX {
        return Err(Domain::Argument {
            name: "k_total".into(),
            value: f64::from(k_total),
        });
    }
    let p = stationary(k_total, |_| lambda, |n| mu * n.min(servers));
    Ok(Mmck { lambda, mu, c, p })
}

impl Mmck {
    /// Share of arrivals rejected, p_K.
    pub fn reject(&self) -> f64 {
        self.p.last().copied().unwrap_or(0.0)
    }

    /// Accepted rate, 1/s: what is served, where λ(1-p_K) would cancel in deep overload.
    pub fn accepted(&self) -> f64 {
        let c = f64::from(self.c);
        self.mu * expect(&self.p, |n| n.min(c))
    }

    /// Mean number in the station.
    pub fn l(&self) -> f64 {
        expect(&self.p, |n| n)
    }

    /// Mean number waiting.
    pub fn lq(&self) -> f64 {
        let c = f64::from(self.c);
        expect(&self.p, |n| (n - c).max(0.0))
    }

    /// Mean response time of those accepted, seconds.
    pub fn w(&self) -> f64 {
        self.l() / self.accepted()
    }

    /// P(T > t | accepted): a mixture of Erlang waits and one service.
    pub fn response_tail(&self, t: f64) -> f64 {
        let (mu, c) = (self.mu, f64::from(self.c));
        let places = self.p.len().saturating_sub(1);
        let accepted: f64 = self.p.iter().take(places).sum();
        // An arrival that finds n ≥ c waits for n-c+1 departures, each after an exponential of cμ.
        let mut tail = 0.0;
        for (n, p) in self.p.iter().take(places).enumerate() {
            let stages = (n as f64 - c + 1.0).max(0.0) as u32;
            tail += p * erlang_then_exp(stages, c * mu, mu, t);
        }
        tail / accepted
    }

    /// The p-quantile of the response time of those accepted, seconds.
    ///
    /// # Errors
    /// [`Domain`] when p is not below 1.
    pub fn response_quantile(&self, p: f64) -> Result<f64, Domain> {
        root::quantile(|t| self.response_tail(t), 1.0 - p, 1.0 / self.mu)
    }
}

/// P(E + S > t), E Erlang with `stages` of `rate`, S exponential of rate `mu`.
fn erlang_then_exp(stages: u32, rate: f64, mu: f64, t: f64) -> f64 {
    if stages == 0 {
        return (-mu * t).exp();
    }
    if t <= 0.0 {
        return 1.0;
    }
    let k = f64::from(stages);
    let waiting = 1.0 - lower(k, rate * t);
    if (rate - mu).abs() < 1e-9 * rate {
        return 1.0 - lower(k + 1.0, rate * t);
    }
    let log = k * (rate / (rate - mu)).ln() - mu * t;
    waiting + log.exp() * lower(k, (rate - mu) * t)
}

/// The regularised lower incomplete gamma function, with its limits at 0 and infinity.
fn lower(k: f64, x: f64) -> f64 {
    if x <= 0.0 {
        0.0
    } else if x.is_finite() {
        statrs::function::gamma::gamma_lr(k, x)
    } else {
        1.0
    }
}
