//! Group commit: frames are staged in one buffer, written with one `pwrite`, made durable with one
//! `fdatasync`, and shown to readers only then.
//!
//! The caller owns the thread. It drains its queue into [`Writer::stage`], calls
//! [`Writer::commit`], then acknowledges: while one group is being synced the next one queues, so
//! groups grow with the load and nobody waits for a timer.
//!
//! # Levels
//! A group committed as [`Level::Written`] is shown to readers before it is durable, because every
//! publisher in it asked for no more; a group is committed at the highest level that any of its
//! frames asks for. A later synced group makes all before it durable too. What readers saw of a
//! written group may be lost with the power, but its positions never come back with other
//! contents: before the first such position is handed out a durable reservation names the
//! positions that may be affected, and recovery continues behind them.

mod buffer;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::{io, iter, mem};

use bytes::BytesMut;

pub(crate) use self::buffer::BUFFER_BYTES;
use self::buffer::{OP_ROOM_BYTES, ROOM_BYTES};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{
    self, COMMIT_LENGTH_BYTES, Contents, END_BYTES, FORMAT_VERSION, HEAD_BYTES, Head, Op, Role,
    Summary, TIME_MAX,
};
use crate::log::{Chunk, Shared};
use crate::planted::is_planted;
use crate::retention;
use crate::segment::{HEADER_BYTES, Header, POSITIONS_MAX, Segment};
use crate::storage::{File, is_full, write_all};
use crate::tail::{Marked, Tail};
use crate::undo::{Stood, undo};

/// Bytes after which a group is full.
pub const GROUP_BYTES_MAX: usize = 1 << 20;
/// Operations after which a group is full.
pub const GROUP_EVENTS_MAX: usize = 4096;
/// Positions that one reservation covers.
pub(crate) const RESERVATION: u64 = 1 << 16;
/// Bytes that keep the two marks of a clean end in different blocks of the disk; fewer in a small
/// segment.
const MARK_FILLER_BYTES: usize = 4096;
/// The least that keeps them two sectors apart.
const MARK_FILLER_BYTES_MIN: usize = 1024;
/// Bytes written between two looks at the free space, at most.
const SPACE_CHECK_BYTES: u64 = 1 << 20;
/// What the kernel keeps a file in.
const PAGE_BYTES: usize = 4096;
/// Bytes after which a frame takes no more commits: as much as a look at one of them has to verify,
/// and as much as damage to one of them takes along.
const FRAME_BYTES: usize = 32 << 10;
/// Frames of such a size that a segment has room for, at least.
const FRAMES_MIN: usize = 16;

/// How safe a group is when its commit returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// With the operating system: survives the end of this process.
    Written,
    /// On stable storage: survives a loss of power.
    Synced,
}

/// Where a staged frame will be, if its commit succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staged {
    /// The number of the commit.
    pub frame: u64,
    /// The position of its first append.
    pub first_position: u64,
    /// How many appends it has, at successive positions.
    pub count: u64,
}

/// A frame in the group buffer; its head is filled in when the group is stored.
struct Draft {
    start: usize,
    end: usize,
    time: u64,
    position: u64,
    found: Summary,
}

/// A frame that was laid out in a segment, to be noted in its index.
struct Note {
    segment: Arc<Segment>,
    offset: u32,
    position: u64,
    head: Head,
    found: Summary,
}

