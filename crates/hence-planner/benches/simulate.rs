//! Calendar entries per second of the simulator, and the time of a plan, on one thread:
//! `cargo bench -p hence-planner --bench simulate`.
#![allow(
    clippy::print_stdout,
    reason = "a benchmark reports on standard output"
)]

use std::time::Instant;

use hence_planner::arrivals::Arrivals;
use hence_planner::model::{
    Discipline, Failure, KeyLaw, Keying, Model, Retry, Source, Station, all_to,
};
use hence_planner::plan::{PlanOptions, plan};
use hence_planner::service::Dist;
use hence_planner::simulate::{SimOptions, Simulator};

fn poisson(name: &str, rate: f64, to: &str) -> Source {
    Source::new(name, Arrivals::Poisson { rate }, to)
}

fn single(servers: u32) -> Model {
    let station = Station::new("q", servers, Dist::Exp { mean: 1.0 });
    Model {
        stations: vec![station],
        sources: vec![poisson("s", 0.8 * f64::from(servers), "q")],
    }
}

fn chain(length: usize, servers: u32) -> Model {
    let name = |i: usize| format!("q{i}");
    let stations = (0..length)
        .map(|i| {
            let mut station = Station::new(&name(i), servers, Dist::Exp { mean: 1.0 });
            if i + 1 < length {
                station.emits = vec![all_to(&name(i + 1))];
            }
            station
        })
        .collect();
    Model {
        stations,
        sources: vec![poisson("s", 0.8 * f64::from(servers), "q0")],
    }
}

fn rich() -> Model {
    let mut station = Station::new(
        "q",
        8,
        Dist::LogNormal {
            mean: 1.0,
            scv: 2.0,
        },
    );
    station.discipline = Discipline::Priority;
    station.keying = Keying::Lanes;
    station.failure = Some(Failure {
        probability: 0.1,
        outage: None,
        retry: Retry {
            attempts: 4,
            base: 0.5,
            factor: 2.0,
            cap: 10.0,
            jitter: true,
            hold_key: true,
            budget: None,
        },
    });
    let sources = (0..3)
        .map(|class| {
            let mut source = poisson(&format!("s{class}"), 1.6, "q");
            source.class = class;
            source.keys = Some(KeyLaw::Zipf { n: 10_000, z: 0.9 });
            source
        })
        .collect();
    Model {
        stations: vec![station],
        sources,
    }
}

fn main() {
    let rows = [
        ("M/M/1", single(1)),
        ("M/M/8", single(8)),
        ("20 stations of 8 in a row", chain(20, 8)),
        ("keys + priorities + retries, lognormal", rich()),
    ];
    for (name, model) in rows {
        let rate: f64 = model.sources.iter().map(|s| s.arrivals.rate()).sum();
        let horizon = 2e6 / rate / model.stations.len() as f64;
        let options = SimOptions {
            horizon,
            ..SimOptions::default()
        };
        let simulator = Simulator::new(&model, &options).expect("a consistent model");
        let best = (0..3)
            .map(|n| {
                let start = Instant::now();
                let run = simulator.replication(n);
                run.events as f64 / start.elapsed().as_secs_f64()
            })
            .fold(0.0, f64::max);
        println!("{name}: {:.1} M events/s", best / 1e6);
    }
    for (name, model, options) in [
        (
            "20 stations, 4 M calendar entries",
            chain(20, 8),
            PlanOptions::default(),
        ),
        (
            "M/M/8, formulas only",
            single(8),
            PlanOptions {
                events: 0,
                ..PlanOptions::default()
            },
        ),
    ] {
        let start = Instant::now();
        plan(&model, &options).expect("a stable model");
        println!(
            "plan of {name}: {:.3} ms",
            start.elapsed().as_secs_f64() * 1e3
        );
    }
}
