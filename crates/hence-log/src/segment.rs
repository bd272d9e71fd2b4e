//! The segment: one file of fixed size, its header, its sparse index, and a walk over its frames.

use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::frame::{
    self, END_BYTES, FORMAT_VERSION, HEAD_BYTES, Head, Role, Summary, read_u32, read_u64,
};
use crate::open_files::SegmentFile;
use crate::storage::{self, File, Storage};

/// Bytes of the header of a segment: one sector, so that it is written whole or not at all.
pub(crate) const HEADER_BYTES: u32 = 512;
/// The smallest segment, for tests.
pub const SEGMENT_BYTES_MIN: u32 = 4 << 10;
/// The largest segment.
pub const SEGMENT_BYTES_MAX: u32 = 1 << 30;
/// Bytes between two entries of the sparse index.
pub(crate) const INDEX_STRIDE: u32 = 64 << 10;
/// Distinct tags that an index lists; with more it says nothing about tags.
pub(crate) const TAGS_MAX: usize = 1024;
/// How far positions of a segment lie from its base, at most: so far that gaps fit, and so near that
/// every append that fits behind them still has a position that a frame can tell.
pub(crate) const POSITIONS_MAX: u64 = 3 << 30;
/// Bytes that must stay free behind the frames of a segment: a seal and the end word.
pub(crate) const TRAILER_BYTES: u32 = (HEAD_BYTES + END_BYTES) as u32;

/// The largest number that is believed.
const NUMBER_MAX: u64 = 1 << 62;

const MAGIC: &[u8; 8] = b"HENCELOG";
const PREFIX: &str = "segment-";
const SUFFIX: &str = ".hlog";

/// The file name of a generation.
pub(crate) fn file_name(generation: u64) -> String {
    format!("{PREFIX}{generation:020}{SUFFIX}")
}

/// The generation that a file name stands for.
pub(crate) fn generation_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    digits
        .parse()
        .ok()
        .filter(|&generation| is_number(generation) && file_name(generation) == name)
}

/// Whether a generation, a commit or a position can have this number: all count from 1, and none
/// comes near the end of what 64 bits hold.
pub(crate) fn is_number(number: u64) -> bool {
    (1..=NUMBER_MAX).contains(&number)
}

/// What the first sector of a segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The format of its frames.
    pub(crate) version: u32,
    pub(crate) log: [u8; 16],
    pub(crate) generation: u64,
    /// The position of the first append in this segment.
    pub(crate) base: u64,
    /// The number of the first commit in this segment.
    pub(crate) number: u64,
    /// The last commit before this segment with an operation other than append, or 0.
    pub(crate) last_other: u64,
    pub(crate) bytes: u32,
    /// Head CRC of the frame before.
    pub(crate) previous: u32,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut fields = Vec::with_capacity(HEADER_BYTES as usize);
        fields.extend_from_slice(MAGIC);
        fields.extend_from_slice(&self.version.to_le_bytes());
        fields.extend_from_slice(&crc32c::crc32c(&fields).to_le_bytes());
        fields.extend_from_slice(&self.log);
        for field in [self.generation, self.base, self.number, self.last_other] {
            fields.extend_from_slice(&field.to_le_bytes());
        }
        fields.extend_from_slice(&self.bytes.to_le_bytes());
        fields.extend_from_slice(&self.previous.to_le_bytes());
        fields.resize(HEADER_BYTES as usize - 4, 0);
        fields.extend_from_slice(&crc32c::crc32c(&fields).to_le_bytes());
        fields
            .try_into()
            .expect("the fields fill the header exactly")
    }

    pub(crate) fn decode(bytes: &[u8], name: &str) -> Result<Self> {
        let damaged = |what| Error::corrupt(name, 0, what);
        let parse = || {
            let version = read_u32(bytes, 8)?;
            let intact = bytes.starts_with(MAGIC)
                && read_u32(bytes, 12)? == crc32c::crc32c(bytes.get(..12)?);
            intact.then_some(version)
        };
        let version = parse().ok_or_else(|| damaged("not the header of a segment"))?;
        if version > FORMAT_VERSION {
            let file = name.to_owned();
            return Err(Error::new(ErrorKind::Format {
                file,
                found: version,
            }));
        }
        let parse = || {
            let body = bytes.get(..HEADER_BYTES as usize - 4)?;
            if read_u32(bytes, HEADER_BYTES as usize - 4)? != crc32c::crc32c(body) {
                return None;
            }
            Some(Self {
                version,
                log: *bytes.get(16..)?.first_chunk()?,
                generation: read_u64(bytes, 32)?,
                base: read_u64(bytes, 40)?,
                number: read_u64(bytes, 48)?,
                last_other: read_u64(bytes, 56)?,
                bytes: read_u32(bytes, 64)?,
                previous: read_u32(bytes, 68)?,
            })
        };
        let header = parse().ok_or_else(|| damaged("the header fails its checksum"))?;
        let numbers = [header.generation, header.base, header.number];
        let sizes = SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX;
        if numbers.into_iter().all(is_number) && sizes.contains(&header.bytes) {
            Ok(header)
        } else {
            Err(damaged("the header makes no sense"))
        }
    }
}

