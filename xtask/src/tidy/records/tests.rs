use super::*;

const LOG: (&str, &str) = (CHANGES, "# Changes\n\n## [Unreleased]\n");
const PAGE: &str = "# x\n## Context\n## Choice\n## Cost\n## What would change our mind\n";

#[test]
fn kept_records_pass() {
    let first = ("docs/decisions/0001-a.md", PAGE);
    let second = ("docs/decisions/0002-b.md", PAGE);
    assert_eq!(
        Findings::of(check, &House::of(&[LOG, second, first])),
        [""; 0]
    );
}

#[test]
fn a_gap_fails() {
    let first = ("docs/decisions/0001-a.md", PAGE);
    let third = ("docs/decisions/0003-c.md", PAGE);
    let found = Findings::of(check, &House::of(&[LOG, first, third]));
    assert!(found[0].contains("0002-"), "{found:?}");
}

#[test]
fn a_decision_without_its_cost_fails() {
    let page = PAGE.replace("## Cost\n", "");
    let found = Findings::of(
        check,
        &House::of(&[LOG, ("docs/decisions/0001-a.md", &page)]),
    );
    assert!(found[0].contains("Cost"), "{found:?}");
}

#[test]
fn a_change_log_without_unreleased_fails() {
    assert_eq!(
        Findings::of(check, &House::of(&[(CHANGES, "# Changes\n")])).len(),
        1
    );
}
