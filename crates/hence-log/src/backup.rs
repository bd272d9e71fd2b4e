//! A backup: a copy of a log that another process may be writing, which says what it holds and
//! proves it.
//!
//! A backup is a directory of the log's segments up to their last intact frame, of the newest
//! snapshot, and of a manifest, written last. Segments that are being copied are *pinned*:
//! retention leaves all segments alone while somebody holds the pin, which ends with the process
//! that holds it.

mod manifest;
mod restore;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use sha2::{Digest as _, Sha256};

use crate::check::{existing, names};
use crate::error::{Error, ErrorKind, Result};
use crate::index_file;
use crate::log::READ_AHEAD_BYTES;
use crate::recovery::{LOCK, Scan, check_successor, look_ahead, scan, take_lock};
use crate::segment::{HEADER_BYTES, Header, Segment, file_name, generation_of};
use crate::snapshot;
use crate::storage::{DiskStorage, File, Lock, Storage, is_full, read_full, write_all};

use manifest::{Entry, MANIFEST, Manifest, hex, no_room};
pub use restore::{restore, restore_on, verify, verify_on};

/// The file that a directory holds until a backup or a restore into it is whole.
pub(crate) const UNFINISHED: &str = "unfinished";
/// The file whose lock keeps every segment where it is.
pub(crate) const PIN: &str = "pin";
/// How long a backup waits for retention or another backup.
const PIN_WAIT_MAX: Duration = Duration::from_secs(10);
/// The time between two tries.
const PIN_LOOK: Duration = Duration::from_millis(20);
/// Bytes copied at once.
const COPY_BYTES: usize = 1 << 20;

/// What a backup holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backup {
    /// The id of the log.
    pub log: [u8; 16],
    /// The first commit, and the last; the last is one less than the first if there is none.
    pub commits: (u64, u64),
    /// The first position that may be there, and the last; likewise.
    pub positions: (u64, u64),
    /// The time of the last commit, in microseconds since 1970; 0 without any.
    pub until: u64,
    /// How many files, without the manifest.
    pub files: usize,
    /// The bytes of those files.
    pub bytes: u64,
}

fn unusable(file: &str, what: &'static str) -> Error {
    let file = file.to_owned();
    Error::new(ErrorKind::Backup { file, what })
}

