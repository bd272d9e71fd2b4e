//! Reading: whole commits, or appends by position, never beyond the watermark.
//!
//! Readers that keep up take the newest groups from memory without copying; the others read
//! segments with read-ahead and verify every frame.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::frame::{self, APPEND, Frame, HEAD_BYTES, RawOp, Role, Span, read_u32, read_u64};
use crate::log::{Chunk, Shared, Visible};
use crate::segment::{Segment, Step, Walk};

/// One append, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its position, from 1.
    pub position: u64,
    /// The time its frame carries, in microseconds since 1970.
    pub time: u64,
    /// The tag it was stored with.
    pub tag: u32,
    /// The bytes; a slice of the log's own buffer, not a copy. As long as it lives, so does the buffer,
    /// which is about a megabyte: whoever keeps little for long copies it.
    pub body: Bytes,
}

/// What a reader wants next.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Position(u64),
    Number(u64),
}

enum Source {
    /// To be looked up.
    Nowhere,
    Hot {
        chunk: Arc<Chunk>,
        at: usize,
    },
    Cold {
        walk: Walk,
        end: u32,
        /// The number of the commit behind the end.
        next: u64,
    },
}

/// A frame whose commits are being given out.
struct Opened {
    role: Role,
    time: u64,
    body: Bytes,
    /// Where the next commit begins.
    at: usize,
}

/// One commit in the frame that is open.
#[derive(Clone, Copy, Debug)]
struct Found {
    number: u64,
    position: u64,
    span: Span,
}

/// A reader of whole commits.
pub struct Frames {
    shared: Arc<Shared>,
    wanted: Wanted,
    source: Source,
    opened: Option<Opened>,
    /// The number and the position of the next commit of the source.
    number: u64,
    position: u64,
    /// Sorted; segments without any of them are skipped.
    tags: Option<Vec<u32>>,
    read_ahead: u32,
}

impl Frames {
    pub(crate) fn new(shared: Arc<Shared>, from: u64) -> Self {
        let from = if from == 0 {
            shared.first_segment().header.number
        } else {
            from
        };
        Self::wanting(shared, Wanted::Number(from))
    }

    fn wanting(shared: Arc<Shared>, wanted: Wanted) -> Self {
        let read_ahead = shared.options.read_ahead;
        Self {
            shared,
            wanted,
            source: Source::Nowhere,
            opened: None,
            number: 0,
            position: 0,
            tags: None,
            read_ahead,
        }
    }

