//! The operational laws, path by path, on random models; repeatability; common random numbers.

use hence_planner::arrivals::Arrivals;
use hence_planner::model::{
    BatchService, Discipline, Failure, KeyLaw, Keying, Model, OnFull, Retry, Source, Station,
    all_to,
};
use hence_planner::service::Dist;
use hence_planner::simulate::{SimOptions, Simulator, WarmUp, simulate};
use proptest::prelude::*;

use crate::scenario::{exp, on_two_threads, poisson, single};

fn service() -> impl Strategy<Value = Dist> {
    prop_oneof![
        (0.2..1.5).prop_map(|mean| Dist::Exp { mean }),
        (0.2..1.5).prop_map(|mean| Dist::Det { mean }),
        (0.2..1.5).prop_map(|mean| Dist::balanced_h2(mean, 3.0)),
        (0.2..1.5).prop_map(|mean| Dist::LogNormal { mean, scv: 2.0 }),
    ]
}

fn discipline() -> impl Strategy<Value = Discipline> {
    prop_oneof![
        Just(Discipline::Fifo),
        Just(Discipline::Lifo),
        Just(Discipline::Sharing),
        Just(Discipline::Priority),
        Just(Discipline::PriorityPreemptive),
        Just(Discipline::Deadline),
        Just(Discipline::Srpt),
        Just(Discipline::AdaptiveLifo {
            congested_after: 2.0,
            slough: 5.0
        }),
    ]
}

fn station() -> impl Strategy<Value = Station> {
    let extras = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        0_u32..3,
        0.0..0.4,
    );
    (
        1_u32..4,
        service(),
        discipline(),
        prop::option::of(4_u32..12),
        extras,
    )
        .prop_map(
            |(servers, service, discipline, capacity, (keyed, batch, drop_oldest, retries, p))| {
                let mut station = Station::new("x", servers, service);
                let plain = discipline == Discipline::Fifo;
                station.discipline = discipline;
                station.capacity = capacity;
                station.on_full = if drop_oldest {
                    OnFull::DropOldest
                } else {
                    OnFull::Reject
                };
                if keyed && plain {
                    station.keying = Keying::Lanes;
                } else if batch && plain {
                    station.batch = Some(BatchService {
                        max: 3,
                        per_item: 0.1,
                        linger: 0.2,
                    });
                }
                let retry = Retry {
                    attempts: retries + 1,
                    base: 0.5,
                    factor: 2.0,
                    cap: 3.0,
                    jitter: true,
                    hold_key: keyed,
                    budget: None,
                };
                station.failure = (retries > 0).then_some(Failure {
                    probability: p,
                    outage: None,
                    retry,
                });
                station
            },
        )
}

fn model() -> impl Strategy<Value = Model> {
    (
        prop::collection::vec(station(), 1..4),
        0.2_f64..2.0,
        any::<bool>(),
    )
        .prop_map(|(mut stations, rate, fan_out)| {
            let last = stations.len() - 1;
            for (i, station) in stations.iter_mut().enumerate() {
                station.name = format!("q{i}");
                if i < last {
                    station.emits = vec![all_to(&format!("q{}", i + 1))];
                    if fan_out && i == 0 {
                        station.emits.push(all_to(&format!("q{last}")));
                    }
                }
            }
            let sources = (0..2)
                .map(|class| {
                    let mut source = Source::new(&format!("s{class}"), poisson(rate), "q0");
                    source.class = class;
                    source.keys = Some(KeyLaw::Zipf { n: 20, z: 0.8 });
                    source
                })
                .collect();
            Model { stations, sources }
        })
}

fn options(seed: u64) -> SimOptions {
    SimOptions {
        seed,
        replications: 2,
        horizon: 300.0,
        warm_up: WarmUp::None,
        ..SimOptions::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..<_>::default() })]

    /// Little's law path by path: in a run that starts and ends empty, the integral of the number
    /// present equals the sum of the times present, to the tick.
    #[test]
    fn little_holds_exactly(model in model(), seed in any::<u64>()) {
        let run = Simulator::new(&model, &options(seed)).unwrap().replication(0);
        for station in &run.stations {
            prop_assert_eq!(station.left, 0);
            // Times present of served events are measured; the rest must be those dropped.
            let served = station.response_total();
            if station.counts.rejected == 0 && station.counts.expired == 0 {
                prop_assert_eq!(station.area, served);
            } else {
                prop_assert!(station.area >= served);
            }
        }
    }

    /// Flow conservation: what enters leaves, and every event has exactly one end.
    #[test]
    fn flow_is_conserved(model in model(), seed in any::<u64>()) {
        let run = Simulator::new(&model, &options(seed)).unwrap().replication(0);
        for source in &run.sources {
            let ends = source.consumed + source.dead + source.rejected + source.expired;
            prop_assert_eq!(source.offered, ends);
        }
        for (station, plan) in run.stations.iter().zip(&model.stations) {
            let c = &station.counts;
            let pushed_out = if plan.on_full == OnFull::DropOldest { c.rejected } else { 0 };
            prop_assert!(c.served + c.expired <= c.entered);
            prop_assert!(c.entered <= c.served + c.expired + pushed_out);
        }
    }

    /// Utilisation law ρ = X·E[S]/c, within the noise of a long run.
    #[test]
    fn utilisation_law(servers in 1_u32..5, rho in 0.2_f64..0.8, service in service(), seed in any::<u64>()) {
        let rate = rho * f64::from(servers) / service.mean();
        let model = single(poisson(rate), servers, service);
        let horizon = 20_000.0 / rate;
        let run = Simulator::new(&model, &SimOptions { horizon, ..options(seed) })
            .unwrap()
            .replication(0);
        let station = &run.stations[0];
        let es = station.all();
        let es = es.response.mean() - es.wait.mean();
        let x = station.completed as f64 / run.window;
        // Edges: at most a few services in progress at the horizon.
        prop_assert!((station.busy - x * es).abs() < 0.01 * f64::from(servers));
        prop_assert!((station.busy / f64::from(servers) - rho).abs() < 0.1);
    }
}

