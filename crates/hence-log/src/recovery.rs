//! Opening a log: what is there, what was cut short, what is damaged.
//!
//! A frame that does not verify in the last segment is either a *torn tail*, a write that a crash
//! cut short, or *damage* to bytes that had been durable. Each frame says how far its segment was
//! durable when it was made. So if any later frame of the same generation claims that the bad
//! bytes were durable, they are damage, and the log refuses to open; otherwise they are cut, kept
//! in `quarantine/`, and reported. Only a group with nothing valid behind it stays ambiguous; a
//! mark, left when the log goes idle or closes, takes that doubt away.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::backup;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{
    self, END_BYTES, FORMAT_VERSION, Frame, HEAD_BYTES, Head, ROLE_OFFSET, Role, read_u64,
};
use crate::group::Writer;
use crate::index_file;
use crate::log::{Log, Options, Shared, Visible, locked};
use crate::open_files::OpenFiles;
use crate::planted::is_planted;
use crate::reader::Frames;
use crate::retention::{self, Step as MakeStep};
use crate::segment::{
    HEADER_BYTES, Header, Index, POSITIONS_MAX, Segment, Step, Walk, file_name, generation_of,
};
use crate::snapshot::{self, Snapshot};
use crate::storage::{File, Lock, Storage, read_full, write_all};
use crate::tail::{Marked, Tail};

/// The directory for bytes that were cut off or replaced, never read by the log.
pub(crate) const QUARANTINE: &str = "quarantine";
/// Bytes of a torn tail that are kept, at most.
pub(crate) const QUARANTINE_BYTES_MAX: usize = 4 << 20;
/// Bytes looked through at once for a later frame.
const LOOK_BYTES: usize = 1 << 20;
/// Bytes passed over at once if they cannot begin a frame.
const LOOK_BLOCK: usize = 64;
pub(crate) const LOCK: &str = "lock";

/// What opening a log found. It is a handle to the log too: drop it when the replay is done.
pub struct Recovered {
    /// The newest intact snapshot.
    pub snapshot: Option<Snapshot>,
    /// Whether the log ends with the mark of an idle or closed log.
    pub clean: bool,
    /// The torn tail that was cut off, if there was one.
    pub cut: Option<Cut>,
    /// Snapshots that were damaged and moved to `quarantine/`.
    pub damaged_snapshots: Vec<String>,
    log: Log,
}

/// A torn tail: bytes of frames that no commit had made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment that was cut.
    pub file: String,
    /// Where it was cut.
    pub offset: u64,
    /// How many bytes were kept.
    pub bytes: u64,
    /// The file that keeps them.
    pub kept_in: String,
}

impl Recovered {
    /// The number of the first commit that the snapshot does not reflect.
    pub fn first_frame(&self) -> u64 {
        let after = self
            .snapshot
            .as_ref()
            .map_or(1, |snapshot| snapshot.frame + 1);
        after.max(self.log.first_frame())
    }

    /// All commits that the snapshot does not reflect.
    pub fn frames(&self) -> Frames {
        self.log.frames(self.first_frame())
    }

    /// Gives all commits that the snapshot does not reflect to a function; says how many.
    pub fn replay(&self, mut each: impl FnMut(Frame)) -> Result<u64> {
        let mut frames = self.frames();
        let mut count = 0;
        while let Some(frame) = frames.next_frame()? {
            each(frame);
            count += 1;
        }
        Ok(count)
    }
}

/// What a walk over one segment found.
pub(crate) struct Scan {
    pub(crate) index: Index,
    /// Bytes before this are durable by the word of a valid frame.
    pub(crate) synced: u32,
    pub(crate) reserved: u64,
    pub(crate) marked: Marked,
    /// What is wrong at the end, if it is not an end word or a seal.
    pub(crate) bad: Option<&'static str>,
}

