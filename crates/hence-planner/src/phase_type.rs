//! Phase-type distributions: the time to absorption of a small Markov chain.
//!
//! Tail P(S > t) = α·e^{Tt}·1, moments E\[Sᵏ\] = k!·α(-T)⁻ᵏ·1. Times in seconds, rates in 1/s.
//! Neuts, "Matrix-Geometric Solutions in Stochastic Models" (1981), chapter 2. Evaluated by
//! uniformisation (only positive terms), so tails keep their relative accuracy.
#![allow(
    clippy::indexing_slicing,
    reason = "every index is below the order of the chain"
)]

use serde::{Deserialize, Serialize};

use crate::error::{Domain, PHASES_MAX, positive};
use crate::numeric::matrix::{Matrix, dot};
use crate::numeric::root;

/// A phase-type distribution (α, T); mass missing from α is an atom at 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ph {
    /// Initial probabilities of the phases.
    pub alpha: Vec<f64>,
    /// Rates between the phases; rows sum to minus the exit rate.
    pub t: Matrix,
}

impl Ph {
    /// Exponential with the given rate.
    pub fn exponential(rate: f64) -> Self {
        Self {
            alpha: vec![1.0],
            t: Matrix::from_rows(&[vec![-rate]]),
        }
    }

    /// k equal exponential phases in series.
    pub fn erlang(k: u32, mean: f64) -> Self {
        let n = k.max(1) as usize;
        let rate = n as f64 / mean;
        let mut t = Matrix::zeros(n, n);
        for i in 0..n {
            t.set(i, i, -rate);
            if i + 1 < n {
                t.set(i, i + 1, rate);
            }
        }
        let mut alpha = vec![0.0; n];
        alpha[0] = 1.0;
        Self { alpha, t }
    }

    /// A mixture of two exponentials.
    pub fn hyper2(p: f64, mean1: f64, mean2: f64) -> Self {
        let t = Matrix::from_rows(&[vec![-1.0 / mean1, 0.0], vec![0.0, -1.0 / mean2]]);
        Self {
            alpha: vec![p, 1.0 - p],
            t,
        }
    }

    /// The usual two-moment fit: exponential, balanced hyperexponential (SCV > 1), or a mixture of
    /// Erlang-(k-1) and Erlang-k (SCV < 1; Tijms 2003, appendix B). Order is at most `1/scv + 1`.
    ///
    /// # Errors
    /// [`Domain::Argument`] for a mean or SCV that is not positive, or an SCV below
    /// 1/[`PHASES_MAX`].
    pub fn from_two_moments(mean: f64, scv: f64) -> Result<Self, Domain> {
        positive("mean", mean)?;
        positive("scv", scv)?;
        if (scv - 1.0).abs() < 1e-12 {
            return Ok(Self::exponential(1.0 / mean));
        }
        if scv > 1.0 {
            let p = 0.5 * (1.0 + ((scv - 1.0) / (scv + 1.0)).sqrt());
            return Ok(Self::hyper2(p, mean / (2.0 * p), mean / (2.0 * (1.0 - p))));
        }
        if scv * f64::from(PHASES_MAX) < 1.0 {
            return Err(Domain::undefined(format!(
                "a variation of {scv} needs more than {PHASES_MAX} phases: take it for constant"
            )));
        }
        let k = (1.0 / scv).ceil().max(2.0);
        let p = (k * scv - (k * (1.0 + scv) - k * k * scv).max(0.0).sqrt()) / (1.0 + scv);
        let rate = (k - p) / mean;
        let mut ph = Self::erlang(k as u32, k / rate);
        ph.alpha[0] = 1.0 - p;
        ph.alpha[1] = p;
        Ok(ph)
    }

    /// Number of phases.
    pub fn order(&self) -> usize {
        self.alpha.len()
    }

    /// Exit rates t⁰ = -T·1.
    pub fn exit(&self) -> Vec<f64> {
        (0..self.order())
            .map(|i| -self.t.row(i).iter().sum::<f64>())
            .collect()
    }

