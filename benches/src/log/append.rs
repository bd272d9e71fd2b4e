//! Rows 1, 2 and 8: the log without an engine, beside raw writes of the same number of bytes in
//! each sync into the same kind of file; and the bytes that it takes for them.
//!
//! A file that is used again also stands beside one that grows, which is what a plain program
//! writes into.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use hence_log::{Level, Log, Op, Options, Writer};

use super::Sizes;
use super::disk::{FILE_BYTES, Kind, Raw, place};
use super::published;
use crate::report::Row;

/// Bytes of one event.
pub(crate) const EVENT: usize = 256;
/// Events that are stored to see what room they take.
const AMPLIFIED: usize = 64_000;
/// Events of one round, at most: so many that they stay in one file of the kind.
pub(crate) const EVENTS_MAX: usize = 160_000;

pub(crate) fn rows(sizes: &Sizes) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for kind in [Kind::Growing, Kind::Recycled] {
        for (batch, goal) in [(1, 0.95), (64, 0.90), (1_024, 0.90)] {
            let name = format!("log alone, {batch} in one sync, {}", kind.name());
            let mut rounds = Rounds::default();
            for _ in 0..sizes.rounds {
                let dir = place()?;
                let mut raw = Raw::new(dir.path(), kind)?;
                let ours = fixed(dir.path(), kind, sizes.time, batch)?;
                rounds.add(&ours, replay(&mut raw, &ours.batches)?, dir.path())?;
            }
            rows.push(rounds.row(&name).goal(goal));
            if kind == Kind::Recycled {
                rows.push(rounds.row_beside_growing());
            }
        }
        rows.extend(published::rows(sizes, kind)?);
    }
    rows.push(amplification()?);
    Ok(rows)
}

/// One round of ours: the rate, and the events in each sync.
pub(crate) struct Ours {
    pub(crate) rate: f64,
    pub(crate) batches: Vec<usize>,
}

/// Ours, and the same batches as plain writes: into a file of the same kind, and into one that
/// grows.
#[derive(Default)]
pub(crate) struct Rounds {
    same: Vec<(f64, f64)>,
    growing: Vec<(f64, f64)>,
    syncs: usize,
    events: usize,
}

impl Rounds {
    /// Adds a round that was measured, and repeats its batches in a file that grows.
    pub(crate) fn add(&mut self, ours: &Ours, same: f64, dir: &Path) -> anyhow::Result<()> {
        let growing = replay(&mut Raw::new(dir, Kind::Growing)?, &ours.batches)?;
        self.same.push((ours.rate, same));
        self.growing.push((ours.rate, growing));
        self.syncs += ours.batches.len();
        self.events += ours.batches.iter().sum::<usize>();
        Ok(())
    }

    pub(crate) fn row(&self, name: &str) -> Row {
        Row::beside(name, "events/s", "pwrite+fdatasync", &self.same)
    }

    pub(crate) fn row_beside_growing(&self) -> Row {
        let beside = "pwrite+fdatasync, growing file";
        Row::beside(
            "  beside a file that grows",
            "events/s",
            beside,
            &self.growing,
        )
    }

    pub(crate) fn events_in_one_sync(&self) -> Row {
        let group = self.events as f64 / self.syncs.max(1) as f64;
        Row::plain("  events in one sync", group, "events")
    }
}

/// Writes batches of events without a log; in events each second.
pub(crate) fn replay(raw: &mut Raw, batches: &[usize]) -> anyhow::Result<f64> {
    let count: usize = batches.iter().sum();
    let began = Instant::now();
    for batch in batches {
        raw.batch(batch * EVENT)?;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// A log whose segments are new, or whose next segment has all its blocks.
pub(crate) fn open(dir: &Path, kind: Kind) -> anyhow::Result<(Writer, Log)> {
    let (mut writer, log, _) = Log::open(dir.join("log"), Options::default())?;
    if kind == Kind::Recycled {
        let fill = vec![0; 1 << 20];
        while !log.is_half_full() {
            writer.stage(0, [Op::append(0, &fill)])?;
            writer.commit(Level::Written)?;
        }
        log.prepare_spare()?;
        // Up to the next segment, which is the prepared one.
        for _ in 0..FILE_BYTES / fill.len() / 2 {
            writer.stage(0, [Op::append(0, &fill)])?;
            writer.commit(Level::Written)?;
        }
        writer.commit(Level::Synced)?;
    }
    Ok((writer, log))
}

/// Groups of a fixed size, from one thread.
fn fixed(dir: &Path, kind: Kind, time: Duration, batch: usize) -> anyhow::Result<Ours> {
    let (mut writer, _log) = open(dir, kind)?;
    let event = [b'x'; EVENT];
    let mut groups = 0;
    let began = Instant::now();
    while began.elapsed() < time && groups * batch < EVENTS_MAX {
        for _ in 0..batch {
            writer.stage(0, [Op::append(0, &event)])?;
        }
        writer.commit(Level::Synced)?;
        groups += 1;
    }
    Ok(Ours {
        rate: (groups * batch) as f64 / began.elapsed().as_secs_f64(),
        batches: vec![batch; groups],
    })
}

/// Bytes of the log for each byte that was given to it, in groups of 64.
fn amplification() -> anyhow::Result<Row> {
    let dir = place()?;
    let (mut writer, _log) = open(dir.path(), Kind::Growing)?;
    let event = [b'x'; EVENT];
    let mut events = 0;
    while events < AMPLIFIED {
        for _ in 0..64 {
            writer.stage(0, [Op::append(0, &event)])?;
        }
        events += 64;
        writer.commit(Level::Synced)?;
    }
    let stored = allocated(&dir.path().join("log"))? as f64;
    let ratio = stored / (events * EVENT) as f64;
    Ok(Row::plain(
        "bytes on disk for each byte of 256 B events, 64 in one sync",
        ratio,
        "B/B",
    )
    .at_most(1.15))
}

/// Bytes of the blocks that the files of a directory have.
pub(crate) fn allocated(dir: &Path) -> anyhow::Result<u64> {
    let mut blocks = 0;
    for entry in std::fs::read_dir(dir)? {
        blocks += entry?.metadata()?.blocks();
    }
    Ok(blocks * 512)
}
