//! Segment files come and go here: made from spares, retired into spares when nothing needs them.

use std::io;
use std::sync::{Arc, PoisonError};

use crate::backup;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::END_BYTES;
use crate::index_file;
use crate::log::{Log, Shared, locked};
use crate::planted::is_planted;
use crate::segment::{Header, Segment, file_name};
use crate::storage::{File, Storage, is_full, write_all};

const SPARE_PREFIX: &str = "spare-";
/// Bytes written at once when a spare is prepared.
const PREPARE_BYTES: usize = 1 << 20;

/// Which segments may go. Only whole segments go, the oldest first, never the one being written,
/// and never one with an operation other than append that the kept snapshots do not all reflect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Segments go whose last frame is older than this time, in microseconds since 1970.
    pub older_than: Option<u64>,
    /// Segments go while all together have more bytes than this.
    pub bytes_max: Option<u64>,
    /// No segment goes that has a position behind this one. Given alone, all others go.
    pub settled: Option<u64>,
}

/// What retention removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// How many segments.
    pub segments: usize,
    /// How many bytes of segment files.
    pub bytes: u64,
    /// Whether the next one stays only until the kept snapshots reflect its operations.
    pub waits: bool,
    /// Whether nothing went because a backup is being taken.
    pub pinned: bool,
}

impl Retention {
    fn permits(&self, segment: &Segment, bytes: u64, reflected: u64) -> bool {
        let index = segment.index();
        let free = self
            .settled
            .is_none_or(|settled| index.next_position - 1 <= settled)
            && index.last_other <= reflected;
        let old = self.older_than.is_some_and(|limit| index.last_time < limit);
        let large = self.bytes_max.is_some_and(|limit| bytes > limit);
        let done = self.older_than.is_none() && self.bytes_max.is_none() && self.settled.is_some();
        index.sealed && free && (old || large || done)
    }
}

impl Log {
    /// Retires segments that need not be kept; their files become spares or are removed.
    ///
    /// Readers inside a retired segment read on to its end, unless so many others were read since
    /// that its file was closed: then they are told that it expired.
    pub fn retain(&self, retention: &Retention) -> Result<Retired> {
        let shared = &*self.shared;
        shared.check_poison()?;
        // Held throughout, so that no snapshot goes while its segments are judged.
        let snapshots = locked(&shared.snapshots);
        let reflected = snapshots.first().copied().unwrap_or(0);
        let mut retired = Retired::default();
        let segments = shared.segments.read();
        if segments.unwrap_or_else(PoisonError::into_inner).len() == 1 {
            return Ok(retired);
        }
        let Some(_pin) = backup::pin(&*shared.storage)? else {
            retired.pinned = true;
            return Ok(retired);
        };
        retired.waits = loop {
            match take_oldest(shared, retention, reflected) {
                Oldest::Goes(segment) => {
                    retired.segments += 1;
                    retired.bytes += u64::from(segment.header.bytes);
                    retire(shared, segment)?;
                }
                Oldest::Waits => break true,
                Oldest::Stays => break false,
            }
        };
        shared.forget_before(shared.first_segment().header.number);
        Ok(retired)
    }

    /// Whether the segment that is being written has commits, and all of them are older than a time,
    /// in microseconds since 1970. It never goes before [`Writer::seal`](crate::Writer::seal).
    pub fn is_older(&self, limit: u64) -> bool {
        let segments = self.shared.segments.read();
        let segments = segments.unwrap_or_else(PoisonError::into_inner);
        segments.back().is_some_and(|last| {
            let index = last.index();
            index.next_number > last.header.number && index.last_time < limit
        })
    }

    /// Whether more than half of the segment that is being written is used.
    pub fn is_half_full(&self) -> bool {
        self.shared.visible().end > self.shared.options.segment_bytes / 2
    }