/// Walks over a segment from its header to its seal, its end, or the first bad frame.
pub(crate) fn scan(
    segment: &Arc<Segment>,
    read_ahead: u32,
    mut each: impl FnMut(Frame),
) -> Result<Scan> {
    let header = &segment.header;
    let mut walk = Walk::whole(Arc::clone(segment), read_ahead);
    let index = Index::empty(header);
    let mut scan = Scan {
        index,
        synced: HEADER_BYTES,
        reserved: 0,
        marked: Marked::No,
        bad: None,
    };
    let mut filler = false;
    while !scan.index.sealed {
        let (offset, head, body) = match walk.step()? {
            Step::Frame { offset, head, body } => (offset, head, body),
            Step::End { .. } => break,
            Step::Bad { what, .. } => {
                scan.bad = Some(what);
                break;
            }
        };
        let position = header.base + u64::from(head.position);
        let reserved = match head.role {
            Role::Reserve => read_u64(&body, 0).unwrap_or(0),
            Role::Commit | Role::Group | Role::Mark | Role::Seal => 0,
        };
        let farthest = header.base.saturating_add(POSITIONS_MAX);
        let told = scan.index.next_position..=farthest;
        let fits = told.contains(&position) && reserved <= farthest && head.synced <= offset;
        let found = frame::summary(head.role, head.time, &body, |_, _| {});
        let Some(found) = found.filter(|_| fits) else {
            scan.bad = Some("the contents of a frame do not fit together");
            break;
        };
        let (mut number, mut at) = (scan.index.next_number, position);
        let tags = &mut scan.index.tags;
        frame::summary(head.role, head.time, &body, |span, found| {
            let ops = body.slice(span.start..span.end);
            frame::contents(&ops, |op| {
                if op.kind == frame::APPEND {
                    tags.add(op.tag);
                }
            });
            each(Frame {
                number,
                position: at,
                time: span.time,
                body: ops,
            });
            number += 1;
            at += found.appends;
        });
        scan.synced = scan.synced.max(head.synced);
        scan.marked = match (head.role, body.len()) {
            (Role::Mark, 0) if filler => Marked::Closed,
            (Role::Mark, _) => Marked::Idle,
            _ => Marked::No,
        };
        filler = head.role == Role::Mark && !body.is_empty();
        match head.role {
            Role::Reserve => scan.reserved = reserved,
            Role::Mark => scan.reserved = 0,
            Role::Commit | Role::Group | Role::Seal => {}
        }
        scan.index.note(offset, position, &head, found);
    }
    Ok(scan)
}

/// Heads of frames of this generation behind an offset, wherever they lie.
#[derive(Default)]
pub(crate) struct Ahead {
    /// How far the furthest-reaching of them says that the segment was durable.
    pub(crate) synced: u32,
    /// Behind the last of them; 0 if there is none.
    pub(crate) end: u32,
}

pub(crate) fn look_ahead(segment: &Segment, from: u32) -> Result<Ahead> {
    let mut ahead = Ahead::default();
    each_head(segment, from, |offset, head| {
        let end = (offset + HEAD_BYTES as u32).saturating_add(head.length);
        ahead.synced = ahead.synced.max(head.synced);
        ahead.end = ahead.end.max(end.min(segment.header.bytes));
        true
    })?;
    Ok(ahead)
}

/// Finds valid heads of frames wherever they lie, until the function returns false.
pub(crate) fn each_head(
    segment: &Segment,
    from: u32,
    mut each: impl FnMut(u32, Head) -> bool,
) -> Result<()> {
    let room = segment.header.bytes.saturating_sub(from) as usize;
    let mut bytes = vec![0; LOOK_BYTES.min(room)];
    let mut at = from;
    while segment.header.bytes.saturating_sub(at) >= HEAD_BYTES as u32 {
        // What was never written has no head; one may end behind it.
        let written = segment.file.next_written(at.into());
        let written = written.map_err(|e| Error::io("look into", &segment.name, e))?;
        let Some(written) = written.and_then(|written| u32::try_from(written).ok()) else {
            break;
        };
        at = at.max(written.saturating_sub(HEAD_BYTES as u32 - 1));
        let count = read_full(&segment.file, &mut bytes, u64::from(at))
            .map_err(|e| Error::io("read", &segment.name, e))?;
        let window = bytes.get(..count).unwrap_or_default();
        // Blocks without any role byte are passed over at the speed of memory.
        let roles = window.get(ROLE_OFFSET..).unwrap_or_default();
        for (block, bytes) in roles.chunks(LOOK_BLOCK).enumerate() {
            if !bytes
                .iter()
                .fold(false, |any, byte| any | frame::ROLES.contains(byte))
            {
                continue;
            }
            for distance in block * LOOK_BLOCK..block * LOOK_BLOCK + bytes.len() {
                let offset = at + distance as u32;
                let candidate = window.get(distance..).unwrap_or_default();
                if let Some(head) = Head::decode(candidate, segment.salt, offset)
                    && could_stand(segment, offset, &head)
                    && !each(offset, head)
                {
                    return Ok(());
                }
            }
        }
        if count < LOOK_BYTES {
            break;
        }
        at += (LOOK_BYTES - HEAD_BYTES + 1) as u32;
    }
    Ok(())
}

