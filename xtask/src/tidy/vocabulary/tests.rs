use super::*;

const WORDS: &str = "
| Word | It is | Not |
|---|---|---|
| `Event` | a fact | `Payload` |
| `Attributes` | what stands beside it | `Metadata`, `Headers` |
| `Message` | bytes | `Record` except in `hence-log` |
| `Outcome` | the end | `nack()` |
";

fn problems(path: &str, text: &str) -> Vec<String> {
    Findings::of(check, &House::of(&[(GLOSSARY, WORDS), (path, text)]))
}

#[test]
fn using_a_foreign_name_is_no_declaration() {
    let text = "use std::fs::Metadata; fn f(m: Metadata, h: http::Headers) {}";
    assert_eq!(problems("crates/hence/src/app.rs", text), [""; 0]);
    assert_eq!(
        problems("crates/hence/src/app.rs", "pub struct PayloadSize;"),
        [""; 0]
    );
}

#[test]
fn declaring_a_rejected_word_fails() {
    let found = problems("crates/hence/src/app.rs", "pub(crate) struct Payload;");
    assert!(found[0].contains("say `Event`"), "{found:?}");
    for text in [
        "pub enum Metadata {}",
        "pub trait Headers {}",
        "pub type Payload = u8;",
    ] {
        assert_eq!(problems("crates/hence/src/app.rs", text).len(), 1, "{text}");
    }
    let method = "struct S; impl S { pub fn nack(&self) {} fn f() {} }";
    assert_eq!(problems("crates/hence/src/app.rs", method).len(), 1);
}

#[test]
fn a_word_may_be_at_home_in_one_crate() {
    assert_eq!(
        problems("crates/hence-log/src/log.rs", "pub struct Record;"),
        [""; 0]
    );
    assert_eq!(
        problems("crates/hence/src/app.rs", "pub struct Record;").len(),
        1
    );
}

#[test]
fn modules_are_nouns() {
    assert_eq!(problems("crates/hence/src/lib.rs", "mod lanes;"), [""; 0]);
    assert_eq!(problems("crates/hence/src/lib.rs", "mod utils;").len(), 1);
}

#[test]
fn tests_may_play() {
    assert_eq!(
        problems("crates/hence/tests/it.rs", "pub struct Payload;"),
        [""; 0]
    );
}
