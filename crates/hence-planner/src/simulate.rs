//! Discrete-event simulation of a [`Model`]: everything the formulas cannot answer.
//!
//! Time runs in ticks of one nanosecond. The same seed gives the same numbers on every platform;
//! random streams belong to named parts of the model, so two variants of a model see the same
//! arrivals and service times (common random numbers) and their difference is sharp.
//! Law & Kelton, "Simulation Modeling and Analysis" (2015), chapters 9 and 11.
//!
//! A station's retry without a budget token ends the event as dead; a client's is not sent.

mod calendar;
mod gate;
mod job;
mod line;
mod outcome;
mod random;
mod replication;
mod run;
mod sampler;
mod state;
mod station;
mod tally;
#[cfg(test)]
mod tests;
pub mod warm_up;
mod wiring;

use serde::{Deserialize, Serialize};

use crate::error::{Domain, positive};
use crate::model::Model;
pub use crate::simulate::random::Rng;
pub use crate::simulate::replication::{Replication, StationRun};
use crate::simulate::sampler::ticks;
pub use crate::simulate::state::{Counts, SourceCounts, Visits};
pub use crate::simulate::tally::Tally;
pub use crate::simulate::warm_up::WarmUp;

/// How long and how often to simulate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimOptions {
    /// Seed of all random numbers.
    pub seed: u64,
    /// Independent replications, at least two for an interval.
    pub replications: u32,
    /// Simulated seconds in which events arrive.
    pub horizon: f64,
    /// What is left out at the start.
    pub warm_up: WarmUp,
    /// After the horizon, go on without new events until all are done.
    pub drain: bool,
    /// Limit of calendar entries per replication.
    pub max_events: u64,
    /// Add replications, up to eight times as many, until the half-width of every source's p99 is
    /// below this fraction of it.
    pub precision: Option<f64>,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            replications: 20,
            horizon: 600.0,
            warm_up: WarmUp::Share(0.1),
            drain: true,
            max_events: 2_000_000_000,
            precision: None,
        }
    }
}

/// Mean over replications with its standard error and 95 % t-interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Mean over replications.
    pub value: f64,
    /// Standard error.
    pub se: f64,
    /// Lower end of the interval.
    pub lo: f64,
    /// Upper end of the interval.
    pub hi: f64,
}

/// Mean and percentiles of a duration, seconds. Percentiles are taken per replication.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Mean.
    pub mean: Estimate,
    /// Median.
    pub p50: Estimate,
    /// 95th percentile.
    pub p95: Estimate,
    /// 99th percentile.
    pub p99: Estimate,
}

/// One class at one station.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassEstimate {
    /// Time before service, per visit.
    pub wait: Timing,
    /// Wait and service, per visit.
    pub response: Timing,
}

/// One station.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StationEstimate {
    /// Its name.
    pub name: String,
    /// Visits completed per second.
    pub throughput: Estimate,
    /// Share of time a worker is occupied.
    pub utilisation: Estimate,
    /// Mean number present.
    pub l: Estimate,
    /// Time before service, all classes.
    pub wait: Timing,
    /// Wait and service, all classes.
    pub response: Timing,
    /// Share of arrivals refused or pushed out.
    pub rejected: Estimate,
    /// Share of arrivals dropped for their age.
    pub expired: Estimate,
    /// Share of services after which the next station was full.
    pub blocked: Estimate,
    /// By priority class.
    pub classes: Vec<ClassEstimate>,
}

/// One source, from birth to the end of the last copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceEstimate {
    /// Its name.
    pub name: String,
    /// New events per second.
    pub rate: Estimate,
    /// Time from birth to the end.
    pub response: Timing,
    /// Share that ended well.
    pub consumed: Estimate,
    /// Share that ended well before its deadline.
    pub in_time: Estimate,
    /// Share that failed for good.
    pub dead: Estimate,
    /// Share refused by a full station.
    pub rejected: Estimate,
    /// Share dropped for its age.
    pub expired: Estimate,
    /// Attempts sent again by clients, per event.
    pub resent: Estimate,
}

/// What a simulation says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimReport {
    /// Stations in the order of the model.
    pub stations: Vec<StationEstimate>,
    /// Sources in the order of the model.
    pub sources: Vec<SourceEstimate>,
    /// Replications made.
    pub replications: u32,
    /// Calendar entries handled, all replications.
    pub events: u64,
    /// Seconds left out at the start of each.
    pub warm_up: f64,
    /// A replication hit the limit of entries: figures are of what was simulated until then.
    pub truncated: bool,
}