/// Whether the writer can have put a head there. Behind the end of a recycled segment lie millions of
/// bytes at each of which an old payload is tried against a checksum of 32 bits: one of some
/// thousand such segments has a match by chance, and must not be taken for damage.
fn could_stand(segment: &Segment, offset: u32, head: &Head) -> bool {
    let room = segment.header.bytes.saturating_sub(offset);
    (HEADER_BYTES..=offset).contains(&head.synced)
        && head.length <= room.saturating_sub(HEAD_BYTES as u32)
        && u64::from(head.position) <= POSITIONS_MAX
}

/// Opens the log on a storage; see [`Log::open_on`].
pub(crate) fn open(
    storage: Arc<dyn Storage>,
    options: Options,
) -> Result<(Writer, Log, Recovered)> {
    // What is somebody else's directory gets not even a lock.
    let names = storage.list("").map_err(|e| Error::io("list", ".", e))?;
    backup::refuse(&names)?;
    if !names.iter().any(|name| generation_of(name).is_some()) {
        refuse_foreign(&names)?;
    }
    let lock = take_lock(&*storage)?;
    let names = storage.list("").map_err(|e| Error::io("list", ".", e))?;
    backup::refuse(&names)?;
    open_locked(storage, options, lock)
}

/// Opens the log on a storage of which the lock is held.
pub(crate) fn open_locked(
    storage: Arc<dyn Storage>,
    options: Options,
    lock: Box<dyn Lock>,
) -> Result<(Writer, Log, Recovered)> {
    // A process that ended between a rename and its sync left a name that only this one makes
    // durable.
    storage
        .sync_dir("")
        .map_err(|e| Error::io("sync", ".", e))?;
    let names = storage.list("").map_err(|e| Error::io("list", ".", e))?;
    let files = OpenFiles::new(Arc::clone(&storage));
    let mut segments = open_segments(&*storage, &names, &files)?;
    if segments.is_empty() {
        segments.push(Arc::new(create_first(&*storage, &names, &options)?));
    }
    let last = settle_segments(&*storage, &mut segments, options.read_ahead)?;
    let segment = segments
        .last()
        .cloned()
        .expect("a log has at least one segment");
    let cut = settle_tail(&*storage, &segment, &last)?;
    let snapshots = snapshot::load(&*storage, &segment.header.log, &names)?;
    check_snapshot(&segments, &last, snapshots.newest.as_ref())?;

    let clean = last.marked != Marked::No && cut.is_none();
    let visible = Visible {
        next_position: last.index.next_position,
        next_number: last.index.next_number,
        generation: segment.header.generation,
        end: last.index.end,
    };
    let tail = Tail {
        end: last.index.end,
        chain: last.index.chain,
        synced: last.index.end,
        next_number: last.index.next_number,
        next_position: match is_planted("reuse-positions") {
            true => last.index.next_position,
            false => last.index.next_position.max(last.reserved),
        },
        last_time: last.index.last_time,
        last_other: last.index.last_other,
        reserved: 0,
        marked: if clean { last.marked } else { Marked::No },
        segment: Arc::clone(&segment),
    };
    *segment.index_mut() = last.index;
    // One of those may have been written, to be repaired.
    let sealed = segments
        .iter()
        .filter(|other| !Arc::ptr_eq(other, &segment));
    sealed.for_each(|other| other.file.lend(&files));
    let segments: VecDeque<_> = segments.into();
    let storage = (storage, files);
    let shared = Arc::new(Shared::new(storage, options, lock, segments, visible));
    locked(&shared.spares).extend(names.into_iter().filter(|name| retention::is_spare(name)));
    *locked(&shared.snapshots) = snapshots.kept;
    let log = Log {
        shared: Arc::clone(&shared),
    };
    let recovered = Recovered {
        snapshot: snapshots.newest,
        clean,
        cut,
        damaged_snapshots: snapshots.damaged,
        log: log.clone(),
    };
    Ok((Writer::new(shared, tail), log, recovered))
}

pub(crate) fn take_lock(storage: &dyn Storage) -> Result<Box<dyn Lock>> {
    storage.lock(LOCK).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::new(ErrorKind::Locked),
        _ => Error::io("lock", LOCK, error),
    })
}

