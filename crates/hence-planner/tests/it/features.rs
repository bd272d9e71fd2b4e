//! Each feature of the simulator against what it must do.

use hence_planner::arrivals::Arrivals;
use hence_planner::fit;
use hence_planner::histogram::Hist;
use hence_planner::model::{
    BatchService, Breaker, Discipline, Failure, KeyLaw, Keying, Model, OnFull, Patience, Retry,
    Source, Station,
};
use hence_planner::phase_type::Ph;
use hence_planner::service::Dist;
use hence_planner::simulate::{SimOptions, SimReport, Simulator, WarmUp, simulate, warm_up};
use hence_planner::{mg1, mmck};

use crate::scenario::{exp, pair, poisson, run, single};
use crate::table::Table;

fn retry(attempts: u32, base: f64) -> Retry {
    Retry {
        attempts,
        base,
        factor: 1.0,
        cap: 1e9,
        jitter: false,
        hold_key: false,
        budget: None,
    }
}

fn once(model: &Model, horizon: f64) -> SimReport {
    let options = SimOptions {
        replications: 4,
        horizon,
        warm_up: WarmUp::None,
        ..SimOptions::default()
    };
    simulate(model, &options).unwrap()
}

#[test]
fn bounded_queue_rejects_like_mmck() {
    let mut model = single(poisson(12.0), 1, exp(0.1));
    model.stations[0].capacity = Some(20);
    let report = run(&model, 10, 100_000.0);
    let want = mmck::mmck(12.0, 10.0, 1, 20).unwrap();
    let mut t = Table::default();
    t.simulated(
        "reject",
        pair(report.stations[0].rejected),
        want.reject(),
        0.0,
    );
    let response = report.stations[0].response;
    t.simulated("W", pair(response.mean), want.w(), 0.0);
    t.simulated(
        "T99",
        pair(response.p99),
        want.response_quantile(0.99).unwrap(),
        0.0,
    );
    // Dropping the oldest loses as many.
    model.stations[0].on_full = OnFull::DropOldest;
    let report = run(&model, 10, 100_000.0);
    t.simulated(
        "drop oldest",
        pair(report.sources[0].rejected),
        want.reject(),
        0.0,
    );
}

#[test]
fn a_source_before_a_blocking_station_waits() {
    let mut model = single(poisson(0.7), 1, exp(1.0));
    model.stations[0].capacity = Some(3);
    model.stations[0].on_full = OnFull::Block;
    let report = run(&model, 10, 50_000.0);
    let mut t = Table::default();
    // Nothing is lost, and in all it is M/M/1.
    t.absolute("rejected", report.sources[0].rejected.value, 0.0, 0.0);
    t.simulated("W", pair(report.sources[0].response.mean), 1.0 / 0.3, 0.0);
}

#[test]
fn handler_timeout_cuts_and_fails() {
    let mut model = single(poisson(0.1), 1, exp(1.0));
    model.stations[0].timeout = Some(0.5);
    let report = run(&model, 10, 20_000.0);
    let mut t = Table::default();
    t.simulated("dead", pair(report.sources[0].dead), (-0.5_f64).exp(), 0.0);
    let cut = 1.0 - (-0.5_f64).exp();
    t.simulated("ρ", pair(report.stations[0].utilisation), 0.1 * cut, 0.0);
}

#[test]
fn breaker_opens_probes_and_closes() {
    let mut model = single(poisson(10.0), 4, exp(0.01));
    let failure = |retry| Failure {
        probability: 0.0,
        outage: Some((100.0, 160.0)),
        retry,
    };
    model.stations[0].failure = Some(failure(retry(1, 0.0)));
    let without = once(&model, 300.0);
    model.stations[0].breaker = Some(Breaker {
        consecutive: 10,
        probe_every: 5.0,
    });
    let with = once(&model, 300.0);
    let dead = |report: &SimReport| report.sources[0].dead.value * 3000.0;
    assert!(
        (500.0..700.0).contains(&dead(&without)),
        "the outage kills {}",
        dead(&without)
    );
    // Ten failures trip it, some already running, then one probe every five seconds.
    assert!(
        (20.0..40.0).contains(&dead(&with)),
        "the breaker lets through {}",
        dead(&with)
    );
    let run = Simulator::new(
        &model,
        &SimOptions {
            horizon: 300.0,
            ..SimOptions::default()
        },
    );
    let replication = run.unwrap().replication(0);
    assert_eq!(
        replication.stations[0].counts.tripped, 1,
        "it closes after the outage and stays"
    );
    assert_eq!(replication.stations[0].left, 0, "the backlog is worked off");
}