#[test]
fn a_seed_repeats_on_any_number_of_threads() {
    let model = single(
        poisson(0.8),
        1,
        Dist::LogNormal {
            mean: 1.0,
            scv: 4.0,
        },
    );
    let options = |seed| SimOptions {
        seed,
        replications: 5,
        ..SimOptions::default()
    };
    let one = simulate(&model, &options(7)).unwrap();
    assert_eq!(one, on_two_threads(&model, &options(7)));
    assert_ne!(one.sources, simulate(&model, &options(8)).unwrap().sources);
}

#[test]
fn a_seed_gives_the_same_numbers_on_every_platform() {
    // Golden values: our own logarithm and exponential, integers of ticks, named streams.
    let model = single(
        poisson(0.8),
        1,
        Dist::LogNormal {
            mean: 1.0,
            scv: 4.0,
        },
    );
    let run = Simulator::new(&model, &options(42)).unwrap().replication(3);
    let total = run.stations[0].response_total();
    assert_eq!((run.stations[0].counts.served, total), GOLDEN);
}

const GOLDEN: (u64, u128) = (240, 1_252_187_059_323);

#[test]
fn common_random_numbers_sharpen_differences() {
    let slow = single(poisson(3.0), 4, exp(1.0));
    let mut fast = slow.clone();
    fast.stations[0].servers = 5;
    let means = |model: &Model, seed| {
        let options = SimOptions {
            horizon: 3000.0,
            ..options(seed)
        };
        let simulator = Simulator::new(model, &options).unwrap();
        let mean = |n| simulator.replication(n).stations[0].all().response.mean();
        (0..20).map(mean).collect::<Vec<f64>>()
    };
    let variance = |a: &[f64], b: &[f64]| {
        let d: Vec<f64> = a.iter().zip(b).map(|(x, y)| x - y).collect();
        let mean = d.iter().sum::<f64>() / d.len() as f64;
        d.iter().map(|x| (x - mean).powi(2)).sum::<f64>()
    };
    let base = means(&slow, 1);
    let (common, independent) = (means(&fast, 1), means(&fast, 2));
    let gain = variance(&base, &independent) / variance(&base, &common);
    assert!(
        gain > 1.2,
        "common random numbers reduce the variance only {gain:.1} times"
    );
}

#[test]
fn arrival_processes_have_their_rate_and_dispersion() {
    use hence_planner::fit::dispersion;
    let mmpp = Arrivals::Mmpp2 {
        rate1: 30.0,
        rate2: 2.0,
        leave1: 1.0,
        leave2: 0.25,
    };
    let batch = Arrivals::Batch {
        rate: 5.0,
        size: hence_planner::arrivals::BatchSize::Geometric(4.0),
    };
    for (name, arrivals, window) in [("MMPP", mmpp, 20.0), ("batches", batch, 5.0)] {
        let model = single(arrivals.clone(), 1, exp(1e-6));
        let options = SimOptions {
            horizon: 40_000.0,
            ..options(5)
        };
        let report = simulate(&model, &options).unwrap();
        let rate = report.sources[0].rate.value;
        assert!(
            (rate / arrivals.rate() - 1.0).abs() < 0.05,
            "{name}: rate {rate}"
        );
        let counts = window_counts(&arrivals, window);
        let idc = dispersion::of_counts(&counts).unwrap();
        let want = arrivals.idc(window);
        assert!(
            (idc / want - 1.0).abs() < 0.15,
            "{name}: IDC {idc}, expected {want}"
        );
    }
}

/// Counts in windows, from a simulation cut into one replication per window's multiple.
fn window_counts(arrivals: &Arrivals, window: f64) -> Vec<u64> {
    let model = single(arrivals.clone(), 1, exp(1e-6));
    let options = SimOptions {
        horizon: window,
        ..options(9)
    };
    let simulator = Simulator::new(&model, &options).unwrap();
    (0..4000)
        .map(|n| simulator.replication(n).sources[0].offered)
        .collect()
}