/// Opens all segments, oldest first, and checks that they are of one log and without gaps.
fn open_segments(
    storage: &dyn Storage,
    names: &[String],
    files: &Arc<OpenFiles>,
) -> Result<Vec<Arc<Segment>>> {
    let mut generations: Vec<u64> = names
        .iter()
        .filter_map(|name| generation_of(name))
        .collect();
    generations.sort_unstable();
    let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(generations.len());
    for generation in generations {
        let name = file_name(generation);
        let segment = Segment::open(storage, &name)?;
        segment.file.lend(files);
        if let Some(before) = segments.last() {
            if before.header.log != segment.header.log {
                return Err(Error::new(ErrorKind::ForeignSegment { file: name }));
            }
            let expected = before.header.generation + 1;
            if generation != expected {
                let file = file_name(expected);
                return Err(Error::new(ErrorKind::MissingSegment { file }));
            }
        }
        segments.push(Arc::new(segment));
    }
    Ok(segments)
}

/// Whether a file may lie where a log begins: ours, from a start that was cut short, or hidden.
fn may_be_there(name: &str) -> bool {
    name == LOCK
        || name == backup::PIN
        || name.starts_with('.')
        || name == snapshot::TEMPORARY
        || retention::is_spare(name)
        || index_file::is_index(name)
}

/// Refuses a directory without segments that is not one in which a log may begin.
fn refuse_foreign(names: &[String]) -> Result<()> {
    if names.iter().any(|name| snapshot::frame_of(name).is_some()) {
        let file = file_name(1);
        return Err(Error::new(ErrorKind::MissingSegment { file }));
    }
    match names.iter().find(|name| !may_be_there(name)).cloned() {
        Some(file) => Err(Error::new(ErrorKind::Foreign { file })),
        None => Ok(()),
    }
}

/// Begins a new log, unless something says that there was one.
fn create_first(storage: &dyn Storage, names: &[String], options: &Options) -> Result<Segment> {
    refuse_foreign(names)?;
    let header = Header {
        version: FORMAT_VERSION,
        log: storage
            .unique()
            .map_err(|e| Error::io("draw a random id for", ".", e))?,
        generation: 1,
        base: 1,
        number: 1,
        last_other: 0,
        bytes: options.segment_bytes,
        previous: 0,
    };
    let made = retention::make_segment(storage, header, None);
    made.map_err(|(MakeStep::Prepare | MakeStep::Sync, error)| {
        Error::io("create", &file_name(1), error)
    })
}

/// Checks that every segment but the last is sealed and continued by the next; returns what is in
/// the last. A segment that was made for a roll which a crash cut short is removed.
fn settle_segments(
    storage: &dyn Storage,
    segments: &mut Vec<Arc<Segment>>,
    read_ahead: u32,
) -> Result<Scan> {
    let mut before: Option<(Arc<Segment>, Scan)> = None;
    for (at, segment) in segments.clone().iter().enumerate() {
        let last = at + 1 == segments.len();
        let stored = if last {
            None
        } else {
            index_file::load(storage, &segment.header)
        };
        let found = match stored {
            // Written after the seal was synced.
            Some(index) => Scan {
                synced: index.end,
                index,
                reserved: 0,
                marked: Marked::No,
                bad: None,
            },
            None => scan(segment, read_ahead, |_| {})?,
        };
        if let Some((old, sealed)) = before.take() {
            if !sealed.index.sealed {
                let untouched = last && look_ahead(segment, HEADER_BYTES)?.end == 0;
                if !untouched {
                    let what = sealed.bad.unwrap_or("the segment ends without its seal");
                    return Err(Error::corrupt(&old.name, sealed.index.end.into(), what));
                }
                storage
                    .remove(&segment.name)
                    .and_then(|()| storage.sync_dir(""))
                    .map_err(|e| Error::io("remove the unused", &segment.name, e))?;
                segments.pop();
                return Ok(sealed);
            }
            check_successor(&sealed.index, segment)?;
            if found.index.end == HEADER_BYTES {
                // Only a frame here would prove that the seal there was synced.
                rewrite_tail(&old, sealed.synced, sealed.index.end, 0)
                    .map_err(|e| Error::io("repair the end of", &old.name, e))?;
            }
            *old.index_mut() = sealed.index;
        }
        before = Some((Arc::clone(segment), found));
    }
    let (_, last) = before.expect("a log has at least one segment");
    Ok(last)
}