    /// E\[Sᵏ\].
    ///
    /// # Errors
    /// [`Domain::Singular`] when some phase never ends.
    pub fn moment(&self, k: u32) -> Result<f64, Domain> {
        let minus = self.t.scaled(-1.0);
        let mut v = vec![1.0; self.order()];
        let mut factorial = 1.0;
        for i in 1..=k {
            v = minus.solve_vec(&v)?;
            factorial *= f64::from(i);
        }
        Ok(factorial * dot(&self.alpha, &v))
    }

    /// P(S > t).
    pub fn tail(&self, t: f64) -> f64 {
        self.evolve(t).iter().sum()
    }

    /// Density at t.
    pub fn density(&self, t: f64) -> f64 {
        dot(&self.evolve(t), &self.exit())
    }

    /// The t with P(S > t) = 1 - p.
    ///
    /// # Errors
    /// [`Domain`] when p is 1 or the chain never ends.
    pub fn quantile(&self, p: f64) -> Result<f64, Domain> {
        root::quantile(
            |t| self.tail(t),
            1.0 - p,
            self.moment(1)?.max(f64::MIN_POSITIVE),
        )
    }

    /// E\[e^{xS}\]; `None` at or beyond the radius of convergence.
    pub fn mgf(&self, x: f64) -> Option<f64> {
        let mut m = self.t.scaled(-1.0);
        for i in 0..self.order() {
            m.add_to(i, i, -x);
        }
        let v = m.solve_vec(&self.exit()).ok()?;
        let value = dot(&self.alpha, &v) + (1.0 - self.alpha.iter().sum::<f64>()).max(0.0);
        let inside = v.iter().all(|&u| u >= 0.0) && value.is_finite();
        (inside || x <= 0.0).then_some(value)
    }

    /// Phase probabilities α·e^{Tt} at time t.
    ///
    /// In pieces of time whose series has few terms; where they are many, e^{Tt} is the short
    /// piece's matrix squared again and again. Only positive terms are added either way, and the
    /// relative error is about 10⁻¹⁶ for each jump of the fastest phase.
    fn evolve(&self, t: f64) -> Vec<f64> {
        let n = self.order();
        let rate = (0..n).fold(0.0, |m: f64, i| m.max(-self.t.at(i, i)));
        let jumps = rate * t;
        if jumps.is_nan() || jumps <= 0.0 {
            return self.alpha.clone();
        }
        let step = self.t.scaled(1.0 / rate).plus(&Matrix::identity(n), 1.0);
        let pieces = (jumps / JUMPS).ceil();
        if pieces <= PIECES_MAX {
            let start = Matrix::from_rows(std::slice::from_ref(&self.alpha));
            let short = |v: Matrix, _| series(&v, &step, jumps / pieces);
            let end = (0..pieces as u32).fold(start, short);
            return end.row(0).to_vec();
        }
        let squares = pieces.log2().ceil();
        let short = series(&Matrix::identity(n), &step, jumps / squares.exp2());
        let whole = (0..squares as u32).fold(short, |power, _| bounded(power.times(&power)));
        whole.apply_left(&self.alpha)
    }
}

/// Mean jumps of the uniformised chain in a piece of time: e^{-JUMPS} is far from vanishing.
const JUMPS: f64 = 40.0;

/// Most pieces of time that are walked one by one.
const PIECES_MAX: f64 = 64.0;

/// Rows that sum to more than 1 by rounding, scaled back: squared often they would explode.
fn bounded(mut m: Matrix) -> Matrix {
    for i in 0..m.rows() {
        let sum: f64 = m.row(i).iter().sum();
        if sum > 1.0 {
            for j in 0..m.cols() {
                let v = m.at(i, j) / sum;
                m.set(i, j, v);
            }
        }
    }
    m
}

/// Σ e^{-m}mᵏ/k!·start·stepᵏ.
fn series(start: &Matrix, step: &Matrix, mean: f64) -> Matrix {
    let mut weight = (-mean).exp();
    let mut term = start.clone();
    let mut sum = start.scaled(weight);
    let last = (mean + 12.0 * mean.sqrt() + 40.0) as u32;
    for k in 1..=last {
        term = term.times(step);
        weight *= mean / f64::from(k);
        sum = sum.plus(&term, weight);
    }
    sum
}
