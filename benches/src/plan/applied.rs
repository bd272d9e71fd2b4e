//! The workers that the planner names, applied: with them the target is met, with one fewer it is
//! missed.

use std::time::Duration;

use hence_planner::plan::PlanOptions;
use hence_planner::sizing::{Percentile, Target, workers_for};

use super::cell::{Seen, at};
use super::clock::paused;
use super::planning;
use crate::report::Row;

/// The load, in erlang, and the workers with which it is measured first.
const BEFORE: (f64, usize) = (3.2, 8);
/// The target of p99, in seconds: between what four and what five workers reach.
const TARGET: f64 = 0.125;
/// For how long it is measured, before and after.
const LENGTH: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(200));

/// Measures, asks, and applies.
pub(super) fn run() -> anyhow::Result<Vec<Row>> {
    let (measured, topology) = paused(at(BEFORE, LENGTH.0, 900, true))?;
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
    let sizing = workers_for(&fitted.model, "work", &target, &options)?;
    let named = sizing.workers as usize;
    let mut rows = Vec::new();
    for (workers, meets) in [(named, true), (named.saturating_sub(1), false)] {
        let (measured, _) = paused(at((BEFORE.0, workers), LENGTH.1, 901, true))?;
        let p99 = measured
            .get("work")
            .map_or(f64::NAN, |work| Seen::of(&work.response).p99());
        let what = if meets { "as named" } else { "one fewer" };
        let name = format!("p99 < {:.0} ms, {workers} workers {what}", TARGET * 1e3);
        let mut row = Row::plain(&name, p99 * 1e3, "ms p99");
        let step = sizing.stairs.iter().find(|s| s.workers as usize == workers);
        row.beside = step.and_then(|step| step.figure).map(|figure| {
            let asked = BEFORE.1;
            format!("predicted {:.1} from {asked} workers", figure.value * 1e3)
        });
        row.met = Some((p99 <= TARGET) == meets);
        rows.push(row);
    }
    Ok(rows)
}
