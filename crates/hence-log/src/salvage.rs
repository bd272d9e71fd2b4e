//! A new log out of what a damaged one still holds, and a log without what was derived from it.

use std::path::Path;
use std::sync::Arc;

use crate::check::{Problem, Report, at_rest, check_on, existing, names, salvage_on};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{APPEND, FORMAT_VERSION, Frame, Op, StoredOp};
use crate::group::{Level, Writer};
use crate::index_file;
use crate::log::{Log, Options};
use crate::recovery::{each_head, take_lock};
use crate::retention;
use crate::segment::{
    HEADER_BYTES, Header, POSITIONS_MAX, SEGMENT_BYTES_MIN, Segment, file_name, generation_of,
};
use crate::snapshot::{self, Snapshot};
use crate::storage::{DiskStorage, Storage};

/// Segments behind the last with a readable header that are believed to have been there: their names
/// tell of them, and a name may be anything.
const LOST_MAX: u64 = 64;

/// What a new log got of a damaged one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rescued {
    /// How many commits.
    pub frames: u64,
    /// How many appends.
    pub records: u64,
    /// The positions of the first and the last of those appends; 0 without any.
    pub positions: (u64, u64),
    /// Whether the log begins behind its first commit and so got a snapshot of what was before.
    pub snapshot: bool,
    /// What could not be read, with file and offset in the old log.
    pub left_out: Vec<Problem>,
}

impl Rescued {
    fn count(&mut self, ops: &[StoredOp]) {
        self.frames += 1;
        for op in ops.iter().filter(|op| op.kind == APPEND) {
            self.records += 1;
            self.positions.1 = op.position.unwrap_or(self.positions.1);
            if self.records == 1 {
                self.positions.0 = self.positions.1;
            }
        }
    }
}

/// What rebuilding removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Snapshots.
    pub snapshots: usize,
    /// Indexes of segments.
    pub indexes: usize,
}

/// Copies every readable commit of the log in one directory into a new log in another, which must
/// be empty or not exist. The old directory is only read.
///
/// The new log is the same log: it has the same id, and positions are what they were. What could
/// not be read leaves a gap, and where the old log may have had positions behind its readable end
/// these are passed over, so that no position comes back with other contents.
///
/// # Errors
/// `NotALog` without any segment, `NotEmpty` if there is something in the new directory.
pub fn salvage_to(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Rescued> {
    let (from, to) = (existing(from.as_ref())?, to.as_ref());
    if segments(&from)?.is_empty() {
        return Err(Error::new(ErrorKind::NotALog));
    }
    let shown = to.display().to_string();
    let io = |during, error| Error::io(during, &shown, error);
    match std::fs::read_dir(to).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => return Err(Error::new(ErrorKind::NotEmpty)),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(Error::new(ErrorKind::NotADirectory));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(io("read", error)),
    }
    let storage = DiskStorage::new(to).map_err(|e| io("create", e))?;
    salvage_to_on(&from, Arc::new(storage))
}

/// What [`salvage_to`] would copy of the log in a directory, and what it would leave out.
///
/// # Errors
/// `NotALog` without any segment.
pub fn would_salvage(from: impl AsRef<Path>) -> Result<Rescued> {
    let from = existing(from.as_ref())?;
    let headers = segments(&from)?;
    let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
        return Err(Error::new(ErrorKind::NotALog));
    };
    let report = check_on(&from)?;
    let mut rescued = Rescued {
        snapshot: first.number > 1 && newest_snapshot(&from, &last.log)?.is_some(),
        ..Rescued::default()
    };
    let salvaged = salvage_on(&from, |frame| {
        rescued.count(&frame.ops().collect::<Vec<_>>());
    })?;
    rescued.left_out = left_out(salvaged.holes, &report);
    Ok(rescued)
}

