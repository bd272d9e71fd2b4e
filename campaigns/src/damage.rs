//! `damage`: bytes of a log at rest are changed (A5, A6).
//!
//! The matrix over frames is that of `hence-log`, spread over all processors: after each change
//! everything is there, or opening or reading says where the damage is and `salvage` returns the
//! rest. The same is then asked of a log that the engine wrote, with its subscriptions.

mod engine;

use std::ops::Range;
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};
use hence_log::sim::damage::{Specimen, Tally, roles, sectors};

use crate::Extent;
use crate::report::{Report, Row};

/// Of how many truncations and of how many flips one is tried, in the short form.
const SAMPLE: (u64, u64) = (83, 419);
/// The same of beginnings of stale frames, which are counted in bits as everything here.
const STALE_SAMPLE: (u64, u64) = (8 * 31, 8);
/// Of how many damages to the log of the engine one is tried, in the short and the long form.
const ENGINE_SAMPLE: (u64, u64) = (1999, 29);
/// Where frames lie in a segment at the earliest.
const HEADER_BYTES: usize = 512;
/// Zero bytes that end the frames of a segment.
const END_BYTES: usize = 8;

/// Runs the campaign.
pub(crate) fn run(extent: Extent) -> Result<bool> {
    let begin = Instant::now();
    let mut report = Report::new("damage", extent);
    let (cut, flip) = if extent.short { SAMPLE } else { (1, 1) };
    let stale_step = if extent.short {
        STALE_SAMPLE.0
    } else {
        STALE_SAMPLE.1
    };
    report.setting("log", "four segments of 16 KiB, closed");
    report.setting("one of so many truncations", cut);
    report.setting("one of so many flipped bits", flip);
    let rows = [
        ("truncated", spread(cut, extent.seed, truncate)),
        ("a bit flipped", spread(flip, extent.seed, flip_bit)),
        (
            "the role of a frame changed",
            roles().map_err(|text| anyhow!(text)),
        ),
        (
            "a sector zeroed, doubled, swapped",
            sectors().map_err(|text| anyhow!(text)),
        ),
        ("stale frames behind the tail", spread(stale_step, 0, stale)),
    ];
    for (case, result) in rows {
        add(&mut report, case, result);
    }
    let sample = if extent.short {
        ENGINE_SAMPLE.0
    } else {
        ENGINE_SAMPLE.1
    };
    report.setting("one of so many bits and bytes of the engine's log", sample);
    // On a log that lets damage pass the engine may do anything.
    if report.problems.is_empty() {
        let (flips, cuts) = (engine::flips(sample), engine::truncations(sample));
        add(&mut report, "the engine's log: a bit flipped", flips);
        add(&mut report, "the engine's log: truncated", cuts);
    }
    report.seconds = begin.elapsed().as_secs_f64();
    report.finish()
}

fn add(report: &mut Report, case: &str, result: Result<Tally>) {
    let mut row = Row {
        case: case.to_owned(),
        ..Row::default()
    };
    match result {
        Ok(Tally {
            cases,
            refused,
            harmless,
        }) => {
            (row.runs, row.fired, row.passed) = (cases, cases, cases);
            row.note = format!("{refused} refused with their place, {harmless} harmless");
            // Stale bytes must be harmless; all other damage must be able to hurt.
            let expected = if case.starts_with("stale") {
                harmless
            } else {
                refused
            };
            row.invalid = u64::from(expected == 0);
        }
        Err(error) => {
            (row.runs, row.fired, row.failed) = (1, 1, 1);
            report.problem(format!("{case}: {error:#}"));
        }
    }
    report.rows.push(row);
}

type Damage = fn(&Specimen, &str, u64, &mut Tally) -> Result<(), String>;

/// Tries every `step`th case of every file, one share on each processor.
fn spread(step: u64, seed: u64, damage: Damage) -> Result<Tally> {
    let workers = thread::available_parallelism().map_or(1, usize::from) as u64;
    let work = |worker: u64| move || share(step, seed, (worker, workers), damage);
    let tallies = thread::scope(|scope| {
        let running: Vec<_> = (0..workers)
            .map(|worker| scope.spawn(work(worker)))
            .collect();
        let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
        ended.collect::<Vec<_>>()
    });
    let mut sum = Tally::default();
    for tally in tallies {
        let tally = tally
            .map_err(|_| anyhow!("the log panicked"))?
            .map_err(|text| anyhow!(text))?;
        sum.cases += tally.cases;
        sum.refused += tally.refused;
        sum.harmless += tally.harmless;
    }
    Ok(sum)
}

fn share(step: u64, seed: u64, share: (u64, u64), damage: Damage) -> Result<Tally, String> {
    let specimen = Specimen::new().map_err(|error| error.to_string())?;
    let (worker, workers) = share;
    let mut tally = Tally::default();
    for file in specimen.files() {
        let cases: Range<u64> = 0..specimen.length(&file) * 8;
        let first = seed % step + worker * step;
        for at in cases
            .skip(first as usize)
            .step_by((step * workers) as usize)
        {
            damage(&specimen, &file, at, &mut tally)?;
        }
    }
    Ok(tally)
}

fn flip_bit(specimen: &Specimen, file: &str, bit: u64, tally: &mut Tally) -> Result<(), String> {
    let flip = |bytes: &mut Vec<u8>| {
        if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
            *byte ^= 1 << (bit % 8);
        }
    };
    let tried = specimen.try_out(file, 1, flip, tally);
    tried.map_err(|text| format!("bit {} of byte {}: {text}", bit % 8, bit / 8))
}

/// The cases are counted in bits; there are as many truncations as bytes.
fn truncate(specimen: &Specimen, file: &str, at: u64, tally: &mut Tally) -> Result<(), String> {
    if at >= specimen.length(file) {
        return Ok(());
    }
    // Behind a truncation everything in the file may be gone.
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(at as usize);
    let tried = specimen.try_out(file, usize::MAX, cut, tally);
    tried.map_err(|text| format!("truncated at {at}: {text}"))
}

/// Puts frames of an earlier generation behind the end of the last segment, each time from
/// another byte on, as a recycled file has them. They must stay dead.
fn stale(specimen: &Specimen, file: &str, at: u64, tally: &mut Tally) -> Result<(), String> {
    let files = specimen.files();
    let mut segments = files.iter().filter(|name| name.starts_with("segment-"));
    let (first, last) = (segments.next(), segments.next_back());
    if last.is_none_or(|last| last != file) || !at.is_multiple_of(8) {
        return Ok(());
    }
    let mut old = Vec::new();
    let mut unused = Tally::default();
    specimen.try_out(
        first.map_or("", |name| name),
        0,
        |bytes| old.clone_from(bytes),
        &mut unused,
    )?;
    let at = at as usize / 8;
    let mut fits = false;
    let put = |bytes: &mut Vec<u8>| {
        let used = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        fits = at >= used.max(HEADER_BYTES) + END_BYTES && at < bytes.len();
        if fits {
            for (to, from) in bytes.iter_mut().zip(&old).skip(at) {
                *to = *from;
            }
        }
    };
    let mut one = Tally::default();
    let tried = specimen.try_out(file, 0, put, &mut one);
    tried.map_err(|text| format!("stale frames from {at}: {text}"))?;
    if !fits {
        return Ok(());
    }
    if one.harmless == 0 {
        return Err(format!("stale frames from {at} were not ignored"));
    }
    tally.cases += 1;
    tally.harmless += 1;
    Ok(())
}
