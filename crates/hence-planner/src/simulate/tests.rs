use proptest::prelude::*;

use crate::arrivals::Arrivals;
use crate::model::{Budget, KeyLaw, Model, Source, Station};
use crate::service::Dist;
use crate::simulate::calendar::{Calendar, Kind};
use crate::simulate::random::Rng;
use crate::simulate::sampler::{Alias, KeySampler, Sampler, TICKS, ticks};
use crate::simulate::state::{Bucket, Outcome, Roots};
use crate::simulate::tally::Tally;
use crate::simulate::{SimOptions, Simulator, estimate};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..<_>::default() })]

    /// The calendar gives back what was put in, by time, ties in the order of scheduling.
    #[test]
    fn calendar_is_a_stable_order(times in prop::collection::vec(0_u64..50, 1..200)) {
        let mut calendar = Calendar::default();
        for (i, time) in times.iter().enumerate() {
            calendar.push(*time, Kind::Done, i as u32, 0);
        }
        let mut want: Vec<(u64, u32)> = (0..).zip(&times).map(|(i, t)| (*t, i)).collect();
        want.sort_unstable();
        let got: Vec<(u64, u32)> =
            std::iter::from_fn(|| calendar.pop()).map(|e| (e.time, e.index)).collect();
        prop_assert_eq!(got, want);
    }

    /// A tally's quantile is within its bucket of the sample's, its mean exact.
    #[test]
    fn tally_is_within_its_buckets(values in prop::collection::vec(0_u64..1 << 50, 10..300)) {
        let mut tally = Tally::default();
        values.iter().for_each(|v| tally.record(*v));
        let mut sorted = values.clone();
        sorted.sort_unstable();
        let n = values.len() as f64;
        let mean = values.iter().map(|v| *v as f64).sum::<f64>() / n / TICKS;
        prop_assert!((tally.mean() - mean).abs() <= 1e-12 * mean);
        let exact = sorted[(0.5 * n).ceil() as usize - 1] as f64 / TICKS;
        let off = (tally.quantile(0.5) - exact).abs();
        prop_assert!(off <= exact / 256.0 + 1.0 / TICKS, "{off} from {exact}");
        prop_assert_eq!(tally.histogram().count(), values.len() as u64);
        let mut twice = tally.clone();
        twice.merge(&tally);
        prop_assert_eq!(twice.count(), 2 * tally.count());
        prop_assert_eq!(twice.quantile(0.5), tally.quantile(0.5));
    }

    /// An alias table keeps its weights.
    #[test]
    fn alias_keeps_weights(weights in prop::collection::vec(0.0_f64..1.0, 1..20), seed in any::<u64>()) {
        let sum: f64 = weights.iter().sum();
        prop_assume!(sum > 0.1);
        let alias = Alias::new(&weights);
        let mut rng = Rng::stream(seed, 0, "alias", 0);
        let mut counts = vec![0_u32; weights.len()];
        for _ in 0..20_000 {
            counts[alias.draw(&mut rng) as usize] += 1;
        }
        for (count, weight) in counts.iter().zip(&weights) {
            let p = weight / sum;
            let sd = (20_000.0 * p * (1.0 - p)).sqrt();
            prop_assert!((f64::from(*count) - 20_000.0 * p).abs() <= 6.0 * sd + 1e-9);
        }
    }
}

#[test]
fn samplers_have_the_moments_of_their_law() {
    let laws = [
        Dist::Det { mean: 0.5 },
        Dist::Exp { mean: 0.5 },
        Dist::Erlang { k: 11, mean: 0.5 },
        Dist::balanced_h2(0.5, 4.0),
        Dist::LogNormal {
            mean: 0.5,
            scv: 1.0,
        },
        Dist::Lomax {
            alpha: 5.0,
            mean: 0.5,
        },
    ];
    for law in laws {
        let sampler = Sampler::new(&law);
        let mut rng = Rng::stream(3, 0, "moments", 0);
        let n = 400_000;
        let draws: Vec<f64> = (0..n)
            .map(|_| sampler.draw(&mut rng) as f64 / TICKS)
            .collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let scv = draws.iter().map(|s| s * s).sum::<f64>() / f64::from(n) / (mean * mean) - 1.0;
        let slack = 5.0 * 0.5 * (law.scv() / f64::from(n)).sqrt() + 1e-9;
        assert!((mean - 0.5).abs() <= slack, "{law:?}: mean {mean}");
        assert!(
            (scv - law.scv()).abs() <= 0.06 * law.scv() + 1e-9,
            "{law:?}: SCV {scv}"
        );
    }
}