/// Copies the log in one directory into a backup in another, which must be empty, not exist, or hold
/// what an earlier try left. The log may be open in another process, which is not disturbed.
///
/// The backup is a prefix of the log: it ends at a frame that was written when the copy came there,
/// and it holds every frame that was written when the copy began. What it holds has been synced,
/// read back from the copy and verified.
///
/// # Errors
/// `NotALog` without any segment, `NotEmpty` if something else is in the new directory, `NoRoom` if
/// its disk is full, `Locked` if another backup is running, `Corrupt` and what else opening the log
/// would say if it is damaged: a damaged log makes no backup.
pub fn backup(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Backup> {
    let from = existing(from.as_ref())?;
    first_generation(&from)?;
    let to = to.as_ref();
    backup_on(&from, &directory(to)?)
}

/// As [`backup`], between storages.
pub fn backup_on(from: &dyn Storage, to: &dyn Storage) -> Result<Backup> {
    first_generation(from)?;
    let _pin = pin_patiently(from)?;
    let _lock = claim(to)?;
    let survey = Survey::of(from)?;
    let mut entries = Vec::new();
    for (header, found) in &survey.segments {
        let segment = open(from, header.generation)?;
        let end = u64::from(found.index.end);
        let (entry, copy) = copy(&segment.file, &segment.name, end, to)?;
        let copy = Arc::new(Segment::new(header.clone(), copy));
        if scan(&copy, READ_AHEAD_BYTES, drop)?.index != found.index {
            let what = "the copy is not what was read before";
            return Err(Error::corrupt(&segment.name, 0, what));
        }
        entries.push(entry);
    }
    if let Some((name, file)) = &survey.snapshot {
        let length = file.length().map_err(|e| Error::io("measure", name, e))?;
        entries.push(copy(&**file, name, length, to)?.0);
    }
    let manifest = Manifest::new(survey.about, entries);
    sync_names(to)?;
    manifest.store(to)?;
    finish(to)?;
    Ok(manifest.about)
}

/// What a backup of the log in a directory would hold now; without copying, and so without a promise.
pub fn survey(from: impl AsRef<Path>) -> Result<Backup> {
    let from = existing(from.as_ref())?;
    first_generation(&from)?;
    let survey = Survey::of(&from)?;
    let sizes = survey.segments.iter().map(|(_, found)| found.index.end);
    let mut about = Backup {
        files: survey.segments.len() + usize::from(survey.snapshot.is_some()),
        bytes: sizes.map(u64::from).sum(),
        ..survey.about
    };
    if let Some((name, file)) = &survey.snapshot {
        about.bytes += file.length().map_err(|e| Error::io("measure", name, e))?;
    }
    Ok(about)
}

/// Every file of a log that a copy needs, verified, and how far. Segments are not held open: there may
/// be more of them than a process may open.
struct Survey {
    segments: Vec<(Header, Scan)>,
    snapshot: Option<(String, Box<dyn File>)>,
    about: Backup,
}

impl Survey {
    fn of(from: &dyn Storage) -> Result<Self> {
        // First: what it reflects was durable, so the segments that are read later hold it.
        let snapshot = newest_snapshot(from)?;
        let mut segments: Vec<(Header, Scan)> = Vec::new();
        let mut until = 0;
        for generation in first_generation(from)?.. {
            let segment = Arc::new(open(from, generation)?);
            if let Some((before, sealed)) = segments.last() {
                if before.log != segment.header.log {
                    let file = segment.name.clone();
                    return Err(Error::new(ErrorKind::ForeignSegment { file }));
                }
                check_successor(&sealed.index, &segment)?;
            }
            let found = scan(&segment, READ_AHEAD_BYTES, |frame| until = frame.time())?;
            let sealed = found.index.sealed;
            if !sealed {
                check_end(from, &segment, &found)?;
                // What was only written is as good as what was synced from here on.
                let synced = segment.file.sync_data();
                synced.map_err(|e| Error::io("sync", &segment.name, e))?;
            }
            segments.push((segment.header.clone(), found));
            if !sealed {
                break;
            }
        }
        let (Some((first, _)), Some((_, last))) = (segments.first(), segments.last()) else {
            return Err(Error::new(ErrorKind::NotALog));
        };
        let about = Backup {
            log: first.log,
            commits: (first.number, last.index.next_number - 1),
            positions: (first.base, last.index.next_position - 1),
            until,
            ..Backup::default()
        };
        let mut survey = Self {
            segments,
            snapshot: None,
            about,
        };
        survey.snapshot = survey.fitting(snapshot)?;
        Ok(survey)
    }

    /// The snapshot, if it is of this log; refused if there is none and only one could tell what
    /// retired commits said.
    fn fitting(&self, found: Option<Snapshot>) -> Result<Option<(String, Box<dyn File>)>> {
        let found = found.filter(|snapshot| snapshot.log == self.about.log);
        let reflected = found.as_ref().map_or(0, |snapshot| snapshot.frame);
        match self.segments.first() {
            Some((first, _)) if first.last_other > reflected => {
                let what = "no snapshot holds the state before it";
                Err(Error::corrupt(&file_name(first.generation), 0, what))
            }
            _ => Ok(found.map(|snapshot| (snapshot.name, snapshot.file))),
        }
    }
}

struct Snapshot {
    name: String,
    file: Box<dyn File>,
    log: [u8; 16],
    frame: u64,
}

/// The newest intact snapshot, open: the writer may remove its name, but never changes its bytes.
fn newest_snapshot(from: &dyn Storage) -> Result<Option<Snapshot>> {
    let mut names = names(from)?;
    names.retain(|name| snapshot::frame_of(name).is_some());
    while let Some(name) = names.pop() {
        let file = match from.open(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::io("open", &name, error)),
        };
        let bytes = snapshot::read_open(&*file).map_err(|e| Error::io("read", &name, e))?;
        if let Some(log) = snapshot::log_of(&bytes)
            && let Some(found) = snapshot::decode(&log, &name, &bytes)?
        {
            let frame = found.frame;
            return Ok(Some(Snapshot {
                name,
                file,
                log,
                frame,
            }));
        }
    }
    Ok(None)
}

