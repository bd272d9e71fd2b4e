//! Fitting recovers what generated the data, and says when it cannot.

use hence_planner::arrivals::Arrivals;
use hence_planner::fit::service::{Block, Services};
use hence_planner::fit::stationary;
use hence_planner::fit::{Refusal, Warning, arrival, dispersion, key, law, little, service};
use hence_planner::histogram::Hist;
use hence_planner::lifecycle::jeffreys;
use hence_planner::model::KeyLaw;
use hence_planner::service::Dist;
use hence_planner::simulate::Rng;
use hence_planner::{modulated, transient};

use crate::table::Table;

/// Counts of a process whose rate follows a two-state chain; `switch` is per window.
fn counts(rate: [f64; 2], leave: [f64; 2], window: f64, windows: usize, seed: u64) -> Vec<u64> {
    let mut rng = Rng::stream(seed, 0, "counts", 0);
    let mut state = 0;
    let mut switch = rng.exponential() / leave[0];
    let mut counts = vec![0; windows];
    let mut now = 0.0;
    while now < window * windows as f64 {
        let next = now + rng.exponential() / rate[state];
        if next > switch {
            now = switch;
            state = 1 - state;
            switch = now + rng.exponential() / leave[state];
            continue;
        }
        now = next;
        if let Some(count) = counts.get_mut((now / window) as usize) {
            *count += 1;
        }
    }
    counts
}

fn sample(dist: &Dist, n: usize, seed: u64) -> Vec<f64> {
    let mut rng = Rng::stream(seed, 0, "sample", 0);
    (0..n)
        .map(|_| dist.quantile(1.0 - rng.uniform()).unwrap())
        .collect()
}

fn services(samples: &[f64]) -> Services {
    let blocks = samples
        .chunks(samples.len() / 40)
        .map(|chunk| Block {
            n: chunk.len() as u64,
            sum: chunk.iter().sum(),
            squares: chunk.iter().map(|s| s * s).sum(),
        })
        .collect();
    Services {
        hist: Hist::from_samples(samples).unwrap(),
        blocks,
        block_seconds: 10.0,
        censored: 0,
        by_in_flight: Vec::new(),
    }
}

#[test]
fn poisson_is_recognised_and_its_interval_covers() {
    let mut poisson = 0;
    let mut covered = 0;
    for seed in 0..100 {
        let fit = arrival::fit(&counts([20.0, 20.0], [1.0, 1.0], 0.1, 4096, seed), 0.1).unwrap();
        poisson += usize::from(fit.arrivals.is_poisson());
        covered += usize::from(fit.rate.contains(20.0));
    }
    assert!(poisson >= 85, "{poisson} of 100 Poisson streams recognised");
    assert!(covered >= 90, "{covered} of 100 intervals hold the rate");
}

#[test]
fn bursts_are_recognised_and_give_the_right_wait() {
    // V23: Poisson would predict 0.081 s; the truth is 0.618 s.
    let data = counts([30.0, 2.0], [1.0, 0.25], 0.1, 1 << 17, 3);
    let fit = arrival::fit(&data, 0.1).unwrap();
    assert!(
        matches!(fit.arrivals, Arrivals::Mmpp2 { .. }),
        "{:?}",
        fit.arrivals
    );
    assert!(
        fit.warnings
            .iter()
            .any(|w| matches!(w, Warning::Bursty { .. }))
    );
    let w = modulated::mmpp_mc(&fit.arrivals, 20.0, 1).unwrap().w;
    assert!(
        (0.45..0.85).contains(&w),
        "the fitted MMPP predicts {w} s, the truth is 0.618 s"
    );
    assert!(fit.rate.contains(7.6), "{:?}", fit.rate);
    let widest = fit.idc.iter().map(|p| p.1).fold(0.0, f64::max);
    assert!(
        (18.0..45.0).contains(&widest),
        "IDC {widest}, the limit is 27.4"
    );
}

