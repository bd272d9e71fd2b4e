//! The workers that the planner names, applied: with them the target is met, with one fewer it is
//! missed.

use std::time::Duration;

use hence_planner::plan::PlanOptions;
use hence_planner::sizing::{Percentile, Target, workers_for};

use super::cell::{Seen, at};
use super::planning;
use crate::report::Row;

/// The load, in erlang, and the workers with which it is measured first.
const BEFORE: (f64, usize) = (3.2, 8);
/// The target of p99, in seconds: between what four and what five workers reach.
const TARGET: f64 = 0.125;
/// Applications side by side for each number of workers.
const REPLICAS: u64 = 6;

/// Measures for a third of the time, asks, and applies for the rest.
pub(super) async fn run(length: Duration) -> anyhow::Result<Vec<Row>> {
    let (measured, topology) = at(BEFORE, length / 3, 900).await?;
    let fitted = planning::fit(&topology, &measured);
    let options = PlanOptions {
        knowledge: fitted.knowledge,
        ..PlanOptions::default()
    };
    let target = Target {
        of: "work".to_owned(),
        figure: Percentile::P99,
        below: TARGET,
    };
    let model = fitted.model;
    let sizing =
        tokio::task::spawn_blocking(move || workers_for(&model, "work", &target, &options));
    let workers = sizing.await??.workers as usize;
    let mut rows = Vec::new();
    let (named, fewer) = tokio::join!(
        p99(workers, length * 2 / 3),
        p99(workers.saturating_sub(1), length * 2 / 3)
    );
    let target = TARGET * 1e3;
    for (workers, p99, meets) in [(workers, named?, true), (workers - 1, fewer?, false)] {
        let what = if meets { "as named" } else { "one fewer" };
        let name = format!("workers for p99 < {target:.0} ms: {workers}, {what}");
        let mut row = Row::plain(&name, p99 * 1e3, "ms p99");
        row.beside = Some(format!("asked of {} workers at 3.2 erlang", BEFORE.1));
        row.met = Some((p99 <= TARGET) == meets);
        rows.push(row);
    }
    Ok(rows)
}

/// The p99 that so many workers reach, over some applications side by side.
async fn p99(workers: usize, length: Duration) -> anyhow::Result<f64> {
    let mut runs = tokio::task::JoinSet::new();
    for replica in 0..REPLICAS {
        runs.spawn(at((BEFORE.0, workers), length, 910 + replica));
    }
    let mut seen = Seen::default();
    while let Some(run) = runs.join_next().await {
        let (measured, _) = run??;
        if let Some(work) = measured.get("work") {
            seen.add(&Seen::of(&work.response));
        }
    }
    Ok(seen.p99())
}
