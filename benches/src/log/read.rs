//! Row 5: reading the whole log beside reading its files, both from the disk; and from memory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::ensure;
use hence_log::{Level, Log, Op, Options};

use super::Sizes;
use super::append::EVENT;
use super::disk::place;
use crate::report::Row;

/// Events in one sync.
const BATCH: usize = 1_024;
/// Bytes read at once by the raw reader.
const READ_BYTES: usize = 256 << 10;
/// What reading from memory should reach, in events each second.
const HOT_GOAL: f64 = 3_000_000.0;

pub(crate) fn rows(sizes: &Sizes) -> anyhow::Result<Vec<Row>> {
    let dir = place()?;
    let path = dir.path().join("log");
    fill(&path, sizes.read)?;
    let files = segments(&path)?;
    let (mut cold, mut hot) = (Vec::new(), Vec::new());
    for _ in 0..sizes.rounds {
        forget(&files)?;
        let began = Instant::now();
        let bytes = raw(&files)?;
        let raw = bytes as f64 / began.elapsed().as_secs_f64();
        forget(&files)?;
        let (writer, log, recovered) = Log::open(&path, Options::default())?;
        drop((writer, recovered));
        // Opening reads the last segment.
        forget(&files)?;
        let began = Instant::now();
        let count = read(&log)?;
        ensure!(count == sizes.read, "{count} events were read");
        cold.push((
            bytes as f64 / began.elapsed().as_secs_f64() / 1e6,
            raw / 1e6,
        ));
        hot.push(from_memory()?);
    }
    let hot = Row::plain(
        "log alone, read from memory",
        crate::report::median(hot.into_iter()),
        "events/s",
    );
    Ok(vec![
        Row::beside("log alone, read from the disk", "MB/s", "pread", &cold).goal(0.8),
        hot.reach(HOT_GOAL),
    ])
}

fn fill(path: &Path, events: usize) -> anyhow::Result<()> {
    let (mut writer, _log, _) = Log::open(path, Options::default())?;
    let event = [b'x'; EVENT];
    for number in 1..=events {
        writer.stage(0, [Op::append(0, &event)])?;
        if number % BATCH == 0 || number == events {
            writer.commit(Level::Written)?;
        }
    }
    writer.close()?;
    Ok(())
}

/// The files of the log, oldest first, and where the written part of each ends.
fn segments(path: &Path) -> anyhow::Result<Vec<(PathBuf, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with("segment-")) {
            let bytes = fs::read(&path)?;
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
            files.push((path, end as u64));
        }
    }
    files.sort();
    Ok(files)
}

/// Drops what the operating system holds of the files in memory.
fn forget(files: &[(PathBuf, u64)]) -> anyhow::Result<()> {
    for (path, _) in files {
        let file = File::open(path)?;
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

fn raw(files: &[(PathBuf, u64)]) -> anyhow::Result<u64> {
    let mut buffer = vec![0; READ_BYTES];
    let mut bytes = 0;
    for (path, end) in files {
        let file = File::open(path)?;
        let mut at = 0;
        while at < *end {
            let count = rustix::io::pread(&file, &mut buffer, at)? as u64;
            ensure!(count > 0, "a file became shorter");
            at += count;
        }
        bytes += end;
    }
    Ok(bytes)
}

fn read(log: &Log) -> anyhow::Result<usize> {
    let mut reader = log.reader(0);
    let mut count = 0;
    while let Some(record) = reader.next_record()? {
        count += usize::from(record.body.len() == EVENT);
    }
    Ok(count)
}

/// Reads what was written last, over and over; in events each second.
fn from_memory() -> anyhow::Result<f64> {
    let dir = place()?;
    let (mut writer, log, _) = Log::open(dir.path(), Options::default())?;
    let event = [b'x'; EVENT];
    // So few that all of them are in memory.
    let (batches, times) = (8, 80);
    for _ in 0..batches {
        for _ in 0..BATCH {
            writer.stage(0, [Op::append(0, &event)])?;
        }
        writer.commit(Level::Written)?;
    }
    let began = Instant::now();
    for _ in 0..times {
        ensure!(read(&log)? == batches * BATCH, "not all was read");
    }
    Ok((times * batches * BATCH) as f64 / began.elapsed().as_secs_f64())
}
