use super::*;

/// The page as it is when one function of this name bears the first number.
fn promises_with(list: &str) -> String {
    format!(
        "<!-- written by: cargo xtask guarantees -->\n\n\
         | | Promise | `memory:` | `log:` | in power cuts | Other tests | Last run |\n\
         |---|---|---|---|---|---|---|\n\
         {list}\n<!-- until here -->\n"
    )
}

const OPEN: &str = "| **G2** | delivered | – | – | – | 0 | not in this version |\n\n\
    Which tests these are, the cases of the suite first:\n\n";

#[test]
fn a_test_of_a_guarantee_passes_and_the_rest_is_noted() {
    let source = (
        "crates/hence/tests/it.rs",
        "fn g1_kept() {} fn g_none() {} fn grow() {}",
    );
    let row = "| **G1** | kept | – | – | – | 1 | holds |\n";
    let page = promises_with(&format!("{row}{OPEN}- **G1**: in hence `g1_kept`\n"));
    let house = House::of(&[(PAGE, &page), source]);
    let mut findings = Findings::default();
    check(&house, &mut findings);
    assert!(findings.problems.is_empty());
    assert_eq!(findings.notes, ["no test yet: G2"]);
}

#[test]
fn a_test_of_nothing_promised_fails() {
    let source = ("crates/hence/src/app.rs", "#[test]\nfn g21_luck() {}");
    let row = "| **G1** | kept | – | – | – | 0 | not in this version |\n";
    let page = promises_with(&format!("{row}{OPEN}"));
    let found = Findings::of(check, &House::of(&[(PAGE, &page), source]));
    assert_eq!(found.len(), 1, "{found:?}");
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
    let row = "| **G1** | kept | – | – | – | 0 | holds |\n";
    let page = promises_with(&format!("{row}{OPEN}- **G1**: `g1_kept`\n"));
    let house = House::of(&[(PAGE, &page), case, other]);
    let mut findings = Findings::default();
    check(&house, &mut findings);
    assert!(findings.problems.is_empty());
    assert_eq!(findings.notes, ["no test yet: G2"]);
}

#[test]
fn a_table_that_is_not_what_the_tests_say_fails() {
    let source = (
        "crates/hence/tests/it.rs",
        "make! { async fn g1_kept() {} }",
    );
    let row = "| **G1** | kept | – | – | – | 1 | holds |\n";
    for (row, list) in [
        (row, ""),
        (row, "- **G1**: in hence `g1_lost`\n"),
        (
            "| **G1** | kept | – | – | – | 2 | holds |\n",
            "- **G1**: in hence `g1_kept`\n",
        ),
        (
            "| **G1** | kept | – | – | – | 1 | soon |\n",
            "- **G1**: in hence `g1_kept`\n",
        ),
        (
            "| **G1** | kept | 9 hold | – | – | 1 | holds |\n",
            "- **G1**: in hence `g1_kept`\n",
        ),
    ] {
        let page = promises_with(&format!("{row}{OPEN}{list}"));
        let found = Findings::of(check, &House::of(&[(PAGE, &page), source]));
        assert!(found[0].contains("cargo xtask guarantees"), "{found:?}");
    }
}
