use super::table::{verdicts as told, written};
use super::*;

const CASE: (&str, &str) = (
    "crates/hence-conformance/src/cases/order.rs",
    "async fn g1_kept(world: World<'_>) -> Checked { Ok(()) }",
);
const OTHER: (&str, &str) = (
    "crates/hence/tests/it/order.rs",
    "on_both_engines! { async fn g1_kept_too(place: Place) {} }",
);
const ENGINES_TABLE: (&str, &str) = (
    "docs/concepts/engines.md",
    "| G1 | 1 refused | 1 hold | 1 hold |\n",
);
const EMPTY: &str = "# Guarantees\n\n<!-- written by: cargo xtask guarantees -->\n\n\
    | **G1** | It is kept. |\n| **G2** | It is more. |\n\n<!-- until here -->\nmore\n";

fn page(ran: &[&str], text: &str) -> String {
    let house = House::of(&[CASE, OTHER, ENGINES_TABLE, (PAGE, text)]);
    let bearers = bearers(&house);
    let mut all = BTreeMap::new();
    ran.iter().for_each(|line| note(line, &mut all));
    written(&house, &bearers, &verdicts(&bearers, &all)).unwrap()
}

const GOOD: [&str; 3] = [
    "test memory::order::g1_kept ... ok",
    "test order::g1_kept_too::memory ... ok",
    "test order::g1_kept_too::log ... ok",
];

#[test]
fn a_row_has_the_cases_the_other_tests_and_the_verdict() {
    let page = page(&GOOD, EMPTY);
    let row = "| **G1** | It is kept. | 1 refused | 1 hold | 1 hold | 1 | holds |";
    assert!(page.contains(row), "{page}");
    let open = "| **G2** | It is more. | – | – | – | 0 | not in this version |";
    assert!(page.contains(open), "{page}");
    assert!(
        page.contains("- **G1**: `g1_kept`; in hence `g1_kept_too`\n"),
        "{page}"
    );
    assert!(page.ends_with("<!-- until here -->\nmore\n"), "{page}");
    // Written again from itself it is the same.
    let house = House::of(&[CASE, OTHER, ENGINES_TABLE, (PAGE, &page)]);
    let again = written(&house, &bearers(&house), &told(&page));
    assert_eq!(again.as_deref(), Some(page.as_str()));
}

#[test]
fn what_fails_or_does_not_run_is_broken() {
    let failed = ["test order::g1_kept_too::log ... FAILED"];
    for ran in [[&GOOD[..], &failed].concat(), GOOD[1..].to_vec()] {
        let page = page(&ran, EMPTY);
        assert!(page.contains("| 1 | **broken** |"), "{page}");
    }
}
