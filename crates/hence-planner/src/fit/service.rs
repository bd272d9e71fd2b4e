//! Fitting a service time: the measured histogram is the model, families are labels.
//!
//! Bands by bootstrap over blocks of about 10 s, which keeps autocorrelation (Künsch 1989). Load
//! dependence by weighted regression of the mean service on the number in flight. Seconds.

use serde::{Deserialize, Serialize};

use crate::fit::law::{self, Label};
use crate::fit::{Band, Refusal, Warning, stationary};
use crate::histogram::Hist;
use crate::service::Dist;
use crate::simulate::Rng;

/// Sums over one block of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Services that ended.
    pub n: u64,
    /// Σs, seconds.
    pub sum: f64,
    /// Σs², seconds².
    pub squares: f64,
}

/// What was measured of one subscription.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Services {
    /// Histogram of service times (start to end, awaits included).
    pub hist: Hist,
    /// Sums by block of time, in order.
    pub blocks: Vec<Block>,
    /// Length of a block, seconds.
    pub block_seconds: f64,
    /// Services cut by the time-out.
    pub censored: u64,
    /// (number in flight at the start, services, their mean in seconds).
    pub by_in_flight: Vec<(u32, u64, f64)>,
}

/// A fitted service time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceFit {
    /// The measured distribution: what the engines use.
    pub dist: Dist,
    /// E\[S\], seconds.
    pub es: Band,
    /// SCV.
    pub scv: Band,
    /// The family it looks like, the best first.
    pub labels: Vec<Label>,
    /// Doubts.
    pub warnings: Vec<Warning>,
}

/// Fits a service time.
///
/// # Errors
/// [`Refusal::TooFew`] below 100 services or 8 blocks.
pub fn fit(services: &Services, seed: u64) -> Result<ServiceFit, Refusal> {
    let n = services.hist.count();
    for (what, have, need) in [
        ("services", n, 100),
        ("blocks", services.blocks.len() as u64, 8),
    ] {
        if have < need {
            return Err(Refusal::TooFew {
                what: what.into(),
                have,
                need,
            });
        }
    }
    let mut warnings = Vec::new();
    let blocks = services.blocks.as_slice();
    let blocks = match change_of_mean(blocks) {
        Some(at) => {
            let rest = blocks.get(at..).unwrap_or_default();
            warnings.push(Warning::NotStationary {
                what: "the service time".into(),
                seconds_ago: rest.len() as f64 * services.block_seconds,
            });
            if rest.len() >= 8 { rest } else { blocks }
        }
        None => blocks,
    };
    let (es, scv) = bootstrap(blocks, seed);
    if !(es.value.is_finite() && es.value > 0.0) {
        return Err(Refusal::Impossible {
            what: "mean service time".into(),
            value: es.value,
        });
    }
    if scv.value > 1.5 && n < 10_000 {
        warnings.push(Warning::FewSamples {
            scv: scv.value,
            samples: n,
        });
    }
    let share = 100.0 * services.hist.top_share_of_squares();
    if share > 50.0 {
        warnings.push(Warning::HeavyTail { share });
    }
    let cut = 100.0 * services.censored as f64 / n as f64;
    if cut > 1.0 {
        warnings.push(Warning::Censored { share: cut });
    }
    if let Some(percent) = load_dependence(&services.by_in_flight) {
        warnings.push(Warning::LoadDependent { percent });
    }
    // Bins are some per cent wide, and near saturation a per cent of E[S] is a tenth of the wait;
    // the sums are exact, and only of the time since the last change.
    let dist = Dist::Empirical(services.hist.clone());
    let dist = dist.stretched(es.value / dist.mean());
    Ok(ServiceFit {
        labels: law::rank(&services.hist),
        dist,
        es,
        scv,
        warnings,
    })
}

fn moments(blocks: impl Iterator<Item = Block>) -> (f64, f64) {
    let total = blocks.fold(Block::default(), |a, b| Block {
        n: a.n + b.n,
        sum: a.sum + b.sum,
        squares: a.squares + b.squares,
    });
    let n = total.n as f64;
    let mean = total.sum / n;
    (mean, (total.squares / n / (mean * mean) - 1.0).max(0.0))
}

fn bootstrap(blocks: &[Block], seed: u64) -> (Band, Band) {
    let (mean, scv) = moments(blocks.iter().copied());
    let mut rng = Rng::stream(seed, 0, "bootstrap", 0);
    let resample = |rng: &mut Rng| {
        let draws: Vec<Block> = (0..blocks.len())
            .filter_map(|_| blocks.get(rng.below(blocks.len() as u32) as usize).copied())
            .collect();
        moments(draws.into_iter())
    };
    let (mut means, mut scvs): (Vec<f64>, Vec<f64>) = (0..400).map(|_| resample(&mut rng)).unzip();
    (interval(mean, &mut means), interval(scv, &mut scvs))
}

/// The 2.5 % and 97.5 % points of resampled values.
fn interval(value: f64, resampled: &mut [f64]) -> Band {
    resampled.sort_by(f64::total_cmp);
    let n = resampled.len();
    let at = |i: usize| resampled.get(i).copied().unwrap_or(value);
    Band {
        value,
        lo: at(n / 40).min(value),
        hi: at(n - 1 - n / 40).max(value),
    }
}

fn change_of_mean(blocks: &[Block]) -> Option<usize> {
    let means: Vec<f64> = blocks
        .iter()
        .filter(|b| b.n > 0)
        .map(|b| b.sum / b.n as f64)
        .collect();
    let squares: f64 = means
        .iter()
        .zip(means.iter().skip(1))
        .map(|(a, b)| (b - a).powi(2))
        .sum();
    let sd = (squares / (2.0 * means.len().saturating_sub(1).max(1) as f64)).sqrt();
    stationary::change(&means, sd)
}

/// Growth of the mean service per event in flight, per cent; `None` unless it is significant and
/// adds more than 10 % over the measured range.
fn load_dependence(points: &[(u32, u64, f64)]) -> Option<f64> {
    let weight: f64 = points.iter().map(|p| p.1 as f64).sum();
    if points.len() < 4 || weight < 1000.0 {
        return None;
    }
    let mean_n = points
        .iter()
        .map(|p| f64::from(p.0) * p.1 as f64)
        .sum::<f64>()
        / weight;
    let mean_s = points.iter().map(|p| p.2 * p.1 as f64).sum::<f64>() / weight;
    let spread: f64 = points
        .iter()
        .map(|p| p.1 as f64 * (f64::from(p.0) - mean_n).powi(2))
        .sum();
    let slope = points
        .iter()
        .map(|p| p.1 as f64 * (f64::from(p.0) - mean_n) * (p.2 - mean_s))
        .sum::<f64>()
        / spread;
    let errors: f64 = points
        .iter()
        .map(|p| {
            let fitted = mean_s + slope * (f64::from(p.0) - mean_n);
            p.1 as f64 * (p.2 - fitted).powi(2)
        })
        .sum();
    let se = (errors / (points.len() as f64 - 2.0) / spread).sqrt();
    let sd = (spread / weight).sqrt();
    let grows = slope * 2.0 * sd > 0.1 * mean_s && slope > 3.0 * se;
    grows.then(|| 100.0 * slope / mean_s)
}
