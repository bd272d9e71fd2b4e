//! Results of one replication, and intervals over several.

use crate::model::Model;
use crate::simulate::run::Run;
use crate::simulate::sampler::TICKS;
use crate::simulate::state::{Counts, SourceCounts, Visits};
use crate::simulate::tally::Tally;
use crate::simulate::{
    ClassEstimate, Estimate, SimReport, SourceEstimate, StationEstimate, Timing, estimate,
};

/// One station in one replication.
#[derive(Debug, Clone)]
pub struct StationRun {
    /// Visits by class.
    pub classes: Vec<Visits>,
    /// Counters, from the end of the warm-up.
    pub counts: Counts,
    /// Mean number present between warm-up and horizon.
    pub l: f64,
    /// Mean number of occupied workers between warm-up and horizon.
    pub busy: f64,
    /// Visits completed between warm-up and horizon.
    pub completed: u64,
    /// ∫ number present over the whole run after the warm-up, ticks (1 ns) times events.
    pub area: u128,
    /// Number present at the end.
    pub left: u32,
}

/// One replication.
#[derive(Debug, Clone)]
pub struct Replication {
    /// Stations in the order of the model.
    pub stations: Vec<StationRun>,
    /// Sources in the order of the model.
    pub sources: Vec<SourceCounts>,
    /// Calendar entries handled.
    pub events: u64,
    /// Seconds between warm-up and horizon.
    pub window: f64,
    /// The limit of entries was hit.
    pub truncated: bool,
}

impl StationRun {
    /// All classes together.
    pub fn all(&self) -> Visits {
        let mut all = Visits::default();
        for class in &self.classes {
            all.wait.merge(&class.wait);
            all.response.merge(&class.response);
        }
        all
    }

    /// Σ of the response times of all visits, ticks (1 ns); exact.
    pub fn response_total(&self) -> u128 {
        self.classes
            .iter()
            .map(|class| class.response.total())
            .sum()
    }
}

impl Replication {
    pub(crate) fn of(run: Run<'_>) -> Self {
        let window = run.at_horizon_time().saturating_sub(run.bounds.warm_up) as f64;
        let stations = run
            .stations
            .into_iter()
            .zip(&run.at_horizon)
            .map(|(state, (area, busy, served))| StationRun {
                completed: *served,
                classes: state.classes,
                counts: state.counts,
                l: *area as f64 / window,
                busy: *busy as f64 / window,
                area: state.area,
                left: state.present,
            })
            .collect();
        Self {
            stations,
            sources: run
                .sources
                .into_iter()
                .map(|source| source.counts)
                .collect(),
            events: run.events,
            window: window / TICKS,
            truncated: run.truncated,
        }
    }
}

fn timing(tallies: &[&Tally]) -> Timing {
    let quantile = |p: f64| estimate(tallies.iter().map(|t| t.quantile(p)));
    Timing {
        mean: estimate(tallies.iter().map(|t| t.mean())),
        p50: quantile(0.5),
        p95: quantile(0.95),
        p99: quantile(0.99),
    }
}

/// Intervals over replications.
pub(crate) fn summarise(model: &Model, runs: &[Replication], warm_up: u64) -> SimReport {
    SimReport {
        stations: (0..model.stations.len())
            .map(|i| station(model, runs, i))
            .collect(),
        sources: (0..model.sources.len())
            .map(|i| source(model, runs, i))
            .collect(),
        replications: runs.len() as u32,
        events: runs.iter().map(|r| r.events).sum(),
        warm_up: warm_up as f64 / TICKS,
        truncated: runs.iter().any(|r| r.truncated),
    }
}

fn station(model: &Model, runs: &[Replication], i: usize) -> StationEstimate {
    let plan = model.stations.get(i);
    let servers = plan.map_or(1.0, |s| f64::from(s.servers));
    let at: Vec<(&Replication, &StationRun)> = runs
        .iter()
        .filter_map(|r| Some((r, r.stations.get(i)?)))
        .collect();
    let over = |f: &dyn Fn(&Replication, &StationRun) -> f64| -> Estimate {
        estimate(at.iter().map(|(r, s)| f(r, s)))
    };
    let share = |f: &dyn Fn(&Counts) -> u64| {
        over(&|_, s| {
            let asked = s.counts.entered + s.counts.rejected;
            f(&s.counts) as f64 / asked as f64
        })
    };
    let all: Vec<Visits> = at.iter().map(|(_, s)| s.all()).collect();
    let classes = at.first().map_or(0, |(_, s)| s.classes.len());
    let class = |k: usize| {
        let visits: Vec<&Visits> = at.iter().filter_map(|(_, s)| s.classes.get(k)).collect();
        ClassEstimate {
            wait: timing(&visits.iter().map(|v| &v.wait).collect::<Vec<_>>()),
            response: timing(&visits.iter().map(|v| &v.response).collect::<Vec<_>>()),
        }
    };
    StationEstimate {
        name: plan.map_or_else(String::new, |s| s.name.clone()),
        throughput: over(&|r, s| s.completed as f64 / r.window),
        utilisation: over(&|_, s| s.busy / servers),
        l: over(&|_, s| s.l),
        wait: timing(&all.iter().map(|v| &v.wait).collect::<Vec<_>>()),
        response: timing(&all.iter().map(|v| &v.response).collect::<Vec<_>>()),
        rejected: share(&|c| c.rejected),
        expired: share(&|c| c.expired),
        blocked: over(&|_, s| s.counts.blocked as f64 / s.counts.served as f64),
        classes: (0..classes).map(class).collect(),
    }
}

fn source(model: &Model, runs: &[Replication], i: usize) -> SourceEstimate {
    let at: Vec<(&Replication, &SourceCounts)> = runs
        .iter()
        .filter_map(|r| Some((r, r.sources.get(i)?)))
        .collect();
    let share = |f: &dyn Fn(&SourceCounts) -> u64| {
        estimate(at.iter().map(|(_, s)| f(s) as f64 / s.offered as f64))
    };
    SourceEstimate {
        name: model
            .sources
            .get(i)
            .map_or_else(String::new, |s| s.name.clone()),
        rate: estimate(at.iter().map(|(r, s)| s.offered as f64 / r.window)),
        response: timing(&at.iter().map(|(_, s)| &s.response).collect::<Vec<_>>()),
        consumed: share(&|s| s.consumed),
        in_time: share(&|s| s.in_time),
        dead: share(&|s| s.dead),
        rejected: share(&|s| s.rejected),
        expired: share(&|s| s.expired),
        resent: share(&|s| s.resent),
    }
}
