//! Burstiness: the index of dispersion for counts, IDC(w) = Var\[N(w)\]/E\[N(w)\].
//!
//! The variance is taken between neighbours, Var ≈ ½·mean((N_{k+1}-N_k)²), so that a slow trend is
//! not read as burstiness (von Neumann 1941); for counts that are correlated over w it measures
//! 2·IDC(w)-IDC(2w). Windows in seconds. Cox & Lewis, "The Statistical
//! Analysis of Series of Events" (1966), chapter 4.

/// IDC of counts in neighbouring windows; `None` for fewer than eight windows or no event.
pub fn of_counts(counts: &[u64]) -> Option<f64> {
    if counts.len() < 8 {
        return None;
    }
    let n = counts.len() as f64;
    let mean = counts.iter().sum::<u64>() as f64 / n;
    let squares: f64 = counts
        .iter()
        .zip(counts.iter().skip(1))
        .map(|(a, b)| (*b as f64 - *a as f64).powi(2))
        .sum();
    (mean > 0.0).then(|| squares / (2.0 * (n - 1.0)) / mean)
}

/// IDC over windows of `w` seconds of ascending event times.
pub fn of_times(at: &[f64], w: f64) -> Option<f64> {
    let (first, last) = (at.first()?, at.last()?);
    if w.is_nan() || w <= 0.0 || (last - first) / w < 8.0 {
        return None;
    }
    let windows = ((last - first) / w) as usize;
    let mut counts = vec![0_u64; windows];
    for t in at {
        if let Some(count) = counts.get_mut(((t - first) / w) as usize) {
            *count += 1;
        }
    }
    of_counts(&counts)
}

/// IDC at dyadic windows w, 2w, 4w, … of counts taken every `w` seconds: (window, IDC).
pub fn curve(counts: &[u64], w: f64) -> Vec<(f64, f64)> {
    let mut level = counts.to_vec();
    let mut window = w;
    let mut points = Vec::new();
    while let Some(idc) = of_counts(&level) {
        points.push((window, idc));
        level = level
            .chunks_exact(2)
            .map(|pair| pair.iter().sum())
            .collect();
        window *= 2.0;
    }
    points
}
