//! What happens on the way: draining a backlog, growing into saturation, a bounded queue filling.
//!
//! Drain: t = N₀/(cμ-λ), variance ≈ N₀(ca²λ+cs²cμ)/(cμ-λ)³ (inverse Gaussian; Cox & Miller 1965).
//! Saturation: Holt's linear forecast of λ(t) (Holt 1957) with its prediction interval; the first
//! t with λ(t) = ρ_max·cμ. Overload: L(t) ≈ (λ-cμ)t, a bound of K is hit at K/(λ-cμ).
//! Rates in 1/s, times in seconds.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, non_negative, positive};

/// Mean and 95 % band of a duration, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Mean.
    pub mean: f64,
    /// Lower end of the band.
    pub lo: f64,
    /// Upper end of the band; infinite when it may never happen.
    pub hi: f64,
}

/// Time to drain a backlog of `n0`, with `capacity` = cμ.
///
/// # Errors
/// [`Domain::Unstable`] when arrivals are as fast as the capacity.
pub fn drain(n0: f64, lambda: f64, capacity: f64, ca2: f64, cs2: f64) -> Result<Span, Domain> {
    non_negative("n0", n0)?;
    non_negative("lambda", lambda)?;
    positive("capacity", capacity)?;
    non_negative("ca2", ca2)?;
    non_negative("cs2", cs2)?;
    crate::error::stable(lambda / capacity)?;
    let spare = capacity - lambda;
    let mean = n0 / spare;
    let sd = (n0 * (ca2 * lambda + cs2 * capacity) / spare.powi(3)).sqrt();
    Ok(Span {
        mean,
        lo: (mean - 1.96 * sd).max(0.0),
        hi: mean + 1.96 * sd,
    })
}

/// Time until a queue with `places` left is full under overload, seconds; `None` without overload.
///
/// # Errors
/// [`Domain::Argument`] for negative values.
pub fn time_to_full(places: f64, lambda: f64, capacity: f64) -> Result<Option<f64>, Domain> {
    non_negative("places", places)?;
    non_negative("lambda", lambda)?;
    positive("capacity", capacity)?;
    Ok((lambda > capacity).then(|| places / (lambda - capacity)))
}

/// A linear forecast of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Level at the last observation, 1/s.
    pub level: f64,
    /// Trend, 1/s per second.
    pub trend: f64,
    /// Standard deviation of the one-step error, 1/s.
    pub sd: f64,
    /// Seconds between observations.
    pub step: f64,
    /// Smoothing constants of level and trend.
    pub smoothing: (f64, f64),
}

/// Holt's double exponential smoothing of rates seen every `step` seconds.
///
/// # Errors
/// [`Domain`] for fewer than eight observations.
pub fn holt(rates: &[f64], step: f64) -> Result<Forecast, Domain> {
    positive("step", step)?;
    for &rate in rates {
        non_negative("rate", rate)?;
    }
    let grid = [0.05, 0.1, 0.2, 0.4, 0.7];
    let mut best: Option<Forecast> = None;
    for alpha in grid {
        for beta in grid {
            let candidate = smooth(rates, step, alpha, beta)?;
            if best.is_none_or(|b| candidate.sd < b.sd) {
                best = Some(candidate);
            }
        }
    }
    best.ok_or_else(|| Domain::undefined("no smoothing constants"))
}

fn smooth(rates: &[f64], step: f64, alpha: f64, beta: f64) -> Result<Forecast, Domain> {
    let [first, second, rest @ ..] = rates else {
        return Err(Domain::undefined(
            "a forecast needs at least eight observations",
        ));
    };
    if rest.len() < 6 {
        return Err(Domain::undefined(
            "a forecast needs at least eight observations",
        ));
    }
    let (mut level, mut trend, mut squares) = (*second, second - first, 0.0);
    for x in rest {
        let error = x - (level + trend);
        squares += error * error;
        let next = level + trend + alpha * error;
        trend += beta * (next - level - trend);
        level = next;
    }
    let sd = (squares / rest.len() as f64).sqrt();
    Ok(Forecast {
        level,
        trend: trend / step,
        sd,
        step,
        smoothing: (alpha, beta),
    })
}

impl Forecast {
    /// Forecast `t` seconds ahead with its 95 % prediction interval, 1/s.
    pub fn at(&self, t: f64) -> Span {
        let (alpha, beta) = self.smoothing;
        let h = (t / self.step).max(1.0);
        // Variance of h steps of Holt's method: 1 + Σ_{j<h}(α(1+jβ))² (Hyndman & al. 2008, §6.3).
        let n = h - 1.0;
        let ab = alpha * beta;
        let growth = n * alpha * alpha
            + alpha * ab * n * (n + 1.0)
            + ab * ab * n * (n + 1.0) * (2.0 * n + 1.0) / 6.0;
        let half = 1.96 * self.sd * (1.0 + growth).sqrt();
        let mean = (self.level + self.trend * t).max(0.0);
        Span {
            mean,
            lo: (mean - half).max(0.0),
            hi: mean + half,
        }
    }

    /// Seconds until the rate reaches `limit` (= ρ_max·cμ); `None` when it does not grow to it
    /// within `horizon` seconds even at the upper end of the interval.
    pub fn time_to(&self, limit: f64, horizon: f64) -> Option<Span> {
        let first = |value: &dyn Fn(Span) -> f64| {
            (0..=2000)
                .map(|i| horizon * f64::from(i) / 2000.0)
                .find(|&t| value(self.at(t)) >= limit)
        };
        let lo = first(&|s| s.hi)?;
        let mean = first(&|s| s.mean).unwrap_or(f64::INFINITY);
        let hi = first(&|s| s.lo).unwrap_or(f64::INFINITY);
        Some(Span { mean, lo, hi })
    }
}