#[test]
fn smooth_arrivals_are_recognised() {
    let even: Vec<u64> = (0..1000).map(|i| 5 + i % 2).collect();
    let fit = arrival::fit(&even, 1.0).unwrap();
    assert!(
        matches!(fit.arrivals, Arrivals::Renewal(Dist::Erlang { .. })),
        "{:?}",
        fit.arrivals
    );
    assert!(dispersion::of_counts(&even).unwrap() < 0.2);
}

/// Bursts of a size at an even distance, in seconds, late by up to 9 ms, in windows of 20 ms.
fn bursts(size: u64, period: f64, seconds: f64, seed: u64) -> Vec<u64> {
    let mut rng = Rng::stream(seed, 0, "bursts", 0);
    let mut counts = vec![0; (seconds / 0.02) as usize];
    let mut at = 0.3;
    while at < seconds {
        for _ in 0..size {
            let late = 0.009 * rng.uniform();
            if let Some(count) = counts.get_mut(((at + late) / 0.02) as usize) {
                *count += 1;
            }
        }
        at += period;
    }
    counts
}

#[test]
fn timers_that_fire_together_are_told_apart() {
    for (size, period) in [(30, 1.0), (5, 0.37), (200, 10.0)] {
        let fit = arrival::fit(&bursts(size, period, 200.0, 1), 0.02).unwrap();
        let Arrivals::Timer {
            period: found,
            count,
            aligned: true,
        } = fit.arrivals
        else {
            panic!("{size} each {period} s: {:?}", fit.arrivals);
        };
        assert_eq!(u64::from(count), size);
        assert!((found / period - 1.0).abs() < 0.01, "{found}");
        assert!(fit.timers.is_none() && fit.warnings.is_empty(), "{fit:?}");
        assert!(fit.rate.contains(size as f64 / period), "{:?}", fit.rate);
    }
}

#[test]
fn timers_have_the_rate_that_was_measured() {
    // Three and four in turn: no whole number of events is right with the period as it is.
    let mut all = vec![0; 8_000];
    for (at, count) in all.iter_mut().step_by(50).enumerate() {
        *count = 3 + (at as u64 % 2);
    }
    let fit = arrival::fit(&all, 0.02).unwrap();
    assert!(matches!(fit.arrivals, Arrivals::Timer { .. }), "{fit:?}");
    let (fitted, measured) = (fit.arrivals.rate(), fit.rate.value);
    assert!(
        (fitted / measured - 1.0).abs() < 0.01,
        "{fitted}, {measured}"
    );
}

#[test]
fn batches_of_many_sizes_are_no_timers() {
    let mut all = vec![0; 8_000];
    for (at, count) in all.iter_mut().step_by(50).enumerate() {
        *count = [10, 30, 20][at % 3];
    }
    let fit = arrival::fit(&all, 0.02).unwrap();
    let is_timer = matches!(fit.arrivals, Arrivals::Timer { .. });
    assert!(!is_timer && fit.timers.is_none(), "{fit:?}");
}

#[test]
fn timers_are_told_apart_from_what_comes_beside_them() {
    let mut all = bursts(40, 1.0, 300.0, 2);
    let others = counts([25.0, 25.0], [1.0, 1.0], 0.02, all.len(), 2);
    all.iter_mut().zip(&others).for_each(|(all, n)| *all += n);
    let fit = arrival::fit(&all, 0.02).unwrap();
    let Some(Arrivals::Timer { period, count, .. }) = fit.timers else {
        panic!("{fit:?}");
    };
    assert!((39..=41).contains(&count), "{count}");
    assert!((period - 1.0).abs() < 0.01, "{period}");
    assert!(fit.arrivals.is_poisson(), "{:?}", fit.arrivals);
    assert!((fit.arrivals.rate() / 25.0 - 1.0).abs() < 0.05);
    assert!(fit.rate.contains(65.0), "{:?}", fit.rate);
}

