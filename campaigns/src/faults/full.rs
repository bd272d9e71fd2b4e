//! A disk that is full (A9): publishers are held back with a code, consumers go on, and so does
//! everybody once there is room, without a restart.

use std::fs;
use std::io::Write as _;

use anyhow::Result;

use super::{END_MAX, FULL, check_restart};
use crate::line::Line;
use crate::oracle::Oracle;
use crate::place::Place;
use crate::powercut::{Image, missing};
use crate::process::{Process, Start, myself};
use crate::report::{Report, Row};
use crate::subject::DRAINED;

/// Bytes of the disk, and of what fills most of it beforehand.
const IMAGE_BYTES: u64 = 48 << 20;
const BALLAST_BYTES: usize = 24 << 20;
/// Bytes of a segment.
const SEGMENT_BYTES: u32 = 1 << 20;
/// Events that are stored after the disk had room again.
const AFTER: u64 = 40;

pub(super) fn run(report: &mut Report) -> Result<()> {
    if let Some(reason) = missing()? {
        report.not_covered.push(format!("a full disk: {reason}"));
        return Ok(());
    }
    let place = Place::in_memory()?;
    let image = Image::new(&place, IMAGE_BYTES)?;
    let (ballast, dir) = (image.path("ballast"), image.path("log"));
    fs::File::create(&ballast)?.write_all(&vec![1; BALLAST_BYTES])?;
    let start = Start {
        mode: "fill",
        life: 1,
        seed: 1,
        from: 1,
        segment: SEGMENT_BYTES,
        events: AFTER,
        written: false,
    };
    let mut subject = Process::start(myself()?.args(start.arguments(&dir)), &place.path("ledger"))?;
    let refusal = |line: &Line| matches!(line, Line::Refused { .. });
    let mut lines = subject.until(refusal)?;
    let noted = |line: &Line| {
        *line
            == Line::Note {
                text: DRAINED.to_owned(),
            }
    };
    lines.extend(subject.until(noted)?);
    fs::remove_file(&ballast)?;
    lines.extend(subject.until(|_| false)?);
    let status = subject.wait(END_MAX)?;

    let mut oracle = Oracle::default();
    lines.iter().for_each(|line| oracle.hear(line));
    check_restart(&dir, &place, &mut oracle)?;
    let fired = lines.iter().any(refusal);
    if !lines.iter().any(noted) {
        oracle
            .problems
            .push("handlers did not settle while the disk was full".to_owned());
    }
    if !lines.contains(&Line::Rest) || !status.success() {
        oracle
            .problems
            .push(format!("it did not go on: {}", subject.complaints()));
    }
    let wrong = |line: &&Line| matches!(line, Line::Refused { code, .. } if code != FULL);
    oracle.problems.extend(
        lines
            .iter()
            .find(wrong)
            .map(|line| format!("not {FULL}: {line:?}")),
    );
    report.rows.push(row(&lines, fired, &oracle));
    for problem in oracle.problems.into_iter().take(5) {
        report.problem(format!("a full disk: {problem}"));
    }
    Ok(())
}

fn row(lines: &[Line], fired: bool, oracle: &Oracle) -> Row {
    let refused = lines
        .iter()
        .filter(|line| matches!(line, Line::Refused { .. }))
        .count();
    let well = oracle.problems.is_empty();
    Row {
        case: "a full disk, then room".to_owned(),
        runs: 1,
        fired: u64::from(fired),
        passed: u64::from(fired && well),
        failed: u64::from(!well),
        invalid: u64::from(!fired && well),
        lost: oracle.count.lost,
        duplicated: oracle.count.duplicated,
        disorder: oracle.count.disorder,
        note: format!(
            "{} refused with {FULL}, {} acknowledged",
            refused,
            oracle.acknowledged()
        ),
    }
}
