use serde_json::json;

use super::*;

fn report() -> Value {
    json!({
        "campaign": "crash",
        "rows": [
            {"case": "a", "passed": 60, "failed": 0, "invalid": 0},
            {"case": "b", "passed": 59, "failed": 1, "invalid": 0},
            {"case": "c", "passed": 0, "failed": 0, "invalid": 4},
            {"case": "d", "passed": 0, "failed": 0, "invalid": 0},
        ],
        "not_covered": ["no root"],
    })
}

#[test]
fn a_row_passes_only_when_nothing_in_it_failed_or_was_invalid() {
    let tally = tally(&report(), false);
    assert_eq!((tally.passed, tally.failed), (1, 3));
    assert_eq!(tally.failures, ["crash: b", "crash: c", "crash: d"]);
    assert_eq!(tally.not_covered, ["crash: no root"]);
}

#[test]
fn what_is_not_covered_fails_on_a_ci_machine() {
    assert_eq!(tally(&report(), true).failed, 4);
}
