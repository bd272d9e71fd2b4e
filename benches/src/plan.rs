//! `plan`: what the planner predicts beside what happens. Jobs come at random, handlers sleep for the
//! drawn time, and the prediction is made from what the runtime measured, by the code of the server.

use std::time::Duration;

use hence::{App, Event, Poisson};
use hence_planner::plan::{Figure, PlanOptions, plan};
use hence_planner::simulate::Rng;
use serde::{Deserialize, Serialize};

use crate::report::{self, Row};

#[path = "../../crates/hence-server/src/planning.rs"]
#[expect(
    dead_code,
    reason = "the server shows more of it than is compared here"
)]
mod planning;

/// Workers of each application.
const WORKERS: usize = 4;
/// The mean service time, in seconds.
const MEAN: f64 = 0.02;
/// By how much a predicted mean may be off.
const MEAN_OFF: f64 = 0.10;
/// By how much a predicted p99 may be off.
const P99_OFF: f64 = 0.20;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "job.asked")]
struct Job {
    seconds: f64,
}

async fn work(job: Job) {
    tokio::time::sleep(Duration::from_secs_f64(job.seconds)).await;
}

/// Runs the benchmark: all applications side by side, since they sleep and do not reckon.
pub(crate) fn run(short: bool) -> anyhow::Result<()> {
    let length = Duration::from_secs(if short { 40 } else { 300 });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let rows = runtime.block_on(async {
        let mut runs = Vec::new();
        for (law, constant) in [("exponential", false), ("constant", true)] {
            for load in [0.3, 0.6, 0.8] {
                runs.push((law, load, tokio::spawn(one(load, constant, length))));
            }
        }
        let mut rows = Vec::new();
        for (law, load, run) in runs {
            let name = format!("{law} service, load {:.0} %", load * 100.0);
            rows.extend(run.await??.map(|compared| compared.row(&name)));
        }
        anyhow::Ok(rows)
    })?;
    report::finish("plan", &rows)
}

/// A figure as it was predicted and as it was measured.
struct Compared {
    what: &'static str,
    predicted: Figure,
    measured: f64,
    off: f64,
}

impl Compared {
    fn row(&self, name: &str) -> Row {
        let Figure {
            value,
            lo,
            hi,
            method,
        } = self.predicted;
        let ms = |seconds: f64| seconds * 1e3;
        let mut row = Row::plain(&format!("{name}: {}", self.what), ms(self.measured), "ms");
        row.beside = Some(format!(
            "predicted {:.1} ({:.1} … {:.1}), {method}",
            ms(value),
            ms(lo),
            ms(hi)
        ));
        let ratio = value / self.measured;
        row.ratio = Some(ratio);
        row.goal = Some(1.0 + self.off);
        row.met = Some((ratio - 1.0).abs() <= self.off);
        row
    }
}

/// One application for a while, and what was said of it.
async fn one(load: f64, constant: bool, length: Duration) -> anyhow::Result<[Compared; 2]> {
    let random = std::sync::Mutex::new(Rng::stream(1, 0, "service", 0));
    let draw = move || {
        let mut random = random
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let seconds = if constant {
            MEAN
        } else {
            MEAN * random.exponential()
        };
        Job { seconds }
    };
    let rate = load * WORKERS as f64 / MEAN;
    let app = App::new("plan")
        .subscribe("work", work)
        .configure("work", |options| options.concurrency = WORKERS)
        .source(Poisson::new(rate, "jobs", draw));
    let app = app.start("memory:").await?;
    tokio::time::sleep(length).await;
    let metrics = app.metrics().iter();
    let measured = metrics
        .map(|(name, m)| (name.clone(), m.measured()))
        .collect();
    let fitted = planning::fit(app.topology(), &measured);
    if let Some(why) = fitted.unknown.values().next() {
        anyhow::bail!("load {load}: {why}");
    }
    let options = PlanOptions {
        knowledge: fitted.knowledge,
        ..PlanOptions::default()
    };
    let plan = plan(&fitted.model, &options)?;
    let seen = measured.get("work").map(|m| &m.response);
    let none = || anyhow::anyhow!("load {load}: nothing was measured");
    let p = plan.predictions.first().ok_or_else(none)?;
    let compared = [
        Compared {
            what: "mean",
            predicted: p.art,
            measured: seen
                .and_then(hence::measure::Times::mean)
                .ok_or_else(none)?,
            off: MEAN_OFF,
        },
        Compared {
            what: "p99",
            predicted: p.p99,
            measured: seen.and_then(|seen| seen.quantile(0.99)).ok_or_else(none)?,
            off: P99_OFF,
        },
    ];
    app.drain().await;
    Ok(compared)
}
