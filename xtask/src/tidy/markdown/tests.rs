use super::*;

#[test]
fn fenced_code_is_not_prose() {
    let text = "a\n```rust\nb\n```\nc";
    assert_eq!(prose(text).collect::<Vec<_>>(), [(1, "a"), (5, "c")]);
}

#[test]
fn headings_and_anchors() {
    assert_eq!(
        heading("## What `run` does, and why"),
        Some("What `run` does, and why")
    );
    assert_eq!(heading("#[test]"), None);
    assert_eq!(anchor("What `run` does, and why"), "what-run-does-and-why");
}

#[test]
fn rows_but_not_rulers() {
    assert_eq!(cells("| a | `b` |"), Some(vec!["a", "`b`"]));
    assert_eq!(cells("|---|:-:|"), None);
    assert_eq!(cells("no row"), None);
}

#[test]
fn code_spans_in_and_out() {
    assert_eq!(code_spans("a `b` c `d`").collect::<Vec<_>>(), ["b", "d"]);
    assert_eq!(without_code("a `[b](c)` d"), "a          d");
}
