//! The contract of a Hence engine as runnable tests, for whoever writes an engine.
//!
//! Implement [`Harness`] for your engine, then [`run`] the suite:
//!
//! ```
//! async fn keeps_the_contract(harness: &dyn hence_conformance::Harness) {
//!     let report = hence_conformance::run(harness).await;
//!     assert!(report.holds(), "{report}");
//! }
//! ```
//!
//! or let [`tests!`] make a test of each case, under the name of the guarantee that it shows.
//!
//! What an engine declares must hold, and what it does not declare it must refuse: an engine
//! without `synced` that takes a commit at `synced` fails. What could not be tried, because the
//! harness cannot break the storage, say, is reported as not covered and never as passed.
//!
//! The suite does not sleep. What must happen is awaited, up to [`Harness::patience`]; that
//! something does not happen is shown by an event behind it that arrives first. It prints nothing.
//! The suite itself is tested with engines that each have one fault.

mod case;
mod cases;
mod harness;
mod report;
mod world;

pub use case::{CASE_PATIENCES, Case, Need, Verdict, Violation};
pub use harness::{Backlog, Harness, Instance, PATIENCE};
pub use report::{Report, Tally, table};

/// Every case of the contract.
#[must_use]
pub fn suite() -> Vec<Case> {
    cases::all()
}

/// Tries every case, each on an engine of its own, one after the other.
///
/// It must be called within a tokio runtime that has time.
pub async fn run(harness: &dyn Harness) -> Report {
    let mut results = Vec::new();
    for case in suite() {
        results.push((case, case.run(harness).await));
    }
    Report {
        engine: harness.name().to_owned(),
        results,
    }
}

/// Tries one case on a runtime of its own, for the tests that [`tests!`] makes.
///
/// # Panics
/// When there is no such case, or the engine breaks it.
pub fn check(harness: &dyn Harness, name: &str) {
    let case = suite().into_iter().find(|case| case.name == name);
    let case = case.unwrap_or_else(|| panic!("there is no case '{name}'"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime starts where a test does");
    if let Verdict::Failed(violation) = runtime.block_on(case.run(harness)) {
        panic!("'{}' breaks the contract: {violation}", harness.name());
    }
}
