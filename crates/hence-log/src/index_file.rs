//! The index of a sealed segment in a file of its own: a copy of what the segment says, so that
//! opening need not read it. It is not synced and never needed: one that is missing or damaged is
//! made again from the segment.
//!
//! ```text
//!   0  8  "HENCEIDX"      32  8  generation           72  4  end of the frames
//!   8  4  version (1)     40  8  next commit          76  4  head CRC of the seal
//!  12  4  CRC of 0..12    48  8  next position        80  4  entries
//!  16 16  log id          56  8  last time            84  4  tags, or 2^32 - 1 for any
//!                         64  8  last other commit    88  …  entries, tags
//!   entry: position 8, commit 8, offset 4;  tag: 4;  then CRC-32C of all before
//! ```

use std::io;

use crate::frame::{read_u32, read_u64};
use crate::segment::{Entry, HEADER_BYTES, Header, Index, Segment, Tags, is_number};
use crate::storage::{Storage, read_full, write_all};

const MAGIC: &[u8; 8] = b"HENCEIDX";
const VERSION: u32 = 1;
const HEAD: usize = 88;
const ENTRY: usize = 20;
/// The largest index that is read.
const INDEX_BYTES_MAX: u64 = 16 << 20;

/// The name of the index of a generation.
pub(crate) fn file_name(generation: u64) -> String {
    format!("index-{generation:020}.hidx")
}

/// Whether a file has the name of an index.
pub(crate) fn is_index(name: &str) -> bool {
    name.starts_with("index-") && name.ends_with(".hidx")
}

fn encode(header: &Header, index: &Index) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + index.entries.len() * ENTRY);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out.extend_from_slice(&header.log);
    let numbers = [
        header.generation,
        index.next_number,
        index.next_position,
        index.last_time,
        index.last_other,
    ];
    numbers
        .iter()
        .for_each(|field| out.extend_from_slice(&field.to_le_bytes()));
    let (count, tags) = match &index.tags {
        Tags::Some(tags) => (tags.len() as u32, tags.as_slice()),
        Tags::Any => (u32::MAX, &[][..]),
    };
    let sizes = [index.end, index.chain, index.entries.len() as u32, count];
    sizes
        .iter()
        .for_each(|field| out.extend_from_slice(&field.to_le_bytes()));
    for entry in &index.entries {
        out.extend_from_slice(&entry.position.to_le_bytes());
        out.extend_from_slice(&entry.number.to_le_bytes());
        out.extend_from_slice(&entry.offset.to_le_bytes());
    }
    tags.iter()
        .for_each(|tag| out.extend_from_slice(&tag.to_le_bytes()));
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

fn decode(header: &Header, bytes: &[u8]) -> Option<Index> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    let mine = body.starts_with(MAGIC)
        && read_u32(body, 8)? == VERSION
        && u32::from_le_bytes(*crc) == crc32c::crc32c(body)
        && body.get(16..32)? == header.log
        && read_u64(body, 32)? == header.generation;
    if !mine {
        return None;
    }
    let (count, tags) = (read_u32(body, 80)? as usize, read_u32(body, 84)?);
    let (entries, tag_bytes) = body
        .get(HEAD..)?
        .split_at_checked(count.checked_mul(ENTRY)?)?;
    let entry = |bytes: &[u8]| {
        let (position, number) = (read_u64(bytes, 0)?, read_u64(bytes, 8)?);
        Some(Entry {
            position,
            number,
            offset: read_u32(bytes, 16)?,
        })
    };
    let tags = match tags {
        u32::MAX => Tags::Any,
        _ => Tags::Some(
            tag_bytes
                .chunks_exact(4)
                .filter_map(|t| read_u32(t, 0))
                .collect(),
        ),
    };
    let found = Index {
        entries: entries.chunks_exact(ENTRY).filter_map(entry).collect(),
        tags,
        end: read_u32(body, 72)?,
        sealed: true,
        chain: read_u32(body, 76)?,
        next_number: read_u64(body, 40)?,
        next_position: read_u64(body, 48)?,
        last_time: read_u64(body, 56)?,
        last_other: read_u64(body, 64)?,
    };
    let fits = (HEADER_BYTES..=header.bytes).contains(&found.end)
        && is_number(found.next_number)
        && found.next_number >= header.number
        && is_number(found.next_position)
        && found.next_position >= header.base;
    fits.then_some(found)
}

/// Reads the index of a sealed segment, if there is an intact one.
pub(crate) fn load(storage: &dyn Storage, header: &Header) -> Option<Index> {
    let file = storage.open(&file_name(header.generation)).ok()?;
    let mut bytes = vec![0; file.length().ok()?.min(INDEX_BYTES_MAX) as usize];
    let count = read_full(&*file, &mut bytes, 0).ok()?;
    decode(header, bytes.get(..count)?)
}

/// Writes the index of a sealed segment. The result may be ignored.
pub(crate) fn store(storage: &dyn Storage, segment: &Segment) -> io::Result<()> {
    let bytes = encode(&segment.header, &segment.index());
    let name = file_name(segment.header.generation);
    remove(storage, segment.header.generation)?;
    write_all(&*storage.create(&name)?, &bytes, 0)
}

/// Removes the index of a segment, if there is one.
pub(crate) fn remove(storage: &dyn Storage, generation: u64) -> io::Result<()> {
    match storage.remove(&file_name(generation)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
