//! A minute is judged by what it brought, and by nothing that is forgotten.

use hence_planner::plan::Method;

use super::*;

fn bin(lo: f64, count: u64) -> Bin {
    Bin {
        lo,
        hi: lo * 1.03,
        count,
    }
}

fn counted(bins: Vec<Bin>, sum: f64) -> Counted {
    let count = bins.iter().map(|bin| bin.count as f64).sum();
    Counted { bins, count, sum }
}

#[test]
fn only_what_came_since_counts() {
    let before = counted(vec![bin(0.1, 100)], 10.0);
    let after = counted(vec![bin(0.1, 150), bin(0.3, 50)], 30.0);
    let mean = after.mean_since(&before).unwrap();
    assert!((mean - 0.2).abs() < 1e-12, "{mean}");
}

#[test]
fn too_little_or_something_forgotten_is_no_measurement() {
    let before = counted(vec![bin(0.1, 100)], 10.0);
    let few = counted(vec![bin(0.1, 120)], 12.0);
    assert_eq!(few.mean_since(&before), None);
    let forgotten = counted(vec![bin(0.1, 10), bin(0.3, 500)], 151.0);
    assert_eq!(forgotten.mean_since(&before), None);
}

#[test]
fn the_test_rolls_on() {
    let tests = BackTests::default();
    let figure = Figure {
        value: 0.1,
        lo: 0.09,
        hi: 0.11,
        method: Method::Mmc,
    };
    let predicted: BTreeMap<String, Figure> = [("a".to_owned(), figure)].into();
    let measured: All = [("a".to_owned(), Measured::default())].into();
    tests.judge(&measured, &predicted);
    tests.judge(&measured, &predicted);
    assert!(tests.all().is_empty(), "nothing came, so nothing is judged");
}
