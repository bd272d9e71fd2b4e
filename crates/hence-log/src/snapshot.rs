//! Snapshots: bytes of the caller that stand for all commits up to one, so that older segments can
//! go and opening need not replay them.
//!
//! ```text
//!   0  8  "HENCESNP"        16 16  log id              48  4  CRC-32C of the bytes
//!   8  4  version (1)       32  8  commit reflected    52  4  CRC-32C of bytes 0..52
//!  12  4  CRC of 0..12      40  8  length              56  …  the bytes
//! ```

use std::io;
use std::sync::PoisonError;

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::frame::{read_u32, read_u64};
use crate::log::{Log, locked};
use crate::recovery::QUARANTINE;
use crate::segment::HEADER_BYTES;
use crate::storage::{File, Storage, read_full, write_all};

/// Snapshots that are kept: the newest, and one to fall back on.
pub(crate) const SNAPSHOTS_KEPT: usize = 2;
/// The largest snapshot, in bytes.
pub(crate) const SNAPSHOT_BYTES_MAX: usize = 1 << 30;

const MAGIC: &[u8; 8] = b"HENCESNP";
const VERSION: u32 = 1;
const HEAD: usize = 56;
const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".hsnp";
pub(crate) const TEMPORARY: &str = "snapshot.new";

/// Bytes that stand for all commits up to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The number of the last commit that the bytes reflect.
    pub frame: u64,
    /// What the caller stored.
    pub bytes: Bytes,
}

/// What is stored of snapshots.
pub(crate) struct Stored {
    pub(crate) newest: Option<Snapshot>,
    /// The commits that intact snapshots reflect, oldest first.
    pub(crate) kept: Vec<u64>,
    pub(crate) damaged: Vec<String>,
}

fn file_name(frame: u64) -> String {
    format!("{PREFIX}{frame:020}{SUFFIX}")
}

/// The commit that a snapshot reflects, by its file name.
pub(crate) fn frame_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?
        .strip_suffix(SUFFIX)?
        .parse()
        .ok()
}

fn encode_head(log: &[u8; 16], frame: u64, (length, crc): (u64, u32)) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&crc32c::crc32c(&head).to_le_bytes());
    head.extend_from_slice(log);
    head.extend_from_slice(&frame.to_le_bytes());
    head.extend_from_slice(&length.to_le_bytes());
    head.extend_from_slice(&crc.to_le_bytes());
    head.extend_from_slice(&crc32c::crc32c(&head).to_le_bytes());
    head
}

/// The log whose snapshot bytes say that they are; they may lie.
pub(crate) fn log_of(bytes: &Bytes) -> Option<[u8; 16]> {
    bytes.get(16..)?.first_chunk().copied()
}

/// Reads a snapshot; `None` if it is damaged or of another log.
pub(crate) fn decode(log: &[u8; 16], name: &str, bytes: &Bytes) -> Result<Option<Snapshot>> {
    let parse = || {
        let intact =
            bytes.starts_with(MAGIC) && read_u32(bytes, 12)? == crc32c::crc32c(bytes.get(..12)?);
        intact.then_some(read_u32(bytes, 8)?)
    };
    let Some(version) = parse() else {
        return Ok(None);
    };
    if version > VERSION {
        let file = name.to_owned();
        return Err(Error::new(ErrorKind::Format {
            file,
            found: version,
        }));
    }
    let parse = || {
        let body = bytes.get(HEAD..)?;
        let frame = read_u64(bytes, 32)?;
        let intact = read_u32(bytes, 52)? == crc32c::crc32c(bytes.get(..52)?)
            && bytes.get(16..32)? == log
            && frame_of(name) == Some(frame)
            && read_u64(bytes, 40)? == body.len() as u64
            && read_u32(bytes, 48)? == crc32c::crc32c(body);
        intact.then(|| Snapshot {
            frame,
            bytes: bytes.slice(HEAD..),
        })
    };
    Ok(parse())
}

/// Reads the file of a snapshot.
pub(crate) fn read(storage: &dyn Storage, name: &str) -> io::Result<Bytes> {
    read_open(&*storage.open(name)?)
}

/// Reads the open file of a snapshot.
pub(crate) fn read_open(file: &dyn File) -> io::Result<Bytes> {
    let limit = (SNAPSHOT_BYTES_MAX + HEAD) as u64;
    let mut bytes = vec![0; file.length()?.min(limit) as usize];
    let count = read_full(file, &mut bytes, 0)?;
    bytes.truncate(count);
    Ok(bytes.into())
}

