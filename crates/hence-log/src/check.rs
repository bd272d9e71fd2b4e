//! Looking at a log without opening it: is every frame intact, what can be read of a damaged one,
//! how large is it. Nothing here writes to the log, and nothing takes its lock: a torn tail of a
//! log that is being written is no damage.

use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

use crate::backup;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{self, Frame, HEAD_BYTES, Head, Role};
use crate::log::READ_AHEAD_BYTES;
use crate::recovery::{Scan, check_successor, each_head, look_ahead, scan};
use crate::segment::{HEADER_BYTES, Header, Segment, Step, Walk, file_name, generation_of};
use crate::snapshot;
use crate::storage::{DiskStorage, Storage};
use crate::tail::Marked;

/// Problems that a report lists, at most.
pub const PROBLEMS_MAX: usize = 1000;

/// One thing that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, relative to the log's directory.
    pub file: String,
    /// Where, in bytes.
    pub offset: u64,
    /// What.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.file, self.offset, self.what)
    }
}

/// What a log contains, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many segments there are.
    pub segments: usize,
    /// The bytes of all segment files.
    pub bytes: u64,
    /// How many intact commits were read.
    pub frames: u64,
    /// How many intact appends were read.
    pub records: u64,
    /// The bytes of the bodies of those appends.
    pub record_bytes: u64,
    /// The positions of the first and the last of those appends; 0 without any.
    pub positions: (u64, u64),
    /// The times of the first and the last commit, in microseconds since 1970.
    pub times: (u64, u64),
    /// How many snapshots are intact.
    pub snapshots: usize,
    /// Whether the log ends with the mark of an idle or closed log.
    pub clean: bool,
    /// Where the last segment ends with bytes that a crash cut short.
    pub torn: Option<(String, u64)>,
    /// What is wrong, in the order of the log.
    pub problems: Vec<Problem>,
}

impl Report {
    fn count(&mut self, found: &Frame) {
        self.frames += 1;
        self.times.1 = found.time;
        if self.frames == 1 {
            self.times.0 = found.time;
        }
        let mut position = found.position;
        frame::contents(&found.body, |op| {
            if op.kind == frame::APPEND {
                self.records += 1;
                self.record_bytes += (op.end - op.start) as u64;
                self.positions.1 = position;
                if self.records == 1 {
                    self.positions.0 = position;
                }
                position += 1;
            }
        });
    }

    fn add(&mut self, file: &str, offset: u64, what: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem {
                file: file.to_owned(),
                offset,
                what: what.into(),
            });
        }
    }

    fn add_error(&mut self, file: &str, error: &Error) {
        match error.kind() {
            ErrorKind::Corrupt { file, offset, what } => self.add(file, *offset, *what),
            _ => self.add(file, 0, error.to_string()),
        }
    }
}

pub(crate) fn names(storage: &dyn Storage) -> Result<Vec<String>> {
    let mut names = storage.list("").map_err(|e| Error::io("list", ".", e))?;
    names.sort_unstable();
    Ok(names)
}

/// A directory that is there, to be read: it may lie on something that cannot be written.
pub(crate) fn existing(dir: &Path) -> Result<DiskStorage> {
    if !dir.exists() {
        return Err(Error::new(ErrorKind::NotALog));
    }
    DiskStorage::existing(dir).map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory => Error::new(ErrorKind::NotADirectory),
        _ => Error::io("open", &dir.display().to_string(), error),
    })
}

/// A directory that is there and holds no backup.
pub(crate) fn at_rest(dir: &Path) -> Result<DiskStorage> {
    let storage = existing(dir)?;
    backup::refuse(&names(&storage)?)?;
    Ok(storage)
}

/// Verifies every frame of the log in a directory.
pub fn check(dir: impl AsRef<Path>) -> Result<Report> {
    check_on(&at_rest(dir.as_ref())?)
}

/// Verifies every frame of the log on a storage.
pub fn check_on(storage: &dyn Storage) -> Result<Report> {
    let names = names(storage)?;
    let segments: Vec<&String> = names
        .iter()
        .filter(|n| generation_of(n).is_some())
        .collect();
    let mut report = Report {
        segments: segments.len(),
        ..Report::default()
    };
    let mut before: Option<(Arc<Segment>, Scan)> = None;
    for name in &segments {
        let segment = match Segment::open(storage, name) {
            Ok(segment) => Arc::new(segment),
            Err(error) => {
                report.add_error(name, &error);
                before = None;
                continue;
            }
        };
        report.bytes += u64::from(segment.header.bytes);
        if let Some((old, sealed)) = &before {
            check_pair(&mut report, old, sealed, &segment)?;
        }
        let found = scan(&segment, READ_AHEAD_BYTES, |frame| report.count(&frame))?;
        let last = segments.last() == Some(name);
        check_end(&mut report, &segment, &found, last)?;
        before = Some((segment, found));
    }
    if let Some((segment, _)) = before {
        check_snapshots(storage, &mut report, &segment.header.log, &names)?;
    }
    Ok(report)
}

