//! The plan: every station's prediction, the bottleneck, the headroom, and the way it was found.
//!
//! One model, three engines: closed forms where they are exact or within their published error,
//! Markov chains, simulation for the rest. Every figure carries its band and its method. A plan is
//! refused, not guessed, when the interval of ρ includes 1.

mod engine;
mod explain;
mod flow;
mod journey;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Domain;
use crate::fit::{Band, Warning};
use crate::model::{Model, Station};
use crate::simulate::{Estimate, SimOptions, SimReport, StationEstimate, Timing, WarmUp, simulate};

pub use crate::plan::engine::Method;
pub use crate::plan::explain::explain;
pub use crate::plan::flow::{Flow, flows};
pub use crate::plan::journey::{simulated, together};

/// A figure with its band and the engine that produced it; seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The prediction.
    pub value: f64,
    /// Lower end of the band.
    pub lo: f64,
    /// Upper end of the band.
    pub hi: f64,
    /// How it was found.
    pub method: Method,
}

/// One station.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Its name.
    pub station: String,
    /// Attempts per second, retries included.
    pub lambda: f64,
    /// Mean service time, seconds.
    pub es: f64,
    /// SCV of the intervals between arrivals.
    pub ca2: f64,
    /// SCV of the service time.
    pub cs2: f64,
    /// Workers.
    pub c: u32,
    /// Utilisation.
    pub rho: Band,
    /// Mean wait.
    pub wq: Figure,
    /// Mean response time.
    pub art: Figure,
    /// Median response time.
    pub p50: Figure,
    /// 95th percentile of the response time.
    pub p95: Figure,
    /// 99th percentile of the response time.
    pub p99: Figure,
    /// Mean wait of each priority class, class 0 first; empty without classes.
    #[serde(default)]
    pub class_wq: Vec<Figure>,
    /// Share of the arrivals that expires before its turn, by simulation.
    #[serde(default)]
    pub expired: f64,
    /// Doubts, in words.
    pub warnings: Vec<String>,
}

/// What one source brings, or several of one name, from publishing to the end of the last reaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journey {
    /// Its name.
    pub source: String,
    /// New events per second.
    pub rate: f64,
    /// Mean time.
    pub art: Figure,
    /// Median.
    pub p50: Figure,
    /// 95th percentile.
    pub p95: Figure,
    /// 99th percentile.
    pub p99: Figure,
}

/// The station that saturates first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bottleneck {
    /// Its name.
    pub station: String,
    /// Utilisation.
    pub rho: f64,
    /// By which factor the load can grow until it saturates.
    pub headroom: f64,
}

/// What the planner answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Stations in the order of the model.
    pub predictions: Vec<Prediction>,
    /// Sources in the order of the model.
    pub journeys: Vec<Journey>,
    /// What saturates first.
    pub bottleneck: Bottleneck,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlanError {
    /// A station saturates.
    #[error("{station} saturates: utilisation {rho:.3}")]
    Unstable {
        /// Its name.
        station: String,
        /// Its utilisation.
        rho: f64,
    },
    /// The interval of the utilisation includes 1.
    #[error("cannot say: the utilisation of {station} lies between {lo:.3} and {hi:.3}")]
    Uncertain {
        /// Name of the station.
        station: String,
        /// Lower end of ρ.
        lo: f64,
        /// Upper end of ρ.
        hi: f64,
    },
    /// More retries than their budget lets through: they wait longer and longer.
    #[error(
        "{station} retries {retries:.1} times a second, and its budget lets {budget:.1} through"
    )]
    RetriesBeyondBudget {
        /// Name of the station.
        station: String,
        /// Retries per second.
        retries: f64,
        /// Retries per second that the budget permits.
        budget: f64,
    },
    /// Events go round for ever.
    #[error("a loop of events without exit through {0:?}")]
    LoopWithoutExit(Vec<String>),
    /// No number of workers meets the target.
    #[error("infeasible: even without waiting the figure is {floor:.4} s")]
    Infeasible {
        /// The figure without any waiting, seconds.
        floor: f64,
    },
    /// The question needs a simulation, and none was allowed.
    #[error("only a simulation can answer for {0}")]
    NeedsSimulation(String),
    /// The model is inconsistent.
    #[error(transparent)]
    Model(#[from] Domain),
}