#[test]
fn a_key_waits_for_its_retry() {
    let mut model = single(poisson(1.0), 4, exp(0.05));
    model.sources[0].keys = Some(KeyLaw::Zipf { n: 1, z: 0.0 });
    model.stations[0].keying = Keying::Lanes;
    let failing = |hold_key| {
        let retry = Retry {
            hold_key,
            ..retry(10, 1.0)
        };
        Some(Failure {
            probability: 0.3,
            outage: None,
            retry,
        })
    };
    model.stations[0].failure = failing(false);
    let free = run(&model, 5, 20_000.0).sources[0].response.mean.value;
    model.stations[0].failure = failing(true);
    let held = run(&model, 5, 20_000.0).sources[0].response.mean.value;
    // Held, the lane is M/G/1 with service = attempts and back-offs together.
    let attempt = exp(0.05);
    let (q, p) = (0.7, 0.3);
    let (m, v) = (1.0 / q, p / (q * q));
    let mean = 0.05 * m + 1.0 * (m - 1.0);
    let variance = m * 0.05 * 0.05 + v * (0.05 + 1.0) * (0.05 + 1.0);
    let want = mg1::mg1_moments(1.0, mean, variance / (mean * mean))
        .unwrap()
        .w();
    assert!((attempt.mean() - 0.05).abs() < 1e-12);
    assert!(
        (held / want - 1.0).abs() < 0.03,
        "held: {held}, M/G/1 says {want}"
    );
    assert!(free < 0.75 * held, "without holding the key: {free}");
}

#[test]
fn deadlines_and_patience() {
    // Earliest deadline first serves the urgent source first.
    let mut model = single(poisson(0.45), 1, exp(1.0));
    model.stations[0].discipline = Discipline::Deadline;
    model.sources[0].deadline = Some(1.0);
    let mut lazy = Source::new("lazy", poisson(0.45), "q");
    lazy.deadline = Some(1000.0);
    model.sources.push(lazy);
    let report = run(&model, 20, 50_000.0);
    let w: Vec<f64> = report
        .sources
        .iter()
        .map(|s| s.response.mean.value)
        .collect();
    // So far apart, deadlines are two non-preemptive classes: waits .9/.55 and .9/(.55·.1).
    assert!((w[0] / 2.636 - 1.0).abs() < 0.05, "urgent {} s", w[0]);
    assert!((w[1] / 17.36 - 1.0).abs() < 0.2, "lazy {} s", w[1]);
    // Expired events are dropped before they are handled: overload stays useful.
    let mut model = single(poisson(1.5), 1, exp(1.0));
    model.sources[0].deadline = Some(10.0);
    let all = once(&model, 5000.0).sources[0].in_time.value;
    model.stations[0].drop_expired = true;
    let source = &once(&model, 5000.0).sources[0];
    assert!(
        source.in_time.value > 10.0 * all,
        "{} against {all}",
        source.in_time.value
    );
    assert!(
        (source.consumed.value - 1.0 / 1.5).abs() < 0.02,
        "the worker never idles"
    );
    assert!((source.consumed.value + source.expired.value - 1.0).abs() < 1e-9);
    // Cancelled attempts are not served.
    let mut model = single(poisson(1.2), 1, exp(1.0));
    let patience = |cancel| {
        Some(Patience {
            timeout: 5.0,
            attempts: 1,
            cancel,
            budget: None,
        })
    };
    model.sources[0].patience = patience(false);
    let kept = once(&model, 5000.0).sources[0].consumed.value;
    model.sources[0].patience = patience(true);
    let cancelled = once(&model, 5000.0).sources[0].consumed.value;
    assert!(kept < 0.1, "zombies fill the queue: {kept}");
    assert!(
        cancelled > 0.5,
        "withdrawn attempts leave room: {cancelled}"
    );
}

#[test]
fn lingering_batches_fill() {
    let mut model = single(poisson(100.0), 1, Dist::Det { mean: 0.001 });
    let batch = |linger| {
        Some(BatchService {
            max: 10,
            per_item: 0.0,
            linger,
        })
    };
    model.stations[0].batch = batch(0.0);
    let eager = once(&model, 200.0);
    model.stations[0].batch = batch(0.05);
    let patient = once(&model, 200.0);
    let (a, b) = (&eager.stations[0], &patient.stations[0]);
    assert!(
        b.utilisation.value < 0.25 * a.utilisation.value,
        "lingering saves services"
    );
    assert!(
        b.wait.mean.value < 0.051 && b.wait.mean.value > 0.02,
        "{:?}",
        b.wait.mean
    );
}

