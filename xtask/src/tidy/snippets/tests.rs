use super::*;

const SOURCE: (&str, &str) = (
    LIBRARY,
    "//! Words.\n//!\n//! ```\n//! # hidden();\n//! shown();\n//! ```\n//!\n//! # Head\n",
);

#[test]
fn a_tested_block_passes_and_prose_does_not_count() {
    let page = "```rust\nshown();\n```\n```rust,ignore\nprose();\n```\n```js\nx\n```\n";
    assert_eq!(
        Findings::of(check, &House::of(&[SOURCE, (PAGE, page)])),
        [""; 0]
    );
}

#[test]
fn an_untested_block_fails() {
    let page = "# R\n\n```rust\nother();\n```\n";
    let found = Findings::of(check, &House::of(&[SOURCE, (PAGE, page)]));
    assert!(found[0].starts_with("README.md:3:"), "{found:?}");
}
