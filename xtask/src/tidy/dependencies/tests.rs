use super::*;
use crate::house::Dependency;

const DENY: &str = "
[licenses]
allow = [\"MIT\", \"Apache-2.0\", \"Unicode-3.0\"]
[bans]
deny = [{ crate = \"ring\" }, { crate = \"chrono\", wrappers = [\"cel\"] }]
";

fn foreign(name: &str, licence: &str, edges: &[&str]) -> Package {
    let edge = |name: &&str| Dependency {
        name: (*name).to_owned(),
        requirement: "^1".to_owned(),
        in_tests_only: false,
    };
    Package {
        name: name.to_owned(),
        licence: Some(licence.to_owned()),
        source: Some(REGISTRY.to_owned()),
        dependencies: edges.iter().map(edge).collect(),
        ..Package::default()
    }
}

fn found(packages: Vec<Package>) -> Vec<String> {
    let mut house = House::of(&[(RULES, DENY)]);
    house.packages = packages;
    Findings::of(check, &house)
}

#[test]
fn allowed_crates_pass() {
    let cel = foreign("cel", "MIT", &["chrono"]);
    assert_eq!(found(vec![cel, foreign("chrono", "MIT", &[])]), [""; 0]);
}

#[test]
fn licence_expressions() {
    let allowed: BTreeSet<_> = ["MIT", "Apache-2.0", "Unicode-3.0"]
        .into_iter()
        .map(str::to_owned)
        .collect();
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
    ] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "Apache-2.0 WITH LLVM-exception",
        "",
        "(MIT",
    ] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}

#[test]
fn banned_crates_fail() {
    let problems = found(vec![
        foreign("tls", "MIT", &["ring"]),
        foreign("ring", "MIT", &[]),
    ]);
    assert!(
        problems[0].contains("`tls` brings in `ring`"),
        "{problems:?}"
    );
    let user = foreign("user", "MIT", &["chrono"]);
    assert_eq!(found(vec![user, foreign("chrono", "MIT", &[])]).len(), 1);
}

#[test]
fn other_sources_and_no_licence_fail() {
    let mut package = foreign("a", "MIT", &[]);
    package.source = Some("git+https://x.example/a".to_owned());
    assert_eq!(found(vec![package.clone()]).len(), 1);
    package.licence = None;
    assert_eq!(found(vec![package]).len(), 2);
}

#[test]
fn several_versions_are_noted() {
    let mut house = House::of(&[(RULES, DENY)]);
    house.packages = vec![foreign("syn", "MIT", &[]), foreign("syn", "MIT", &[])];
    house.packages[0].version = "2".to_owned();
    let mut findings = Findings::default();
    check(&house, &mut findings);
    assert_eq!(findings.notes.len(), 1);
}