#[test]
fn measured_and_phase_type_services_are_reproduced() {
    let truth = Dist::balanced_h2(1.0, 4.0);
    let samples: Vec<f64> = (0..200_000)
        .map(|i| truth.quantile((f64::from(i) + 0.5) / 200_000.0).unwrap())
        .collect();
    let hist = Hist::from_samples(&samples).unwrap();
    let mut t = Table::default();
    t.relative("histogram mean", hist.moment(1), 1.0, 0.002);
    t.relative(
        "histogram SCV",
        Dist::Empirical(hist.clone()).scv(),
        4.0,
        0.01,
    );
    t.relative(
        "histogram p99",
        hist.quantile(0.99),
        truth.quantile(0.99).unwrap(),
        0.01,
    );
    let ph = Dist::Ph(Ph::from_two_moments(1.0, 4.0).unwrap());
    for (name, service) in [("empirical", Dist::Empirical(hist)), ("phase-type", ph)] {
        let report = run(&single(poisson(0.7), 1, service), 20, 100_000.0);
        t.simulated(
            &format!("{name} Wq"),
            pair(report.stations[0].wait.mean),
            5.8333,
            0.0,
        );
    }
    let few = Dist::Ph(Ph::from_two_moments(1.0, 0.3).unwrap());
    let report = run(&single(poisson(0.8), 1, few), 20, 50_000.0);
    let want = mg1::mg1_moments(0.8, 1.0, 0.3).unwrap().wq;
    t.simulated(
        "phase-type, SCV .3",
        pair(report.stations[0].wait.mean),
        want,
        0.0,
    );
}

#[test]
fn warm_up_is_found_and_left_out() {
    // A transient of 500 high values before noise.
    let noise = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) % 1000) / 1000.0;
    let series: Vec<f64> = (0..5000)
        .map(|i| noise(i) + if i < 500 { 5.0 } else { 0.0 })
        .collect();
    let cut = warm_up::mser5(&series);
    assert!((495..=520).contains(&cut), "cut at {cut}");
    // A queue that starts with a backlog of 300: without warm-up the mean is far off.
    let mut model = single(poisson(0.5), 1, exp(1.0));
    model.sources.push(Source::new(
        "junk",
        Arrivals::Trace { at: vec![0.0; 300] },
        "q",
    ));
    let mean = |warm_up| {
        let options = SimOptions {
            horizon: 20_000.0,
            warm_up,
            ..SimOptions::default()
        };
        simulate(&model, &options).unwrap().stations[0]
            .response
            .mean
            .value
    };
    assert!(mean(WarmUp::None) > 5.0);
    let kept = mean(WarmUp::Mser5);
    assert!((kept / 2.0 - 1.0).abs() < 0.1, "after MSER-5: {kept}");
}

#[test]
fn precision_adds_replications() {
    let model = single(poisson(0.8), 1, exp(1.0));
    let options = SimOptions {
        replications: 4,
        horizon: 5000.0,
        precision: Some(0.05),
        ..SimOptions::default()
    };
    let report = simulate(&model, &options).unwrap();
    assert!(
        report.replications > 4,
        "four short replications cannot give 5 %"
    );
    let p99 = report.sources[0].response.p99;
    assert!(report.replications == 32 || (p99.hi - p99.lo) / 2.0 <= 0.05 * p99.value);
}

#[test]
fn inconsistent_models_are_refused() {
    let model = Model {
        stations: vec![
            Station::new("a", 1, exp(1.0)),
            Station::new("a", 1, exp(1.0)),
        ],
        sources: Vec::new(),
    };
    assert!(model.check().is_err(), "two stations of one name");
    let mut model = single(poisson(1.0), 1, exp(1.0));
    model.sources[0].emits[0][0].to = "nowhere".into();
    assert!(simulate(&model, &SimOptions::default()).is_err());
    let mut model = single(poisson(1.0), 0, exp(1.0));
    assert!(model.check().is_err(), "no worker");
    model.stations[0] = Station::new("q", 1, exp(-1.0));
    assert!(model.check().is_err(), "a negative service time");
    assert!(fit::dispersion::of_counts(&[1, 2, 3]).is_none());
}

#[test]
fn a_recorded_history_is_replayed_to_the_tick() {
    use hence_planner::arrivals::Arrivals;
    use hence_planner::model::Recorded;
    use hence_planner::simulate::{SimOptions, WarmUp, simulate};
    let record = |key: u32, service: f64| Recorded {
        key: Some(key),
        services: [("q".to_owned(), service)].into(),
    };
    let trace = Arrivals::Trace {
        at: vec![0.0, 1.0, 2.0],
    };
    // Two workers and one key for the first two: the second waits until 5, the third does not.
    let mut model = single(trace, 2, exp(1e3));
    model.stations[0].keying = Keying::Turns;
    model.sources[0].recorded = vec![record(7, 5.0), record(7, 1.0), record(3, 2.0)];
    let options = SimOptions {
        replications: 2,
        horizon: 10.0,
        warm_up: WarmUp::None,
        ..SimOptions::default()
    };
    let mean = |model: &Model| {
        simulate(model, &options).unwrap().stations[0]
            .response
            .mean
            .value
    };
    let expected = (5.0 + 5.0 + 2.0) / 3.0;
    assert!((mean(&model) - expected).abs() < 1e-6, "{}", mean(&model));
    let faster = hence_planner::what_if::Change::Service {
        station: "q".into(),
        factor: 0.5,
    };
    let faster = hence_planner::what_if::apply(&model, &[faster]).unwrap();
    let expected = (2.5 + 2.0 + 1.0) / 3.0;
    assert!((mean(&faster) - expected).abs() < 1e-6, "{}", mean(&faster));
}
