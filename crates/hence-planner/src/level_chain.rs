//! Markov chains by levels (quasi-birth-death processes): the CTMC engine.
//!
//! A level is the number in the station, a phase everything else. π_{n+1} = π_nR_n; from the
//! homogeneous level on R = A₀(-(A₁+A₀G))⁻¹ with G by logarithmic reduction; below it
//! R_{n-1} = A₀(-(A₁+R_nA₂))⁻¹. Latouche & Ramaswami, "Introduction to Matrix Analytic Methods"
//! (1999), chapters 8 and 12. Rates in 1/s. Accuracy about 1e-10.

use crate::error::Domain;
use crate::numeric::matrix::{Matrix, dot};

/// Rates of a level chain; from `homogeneous` on, levels repeat.
pub struct LevelChain<'a> {
    /// Phases per level.
    pub phases: usize,
    /// First level whose rates repeat for ever; its neighbours' blocks have the same shape.
    pub homogeneous: usize,
    /// Rates from level n to n+1.
    pub up: &'a dyn Fn(usize) -> Matrix,
    /// Rates within level n; the diagonal is ignored.
    pub local: &'a dyn Fn(usize) -> Matrix,
    /// Rates from level n to n-1; not asked for n = 0.
    pub down: &'a dyn Fn(usize) -> Matrix,
}

/// Stationary distribution of a level chain.
#[derive(Debug, Clone)]
pub struct Levels {
    /// Probabilities by level and phase, up to the homogeneous level.
    pub pi: Vec<Vec<f64>>,
    /// Rate matrix of the geometric tail.
    r: Matrix,
    /// (I-R)⁻¹.
    sum: Matrix,
}

impl LevelChain<'_> {
    /// Solves for the stationary distribution.
    ///
    /// # Errors
    /// [`Domain::Singular`] or [`Domain::Undefined`] when the chain is not stable.
    pub fn solve(&self) -> Result<Levels, Domain> {
        let top = self.homogeneous;
        let (a0, a2) = ((self.up)(top), (self.down)(top + 1));
        let a1 = self.with_diagonal(top + 1);
        let g = first_passage(&a0, &a1, &a2)?;
        let rest = a1.plus(&a0.times(&g), 1.0).scaled(-1.0);
        let r = a0.times(&rest.inverse()?);
        let identity = Matrix::identity(self.phases);
        let sum = identity.plus(&r, -1.0).inverse()?;
        let mut ratios = vec![r.clone()];
        for n in (1..=top).rev() {
            let next = ratios
                .last()
                .ok_or_else(|| Domain::singular("the ratio of levels"))?;
            let s = self
                .with_diagonal(n)
                .plus(&next.times(&(self.down)(n + 1)), 1.0);
            ratios.push((self.up)(n - 1).times(&s.scaled(-1.0).inverse()?));
        }
        ratios.reverse();
        let first = ratios
            .first()
            .ok_or_else(|| Domain::singular("the ratio of levels"))?;
        let s0 = self
            .with_diagonal(0)
            .plus(&first.times(&(self.down)(1)), 1.0);
        let mut pi = vec![null_vector(&s0)?];
        for ratio in ratios.iter().take(top) {
            let next = pi.last().map(|p| ratio.apply_left(p)).unwrap_or_default();
            pi.push(next);
        }
        let mut levels = Levels { pi, r, sum };
        let total = levels.expect(|_, _| 1.0, |_| 1.0);
        if !(total.is_finite() && total > 0.0) {
            return Err(Domain::undefined(
                "the chain has no stationary distribution",
            ));
        }
        levels.pi.iter_mut().flatten().for_each(|p| *p /= total);
        Ok(levels)
    }

    fn with_diagonal(&self, n: usize) -> Matrix {
        let mut m = (self.local)(n);
        let up = (self.up)(n);
        let down = (n > 0).then(|| (self.down)(n));
        for i in 0..self.phases {
            m.set(i, i, 0.0);
            let row = |m: &Matrix| m.row(i).iter().sum::<f64>();
            let out = row(&m) + row(&up) + down.as_ref().map_or(0.0, row);
            m.set(i, i, -out);
        }
        m
    }
}

impl Levels {
    /// Σ over explicit levels of f(level, phase)·π, plus the tail's mass weighted by phase.
    ///
    /// The last explicit level and all above it are weighted by `tail(phase)`.
    pub fn expect(&self, f: impl Fn(usize, usize) -> f64, tail: impl Fn(usize) -> f64) -> f64 {
        let explicit = self.pi.len().saturating_sub(1);
        let low: f64 = self
            .pi
            .iter()
            .take(explicit)
            .enumerate()
            .flat_map(|(n, level)| level.iter().enumerate().map(move |(j, p)| (n, j, p)))
            .map(|(n, j, p)| f(n, j) * p)
            .sum();
        low + self
            .tail_by_phase()
            .iter()
            .enumerate()
            .map(|(j, p)| tail(j) * p)
            .sum::<f64>()
    }

    /// Mean level.
    pub fn mean_level(&self) -> f64 {
        let explicit = self.pi.len().saturating_sub(1);
        let base = self.expect(|n, _| n as f64, |_| explicit as f64);
        let ones = vec![1.0; self.r.rows()];
        let above = self.r.apply(&self.sum.apply(&self.sum.apply(&ones)));
        base + self.pi.last().map_or(0.0, |last| dot(last, &above))
    }

    /// Mass of the last explicit level and all above it, by phase.
    pub fn tail_by_phase(&self) -> Vec<f64> {
        self.pi
            .last()
            .map(|last| self.sum.apply_left(last))
            .unwrap_or_default()
    }
}

/// G: where the chain enters the level below, by logarithmic reduction (quadratic convergence).
fn first_passage(a0: &Matrix, a1: &Matrix, a2: &Matrix) -> Result<Matrix, Domain> {
    let inverse = a1.scaled(-1.0).inverse()?;
    let mut up = inverse.times(a0);
    let mut down = inverse.times(a2);
    let mut g = down.clone();
    let mut factor = up.clone();
    let identity = Matrix::identity(a0.rows());
    for _ in 0..64 {
        let mixed = up.times(&down).plus(&down.times(&up), 1.0);
        let inverse = identity.plus(&mixed, -1.0).inverse()?;
        up = inverse.times(&up.times(&up));
        down = inverse.times(&down.times(&down));
        let add = factor.times(&down);
        g = g.plus(&add, 1.0);
        factor = factor.times(&up);
        if add.max_abs() < 1e-16 {
            break;
        }
    }
    Ok(g)
}

/// The probability vector with x·m = 0.
fn null_vector(m: &Matrix) -> Result<Vec<f64>, Domain> {
    let n = m.rows();
    let mut a = m.transpose();
    let mut b = vec![0.0; n];
    for j in 0..n {
        a.set(n - 1, j, 1.0);
    }
    if let Some(last) = b.last_mut() {
        *last = 1.0;
    }
    a.solve_vec(&b)
}
