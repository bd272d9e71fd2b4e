//! A group on its way: written, perhaps durable already, and seen by nobody yet.
//!
//! ```text
//!   stage … ─► begin ─► stage the next group … ─► finish
//!              write      the disk works          sync, show
//! ```

use std::iter;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};

use super::{Level, Note, ROOM_BYTES, Writer};
use crate::error::{ErrorKind, Result};
use crate::frame::{HEAD_BYTES, Role};
use crate::log::Chunk;
use crate::planted::is_planted;
use crate::retention;
use crate::segment::{HEADER_BYTES, Segment};
use crate::storage::File as _;
use crate::tail::Tail;
use crate::undo::{Stood, undo};

/// What is to be shown when the sync has ended.
pub(super) struct Flight {
    /// Where the log ended before.
    begin: Tail,
    level: Level,
    created: Vec<Arc<Segment>>,
    notes: Vec<Note>,
    tags: Vec<u32>,
    /// The frames, if there are any.
    chunk: Option<Chunk>,
}

impl Writer {
    /// Stores the staged group and shows it to readers; with nothing staged, brings what was
    /// written before to the level. A commit that was begun is finished first.
    ///
    /// # Errors
    /// In every case nothing of the group is stored as far as this log is concerned. `Full` and
    /// `Io`: the next group may succeed. `Poisoned`: nothing will.
    pub fn commit(&mut self, level: Level) -> Result<()> {
        self.shared.check_poison()?;
        self.attempt(level, |writer, created| writer.write(level, created))
    }

    /// Begins to commit: writes the staged group, and lets the disk work on it while the next one is
    /// staged. Nothing may be acknowledged and readers see nothing before [`finish`](Self::finish),
    /// which whatever else is called next does first, but for staging.
    ///
    /// ```
    /// # use hence_log::{Level, Log, Op, Options};
    /// # let directory = tempfile::tempdir()?;
    /// # let (mut writer, log, _) = Log::open(directory.path(), Options::default())?;
    /// writer.stage(1, [Op::append(1, b"first")])?;
    /// writer.begin(Level::Synced)?;
    /// writer.stage(2, [Op::append(1, b"second")])?; // while the disk works
    /// writer.finish()?; // now the first may be acknowledged
    /// assert_eq!(log.watermark(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn begin(&mut self, level: Level) -> Result<()> {
        self.shared.check_poison()?;
        self.depart(level, |writer, created| writer.write(level, created))?;
        if level == Level::Synced && self.tail.synced < self.tail.end {
            let (from, end) = (self.tail.synced, self.tail.end);
            let file = &self.tail.segment.file;
            file.will_sync(from.into(), (end - from).into());
        }
        Ok(())
    }

    /// Ends the commit that was begun, if one was: syncs the group and shows it to readers.
    ///
    /// # Errors
    /// `Poisoned`, if the sync fails: what was staged since is given up, too.
    pub fn finish(&mut self) -> Result<()> {
        let Some(flight) = self.flight.take() else {
            return Ok(());
        };
        if flight.level == Level::Synced
            && !is_planted("ack-before-sync")
            && let Err(error) = self.sync_tail()
        {
            // What a failed sync left behind nobody knows, and nobody touches.
            self.go_back(flight.begin);
            return Err(error);
        }
        self.publish(flight);
        Ok(())
    }

    /// Does something that moves the tail; shows it to readers, or takes it back.
    pub(super) fn attempt(
        &mut self,
        level: Level,
        step: impl FnOnce(&mut Self, &mut Vec<Arc<Segment>>) -> Result<()>,
    ) -> Result<()> {
        self.depart(level, step)?;
        self.finish()
    }

    /// Does something that moves the tail, to be shown later; or takes it back.
    fn depart(
        &mut self,
        level: Level,
        step: impl FnOnce(&mut Self, &mut Vec<Arc<Segment>>) -> Result<()>,
    ) -> Result<()> {
        self.finish()?;
        let begin = self.tail.clone();
        let mut created = Vec::new();
        if let Err(error) = step(self, &mut created) {
            let stood = self.stood(&begin, &created);
            self.go_back(begin);
            if *error.kind() == ErrorKind::Poisoned {
                return Err(error);
            }
            return Err(match undo(&self.shared, &stood) {
                Ok(()) => error,
                Err(failed) => self.shared.poison(failed),
            });
        }
        let chunk = self.chunk();
        self.flight = Some(Flight {
            begin,
            level,
            created,
            notes: std::mem::take(&mut self.notes),
            tags: std::mem::take(&mut self.tags),
            chunk,
        });
        self.forget_group();
        Ok(())
    }

    /// Gives up what is staged, and all behind an earlier end.
    fn go_back(&mut self, end: Tail) {
        self.forget_group();
        self.tail = end;
        self.next_position = self.tail.next_position;
    }

    /// The group that was written, if there was one.
    fn chunk(&mut self) -> Option<Chunk> {
        let first_position = self.drafts.first()?.position;
        let end = self.drafts.last()?.end;
        let (held, bytes) = self.hand_over(end);
        Some(Chunk {
            first_number: self.tail.next_number - self.commits,
            next_number: self.tail.next_number,
            first_position,
            next_position: self.tail.next_position,
            held,
            bytes,
        })
    }

    /// The frames of the group as readers hold them, and the memory that they take. The next group
    /// goes behind them, unless one like this would not fit there.
    fn hand_over(&mut self, end: usize) -> (usize, Bytes) {
        let frames = self.buffer.split_to(end).freeze();
        self.buffer.clear();
        let left = self.buffer.capacity();
        if left >= end + ROOM_BYTES {
            return (end, frames);
        }
        self.buffer = BytesMut::new();
        (end + left, frames)
    }

    fn publish(&mut self, flight: Flight) {
        let Flight {
            level,
            created,
            mut notes,
            mut tags,
            chunk,
            ..
        } = flight;
        // Once for all, because among many types each would have to be put in its place.
        tags.sort_unstable();
        tags.dedup();
        for run in notes.chunk_by(|a, b| Arc::ptr_eq(&a.segment, &b.segment)) {
            let Some(first) = run.first() else { continue };
            let mut index = first.segment.index_mut();
            // Tags of the whole group: a segment may list one too many, never one too few.
            if run.iter().any(|note| note.found.appends > 0) {
                tags.iter().for_each(|&tag| index.tags.add(tag));
            }
            for note in run {
                index.note(note.offset, note.position, &note.head, note.found);
            }
        }
        if !created.is_empty() {
            let seals = notes.iter().filter(|note| note.head.role == Role::Seal);
            let sealed: Vec<_> = seals.map(|note| Arc::clone(&note.segment)).collect();
            retention::adopt(&self.shared, &sealed, created);
        }
        if level == Level::Synced {
            let last = self.tail.next_number - 1;
            self.shared.durable.store(last, Ordering::Release);
        }
        // Their memory is used again.
        notes.clear();
        self.notes = notes;
        if self.tags.is_empty() {
            tags.clear();
            self.tags = tags;
        }
        if let Some(chunk) = chunk {
            self.shared.publish(self.tail.visible(), chunk);
        }
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