/// Whether a segment follows the one before it.
fn check_pair(report: &mut Report, old: &Segment, sealed: &Scan, segment: &Segment) -> Result<()> {
    let expected = old.header.generation + 1;
    if old.header.log != segment.header.log {
        report.add(&segment.name, 0, "the segment belongs to another log");
    } else if segment.header.generation != expected {
        report.add(&file_name(expected), 0, "the segment is missing");
    } else if sealed.index.sealed {
        if let Err(error) = check_successor(&sealed.index, segment) {
            report.add_error(&segment.name, &error);
        }
    } else if look_ahead(segment, HEADER_BYTES)?.end > 0 {
        let what = sealed.bad.unwrap_or("the segment ends without its seal");
        report.add(&old.name, sealed.index.end.into(), what);
    }
    Ok(())
}

/// What the bytes behind the last valid frame of a segment are.
fn check_end(report: &mut Report, segment: &Segment, found: &Scan, last: bool) -> Result<()> {
    let end = found.index.end;
    if found.index.sealed {
        if last {
            let next = file_name(segment.header.generation + 1);
            report.add(&next, 0, "the segment is missing");
        }
        return Ok(());
    }
    let ahead = look_ahead(segment, end)?;
    if ahead.synced > end {
        let what = found.bad.unwrap_or("a frame that was durable is not there");
        report.add(&segment.name, end.into(), what);
    } else if last {
        report.clean = found.marked != Marked::No;
        if found.bad.is_some() || ahead.end > 0 {
            report.torn = Some((segment.name.clone(), end.into()));
        }
    }
    Ok(())
}

fn check_snapshots(
    storage: &dyn Storage,
    report: &mut Report,
    log: &[u8; 16],
    names: &[String],
) -> Result<()> {
    for name in names
        .iter()
        .filter(|name| snapshot::frame_of(name).is_some())
    {
        let bytes = snapshot::read(storage, name).map_err(|e| Error::io("read", name, e))?;
        match snapshot::decode(log, name, &bytes) {
            Ok(Some(_)) => report.snapshots += 1,
            Ok(None) => report.add(name, 0, "the snapshot is damaged"),
            Err(error) => report.add_error(name, &error),
        }
    }
    Ok(())
}

/// The size of a log, without reading its frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// How many segments there are.
    pub segments: usize,
    /// The bytes of all segment files.
    pub bytes: u64,
    /// Files that wait for reuse.
    pub spares: usize,
    /// How many snapshots there are.
    pub snapshots: usize,
    /// The first position still stored.
    pub first_position: u64,
    /// The position with which the last segment begins.
    pub last_segment_position: u64,
}

/// Measures the log in a directory.
pub fn stat(dir: impl AsRef<Path>) -> Result<Stat> {
    stat_on(&at_rest(dir.as_ref())?)
}

/// Measures the log on a storage.
pub fn stat_on(storage: &dyn Storage) -> Result<Stat> {
    let names = names(storage)?;
    let count = |test: fn(&str) -> bool| names.iter().filter(|name| test(name)).count();
    let mut stat = Stat {
        spares: count(crate::retention::is_spare),
        snapshots: count(|name| snapshot::frame_of(name).is_some()),
        ..Stat::default()
    };
    for name in names.iter().filter(|name| generation_of(name).is_some()) {
        let segment = Segment::open(storage, name)?;
        if stat.segments == 0 {
            stat.first_position = segment.header.base;
        }
        stat.segments += 1;
        stat.bytes += u64::from(segment.header.bytes);
        stat.last_segment_position = segment.header.base;
    }
    Ok(stat)
}

/// What could be read of a damaged log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// How many commits were read.
    pub frames: u64,
    /// Where something could not be read.
    pub holes: Vec<Problem>,
}

/// Gives every readable commit of the log in a directory to a function, in order.
///
/// Positions are right; behind a hole the numbers of commits may be too low.
pub fn salvage(dir: impl AsRef<Path>, each: impl FnMut(Frame)) -> Result<Salvaged> {
    salvage_on(&existing(dir.as_ref())?, each)
}

