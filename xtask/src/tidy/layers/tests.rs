use super::*;
use crate::house::Dependency;

const MAP: &str = "## Who imports whom\n
| Layer | Crate | May import | In tests also |
|---|---|---|---|
| 1 | `core` | | |
| 2 | `engine-*` | `core` | `conformance` |
| 2 | `conformance` | `core` | |
| – | `examples/` | `core` | |
";

fn package(name: &str, folder: &str, edges: &[(&str, bool)]) -> Package {
    let edge = |(name, in_tests_only): &(&str, bool)| Dependency {
        name: (*name).to_owned(),
        requirement: String::new(),
        in_tests_only: *in_tests_only,
    };
    Package {
        name: name.to_owned(),
        folder: Some(folder.to_owned()),
        dependencies: edges.iter().map(edge).collect(),
        ..Package::default()
    }
}

fn found(packages: Vec<Package>) -> Vec<String> {
    let mut house = House::of(&[(TABLE, MAP)]);
    house.packages = packages;
    house
        .packages
        .push(package("core", "crates/core", &[("serde", false)]));
    house.packages.push(package(
        "conformance",
        "crates/conformance",
        &[("core", false)],
    ));
    Findings::of(check, &house)
}

#[test]
fn edges_of_the_table_pass() {
    let engine = package(
        "engine-a",
        "crates/engine-a",
        &[("core", false), ("conformance", true)],
    );
    let example = package("hello", "examples/01-hello", &[("core", false)]);
    assert_eq!(found(vec![engine, example]), [""; 0]);
}

#[test]
fn a_new_edge_fails() {
    let engine = package("engine-a", "crates/engine-a", &[("engine-b", false)]);
    let other = package("engine-b", "crates/engine-b", &[]);
    let problems = found(vec![engine, other]);
    assert!(
        problems[0].contains("`engine-a` imports `engine-b`"),
        "{problems:?}"
    );
}

#[test]
fn a_test_edge_is_no_edge_of_the_library() {
    let engine = package("engine-a", "crates/engine-a", &[("conformance", false)]);
    assert_eq!(found(vec![engine]).len(), 1);
}

#[test]
fn a_crate_without_a_row_fails() {
    let problems = found(vec![package("stranger", "crates/stranger", &[])]);
    assert!(problems[0].contains("no row"), "{problems:?}");
}

#[test]
fn a_row_without_a_crate_fails() {
    let house = House::of(&[(TABLE, MAP)]);
    let problems = Findings::of(check, &house);
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("does not exist")),
        "{problems:?}"
    );
}