    /// The next commit; `None` at the watermark, where later calls find what was added since.
    ///
    /// # Errors
    /// `Expired` if retention removed it, `Corrupt` if its bytes are damaged.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        let found = self.next_commit()?;
        Ok(found.map(|found| Frame {
            number: found.number,
            position: found.position,
            time: found.span.time,
            body: self.opened_body().slice(found.span.start..found.span.end),
        }))
    }

    /// The body in which the commit lies that was found last.
    fn opened_body(&self) -> Bytes {
        let opened = self.opened.as_ref();
        opened.map_or_else(Bytes::new, |opened| opened.body.clone())
    }

    /// Goes on to the next commit.
    fn next_commit(&mut self) -> Result<Option<Found>> {
        loop {
            if let Some(found) = self.next_opened()? {
                // A look-up finds a frame in which the wanted commit is, or behind which it is.
                if matches!(self.wanted, Wanted::Number(n) if found.number < n) {
                    continue;
                }
                self.wanted = Wanted::Number(found.number + 1);
                return Ok(Some(found));
            }
            // Dropped before more is read, so that its memory can be used again.
            self.opened = None;
            self.opened = match &mut self.source {
                Source::Nowhere => {
                    if !self.look_up()? {
                        return Ok(None);
                    }
                    continue;
                }
                Source::Hot { chunk, at } => next_hot(chunk, at),
                Source::Cold { walk, end, .. } => {
                    let found = next_cold(walk, *end, &mut self.position);
                    found.map_err(|error| unless_retired(&self.shared, walk.segment(), error))?
                }
            };
            if self.opened.is_none() {
                self.check_end()?;
                // In a gap there is nothing at the position, and maybe nothing behind it yet: looking
                // it up again would find the same place for ever.
                self.wanted = Wanted::Number(self.number);
                self.source = Source::Nowhere;
            }
        }
    }

    /// At the end of a segment as many commits were read as there are. Otherwise looking for the next
    /// one would find the same place for ever.
    fn check_end(&self) -> Result<()> {
        match &self.source {
            Source::Cold { walk, end, next } if self.number != *next => {
                let what = "a commit that was there is none any more";
                Err(Error::corrupt(&walk.segment().name, (*end).into(), what))
            }
            Source::Cold { .. } | Source::Hot { .. } | Source::Nowhere => Ok(()),
        }
    }

    /// The next commit of the frame that is open.
    fn next_opened(&mut self) -> Result<Option<Found>> {
        let Some(opened) = &mut self.opened else {
            return Ok(None);
        };
        // A commit without operations is a frame without a body.
        let is_empty = opened.body.is_empty() && opened.at == 0;
        if opened.at >= opened.body.len() && !is_empty {
            return Ok(None);
        }
        let parse = || {
            let span = Span::decode(opened.role, opened.time, &opened.body, opened.at)?;
            let ops = opened.body.get(span.start..span.end)?;
            Some((span, frame::contents(ops, |_| {})?))
        };
        let Some((span, contents)) = parse() else {
            let (file, offset) = match &self.source {
                Source::Cold { walk, .. } => (walk.segment().name.clone(), walk.offset()),
                Source::Hot { .. } | Source::Nowhere => Default::default(),
            };
            let what = "the contents of a frame do not fit together";
            return Err(Error::corrupt(&file, offset.into(), what));
        };
        opened.at = span.end.max(1);
        let (number, position) = (self.number, self.position);
        self.number += 1;
        self.position += contents.appends;
        Ok(Some(Found {
            number,
            position,
            span,
        }))
    }

    /// Finds the next wanted frame; false at the watermark.
    fn look_up(&mut self) -> Result<bool> {
        loop {
            let visible = self.shared.visible();
            let behind = match self.wanted {
                Wanted::Number(number) => number >= visible.next_number,
                Wanted::Position(position) => position >= visible.next_position,
            };
            if behind {
                return Ok(false);
            }
            if let Some(chunk) = self.find_hot() {
                self.number = chunk.first_number;
                self.position = chunk.first_position;
                self.source = Source::Hot { chunk, at: 0 };
                return Ok(true);
            }
            let segment = self.find_segment()?;
            if self.skip(&segment, visible) {
                continue;
            }
            self.start_cold(segment, visible);
            return Ok(true);
        }
    }

    fn find_hot(&self) -> Option<Arc<Chunk>> {
        let hot = self
            .shared
            .hot
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let after = hot.chunks.partition_point(|chunk| match self.wanted {
            Wanted::Number(number) => chunk.next_number <= number,
            Wanted::Position(position) => chunk.next_position <= position,
        });
        let chunk = hot.chunks.get(after)?;
        let covered = match self.wanted {
            Wanted::Number(number) => chunk.first_number <= number,
            // A position in a gap belongs to the chunk behind it, unless older frames are colder.
            Wanted::Position(position) => chunk.first_position <= position,
        };
        covered.then(|| Arc::clone(chunk))
    }

    fn find_segment(&self) -> Result<Arc<Segment>> {
        let found = self.shared.last_segment_where(|segment| match self.wanted {
            Wanted::Number(number) => segment.header.number <= number,
            Wanted::Position(position) => segment.header.base <= position,
        });
        found.ok_or_else(|| {
            let first = self.shared.first_segment().header.base;
            Error::new(ErrorKind::Expired { first })
        })
    }

    /// Goes behind a segment that has nothing wanted.
    fn skip(&mut self, segment: &Segment, visible: Visible) -> bool {
        let Some(tags) = &self.tags else { return false };
        let index = segment.index();
        if index.tags.hold_any_of(tags) {
            return false;
        }
        let last = segment.header.generation == visible.generation;
        self.wanted = Wanted::Number(if last {
            visible.next_number
        } else {
            index.next_number
        });
        true
    }

    fn start_cold(&mut self, segment: Arc<Segment>, visible: Visible) {
        let index = segment.index();
        let after = index.entries.partition_point(|entry| match self.wanted {
            Wanted::Number(number) => entry.number <= number,
            Wanted::Position(position) => entry.position <= position,
        });
        let entry = after
            .checked_sub(1)
            .and_then(|at| index.entries.get(at))
            .copied();
        let last = segment.header.generation == visible.generation;
        let (end, next) = match last {
            true => (visible.end, visible.next_number),
            false => (index.end, index.next_number),
        };
        drop(index);
        let read_ahead = self.read_ahead;
        self.number = entry.map_or(segment.header.number, |entry| entry.number);
        let walk = match entry {
            Some(entry) => Walk::from(segment, entry.offset, read_ahead),
            None => Walk::whole(segment, read_ahead),
        };
        self.source = Source::Cold { walk, end, next };
    }
}

