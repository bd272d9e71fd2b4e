//! Options become parts of the model, or a reason that names them.

use std::time::Duration;

use hence::core::Options;
use hence::core::flow::Throttle;
use hence::measure::Measured;

use super::*;

fn handling() -> Handling {
    Handling::new(Dist::Exp { mean: 0.1 })
}

#[test]
fn a_rate_and_a_budget_are_followed() {
    let mut options = Options::default();
    options.throttle = Some(Throttle {
        calls: 30,
        per: Duration::from_secs(60),
    });
    let mut followed = handling();
    follow(&options, &Measured::default(), &mut followed).unwrap();
    let pace = followed.pace.unwrap();
    assert_eq!((pace.per_second, pace.burst), (0.5, 30.0));
    let spacing = followed.spacing.unwrap();
    assert_eq!((spacing.per_event, spacing.per_second), (0.1, 10.0));
    assert!(followed.expiry.is_none() && followed.classes.is_empty());
    options.retry_budget = None;
    let mut followed = handling();
    follow(&options, &Measured::default(), &mut followed).unwrap();
    assert!(followed.spacing.is_none());
}

#[test]
fn a_breaker_that_trips_has_no_steady_state() {
    let options = Options::default();
    let mut failing = Handling {
        failure: 0.4,
        ..handling()
    };
    let why = follow(&options, &Measured::default(), &mut failing).unwrap_err();
    assert!(why.contains("breaker") && why.contains("40 %"), "{why}");
    failing.failure = 0.05;
    follow(&options, &Measured::default(), &mut failing).unwrap();
}

#[test]
fn a_step_of_priority_is_a_class() {
    let mut options = Options::default();
    options.order = Order::Priority;
    let mut measured = Measured {
        priorities: [(5, 10), (3, 30), (2, 60)].into(),
        ..Measured::default()
    };
    let mut followed = handling();
    follow(&options, &measured, &mut followed).unwrap();
    assert_eq!(followed.classes, [0.1, 0.0, 0.3, 0.6]);
    measured.priorities.insert(-100, 1);
    let why = follow(&options, &measured, &mut handling()).unwrap_err();
    assert!(why.contains("between -100 and 5"), "{why}");
    measured.priorities = [(0, 100)].into();
    let mut followed = handling();
    follow(&options, &measured, &mut followed).unwrap();
    assert!(followed.classes.is_empty(), "all alike is no order");
}
