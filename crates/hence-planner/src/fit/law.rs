//! Which family a histogram looks like: likelihood on bins, BIC.
//!
//! BIC = k·ln n - 2·ln L, smaller is better (Schwarz 1978). A label and an aid to extrapolation;
//! the engines use the histogram itself. `distance` is the largest difference of the CDFs.

use serde::{Deserialize, Serialize};

use crate::histogram::Hist;
use crate::phase_type::Ph;
use crate::service::Dist;

/// A family with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Fitted by moments.
    pub dist: Dist,
    /// Bayesian information criterion.
    pub bic: f64,
    /// Kolmogorov distance to the histogram.
    pub distance: f64,
}

/// Candidate families by BIC, the best first.
pub fn rank(hist: &Hist) -> Vec<Label> {
    let mean = hist.moment(1);
    let scv = hist.moment(2) / (mean * mean) - 1.0;
    let mut candidates = vec![(Dist::Exp { mean }, 1.0)];
    if scv < 1e-4 {
        return vec![Label {
            dist: Dist::Det { mean },
            bic: f64::NEG_INFINITY,
            distance: 0.0,
        }];
    }
    if scv < 1.0 {
        let k = (1.0 / scv).round().clamp(1.0, 200.0) as u32;
        candidates.push((Dist::Erlang { k, mean }, 2.0));
    }
    if scv > 1.0 {
        candidates.push((Dist::balanced_h2(mean, scv), 2.0));
        // Moments of Lomax: scv = α/(α-2).
        let alpha = 2.0 * scv / (scv - 1.0);
        candidates.push((Dist::Lomax { alpha, mean }, 2.0));
    }
    candidates.push((log_normal(hist, mean, scv), 2.0));
    let n = hist.count() as f64;
    let mut labels: Vec<Label> = candidates
        .into_iter()
        .map(|(dist, parameters)| {
            let (log_likelihood, distance) = compare(hist, &dist);
            Label {
                bic: parameters * n.ln() - 2.0 * log_likelihood,
                distance,
                dist,
            }
        })
        .collect();
    labels.sort_by(|a, b| a.bic.total_cmp(&b.bic));
    labels
}

/// Log-normal by the moments of the logarithm, its maximum likelihood fit.
fn log_normal(hist: &Hist, mean: f64, scv: f64) -> Dist {
    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for bin in hist.bins.iter().filter(|b| b.lo > 0.0) {
        let (count, log) = (bin.count as f64, (bin.lo * bin.hi).sqrt().ln());
        n += count;
        sum += count * log;
        squares += count * log * log;
    }
    if n < 1.0 {
        return Dist::LogNormal { mean, scv };
    }
    let mu = sum / n;
    let variance = (squares / n - mu * mu).max(1e-9);
    Dist::LogNormal {
        mean: (mu + 0.5 * variance).exp(),
        scv: variance.exp_m1(),
    }
}

fn compare(hist: &Hist, dist: &Dist) -> (f64, f64) {
    let n = hist.count() as f64;
    let (mut log, mut distance, mut below) = (0.0, 0.0_f64, 0.0);
    for bin in &hist.bins {
        let inside = (dist.tail(bin.lo) - dist.tail(bin.hi)).max(1e-300);
        log += bin.count as f64 * inside.ln();
        below += bin.count as f64 / n;
        distance = distance.max((1.0 - dist.tail(bin.hi) - below).abs());
    }
    (log, distance)
}

/// Phase-type distribution for the analytic tail: the two-moment fit of the histogram.
///
/// # Errors
/// [`Domain`](crate::error::Domain) for a histogram without spread.
pub fn phase_type(hist: &Hist) -> Result<Ph, crate::error::Domain> {
    let mean = hist.moment(1);
    Ph::from_two_moments(mean, hist.moment(2) / (mean * mean) - 1.0)
}
