//! The frame: commits that are stored as one, the atomic unit of the log, and its bytes.
//!
//! All numbers are little-endian. A segment file is a header of 512 bytes, then frames without
//! gaps, then eight zero bytes (the *end word*), then bytes without meaning: zeros, or what an
//! earlier generation of a recycled file left there.
//!
//! ```text
//! segment header                        frame
//!   0  8  "HENCELOG"                      0  7  time, microseconds since 1970
//!   8  4  format version (2)              7  1  role: C1 commit, C2 mark, C3 seal, C4 reserve,
//!                                               C5 group
//!  12  4  CRC-32C of bytes 0..12          8  4  head CRC
//!  16 16  log id, random                 12  4  CRC-32C of the body
//!  32  8  generation, from 1             16  4  head CRC of the frame before (the chain)
//!  40  8  base: position of the first    20  4  length of the body
//!         append                         24  4  synced: bytes of this segment before this
//!  48  8  number of the first commit             offset were durable when the frame was made
//!  56  8  last commit before this        28  4  position of the first append, minus base
//!         segment with an operation      32  …  body: of a commit its operations, of a group
//!         other than append, or 0               its commits
//!  64  4  size of the file             operation
//!  68  4  head CRC of the frame before   0  1  kind: 0 append, others belong to the engine
//!  72  …  zeros                          1  4  tag
//! 508  4  CRC-32C of bytes 0..508        5  …  length of the body (LEB128, at most 5 bytes)
//!                                        …  …  body
//!                                      commit of a group
//!                                        0  4  length of the rest
//!                                        4  …  time minus that of the frame (zigzag LEB128)
//!                                        …  …  operations
//! ```
//!
//! * **Head CRC** = CRC-32C of: log id, generation (8), offset of the frame in the file (4), then
//!   bytes 0..8 and 12..32 of the frame. So a frame is valid only in the file, in the generation
//!   and at the offset for which it was made: neither a stale frame of a recycled file, nor a copy
//!   of a frame inside a payload, nor a misdirected write passes. The body is covered through its
//!   own CRC, so that a damaged body does not hide where the next frame begins.
//! * A **group** holds commits that were stored together, so that many small ones share a head and
//!   a checksum. Format 1 has none: there each commit is a frame. A frame is stored whole or not
//!   at all, so each commit in it is, too.
//! * **Commits** are numbered from 1; each append takes the next position, from 1. Marks, seals
//!   and reservations take neither. Positions of successive commits have a gap only after a crash
//!   behind a reservation.
//! * A **mark** says that all before it is durable: written when the log goes idle (empty body), and
//!   twice when it closes (1 to 4 KiB of zeros, then empty). A **seal** (empty body) is the last
//!   frame of a segment that has a successor. A **reservation** (body: 8 bytes, a position) says that positions below it may have been seen by
//!   readers of unsynced groups: after a crash numbering continues from it, unless a mark follows.
//! * The chain goes through all roles, and over segments through the segment header.

use bytes::Bytes;

use crate::planted::is_planted;

/// The format that this version writes; it reads this one and all before it.
pub const FORMAT_VERSION: u32 = 2;
/// The kind of an operation that appends: the only one that takes a position.
pub const APPEND: u8 = 0;
/// Bytes of a frame before its body.
pub(crate) const HEAD_BYTES: usize = 32;
/// Where in a head the role stands.
pub(crate) const ROLE_OFFSET: usize = 7;
/// Zero bytes behind the last frame.
pub(crate) const END_BYTES: usize = 8;
/// The largest time a frame can carry, in microseconds: the year 4253.
pub(crate) const TIME_MAX: u64 = (1 << 56) - 1;
/// The bytes that stand for a role.
pub(crate) const ROLES: std::ops::RangeInclusive<u8> = 0xC1..=0xC5;
/// Bytes of a commit in a group before its time.
pub(crate) const COMMIT_LENGTH_BYTES: usize = 4;
/// Bytes of an operation before its body, at most.
pub(crate) const OP_HEAD_BYTES_MAX: usize = 10;

