use super::*;

#[test]
fn equal_output_has_no_difference() {
    assert_eq!(difference("a\nb\n", "a\nb"), None);
}

#[test]
fn the_first_difference_is_named() {
    assert!(
        difference("a\nb\n", "a\nc\n")
            .unwrap()
            .starts_with("line 2: expected \"b\"")
    );
    assert!(
        difference("a\n", "a\nb\n")
            .unwrap()
            .starts_with("line 2: expected the end")
    );
    assert!(
        difference("a\nb\n", "a\n")
            .unwrap()
            .contains("printed the end")
    );
}
