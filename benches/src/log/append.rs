//! Rows 1, 2 and 8: the log without an engine, beside raw writes of the same number of bytes in
//! each sync into the same kind of file; and the bytes that it takes for them.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use hence_log::{Level, Log, Op, Options, Writer};

use super::Sizes;
use super::disk::{FILE_BYTES, Kind, Raw, place};
use crate::report::Row;

/// Bytes of one event.
pub(crate) const EVENT: usize = 256;
/// Events that each publisher has under way.
const WINDOW: usize = 256;
const PUBLISHERS: usize = 4;
/// Events that are stored to see what room they take.
const AMPLIFIED: usize = 64_000;
/// Events of one round, at most: so many that they stay in one file of the kind.
const EVENTS_MAX: usize = 160_000;

pub(crate) fn rows(sizes: &Sizes) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for kind in [Kind::Growing, Kind::Recycled] {
        for (batch, goal) in [(1, 0.95), (64, 0.90), (1_024, 0.90)] {
            let ours = |dir: &Path| fixed(dir, kind, sizes.time, batch);
            let name = format!("log alone, {batch} in one sync, {}", kind.name());
            rows.push(beside(sizes, kind, &name, goal, ours)?.0);
        }
        let ours = |dir: &Path| published(dir, kind, sizes.time);
        let name = format!("log alone, {PUBLISHERS} publishers, {}", kind.name());
        let (row, group) = beside(sizes, kind, &name, 0.90, ours)?;
        rows.extend([row, Row::plain("  events in one sync", group, "events")]);
    }
    rows.push(amplification()?);
    Ok(rows)
}

/// One round of ours: the rate, and the events in each sync.
struct Ours {
    rate: f64,
    batches: Vec<usize>,
}

fn beside(
    sizes: &Sizes,
    kind: Kind,
    name: &str,
    goal: f64,
    ours: impl Fn(&Path) -> anyhow::Result<Ours>,
) -> anyhow::Result<(Row, f64)> {
    let (mut rounds, mut syncs, mut events) = (Vec::new(), 0, 0);
    for _ in 0..sizes.rounds {
        let dir = place()?;
        let mut raw = Raw::new(dir.path(), kind)?;
        let Ours { rate, batches } = ours(dir.path())?;
        let count: usize = batches.iter().sum();
        let began = Instant::now();
        for batch in &batches {
            raw.batch(batch * EVENT)?;
        }
        rounds.push((rate, count as f64 / began.elapsed().as_secs_f64()));
        syncs += batches.len();
        events += count;
    }
    let row = Row::beside(name, "events/s", "pwrite+fdatasync", &rounds).goal(goal);
    Ok((row, events as f64 / syncs.max(1) as f64))
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

/// Publishers with a window each, and groups of whatever waits.
fn published(dir: &Path, kind: Kind, time: Duration) -> anyhow::Result<Ours> {
    let (mut writer, _log) = open(dir, kind)?;
    let (sender, queue) = sync_channel::<(usize, [u8; EVENT])>(PUBLISHERS * WINDOW);
    let done: Arc<[AtomicUsize; PUBLISHERS]> = Arc::default();
    let began = Instant::now();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|who| {
            let (sender, done) = (sender.clone(), Arc::clone(&done));
            std::thread::spawn(move || {
                let done = done.get(who);
                let stored = || done.map_or(0, |done| done.load(Ordering::Acquire));
                let mut sent = 0;
                while began.elapsed() < time && sent < EVENTS_MAX / PUBLISHERS {
                    while sent - stored() >= WINDOW {
                        std::thread::park();
                    }
                    if sender.send((who, [b'x'; EVENT])).is_err() {
                        return;
                    }
                    sent += 1;
                }
            })
        })
        .collect();
    drop(sender);
    let mut batches = Vec::new();
    while let Ok(first) = queue.recv() {
        let mut counts = [0; PUBLISHERS];
        let mut next = Some(first);
        let mut batch = 0;
        while let Some((who, event)) = next {
            writer.stage(0, [Op::append(0, &event)])?;
            batch += 1;
            if let Some(count) = counts.get_mut(who) {
                *count += 1;
            }
            next = if writer.is_full() {
                None
            } else {
                queue.try_recv().ok()
            };
        }
        writer.commit(Level::Synced)?;
        batches.push(batch);
        for ((done, count), publisher) in done.iter().zip(counts).zip(&publishers) {
            if count > 0 {
                done.fetch_add(count, Ordering::Release);
                publisher.thread().unpark();
            }
        }
    }
    let count: usize = batches.iter().sum();
    let rate = count as f64 / began.elapsed().as_secs_f64();
    Ok(Ours { rate, batches })
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