fn first_generation(from: &dyn Storage) -> Result<u64> {
    let names = names(from)?;
    refuse(&names)?;
    let first = names.iter().filter_map(|name| generation_of(name)).min();
    first.ok_or_else(|| Error::new(ErrorKind::NotALog))
}

/// A segment by its number. The one before it is sealed, so it has to be there.
fn open(from: &dyn Storage, generation: u64) -> Result<Segment> {
    let name = file_name(generation);
    let is_missing = |error: &Error| {
        use std::error::Error as _;
        let source = error.source().and_then(|e| e.downcast_ref::<io::Error>());
        source.is_some_and(|source| source.kind() == io::ErrorKind::NotFound)
    };
    Segment::open(from, &name).map_err(|error| match is_missing(&error) {
        true => Error::new(ErrorKind::MissingSegment { file: name }),
        false => error,
    })
}

/// Whether the frames end here because the log does, or the writer was just so far; not because of
/// damage.
fn check_end(from: &dyn Storage, segment: &Arc<Segment>, found: &Scan) -> Result<()> {
    let end = found.index.end;
    let goes_on = look_ahead(segment, end)?.synced > end || has_next(from, segment)?;
    if !goes_on {
        return Ok(());
    }
    // A frame that lies behind others was written before them: now it is there, or it is damaged.
    let again = scan(segment, READ_AHEAD_BYTES, drop)?;
    if again.index.end > end {
        return Ok(());
    }
    let what = found.bad.unwrap_or("a frame that was durable is not there");
    Err(Error::corrupt(&segment.name, end.into(), what))
}

