use super::*;

#[test]
fn result_lines_are_counted() {
    let line = "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out";
    assert_eq!(
        counts(line),
        Some(Tally {
            passed: 12,
            ..Tally::default()
        })
    );
    let line = "test result: FAILED. 1 passed; 2 failed; 4 ignored; 0 measured; 0 filtered out";
    assert_eq!(
        counts(line),
        Some(Tally {
            passed: 1,
            failed: 2,
            ..Tally::default()
        })
    );
}

#[test]
fn other_lines_are_not() {
    assert_eq!(counts("test it::works ... ok"), None);
    assert_eq!(counts("test result: something else"), None);
}

#[test]
fn failed_and_ignored_tests_are_named() {
    assert_eq!(ended("test a::b ... FAILED"), Some(("a::b", "FAILED")));
    assert_eq!(
        ended("test a::b ... ignored, slow"),
        Some(("a::b", "ignored"))
    );
    assert_eq!(ended("test src/x.rs - x (line 3) ... ok"), None);
}
