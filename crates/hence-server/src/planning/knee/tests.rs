//! When handlers get in one another's way, and when it only looks like it.

use std::collections::BinaryHeap;

use super::*;

/// One number after another that looks random, from 0 to 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.next()).ln()
    }
}

/// Levels with so many samples each whose mean time is a function of how many there are at a time.
fn levels(samples: u64, weight: u64, time: impl FnMut(f64) -> f64) -> Vec<Level> {
    let times = (1..=32).map(f64::from).map(time);
    times
        .map(|each| Level {
            samples,
            count: samples * weight,
            sum: (samples * weight) as f64 * each,
        })
        .collect()
}

fn of(now: Vec<Level>, before: Vec<Level>) -> Option<f64> {
    knee(&Measured {
        beside: [now, before],
        ..Measured::default()
    })
}

/// The most is done by twenty.
fn crowded(n: f64) -> f64 {
    0.01 * (1.0 + 0.04 * (n - 1.0) + 0.0024 * n * (n - 1.0))
}

#[test]
fn a_knee_that_two_periods_show_is_found() {
    let mut noise = Noise(7);
    let mut noisy = |n: f64| crowded(n) * (0.97 + 0.06 * noise.next());
    let (now, before) = (levels(100, 1, &mut noisy), levels(400, 8, &mut noisy));
    let found = of(now.clone(), before.clone()).unwrap();
    assert!((15.0..=25.0).contains(&found), "{found}");
    assert_eq!(
        of(now.clone(), Vec::new()),
        None,
        "one period is not enough"
    );
    assert_eq!(
        of(now.clone(), levels(100, 1, |_| 0.01)),
        None,
        "they disagree"
    );
    let batched = Measured {
        beside: [now, before],
        batched: true,
        ..Measured::default()
    };
    assert_eq!(knee(&batched), None);
}

#[test]
fn the_advice_names_what_is_set_and_to_what() {
    let mut options = hence::core::Options::default();
    options.concurrency = 32;
    let mut measured = Measured {
        beside: [levels(100, 1, crowded), levels(100, 1, crowded)],
        options: Some(options),
        ..Measured::default()
    };
    let said = advice(&measured).unwrap();
    let knee = knee(&measured).unwrap().floor();
    let wanted = format!("concurrency is 32, set it to {knee}");
    assert!(
        (19.0..=20.0).contains(&knee) && said.contains(&wanted),
        "{said}"
    );
    let options = measured.options.as_mut().unwrap();
    options.adaptive = Some(hence::core::flow::Adaptive { least: 1, most: 19 });
    assert_eq!(advice(&measured), None, "it is bounded already");
}

#[test]
fn it_takes_samples_and_not_what_they_stand_for() {
    let few = levels(SAMPLES_MIN - 1, 8, crowded);
    assert_eq!(of(few.clone(), few), None);
}

#[test]
fn a_knee_below_one_is_one() {
    let worse = levels(100, 1, |n| 0.01 * n * n * n);
    assert_eq!(of(worse.clone(), worse), Some(1.0));
}

#[test]
fn what_only_gets_slower_in_line_has_no_knee() {
    let line = levels(100, 1, |n| 1.0 + 0.01 * (n - 1.0));
    assert_eq!(of(line.clone(), line), None);
}

#[test]
fn levels_that_are_counted_together_say_nothing() {
    let open = || {
        let mut levels = levels(100, 1, |_| 0.02);
        levels.resize(BESIDE_MAX, Level::default());
        // Up to 256 at a time, counted as more than 64.
        levels.push(Level {
            samples: 10_000,
            count: 10_000,
            sum: 10_000.0,
        });
        levels
    };
    assert_eq!(of(open(), open()), None);
}

#[test]
fn noise_is_no_knee() {
    let mut noise = Noise(1);
    let mut flat = |_| 0.02 * (0.8 + 0.4 * noise.next());
    let found =
        (0..200).filter(|_| of(levels(60, 1, &mut flat), levels(60, 1, &mut flat)).is_some());
    assert!(found.count() <= 2, "in two hundred");
}

/// Calls that come as they like at 200 a second, as many at a time as there are, each 20 ms; or
/// 200 ms from one moment to another. By period of five minutes.
fn independent(slow: std::ops::Range<f64>, seed: u64) -> [Vec<Level>; 2] {
    let mut noise = Noise(seed);
    let mut running: BinaryHeap<std::cmp::Reverse<u64>> = BinaryHeap::new();
    let mut periods = [(); 2].map(|()| vec![Level::default(); BESIDE_MAX + 1]);
    let mut now = 0.0;
    while now < 600.0 {
        now += noise.exponential(1.0 / 200.0);
        let micros = (now * 1e6) as u64;
        while running.peek().is_some_and(|end| end.0 <= micros) {
            running.pop();
        }
        let mean = if slow.contains(&now) { 0.2 } else { 0.02 };
        let time = mean * (0.5 + noise.next());
        let beside = running.len().min(BESIDE_MAX);
        let level = &mut periods[usize::from(now < 300.0)][beside];
        level.samples += 1;
        level.count += 1;
        level.sum += time;
        running.push(std::cmp::Reverse(micros + (time * 1e6) as u64));
    }
    periods
}

#[test]
fn a_dependency_that_was_slow_for_a_minute_is_no_knee() {
    for seed in 1..=10 {
        let [now, before] = independent(400.0..460.0, seed);
        assert_eq!(of(now, before), None, "{seed}");
    }
}
