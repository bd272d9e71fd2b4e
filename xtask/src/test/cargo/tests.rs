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
    let open = vec!["4 ignored tests".to_owned()];
    assert_eq!(
        counts(line),
        Some(Tally {
            passed: 1,
            failed: 2,
            not_covered: open
        })
    );
}

#[test]
fn other_lines_are_not() {
    assert_eq!(counts("test it::works ... ok"), None);
    assert_eq!(counts("test result: something else"), None);
}