/// One operation to be stored: a kind, a tag by which readers can skip segments, and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op<'a> {
    /// 0 takes a position; all others belong to the caller.
    pub kind: u8,
    /// An opaque number; readers may ask for some tags only.
    pub tag: u32,
    /// The bytes, stored as they are.
    pub body: &'a [u8],
}

impl<'a> Op<'a> {
    /// An operation that takes the next position.
    pub fn append(tag: u32, body: &'a [u8]) -> Self {
        Self {
            kind: APPEND,
            tag,
            body,
        }
    }

    /// An operation of the caller's own kind.
    pub fn other(kind: u8, tag: u32, body: &'a [u8]) -> Self {
        Self { kind, tag, body }
    }

    /// Appends the operation to a buffer.
    pub(crate) fn encode(&self, into: &mut bytes::BytesMut) {
        let mut head = [0; OP_HEAD_BYTES_MAX];
        let length = encode_op_head(&mut head, self.kind, self.tag, self.body.len());
        into.reserve(OP_HEAD_BYTES_MAX + self.body.len());
        extend(into, &head, length);
        into.extend_from_slice(self.body);
    }
}

/// Appends the first bytes of an array: all of it, whose number is known, then takes back the rest.
fn extend<const N: usize>(into: &mut bytes::BytesMut, bytes: &[u8; N], length: usize) {
    let begin = into.len();
    into.extend_from_slice(bytes);
    into.truncate(begin + length);
}

fn encode_op_head(head: &mut [u8; OP_HEAD_BYTES_MAX], kind: u8, tag: u32, length: usize) -> usize {
    let [k, t0, t1, t2, t3, varint @ ..] = head;
    *k = kind;
    [*t0, *t1, *t2, *t3] = tag.to_le_bytes();
    5 + encode_number(varint, length as u64)
}

/// Writes a number as LEB128 into bytes that it fits in; says how many it took.
fn encode_number(into: &mut [u8], mut rest: u64) -> usize {
    let mut used = 0;
    for byte in into {
        used += 1;
        if rest < 0x80 {
            *byte = rest as u8;
            break;
        }
        *byte = (rest as u8) | 0x80;
        rest >>= 7;
    }
    used
}

/// Reads a number written as LEB128, and where it ends.
fn decode_number(bytes: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some((number, at));
        }
    }
    None
}

/// Appends what stands before the operations of a commit in a group; its length comes later.
pub(crate) fn encode_commit(into: &mut bytes::BytesMut, time: u64, frame_time: u64) {
    let delta = time.min(TIME_MAX) as i64 - frame_time.min(TIME_MAX) as i64;
    let zigzag = ((delta << 1) ^ (delta >> 63)) as u64;
    let mut bytes = [0; COMMIT_LENGTH_BYTES + 10];
    let used = encode_number(
        bytes.get_mut(COMMIT_LENGTH_BYTES..).unwrap_or_default(),
        zigzag,
    );
    extend(into, &bytes, COMMIT_LENGTH_BYTES + used);
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Role {
    Commit = 0xC1,
    Mark = 0xC2,
    Seal = 0xC3,
    Reserve = 0xC4,
    Group = 0xC5,
}

impl Role {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0xC1 => Some(Self::Commit),
            0xC2 => Some(Self::Mark),
            0xC3 => Some(Self::Seal),
            0xC4 => Some(Self::Reserve),
            0xC5 => Some(Self::Group),
            _ => None,
        }
    }
}

/// The first 32 bytes of a frame, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) role: Role,
    pub(crate) time: u64,
    pub(crate) crc: u32,
    pub(crate) body_crc: u32,
    pub(crate) previous: u32,
    pub(crate) length: u32,
    pub(crate) synced: u32,
    /// Relative to the base of the segment.
    pub(crate) position: u32,
}