/// Reads the newest intact snapshot, and moves damaged ones out of the way.
pub(crate) fn load(storage: &dyn Storage, log: &[u8; 16], names: &[String]) -> Result<Stored> {
    let mut found: Vec<&String> = names
        .iter()
        .filter(|name| frame_of(name).is_some())
        .collect();
    found.sort_unstable();
    let mut stored = Stored {
        newest: None,
        kept: Vec::new(),
        damaged: Vec::new(),
    };
    for name in found {
        let bytes = read(storage, name).map_err(|e| Error::io("read", name, e))?;
        if let Some(snapshot) = decode(log, name, &bytes)? {
            stored.kept.push(snapshot.frame);
            stored.newest = Some(snapshot);
        } else {
            set_aside(storage, name).map_err(|e| Error::io("set aside", name, e))?;
            stored.damaged.push(name.clone());
        }
    }
    Ok(stored)
}

fn set_aside(storage: &dyn Storage, name: &str) -> io::Result<()> {
    storage.create_dir(QUARANTINE)?;
    storage.rename(name, &format!("{QUARANTINE}/{name}"))?;
    storage.sync_dir(QUARANTINE)?;
    storage.sync_dir("")
}

impl Log {
    /// How many bytes of the log there are behind a commit, a stride of the index more or less.
    pub fn bytes_behind(&self, frame: u64) -> u64 {
        let segments = self.shared.segments.read();
        let segments = segments.unwrap_or_else(PoisonError::into_inner);
        let bytes = segments.iter().rev().map_while(|segment| {
            let index = segment.index();
            (index.next_number > frame + 1).then(|| {
                let before = index.entries.partition_point(|entry| entry.number <= frame);
                let entry = before.checked_sub(1).and_then(|at| index.entries.get(at));
                let from = entry.map_or(HEADER_BYTES, |entry| entry.offset);
                u64::from(index.end.saturating_sub(from))
            })
        });
        bytes.sum()
    }

    /// Stores bytes that stand for all commits up to `frame`, in one step: after a crash either
    /// this snapshot is there or the ones before it. The one before is kept too.
    ///
    /// # Errors
    /// `SnapshotAhead` if the commit is not durable yet: a snapshot must never know more than the
    /// log after a loss of power.
    pub fn store_snapshot(&self, frame: u64, bytes: &[u8]) -> Result<()> {
        self.store_snapshot_with(frame, |out| out.write_all(bytes))
    }

    /// As [`Log::store_snapshot`], of bytes that are written piece by piece, so that they need not
    /// be in memory as a whole.
    ///
    /// # Errors
    /// As [`Log::store_snapshot`].
    pub fn store_snapshot_with(
        &self,
        frame: u64,
        fill: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<()> {
        let durable = self.durable_frame();
        if frame > durable {
            return Err(Error::new(ErrorKind::SnapshotAhead { durable }));
        }
        let storage = &*self.shared.storage;
        let name = file_name(frame);
        // Held throughout: two snapshots at once would share the temporary name.
        let mut kept = locked(&self.shared.snapshots);
        write(storage, &name, (&self.shared.id, frame), fill).map_err(|e| match e.kind() {
            // Ours: that of the system has a number, and another cure.
            io::ErrorKind::FileTooLarge if e.raw_os_error().is_none() => {
                let limit = SNAPSHOT_BYTES_MAX;
                Error::new(ErrorKind::TooLarge { limit })
            }
            io::ErrorKind::StorageFull => Error::because(ErrorKind::Full, e),
            _ => Error::io("store", &name, e),
        })?;
        kept.retain(|&other| other != frame);
        kept.push(frame);
        kept.sort_unstable();
        while kept.len() > SNAPSHOTS_KEPT {
            let oldest = file_name(kept.remove(0));
            storage
                .remove(&oldest)
                .map_err(|e| Error::io("remove", &oldest, e))?;
        }
        Ok(())
    }
}

/// The bytes of a snapshot on their way into its file.
struct Body<'a> {
    file: &'a dyn File,
    length: u64,
    crc: u32,
}

impl io::Write for Body<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.length + bytes.len() as u64;
        if length > SNAPSHOT_BYTES_MAX as u64 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        write_all(self.file, bytes, HEAD as u64 + self.length)?;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.length = length;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(
    storage: &dyn Storage,
    name: &str,
    (log, frame): (&[u8; 16], u64),
    fill: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
) -> io::Result<()> {
    match storage.remove(TEMPORARY) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = storage.create(TEMPORARY)?;
    let mut body = Body {
        file: &*file,
        length: 0,
        crc: 0,
    };
    fill(&mut body)?;
    // Its length and its sum are known only now.
    let head = encode_head(log, frame, (body.length, body.crc));
    write_all(&*file, &head, 0)?;
    file.sync_data()?;
    storage.rename(TEMPORARY, name)?;
    storage.sync_dir("")
}
