//! Samplers of service times, intervals and keys, compiled from the model's distributions.
//!
//! Durations come out in ticks of one nanosecond. Discrete choices use alias tables: Walker (1974)
//! in the form of Vose, IEEE Trans. Softw. Eng. 17 (1991) 972.
#![allow(
    clippy::indexing_slicing,
    reason = "tables are built with the length they are drawn by"
)]

use crate::histogram::Bin;
use crate::model::KeyLaw;
use crate::numeric::elementary::{exp, ln};
use crate::phase_type::Ph;
use crate::service::{Dist, log_parameters};
use crate::simulate::random::Rng;

/// Ticks per second.
pub(crate) const TICKS: f64 = 1e9;

/// Seconds to ticks.
pub(crate) fn ticks(seconds: f64) -> u64 {
    (seconds * TICKS + 0.5) as u64
}

/// A discrete distribution drawn in constant time.
#[derive(Debug, Clone)]
pub(crate) struct Alias {
    keep: Vec<f64>,
    other: Vec<u32>,
}

impl Alias {
    pub(crate) fn new(weights: &[f64]) -> Self {
        let n = weights.len();
        let sum: f64 = weights.iter().sum();
        let mut keep: Vec<f64> = weights.iter().map(|w| w / sum * n as f64).collect();
        let mut other: Vec<u32> = (0..n as u32).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..n).partition(|&i| keep[i] < 1.0);
        while let (Some(&l), Some(s)) = (large.last(), small.pop()) {
            other[s] = l as u32;
            keep[l] -= 1.0 - keep[s];
            if keep[l] < 1.0 {
                large.pop();
                small.push(l);
            }
        }
        Self { keep, other }
    }

    #[inline]
    pub(crate) fn draw(&self, rng: &mut Rng) -> u32 {
        let i = rng.below(self.keep.len() as u32);
        if rng.uniform() <= self.keep[i as usize] {
            i
        } else {
            self.other[i as usize]
        }
    }
}

/// A sampler of durations.
#[derive(Debug, Clone)]
pub(crate) enum Sampler {
    Det(u64),
    Exp(f64),
    Erlang { k: u32, phase: f64 },
    Hyper2 { p: f64, mean1: f64, mean2: f64 },
    LogNormal { mu: f64, sigma: f64 },
    Lomax { exponent: f64, scale: f64 },
    Ph(Box<PhSampler>),
    Empirical { alias: Alias, bins: Vec<Bin> },
}

/// Phase-type by walking the chain; target n is absorption.
#[derive(Debug, Clone)]
pub(crate) struct PhSampler {
    start: Alias,
    mean: Vec<f64>,
    next: Vec<Alias>,
}

impl Sampler {
    pub(crate) fn new(dist: &Dist) -> Self {
        match dist {
            Dist::Det { mean } => Self::Det(ticks(*mean)),
            Dist::Exp { mean } => Self::Exp(mean * TICKS),
            Dist::Erlang { k, mean } => Self::Erlang {
                k: *k,
                phase: mean * TICKS / f64::from(*k),
            },
            Dist::Hyper2 { p, mean1, mean2 } => Self::Hyper2 {
                p: *p,
                mean1: mean1 * TICKS,
                mean2: mean2 * TICKS,
            },
            Dist::LogNormal { mean, scv } => {
                let (mu, sigma) = log_parameters(mean * TICKS, *scv);
                Self::LogNormal { mu, sigma }
            }
            Dist::Lomax { alpha, mean } => Self::Lomax {
                exponent: -1.0 / alpha,
                scale: mean * (alpha - 1.0) * TICKS,
            },
            Dist::Ph(ph) => Self::Ph(Box::new(PhSampler::new(ph))),
            Dist::Empirical(h) => {
                let bins: Vec<Bin> = h.bins.iter().copied().filter(|b| b.count > 0).collect();
                let weights: Vec<f64> = bins.iter().map(|b| b.count as f64).collect();
                Self::Empirical {
                    alias: Alias::new(&weights),
                    bins,
                }
            }
        }
    }

    /// One duration, in ticks.
    #[inline]
    pub(crate) fn draw(&self, rng: &mut Rng) -> u64 {
        let value = match self {
            Self::Det(value) => return *value,
            Self::Exp(mean) => mean * rng.exponential(),
            Self::Erlang { k, phase } => {
                // One logarithm of a product; eight factors cannot underflow.
                let (mut sum, mut left) = (0.0, *k);
                while left > 0 {
                    let take = left.min(8);
                    sum -= ln((0..take).fold(1.0, |product, _| product * rng.uniform()));
                    left -= take;
                }
                phase * sum
            }
            Self::Hyper2 { p, mean1, mean2 } => {
                let mean = if rng.uniform() <= *p { mean1 } else { mean2 };
                mean * rng.exponential()
            }
            Self::LogNormal { mu, sigma } => exp(mu + sigma * rng.normal()),
            Self::Lomax { exponent, scale } => scale * (exp(exponent * ln(rng.uniform())) - 1.0),
            Self::Ph(ph) => ph.draw(rng),
            Self::Empirical { alias, bins } => {
                let bin = bins[alias.draw(rng) as usize];
                bin.at(rng.uniform()) * TICKS
            }
        };
        (value + 0.5) as u64
    }
}

impl PhSampler {
    fn new(ph: &Ph) -> Self {
        let n = ph.order();
        let exit = ph.exit();
        let atom = (1.0 - ph.alpha.iter().sum::<f64>()).max(0.0);
        let with = |v: &[f64], last: f64| {
            let weights: Vec<f64> = v.iter().copied().chain([last.max(0.0)]).collect();
            Alias::new(&weights)
        };
        let next = (0..n)
            .map(|i| {
                let mut row = ph.t.row(i).to_vec();
                row[i] = 0.0;
                with(&row, exit[i])
            })
            .collect();
        let mean = (0..n).map(|i| -TICKS / ph.t.at(i, i)).collect();
        Self {
            start: with(&ph.alpha, atom),
            mean,
            next,
        }
    }

    fn draw(&self, rng: &mut Rng) -> f64 {
        let mut sum = 0.0;
        let mut phase = self.start.draw(rng) as usize;
        while phase < self.mean.len() {
            sum += self.mean[phase] * rng.exponential();
            phase = self.next[phase].draw(rng) as usize;
        }
        sum
    }
}

/// A sampler of ordering keys.
#[derive(Debug, Clone)]
pub(crate) struct KeySampler {
    alias: Alias,
    top: u32,
    others: u32,
}

impl KeySampler {
    pub(crate) fn new(law: &KeyLaw) -> Self {
        match law {
            KeyLaw::Zipf { n, z } => {
                let weights: Vec<f64> = (1..=*n).map(|k| exp(-z * ln(f64::from(k)))).collect();
                Self {
                    alias: Alias::new(&weights),
                    top: *n,
                    others: 0,
                }
            }
            KeyLaw::Measured { top, others } => {
                let rest = (1.0 - top.iter().sum::<f64>()).max(0.0);
                let rest = if *others == 0 { 0.0 } else { rest };
                let weights: Vec<f64> = top.iter().copied().chain([rest]).collect();
                Self {
                    alias: Alias::new(&weights),
                    top: top.len() as u32,
                    others: *others,
                }
            }
        }
    }

    /// Number of different keys.
    pub(crate) fn keys(&self) -> u32 {
        self.top + self.others
    }

    #[inline]
    pub(crate) fn draw(&self, rng: &mut Rng) -> u32 {
        let key = self.alias.draw(rng);
        if key < self.top {
            key
        } else {
            self.top + rng.below(self.others.max(1))
        }
    }
}
