//! Birth-death chains in log space, the common ground of the bounded Markov queues.
//!
//! p_n ∝ Π birth(i)/death(i+1), summed after subtracting the largest logarithm, so that neither
//! 1e-300 nor 1e+300 is ever multiplied out. Kleinrock I (1975), §3.1. Rates in 1/s.

/// Stationary probabilities of states 0..=last for the given birth and death rates.
pub fn stationary(last: u32, birth: impl Fn(f64) -> f64, death: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut logs = Vec::with_capacity(last as usize + 1);
    let mut log = 0.0_f64;
    logs.push(log);
    for n in 1..=last {
        let n = f64::from(n);
        log += birth(n - 1.0).ln() - death(n).ln();
        logs.push(log);
    }
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|l| (l - top).exp()).sum();
    let norm = top + sum.ln();
    logs.iter().map(|l| (l - norm).exp()).collect()
}

/// Σ f(n)·p_n.
pub(crate) fn expect(p: &[f64], f: impl Fn(f64) -> f64) -> f64 {
    p.iter().enumerate().map(|(n, p)| f(n as f64) * p).sum()
}