/// How well a station's parameters are known: relative half-widths of λ and E\[S\], and doubts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Knowledge {
    /// Half-width of the interval of λ over λ.
    pub lambda: f64,
    /// Half-width of the interval of E\[S\] over E\[S\].
    pub es: f64,
    /// Doubts from the fit.
    pub warnings: Vec<Warning>,
}

/// How to plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanOptions {
    /// Seed of the simulation.
    pub seed: u64,
    /// Calendar entries to spend on simulation in all; 0 forbids it.
    pub events: u64,
    /// What is known of the stations, by name; exact where nothing is said.
    #[serde(default)]
    pub knowledge: BTreeMap<String, Knowledge>,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            events: 2_000_000,
            knowledge: BTreeMap::new(),
        }
    }
}

/// Plans a model.
///
/// # Errors
/// [`PlanError`] when the model is inconsistent, saturated, or not known well enough.
pub fn plan(model: &Model, options: &PlanOptions) -> Result<Plan, PlanError> {
    model.check()?;
    let flows = flows(model)?;
    let bands = utilisations(model, &flows, options)?;
    let bottleneck = bottleneck(model, &flows);
    let analytic: Vec<_> = engine::answers(model, &flows);
    let complete = analytic.iter().all(|a| a.p99.is_some()) && engine::is_one_visit(model);
    let report = match options.events {
        _ if complete => None,
        0 => None,
        events => Some(simulate(model, &budgeted(model, &flows, events, options))?),
    };
    let mut predictions = Vec::new();
    let rows = model.stations.iter().zip(&flows).zip(analytic).zip(bands);
    for (i, (((station, flow), answers), rho)) in rows.enumerate() {
        let known = options.knowledge.get(&station.name);
        let one = One {
            station,
            flow,
            known: &known.cloned().unwrap_or_default(),
            simulated: report.as_ref().and_then(|r| Some((r, r.stations.get(i)?))),
        };
        predictions.push(one.predict(answers, rho)?);
    }
    let slack = slack(model, &flows, options);
    let journeys = together(journeys(model, &predictions, report.as_ref(), slack)?);
    Ok(Plan {
        predictions,
        journeys,
        bottleneck,
    })
}

/// One station with all that its prediction is made of.
struct One<'a> {
    station: &'a Station,
    flow: &'a Flow,
    known: &'a Knowledge,
    simulated: Option<(&'a SimReport, &'a StationEstimate)>,
}

impl One<'_> {
    /// A figure by formula, or else from the simulation.
    fn figure(
        &self,
        exact: Option<engine::Answer>,
        from: impl Fn(&StationEstimate) -> Option<Estimate>,
    ) -> Result<Figure, PlanError> {
        let answer = exact.or_else(|| {
            let (report, estimate) = self.simulated?;
            let answer = engine::Answer::simulated(from(estimate)?, report.replications);
            Some(answer)
        });
        let answer = answer.ok_or_else(|| PlanError::NeedsSimulation(self.station.name.clone()))?;
        Ok(answer.banded(self.flow, self.known))
    }

    fn predict(&self, answers: engine::Answers, rho: Band) -> Result<Prediction, PlanError> {
        let (station, flow) = (self.station, self.flow);
        let exact = engine::class_waits(station, flow);
        let class_wq = (0..station.class_shares.len()).map(|class| {
            let exact = exact.as_ref().and_then(|waits| waits.get(class).copied());
            self.figure(exact, |s| Some(s.classes.get(class)?.wait.mean))
        });
        let doubts = self.known.warnings.iter().map(ToString::to_string);
        Ok(Prediction {
            station: station.name.clone(),
            lambda: flow.lambda,
            es: flow.es,
            ca2: flow.ca2,
            cs2: flow.cs2,
            c: station.servers,
            rho,
            wq: self.figure(answers.wq, |s| Some(s.wait.mean))?,
            art: self.figure(answers.art, |s| Some(s.response.mean))?,
            p50: self.figure(answers.p50, |s| Some(s.response.p50))?,
            p95: self.figure(answers.p95, |s| Some(s.response.p95))?,
            p99: self.figure(answers.p99, |s| Some(s.response.p99))?,
            class_wq: class_wq.collect::<Result<_, _>>()?,
            expired: self
                .simulated
                .map_or(0.0, |(_, s)| s.expired.value.max(0.0)),
            warnings: doubts.chain(answers.remark).collect(),
        })
    }
}

