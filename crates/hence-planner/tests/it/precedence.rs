//! Stations that go after others: rows with exact values, and what the plan says of them.

use hence_core::Topology;
use hence_core::topology::{SubscriptionNode, TypeNode};
use hence_planner::arrivals::Arrivals;
use hence_planner::model::{Failure, Model, Retry, Source, Station, all_to};
use hence_planner::plan::{Method, PlanOptions, plan};
use hence_planner::topology::{Handling, Inflow, Measurements, model};

use crate::scenario::{exp, pair, poisson, run};
use crate::table::Table;

/// One event to every station, each of which goes after those that are named.
fn stages(rate: f64, stations: &[(&str, u32, f64, &[&str])]) -> Model {
    let station = |&(name, servers, mean, after): &(&str, u32, f64, &[&str])| {
        let mut station = Station::new(name, servers, exp(mean));
        station.after = after.iter().map(|first| (*first).to_owned()).collect();
        station
    };
    let mut source = Source::new("s", poisson(rate), "");
    source.emits = stations.iter().map(|s| all_to(s.0)).collect();
    Model {
        stations: stations.iter().map(station).collect(),
        sources: vec![source],
    }
}

/// What leaves an M/M/1 queue is Poisson (Burke 1956), so two stages are a Jackson network:
/// 1/(1-.7) for the first, 1/(.9-.7) more for the second. Two branches without queues that one
/// stage waits for take H₂ = 1.5 means, and the stage one more.
#[test]
fn v34_sequential_stages() {
    let mut t = Table::default();
    let two = stages(0.7, &[("a", 1, 1.0, &[]), ("b", 1, 1.0 / 0.9, &["a"])]);
    let report = run(&two, 20, 400_000.0);
    let art = |i: usize| pair(report.stations[i].response.mean);
    t.simulated("V34 first stage", art(0), 1.0 / 0.3, 0.0);
    let both = 1.0 / 0.3 + 1.0 / 0.2;
    t.simulated("V34 second stage, from the fan-out", art(1), both, 0.0);
    let whole = pair(report.sources[0].response.mean);
    t.simulated("V34 journey", whole, both, 0.0);

    let free: &[(&str, u32, f64, &[&str])] = &[
        ("c", 200, 1.0, &["a", "b"]),
        ("a", 200, 1.0, &[]),
        ("b", 200, 1.0, &[]),
    ];
    let report = run(&stages(2.0, free), 20, 100_000.0);
    let joined = pair(report.stations[0].response.mean);
    t.simulated("V34 after two branches", joined, 2.5, 0.0);
    let waited = pair(report.stations[0].wait.mean);
    t.simulated("V34 wait for two branches", waited, 1.5, 0.0);
}

/// Three stages behind a station that emits; what dies in the first stage never reaches the others.
#[test]
fn what_dies_opens_no_gate() {
    let mut chain = stages(
        1.0,
        &[
            ("a", 50, 0.2, &[]),
            ("b", 50, 0.2, &["a"]),
            ("c", 50, 0.2, &["b"]),
        ],
    );
    let mut entry = Station::new("entry", 50, exp(0.1));
    entry.emits = std::mem::take(&mut chain.sources[0].emits);
    chain.stations.push(entry);
    chain.sources[0].emits = vec![all_to("entry")];
    chain.stations[0].failure = Some(Failure {
        probability: 0.25,
        outage: None,
        retry: Retry {
            attempts: 1,
            base: 0.0,
            factor: 1.0,
            cap: 0.0,
            jitter: false,
            hold_key: false,
            budget: None,
        },
    });
    let report = run(&chain, 4, 50_000.0);
    let mut t = Table::default();
    let served = |i: usize| report.stations[i].throughput.value;
    t.relative("b gets what a has handled", served(1), 0.75, 0.02);
    t.relative("c gets what b has handled", served(2), 0.75, 0.02);
    t.relative("a gets all", served(0), 1.0, 0.02);
}

#[test]
fn a_way_around_is_refused() {
    let around: &[(&str, u32, f64, &[&str])] = &[("a", 1, 0.1, &["b"]), ("b", 1, 0.1, &["a"])];
    let said = stages(1.0, around).check().unwrap_err().to_string();
    assert!(said.contains("after itself"), "{said}");
    let unknown = stages(1.0, &[("a", 1, 0.1, &["nobody"])]);
    assert!(unknown.check().unwrap_err().to_string().contains("nobody"));
}

/// From an application: the stage is simulated, and the one before it keeps its formula.
#[test]
fn a_subscription_after_another_is_planned() {
    let node = |name: &str, after: &[&str]| SubscriptionNode {
        name: name.to_owned(),
        takes: vec!["placed".into()],
        emits: Vec::new(),
        concurrency: 8,
        attempts: 1,
        order: "any".into(),
        options: std::collections::BTreeMap::new(),
        after: after.iter().map(|first| (*first).to_owned()).collect(),
    };
    let topology = Topology {
        types: vec![TypeNode {
            name: "placed".into(),
            keyed: false,
        }],
        subscriptions: vec![node("stock", &[]), node("charge", &["stock"])],
        app: "shop".into(),
        sources: Vec::new(),
    };
    let inflow = Inflow {
        source: "web".into(),
        event: "placed".into(),
        arrivals: Arrivals::Poisson { rate: 40.0 },
        keys: None,
    };
    let measured = Measurements {
        inflows: vec![inflow],
        subscriptions: ["stock", "charge"]
            .map(|name| (name.to_owned(), Handling::new(exp(0.1))))
            .into(),
    };
    let model = model(&topology, &measured).unwrap();
    let plan = plan(&model, &PlanOptions::default()).unwrap();
    let (stock, charge) = (&plan.predictions[0], &plan.predictions[1]);
    assert_eq!(stock.p99.method, Method::Mmc);
    assert!(matches!(charge.p99.method, Method::Simulation(_)));
    assert!(charge.art.lo < 2.0 * stock.art.value && 2.0 * stock.art.value < charge.art.hi);
}