/// The one writer of a log.
pub struct Writer {
    shared: Arc<Shared>,
    tail: Tail,
    buffer: BytesMut,
    /// Whether the newest group that was shown is in the same memory.
    is_shared: bool,
    drafts: Vec<Draft>,
    notes: Vec<Note>,
    /// Tags of the appends in the group, in no order until it is shown.
    tags: Vec<u32>,
    /// Commits in the group.
    commits: u64,
    ops: usize,
    next_position: u64,
    /// Bytes written since the free space was looked at.
    unchecked: u64,
    /// How many of those there may be before the next look.
    look_after: u64,
    scarce: bool,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, tail: Tail) -> Self {
        Self {
            shared,
            next_position: tail.next_position,
            tail,
            buffer: BytesMut::new(),
            is_shared: false,
            drafts: Vec::new(),
            notes: Vec::new(),
            tags: Vec::new(),
            commits: 0,
            ops: 0,
            unchecked: 0,
            look_after: 0,
            scarce: false,
        }
    }

    /// Adds one frame, all or nothing, to the group. Nothing is written before the commit.
    ///
    /// # Errors
    /// `TooLarge` if the frame cannot fit in a segment; `Full` if it appends while only the reserve
    /// of the disk is left (frames that do not append may use it). The group stays as it was.
    pub fn stage<'a>(
        &mut self,
        time: u64,
        ops: impl IntoIterator<Item = Op<'a>>,
    ) -> Result<Staged> {
        self.shared.check_poison()?;
        self.look_at_space()?;
        let mut former = self.make_room(ROOM_BYTES);
        let (begin, tags) = (self.buffer.len(), self.tags.len());
        let limit = Segment::frame_bytes_max(self.shared.options.segment_bytes);
        let open = self.open_draft(FRAME_BYTES.min(limit / FRAMES_MIN));
        let start = begin + if open.is_some() { 0 } else { HEAD_BYTES };
        self.buffer.resize(start, 0);
        let frame_time = open.unwrap_or(time);
        frame::encode_commit(&mut self.buffer, time, frame_time);
        let mut contents = Contents::default();
        let (mut count, mut refused) = (0, None);
        for op in ops {
            let is_append = op.kind == frame::APPEND;
            if self.scarce && is_append {
                refused = Some(ErrorKind::Full);
                break;
            }
            let moved = self.make_room(op.body.len() + OP_ROOM_BYTES);
            former = former.or(moved);
            op.encode(&mut self.buffer);
            count += 1;
            if HEAD_BYTES + self.buffer.len() - start > limit {
                refused = Some(ErrorKind::TooLarge { limit });
                break;
            }
            if is_append {
                contents.appends += 1;
                if self.tags.last() != Some(&op.tag) {
                    self.tags.push(op.tag);
                }
            } else {
                contents.others = true;
            }
        }
        if let Some(kind) = refused {
            self.buffer = former.unwrap_or_else(|| mem::take(&mut self.buffer));
            self.buffer.truncate(begin);
            self.tags.truncate(tags);
            return Err(Error::new(kind));
        }
        former.into_iter().for_each(|former| self.leave(&former));
        let length = self.buffer.len() - start;
        let rest = (length - COMMIT_LENGTH_BYTES) as u32;
        if let Some(slot) = self.buffer.get_mut(start..start + COMMIT_LENGTH_BYTES) {
            slot.copy_from_slice(&rest.to_le_bytes());
        }
        let is_new = open.is_none() || length > FRAME_BYTES.min(limit / FRAMES_MIN);
        if is_new && open.is_some() {
            // Too large to share a frame: it gets a head of its own.
            self.buffer.resize(begin + HEAD_BYTES + length, 0);
            self.buffer
                .copy_within(begin..begin + length, begin + HEAD_BYTES);
        }
        self.draft(begin, is_new.then_some(frame_time), time, contents);
        let first_position = self.next_position;
        self.next_position += contents.appends;
        self.ops += count;
        self.commits += 1;
        Ok(Staged {
            frame: self.tail.next_number + self.commits - 1,
            first_position,
            count: contents.appends,
        })
    }

    /// The time of the last frame, if it may take one more commit.
    fn open_draft(&self, limit: usize) -> Option<u64> {
        let last = self.drafts.last()?;
        (last.end - last.start < limit).then_some(last.time)
    }

    /// Takes what was encoded from `begin` on as a frame of this time, or into the last one.
    fn draft(&mut self, begin: usize, frame_time: Option<u64>, time: u64, found: Contents) {
        let end = self.buffer.len();
        if let Some(frame_time) = frame_time {
            self.drafts.push(Draft {
                start: begin,
                end,
                time: frame_time,
                position: self.next_position,
                found: Summary::default(),
            });
        }
        if let Some(draft) = self.drafts.last_mut() {
            draft.end = end;
            draft.found.add(time.min(TIME_MAX), found);
        }
    }

    /// The position of the next append that is staged.
    pub fn next_position(&self) -> u64 {
        self.next_position
    }

    /// Passes over positions up to this one, which the next append gets; commits what is staged.
    pub(crate) fn skip_to(&mut self, position: u64) -> Result<()> {
        if position <= self.next_position {
            return Ok(());
        }
        self.commit(Level::Synced)?;
        // Where a segment cannot tell of so many, it ends as far as it can, and another goes on there:
        // a seal always names the base of its successor, from which a lost header is told.
        while position - self.tail.segment.header.base > POSITIONS_MAX {
            self.attempt(Level::Synced, |writer, created| {
                let farthest = writer.tail.segment.header.base + POSITIONS_MAX;
                writer.tail.next_position = writer.tail.next_position.max(farthest);
                writer.roll(created)
            })?;
        }
        self.tail.next_position = position;
        self.next_position = position;
        self.tail.marked = Marked::No;
        Ok(())
    }

    /// Whether the group should be committed before more is staged.
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= GROUP_BYTES_MAX || self.ops >= GROUP_EVENTS_MAX
    }

    /// Whether nothing is staged.
    pub fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    /// Whether all that was written is durable.
    pub fn is_synced(&self) -> bool {
        self.tail.synced >= self.tail.end
    }

    /// Stores the staged group and shows it to readers; with nothing staged, brings what was
    /// written before to the level.
    ///
    /// # Errors
    /// In every case nothing of the group is stored as far as this log is concerned. `Full` and
    /// `Io`: the next group may succeed. `Poisoned`: nothing will.
    pub fn commit(&mut self, level: Level) -> Result<()> {
        self.shared.check_poison()?;
        self.attempt(level, |writer, created| writer.store(level, created))
    }

    /// Does something that moves the tail; shows it to readers, or takes it back.
    fn attempt(
        &mut self,
        level: Level,
        step: impl FnOnce(&mut Self, &mut Vec<Arc<Segment>>) -> Result<()>,
    ) -> Result<()> {
        let begin = self.tail.clone();
        let mut created = Vec::new();
        let done = step(self, &mut created);
        if let Err(error) = done {
            let stood = self.stood(&begin, &created);
            self.forget_group();
            self.tail = begin;
            self.next_position = self.tail.next_position;
            // What a failed sync left behind nobody knows, and nobody touches.
            if *error.kind() == ErrorKind::Poisoned {
                return Err(error);
            }
            return Err(match undo(&self.shared, &stood) {
                Ok(()) => error,
                Err(failed) => self.shared.poison(failed),
            });
        }
        self.publish(level, created);
        Ok(())
    }

    /// Says in the log that all before is durable, so that later damage there cannot pass for a
    /// write that was cut short; commits what is staged first. Worth calling when no group follows
    /// at once: one small write, no sync, nothing if the log ends with a mark.
    pub fn mark(&mut self) -> Result<()> {
        if self.drafts.is_empty() && self.tail.marked != Marked::No {
            return self.shared.check_poison();
        }
        self.check_name()?;
        self.commit(Level::Synced)?;
        self.leave_mark(&[], Marked::Idle)
    }

    /// Goes on to a new segment, so that retention can take the one that is being written; commits
    /// what is staged first. Does nothing if that segment has no commit.
    pub fn seal(&mut self) -> Result<()> {
        self.commit(Level::Synced)?;
        if self.tail.next_number == self.tail.segment.header.number {
            return Ok(());
        }
        self.attempt(Level::Synced, Self::roll)
    }

    /// Syncs what is written, drops what is only staged, and leaves the marks of a clean end: two,
    /// a block apart, so that one bad block cannot take the last frame and all marks with it.
    pub fn close(mut self) -> Result<()> {
        self.forget_group();
        self.commit(Level::Synced)?;
        if self.tail.marked != Marked::Closed {
            let share = self.tail.segment.header.bytes as usize / 16;
            let filler = vec![0; share.clamp(MARK_FILLER_BYTES_MIN, MARK_FILLER_BYTES)];
            if self.tail.room() < 2 * HEAD_BYTES + filler.len() {
                self.attempt(Level::Synced, Self::roll)?;
            }
            self.leave_mark(&filler, Marked::Idle)?;
            self.leave_mark(&[], Marked::Closed)?;
        }
        self.sync_tail()
    }

    /// Writes a mark behind a durable tail, if there is room.
    fn leave_mark(&mut self, filler: &[u8], marked: Marked) -> Result<()> {
        if self.tail.room() < HEAD_BYTES + filler.len() {
            return Ok(());
        }
        let mut tail = self.tail.clone();
        let (offset, position) = (tail.end, tail.next_position);
        let (head, bytes) = tail.lay_out(Role::Mark, tail.last_time, position, filler);
        let mut frame = bytes.to_vec();
        frame.extend_from_slice(filler);
        self.write_frame(&tail.segment, offset, &frame)?;
        tail.segment
            .index_mut()
            .note(offset, position, &head, Summary::default());
        tail.reserved = 0;
        tail.marked = marked;
        self.tail = tail;
        Ok(())
    }

    /// A frame without a draft, with the end word behind it.
    fn write_frame(&self, segment: &Segment, offset: u32, frame: &[u8]) -> Result<()> {
        let mut bytes = frame.to_vec();
        bytes.extend_from_slice(&[0; END_BYTES]);
        write_all(&segment.file, &bytes, u64::from(offset)).map_err(|e| self.write_failed(e))
    }

    fn write_failed(&self, error: io::Error) -> Error {
        if is_full(&error) {
            Error::because(ErrorKind::Full, error)
        } else {
            self.shared.poison(error)
        }
    }

    /// Stops when somebody has removed the file that is written, or put another in its place: what is
    /// synced to it then ends with this process, which would go on for days without a word.
    fn check_name(&self) -> Result<()> {
        let Segment { name, file, .. } = &*self.tail.segment;
        let failed = |error| Error::io("look for", name, error);
        let has_name = file.has_name().map_err(failed)?;
        let own = file.identity().map_err(failed)?;
        // A file system that counts names may count one elsewhere, and some count none.
        if has_name && own.is_none() {
            return Ok(());
        }
        let is_other = match self.shared.storage.open(name) {
            Err(error) => error.kind() == io::ErrorKind::NotFound,
            Ok(named) => own.is_some() && named.identity().map_err(failed)? != own,
        };
        if !is_other {
            return Ok(());
        }
        let cause = format!("`{name}` was removed or replaced while it was written");
        drop(self.shared.poison(io::Error::other(cause)));
        let file = name.clone();
        Err(Error::new(ErrorKind::MissingSegment { file }))
    }

    fn look_at_space(&mut self) -> Result<()> {
        if self.unchecked < self.look_after && !self.scarce {
            return Ok(());
        }
        self.check_name()?;
        let space = self.shared.storage.space();
        let space = space.map_err(|e| Error::io("measure the free space of", ".", e))?;
        let reserve = self.shared.options.reserve_bytes.min(space.total / 50);
        self.scarce = space.free < reserve;
        // On a small disk the reserve must not be used up between two looks.
        self.look_after = SPACE_CHECK_BYTES.min(reserve / 4);
        self.unchecked = 0;
        Ok(())
    }

    /// Writes and syncs the group; on success the tail is behind it.
    fn store(&mut self, level: Level, created: &mut Vec<Arc<Segment>>) -> Result<()> {
        self.cover(level, created)?;
        let all = self.start_of(self.drafts.len());
        // There is room: each commit that was staged left as much.
        self.buffer.resize(all + END_BYTES + PAGE_BYTES, 0);
        let mut from = 0;
        while from < self.drafts.len() {
            let (offset, start) = (self.tail.end, self.start_of(from));
            let next = self.lay_out_from(from);
            let end = self.start_of(next);
            if next > from {
                let is_last = next == self.drafts.len();
                let behind = if is_last { self.end_of_page() } else { 0 };
                let bytes = self.buffer.get(start..end + behind).unwrap_or_default();
                write_all(&self.tail.segment.file, bytes, u64::from(offset))
                    .map_err(|e| self.write_failed(e))?;
                self.unchecked += (end - start) as u64;
            }
            if next < self.drafts.len() {
                self.roll(created)?;
                self.cover(level, created)?;
            }
            from = next;
        }
        if level == Level::Synced && !is_planted("ack-before-sync") {
            self.sync_tail()
        } else {
            Ok(())
        }
    }

    /// Bytes from the tail on that are zero: the end word, and the rest of its page. Of a page that is
    /// written in part and not in memory, as in a file that is used again, the kernel first reads
    /// the other part from the disk.
    fn end_of_page(&self) -> usize {
        let end = self.tail.end as usize + END_BYTES;
        let limit = self.tail.segment.header.bytes as usize;
        end.next_multiple_of(PAGE_BYTES).min(limit) - self.tail.end as usize
    }

    /// Where a draft begins in the buffer, or where the drafts end.
    fn start_of(&self, draft: usize) -> usize {
        let end = self.drafts.last().map_or(0, |last| last.end);
        self.drafts.get(draft).map_or(end, |draft| draft.start)
    }

    /// Fills in the heads of as many drafts as fit in the segment; returns the first that does not.
    fn lay_out_from(&mut self, from: usize) -> usize {
        let mut next = from;
        while let Some(draft) = self.drafts.get(next) {
            let next_position = draft.position + draft.found.appends;
            let is_far = next_position - self.tail.segment.header.base > POSITIONS_MAX;
            if is_far || draft.end - draft.start > self.tail.room() {
                break;
            }
            let offset = self.tail.end;
            let bytes = self
                .buffer
                .get_mut(draft.start..draft.end)
                .unwrap_or_default();
            let (slot, body) = bytes.split_at_mut(HEAD_BYTES);
            let (position, found) = (draft.position, draft.found);
            let (head, encoded) = self.tail.lay_out(Role::Group, draft.time, position, body);
            slot.copy_from_slice(&encoded);
            if found.last_other > 0 {
                self.tail.last_other = self.tail.next_number + found.last_other - 1;
            }
            self.tail.next_number += found.commits;
            self.tail.next_position = position + found.appends;
            self.tail.last_time = self.tail.last_time.max(found.last_time);
            let segment = Arc::clone(&self.tail.segment);
            self.notes.push(Note {
                segment,
                offset,
                position,
                head,
                found,
            });
            next += 1;
        }
        next
    }

    /// Goes on to a new segment. First the new file gets its name, then the old one its seal, so
    /// that a sealed segment without a successor can only mean a lost file.
    fn roll(&mut self, created: &mut Vec<Arc<Segment>>) -> Result<()> {
        let mut old = self.tail.clone();
        let (offset, position) = (old.end, old.next_position);
        let (head, bytes) = old.lay_out(Role::Seal, old.last_time, position, &[]);
        let header = Header {
            version: FORMAT_VERSION,
            log: self.shared.id,
            generation: old.segment.header.generation + 1,
            base: old.next_position,
            number: old.next_number,
            last_other: old.last_other,
            bytes: self.shared.options.segment_bytes,
            previous: old.chain,
        };
        let segment = Arc::new(retention::create_segment(&self.shared, header)?);
        created.push(Arc::clone(&segment));
        self.write_frame(&old.segment, offset, &bytes)?;
        self.tail = old;
        self.sync_tail()?;
        let sealed = Arc::clone(&self.tail.segment);
        // One in which the group did not begin: nothing is written to it again.
        if created.len() > 1 {
            sealed.file.lend(&self.shared.files);
        }
        self.notes.push(Note {
            segment: sealed,
            offset,
            position,
            head,
            found: Summary::default(),
        });
        self.tail.end = HEADER_BYTES;
        self.tail.synced = self.tail.end;
        self.tail.segment = segment;
        self.tail.reserved = 0;
        Ok(())
    }

    /// Makes a reservation durable before positions are shown that are not: it covers those of
    /// the group and more. Each segment has its own, because a seal ends the doubt before it.
    fn cover(&mut self, level: Level, created: &mut Vec<Arc<Segment>>) -> Result<()> {
        let covered = self.tail.reserved >= self.next_position;
        if level == Level::Synced || covered || self.drafts.is_empty() {
            return Ok(());
        }
        let until = self.next_position + RESERVATION;
        let body = until.to_le_bytes();
        let is_far = until - self.tail.segment.header.base > POSITIONS_MAX;
        if is_far || self.tail.room() < HEAD_BYTES + body.len() {
            self.roll(created)?;
        }
        let (offset, position) = (self.tail.end, self.tail.next_position);
        let (head, bytes) = self
            .tail
            .lay_out(Role::Reserve, self.tail.last_time, position, &body);
        let mut frame = bytes.to_vec();
        frame.extend_from_slice(&body);
        self.write_frame(&self.tail.segment, offset, &frame)?;
        self.sync_tail()?;
        self.tail.reserved = until;
        let segment = Arc::clone(&self.tail.segment);
        self.notes.push(Note {
            segment,
            offset,
            position,
            head,
            found: Summary::default(),
        });
        Ok(())
    }

    /// One sync, never repeated: after a failure the kernel may have dropped the pages and call
    /// them clean, so that a second sync would succeed without them.
    fn sync_tail(&mut self) -> Result<()> {
        if self.tail.synced < self.tail.end {
            let file = &self.tail.segment.file;
            let synced = match file.sync_data() {
                Err(_) if is_planted("retry-sync") => file.sync_data(),
                Err(_) if is_planted("ignore-sync-error") => Ok(()),
                synced => synced,
            };
            synced.map_err(|e| self.shared.poison(e))?;
            self.tail.synced = self.tail.end;
        }
        Ok(())
    }

    fn publish(&mut self, level: Level, created: Vec<Arc<Segment>>) {
        self.tags.sort_unstable();
        self.tags.dedup();
        for run in self
            .notes
            .chunk_by(|a, b| Arc::ptr_eq(&a.segment, &b.segment))
        {
            let Some(first) = run.first() else { continue };
            let mut index = first.segment.index_mut();
            // Tags of the whole group: a segment may list one too many, never one too few.
            if run.iter().any(|note| note.found.appends > 0) {
                self.tags.iter().for_each(|&tag| index.tags.add(tag));
            }
            for note in run {
                index.note(note.offset, note.position, &note.head, note.found);
            }
        }
        if !created.is_empty() {
            let seals = self
                .notes
                .iter()
                .filter(|note| note.head.role == Role::Seal);
            let sealed: Vec<_> = seals.map(|note| Arc::clone(&note.segment)).collect();
            // The first not before: if its group fails it is written again.
            let files = &self.shared.files;
            sealed.iter().for_each(|one| one.file.lend(files));
            retention::adopt(&self.shared, &sealed, created);
        }
        if level == Level::Synced {
            self.shared
                .durable
                .store(self.tail.next_number - 1, Ordering::Release);
        }
        let (Some(first), Some(last)) = (self.drafts.first(), self.drafts.last()) else {
            self.forget_group();
            return;
        };
        let (first_position, end) = (first.position, last.end);
        let (held, bytes) = self.hand_over(end);
        let chunk = Chunk {
            first_number: self.tail.next_number - self.commits,
            next_number: self.tail.next_number,
            first_position,
            next_position: self.tail.next_position,
            held: held.into(),
            bytes,
        };
        self.forget_group();
        self.shared.publish(self.tail.visible(), chunk);
    }

    fn forget_group(&mut self) {
        self.commits = 0;
        self.buffer.clear();
        self.drafts.clear();
        self.notes.clear();
        self.tags.clear();
        self.ops = 0;
    }

    /// Where frames of a failed commit may stand, in the segment in which it began and in new ones.
    fn stood(&self, begin: &Tail, created: &[Arc<Segment>]) -> Vec<Stood> {
        let stood = |segment: &Arc<Segment>, end: u32| {
            let same = |note: &&Note| Arc::ptr_eq(&note.segment, segment);
            // A seal or a reservation may follow that was not noted yet.
            let places = self.notes.iter().filter(same).flat_map(|note| {
                let end = note.offset + HEAD_BYTES as u32 + note.head.length;
                [note.offset, end]
            });
            let mut behind: Vec<u32> = places.filter(|&place| place > end).collect();
            behind.dedup();
            let segment = Arc::clone(segment);
            Stood {
                segment,
                end,
                behind,
            }
        };
        let fresh = created.iter().map(|new| stood(new, HEADER_BYTES));
        iter::once(stood(&begin.segment, begin.end))
            .chain(fresh)
            .collect()
    }
}

#[cfg(test)]
mod tests;
