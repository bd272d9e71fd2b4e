//! What in a model will hurt: loops without exit, aligned timers, retry storms, hot keys.

use serde::{Deserialize, Serialize};

use crate::arrivals::Arrivals;
use crate::fit::key::{HotKey, hottest};
use crate::model::{Keying, Model, Station};
use crate::plan::{Flow, PlanError, flows};
use crate::retry::{Fold, attempts, retry_fold};

/// A finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// Events go round for ever.
    #[error("events go round for ever through {0:?}")]
    LoopWithoutExit(Vec<String>),
    /// Timers that fire together.
    #[error(
        "{count} events of {source_name} come together every {period:.4} s: they wait {wait:.4} s \
         longer on average for {station} than if each had a moment of its own"
    )]
    AlignedTimers {
        /// Name of the source.
        source_name: String,
        /// Name of the station.
        station: String,
        /// How many.
        count: u32,
        /// From one time to the next, seconds.
        period: f64,
        /// Half a batch of services, seconds.
        wait: f64,
    },
    /// Clients that send again can keep a station collapsed.
    #[error("clients of {station} can hold it down from {:.1}/s on; fold at {:.1}/s", fold.metastable_from, fold.lambda)]
    ClientStorm {
        /// Name of the station.
        station: String,
        /// The fold of its mean field.
        fold: Fold,
    },
    /// With every attempt failing, retries alone saturate the station.
    #[error(
        "if all of {station} fails, retries raise its utilisation from {rho:.2} to {failing:.2}"
    )]
    RetryStorm {
        /// Name of the station.
        station: String,
        /// Utilisation now.
        rho: f64,
        /// Utilisation when every attempt fails.
        failing: f64,
    },
    /// One key uses much of a worker.
    #[error("the hottest key of {station} keeps its lane {:.0} % busy; ceiling {:.1}/s", key.rho * 100.0, key.ceiling)]
    HotKey {
        /// Name of the station.
        station: String,
        /// The key.
        key: HotKey,
    },
}

/// All findings.
///
/// # Errors
/// [`PlanError`] for an inconsistent model; a loop without exit is a finding.
pub fn lint(model: &Model) -> Result<Vec<Finding>, PlanError> {
    let flows = match flows(model) {
        Ok(flows) => flows,
        Err(PlanError::LoopWithoutExit(names)) => {
            return Ok(vec![Finding::LoopWithoutExit(names)]);
        }
        Err(other) => return Err(other),
    };
    let mut findings = Vec::new();
    for (station, flow) in model.stations.iter().zip(&flows) {
        findings.extend(retry_storm(station, flow));
        findings.extend(hot_keys(model, station, flow));
        findings.extend(timers(model, station, flow));
        findings.extend(client_storm(model, station, flow));
    }
    Ok(findings)
}

fn feeds(source: &crate::model::Source, station: &Station) -> bool {
    source
        .emits
        .iter()
        .flatten()
        .any(|branch| branch.to == station.name)
}

fn retry_storm(station: &Station, flow: &Flow) -> Option<Finding> {
    let failure = station
        .failure
        .as_ref()
        .filter(|f| f.retry.budget.is_none())?;
    if station.breaker.is_some() || station.spacing.is_some() {
        return None;
    }
    let failing = flow.rho / flow.attempts * attempts(1.0, failure.retry.attempts);
    let name = station.name.clone();
    (failing >= 1.0).then_some(Finding::RetryStorm {
        station: name,
        rho: flow.rho,
        failing,
    })
}

fn hot_keys(model: &Model, station: &Station, flow: &Flow) -> Option<Finding> {
    if !matches!(station.keying, Keying::Lanes | Keying::Turns) {
        return None;
    }
    // A key that waits for its retry is busy while it backs off.
    let held = station
        .failure
        .as_ref()
        .filter(|f| f.retry.hold_key)
        .map_or(0.0, |f| {
            (1..f.retry.attempts)
                .map(|k| f.probability.powi(k as i32) * f.retry.mean_delay(k))
                .sum()
        });
    let busy = flow.attempts * flow.es + held;
    let keys = model.sources.iter().filter(|s| feeds(s, station));
    let law = keys.filter_map(|s| s.keys.as_ref()).next()?;
    let key = hottest(law, flow.fresh, busy);
    (key.rho > 0.5).then(|| Finding::HotKey {
        station: station.name.clone(),
        key,
    })
}

fn timers(model: &Model, station: &Station, flow: &Flow) -> Vec<Finding> {
    let aligned = |source: &crate::model::Source| match source.arrivals {
        Arrivals::Timer {
            count,
            period,
            aligned: true,
        } if count > station.servers => {
            let wait = 0.5 * f64::from(count) * flow.es / f64::from(station.servers);
            Some(Finding::AlignedTimers {
                source_name: source.name.clone(),
                station: station.name.clone(),
                count,
                period,
                wait,
            })
        }
        _ => None,
    };
    model
        .sources
        .iter()
        .filter(|s| feeds(s, station))
        .filter_map(aligned)
        .collect()
}

fn client_storm(model: &Model, station: &Station, flow: &Flow) -> Option<Finding> {
    let source = model
        .sources
        .iter()
        .find(|s| feeds(s, station) && s.patience.is_some())?;
    let patience = source.patience.as_ref()?;
    if patience.cancel || patience.budget.is_some() {
        return None;
    }
    // c workers as one of c times the speed: right near saturation, where storms begin.
    let mu = f64::from(station.servers) / flow.es;
    let fold = retry_fold(mu, patience.timeout, patience.attempts).ok()?;
    let storms = flow.fresh >= fold.metastable_from;
    storms.then(|| Finding::ClientStorm {
        station: station.name.clone(),
        fold,
    })
}