#[test]
fn streams_are_named_and_independent() {
    let first =
        |seed, replication, name, purpose| Rng::stream(seed, replication, name, purpose).bits();
    let base = first(1, 0, "a", 1);
    assert_eq!(base, first(1, 0, "a", 1));
    for other in [
        first(2, 0, "a", 1),
        first(1, 1, "a", 1),
        first(1, 0, "b", 1),
        first(1, 0, "a", 2),
    ] {
        assert_ne!(base, other);
    }
}

#[test]
fn keys_follow_their_law() {
    let law = KeyLaw::Measured {
        top: vec![0.5, 0.2],
        others: 30,
    };
    let keys = KeySampler::new(&law);
    assert_eq!(keys.keys(), 32);
    let mut rng = Rng::stream(1, 0, "keys", 0);
    let drawn: Vec<u32> = (0..100_000).map(|_| keys.draw(&mut rng)).collect();
    let share = |k: u32| drawn.iter().filter(|d| **d == k).count() as f64 / 1e5;
    assert!((share(0) - 0.5).abs() < 0.01 && (share(1) - 0.2).abs() < 0.01);
    assert!((share(17) - 0.01).abs() < 0.003 && drawn.iter().all(|k| *k < 32));
}

#[test]
fn a_bucket_limits_and_refills() {
    let plan = Budget {
        per_event: 0.5,
        per_second: 1.0,
        initial: 1.0,
        cap: 2.0,
    };
    let mut bucket = Bucket::new(plan);
    assert!(bucket.take(0) && !bucket.take(0), "one token at the start");
    bucket.new_event();
    bucket.new_event();
    assert!(bucket.take(0), "two events bring one token");
    assert!(
        !bucket.take(ticks(0.5)) && bucket.take(ticks(1.0)),
        "a second brings one"
    );
    assert!(bucket.take(ticks(100.0)) && bucket.take(ticks(100.0)));
    assert!(!bucket.take(ticks(100.0)), "never more than the cap");
}

#[test]
fn the_worst_copy_decides_when_the_last_has_ended() {
    let mut roots = Roots::default();
    let root = roots.add(2);
    roots.more(root, 1);
    assert_eq!(roots.end(root, Outcome::Consumed), None);
    assert_eq!(roots.end(root, Outcome::Dead), None);
    assert_eq!(roots.end(root, Outcome::Consumed), Some(Outcome::Dead));
    assert_eq!(roots.add(1), root, "slots are reused");
}

#[test]
fn a_run_stops_at_its_limit_of_events() {
    let model = Model {
        stations: vec![Station::new("q", 1, Dist::Exp { mean: 1.0 })],
        sources: vec![Source::new("s", Arrivals::Poisson { rate: 0.5 }, "q")],
    };
    let options = SimOptions {
        max_events: 1000,
        horizon: 1e6,
        ..SimOptions::default()
    };
    let options = SimOptions {
        warm_up: crate::simulate::WarmUp::None,
        ..options
    };
    let run = Simulator::new(&model, &options).unwrap().replication(0);
    assert!(run.truncated && run.events == 1000);
    assert!(
        run.window < 2000.0,
        "the window ends where the run did: {}",
        run.window
    );
    assert!(
        (run.stations[0].busy - 0.5).abs() < 0.15,
        "{}",
        run.stations[0].busy
    );
}

#[test]
fn intervals_are_students() {
    let e = estimate([1.0, 2.0, 3.0, 4.0, 5.0]);
    // sd √2.5, t(4, .975) = 2.776.
    assert!((e.value - 3.0).abs() < 1e-12 && (e.se - 0.5_f64.sqrt()).abs() < 1e-12);
    assert!((e.hi - 3.0 - 2.776_445 * e.se).abs() < 1e-5, "{e:?}");
    assert!(estimate([1.0]).se.is_nan());
}
