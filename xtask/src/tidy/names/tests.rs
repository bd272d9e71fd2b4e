use super::*;

fn problems(root: &str) -> Vec<String> {
    let files = [
        (ROOT, root),
        (
            "crates/hence/src/list.rs",
            "#[macro_export]\nmacro_rules! list { () => {} }",
        ),
        ("crates/hence/src/room/inner.rs", "pub struct A;"),
        ("crates/hence-core/src/lib.rs", "pub struct NotHere;"),
    ];
    Findings::of(check, &House::of(&files))
}

/// The root with so many names beside the macro of another file.
fn root(count: usize) -> String {
    let list: Vec<_> = (0..count).map(|number| format!("Name{number}")).collect();
    let list = list.join(", ");
    format!(
        "pub mod room;\nmod hidden;\npub use hence_core as core;\npub use room::inner;\n\
         pub use hidden::{{{list}}};\nuse hidden::Private;\nstruct Own;\n"
    )
}

#[test]
fn twenty_four_names_pass_and_one_more_does_not() {
    assert_eq!(problems(&root(23)), [""; 0]);
    let found = problems(&root(24));
    assert!(found[0].contains("25 names at the root"), "{found:?}");
    assert!(
        found[0].contains("Name0, ") && found[0].contains("list"),
        "{found:?}"
    );
}

#[test]
fn a_derive_and_its_trait_are_one_name() {
    let twice = root(23) + "pub use hence_macros::Name0;\n";
    assert_eq!(problems(&twice), [""; 0]);
}

#[test]
fn what_is_defined_at_the_root_counts_and_so_does_a_glob() {
    let defined = root(23) + "pub fn one() {}\n";
    assert_eq!(problems(&defined).len(), 1);
    let private = root(23) + "fn one() {}\npub(crate) use hidden::Other;\n";
    assert_eq!(problems(&private), [""; 0]);
    assert_eq!(problems("pub use hidden::*;").len(), 1);
}