/// Gives every readable commit of the log on a storage to a function, in order.
pub fn salvage_on(storage: &dyn Storage, mut each: impl FnMut(Frame)) -> Result<Salvaged> {
    let names = names(storage)?;
    let mut salvaged = Report::default();
    let mut found: Vec<(u64, Option<Header>)> = Vec::new();
    for name in &names {
        let Some(generation) = generation_of(name) else {
            continue;
        };
        match Segment::open(storage, name) {
            Ok(segment) => found.push((generation, Some(segment.header))),
            Err(error) => {
                salvaged.add_error(name, &error);
                found.push((generation, None));
            }
        }
    }
    let mut number = 1;
    let mut frames = 0;
    for at in 0..found.len() {
        let Some(segment) = readable(storage, &found, at, number)? else {
            continue;
        };
        number = number.max(segment.header.number);
        walk_over_holes(&segment, &mut salvaged, |head, body| {
            if frame::summary(head.role, head.time, &body, |_, _| {}).is_none() {
                return;
            }
            let mut position = segment.header.base + u64::from(head.position);
            frame::summary(head.role, head.time, &body, |span, found| {
                each(Frame {
                    number,
                    position,
                    time: span.time,
                    body: body.slice(span.start..span.end),
                });
                number += 1;
                position += found.appends;
                frames += 1;
            });
        })?;
    }
    Ok(Salvaged {
        frames,
        holes: salvaged.problems,
    })
}

/// A segment, opened; or, if its header is damaged, with what its name, its seal, and the headers and
/// seals of its neighbours say.
fn readable(
    storage: &dyn Storage,
    found: &[(u64, Option<Header>)],
    at: usize,
    number: u64,
) -> Result<Option<Arc<Segment>>> {
    let neighbour = |generation: u64| {
        let headers = found.iter().filter(|(other, _)| *other == generation);
        headers.flat_map(|(_, header)| header).next()
    };
    let generation = match found.get(at) {
        None => return Ok(None),
        Some((generation, None)) => *generation,
        Some((generation, Some(_))) => {
            let segment = Segment::open(storage, &file_name(*generation))?;
            return Ok(Some(Arc::new(segment)));
        }
    };
    let Some(known) = found.iter().find_map(|(_, header)| header.clone()) else {
        return Ok(None);
    };
    let name = file_name(generation);
    let file = storage
        .open(&name)
        .map_err(|e| Error::io("open", &name, e))?;
    let length = file.length().map_err(|e| Error::io("measure", &name, e))?;
    let bytes = u32::try_from(length).unwrap_or(u32::MAX).max(HEADER_BYTES);
    let header = Header {
        generation,
        number,
        base: 0,
        bytes,
        ..known
    };
    let segment = Segment::new(header.clone(), file);
    let base = if let Some(before) = neighbour(generation - 1)
        && let Some(seal) = seal_of(&Segment::open(storage, &file_name(generation - 1))?)?
    {
        Some(before.base + u64::from(seal.position))
    } else if let Some(after) = neighbour(generation + 1)
        && let Some(seal) = seal_of(&segment)?
    {
        after.base.checked_sub(seal.position.into())
    } else {
        (generation == 1).then_some(1)
    };
    Ok(base.map(|base| Arc::new(segment.with(Header { base, ..header }))))
}

/// The seal of a segment, if it has one.
fn seal_of(segment: &Segment) -> Result<Option<Head>> {
    let mut seal = None;
    each_head(segment, HEADER_BYTES, |_, head| {
        seal = (head.role == Role::Seal).then_some(head);
        true
    })?;
    Ok(seal)
}

/// Walks over all commits of a segment, looking for the next valid one behind each bad one.
fn walk_over_holes(
    segment: &Arc<Segment>,
    holes: &mut Report,
    mut each: impl FnMut(Head, bytes::Bytes),
) -> Result<()> {
    let mut walk = Walk::from(Arc::clone(segment), HEADER_BYTES, READ_AHEAD_BYTES);
    loop {
        let (offset, what) = match walk.step()? {
            Step::Frame { head, .. } if head.role == Role::Seal => return Ok(()),
            Step::Frame { head, body, .. } => {
                if matches!(head.role, Role::Commit | Role::Group) {
                    each(head, body);
                }
                continue;
            }
            Step::End { offset } => (offset, "frames are not there"),
            Step::Bad { offset, what } => (offset, what),
        };
        let Some(next) = next_head(segment, offset + 1)? else {
            return Ok(());
        };
        holes.add(&segment.name, offset.into(), what);
        walk = Walk::from(Arc::clone(segment), next, READ_AHEAD_BYTES);
    }
}

/// The offset of the next valid head of a frame.
fn next_head(segment: &Segment, from: u32) -> Result<Option<u32>> {
    let mut found = None;
    each_head(segment, from, |offset, _| {
        found = Some(offset);
        false
    })?;
    Ok(found.filter(|offset| offset + HEAD_BYTES as u32 <= segment.header.bytes))
}