/// Why a segment could not be read: one that is missing may have been retired in the meantime.
fn unless_retired(shared: &Shared, segment: &Segment, error: Error) -> Error {
    let first = shared.first_segment();
    let is_retired = segment.header.generation < first.header.generation;
    match error.kind() {
        ErrorKind::MissingSegment { .. } if is_retired => Error::new(ErrorKind::Expired {
            first: first.header.base,
        }),
        _ => error,
    }
}

/// The frame at a place in a chunk. What lies in memory was encoded here, or verified.
fn next_hot(chunk: &Chunk, at: &mut usize) -> Option<Opened> {
    let head = chunk.bytes.get(*at..*at + HEAD_BYTES)?;
    let time = read_u64(head, 0)? & frame::TIME_MAX;
    let role = Role::from_byte(*head.get(frame::ROLE_OFFSET)?)?;
    let start = *at + HEAD_BYTES;
    let end = start + read_u32(head, 20)? as usize;
    *at = end;
    Some(Opened {
        role,
        time,
        body: chunk.bytes.slice(start..end),
        at: 0,
    })
}

/// The next frame of a segment with commits, and the position of the first; `None` at the end.
fn next_cold(walk: &mut Walk, end: u32, position: &mut u64) -> Result<Option<Opened>> {
    while walk.offset() < end {
        let (offset, what) = match walk.step()? {
            Step::Frame { head, .. } if !matches!(head.role, Role::Commit | Role::Group) => {
                continue;
            }
            Step::Frame { head, body, .. } => {
                *position = walk.segment().header.base + u64::from(head.position);
                return Ok(Some(Opened {
                    role: head.role,
                    time: head.time,
                    body,
                    at: 0,
                }));
            }
            Step::End { offset } => (offset, "a frame that was durable is not there"),
            Step::Bad { offset, what } => (offset, what),
        };
        return Err(Error::corrupt(&walk.segment().name, offset.into(), what));
    }
    Ok(None)
}

/// A reader of appends.
pub struct Reader {
    frames: Frames,
    /// The next position wanted.
    next: u64,
    /// The commit that is being read.
    current: Option<Current>,
}

/// Where a reader stands in a commit.
struct Current {
    /// The body of its frame.
    body: Bytes,
    time: u64,
    at: usize,
    end: usize,
    /// Of the next append.
    position: u64,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, from: u64) -> Self {
        let next = if from == 0 {
            shared.first_segment().header.base
        } else {
            from
        };
        Self {
            frames: Frames::wanting(shared, Wanted::Position(next)),
            next,
            current: None,
        }
    }

    /// Reads fewer bytes at once, for a look at one place.
    pub(crate) fn with_read_ahead(mut self, bytes: u32) -> Self {
        self.frames.read_ahead = bytes.min(self.frames.read_ahead);
        self
    }

    /// Reads only appends with one of these tags; segments without any are skipped.
    #[must_use]
    pub fn with_tags(mut self, tags: impl IntoIterator<Item = u32>) -> Self {
        let mut tags: Vec<u32> = tags.into_iter().collect();
        tags.sort_unstable();
        tags.dedup();
        self.frames.tags = Some(tags);
        self
    }

    /// The next append; `None` at the watermark, where later calls find what was added since.
    ///
    /// # Errors
    /// `Expired` if retention removed it, `Corrupt` if its bytes are damaged.
    pub fn next_record(&mut self) -> Result<Option<Record>> {
        loop {
            if let Some(record) = self.next_current() {
                return Ok(Some(record));
            }
            // Dropped before more is read, so that its memory can be used again.
            self.current = None;
            let Some(found) = self.frames.next_commit()? else {
                return Ok(None);
            };
            self.current = Some(Current {
                body: self.frames.opened_body(),
                time: found.span.time,
                at: found.span.start,
                end: found.span.end,
                position: found.position,
            });
        }
    }

    /// The next wanted append of the commit that is being read.
    fn next_current(&mut self) -> Option<Record> {
        let current = self.current.as_mut()?;
        while current.at < current.end {
            let op = RawOp::decode(&current.body, current.at)?;
            current.at = op.end;
            if op.kind != APPEND {
                continue;
            }
            let position = current.position;
            current.position += 1;
            let tags = self.frames.tags.as_ref();
            let is_other = tags.is_some_and(|tags| tags.binary_search(&op.tag).is_err());
            if position < self.next || is_other {
                continue;
            }
            self.next = position + 1;
            return Some(Record {
                position,
                time: current.time,
                tag: op.tag,
                body: current.body.slice(op.start..op.end),
            });
        }
        None
    }

    /// The next position this reader may return; all before are read or not wanted.
    pub fn next_position(&self) -> u64 {
        self.next
    }
}
