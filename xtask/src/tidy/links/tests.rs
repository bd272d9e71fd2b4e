use super::*;

fn problems(text: &str) -> Vec<String> {
    let guide = ("docs/guides/a.md", "# A\n\n## Two words\n\n## Two words\n");
    Findings::of(
        check,
        &House::of(&[("docs/README.md", text), guide, ("README.md", "# R")]),
    )
}

#[test]
fn living_links_pass() {
    let text = "# Index\n[a](guides/a.md) [b](guides/a.md#two-words-1) [c](../README.md) [d](#index)
[e](https://x.example/y) `[f](nowhere.md)` [g](guides) ![h](../README.md \"title\")\n[i]: ../README.md
```\n[j](nowhere.md)\n```";
    assert_eq!(problems(text), [""; 0]);
}

#[test]
fn dead_links_fail() {
    let found = problems("x\n[a](guide/a.md)");
    assert!(found[0].starts_with("docs/README.md:2:"), "{found:?}");
    for text in [
        "[a](guides/a.md#three)",
        "[a](../../x.md)",
        "<img src=\"p.svg\">",
        "[n]: gone.md",
    ] {
        assert_eq!(problems(text).len(), 1, "{text}");
    }
}
