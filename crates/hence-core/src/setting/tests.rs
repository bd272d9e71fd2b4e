use super::SETTINGS;
use crate::flow::{Adaptive, Debounce, Fair, Limit, RateLimit, Shed, Singleton, Throttle};
use crate::{By, Options};

/// Options of which each is on.
fn all() -> Options {
    Options {
        batch_by: Some(By::KEY),
        limit: Some(Limit::default()),
        throttle: Some(Throttle::default()),
        rate_limit: Some(RateLimit {
            by: Some(By::KEY),
            ..RateLimit::default()
        }),
        debounce: Some(Debounce::default()),
        singleton: Some(Singleton::default()),
        fair: Some(Fair {
            weights: [("gold".to_owned(), 3), ("tin".to_owned(), 1)].into(),
            ..Fair::default()
        }),
        shed: Some(Shed::default()),
        adaptive: Some(Adaptive::default()),
        ..Options::default()
    }
}

#[test]
fn what_settings_say_can_be_set() {
    let (wanted, mut options) = (all(), Options::default());
    assert_ne!(wanted, options);
    let settings = wanted.settings();
    for (name, value) in &settings {
        options.set(name, value).unwrap();
    }
    assert_eq!(options, wanted);
    let switches = [
        "adaptive",
        "breaker",
        "debounce",
        "fair",
        "limit",
        "ratelimit",
    ];
    let switches = switches
        .into_iter()
        .chain(["retrybudget", "shed", "singleton", "throttle"]);
    for name in switches {
        assert!(!settings.contains_key(name), "{name} is on");
        options.set(name, "off").unwrap();
        assert!(options.set(name, "on").is_err());
    }
    let off = Options {
        breaker: None,
        retry_budget: None,
        batch_by: Some(By::KEY),
        ..Options::default()
    };
    assert_eq!(options, off);
    assert_eq!(off.settings()["breaker"], "off");
    assert_eq!(
        settings.len() + 10,
        SETTINGS.len(),
        "each setting was tried"
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_its_name() {
    assert_eq!(Options::default().problems(), Vec::<String>::new());
    for (name, bad) in [
        ("order", "sideways"),
        ("from", "yesterday"),
        ("concurrency", "0"),
        ("concurrency", "70000"),
        ("timeout", "0s"),
        ("timeout", "10"),
        ("timeout", "1000d"),
        ("deadletter", "forget"),
        ("causationdepth", "0"),
        ("crashes", "0"),
        ("crashes", "never"),
        ("retry.attempts", "0"),
        ("retry.first", "-1s"),
        ("retry.factor", "0.5"),
        ("retry.factor", "nan"),
        ("retrybudget.share", "0"),
        ("retrybudget.share", "1.5"),
        ("retrybudget.persecond", "-1"),
        ("breaker.failures", "0"),
        ("breaker.share", "2"),
        ("breaker.probe", "0ms"),
        ("batch.events", "0"),
        ("batch.bytes", "0"),
        ("batch.bytes", "2GiB"),
        ("batch.by", "No Name"),
        ("limit.by", ""),
        ("limit.most", "0"),
        ("throttle.calls", "0"),
        ("throttle.per", "0s"),
        ("ratelimit.events", "-3"),
        ("ratelimit.per", "soon"),
        ("debounce.quiet", "0s"),
        ("debounce.most", "9999d"),
        ("singleton.then", "fight"),
        ("fair.weights", "gold=0"),
        ("fair.weights", "gold"),
        ("fair.weights", "gold=1001"),
        ("shed.wait", "0s"),
        ("shed.then", "forget"),
        ("adaptive.least", "0"),
        ("adaptive.most", "1000000"),
        ("colour", "red"),
    ] {
        assert!(Options::default().set(name, bad).is_err(), "{name} = {bad}");
    }
    let mut options = all();
    options.concurrency = 0;
    options.retry.factor = f64::NAN;
    options.order = crate::Order::Fifo;
    options.debounce.as_mut().unwrap().most = std::time::Duration::from_millis(5);
    options.adaptive.as_mut().unwrap().least = 1_000;
    let problems = options.problems().join("\n");
    for part in [
        "concurrency = 0: must be a whole number from 1",
        "retry.factor = NaN",
        "debounce.most is less than",
        "adaptive.most is less than",
        "fair shares calls out itself",
        "debounce and singleton both",
    ] {
        assert!(problems.contains(part), "{part} is not in {problems}");
    }
}
