//! `sim`: the whole engine on a simulated disk, from one seed.
//!
//! A script of publishing, handling, retrying, rejecting, redriving and restarting runs against the
//! engine, one commit at a time, so that the seed decides everything. The disk of some lives is
//! calm, that of others loses power or fails at a call that the seed names. A model that is too
//! simple to be wrong says what must be there, what may be there, and what is delivered.

mod model;
pub(crate) mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};
use hence_log::sim::Dice;

use crate::Extent;
use crate::report::{Report, Row};
use world::{LIVES, SEGMENT_BYTES, World};

/// Seeds of the short and the long form.
const SEEDS: (u64, u64) = (400, 100_000);
/// The share of seeds, in percent, whose crashes must take unsynced sectors.
const LOSSY_PERCENT: u64 = 20;

/// What the runs of one worker showed.
#[derive(Default)]
struct Tally {
    runs: u64,
    fired: u64,
    lossy: u64,
    failed: u64,
    problems: Vec<String>,
}

/// Runs the campaign.
pub(crate) fn run(extent: Extent) -> Result<bool> {
    let begin = Instant::now();
    let seeds = extent.count(SEEDS.0, SEEDS.1);
    let mut report = Report::new("sim", extent);
    report.setting("lives of one log", LIVES);
    report.setting("segment bytes", SEGMENT_BYTES);
    let next = AtomicU64::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let tallies = thread::scope(|scope| {
        let work = || work(&next, extent.seed, seeds);
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        running
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect::<Vec<_>>()
    });
    let mut row = Row {
        case: "seeds".to_owned(),
        ..Row::default()
    };
    let mut lossy = 0;
    for tally in tallies {
        let tally = tally.map_err(|_| anyhow!("a worker panicked"))??;
        row.runs += tally.runs;
        row.fired += tally.fired;
        row.failed += tally.failed;
        lossy += tally.lossy;
        tally
            .problems
            .into_iter()
            .for_each(|problem| report.problem(problem));
    }
    row.passed = row.runs - row.failed;
    row.note = format!("{} faults, {lossy} runs lost unsynced sectors", row.fired);
    if lossy * 100 < seeds * LOSSY_PERCENT || row.fired == 0 {
        (row.passed, row.invalid) = (0, row.runs);
    }
    report.rows.push(row);
    report.seconds = begin.elapsed().as_secs_f64();
    report.finish()
}

fn work(next: &AtomicU64, first: u64, seeds: u64) -> Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let mut tally = Tally::default();
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= seeds {
            return Ok(tally);
        }
        let seed = first.wrapping_add(at);
        let mut world = World::new(Dice::new(seed));
        let ended = runtime.block_on(world.run());
        tally.runs += 1;
        tally.fired += world.fired;
        tally.lossy += u64::from(world.storage.lost_sectors() > 0);
        if let Err(error) = ended {
            tally.failed += 1;
            tally.problems.push(format!("seed {seed}: {error:#}"));
        }
    }
}