fn utilisations(
    model: &Model,
    flows: &[Flow],
    options: &PlanOptions,
) -> Result<Vec<Band>, PlanError> {
    let mut bands = Vec::new();
    for (station, flow) in model.stations.iter().zip(flows) {
        let retries = flow.lambda - flow.fresh;
        if let Some(budget) = station.spacing.map(|s| s.rate(flow.fresh))
            && retries >= budget
            && retries > 0.0
        {
            return Err(PlanError::RetriesBeyondBudget {
                station: station.name.clone(),
                retries,
                budget,
            });
        }
        let known = options.knowledge.get(&station.name);
        let slack = known.map_or(0.0, |k| k.lambda.hypot(k.es));
        let rho = Band::around(flow.rho, flow.rho * slack);
        if !flow.sheds {
            let name = || station.name.clone();
            if rho.lo >= 1.0 || (slack == 0.0 && flow.rho >= 1.0) {
                return Err(PlanError::Unstable {
                    station: name(),
                    rho: flow.rho,
                });
            }
            if rho.hi >= 1.0 {
                return Err(PlanError::Uncertain {
                    station: name(),
                    lo: rho.lo,
                    hi: rho.hi,
                });
            }
        }
        bands.push(rho);
    }
    Ok(bands)
}

/// The station that saturates first as all sources grow together.
pub fn bottleneck(model: &Model, flows: &[Flow]) -> Bottleneck {
    let worst = model
        .stations
        .iter()
        .zip(flows)
        .max_by(|a, b| a.1.rho.total_cmp(&b.1.rho));
    let (station, rho) = worst.map_or((String::new(), 0.0), |(s, f)| (s.name.clone(), f.rho));
    Bottleneck {
        station,
        rho,
        headroom: 1.0 / rho,
    }
}

/// Simulation of about `events` calendar entries, split into ten replications.
fn budgeted(model: &Model, flows: &[Flow], events: u64, options: &PlanOptions) -> SimOptions {
    let visits: f64 = flows.iter().map(|f| f.lambda).sum();
    let arrivals: f64 = model.sources.iter().map(|s| s.arrivals.rate()).sum();
    let replications = 10;
    let per_second = (visits + arrivals).max(1e-9);
    SimOptions {
        seed: options.seed,
        replications,
        horizon: events as f64 / f64::from(replications) / per_second,
        warm_up: WarmUp::Share(0.1),
        drain: true,
        max_events: events,
        precision: None,
    }
}

/// By how much the times of a journey could be shorter or longer for what is not known of its
/// stations: as much as those of the least known one.
fn slack(model: &Model, flows: &[Flow], options: &PlanOptions) -> (f64, f64) {
    let stations = model.stations.iter().zip(flows);
    stations.fold((1.0, 1.0), |(lo, hi): (f64, f64), (station, flow)| {
        let known = options.knowledge.get(&station.name);
        let stretch = |sign| known.map_or(1.0, |known| engine::stretch(flow, known, sign));
        (lo.min(stretch(-1.0)), hi.max(stretch(1.0)))
    })
}

fn journeys(
    model: &Model,
    predictions: &[Prediction],
    report: Option<&SimReport>,
    slack: (f64, f64),
) -> Result<Vec<Journey>, PlanError> {
    model
        .sources
        .iter()
        .enumerate()
        .map(|(i, source)| {
            let rate = source.arrivals.rate();
            let name = source.name.clone();
            if let Some(estimate) = report.and_then(|r| r.sources.get(i)) {
                let n = report.map_or(0, |r| r.replications);
                let Timing {
                    mean,
                    p50,
                    p95,
                    p99,
                } = estimate.response;
                let figure = |e| {
                    let mut figure = engine::Answer::simulated(e, n).figure();
                    figure.lo *= slack.0;
                    figure.hi *= slack.1;
                    figure
                };
                return Ok(Journey {
                    source: name,
                    rate,
                    art: figure(mean),
                    p50: figure(p50),
                    p95: figure(p95),
                    p99: figure(p99),
                });
            }
            // Without simulation every source makes exactly one visit: the station is the journey.
            let station = source
                .emits
                .first()
                .and_then(|e| e.first())
                .and_then(|branch| predictions.iter().find(|p| p.station == branch.to));
            match station {
                Some(p) if engine::is_one_visit(model) => Ok(Journey {
                    source: name,
                    rate,
                    art: p.art,
                    p50: p.p50,
                    p95: p.p95,
                    p99: p.p99,
                }),
                _ => Err(PlanError::NeedsSimulation(name)),
            }
        })
        .collect()
}
