//! Leaving out the start: MSER-5.
//!
//! Truncate where the marginal standard error of the rest is smallest, on means of five:
//! d* = argmin Σ_{i>d}(Y_i - Ȳ_d)²/(n-d)², d ≤ n/2. White, Cobb & Spratt (WSC 2000).

use serde::{Deserialize, Serialize};

/// What is left out at the start of every replication.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmUp {
    /// Nothing.
    None,
    /// This many seconds.
    Seconds(f64),
    /// This share of the horizon.
    Share(f64),
    /// As much as MSER-5 finds in a pilot run.
    Mser5,
}

/// Number of leading values to leave out.
pub fn mser5(series: &[f64]) -> usize {
    let means: Vec<f64> = series
        .chunks_exact(5)
        .map(|five| five.iter().sum::<f64>() / 5.0)
        .collect();
    let n = means.len();
    let (mut sum, mut squares, mut best, mut at) = (0.0, 0.0, f64::INFINITY, 0);
    for (d, y) in means.iter().enumerate().rev() {
        sum += y;
        squares += y * y;
        let kept = (n - d) as f64;
        let error = (squares - sum * sum / kept) / (kept * kept);
        if d <= n / 2 && error < best {
            (best, at) = (error, d);
        }
    }
    5 * at
}