/// One entry of the sparse index: a frame, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) number: u64,
    pub(crate) offset: u32,
}

/// The tags of the appends in a segment; it may list more than there are, never fewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    /// Sorted.
    Some(Vec<u32>),
    Any,
}

impl Tags {
    pub(crate) fn add(&mut self, tag: u32) {
        if let Self::Some(list) = self
            && let Err(at) = list.binary_search(&tag)
        {
            if list.len() < TAGS_MAX {
                list.insert(at, tag);
            } else {
                *self = Self::Any;
            }
        }
    }

    pub(crate) fn hold_any_of(&self, wanted: &[u32]) -> bool {
        match self {
            Self::Any => true,
            Self::Some(list) => wanted.iter().any(|tag| list.binary_search(tag).is_ok()),
        }
    }
}

/// What is known of the frames of a segment without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) entries: Vec<Entry>,
    pub(crate) tags: Tags,
    /// Behind the last frame, seal included.
    pub(crate) end: u32,
    pub(crate) sealed: bool,
    /// Head CRC of the last frame.
    pub(crate) chain: u32,
    /// The next commit and the next position behind this segment.
    pub(crate) next_number: u64,
    pub(crate) next_position: u64,
    pub(crate) last_time: u64,
    /// The last commit up to here with an operation other than append, or 0.
    pub(crate) last_other: u64,
}

impl Index {
    pub(crate) fn empty(header: &Header) -> Self {
        Self {
            entries: Vec::new(),
            tags: Tags::Some(Vec::new()),
            end: HEADER_BYTES,
            sealed: false,
            chain: header.previous,
            next_number: header.number,
            next_position: header.base,
            last_time: 0,
            last_other: header.last_other,
        }
    }

    /// Takes note of a frame that lies at `offset` and behind all noted before.
    pub(crate) fn note(&mut self, offset: u32, position: u64, head: &Head, found: Summary) {
        self.chain = head.crc;
        self.end = offset + HEAD_BYTES as u32 + head.length;
        self.sealed = head.role == Role::Seal;
        // Behind a gap left by a crash this is the only trace of the positions given up.
        self.next_position = position;
        if found.commits == 0 {
            return;
        }
        let last = self.entries.last().map_or(0, |entry| entry.offset);
        if offset - last >= INDEX_STRIDE {
            self.entries.push(Entry {
                position,
                number: self.next_number,
                offset,
            });
        }
        if found.last_other > 0 {
            self.last_other = self.next_number + found.last_other - 1;
        }
        self.next_number += found.commits;
        self.next_position += found.appends;
        self.last_time = self.last_time.max(found.last_time);
    }
}

/// A segment that is part of the log.
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) header: Header,
    pub(crate) salt: u32,
    pub(crate) file: SegmentFile,
    index: RwLock<Index>,
}

impl Segment {
    /// A segment whose file is open, and stays so until it is lent.
    pub(crate) fn new(header: Header, file: Box<dyn File>) -> Self {
        let index = RwLock::new(Index::empty(&header));
        let salt = frame::salt(&header.log, header.generation);
        let name = file_name(header.generation);
        Self {
            file: SegmentFile::new(name.clone(), header.generation, file),
            name,
            header,
            salt,
            index,
        }
    }

    /// The same file under another header.
    pub(crate) fn with(self, header: Header) -> Self {
        let index = RwLock::new(Index::empty(&header));
        Self {
            header,
            index,
            ..self
        }
    }

    /// Opens a file and checks what its first sector says against its name.
    pub(crate) fn open(storage: &dyn Storage, name: &str) -> Result<Self> {
        let file = storage.open(name).map_err(|e| Error::io("open", name, e))?;
        let mut bytes = [0; HEADER_BYTES as usize];
        storage::read_full(&*file, &mut bytes, 0).map_err(|e| Error::io("read", name, e))?;
        let header = Header::decode(&bytes, name)?;
        if generation_of(name) != Some(header.generation) {
            return Err(Error::corrupt(
                name,
                0,
                "the file has the name of another segment",
            ));
        }
        let length = file.length().map_err(|e| Error::io("measure", name, e))?;
        if length != u64::from(header.bytes) {
            let end = length.min(u64::from(header.bytes));
            return Err(Error::corrupt(
                name,
                end,
                "the file does not have its full length",
            ));
        }
        Ok(Self::new(header, file))
    }

    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the file could not be read: it is opened again when it is, and may be gone by then.
    fn unread(&self, error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::NotFound {
            let file = self.name.clone();
            return Error::because(ErrorKind::MissingSegment { file }, error);
        }
        Error::io("read", &self.name, error)
    }

