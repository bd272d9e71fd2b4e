use super::*;

const PROMISES: (&str, &str) = (PAGE, "| **G1** | kept |\n| **G2** | delivered |\n");

#[test]
fn a_test_of_a_guarantee_passes_and_the_rest_is_noted() {
    let source = (
        "crates/hence/tests/it.rs",
        "fn g1_kept() {} fn g_none() {} fn grow() {}",
    );
    let house = House::of(&[PROMISES, source]);
    let mut findings = Findings::default();
    check(&house, &mut findings);
    assert!(findings.problems.is_empty());
    assert_eq!(findings.notes, ["no test yet: G2"]);
}

#[test]
fn a_test_of_nothing_promised_fails() {
    let source = ("crates/hence/src/app.rs", "#[test]\nfn g21_luck() {}");
    let found = Findings::of(check, &House::of(&[PROMISES, source]));
    assert!(found[0].contains("no guarantee G21"), "{found:?}");
}

#[test]
fn a_case_of_the_suite_is_a_test_and_another_function_of_it_is_not() {
    let case = (
        "crates/hence-conformance/src/cases/order.rs",
        "async fn g1_kept(world: World<'_>) -> Checked { Ok(()) }",
    );
    let other = (
        "crates/hence-conformance/src/world.rs",
        "fn g2_delivered() {}",
    );
    let house = House::of(&[PROMISES, case, other]);
    let mut findings = Findings::default();
    check(&house, &mut findings);
    assert!(findings.problems.is_empty());
    assert_eq!(findings.notes, ["no test yet: G2"]);
}
