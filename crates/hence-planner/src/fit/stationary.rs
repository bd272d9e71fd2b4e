//! Did it change while we measured? CUSUM tests.
//!
//! S_k = Σ_{i≤k}(x_i - x̄); under stationarity max|S_k|/(σ√n) follows Kolmogorov's law, 1.63 at
//! 1 %. σ² comes from neighbours' differences over blocks, so burstiness does not look like a
//! change. Page, Biometrika 41 (1954) 100; Csörgő & Horváth (1997), chapter 2.

use crate::fit::dispersion;

const ONE_PER_CENT: f64 = 1.63;

/// Position of a change in the mean of a series with standard deviation `sd`.
pub fn change(values: &[f64], sd: f64) -> Option<usize> {
    let n = values.len();
    if n < 16 || sd.is_nan() || sd <= 0.0 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let mut sum = 0.0;
    let (mut most, mut at) = (0.0_f64, 0);
    for (i, x) in values.iter().enumerate() {
        sum += x - mean;
        if sum.abs() > most {
            (most, at) = (sum.abs(), i + 1);
        }
    }
    (most / (sd * (n as f64).sqrt()) > ONE_PER_CENT).then_some(at)
}

/// Position of a change of rate in counts of neighbouring windows.
///
/// The variance grows with the largest IDC found over windows up to a sixteenth of the series.
pub fn change_in_counts(counts: &[u64]) -> Option<usize> {
    let values: Vec<f64> = counts.iter().map(|c| *c as f64).collect();
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let longest = counts.len() as f64 / 16.0;
    let idc = dispersion::curve(counts, 1.0)
        .into_iter()
        .filter(|(w, _)| *w <= longest)
        .map(|(_, idc)| idc)
        .fold(1.0_f64, f64::max);
    change(&values, (mean * idc).sqrt())
}

/// Two-window test: z of the difference of two rates with IDC-inflated variance.
pub fn rate_ratio_z(before: (u64, f64), after: (u64, f64), idc: f64) -> f64 {
    let rate = |(n, t): (u64, f64)| n as f64 / t;
    let variance = |(n, t): (u64, f64)| n as f64 * idc / (t * t);
    (rate(after) - rate(before)) / (variance(before) + variance(after)).sqrt()
}
