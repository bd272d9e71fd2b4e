//! What counts as a cut that proves something.

use std::process::Command;
use std::time::Duration;

use super::bare::{Found, look};
use super::{Way, bare_row, blind_way, log_row};
use crate::Extent;
use crate::line::Line;
use crate::process::Process;
use crate::report::{Report, Row};

#[test]
fn a_subject_that_has_ended_is_not_alive() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = folder.path().join("ledger");
    let mut sleeps = Process::start(Command::new("sleep").arg("600"), &ledger).expect("a sleep");
    assert!(sleeps.is_alive().expect("it is a child"));
    sleeps.kill().expect("it is a child");
    assert!(!sleeps.is_alive().expect("it is a child"));
    let mut ends = Process::start(&mut Command::new("true"), &ledger).expect("a program");
    ends.wait(Duration::from_secs(60)).expect("it ends");
    assert!(!ends.is_alive().expect("it is a child"));
}

#[test]
fn cuts_to_what_had_ended_or_synced_nothing_prove_nothing() {
    let counted = |struck, kept, lost| {
        let found = Found {
            kept,
            lost,
            ..Found::default()
        };
        let row = bare_row(Way::Disk, 10, struck, &found);
        (row.fired, row.passed, row.failed, row.invalid)
    };
    assert_eq!(counted(10, 7, 0), (10, 10, 0, 0));
    assert_eq!(counted(8, 7, 0), (8, 8, 0, 2));
    assert_eq!(counted(10, 7, 1), (10, 0, 10, 0));
    assert_eq!(counted(10, 0, 0), (10, 0, 0, 10));
}

#[test]
fn a_file_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = [Line::Ack {
        id: "1.0.0".to_owned(),
        position: 0,
        synced: true,
        duplicate: false,
        at: 1,
    }];
    let mut found = Found::default();
    let error = look(folder.path(), &told, None, &mut found).expect_err("there is no file");
    assert!(error.to_string().contains("bare-0"), "{error}");
    look(folder.path(), &[], None, &mut found).expect("nothing was promised");
    assert_eq!((found.kept, found.lost), (0, 0));
}

#[test]
fn no_cut_is_counted_twice() {
    let row = |lossy, failed| {
        let row = Row {
            runs: 10,
            fired: 9,
            passed: 9 - failed,
            failed,
            invalid: 1,
            ..Row::default()
        };
        let row = log_row(row, lossy);
        (row.passed, row.failed, row.invalid)
    };
    assert_eq!(row(2, 1), (8, 1, 1));
    assert_eq!(row(1, 1), (0, 1, 9));
    assert_eq!(row(2, 9), (0, 9, 1));
    assert_eq!(row(1, 0), (0, 0, 10));
}

#[test]
fn a_way_that_finds_nothing_is_named() {
    let extent = Extent {
        short: true,
        count: None,
        seed: 1,
    };
    let found = |disk, shutdown| {
        let mut report = Report::new("powercut", extent);
        for (way, failed) in Way::ALL.into_iter().zip([disk, shutdown]) {
            report.rows.push(Row {
                case: way.as_str().to_owned(),
                failed,
                ..Row::default()
            });
        }
        blind_way(&report)
    };
    assert_eq!(found(2, 1), None);
    assert_eq!(found(0, 1), Some(Way::Disk.as_str()));
    assert_eq!(found(1, 0), Some(Way::Shutdown.as_str()));
}