/// As [`salvage_to`], between storages.
pub fn salvage_to_on(from: &dyn Storage, to: Arc<dyn Storage>) -> Result<Rescued> {
    let report = check_on(from)?;
    let headers = segments(from)?;
    let Some(last) = headers.last() else {
        return Err(Error::new(ErrorKind::NotALog));
    };
    let largest = headers.iter().map(|header| header.bytes).max();
    let mut copy = Copy {
        to,
        id: last.log,
        options: Options::default().segment_bytes(largest.unwrap_or(last.bytes)),
        snapshot: newest_snapshot(from, &last.log)?,
        last: (last.number, last.base),
        writer: None,
        reflected: 0,
        rescued: Rescued::default(),
    };
    let mut failed = None;
    let salvaged = salvage_on(from, |frame| {
        if failed.is_none() {
            failed = copy.add(&frame).err();
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    copy.rescued.left_out = left_out(salvaged.holes, &report);
    let doubt = !report.clean || !copy.rescued.left_out.is_empty();
    let end = if doubt {
        farthest(from, last, &report)?
    } else {
        told_end(from, last)?
    };
    copy.finish(end)
}

/// A position that no commit of the old log reached. Of a segment whose end is not known, bytes say
/// nothing of its positions, for gaps have none; but the writer goes no further than
/// [`POSITIONS_MAX`] in one, and begins the next where it ended.
fn farthest(storage: &dyn Storage, last: &Header, report: &Report) -> Result<u64> {
    let names = names(storage)?;
    let missing = report.problems.iter().map(|problem| &problem.file);
    let generations = names.iter().chain(missing).map(|name| generation_of(name));
    let newest = generations.flatten().max().unwrap_or(last.generation);
    let lost = newest.saturating_sub(last.generation).min(LOST_MAX);
    Ok(last.base + (1 + lost) * POSITIONS_MAX)
}

/// The position with which an intact log goes on, gap and all.
fn told_end(storage: &dyn Storage, last: &Header) -> Result<u64> {
    let segment = Segment::open(storage, &file_name(last.generation))?;
    let mut farthest = 0;
    each_head(&segment, HEADER_BYTES, |_, head| {
        farthest = head.position.max(farthest);
        true
    })?;
    Ok(last.base + u64::from(farthest))
}

/// Every hole, and what the check found that left no hole because nothing readable follows.
fn left_out(mut holes: Vec<Problem>, report: &Report) -> Vec<Problem> {
    for problem in &report.problems {
        let is_snapshot = snapshot::frame_of(&problem.file).is_some();
        if !is_snapshot && !holes.iter().any(|hole| hole.file == problem.file) {
            holes.push(problem.clone());
        }
    }
    if let Some((file, offset)) = &report.torn {
        holes.push(Problem {
            file: file.clone(),
            offset: *offset,
            what: "what follows was cut short, or is damaged".to_owned(),
        });
    }
    holes.sort_by(|a, b| (&a.file, a.offset).cmp(&(&b.file, b.offset)));
    holes.dedup_by(|a, b| (&a.file, a.offset) == (&b.file, b.offset));
    holes
}

/// The headers of all segments that have a readable one.
fn segments(storage: &dyn Storage) -> Result<Vec<Header>> {
    let names = names(storage)?;
    let segments = names.iter().filter(|name| generation_of(name).is_some());
    Ok(segments
        .filter_map(|name| Some(Segment::open(storage, name).ok()?.header))
        .collect())
}

fn newest_snapshot(storage: &dyn Storage, log: &[u8; 16]) -> Result<Option<Snapshot>> {
    let mut newest = None;
    for name in names(storage)? {
        if snapshot::frame_of(&name).is_some()
            && let Ok(bytes) = snapshot::read(storage, &name)
            && let Ok(Some(found)) = snapshot::decode(log, &name, &bytes)
        {
            newest = Some(found);
        }
    }
    Ok(newest)
}

/// A new log that is being written.
struct Copy {
    to: Arc<dyn Storage>,
    id: [u8; 16],
    options: Options,
    snapshot: Option<Snapshot>,
    /// The first commit and the first position of the last segment of the old log.
    last: (u64, u64),
    writer: Option<(Writer, Log)>,
    /// How many commits the snapshot reflects.
    reflected: u64,
    rescued: Rescued,
}

impl Copy {
    fn begin(&mut self, number: u64, position: u64) -> Result<&mut Writer> {
        if self.writer.is_none() {
            let header = Header {
                version: FORMAT_VERSION,
                log: self.id,
                generation: 1,
                base: position,
                number,
                last_other: 0,
                bytes: self.options.segment_bytes.max(SEGMENT_BYTES_MIN),
                previous: 0,
            };
            retention::make_segment(&*self.to, header, None)
                .map_err(|(_, error)| Error::io("create", "a segment", error))?;
            let (writer, log, _) = Log::open_on(Arc::clone(&self.to), self.options.clone())?;
            self.writer = Some((writer, log));
        }
        let writer = self.writer.as_mut().map(|(writer, _)| writer);
        Ok(writer.expect("it was made above"))
    }

    fn add(&mut self, frame: &Frame) -> Result<()> {
        let writer = self.begin(frame.number(), frame.position())?;
        writer.skip_to(frame.position())?;
        let ops: Vec<StoredOp> = frame.ops().collect();
        writer.stage(
            frame.time(),
            ops.iter().map(|op| Op {
                kind: op.kind,
                tag: op.tag,
                body: &op.body,
            }),
        )?;
        if writer.is_full() {
            writer.commit(Level::Synced)?;
        }
        self.rescued.count(&ops);
        let reflects = |snapshot: &Snapshot| frame.number() <= snapshot.frame;
        self.reflected += u64::from(self.snapshot.as_ref().is_some_and(reflects));
        Ok(())
    }

    /// Passes over the positions before this one, stores the snapshot, and closes the log.
    fn finish(mut self, end: u64) -> Result<Rescued> {
        let (snapshot, reflected) = (self.snapshot.take(), self.reflected);
        // If nothing at all was readable the headers still tell how far the old log had come.
        let (number, base) = self.last;
        self.begin(number, base)?.commit(Level::Synced)?;
        let Some((mut writer, log)) = self.writer else {
            return Ok(self.rescued);
        };
        writer.skip_to(end)?;
        let first = log.first_frame();
        if let Some(snapshot) = snapshot.filter(|_| first > 1) {
            log.store_snapshot(first - 1 + reflected, &snapshot.bytes)?;
            self.rescued.snapshot = true;
        }
        writer.close()?;
        Ok(self.rescued)
    }
}

/// Removes what is derived from the log in a directory: indexes, and snapshots if the log has all
/// its commits since the first. The next opening makes them again from the commits.
///
/// # Errors
/// `SnapshotNeeded` if older commits are gone, so that only a snapshot knows what they said;
/// `Locked` if a process has the log open; `Corrupt` if the log is damaged. Nothing is removed then.
pub fn rebuild(dir: impl AsRef<Path>) -> Result<Rebuilt> {
    let storage = at_rest(dir.as_ref())?;
    rebuild_on(&storage, segments(&storage)?.first(), true)
}

/// What [`rebuild`] would remove.
///
/// # Errors
/// As [`rebuild`].
pub fn would_rebuild(dir: impl AsRef<Path>) -> Result<Rebuilt> {
    let storage = at_rest(dir.as_ref())?;
    rebuild_on(&storage, segments(&storage)?.first(), false)
}

fn rebuild_on(storage: &dyn Storage, first: Option<&Header>, remove: bool) -> Result<Rebuilt> {
    match first {
        None => return Err(Error::new(ErrorKind::NotALog)),
        Some(first) if first.number > 1 || first.generation > 1 => {
            return Err(Error::new(ErrorKind::SnapshotNeeded));
        }
        Some(_) => {}
    }
    let _lock = take_lock(storage)?;
    let report = check_on(storage)?;
    let is_snapshot = |problem: &&Problem| snapshot::frame_of(&problem.file).is_some();
    if let Some(found) = report.problems.iter().find(|problem| !is_snapshot(problem)) {
        let what = "the commits do not all verify";
        return Err(Error::corrupt(&found.file, found.offset, what));
    }
    let mut rebuilt = Rebuilt::default();
    for name in names(storage)? {
        let count = if snapshot::frame_of(&name).is_some() {
            &mut rebuilt.snapshots
        } else if index_file::is_index(&name) {
            &mut rebuilt.indexes
        } else {
            continue;
        };
        *count += 1;
        if remove {
            let removed = storage.remove(&name);
            removed.map_err(|e| Error::io("remove", &name, e))?;
        }
    }
    if remove {
        let synced = storage.sync_dir("");
        synced.map_err(|e| Error::io("sync", ".", e))?;
    }
    Ok(rebuilt)
}