    /// Makes a spare segment ready whose blocks are all written, so that syncs need not wait for
    /// the file system to allocate them; false if one is there, or there is no room. Writes a whole
    /// segment: call it from a thread that may wait.
    pub fn prepare_spare(&self) -> Result<bool> {
        let shared = &*self.shared;
        shared.check_poison()?;
        let bytes = u64::from(shared.options.segment_bytes);
        let storage = &*shared.storage;
        let space = storage.space();
        let space = space.map_err(|e| Error::io("measure the free space of", ".", e))?;
        let room = space.free.saturating_sub(shared.options.reserve_bytes);
        if !locked(&shared.spares).is_empty() || shared.options.spares == 0 || room < 2 * bytes {
            return Ok(false);
        }
        let name = format!(
            "{SPARE_PREFIX}blank-{:020}.hlog",
            shared.visible().generation
        );
        match fill(storage, &name, bytes) {
            Ok(()) => {
                locked(&shared.spares).push(name);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => {
                // Half a spare is of no use, and takes the room that ran out. If it stays, the next
                // opening takes it as one.
                let _ = storage.remove(&name);
                Err(match is_full(&error) {
                    true => Error::because(ErrorKind::Full, error),
                    false => Error::io("prepare", &name, error),
                })
            }
        }
    }
}

fn fill(storage: &dyn Storage, name: &str, bytes: u64) -> io::Result<()> {
    let file = storage.create(name)?;
    let zeros = vec![0; PREPARE_BYTES];
    let mut at = 0;
    while at < bytes {
        let step = (bytes - at).min(PREPARE_BYTES as u64);
        write_all(&*file, zeros.get(..step as usize).unwrap_or_default(), at)?;
        at += step;
    }
    file.sync_data()
}

/// What becomes of the oldest segment.
enum Oldest {
    Goes(Arc<Segment>),
    /// It would go if newer snapshots were kept.
    Waits,
    Stays,
}

/// Takes the oldest segment out of the list, if it may go.
fn take_oldest(shared: &Shared, retention: &Retention, reflected: u64) -> Oldest {
    let mut segments = shared
        .segments
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    let bytes = segments
        .iter()
        .map(|segment| u64::from(segment.header.bytes))
        .sum();
    let permits = |reflected| {
        let oldest = segments.front().filter(|_| segments.len() > 1);
        oldest.is_some_and(|oldest| retention.permits(oldest, bytes, reflected))
    };
    if !permits(reflected) {
        return if permits(u64::MAX) {
            Oldest::Waits
        } else {
            Oldest::Stays
        };
    }
    segments.pop_front().map_or(Oldest::Stays, Oldest::Goes)
}

/// Takes a segment off the disk. Each removal is synced before the next, so that a crash cannot
/// leave a gap.
fn retire(shared: &Shared, segment: Arc<Segment>) -> Result<()> {
    let (storage, generation) = (&*shared.storage, segment.header.generation);
    let name = segment.name.clone();
    index_file::remove(storage, generation)
        .map_err(|e| Error::io("remove the index of", &name, e))?;
    let mut spares = locked(&shared.spares);
    // A file that a reader still has open must keep its contents: it is unlinked instead.
    let unused = Arc::into_inner(segment).is_some();
    let spare = spare_name(generation);
    let moved = if unused && spares.len() < shared.options.spares {
        let moved = storage.rename(&name, &spare);
        moved.map(|()| spares.push(spare))
    } else {
        storage.remove(&name)
    };
    moved.map_err(|e| Error::io("retire", &name, e))?;
    storage.sync_dir("").map_err(|e| shared.poison(e))
}

/// The name of a file that waits for reuse.
fn spare_name(generation: u64) -> String {
    format!("{SPARE_PREFIX}{generation:020}.hlog")
}

/// Whether a file waits for reuse.
pub(crate) fn is_spare(name: &str) -> bool {
    name.starts_with(SPARE_PREFIX)
}

/// Makes a segment, durable under its name before this returns.
pub(crate) fn create_segment(shared: &Shared, header: Header) -> Result<Segment> {
    let spare = locked(&shared.spares).pop();
    let made = make_segment(&*shared.storage, header, spare.clone());
    made.map_err(|(step, error)| {
        match step {
            // Until the sync the file is no part of the log, so nothing is in doubt.
            Step::Prepare => locked(&shared.spares).extend(spare),
            Step::Sync => return shared.poison(error),
        }
        if is_full(&error) {
            Error::because(ErrorKind::Full, error)
        } else {
            Error::io("create", "a segment", error)
        }
    })
}

/// How far making a segment came when it failed.
pub(crate) enum Step {
    /// The file has no name of a segment yet.
    Prepare,
    /// A sync failed.
    Sync,
}

/// Writes the header into a spare or a new file, then gives it its name: a file with the name of a
/// segment always has a whole header.
pub(crate) fn make_segment(
    storage: &dyn Storage,
    header: Header,
    spare: Option<String>,
) -> Result<Segment, (Step, io::Error)> {
    let name = spare.unwrap_or_else(|| spare_name(header.generation));
    let file = prepare(storage, &name, &header).map_err(|e| (Step::Prepare, e))?;
    file.sync_data().map_err(|e| (Step::Sync, e))?;
    let renamed = storage.rename(&name, &file_name(header.generation));
    renamed.map_err(|e| (Step::Prepare, e))?;
    if !is_planted("skip-directory-sync") {
        storage.sync_dir("").map_err(|e| (Step::Sync, e))?;
    }
    Ok(Segment::new(header, file))
}

fn prepare(storage: &dyn Storage, name: &str, header: &Header) -> io::Result<Box<dyn File>> {
    let file = match storage.open(name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => storage.create(name)?,
        Err(error) => return Err(error),
    };
    if file.length()? != u64::from(header.bytes) {
        file.set_len(u64::from(header.bytes))?;
    }
    let mut first = header.encode().to_vec();
    first.extend_from_slice(&[0; END_BYTES]);
    write_all(&*file, &first, 0)?;
    Ok(file)
}

/// Takes new segments into the list, and writes the indexes of those they follow.
pub(crate) fn adopt(shared: &Shared, sealed: &[Arc<Segment>], created: Vec<Arc<Segment>>) {
    let mut segments = shared
        .segments
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    segments.extend(created);
    drop(segments);
    for segment in sealed {
        // Without its index a segment is read when the log is opened: slower, not wrong.
        let _ = index_file::store(&*shared.storage, segment);
    }
}

/// Removes a segment that was made for a group that failed. It is not kept as a spare: it may hold
/// frames of a generation that will be used again.
pub(crate) fn discard(shared: &Shared, created: &Segment) -> io::Result<()> {
    shared.storage.remove(&created.name)?;
    shared.storage.sync_dir("")
}
