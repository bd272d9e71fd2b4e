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
fn a_table_that_claims_too_much_fails() {
    let source = (
        "crates/hence/tests/it.rs",
        "make! { async fn g1_kept() {} }",
    );
    let list = "- **G1**: in hence `g1_kept`\n";
    let broken = "| **G1** | kept | – | – | – | 1 | **broken** |\n";
    for (row, list, says) in [
        (
            "| **G1** | kept | – | – | – | 2 | holds |\n",
            "- **G1**: in hence `g1_kept`, `g1_lost`\n",
            "no test `g1_lost`",
        ),
        (
            "| **G1** | kept | – | – | – | 1 | soon |\n",
            list,
            "did not say",
        ),
        (broken, list, "did not say"),
        (
            "| **G1** | kept | 9 hold | – | – | 1 | holds |\n",
            list,
            "fewer cases hold",
        ),
    ] {
        let page = promises_with(&format!("{row}{OPEN}{list}"));
        let found = Findings::of(check, &House::of(&[(PAGE, &page), source]));
        assert!(found[0].contains(says), "{found:?}");
        assert!(found[0].contains("cargo xtask guarantees"), "{found:?}");
    }
}

#[test]
fn a_test_that_is_not_in_the_table_yet_is_noted() {
    let source = (
        "crates/hence/tests/it.rs",
        "make! { async fn g1_kept() {} fn g1_more() {} }",
    );
    let row = "| **G1** | kept | – | – | – | 1 | holds |\n";
    let page = promises_with(&format!("{row}{OPEN}- **G1**: in hence `g1_kept`\n"));
    let mut findings = Findings::default();
    check(&House::of(&[(PAGE, &page), source]), &mut findings);
    assert!(findings.problems.is_empty());
    let note = &findings.notes[1];
    assert!(note.contains("is not current"), "{note}");
}
