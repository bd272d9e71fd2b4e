//! What must not be there: the invariants of absence of ARCHITECTURE.md that a text can show.

use crate::house::{House, is_test_path};
use crate::rust;
use crate::tidy::{Findings, crate_of, sources};

/// Names that a crate must not use outside its tests. A name stands for all that lies under it.
const NAMES: &[(&str, &[&str], &str)] = &[
    (
        "hence-core",
        &[
            "std::fs",
            "std::net",
            "std::os",
            "std::process",
            "std::thread::spawn",
            "thread::spawn",
        ],
        "the words open no file or socket and start nothing",
    ),
    (
        "hence-log",
        &["async", "await", "std::net", "std::process"],
        "the log is synchronous and knows files only",
    ),
    (
        "hence-planner",
        &[
            "async",
            "await",
            "std::fs",
            "std::net",
            "std::thread",
            "Instant::now",
            "std::time::Instant",
            "SystemTime",
            "std::time::SystemTime",
        ],
        "the planner is mathematics: no waiting, no I/O, no clock",
    ),
];

/// Foreign crates that a crate must not depend on outside its tests.
const CRATES: &[(&str, &[&str], &str)] = &[
    (
        "hence-core",
        &["tokio", "tokio-util", "tracing-subscriber"],
        "the words run nowhere",
    ),
    (
        "hence-log",
        &["serde", "serde_json", "tokio", "tokio-util", "futures-util"],
        "the log knows bytes, not events, and waits for nobody",
    ),
    (
        "hence-planner",
        &["tokio", "tokio-util", "futures-util", "jiff"],
        "the planner is mathematics: no waiting, no I/O, no clock",
    ),
];

/// Foreign crates that only the binary may know.
const STREET: &[&str] = &[
    "axum",
    "clap",
    "clap_complete",
    "hyper",
    "hyper-util",
    "reqwest",
    "toml",
    "tower-http",
    "tracing-subscriber",
];

/// Foreign crates that run code before `main`.
const BEFORE_MAIN: &[&str] = &["ctor", "inventory", "linkme", "startup"];

pub(crate) fn check(house: &House, findings: &mut Findings) {
    check_names(house, findings);
    check_crates(house, findings);
}

fn check_names(house: &House, findings: &mut Findings) {
    for (path, _, file) in sources(house).filter(|(path, ..)| !is_test_path(path)) {
        let owner = crate_of(path).unwrap_or_default();
        let mentions = rust::mentions(&rust::without_tests(file));
        for mention in mentions {
            let line = mention.line;
            for (_, names, why) in NAMES.iter().filter(|(krate, ..)| *krate == owner) {
                if names.iter().any(|name| is_under(&mention.path, name)) {
                    let message = format!("`{}` in {owner}: {why}", mention.path);
                    findings.problem(path, line, message, "move it to the layer that may");
                }
            }
            if mention.path == "unsafe" && owner != "hence-log" {
                let message = "`unsafe` outside hence-log".to_owned();
                findings.problem(path, line, message, "find the safe form");
            }
        }
    }
}

fn check_crates(house: &House, findings: &mut Findings) {
    for package in house.members() {
        let folder = package.folder.as_deref().unwrap_or_default();
        if !folder.starts_with("crates/") {
            continue; // the workshop and the examples may use what they like
        }
        let manifest = format!("{folder}/Cargo.toml");
        for edge in package
            .dependencies
            .iter()
            .filter(|edge| !edge.in_tests_only)
        {
            let name = edge.name.as_str();
            let own = CRATES.iter().filter(|(krate, ..)| *krate == package.name);
            for (_, _, why) in own.filter(|(_, banned, _)| banned.contains(&name)) {
                let message = format!("`{}` depends on `{name}`: {why}", package.name);
                findings.problem(&manifest, 1, message, "remove the dependency");
            }
            if STREET.contains(&name) && package.name != "hence-server" {
                let message = format!("`{}` depends on `{name}`", package.name);
                findings.problem(
                    &manifest,
                    1,
                    message,
                    "only hence-server has a door outside",
                );
            }
            if BEFORE_MAIN.contains(&name) {
                let message = format!("`{name}` runs code before `main`");
                findings.problem(&manifest, 1, message, "list what there is where it is used");
            }
        }
    }
}

fn is_under(path: &str, name: &str) -> bool {
    path.strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests;
