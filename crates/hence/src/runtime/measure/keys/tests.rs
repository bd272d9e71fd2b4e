//! Few counters, and what they promise.

use super::*;

#[test]
fn the_sketch_keeps_the_promise_of_space_saving() {
    let mut sketch = Sketch::default();
    let mut exact = std::collections::BTreeMap::<String, u64>::new();
    // A law without a hot key, long enough that every counter changes hands many times.
    for number in 0..40_000_u64 {
        let key = format!("k{}", number * number % 997);
        *exact.entry(key.clone()).or_default() += 1;
        let hash = sketch.see(&key);
        sketch.count(hash, 1);
    }
    let (all, mut sum) = (40_000, 0);
    for &(_, count, over) in &sketch.top {
        sum += count;
        assert!(over <= all / 32, "an error of {over}");
    }
    assert_eq!(sum, all, "each event raises one counter by one");
    let kinds: u64 = sketch.kinds.iter().map(|n| u64::from(*n)).sum();
    assert_eq!(kinds, 32);
    let most = exact.values().max().unwrap();
    assert!(sketch.counts().top[0] <= *most);
    let distinct = sketch.counts().distinct as f64;
    assert!(
        (distinct / exact.len() as f64 - 1.0).abs() < 0.05,
        "{distinct}"
    );
}

#[test]
fn a_key_that_stands_for_others_counts_as_often() {
    let (mut whole, mut part) = (Sketch::default(), Sketch::default());
    for number in 0..8_000_u64 {
        // A fifth of all is one key, at no place of its own within eight.
        let key = match number * 7 % 5 {
            0 => "hot".to_owned(),
            _ => format!("k{}", number * number % 997),
        };
        let hash = whole.see(&key);
        whole.count(hash, 1);
        part.see(&key);
        if number % 8 == 3 {
            part.count(hash, 8);
        }
    }
    let (whole, part) = (whole.counts(), part.counts());
    assert_eq!(part.events, whole.events);
    assert_eq!(part.distinct, whole.distinct);
    let hot = |counts: &KeyCounts| counts.top[0] as f64 / counts.events as f64;
    assert!((hot(&whole) - 0.2).abs() < 0.01, "{whole:?}");
    assert!((hot(&part) - 0.2).abs() < 0.01, "{part:?}");
}
