//! The life cycle of an event as an absorbing Markov chain.
//!
//! N = (I-Q)⁻¹ (expected visits), B = NR (absorption), t = N·1 (mean steps), variance
//! (2N-I)t - t∘t; with mean stays m (seconds) the mean time to absorption is N·m.
//! Kemeny & Snell, "Finite Markov Chains" (1960), chapter III. Solved by LU, never by powers.
//! I-Q is singular exactly when some transient states have no way out: an event loop without exit.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, non_negative, probability};
use crate::numeric::matrix::Matrix;

/// Solution of an absorbing chain; row i starts in transient state i.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Absorbing {
    /// Expected visits N.
    pub visits: Matrix,
    /// Probabilities of ending in each absorbing state, B.
    pub absorbed: Matrix,
    /// Mean number of steps.
    pub steps: Vec<f64>,
    /// Variance of the number of steps.
    pub steps_variance: Vec<f64>,
}

/// Solves the chain with transient part Q and absorbing part R.
///
/// # Errors
/// [`Domain`] when a row is not a probability row or the chain has a loop without exit.
pub fn absorbing(q: &Matrix, r: &Matrix) -> Result<Absorbing, Domain> {
    for i in 0..q.rows() {
        q.row(i)
            .iter()
            .chain(r.row(i))
            .try_for_each(|&p| probability("p", p).map(|_| ()))?;
        let sum: f64 = q.row(i).iter().chain(r.row(i)).sum();
        if (sum - 1.0).abs() > 1e-9 {
            return Err(Domain::Argument {
                name: format!("sum of row {i}"),
                value: sum,
            });
        }
    }
    let visits = Matrix::identity(q.rows())
        .plus(q, -1.0)
        .inverse()
        .map_err(|_| Domain::singular("I-Q: a loop of events without exit"))?;
    let steps = visits.apply(&vec![1.0; q.rows()]);
    let steps_variance = visits
        .apply(&steps)
        .iter()
        .zip(&steps)
        .map(|(nt, t)| 2.0 * nt - t - t * t)
        .collect();
    Ok(Absorbing {
        absorbed: visits.times(r),
        visits,
        steps,
        steps_variance,
    })
}

impl Absorbing {
    /// Mean time to absorption from each state, seconds, with mean stays `stay`.
    pub fn time(&self, stay: &[f64]) -> Vec<f64> {
        self.visits.apply(stay)
    }

    /// Mean time to absorption from each state among those that end in absorbing state `end`.
    ///
    /// Conditioning on the end j turns P_il into P_il·B_lj/B_ij; visits become N_il·B_lj/B_ij.
    pub fn time_given(&self, stay: &[f64], end: usize) -> Vec<f64> {
        let n = self.visits.rows();
        (0..n)
            .map(|i| {
                let reach = self.absorbed.at(i, end);
                let sum: f64 = (0..n)
                    .zip(stay)
                    .map(|(l, m)| self.visits.at(i, l) * self.absorbed.at(l, end) * m)
                    .sum();
                sum / reach
            })
            .collect()
    }
}

/// What becomes of an event at one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// Probability of being consumed in the end.
    pub consumed: f64,
    /// Probability of becoming a dead letter.
    pub dead: f64,
    /// Expected attempts.
    pub attempts: f64,
    /// Mean time to the end, seconds.
    pub time: f64,
    /// Mean time to the end of those consumed, seconds.
    pub time_to_consumed: f64,
}

/// The life of an event whose attempts fail with probability `p`; an attempt stays `stay` seconds
/// (wait and service), attempt k+1 follows after `delays[k-1]` seconds.
///
/// # Errors
/// [`Domain::Argument`] when p is not a probability.
pub fn life(p: f64, stay: f64, delays: &[f64]) -> Result<Life, Domain> {
    probability("p", p)?;
    non_negative("stay", stay)?;
    // States: attempt 1, back-off 1, attempt 2, back-off 2, …, attempt n. Ends: consumed, dead.
    let states = 2 * delays.len() + 1;
    let (mut q, mut r) = (Matrix::zeros(states, states), Matrix::zeros(states, 2));
    let mut stays = vec![stay];
    for (k, delay) in delays.iter().enumerate() {
        q.set(2 * k, 2 * k + 1, p);
        q.set(2 * k + 1, 2 * k + 2, 1.0);
        r.set(2 * k, 0, 1.0 - p);
        stays.extend([*delay, stay]);
    }
    r.set(states - 1, 0, 1.0 - p);
    r.set(states - 1, 1, p);
    let chain = absorbing(&q, &r)?;
    Ok(Life {
        consumed: chain.absorbed.at(0, 0),
        dead: chain.absorbed.at(0, 1),
        attempts: (0..states).step_by(2).map(|i| chain.visits.at(0, i)).sum(),
        time: chain.time(&stays).first().copied().unwrap_or(0.0),
        time_to_consumed: chain.time_given(&stays, 0).first().copied().unwrap_or(0.0),
    })
}

/// 95 % Jeffreys interval of a probability, `hits` out of `trials`: Beta(½+k, ½+n-k).
///
/// # Errors
/// [`Domain::Argument`] when hits exceed trials.
pub fn jeffreys(hits: u64, trials: u64) -> Result<(f64, f64), Domain> {
    use statrs::distribution::{Beta, ContinuousCDF};
    let (k, n) = (hits as f64, trials as f64);
    non_negative("trials - hits", n - k)?;
    let beta = Beta::new(0.5 + k, 0.5 + n - k)
        .map_err(|_| Domain::undefined("the beta distribution of the counts"))?;
    let lo = if hits == 0 {
        0.0
    } else {
        beta.inverse_cdf(0.025)
    };
    let hi = if hits == trials {
        1.0
    } else {
        beta.inverse_cdf(0.975)
    };
    Ok((lo, hi))
}