#[test]
fn what_comes_by_chance_is_no_timer() {
    for seed in 0..100 {
        for (rate, leave) in [
            ([20.0, 20.0], [1.0, 1.0]),
            ([2.0, 2.0], [1.0, 1.0]),
            ([400.0, 0.1], [20.0, 1.0]),
            ([30.0, 2.0], [1.0, 0.25]),
        ] {
            let fit = arrival::fit(&counts(rate, leave, 0.02, 8_000, seed), 0.02).unwrap();
            let is_timer = matches!(fit.arrivals, Arrivals::Timer { .. });
            assert!(!is_timer && fit.timers.is_none(), "{seed}: {fit:?}");
        }
    }
}

#[test]
fn a_change_of_rate_is_found_and_older_data_dropped() {
    let mut data = counts([20.0, 20.0], [1.0, 1.0], 1.0, 500, 4);
    data.extend(counts([40.0, 40.0], [1.0, 1.0], 1.0, 500, 5));
    let fit = arrival::fit(&data, 1.0).unwrap();
    let Some(Warning::NotStationary { seconds_ago, .. }) = fit.warnings.first() else {
        panic!("{:?}", fit.warnings)
    };
    assert!((seconds_ago - 500.0).abs() < 20.0, "{seconds_ago} s ago");
    assert!(fit.rate.contains(40.0), "{:?}", fit.rate);
    let false_alarms = (0..200)
        .filter(|&seed| {
            let data = counts([20.0, 20.0], [1.0, 1.0], 1.0, 400, 100 + seed);
            stationary::change_in_counts(&data).is_some()
        })
        .count();
    assert!(
        false_alarms <= 8,
        "{false_alarms} false alarms in 200 at the 1 % level"
    );
    let z = stationary::rate_ratio_z((1000, 100.0), (1300, 100.0), 1.0);
    assert!((z - 6.255).abs() < 0.01, "{z}");
    assert!(stationary::rate_ratio_z((1000, 100.0), (1300, 100.0), 25.0) < 1.96);
}

#[test]
fn service_bands_cover_and_families_are_named() {
    let mut covered = 0;
    for seed in 0..100 {
        let fit = service::fit(
            &services(&sample(&Dist::Exp { mean: 0.02 }, 4000, seed)),
            seed,
        );
        covered += usize::from(fit.unwrap().es.contains(0.02));
    }
    assert!(
        (85..=100).contains(&covered),
        "{covered} of 100 intervals hold E[S]"
    );
    for (name, truth) in [
        ("exponential", Dist::Exp { mean: 0.02 }),
        (
            "log-normal",
            Dist::LogNormal {
                mean: 0.02,
                scv: 1.5,
            },
        ),
        ("Erlang", Dist::Erlang { k: 4, mean: 0.02 }),
        ("H2", Dist::balanced_h2(0.02, 6.0)),
        ("constant", Dist::Det { mean: 0.02 }),
    ] {
        let labels = law::rank(&Hist::from_samples(&sample(&truth, 20_000, 7)).unwrap());
        let same = std::mem::discriminant(&labels[0].dist) == std::mem::discriminant(&truth);
        assert!(same, "{name} looks like {:?}", labels[0].dist);
        assert!(
            labels[0].distance < 0.02,
            "{name}: distance {}",
            labels[0].distance
        );
    }
    let ph = law::phase_type(
        &Hist::from_samples(&sample(&Dist::balanced_h2(1.0, 4.0), 50_000, 8)).unwrap(),
    )
    .unwrap();
    assert!((ph.moment(1).unwrap() - 1.0).abs() < 0.05);
}

