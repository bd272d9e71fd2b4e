use std::time::Duration;

use hence_core::flow;

use super::Adaptive;

/// So many calls after another of a service that takes longer beyond its knee.
fn settled_at(knee: f64, least: usize, most: usize, began: usize) -> usize {
    let mut adaptive = Adaptive::new(Some(flow::Adaptive { least, most }), began);
    for _ in 0..5_000 {
        let calls = adaptive.calls();
        let slower = (calls as f64 / knee).max(1.0);
        adaptive.ended(Duration::from_secs_f64(0.01 * slower), calls - 1);
    }
    adaptive.calls()
}

#[test]
fn without_bounds_it_stays_what_it_was() {
    let mut adaptive = Adaptive::new(None, 32);
    adaptive.ended(Duration::from_secs(9), 31);
    assert_eq!(adaptive.calls(), 32);
}

#[test]
fn it_grows_to_its_bound_where_nothing_gets_slower() {
    assert_eq!(settled_at(1e9, 1, 200, 8), 200);
}

#[test]
fn it_never_leaves_its_bounds() {
    assert_eq!(
        Adaptive::new(Some(flow::Adaptive { least: 4, most: 9 }), 32).calls(),
        9
    );
    assert_eq!(
        Adaptive::new(Some(flow::Adaptive { least: 4, most: 9 }), 1).calls(),
        4
    );
    let mut adaptive = Adaptive::new(Some(flow::Adaptive { least: 4, most: 9 }), 9);
    for n in 0..1_000_u32 {
        let ran = Duration::from_millis(if n < 100 { 1 } else { u64::from(n) });
        adaptive.ended(ran, 8);
        assert!((4..=9).contains(&adaptive.calls()));
    }
}

#[test]
fn calls_that_become_slower_become_fewer() {
    let mut adaptive = Adaptive::new(
        Some(flow::Adaptive {
            least: 2,
            most: 100,
        }),
        100,
    );
    for _ in 0..600 {
        adaptive.ended(Duration::from_millis(10), 99);
    }
    assert_eq!(adaptive.calls(), 100);
    let mut fewest = 100;
    for _ in 0..60 {
        adaptive.ended(Duration::from_millis(100), 99);
        fewest = fewest.min(adaptive.calls());
    }
    assert!(fewest <= 20, "{fewest}");
}

#[test]
fn what_is_half_idle_teaches_nothing() {
    let mut adaptive = Adaptive::new(
        Some(flow::Adaptive {
            least: 1,
            most: 100,
        }),
        50,
    );
    for _ in 0..1_000 {
        adaptive.ended(Duration::from_millis(10), 3);
    }
    assert_eq!(adaptive.calls(), 50);
}