/// Whether the segment behind this one has frames.
fn has_next(from: &dyn Storage, segment: &Segment) -> Result<bool> {
    match open(from, segment.header.generation + 1) {
        Ok(next) => Ok(look_ahead(&next, HEADER_BYTES)?.end > 0),
        Err(error) if matches!(error.kind(), ErrorKind::MissingSegment { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Copies the first bytes of a file, synced; says what it copied, and gives the copy.
fn copy(
    file: &dyn File,
    name: &str,
    bytes: u64,
    to: &dyn Storage,
) -> Result<(Entry, Box<dyn File>)> {
    let written = |error: io::Error| match is_full(&error) {
        true => no_room(name, error),
        false => Error::io("write", name, error),
    };
    let target = to.create(name).map_err(written)?;
    let mut hash = Sha256::new();
    each_part(file, name, bytes, |part, at| {
        hash.update(part);
        write_all(&*target, part, at).map_err(written)
    })?;
    target.sync_data().map_err(written)?;
    let entry = Entry {
        name: name.to_owned(),
        bytes,
        hash: hex(&hash.finalize()),
    };
    Ok((entry, target))
}

/// Gives the first bytes of a file to a function, part by part, with where they lie.
fn each_part(
    file: &dyn File,
    name: &str,
    bytes: u64,
    mut each: impl FnMut(&[u8], u64) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0; COPY_BYTES.min(bytes as usize)];
    let mut at = 0;
    while at < bytes {
        let wanted = (bytes - at).min(COPY_BYTES as u64) as usize;
        let into = buffer.get_mut(..wanted).unwrap_or_default();
        let count = read_full(file, into, at).map_err(|e| Error::io("read", name, e))?;
        if count < wanted {
            return Err(unusable(name, "the file is shorter than it was"));
        }
        each(into, at)?;
        at += count as u64;
    }
    Ok(())
}

/// Keeps every segment where it is, as long as the lock lives; nothing if somebody else does.
pub(crate) fn pin(storage: &dyn Storage) -> Result<Option<Box<dyn Lock>>> {
    match storage.lock(PIN) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(Error::io("lock", PIN, error)),
    }
}

/// Waits for the pin. Nothing needs one where nothing can be written.
fn pin_patiently(storage: &dyn Storage) -> Result<Option<Box<dyn Lock>>> {
    let begin = Instant::now();
    loop {
        match storage.lock(PIN) {
            Ok(lock) => return Ok(Some(lock)),
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => return Ok(None),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                return Err(Error::io("lock", PIN, error));
            }
            Err(_) if begin.elapsed() > PIN_WAIT_MAX => {
                return Err(Error::new(ErrorKind::Locked));
            }
            Err(_) => std::thread::sleep(PIN_LOOK),
        }
    }
}

/// Refuses a directory that is no log, but on its way from or to one.
pub(crate) fn refuse(names: &[String]) -> Result<()> {
    let found = names
        .iter()
        .find(|name| *name == MANIFEST || *name == UNFINISHED);
    match found.cloned() {
        Some(file) => Err(Error::new(ErrorKind::NotRestored { file })),
        None => Ok(()),
    }
}

/// A directory to write to: empty, new, or with what an earlier try left, be it the lock alone.
fn directory(path: &Path) -> Result<DiskStorage> {
    let shown = path.display().to_string();
    let is_lock = |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|e| e.file_name() == LOCK);
    match fs::read_dir(path).map(|mut entries| entries.all(is_lock)) {
        Ok(true) => {}
        Ok(false) if path.join(UNFINISHED).is_file() => {}
        Ok(false) => return Err(Error::new(ErrorKind::NotEmpty)),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(Error::new(ErrorKind::NotADirectory));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io("read", &shown, error)),
    }
    DiskStorage::new(path).map_err(|e| Error::io("create", &shown, e))
}

/// Makes a directory ours until [`finish`]: nothing opens it, and what an earlier try left is gone.
fn claim(to: &dyn Storage) -> Result<Box<dyn Lock>> {
    let lock = take_lock(to)?;
    let mut names = names(to)?;
    names.retain(|name| name != LOCK);
    let begun = names.iter().any(|name| name == UNFINISHED);
    let ours = |name: &String| begun && is_ours(name);
    if !names.iter().all(ours) {
        return Err(Error::new(ErrorKind::NotEmpty));
    }
    for name in names.iter().filter(|name| *name != UNFINISHED) {
        let removed = to.remove(name);
        removed.map_err(|e| Error::io("remove", name, e))?;
    }
    if !begun {
        let made = to.create(UNFINISHED);
        made.map_err(|error| match is_full(&error) {
            true => no_room(UNFINISHED, error),
            false => Error::io("create", UNFINISHED, error),
        })?;
    }
    sync_names(to)?;
    Ok(lock)
}

/// Whether a backup or a restore may have written a file.
fn is_ours(name: &str) -> bool {
    [MANIFEST, manifest::TEMPORARY, UNFINISHED].contains(&name)
        || generation_of(name).is_some()
        || snapshot::frame_of(name).is_some()
        || index_file::is_index(name)
}

/// Everything is there.
fn finish(to: &dyn Storage) -> Result<()> {
    let removed = to.remove(UNFINISHED);
    removed.map_err(|e| Error::io("remove", UNFINISHED, e))?;
    sync_names(to)
}

fn sync_names(to: &dyn Storage) -> Result<()> {
    to.sync_dir("").map_err(|e| Error::io("sync", ".", e))
}
