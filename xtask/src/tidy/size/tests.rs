use super::*;

fn problems(path: &str, text: &str) -> Vec<String> {
    Findings::of(check, &House::of(&[(path, text)]))
}

fn function(lines: usize) -> String {
    format!(
        "struct S;\nimpl S {{\nfn f() {{{}}}\n}}\n",
        "\n".repeat(lines - 1)
    )
}

#[test]
fn seventy_lines_pass_and_one_more_does_not() {
    assert_eq!(problems("a/src/lib.rs", &function(70)), [""; 0]);
    let found = problems("a/src/lib.rs", &function(71));
    assert!(found[0].starts_with("a/src/lib.rs:3:"), "{found:?}");
    assert!(found[0].contains("`f` has 71 lines"), "{found:?}");
}

#[test]
fn a_file_of_701_lines_fails() {
    assert_eq!(problems("a/src/lib.rs", &"// x\n".repeat(700)), [""; 0]);
    assert_eq!(problems("a/src/lib.rs", &"// x\n".repeat(701)).len(), 1);
}

#[test]
fn tests_may_be_long() {
    assert_eq!(problems("a/src/lib/tests.rs", &function(100)), [""; 0]);
    assert_eq!(
        problems("a/tests/it/main.rs", &"// x\n".repeat(900)),
        [""; 0]
    );
}