impl Head {
    /// Encodes the head for a place, and sets its CRC. `salt` stands for log id and generation.
    pub(crate) fn encode(&mut self, salt: u32, offset: u32) -> [u8; HEAD_BYTES] {
        let first = (self.time.min(TIME_MAX) | (u64::from(self.role as u8) << 56)).to_le_bytes();
        let mut rest = [0; 20];
        let fields = [
            self.body_crc,
            self.previous,
            self.length,
            self.synced,
            self.position,
        ];
        for (slot, field) in rest.chunks_exact_mut(4).zip(fields) {
            slot.copy_from_slice(&field.to_le_bytes());
        }
        self.crc = head_crc(salt, offset, &first, &rest);
        let mut out = [0; HEAD_BYTES];
        let (a, b) = out.split_at_mut(8);
        let (crc, b) = b.split_at_mut(4);
        a.copy_from_slice(&first);
        crc.copy_from_slice(&self.crc.to_le_bytes());
        b.copy_from_slice(&rest);
        out
    }

    /// Reads a head; `None` if it was not made for this place.
    pub(crate) fn decode(bytes: &[u8], salt: u32, offset: u32) -> Option<Self> {
        let (first, bytes) = bytes.split_first_chunk::<8>()?;
        let role = Role::from_byte(first[ROLE_OFFSET])?;
        let (crc, bytes) = bytes.split_first_chunk::<4>()?;
        let rest = bytes.first_chunk::<20>()?;
        let crc = u32::from_le_bytes(*crc);
        if head_crc(salt, offset, first, rest) != crc {
            return None;
        }
        let field = |at: usize| read_u32(rest, at);
        Some(Self {
            role,
            time: u64::from_le_bytes(*first) & TIME_MAX,
            crc,
            body_crc: field(0)?,
            previous: field(4)?,
            length: field(8)?,
            synced: field(12)?,
            position: field(16)?,
        })
    }
}

/// CRC of what names the file and its generation; every head CRC starts from it.
pub(crate) fn salt(log: &[u8; 16], generation: u64) -> u32 {
    let generation = if is_planted("recycle-without-generation") {
        0
    } else {
        generation
    };
    crc32c::crc32c_append(crc32c::crc32c(log), &generation.to_le_bytes())
}

fn head_crc(salt: u32, offset: u32, first: &[u8; 8], rest: &[u8; 20]) -> u32 {
    let mut all = [0; 32];
    let (a, b) = all.split_at_mut(4);
    let (b, c) = b.split_at_mut(8);
    a.copy_from_slice(&offset.to_le_bytes());
    let [time @ .., _] = *first;
    b.copy_from_slice(first);
    if is_planted("role-outside-crc") {
        b.fill(0);
        b.iter_mut().zip(time).for_each(|(to, from)| *to = from);
    }
    c.copy_from_slice(rest);
    crc32c::crc32c_append(salt, &all)
}

pub(crate) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// One commit, read back: its number, its time, and its operations.
#[derive(Clone, Debug)]
pub struct Frame {
    pub(crate) number: u64,
    pub(crate) position: u64,
    pub(crate) time: u64,
    pub(crate) body: Bytes,
}

impl Frame {
    /// The number of the commit, from 1; the cursor that snapshots refer to.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The position that the first append of this frame has, or would have.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The time its writer gave, in microseconds since 1970.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// The operations, in the order in which they were staged.
    pub fn ops(&self) -> Ops {
        Ops {
            position: self.position,
            body: self.body.clone(),
            at: 0,
        }
    }
}

/// One operation, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOp {
    /// 0 for an append.
    pub kind: u8,
    /// The tag it was stored with.
    pub tag: u32,
    /// The position it took, if it is an append.
    pub position: Option<u64>,
    /// The bytes; a slice of the log's own buffer, not a copy. As long as it lives, so does the buffer,
    /// which is about a megabyte: whoever keeps little for long copies it.
    pub body: Bytes,
}

