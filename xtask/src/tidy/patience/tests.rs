use super::*;

fn problems(path: &str, text: &str) -> usize {
    Findings::of(check, &House::of(&[(path, text)])).len()
}

const TESTS: &str = "crates/hence/src/app/tests.rs";

#[test]
fn prompt_tests_pass() {
    assert_eq!(
        problems(TESTS, "#[test]\nfn ignore_me() { ignore(); wait.recv(); }"),
        0
    );
    let paused = "#[tokio::test(start_paused = true)]\nasync fn f() { sleep(x).await; }";
    assert_eq!(problems(TESTS, paused), 0);
}

#[test]
fn sleeping_tests_fail() {
    assert_eq!(problems(TESTS, "fn f() { std::thread::sleep(x); }"), 1);
    assert_eq!(problems(TESTS, "async fn f() { sleep(x).await; }"), 1);
    let inline = "#[cfg(test)] mod tests { fn f() { thread::sleep(x); } }";
    assert_eq!(problems("crates/hence/src/app.rs", inline), 1);
}

#[test]
fn code_that_is_no_test_may_sleep() {
    assert_eq!(
        problems(
            "crates/hence/src/app.rs",
            "async fn f() { sleep(x).await; }"
        ),
        0
    );
    assert_eq!(
        problems(
            "examples/01-hello/src/main.rs",
            "fn f() { thread::sleep(x); }"
        ),
        0
    );
}

#[test]
fn ignored_tests_fail() {
    assert_eq!(
        problems(TESTS, "#[test]\n#[ignore = \"slow\"]\nfn f() {}"),
        1
    );
    assert_eq!(problems(TESTS, "#[test]\n#[ignore]\nfn f() {}"), 1);
}

#[test]
fn ignored_examples_fail() {
    let path = "crates/hence/src/app.rs";
    assert_eq!(problems(path, "/// ```text\n/// x\n/// ```\nfn f() {}"), 0);
    assert_eq!(
        problems(path, "/// ```ignore\n/// x\n/// ```\nfn f() {}"),
        1
    );
    assert_eq!(
        problems(path, "//! ```rust,ignore\n//! x\n//! ```\nfn f() {}"),
        1
    );
}
