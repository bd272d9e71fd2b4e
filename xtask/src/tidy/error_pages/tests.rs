use super::*;

const PAGE: &str = "# HN0012: torn\n\n## What happened\n\n## Why\n\n## Fix\n";
const CODE: (&str, &str) = (
    "crates/hence-log/src/error.rs",
    "const TORN: &str = \"HN0012\";",
);

#[test]
fn a_code_with_a_page_passes() {
    assert_eq!(
        Findings::of(check, &House::of(&[CODE, ("docs/errors/HN0012.md", PAGE)])),
        [""; 0]
    );
}

#[test]
fn a_code_without_a_page_fails() {
    let found = Findings::of(check, &House::of(&[CODE]));
    assert!(found[0].contains("`HN0012` has no page"), "{found:?}");
}

#[test]
fn a_page_without_a_code_fails() {
    let comment = (
        "crates/hence-log/src/error.rs",
        "// as in HN0012, and HN00123",
    );
    let found = Findings::of(
        check,
        &House::of(&[comment, ("docs/errors/HN0012.md", PAGE)]),
    );
    assert!(found[0].contains("no code uses"), "{found:?}");
}

#[test]
fn a_page_needs_its_sections() {
    let page = ("docs/errors/HN0012.md", "# HN0012\n\n## What\n\n## Fix\n");
    let found = Findings::of(check, &House::of(&[CODE, page]));
    assert!(found[0].contains("\"Why\""), "{found:?}");
}