/// Simulates a model, one replication after the other.
///
/// # Errors
/// [`Domain`] for an inconsistent model or a horizon that is not positive.
pub fn simulate(model: &Model, options: &SimOptions) -> Result<SimReport, Domain> {
    simulate_with(model, options, |simulator, numbers| {
        numbers.map(|n| simulator.replication(n)).collect()
    })
}

/// Simulates a model with replications made by the caller, say on several threads.
///
/// `replicate` is given a range of numbers and answers with those replications in order. The
/// result depends on the seed only, not on how they were made.
///
/// # Errors
/// [`Domain`] for an inconsistent model or a horizon that is not positive.
pub fn simulate_with(
    model: &Model,
    options: &SimOptions,
    replicate: impl Fn(&Simulator, std::ops::Range<u32>) -> Vec<Replication>,
) -> Result<SimReport, Domain> {
    let simulator = Simulator::new(model, options)?;
    let first = options.replications.max(2);
    let mut runs = replicate(&simulator, 0..first);
    let mut report = replication::summarise(model, &runs, simulator.bounds.warm_up);
    if let Some(precision) = options.precision {
        while report.replications < first * 8 && !is_precise(&report, precision) {
            let done = report.replications;
            runs.extend(replicate(&simulator, done..done + first));
            report = replication::summarise(model, &runs, simulator.bounds.warm_up);
        }
    }
    Ok(report)
}

fn is_precise(report: &SimReport, precision: f64) -> bool {
    report.sources.iter().all(|source| {
        let p99 = source.response.p99;
        !p99.value.is_finite() || 0.5 * (p99.hi - p99.lo) <= precision * p99.value
    })
}

/// A model made ready to be replicated.
#[derive(Debug)]
pub struct Simulator {
    wiring: wiring::Wiring,
    bounds: run::Bounds,
    seed: u64,
}

impl Simulator {
    /// Compiles the model and settles the warm-up.
    ///
    /// # Errors
    /// [`Domain`] for an inconsistent model or a horizon that is not positive.
    pub fn new(model: &Model, options: &SimOptions) -> Result<Self, Domain> {
        positive("horizon", options.horizon)?;
        let mut bounds = run::Bounds {
            warm_up: 0,
            horizon: ticks(options.horizon),
            drain: options.drain,
            max_events: options.max_events,
            series: false,
        };
        let wiring = wiring::Wiring::new(model)?;
        bounds.warm_up = match options.warm_up {
            WarmUp::None => 0,
            WarmUp::Seconds(s) => ticks(s.clamp(0.0, options.horizon)),
            WarmUp::Share(share) => ticks(options.horizon * share.clamp(0.0, 1.0)),
            WarmUp::Mser5 => {
                let mut pilot = run::Run::new(
                    &wiring,
                    run::Bounds {
                        series: true,
                        ..bounds
                    },
                    options.seed,
                    u64::MAX,
                );
                pilot.run();
                let kept = pilot.series.len().max(1) as f64;
                let skip = warm_up::mser5(&pilot.series) as f64 / kept;
                ticks(options.horizon * skip)
            }
        };
        Ok(Self {
            wiring,
            bounds,
            seed: options.seed,
        })
    }

    /// One replication.
    pub fn replication(&self, number: u32) -> Replication {
        let mut run = run::Run::new(&self.wiring, self.bounds, self.seed, u64::from(number));
        run.run();
        Replication::of(run)
    }
}

/// Mean, standard error and 95 % t-interval of independent values; NaNs are left out.
pub fn estimate(values: impl IntoIterator<Item = f64>) -> Estimate {
    use statrs::distribution::{ContinuousCDF, StudentsT};
    let kept: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    let n = kept.len() as f64;
    let value = kept.iter().sum::<f64>() / n;
    if kept.len() < 2 {
        return Estimate {
            value,
            se: f64::NAN,
            lo: f64::NAN,
            hi: f64::NAN,
        };
    }
    let variance = kept.iter().map(|v| (v - value).powi(2)).sum::<f64>() / (n - 1.0);
    let se = (variance / n).sqrt();
    let t = StudentsT::new(0.0, 1.0, n - 1.0).map_or(f64::NAN, |d| d.inverse_cdf(0.975));
    Estimate {
        value,
        se,
        lo: value - t * se,
        hi: value + t * se,
    }
}
