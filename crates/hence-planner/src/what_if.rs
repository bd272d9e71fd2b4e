//! What if: changes to a model, and the difference of two plans.

use serde::{Deserialize, Serialize};

use crate::error::{Domain, positive};
use crate::model::{Model, Retry};
use crate::plan::Plan;

/// A change to a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// All sources faster by a factor.
    Load {
        /// The factor.
        factor: f64,
    },
    /// All sources of a name at a new mean rate together, each faster by the same factor.
    Rate {
        /// Their name.
        source: String,
        /// 1/s.
        rate: f64,
    },
    /// Another number of workers.
    Workers {
        /// Name of the station.
        station: String,
        /// Workers.
        servers: u32,
    },
    /// Service times multiplied by a factor.
    Service {
        /// Name of the station.
        station: String,
        /// The factor.
        factor: f64,
    },
    /// Another probability that an attempt fails.
    Failure {
        /// Name of the station.
        station: String,
        /// The probability.
        probability: f64,
    },
    /// Another retry policy.
    Retry {
        /// Name of the station.
        station: String,
        /// The policy.
        retry: Retry,
    },
    /// Another bound; `None` removes it.
    Capacity {
        /// Name of the station.
        station: String,
        /// Places, including those in service.
        capacity: Option<u32>,
    },
}

/// The model with the changes made, in order.
///
/// # Errors
/// [`Domain`] when a name is unknown or a value impossible.
pub fn apply(model: &Model, changes: &[Change]) -> Result<Model, Domain> {
    let mut next = model.clone();
    for change in changes {
        match change {
            Change::Load { factor } => {
                positive("factor", *factor)?;
                for source in &mut next.sources {
                    source.arrivals = source.arrivals.faster(*factor);
                }
            }
            Change::Rate { source, rate } => {
                positive("rate", *rate)?;
                let now = (next.rate(source)).ok_or_else(|| unknown("source", source))?;
                for found in next.sources.iter_mut().filter(|s| s.name == *source) {
                    found.arrivals = found.arrivals.faster(rate / now);
                }
            }
            Change::Workers { station, servers } => find(&mut next, station)?.servers = *servers,
            Change::Service { station, factor } => {
                positive("factor", *factor)?;
                let found = find(&mut next, station)?;
                found.service = found.service.stretched(*factor);
                for service in &mut found.service_by_class {
                    *service = service.stretched(*factor);
                }
                let recorded = next.sources.iter_mut().flat_map(|s| &mut s.recorded);
                for record in recorded {
                    if let Some(service) = record.services.get_mut(station) {
                        *service *= factor;
                    }
                }
            }
            Change::Failure {
                station,
                probability,
            } => {
                let found = find(&mut next, station)?;
                let failure = found.failure.as_mut().ok_or_else(|| {
                    Domain::undefined(format!("{station:?} has no retry policy to fail under"))
                })?;
                failure.probability = *probability;
            }
            Change::Retry { station, retry } => {
                let found = find(&mut next, station)?;
                let failure = found.failure.as_mut().ok_or_else(|| {
                    Domain::undefined(format!("{station:?} does not fail: nothing to retry"))
                })?;
                failure.retry = retry.clone();
            }
            Change::Capacity { station, capacity } => {
                find(&mut next, station)?.capacity = *capacity;
            }
        }
    }
    next.check()?;
    Ok(next)
}

fn find<'a>(model: &'a mut Model, name: &str) -> Result<&'a mut crate::model::Station, Domain> {
    model
        .stations
        .iter_mut()
        .find(|s| s.name == name)
        .ok_or_else(|| unknown("station", name))
}

fn unknown(kind: &str, name: &str) -> Domain {
    Domain::undefined(format!("no {kind} called {name:?}"))
}

/// How a p99 changes from one plan to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// Name of a station or source.
    pub of: String,
    /// p99 before, seconds.
    pub before: f64,
    /// p99 after, seconds.
    pub after: f64,
    /// Whether the bands do not touch: the change is more than uncertainty.
    pub clear: bool,
}

impl Delta {
    /// after/before - 1.
    pub fn growth(&self) -> f64 {
        self.after / self.before - 1.0
    }

    /// Whether p99 grows by more than this fraction, beyond uncertainty.
    pub fn regresses(&self, fraction: f64) -> bool {
        self.clear && self.growth() > fraction
    }
}

/// p99 of every station and source that both plans have.
pub fn diff(before: &Plan, after: &Plan) -> Vec<Delta> {
    let all = |plan: &Plan| {
        let stations = plan.predictions.iter().map(|p| (p.station.clone(), p.p99));
        let sources = plan.journeys.iter().map(|j| (j.source.clone(), j.p99));
        stations.chain(sources).collect::<Vec<_>>()
    };
    let later = all(after);
    all(before)
        .into_iter()
        .filter_map(|(of, a)| {
            let (_, b) = later.iter().find(|(name, _)| *name == of)?;
            let clear = a.hi < b.lo || b.hi < a.lo;
            Some(Delta {
                of,
                before: a.value,
                after: b.value,
                clear,
            })
        })
        .collect()
}