/// The operations of one frame.
#[derive(Clone, Debug)]
pub struct Ops {
    position: u64,
    body: Bytes,
    at: usize,
}

impl Iterator for Ops {
    type Item = StoredOp;

    fn next(&mut self) -> Option<StoredOp> {
        let op = RawOp::decode(&self.body, self.at)?;
        self.at = op.end;
        let position = (op.kind == APPEND).then_some(self.position);
        self.position += u64::from(op.kind == APPEND);
        let body = self.body.slice(op.start..op.end);
        Some(StoredOp {
            kind: op.kind,
            tag: op.tag,
            position,
            body,
        })
    }
}

/// Where one operation lies in the body of its frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawOp {
    pub(crate) kind: u8,
    pub(crate) tag: u32,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl RawOp {
    pub(crate) fn decode(body: &[u8], at: usize) -> Option<Self> {
        let kind = *body.get(at)?;
        let tag = read_u32(body, at + 1)?;
        let mut start = at + 5;
        let mut length = 0usize;
        for shift in [0, 7, 14, 21, 28] {
            let byte = *body.get(start)?;
            start += 1;
            length |= usize::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                let end = start.checked_add(length).filter(|&end| end <= body.len())?;
                return Some(Self {
                    kind,
                    tag,
                    start,
                    end,
                });
            }
        }
        None
    }
}

/// Where one commit lies in the body of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) time: u64,
    /// Its operations.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    /// The commit of a frame that begins at a place in its body.
    pub(crate) fn decode(role: Role, frame_time: u64, body: &[u8], at: usize) -> Option<Self> {
        if role != Role::Group {
            let (time, start, end) = (frame_time, at, body.len());
            return Some(Self { time, start, end });
        }
        let length = read_u32(body, at)? as usize;
        let rest = at + COMMIT_LENGTH_BYTES;
        let end = rest.checked_add(length).filter(|end| *end <= body.len())?;
        let (zigzag, start) = decode_number(body.get(..end)?, rest)?;
        let delta = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        let time = u64::try_from((frame_time as i64).checked_add(delta)?).ok()?;
        Some(Self { time, start, end })
    }
}

/// What walking once over operations tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) appends: u64,
    pub(crate) others: bool,
}

/// Walks over all operations of a commit; `None` if they do not fill it exactly.
pub(crate) fn contents(ops: &[u8], mut each: impl FnMut(RawOp)) -> Option<Contents> {
    let mut found = Contents::default();
    let mut at = 0;
    while at < ops.len() {
        let op = RawOp::decode(ops, at)?;
        found.appends += u64::from(op.kind == APPEND);
        found.others |= op.kind != APPEND;
        at = op.end;
        each(op);
    }
    Some(found)
}

/// What the commits of one frame come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) commits: u64,
    pub(crate) appends: u64,
    /// Which of the commits is the last with an operation other than append, from 1; or 0.
    pub(crate) last_other: u64,
    /// The latest time of a commit.
    pub(crate) last_time: u64,
}

impl Summary {
    /// Adds the next commit.
    pub(crate) fn add(&mut self, time: u64, found: Contents) {
        self.commits += 1;
        self.appends += found.appends;
        self.last_time = self.last_time.max(time);
        if found.others {
            self.last_other = self.commits;
        }
    }
}

/// Walks over all commits of a frame; `None` if they do not fill its body exactly.
pub(crate) fn summary(
    role: Role,
    frame_time: u64,
    body: &[u8],
    mut each: impl FnMut(Span, Contents),
) -> Option<Summary> {
    let mut found = Summary::default();
    if !matches!(role, Role::Commit | Role::Group) {
        return Some(found);
    }
    let mut at = 0;
    loop {
        let span = Span::decode(role, frame_time, body, at)?;
        let contents = contents(body.get(span.start..span.end)?, |_| {})?;
        found.add(span.time, contents);
        each(span, contents);
        at = span.end;
        if at == body.len() {
            return Some(found);
        }
    }
}