    /// The largest frame that fits.
    pub(crate) fn frame_bytes_max(bytes: u32) -> usize {
        let reservation = HEAD_BYTES as u32 + 8;
        (bytes - HEADER_BYTES - reservation - TRAILER_BYTES) as usize
    }
}

/// What lies at an offset of a segment.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A valid frame that continues the chain.
    Frame {
        offset: u32,
        head: Head,
        body: Bytes,
    },
    /// The end word, or no room for a frame.
    End { offset: u32 },
    /// Something else.
    Bad { offset: u32, what: &'static str },
}

/// A walk over the frames of a segment, each verified, with read-ahead.
pub(crate) struct Walk {
    segment: Arc<Segment>,
    offset: u32,
    /// Head CRC of the frame before; `None` accepts the first frame whatever it continues.
    chain: Option<u32>,
    buffer: Bytes,
    buffer_offset: u32,
    read_ahead: u32,
}

impl Walk {
    /// Over all frames.
    pub(crate) fn whole(segment: Arc<Segment>, read_ahead: u32) -> Self {
        let chain = Some(segment.header.previous);
        Self {
            chain,
            ..Self::from(segment, HEADER_BYTES, read_ahead)
        }
    }

    /// From a frame whose offset is known.
    pub(crate) fn from(segment: Arc<Segment>, offset: u32, read_ahead: u32) -> Self {
        Self {
            segment,
            offset,
            chain: None,
            buffer: Bytes::new(),
            buffer_offset: 0,
            read_ahead,
        }
    }

    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Where the next step begins.
    pub(crate) fn offset(&self) -> u32 {
        self.offset
    }

    /// Reads what is at the offset, and goes behind it if it is a frame.
    pub(crate) fn step(&mut self) -> Result<Step> {
        let offset = self.offset;
        let bad = |what| Ok(Step::Bad { offset, what });
        let limit = self.segment.header.bytes;
        if limit.saturating_sub(offset) < HEAD_BYTES as u32 {
            return Ok(Step::End { offset });
        }
        let bytes = self.fetch(offset, HEAD_BYTES as u32)?;
        if bytes.first_chunk() == Some(&[0; END_BYTES]) {
            return Ok(Step::End { offset });
        }
        let head = Head::decode(&bytes, self.segment.salt, offset);
        // Held no longer, so that the memory behind it can be used again.
        drop(bytes);
        let Some(head) = head else {
            return bad("the head of a frame fails its checksum");
        };
        let behind = offset + HEAD_BYTES as u32;
        if head.length > limit - behind {
            return bad("a frame reaches over the end of its segment");
        }
        let body = self.fetch(behind, head.length)?;
        if body.len() != head.length as usize || crc32c::crc32c(&body) != head.body_crc {
            return bad("the body of a frame fails its checksum");
        }
        if self.chain.is_some_and(|chain| chain != head.previous) {
            return bad("a frame does not continue the one before");
        }
        self.chain = Some(head.crc);
        self.offset = behind + head.length;
        Ok(Step::Frame { offset, head, body })
    }

    /// Bytes at an offset; fewer only where the file ends.
    fn fetch(&mut self, offset: u32, length: u32) -> Result<Bytes> {
        let slice = |buffer: &Bytes, begin: u32| {
            let from = offset.checked_sub(begin)? as usize;
            let to = from + length as usize;
            (to <= buffer.len()).then(|| buffer.slice(from..to))
        };
        if let Some(bytes) = slice(&self.buffer, self.buffer_offset) {
            return Ok(bytes);
        }
        let room = self.segment.header.bytes - offset;
        let wanted = length.max(self.read_ahead).min(room) as usize;
        // If nobody holds a part of what was read before, its memory is used again.
        let mut fresh = std::mem::take(&mut self.buffer)
            .try_into_mut()
            .unwrap_or_default();
        fresh.resize(wanted, 0);
        let segment = &self.segment;
        let count = storage::read_full(&segment.file, &mut fresh, u64::from(offset))
            .map_err(|e| segment.unread(e))?;
        fresh.truncate(count);
        // The disk works on while this is looked at; whoever reads little at once wants no more.
        if self.read_ahead > INDEX_STRIDE {
            let behind = u64::from(offset) + wanted as u64;
            segment.file.will_read(behind, 2 * wanted as u64);
        }
        self.buffer = fresh.freeze();
        self.buffer_offset = offset;
        Ok(self.buffer.slice(..count.min(length as usize)))
    }
}
