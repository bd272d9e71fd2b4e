//! The simulator against Ciw, an independent simulator in Python.
//!
//! Runs when a Python can import `ciw`: the one named by `HENCE_PYTHON`, that of the workshop's
//! virtual environment under the target directory, or `python3`. Elsewhere the test says loudly
//! that it did not run; in CI a missing oracle is a failure.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use hence_planner::histogram::{Bin, Hist};
use hence_planner::model::{Branch, Discipline, Model, Source, Station, all_to};
use hence_planner::service::Dist;

use crate::scenario::{exp, pair, poisson, run, single};
use crate::table::Table;

/// A Python that can import a package; what is not covered without it is said.
pub(crate) fn python_with(package: &str, covered: &str) -> Option<String> {
    let workshop = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("venv/bin/python");
    let python = match std::env::var("HENCE_PYTHON") {
        Ok(named) => named,
        Err(_) if workshop.exists() => workshop.display().to_string(),
        Err(_) => "python3".to_owned(),
    };
    let import = format!("import {package}");
    let found = Command::new(&python).args(["-c", &import]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "in CI {covered} must run: {python} cannot import {package}"
    );
    // Past the capture of the test harness: a gap must be seen.
    let line = format!(
        "NOT COVERED: {covered} ({python} cannot import {package}; `cargo xtask test --only interop` \
         installs it)"
    );
    writeln!(std::io::stderr(), "{line}").expect("standard error is open");
    None
}

fn oracle() -> Option<serde_json::Value> {
    let python = python_with("ciw", "the simulator against Ciw")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/against_ciw.py");
    let output = Command::new(&python)
        .arg(script)
        .output()
        .expect("the script starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the oracle failed: {errors}");
    Some(serde_json::from_slice(&output.stdout).expect("the oracle prints JSON"))
}

#[test]
fn ciw_agrees() {
    let Some(oracle) = oracle() else { return };
    let mmc = run(&single(poisson(3.2), 4, exp(1.0)), 10, 50_000.0);
    let h2 = run(
        &single(poisson(2.4), 4, Dist::balanced_h2(1.0, 4.0)),
        10,
        50_000.0,
    );
    let priority = run(&priorities(), 10, 50_000.0);
    let mut bounded = single(poisson(1.2), 1, Dist::Det { mean: 1.0 });
    bounded.stations[0].capacity = Some(5);
    let bounded = run(&bounded, 10, 50_000.0);
    let ours = |name: &str| match name {
        "M/M/4 wait" => mmc.stations[0].wait.mean,
        "M/M/4 p95" => mmc.stations[0].response.p95,
        "M/H2/4 wait" => h2.stations[0].wait.mean,
        "priority urgent wait" => priority.stations[0].classes[0].wait.mean,
        "priority calm wait" => priority.stations[0].classes[1].wait.mean,
        "feedback journey" => run(&feedback(), 10, 50_000.0).sources[0].response.mean,
        "M/D/1/5 wait" => bounded.stations[0].wait.mean,
        other => panic!("the oracle knows {other:?}, the test does not"),
    };
    let rows = oracle["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 7, "every model is compared");
    let mut t = Table::default();
    for row in rows {
        let name = row["name"].as_str().expect("a name");
        let number = |key: &str| row[key].as_f64().expect("a number");
        t.simulated(name, pair(ours(name)), number("mean"), number("se"));
    }
}

fn priorities() -> Model {
    let mut model = single(poisson(0.3), 1, exp(1.0));
    model.stations[0].discipline = Discipline::Priority;
    let mut calm = Source::new("calm", poisson(0.4), "q");
    calm.class = 1;
    model.sources.push(calm);
    model
}

fn feedback() -> Model {
    // Uniform on (0.2, 0.8): narrow bins of equal weight.
    let bin = |i: u32| Bin {
        lo: 0.2 + 0.001 * f64::from(i),
        hi: 0.201 + 0.001 * f64::from(i),
        count: 1,
    };
    let uniform = Dist::Empirical(Hist {
        bins: (0..600).map(bin).collect(),
    });
    let mut first = Station::new("1", 1, uniform);
    first.emits = vec![all_to("2")];
    let mut second = Station::new("2", 1, exp(0.4));
    second.emits = vec![vec![Branch {
        to: "1".into(),
        p: 0.3,
    }]];
    Model {
        stations: vec![first, second],
        sources: vec![Source::new("s", poisson(1.0), "1")],
    }
}