/// Whether a segment continues a sealed one.
pub(crate) fn check_successor(old: &Index, segment: &Segment) -> Result<()> {
    let header = &segment.header;
    let continues = header.previous == old.chain
        && header.number == old.next_number
        && header.base >= old.next_position;
    if continues {
        return Ok(());
    }
    Err(Error::corrupt(
        &segment.name,
        0,
        "the segment does not continue the one before",
    ))
}

/// Decides what the bytes behind the last valid frame are, and makes the tail ready to be written:
/// everything before its end is durable, and nothing of its generation lies behind.
fn settle_tail(storage: &dyn Storage, segment: &Segment, last: &Scan) -> Result<Option<Cut>> {
    let end = last.index.end;
    if last.index.sealed {
        let file = file_name(segment.header.generation + 1);
        return Err(Error::new(ErrorKind::MissingSegment { file }));
    }
    let ahead = look_ahead(segment, end)?;
    if ahead.synced > end && !is_planted("truncate-corruption") {
        let what = last.bad.unwrap_or("a frame that was durable is not there");
        return Err(Error::corrupt(&segment.name, end.into(), what));
    }
    let torn = last.bad.is_some() || ahead.end > 0;
    let cut = if torn {
        keep_cut(storage, segment, end, ahead.end)?
    } else {
        None
    };
    // Also behind a mark: what it says of all before it is true, but it may itself be in a page that
    // a failed sync left behind as clean.
    rewrite_tail(segment, last.synced, end, ahead.end)
        .map_err(|e| Error::io("repair the tail of", &segment.name, e))?;
    Ok(cut)
}

/// Copies the torn tail to `quarantine/`.
fn keep_cut(storage: &dyn Storage, segment: &Segment, from: u32, to: u32) -> Result<Option<Cut>> {
    let room = (segment.header.bytes - from) as usize;
    let wanted = (to.saturating_sub(from) as usize)
        .max(QUARANTINE_BYTES_MAX)
        .min(room);
    let mut bytes = vec![0; wanted];
    let count = read_full(&segment.file, &mut bytes, from.into())
        .map_err(|e| Error::io("read", &segment.name, e))?;
    bytes.truncate(count);
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    let kept_in = format!("{QUARANTINE}/{}-{from}.cut", segment.name);
    keep(storage, &kept_in, &bytes).map_err(|e| Error::io("write", &kept_in, e))?;
    let (file, bytes) = (segment.name.clone(), bytes.len() as u64);
    Ok(Some(Cut {
        file,
        offset: from.into(),
        bytes,
        kept_in,
    }))
}

/// Writes a durable file below `quarantine/`; an older one of the same name is replaced.
fn keep(storage: &dyn Storage, name: &str, bytes: &[u8]) -> io::Result<()> {
    storage.create_dir(QUARANTINE)?;
    storage.sync_dir("")?;
    match storage.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = storage.create(name)?;
    write_all(&*file, bytes, 0)?;
    file.sync_data()?;
    storage.sync_dir(QUARANTINE)
}

/// Writes again what no frame calls durable, then syncs: after a failed sync in an earlier process
/// the kernel may hold pages that it calls clean and that never reached the disk.
fn rewrite_tail(segment: &Segment, from: u32, end: u32, wipe_to: u32) -> io::Result<()> {
    let mut bytes = vec![0; (end - from) as usize];
    let count = read_full(&segment.file, &mut bytes, from.into())?;
    bytes.truncate(count);
    let wiped = wipe_to.saturating_sub(end).max(END_BYTES as u32);
    bytes.resize(
        bytes.len() + wiped.min(segment.header.bytes - end) as usize,
        0,
    );
    write_all(&segment.file, &bytes, from.into())?;
    segment.file.sync_data()
}

/// Checks that no state was lost: neither frames that the snapshot reflects, nor frames between
/// the snapshot and the first segment.
fn check_snapshot(segments: &[Arc<Segment>], last: &Scan, newest: Option<&Snapshot>) -> Result<()> {
    let first = segments.first().expect("a log has at least one segment");
    let tail = segments.last().expect("a log has at least one segment");
    let reflected = newest.map_or(0, |snapshot| snapshot.frame);
    if first.header.last_other > reflected {
        return Err(Error::corrupt(
            &first.name,
            0,
            "no snapshot holds the state before it",
        ));
    }
    if reflected >= last.index.next_number {
        let end = last.index.end.into();
        return Err(Error::corrupt(
            &tail.name,
            end,
            "frames that a snapshot reflects are gone",
        ));
    }
    Ok(())
}
