//! The life cycle of an event as an absorbing Markov chain.
//!
//! N = (I-Q)⁻¹ (expected visits), B = NR (absorption), t = N·1 (mean steps), variance
//! (2N-I)t - t∘t; with mean stays m (seconds) the mean time to absorption is N·m.
//! Kemeny & Snell, "Finite Markov Chains" (1960), chapter III. Solved by LU, never by powers.
//! I-Q is singular exactly when some transient states have no way out: an event loop without exit.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, non_negative, probability};
use crate::model::{Emission, Model};
use crate::numeric::matrix::Matrix;
use crate::numeric::root;

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

    /// Mean time to absorption from each state among those that end in absorbing state `end`;
    /// infinite from a state that never does.
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
                if reach > 0.0 {
                    sum / reach
                } else {
                    f64::INFINITY
                }
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
    /// Mean time to the end of those consumed, seconds; infinite when none is.
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
    for &delay in delays {
        non_negative("delay", delay)?;
    }
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

/// How one attempt ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Chances {
    /// Probability that it fails and may be tried again.
    pub fail: f64,
    /// Probability that it is rejected for good.
    pub reject: f64,
    /// Probability that an event expires before its first attempt.
    pub expire: f64,
}

/// What becomes of an event, and how much work it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fate {
    /// Probability of being consumed.
    pub consumed: f64,
    /// Probability of becoming a dead letter; of a journey, dead letters per event.
    pub dead: f64,
    /// Probability of expiring; of a journey, deliveries per event that do.
    pub expired: f64,
    /// Expected attempts.
    pub attempts: f64,
}

/// What becomes of an event with at most `attempts` attempts.
///
/// # Errors
/// [`Domain::Argument`] when the chances are no probabilities.
pub fn fate(chances: Chances, attempts: u32) -> Result<Fate, Domain> {
    let Chances {
        fail,
        reject,
        expire,
    } = chances;
    probability("chances of an attempt", fail + reject)?;
    // States: arrived, attempt 1 … n. Ends: consumed, dead, expired. Beyond sixty-four attempts
    // nothing that a number can hold is left.
    let n = attempts.clamp(1, 64) as usize;
    let (mut q, mut r) = (Matrix::zeros(n + 1, n + 1), Matrix::zeros(n + 1, 3));
    q.set(0, 1, 1.0 - expire);
    r.set(0, 2, expire);
    for k in 1..=n {
        let last = k == n;
        r.set(k, 0, 1.0 - fail - reject);
        r.set(k, 1, if last { reject + fail } else { reject });
        if !last {
            q.set(k, k + 1, fail);
        }
    }
    let chain = absorbing(&q, &r)?;
    Ok(Fate {
        consumed: chain.absorbed.at(0, 0),
        dead: chain.absorbed.at(0, 1),
        expired: chain.absorbed.at(0, 2),
        attempts: (1..=n).map(|k| chain.visits.at(0, k)).sum(),
    })
}

/// What becomes of the events of each source over all stations: `consumed` is the probability that
/// every delivery on the way is, which copies that go apart make a product of. Stations that
/// `fates` does not know lose nothing.
///
/// # Errors
/// [`Domain`] for an inconsistent model or a loop without exit.
pub fn journeys(
    model: &Model,
    fates: &std::collections::BTreeMap<String, Fate>,
) -> Result<Vec<Fate>, Domain> {
    model.check()?;
    let n = model.stations.len();
    let whole = Fate {
        consumed: 1.0,
        dead: 0.0,
        expired: 0.0,
        attempts: 1.0,
    };
    let of = |i: usize| {
        let station = model.stations.get(i);
        station
            .and_then(|s| fates.get(&s.name))
            .copied()
            .unwrap_or(whole)
    };
    // Visits of later stations, as absorbing chains have them: only what is consumed goes on.
    let mut q = Matrix::zeros(n, n);
    for (i, station) in model.stations.iter().enumerate() {
        for branch in station.emits.iter().flatten() {
            if let Some(j) = model.station(&branch.to) {
                q.add_to(i, j, of(i).consumed * branch.p);
            }
        }
    }
    // Probability that all goes well from a station on, by iteration: x = f·Π(1 - Σp(1 - x)).
    let mut well = vec![1.0; n];
    let through = |emits: &[Emission], well: &[f64]| -> f64 {
        let loss = |branch: &crate::model::Branch| {
            let x = model.station(&branch.to).and_then(|j| well.get(j));
            branch.p * (1.0 - x.copied().unwrap_or(1.0))
        };
        emits
            .iter()
            .map(|emission| 1.0 - emission.iter().map(loss).sum::<f64>())
            .product()
    };
    for _ in 0..ROUNDS_MAX {
        let next: Vec<f64> = (model.stations.iter().enumerate())
            .map(|(i, station)| of(i).consumed * through(&station.emits, &well))
            .collect();
        let moved = next.iter().zip(&well).map(|(a, b)| (a - b).abs());
        let moved = moved.fold(0.0, f64::max);
        well = next;
        if moved < 1e-12 {
            break;
        }
    }
    let sources = model.sources.iter().map(|source| {
        let mut gamma = vec![0.0; n];
        for branch in source.emits.iter().flatten() {
            if let Some(rate) = model.station(&branch.to).and_then(|j| gamma.get_mut(j)) {
                *rate += branch.p;
            }
        }
        let visits = crate::network::jackson::traffic(&gamma, &q)?;
        let sum = |of_fate: fn(&Fate) -> f64| -> f64 {
            let all = visits.iter().enumerate();
            all.map(|(i, visits)| visits * of_fate(&of(i))).sum()
        };
        Ok(Fate {
            consumed: through(&source.emits, &well),
            dead: sum(|fate| fate.dead),
            expired: sum(|fate| fate.expired),
            attempts: sum(|fate| fate.attempts),
        })
    });
    sources.collect()
}

/// Rounds of the iteration for journeys that go in circles.
const ROUNDS_MAX: usize = 1_000;

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
    // Where both counts are large the interval is that of the normal distribution, and the
    // continued fraction behind the beta distribution no longer ends.
    if k.min(n - k) >= MANY {
        let (p, half) = (k / n, 1.96 * (k / n * (1.0 - k / n) / n).sqrt());
        return Ok((p - half, p + half));
    }
    let (mean, scale) = ((0.5 + k) / (1.0 + n), (10.0 + 10.0 * k) / (1.0 + n));
    let at = |share: f64, lo: f64, hi: f64| root::brent(|x| beta.cdf(x) - share, lo, hi);
    let lo = if hits == 0 {
        0.0
    } else {
        at(0.025, 0.0, mean)?
    };
    let hi = if hits == trials {
        1.0
    } else {
        at(0.975, mean, scale.min(1.0))?
    };
    Ok((lo, hi))
}

/// From so many hits and misses on, the interval of a probability is that of the normal law.
const MANY: f64 = 1_000.0;
