//! What the load of a cell has by its own laws, without any application, and how far a run of its
//! length is from that by chance: a prediction can be as right as a measurement, and they differ.

use std::time::Duration;

use hence_planner::arrivals::{Arrivals, BatchSize};
use hence_planner::model::{Model, Source, Station};
use hence_planner::service::Dist;
use hence_planner::simulate::{Estimate, SimOptions, Timing, WarmUp, simulate};

use super::cell::{Cell, MEAN, Shape, WORKERS};
use super::traffic::{BATCH, CHANGES, Law, Traffic};

/// Runs of one length by which their spread is known.
const RUNS: u32 = 40;
/// How much longer than a run the simulation is that tells the figure.
const LONGER: f64 = 20.0;

/// A figure, and by how much runs differ from it in 95 of 100 cases, as a share of it.
pub(super) struct Truth {
    pub(super) value: f64,
    pub(super) chance: f64,
}

/// A figure of a cell by its laws; `None` for work that they do not tell whole.
pub(super) fn of(
    cell: &Cell,
    length: Duration,
    runs: u64,
    figure: fn(&Timing) -> Estimate,
) -> Option<Truth> {
    let Shape::Plain = cell.shape else {
        return None;
    };
    let rate = cell.load * WORKERS as f64 / MEAN;
    let arrivals = match cell.traffic {
        Traffic::Poisson => Arrivals::Poisson { rate },
        Traffic::Bursty => Arrivals::Mmpp2 {
            rate1: 1.5 * rate,
            rate2: 0.5 * rate,
            leave1: CHANGES,
            leave2: CHANGES,
        },
        Traffic::Batch => Arrivals::Batch {
            rate: rate / BATCH,
            size: BatchSize::Geometric(BATCH),
        },
    };
    let service = match cell.law {
        Law::Exponential => Dist::Exp { mean: MEAN },
        Law::LogNormal => Dist::LogNormal {
            mean: MEAN,
            scv: 1.5,
        },
        Law::Constant => Dist::Det { mean: MEAN },
    };
    let model = Model {
        stations: vec![Station::new("work", WORKERS as u32, service)],
        sources: vec![Source::new("job", arrivals, "work")],
    };
    let length = length.as_secs_f64();
    let estimate = |replications: u32, horizon: f64| {
        let options = SimOptions {
            replications,
            horizon,
            // An application is empty when it begins, too.
            warm_up: WarmUp::Share(0.0),
            ..SimOptions::default()
        };
        let report = simulate(&model, &options).ok()?;
        report
            .stations
            .first()
            .map(|station| figure(&station.response))
    };
    let value = estimate(4, LONGER * length)?.value;
    let deviation = estimate(RUNS, length)?.se * f64::from(RUNS).sqrt();
    Some(Truth {
        value,
        chance: 1.96 * deviation / (runs.max(1) as f64).sqrt() / value,
    })
}
