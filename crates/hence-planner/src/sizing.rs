//! How many workers: by formula for M/M/c, by plan for any model, or why none suffices.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, WORKERS_MAX, non_negative, positive, probability};
use crate::mmc::{Mmc, mmc};
use crate::model::Model;
use crate::plan::{Figure, PlanError, PlanOptions, flows, plan};

/// The smallest c of M/M/c with P(Wq > t) ≤ p.
///
/// # Errors
/// [`Domain::Argument`] for rates that are not positive.
pub fn workers_for_wait(lambda: f64, mu: f64, t: f64, p: f64) -> Result<u32, Domain> {
    probability("p", p)?;
    non_negative("t", t)?;
    smallest(lambda, mu, |q| q.wait_tail(t) <= p)
}

/// The smallest c of M/M/c with P(T > t) ≤ p.
///
/// # Errors
/// [`PlanError::Infeasible`] when service alone takes longer.
pub fn workers_for_response(lambda: f64, mu: f64, t: f64, p: f64) -> Result<u32, PlanError> {
    probability("p", p)?;
    non_negative("t", t)?;
    positive("mu", mu)?;
    let floor = -p.ln() / mu;
    if floor > t {
        return Err(PlanError::Infeasible { floor });
    }
    Ok(smallest(lambda, mu, |q| q.response_tail(t) <= p)?)
}

fn smallest(lambda: f64, mu: f64, good: impl Fn(&Mmc) -> bool) -> Result<u32, Domain> {
    positive("lambda", lambda)?;
    positive("mu", mu)?;
    let a = lambda / mu;
    if a >= f64::from(WORKERS_MAX) {
        return Err(enough());
    }
    let least = a.floor() as u32 + 1;
    let meets = |c: u32| mmc(lambda, mu, c).map(|q| good(&q));
    let mut step = 1;
    let mut hi = least;
    while !meets(hi)? {
        hi += step;
        step *= 2;
        if hi > WORKERS_MAX {
            return Err(enough());
        }
    }
    let mut lo = least.max(hi.saturating_sub(step)).saturating_sub(1);
    while hi - lo > 1 {
        let mid = lo + (hi - lo) / 2;
        if mid >= least && meets(mid)? {
            hi = mid;
        } else {
            lo = mid;
        }
    }
    Ok(hi)
}

fn enough() -> Domain {
    Domain::undefined(format!(
        "no number of workers up to {WORKERS_MAX} meets the target"
    ))
}

/// Which figure must stay below which value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Name of a station, or of a source for the whole journey.
    pub of: String,
    /// Which figure.
    pub figure: Percentile,
    /// Seconds.
    pub below: f64,
}

/// A figure of the response time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Percentile {
    /// Mean.
    Art,
    /// Median.
    P50,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
}

/// One step of the staircase of workers against the target figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Workers.
    pub workers: u32,
    /// The figure with them; `None` when the station saturates.
    pub figure: Option<Figure>,
}

/// Workers for a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sizing {
    /// The smallest number that meets the target.
    pub workers: u32,
    /// The figures at one worker fewer, as many, and one more.
    pub stairs: Vec<Step>,
}

/// The smallest number of workers of `station` that meets the target.
///
/// Simulated figures share their random numbers over the candidates, so the staircase falls.
///
/// # Errors
/// [`PlanError::Infeasible`] with the figure that remains without waiting, or any error of a plan.
pub fn workers_for(
    model: &Model,
    station: &str,
    target: &Target,
    options: &PlanOptions,
) -> Result<Sizing, PlanError> {
    let unknown = || Domain::undefined(format!("no station called {station:?}"));
    let index = model.station(station).ok_or_else(unknown)?;
    let flow = flows(model)?.get(index).copied().ok_or_else(unknown)?;
    let least = (flow.lambda * flow.es).floor() as u32 + 1;
    // The way there needs less precision than the answer.
    let quick = PlanOptions {
        events: options.events / 4,
        ..options.clone()
    };
    let figure = |workers: u32, options: &PlanOptions| -> Result<Option<Figure>, PlanError> {
        let mut changed = model.clone();
        if let Some(station) = changed.stations.get_mut(index) {
            station.servers = workers;
        }
        match plan(&changed, options) {
            Ok(plan) => Ok(Some(pick(&plan, target)?)),
            Err(
                PlanError::Unstable { station: s, .. } | PlanError::Uncertain { station: s, .. },
            ) if s == station => Ok(None),
            Err(other) => Err(other),
        }
    };
    // With so many workers nobody waits here: what remains is the floor.
    let plenty = 4 * least + 64;
    let floor = figure(plenty, &quick)?.map_or(f64::INFINITY, |f| f.value);
    if floor > target.below {
        return Err(PlanError::Infeasible { floor });
    }
    let meets = |f: &Option<Figure>| f.is_some_and(|f| f.value <= target.below);
    let (mut lo, mut hi) = (least - 1, plenty);
    while hi - lo > 1 {
        let mid = lo + (hi - lo) / 2;
        if meets(&figure(mid, &quick)?) {
            hi = mid;
        } else {
            lo = mid;
        }
    }
    let mut stairs = Vec::new();
    for workers in [hi.saturating_sub(1), hi, hi + 1] {
        if workers > 0 {
            stairs.push(Step {
                workers,
                figure: figure(workers, options)?,
            });
        }
    }
    Ok(Sizing {
        workers: hi,
        stairs,
    })
}

/// The figure a target talks about.
///
/// # Errors
/// [`Domain::Undefined`] when there is neither station nor source of that name.
pub fn pick(plan: &crate::plan::Plan, target: &Target) -> Result<Figure, Domain> {
    let station = plan.predictions.iter().find(|p| p.station == target.of);
    let source = plan.journeys.iter().find(|j| j.source == target.of);
    let figures = match (station, source) {
        (Some(p), _) => [p.art, p.p50, p.p95, p.p99],
        (None, Some(j)) => [j.art, j.p50, j.p95, j.p99],
        (None, None) => {
            let name = &target.of;
            return Err(Domain::undefined(format!(
                "neither station nor source {name:?}"
            )));
        }
    };
    let [art, p50, p95, p99] = figures;
    Ok(match target.figure {
        Percentile::Art => art,
        Percentile::P50 => p50,
        Percentile::P95 => p95,
        Percentile::P99 => p99,
    })
}
