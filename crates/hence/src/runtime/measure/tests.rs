//! Counts come out as they went in, and what is old goes.

use super::*;

#[test]
fn times_keep_means_exactly_and_quantiles_within_three_per_cent() {
    let mut times = Times::default();
    (1..=1000).for_each(|ms| times.record(Duration::from_millis(ms), 1));
    assert!((times.mean().unwrap() - 0.5005).abs() < 1e-9);
    for (p, expected) in [(0.5, 0.5), (0.99, 0.99), (1.0, 1.0)] {
        let got = times.quantile(p).unwrap();
        assert!((got / expected - 1.0).abs() < 0.032, "{p}: {got}");
    }
    let all: u64 = times.bins().iter().map(|bin| bin.count).sum();
    assert_eq!(all, 1000);
    assert!(times.bins().windows(2).all(|pair| pair[0].hi <= pair[1].lo));
}

#[test]
fn times_of_any_size_fall_into_their_bin() {
    for nanos in [
        0,
        1,
        31,
        32,
        33,
        63,
        64,
        1_000,
        123_456_789,
        3_600_000_000_000,
    ] {
        let mut times = Times::default();
        times.record(Duration::from_nanos(nanos), 1);
        let bin = times.bins()[0];
        let seconds = nanos as f64 * 1e-9;
        assert!(
            bin.lo <= seconds * (1.0 + 1e-12) && seconds < bin.hi,
            "{nanos}: {bin:?}"
        );
    }
}

#[test]
fn a_series_keeps_the_newest_and_fills_gaps() {
    let mut series = Series::<u16>::default();
    for step in [7, 7, 9, 6] {
        if let Some(count) = series.at(step, 4) {
            *count += 1;
        }
    }
    assert_eq!(series.list(11, 4), [2, 0, 1, 0]);
    assert_eq!(series.list(13, 4), [1, 0, 0, 0]);
    *series.at(1_000_000, 4).unwrap() += 1;
    assert_eq!(series.list(1_000_001, 4), [0, 0, 0, 1]);
    assert_eq!(series.list(2_000_000, 4), [0, 0, 0, 0]);
}

#[test]
fn a_hot_key_is_seen_and_others_are_not_made_hot() {
    let mut sketch = Sketch::default();
    for number in 0..10_000 {
        let key = if number % 4 == 0 {
            "hot".to_owned()
        } else {
            format!("k{number}")
        };
        let hash = sketch.see(&key);
        sketch.count(hash, 1);
    }
    let counts = sketch.counts();
    assert_eq!(counts.events, 10_000);
    assert!(
        (7_200..7_800).contains(&counts.distinct),
        "{}",
        counts.distinct
    );
    assert!((2_200..=2_500).contains(&counts.top[0]), "{:?}", counts.top);
    assert!(counts.top[1] < 5, "{:?}", counts.top);
}

/// An arrival of now with a key, as the first attempt.
fn keyed(number: i64, key: &str) -> Delivery {
    use hence_core::{Attributes, Position};
    let mut attributes = Attributes::new("1", "/test", "tick").unwrap();
    attributes.set(hence_core::envelope::KEY, key).unwrap();
    Delivery {
        position: Position(number as u64),
        message: Message::new(attributes, None),
        appended: Timestamp::from_micros(number),
        attempt: 1,
        before: 0,
        due: None,
        redriven: false,
    }
}

#[test]
fn keys_that_come_once_each_are_all_seen_at_any_rate() {
    let meter = Meter::default();
    meter.state.lock().unwrap().began = Timestamp::from_micros(0);
    let arrivals: Vec<_> = (0..10_000)
        .map(|number| keyed(number, &format!("k{number}")))
        .collect();
    meter.arrived(&arrivals);
    let counts = meter.state.lock().unwrap().now.keys.counts();
    assert!((9_500..10_500).contains(&counts.events), "{counts:?}");
    assert!((9_500..10_500).contains(&counts.distinct), "{counts:?}");
    assert!(counts.top.is_empty(), "none is hot: {counts:?}");
}

#[test]
fn what_ended_in_a_new_period_counts_for_that_one() {
    let meter = Meter::default();
    meter.state.lock().unwrap().began = Timestamp::from_micros(0);
    let time = CallTime {
        ran: Duration::ZERO,
        occupied: Duration::ZERO,
        now: Timestamp::from_micros(0),
        beside: 0,
    };
    meter.done(5, &mut vec![(None, time, 1)]);
    assert_eq!(meter.state.lock().unwrap().now.done, 5);
    // None of these was chosen; it is long after the others.
    meter.done(7, &mut Vec::new());
    assert_eq!(meter.state.lock().unwrap().now.done, 7);
}

#[test]
fn a_delay_that_was_asked_for_is_no_wait() {
    use hence_core::{Attributes, Position, envelope};
    let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
    let mut attributes = Attributes::new("1", "/test", "tick").unwrap();
    let later = at(3_600).to_string();
    attributes.set(envelope::DELIVER_AT, later).unwrap();
    let mut delivery = Delivery {
        position: Position(1),
        message: Message::new(attributes, None),
        appended: at(10),
        attempt: 1,
        before: 0,
        due: None,
        redriven: false,
    };
    assert_eq!(ready(&delivery), at(3_600));
    delivery.appended = at(4_000);
    assert_eq!(
        ready(&delivery),
        at(4_000),
        "it was due before it was stored"
    );
    delivery.due = Some(at(5_000));
    assert_eq!(ready(&delivery), at(5_000), "a retry begins after its wait");
}

#[test]
fn each_type_has_its_series_up_to_a_limit() {
    let mut inflows = Inflows::default();
    for name in ["a", "b", "a", "c", "b"] {
        if let Some(index) = inflows.index_of(name, 2) {
            add(inflows.at(index).unwrap(), (5, 1));
        }
    }
    let all: Vec<_> = inflows.all().map(|(n, s)| (n, s.list(6, 9))).collect();
    assert_eq!(all, [("a", vec![2]), ("b", vec![2])]);
}
