//! The table of guarantees and engines in the documents, which a run writes.

use std::path::Path;
use std::sync::OnceLock;

use hence_conformance::{Harness, Report, Verdict};

use crate::harness::{Disk, Memory, PowerCut};

const PAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/concepts/engines.md"
);
const BEGIN: &str =
    "<!-- written by the tests: UPDATE=1 cargo test -p hence-engine-local table -->\n\n";
const END: &str = "\n<!-- until here -->\n";

fn run(harness: &dyn Harness) -> Report {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_time().build().unwrap();
    let report = runtime.block_on(hence_conformance::run(harness));
    assert!(report.holds(), "{report}");
    report
}

/// The run in which restarts cut the power, and the sectors that this took.
fn power_cut() -> &'static (Report, u64) {
    static RUN: OnceLock<(Report, u64)> = OnceLock::new();
    RUN.get_or_init(|| {
        let harness = PowerCut::default();
        (run(&harness), harness.lost_sectors())
    })
}

#[test]
fn g1_the_contract_holds_in_power_cuts() {
    let (report, lost) = power_cut();
    let not_covered = |(_, verdict): &&(_, _)| matches!(verdict, Verdict::NotCovered(_));
    let left: Vec<_> = report.results.iter().filter(not_covered).collect();
    let left: Vec<_> = left.iter().map(|(case, _)| case.name).collect();
    // A power cut takes what was only written; a kill, as in the other run, does not.
    assert_eq!(left, ["g1_written_survives_a_kill"]);
    assert!(
        *lost > 0,
        "no cut took a sector that was not synced: they could not have hurt"
    );
}

#[test]
fn the_table_in_the_documents_is_current() {
    let reports = [run(&Memory), run(&Disk::default()), power_cut().0.clone()];
    let table = hence_conformance::table(&reports);
    let page = std::fs::read_to_string(Path::new(PAGE)).unwrap();
    let (before, rest) = page
        .split_once(BEGIN)
        .expect("the page has a place for the table");
    let (_, after) = rest
        .split_once(END)
        .expect("the place for the table has an end");
    let current = format!("{before}{BEGIN}{table}{END}{after}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(Path::new(PAGE), &current).unwrap();
    }
    let page = std::fs::read_to_string(Path::new(PAGE)).unwrap();
    assert!(
        page == current,
        "the table is not current: run again with UPDATE=1"
    );
}