#[test]
fn doubts_are_raised() {
    let raise = |data: &Services| service::fit(data, 1).unwrap().warnings;
    let heavy = services(&sample(
        &Dist::Lomax {
            alpha: 1.2,
            mean: 1.0,
        },
        9000,
        2,
    ));
    let found = raise(&heavy);
    assert!(
        found.iter().any(|w| matches!(w, Warning::HeavyTail { .. })),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|w| matches!(w, Warning::FewSamples { .. })),
        "{found:?}"
    );
    let mut plain = services(&sample(&Dist::Exp { mean: 0.02 }, 4000, 1));
    assert_eq!(raise(&plain), []);
    plain.censored = 200;
    assert!(matches!(raise(&plain)[..], [Warning::Censored { .. }]));
    plain.censored = 0;
    plain.by_in_flight = (1..=8)
        .map(|n| (n, 500, 0.02 * (1.0 + 0.1 * f64::from(n))))
        .collect();
    assert!(matches!(raise(&plain)[..], [Warning::LoadDependent { .. }]));
    plain.by_in_flight = (1..=8).map(|n| (n, 500, 0.02)).collect();
    assert_eq!(raise(&plain), []);
    let mut drifting = sample(&Dist::Exp { mean: 0.02 }, 4000, 3);
    drifting.iter_mut().skip(2000).for_each(|s| *s *= 2.0);
    let found = raise(&services(&drifting));
    assert!(
        found
            .iter()
            .any(|w| matches!(w, Warning::NotStationary { .. })),
        "{found:?}"
    );
    assert!(little(10.0, 2.0, 5.1, 0.001).is_none(), "within 5 %");
    assert!(little(10.0, 2.0, 6.0, 0.001).is_some());
    assert!(
        little(10.0, 2.0, 6.0, 0.1).is_none(),
        "the ends weigh too much to tell"
    );
}

#[test]
fn too_little_data_is_refused() {
    assert!(matches!(
        arrival::fit(&[3; 10], 1.0),
        Err(Refusal::TooFew { .. })
    ));
    assert!(matches!(
        arrival::fit(&[0; 100], 1.0),
        Err(Refusal::TooFew { .. })
    ));
    assert!(arrival::fit(&[3; 100], 0.0).is_err());
    let few = Services {
        hist: Hist::from_samples(&[1.0; 20]).unwrap(),
        ..Services::default()
    };
    assert!(matches!(
        service::fit(&few, 1),
        Err(Refusal::TooFew {
            have: 20,
            need: 100,
            ..
        })
    ));
}

#[test]
fn keys_probabilities_forecasts() {
    let KeyLaw::Measured { top, others } = key::fit(&[500, 100], 1000, 52).unwrap() else {
        panic!("measured keys")
    };
    assert_eq!((top, others), (vec![0.5, 0.1], 50));
    assert!(key::fit(&[600, 600], 1000, 10).is_err());
    let hot = key::hottest(
        &KeyLaw::Measured {
            top: vec![0.44],
            others: 10,
        },
        20.0,
        0.05,
    );
    let mut t = Table::default();
    t.relative("ρ of the hottest key", hot.rho, 0.44, 1e-12);
    t.relative("its ceiling", hot.ceiling, 1.0 / 0.022, 1e-12);
    let (lo, hi) = jeffreys(3, 1000).unwrap();
    // Beta(3.5, 997.5), from tables.
    t.relative("Jeffreys lo", lo, 0.000_846_6, 0.01);
    t.relative("Jeffreys hi", hi, 0.007_96, 0.01);
    let rates: Vec<f64> = (0..60).map(|i| 100.0 + 2.0 * f64::from(i)).collect();
    let forecast = transient::holt(&rates, 60.0).unwrap();
    let hit = forecast.time_to(300.0, 36_000.0).unwrap();
    t.relative("time to saturation", hit.mean, 41.0 * 60.0, 0.02);
    assert!(
        transient::holt(&[100.0; 30], 60.0)
            .unwrap()
            .time_to(300.0, 36_000.0)
            .is_none()
    );
    let full = transient::time_to_full(1000.0, 150.0, 100.0).unwrap();
    t.relative("time to full", full.unwrap(), 20.0, 1e-12);
    assert_eq!(transient::time_to_full(1000.0, 50.0, 100.0).unwrap(), None);
}
