use super::*;
use crate::house::{Dependency, Package};

fn problems(path: &str, text: &str) -> usize {
    Findings::of(check, &House::of(&[(path, text)])).len()
}

#[test]
fn the_words_open_nothing() {
    let path = "crates/hence-core/src/event.rs";
    assert_eq!(problems(path, "use std::fmt; fn f(stdfs: u8) {}"), 0);
    assert_eq!(problems(path, "use std::{fmt, fs::File};"), 1);
    assert_eq!(
        problems(path, "fn f() { std::net::TcpStream::connect(a); }"),
        1
    );
}

#[test]
fn the_log_waits_for_nobody() {
    let path = "crates/hence-log/src/log.rs";
    assert_eq!(
        problems(path, "use std::fs::File; fn f() { unsafe { g() } }"),
        0
    );
    assert_eq!(problems(path, "async fn f() {}"), 1);
}

#[test]
fn the_planner_reads_no_clock_outside_its_tests() {
    let path = "crates/hence-planner/src/fit.rs";
    assert_eq!(problems(path, "fn f() { let now = Instant::now(); }"), 1);
    assert_eq!(
        problems(
            path,
            "#[cfg(test)] mod tests { fn f() { Instant::now(); } }"
        ),
        0
    );
    assert_eq!(
        problems(
            "crates/hence-planner/tests/it.rs",
            "fn f() { Instant::now(); }"
        ),
        0
    );
}

#[test]
fn unsafe_lives_in_the_log_alone() {
    assert_eq!(
        problems("crates/hence/src/app.rs", "fn f() { unsafe { g() } }"),
        1
    );
    assert_eq!(
        problems("crates/hence/src/app.rs", "#![deny(unsafe_code)]"),
        0
    );
}

#[test]
fn only_the_binary_has_a_door_to_the_street() {
    let found = |name: &str, edge: &str, in_tests_only| {
        let edge = Dependency {
            name: edge.to_owned(),
            requirement: String::new(),
            in_tests_only,
        };
        let mut house = House::default();
        house.packages.push(Package {
            name: name.to_owned(),
            folder: Some(format!("crates/{name}")),
            dependencies: vec![edge],
            ..Package::default()
        });
        Findings::of(check, &house).len()
    };
    assert_eq!(found("hence-server", "axum", false), 0);
    assert_eq!(found("hence", "axum", false), 1);
    assert_eq!(found("hence", "axum", true), 0);
    assert_eq!(found("hence-log", "serde", false), 1);
    assert_eq!(found("hence", "inventory", false), 1);
}
