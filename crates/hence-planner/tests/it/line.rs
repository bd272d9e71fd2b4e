//! The simulator against LINE, solvers of other people in Python, and exported models in Ciw and
//! LINE.
//!
//! Runs when a Python can import the package; see `ciw.rs`.

use std::process::Command;

use hence_planner::arrivals::Arrivals;
use hence_planner::export::{to_ciw, to_line};
use hence_planner::model::{Branch, Keying, Model, Source, Station, all_to};
use hence_planner::service::Dist;

use crate::ciw::python_with;
use crate::scenario::{exp, pair, poisson, run, single};
use crate::table::Table;

fn printed(python: &str, script: &std::path::Path) -> String {
    let output = Command::new(python).arg(script).output();
    let output = output.expect("the script starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the oracle failed: {errors}");
    String::from_utf8(output.stdout).expect("the oracle prints text")
}

/// Ten a second into the first of three, some of which come back from the third.
fn jackson() -> Model {
    let mut stations = [16.0, 12.0, 15.0]
        .iter()
        .zip(["q0", "q1", "q2"])
        .map(|(mu, name)| Station::new(name, 1, exp(1.0 / mu)))
        .collect::<Vec<_>>();
    let to = |to: &str, p| Branch { to: to.into(), p };
    stations[0].emits = vec![vec![to("q1", 0.7), to("q2", 0.3)]];
    stations[1].emits = vec![all_to("q2")];
    stations[2].emits = vec![vec![to("q0", 0.05)]];
    Model {
        stations,
        sources: vec![Source::new("events", poisson(10.0), "q0")],
    }
}

#[test]
fn line_agrees() {
    let Some(python) = python_with("line_solver", "the simulator against LINE") else {
        return;
    };
    let script =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/against_line.py");
    let oracle: serde_json::Value = serde_json::from_str(&printed(&python, &script)).unwrap();
    let network = run(&jackson(), 20, 100_000.0);
    let mmpp = Arrivals::Mmpp2 {
        rate1: 30.0,
        rate2: 2.0,
        leave1: 1.0,
        leave2: 0.25,
    };
    let bursty = run(&single(mmpp, 1, exp(0.05)), 20, 200_000.0);
    let h2 = single(poisson(3.2), 4, Dist::balanced_h2(1.0, 4.0));
    let h2 = run(&h2, 20, 100_000.0);
    let ours = |name: &str| match name {
        "Jackson q0" => network.stations[0].response.mean,
        "Jackson q1" => network.stations[1].response.mean,
        "Jackson q2" => network.stations[2].response.mean,
        "MMPP/M/1" => bursty.stations[0].response.mean,
        "M/H2/4" => h2.stations[0].response.mean,
        other => panic!("the oracle knows {other:?}, the test does not"),
    };
    let rows = oracle["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 5, "every model is compared");
    let mut t = Table::default();
    for row in rows {
        let name = row["name"].as_str().expect("a name");
        t.simulated(
            name,
            pair(ours(name)),
            row["value"].as_f64().expect("a number"),
            0.0,
        );
    }
}

#[test]
fn an_exported_model_runs_in_line() {
    let Some(python) = python_with("line_solver", "exported models in LINE") else {
        return;
    };
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let script = folder.join("exported_line.py");
    std::fs::write(&script, to_line(&jackson()).unwrap()).unwrap();
    let table = printed(&python, &script);
    // The exact response of the second, 1/(12 - 10·0.7/0.95).
    let row = table.lines().find(|line| line.starts_with("q1"));
    let row = row.unwrap_or_else(|| panic!("no row of q1 in {table}"));
    let exact = 1.0 / (12.0 - 7.0 / 0.95);
    let found = row
        .split_whitespace()
        .filter_map(|cell| cell.parse::<f64>().ok());
    assert!(
        found
            .clone()
            .any(|value| (value / exact - 1.0).abs() < 1e-3),
        "{exact} is not in {row}"
    );
}

#[test]
fn an_exported_model_runs_in_ciw() {
    let Some(python) = python_with("ciw", "exported models in Ciw") else {
        return;
    };
    let script = to_ciw(&jackson())
        .unwrap()
        .replace("horizon = 10000.0", "horizon = 3000.0");
    assert!(script.contains("horizon = 3000.0"), "{script}");
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("exported_ciw.py");
    std::fs::write(&path, script).unwrap();
    let lines = printed(&python, &path);
    let row = lines.lines().find(|line| line.starts_with("q1")).unwrap();
    let response: f64 = row.split(' ').nth(2).unwrap().parse().unwrap();
    let exact = 1.0 / (12.0 - 7.0 / 0.95);
    assert!(
        (response / exact - 1.0).abs() < 0.1,
        "{response} against {exact}"
    );
}

#[test]
fn what_a_tool_cannot_express_is_refused_with_all_of_it() {
    let mut model = jackson();
    model.stations[0].keying = Keying::Turns;
    model.stations[1].emits.push(all_to("q0"));
    for missing in [to_ciw(&model).unwrap_err(), to_line(&model).unwrap_err()] {
        assert_eq!(missing, ["q0 has keys in order", "q1 has several copies"]);
    }
}
