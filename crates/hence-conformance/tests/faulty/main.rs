//! The suite itself under test: a correct engine passes all of it, and each fault is caught.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod engine;
mod fault;
mod reference;
mod state;

use std::collections::BTreeSet;
use std::time::Duration;

use engine::Workshop;
use fault::{Fault, MORE};
use hence_conformance::{Case, PATIENCE, Verdict, suite};

/// How long the suite waits for a faulty engine, which may never answer.
const SHORT: Duration = Duration::from_millis(500);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap()
}

fn case(name: &str) -> Case {
    let case = suite().into_iter().find(|case| case.name == name);
    case.unwrap_or_else(|| panic!("there is no case '{name}'"))
}

mod correct {
    hence_conformance::tests!(super::Workshop::new(super::Fault::None, super::PATIENCE));

    #[test]
    fn every_case_has_a_test() {
        let wanted: Vec<_> = super::suite().iter().map(|case| case.name).collect();
        assert_eq!(CASES, wanted, "the list in `tests!` is not the suite");
    }
}

#[test]
fn names_of_guarantees_come_first() {
    let names: BTreeSet<_> = suite().iter().map(|case| case.name).collect();
    assert_eq!(names.len(), suite().len(), "two cases of one name");
    for case in suite() {
        let number = case
            .name
            .split_once('_')
            .and_then(|(first, _)| first.strip_prefix('g'));
        let number = number.and_then(|digits| digits.parse::<u32>().ok());
        let named = number.map(|number| format!("G{number}"));
        let fits = named.is_none_or(|named| case.guarantees.first() == Some(&named.as_str()));
        assert!(fits, "'{}' stands for {:?}", case.name, case.guarantees);
    }
}

#[test]
fn a_correct_engine_covers_every_case() {
    let workshop = Workshop::new(Fault::None, PATIENCE);
    let report = runtime().block_on(hence_conformance::run(&workshop));
    let tally = report.tally();
    assert_eq!(tally.passed, suite().len(), "{report}");
}

/// Tries each case on the fault that it must catch.
fn are_caught(faults: &[(Fault, &str)]) {
    let runtime = runtime();
    let mut missed = Vec::new();
    for (fault, name) in faults {
        let workshop = Workshop::new(*fault, SHORT);
        let verdict = runtime.block_on(case(name).run(&workshop));
        if !matches!(verdict, Verdict::Failed(_)) {
            missed.push(format!("{fault:?} by {name}: {verdict}"));
        }
    }
    assert!(missed.is_empty(), "not caught:\n{}", missed.join("\n"));
}

#[test]
fn every_fault_is_caught() {
    are_caught(Fault::ALL);
}

#[test]
fn every_case_catches_a_fault() {
    are_caught(MORE);
    let broken = Fault::ALL.iter().chain(MORE).map(|(_, name)| *name);
    let broken: BTreeSet<_> = broken.collect();
    let vacuous: Vec<_> = suite().iter().map(|case| case.name).collect();
    let vacuous: Vec<_> = vacuous
        .iter()
        .filter(|name| !broken.contains(*name))
        .collect();
    assert!(vacuous.is_empty(), "no fault breaks {vacuous:?}");
}
