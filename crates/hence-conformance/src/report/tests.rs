use super::*;
use crate::{Violation, suite};

fn report(engine: &str, verdicts: &[Verdict]) -> Report {
    Report {
        engine: engine.to_owned(),
        results: suite().into_iter().zip(verdicts.iter().cloned()).collect(),
    }
}

#[test]
fn what_is_not_covered_neither_passes_nor_fails() {
    let all = [
        Verdict::Passed,
        Verdict::Refused,
        Verdict::NotCovered("no storage"),
    ];
    let report = report("some", &all);
    assert!(report.holds());
    let tally = report.tally();
    assert_eq!((tally.passed, tally.refused, tally.not_covered), (1, 1, 1));
    assert_eq!(tally.to_string(), "1 hold, 1 refused, 1 not covered");
}

#[test]
fn a_failure_is_told_on_one_line() {
    let failed = Verdict::Failed(Violation::new("a | b\nc"));
    let report = report("some", &[failed]);
    assert!(!report.holds());
    let table = report.to_string();
    assert!(table.contains("**failed**: a \\| b c |"), "{table}");
    assert_eq!(table.lines().count(), 3);
}

#[test]
fn the_table_has_a_column_for_each_engine() {
    let reports = [
        report("one", &[Verdict::Passed]),
        report("two", &[Verdict::Refused]),
    ];
    let table = table(&reports);
    assert!(
        table.starts_with("| Guarantee | `one` | `two` |\n|---|---|---|\n"),
        "{table}"
    );
    assert!(table.contains("| G13 | 1 hold | 1 refused |\n"), "{table}");
}
