//! Reading: whole commits, or appends by position, never beyond the watermark.
//!
//! Readers that keep up take the newest groups from memory without copying; the others read
//! segments with read-ahead and verify every frame.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::frame::{self, APPEND, Frame, HEAD_BYTES, RawOp, Role, read_u32, read_u64};
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
    /// The bytes; a slice of the log's own buffer, not a copy.
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
        number: u64,
        position: u64,
    },
    Cold {
        walk: Walk,
        end: u32,
        number: u64,
        /// What the number is at the end.
        last: u64,
    },
}

/// A reader of whole commits.
pub struct Frames {
    shared: Arc<Shared>,
    wanted: Wanted,
    source: Source,
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
            tags: None,
            read_ahead,
        }
    }

    /// The next commit; `None` at the watermark, where later calls find what was added since.
    ///
    /// # Errors
    /// `Expired` if retention removed it, `Corrupt` if its bytes are damaged.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        loop {
            let found = match &mut self.source {
                Source::Nowhere => {
                    if !self.look_up()? {
                        return Ok(None);
                    }
                    continue;
                }
                Source::Hot {
                    chunk,
                    at,
                    number,
                    position,
                } => next_hot(chunk, at, number, position),
                Source::Cold {
                    walk,
                    end,
                    number,
                    last,
                } => next_cold(walk, *end, number, *last)?,
            };
            match found {
                None => self.source = Source::Nowhere,
                // A look-up by number finds a place at or before the wanted frame.
                Some(frame) if matches!(self.wanted, Wanted::Number(n) if frame.number < n) => {}
                Some(frame) => {
                    self.wanted = Wanted::Number(frame.number + 1);
                    return Ok(Some(frame));
                }
            }
        }
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
                let (number, position) = (chunk.first_number, chunk.first_position);
                self.source = Source::Hot {
                    chunk,
                    at: 0,
                    number,
                    position,
                };
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
        let (walk, number) = match entry {
            Some(entry) => (Walk::from(segment, entry.offset, read_ahead), entry.number),
            None => {
                let number = segment.header.number;
                (Walk::whole(segment, read_ahead), number)
            }
        };
        self.source = Source::Cold {
            walk,
            end,
            number,
            last: next,
        };
    }
}

/// The frame at a place in a chunk. What lies in memory was encoded here, or verified.
fn next_hot(chunk: &Chunk, at: &mut usize, number: &mut u64, position: &mut u64) -> Option<Frame> {
    let time = read_u64(&chunk.bytes, *at)? & frame::TIME_MAX;
    let length = read_u32(&chunk.bytes, *at + 20)? as usize;
    let start = *at + HEAD_BYTES;
    let body = chunk.bytes.slice(start..start + length);
    let found = Frame {
        number: *number,
        position: *position,
        time,
        body,
    };
    let contents = frame::contents(&found.body, |_| {})?;
    *at = start + length;
    *number += 1;
    *position += contents.appends;
    Some(found)
}

/// The next commit of a segment; `None` at the end.
fn next_cold(walk: &mut Walk, end: u32, number: &mut u64, last: u64) -> Result<Option<Frame>> {
    while walk.offset() < end {
        let segment = Arc::clone(walk.segment());
        let (offset, what) = match walk.step()? {
            Step::Frame { head, body, offset } => {
                if head.role != Role::Commit {
                    continue;
                }
                if frame::contents(&body, |_| {}).is_some() {
                    let position = segment.header.base + u64::from(head.position);
                    let found = Frame {
                        number: *number,
                        position,
                        time: head.time,
                        body,
                    };
                    *number += 1;
                    return Ok(Some(found));
                }
                (offset, "the contents of a frame do not fit together")
            }
            Step::End { offset } => (offset, "a frame that was durable is not there"),
            Step::Bad { offset, what } => (offset, what),
        };
        return Err(Error::corrupt(&segment.name, offset.into(), what));
    }
    if *number == last {
        return Ok(None);
    }
    // Looking it up again would find the same place for ever.
    let what = "a commit that was there is none any more";
    Err(Error::corrupt(&walk.segment().name, end.into(), what))
}

/// A reader of appends.
pub struct Reader {
    frames: Frames,
    /// The next position wanted.
    next: u64,
    current: Option<Frame>,
    at: usize,
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
            at: 0,
            position: 0,
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
            while let Some(current) = &self.current {
                let Some(op) = RawOp::decode(&current.body, self.at) else {
                    self.current = None;
                    break;
                };
                self.at = op.end;
                if op.kind != APPEND {
                    continue;
                }
                let position = self.position;
                self.position += 1;
                let filtered = self.frames.tags.as_ref();
                if position < self.next
                    || filtered.is_some_and(|tags| tags.binary_search(&op.tag).is_err())
                {
                    continue;
                }
                self.next = position + 1;
                let body = current.body.slice(op.start..op.end);
                return Ok(Some(Record {
                    position,
                    time: current.time,
                    tag: op.tag,
                    body,
                }));
            }
            let Some(frame) = self.frames.next_frame()? else {
                return Ok(None);
            };
            self.at = 0;
            self.position = frame.position;
            self.current = Some(frame);
        }
    }

    /// The next position this reader may return; all before are read or not wanted.
    pub fn next_position(&self) -> u64 {
        self.next
    }
}
