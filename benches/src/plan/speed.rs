//! What the planner costs: the time of its answers, and what measuring takes from the throughput.

use std::time::Instant;

use hence::App;
use hence_planner::arrivals::Arrivals;
use hence_planner::model::{Failure, KeyLaw, Keying, Model, Retry, Source, Station, all_to};
use hence_planner::plan::{PlanOptions, bottleneck, flows, plan};
use hence_planner::service::Dist;

use super::planning;
use crate::load::{Counter, Load, count};
use crate::report::{Row, median};

/// Stations of the model that is planned.
const NODES: usize = 20;
/// Repetitions of each answer.
const ROUNDS: usize = 9;
/// Publishes under way while the cost of measuring is measured.
const WINDOW: usize = 256;

/// A chain with a branch: keys, retries and plain stations in turn.
fn model() -> Model {
    let name = |i: usize| format!("q{i}");
    let retry = Retry {
        attempts: 4,
        base: 0.2,
        factor: 3.0,
        cap: 60.0,
        jitter: true,
        hold_key: true,
        budget: None,
    };
    let service = Dist::LogNormal {
        mean: 0.02,
        scv: 2.0,
    };
    let station = |i: usize| {
        let mut station = Station::new(&name(i), 8, service.clone());
        if i.is_multiple_of(3) {
            station.keying = Keying::Lanes;
        }
        station.failure = Some(Failure {
            probability: 0.02,
            outage: None,
            retry: retry.clone(),
        });
        if i + 2 < NODES {
            station.emits = vec![all_to(&name(i + 1))];
        }
        if i == 5 {
            station.emits.push(all_to(&name(NODES - 1)));
        }
        station
    };
    let mut source = Source::new("s", Arrivals::Poisson { rate: 280.0 }, "q0");
    source.keys = Some(KeyLaw::Zipf { n: 5000, z: 0.8 });
    Model {
        stations: (0..NODES).map(station).collect(),
        sources: vec![source],
    }
}

fn timed(mut work: impl FnMut()) -> f64 {
    median((0..ROUNDS).map(|_| {
        let began = Instant::now();
        work();
        began.elapsed().as_secs_f64()
    }))
}

fn at_most(name: &str, milliseconds: f64, goal: f64) -> Row {
    let mut row = Row::plain(name, milliseconds, "ms");
    row.goal = Some(goal);
    row.met = Some(milliseconds <= goal);
    row
}

/// The time of answers: live figures of a measured application, and a whole plan of 20 nodes.
pub(super) fn answers(topology: &hence::core::Topology, measured: &planning::All) -> Vec<Row> {
    let live = timed(|| {
        let fitted = planning::fit(topology, measured);
        let flows = flows(&fitted.model).unwrap_or_default();
        std::hint::black_box(bottleneck(&fitted.model, &flows));
        let formulas = PlanOptions {
            events: 0,
            knowledge: fitted.knowledge,
            ..PlanOptions::default()
        };
        std::hint::black_box(plan(&fitted.model, &formulas).is_ok());
    });
    let model = model();
    let whole = timed(|| {
        std::hint::black_box(plan(&model, &PlanOptions::default()).is_ok());
    });
    vec![
        at_most(
            "live figures, from measurements to formulas",
            live * 1e3,
            10.0,
        ),
        at_most("a plan of 20 nodes, by simulation", whole * 1e3, 2_000.0),
    ]
}

/// Throughput in memory with and without measuring, in turn within one run.
pub(super) async fn measuring(short: bool) -> anyhow::Result<Row> {
    let (rounds, events) = if short { (12, 30_000) } else { (40, 100_000) };
    let mut pairs = Vec::new();
    for round in 0..rounds {
        // Who goes first changes, so that a trend of the machine falls on both.
        let first = round % 2 == 0;
        let one = throughput(events, first).await?;
        let other = throughput(events, !first).await?;
        pairs.push(if first { (one, other) } else { (other, one) });
    }
    let mut row = Row::beside("throughput while measuring", "events/s", "without", &pairs);
    row = row.goal(0.98);
    Ok(row)
}

async fn throughput(events: usize, on: bool) -> anyhow::Result<f64> {
    let counter = Counter::new(events);
    let app = App::new("bench")
        .state(counter.clone())
        .subscribe("count", count);
    let running = app.start("memory:").await?;
    running.metrics().values().for_each(|m| m.measure(on));
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..WINDOW {
        let bus = running.bus().clone();
        let share = events / WINDOW + usize::from(lane < events % WINDOW);
        tasks.spawn(async move {
            for _ in 0..share {
                bus.publish(Load::new()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    counter.all().await;
    let took = began.elapsed().as_secs_f64();
    running.drain().await;
    Ok(events as f64 / took)
}
