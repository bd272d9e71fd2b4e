//! Small dense matrices: LU with partial pivoting, products, inverse.
//!
//! Golub & Van Loan, "Matrix Computations" (2013), §3.4. Meant for orders up to a few hundred.
#![allow(
    clippy::indexing_slicing,
    reason = "dense kernels; every index is below the order"
)]

use serde::{Deserialize, Serialize};

use crate::error::Domain;

/// A dense row-major matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f64>,
}

impl Matrix {
    /// Zeros.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self {
            rows,
            cols,
            data: vec![0.0; rows * cols],
        }
    }

    /// The identity.
    pub fn identity(n: usize) -> Self {
        let mut m = Self::zeros(n, n);
        for i in 0..n {
            m.set(i, i, 1.0);
        }
        m
    }

    /// From rows of equal length; missing entries are 0.
    pub fn from_rows(rows: &[Vec<f64>]) -> Self {
        let cols = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut m = Self::zeros(rows.len(), cols);
        for (i, row) in rows.iter().enumerate() {
            for (j, &v) in row.iter().enumerate() {
                m.set(i, j, v);
            }
        }
        m
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Entry (i, j).
    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.data[i * self.cols + j]
    }

    /// Sets entry (i, j).
    pub fn set(&mut self, i: usize, j: usize, value: f64) {
        self.data[i * self.cols + j] = value;
    }

    /// Adds to entry (i, j).
    pub fn add_to(&mut self, i: usize, j: usize, value: f64) {
        self.data[i * self.cols + j] += value;
    }

    /// Row i.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// The transpose.
    pub fn transpose(&self) -> Self {
        let mut m = Self::zeros(self.cols, self.rows);
        for i in 0..self.rows {
            for j in 0..self.cols {
                m.set(j, i, self.at(i, j));
            }
        }
        m
    }

    /// Product with another matrix.
    pub fn times(&self, other: &Self) -> Self {
        let mut m = Self::zeros(self.rows, other.cols);
        for i in 0..self.rows {
            for k in 0..self.cols {
                let v = self.at(i, k);
                if v != 0.0 {
                    for j in 0..other.cols {
                        m.data[i * other.cols + j] += v * other.data[k * other.cols + j];
                    }
                }
            }
        }
        m
    }

    /// `self + scale·other`.
    pub fn plus(&self, other: &Self, scale: f64) -> Self {
        let data = self
            .data
            .iter()
            .zip(&other.data)
            .map(|(a, b)| a + scale * b)
            .collect();
        Self {
            rows: self.rows,
            cols: self.cols,
            data,
        }
    }

    /// Every entry times `factor`.
    pub fn scaled(&self, factor: f64) -> Self {
        let data = self.data.iter().map(|a| a * factor).collect();
        Self {
            rows: self.rows,
            cols: self.cols,
            data,
        }
    }

    /// `self · x` for a column vector.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        (0..self.rows).map(|i| dot(self.row(i), x)).collect()
    }

    /// `x · self` for a row vector.
    pub fn apply_left(&self, x: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.cols];
        for (i, &v) in x.iter().enumerate().take(self.rows) {
            if v != 0.0 {
                for (o, a) in out.iter_mut().zip(self.row(i)) {
                    *o += v * a;
                }
            }
        }
        out
    }

    /// Largest absolute entry.
    pub fn max_abs(&self) -> f64 {
        self.data.iter().fold(0.0, |m, v| m.max(v.abs()))
    }

    /// Solution X of `self · X = b`.
    ///
    /// # Errors
    /// [`Domain::Singular`].
    pub fn solve(&self, b: &Self) -> Result<Self, Domain> {
        let n = self.rows;
        let mut a = self.clone();
        let mut x = b.clone();
        let scale = self.max_abs();
        for k in 0..n {
            let pivot = (k..n).max_by(|&i, &j| a.at(i, k).abs().total_cmp(&a.at(j, k).abs()));
            let pivot = pivot.unwrap_or(k);
            if a.at(pivot, k).abs().is_nan() || a.at(pivot, k).abs() <= scale * 1e-14 {
                return Err(Domain::singular("the system of linear equations"));
            }
            if pivot != k {
                a.swap_rows(pivot, k);
                x.swap_rows(pivot, k);
            }
            for i in k + 1..n {
                let factor = a.at(i, k) / a.at(k, k);
                if factor != 0.0 {
                    a.eliminate(i, k, factor);
                    x.eliminate(i, k, factor);
                }
            }
        }
        for k in (0..n).rev() {
            let d = a.at(k, k);
            for j in 0..x.cols {
                let known: f64 = (k + 1..n).map(|i| a.at(k, i) * x.at(i, j)).sum();
                x.set(k, j, (x.at(k, j) - known) / d);
            }
        }
        Ok(x)
    }

    /// Solution x of `self · x = b` for one right-hand side.
    ///
    /// # Errors
    /// [`Domain::Singular`].
    pub fn solve_vec(&self, b: &[f64]) -> Result<Vec<f64>, Domain> {
        let columns: Vec<Vec<f64>> = b.iter().map(|&v| vec![v]).collect();
        Ok(self.solve(&Self::from_rows(&columns))?.data)
    }

    /// The inverse.
    ///
    /// # Errors
    /// [`Domain::Singular`].
    pub fn inverse(&self) -> Result<Self, Domain> {
        self.solve(&Self::identity(self.rows))
    }

    fn swap_rows(&mut self, i: usize, j: usize) {
        for k in 0..self.cols {
            self.data.swap(i * self.cols + k, j * self.cols + k);
        }
    }

    fn eliminate(&mut self, i: usize, k: usize, factor: f64) {
        for j in 0..self.cols {
            let v = self.at(k, j);
            self.add_to(i, j, -factor * v);
        }
    }
}

/// Inner product.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
