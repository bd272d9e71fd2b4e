//! The two journals: memory, where the tail is all there is, and the durable log behind it.

use std::sync::Arc;

use bytes::Bytes;
use hence_core::codec::compact;
use hence_core::delivery::Position;
use hence_core::engine::Entry;
use hence_core::error::{Code, Error, Result};
use hence_core::time::Timestamp;
use hence_log::{ErrorKind, Frame, Log, Record, Storage, stat_on};

use crate::history::{Attempt, Emitted, Expected};
use crate::index::Places;
use crate::op::{APPEND, DISCARDED, Discarded, ENDED, Ended};
use crate::subscription::Subscription;

/// Entries that are read from the disk at once.
pub const COLD_EVENTS_MAX: usize = 256;
/// Bytes of entries after which one read from the disk ends.
pub const COLD_BYTES_MAX: usize = 1 << 20;
/// Commits that one report reads where the index says nothing, at most. What it did not find by then
/// it lacks: attempts, and that a dead letter was discarded, which it then takes for done.
pub const REPORT_COMMITS_MAX: u64 = 1 << 22;
/// Positions by which a search for the newest event goes back at first: what one crash leaves out.
const GAP_LOOK: u64 = 1 << 17;

/// Where entries are that are not in the tail. A copy reads the same log, so that the disk is never
/// waited for under the engine's lock.
#[derive(Clone)]
pub(crate) enum Store {
    /// Nowhere.
    Memory,
    /// In the log, on this storage.
    Log(Log, Arc<dyn Storage>),
}

impl Store {
    /// The entry at a position.
    pub(crate) fn get(&self, position: u64) -> Result<Entry> {
        match self {
            Self::Memory => Err(no_entry(position)),
            Self::Log(log, _) => match log.read(position).map_err(translate)? {
                Some(record) => to_entry(&record),
                None => Err(no_entry(position)),
            },
        }
    }

    /// The position of the first entry at or after a moment, or `next`. It is found by halving, so
    /// where the wall clock jumped back it is one of several answers.
    pub(crate) fn position_at(&self, moment: Timestamp, next: u64) -> Result<u64> {
        let Self::Log(log, _) = self else {
            return Ok(next);
        };
        let before = last_frame_where(log, |frame| time(frame.time()) < moment)?;
        let mut frames = log.frames(before);
        while let Some(frame) = frames.next_frame().map_err(translate)? {
            let appends = frame.ops().any(|op| op.kind == APPEND);
            if appends && time(frame.time()) >= moment {
                return Ok(frame.position());
            }
        }
        Ok(next)
    }

    /// The newest event up to a position, behind which a crash may have left a gap; that position if
    /// none is kept.
    pub(crate) fn newest(&self, last: u64) -> Result<u64> {
        let Self::Log(log, _) = self else {
            return Ok(last);
        };
        let first = log.first_position();
        let mut from = last.max(first);
        let mut distance = GAP_LOOK;
        loop {
            let (mut reader, mut newest) = (log.reader(from), None);
            while let Some(record) = reader.next_record().map_err(translate)? {
                newest = Some(record.position);
            }
            if newest.is_some() || from == first {
                return Ok(newest.unwrap_or(last));
            }
            from = last.saturating_sub(distance).max(first);
            distance *= 2;
        }
    }

    /// The last commit that is stored; 0 in memory.
    pub(crate) fn last_commit(&self) -> u64 {
        match self {
            Self::Memory => 0,
            Self::Log(log, _) => log.last_frame(),
        }
    }

    /// The oldest position that is kept; `None` in memory.
    pub(crate) fn first(&self) -> Option<u64> {
        match self {
            Self::Memory => None,
            Self::Log(log, _) => Some(log.first_position()),
        }
    }

    /// Bytes that are kept; `None` in memory.
    pub(crate) fn bytes(&self) -> Option<u64> {
        match self {
            Self::Memory => None,
            // Storage that cannot be measured keeps nothing that anyone could use.
            Self::Log(_, storage) => Some(stat_on(&**storage).map_or(0, |stat| stat.bytes)),
        }
    }

    /// A reader from a position, of these tags or of all; `None` in memory.
    pub(crate) fn reader(&self, from: u64, tags: Option<Vec<u32>>) -> Option<Cold> {
        let Self::Log(log, _) = self else {
            return None;
        };
        let reader = log.reader(from.max(log.first_position()));
        let reader = match tags {
            Some(tags) => reader.with_tags(tags),
            None => reader,
        };
        Some(Cold {
            log: log.clone(),
            reader,
        })
    }
}

/// A reader of entries on the disk.
pub(crate) struct Cold {
    log: Log,
    reader: hence_log::Reader,
}

impl Cold {
    /// Reads some entries, none behind `until`; everything up to the returned position was looked
    /// at. `last` is the newest position: what is not found up to there does not exist, because a
    /// crash left a gap.
    pub(crate) fn chunk(&mut self, last: u64, until: u64) -> Result<(Vec<Entry>, u64)> {
        // Whatever the reader does not find from here on is behind this position.
        let end = self.log.watermark().max(last);
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while entries.len() < COLD_EVENTS_MAX && bytes < COLD_BYTES_MAX {
            let Some(record) = self.reader.next_record().map_err(translate)? else {
                let last = entries.last().map_or(0, |entry: &Entry| entry.position.0);
                return Ok((entries, end.max(last)));
            };
            if record.position > until {
                return Ok((entries, until));
            }
            bytes += record.body.len();
            entries.push(to_entry(&record)?);
        }
        let last = entries.last().map_or(end, |entry| entry.position.0);
        Ok((entries, last))
    }
}

/// Counts the open messages of a subscription on the disk, up to a position.
pub(crate) fn count(mut cold: Cold, probe: &Subscription, upto: u64) -> Result<u64> {
    let mut open = 0;
    loop {
        let (entries, end) = cold.chunk(upto, u64::MAX)?;
        let within = entries.iter().filter(|entry| entry.position.0 <= upto);
        open += within.filter(|entry| probe.is_open(entry)).count() as u64;
        if entries.is_empty() || end >= upto {
            return Ok(open);
        }
    }
}

fn to_entry(record: &Record) -> Result<Entry> {
    Ok(Entry {
        position: Position(record.position),
        appended: time(record.time),
        // A small body must not keep the whole block alive in which it was read.
        message: compact::decode(Bytes::copy_from_slice(&record.body))?,
    })
}

pub(crate) fn time(micros: u64) -> Timestamp {
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// Attempts at one message, read from the log: where the index says, and from the message on where
/// it says nothing.
pub(crate) struct AttemptScan {
    pub(crate) log: Log,
    pub(crate) position: u64,
    pub(crate) places: Option<Places>,
    /// The last commit that the tables reflect, which say what to look for.
    pub(crate) shown: u64,
    /// Commits that are read, at most, where the index says nothing.
    pub(crate) most: u64,
}

impl AttemptScan {
    /// Reads on until the expected attempts are found or there is no more.
    pub(crate) fn all(mut self, expected: &[(u32, Expected)]) -> Result<Vec<Attempt>> {
        let mut found = Vec::new();
        let are_all = |found: &[Attempt]| expected.iter().all(|(id, last)| last.is_in(*id, found));
        let begin = match self.places.take() {
            None => last_frame_where(&self.log, |frame| frame.position() <= self.position)?,
            Some(Places { blocks, upto }) => {
                for (first, last) in blocks {
                    let first = first.max(self.log.first_frame());
                    let last = last.min(self.shown);
                    let mut frames = self.log.frames(first);
                    while !are_all(&found)
                        && let Some(frame) = frames.next_frame().map_err(translate)?
                        && frame.number() <= last
                    {
                        self.look(&frame, &mut found)?;
                    }
                }
                upto
            }
        };
        let last = self.shown.min(begin.saturating_add(self.most));
        let mut frames = self.log.frames(begin);
        while !are_all(&found)
            && let Some(frame) = frames.next_frame().map_err(translate)?
            && frame.number() <= last
        {
            self.look(&frame, &mut found)?;
        }
        if last < self.shown && !are_all(&found) {
            let position = self.position;
            tracing::warn!(
                position,
                read = self.most,
                "a report may lack attempts: more commits than that are not in the index"
            );
        }
        Ok(found)
    }

    fn look(&self, frame: &Frame, found: &mut Vec<Attempt>) -> Result<()> {
        let first = frame.position();
        let begin = found.len();
        let mut count = 0;
        for op in frame.ops() {
            count += u64::from(op.kind == APPEND);
            if op.kind == ENDED {
                let ended = Ended::decode(op.tag, &mut op.body.clone())?;
                if ended.position == self.position {
                    let emitted = Emitted::default();
                    found.push(Attempt::new(&ended, time(frame.time()), emitted));
                }
            } else if op.kind == DISCARDED {
                let discarded = Discarded::decode(op.tag, &mut op.body.clone())?;
                if discarded.position == self.position {
                    found.push(Attempt::discarded(&discarded, time(frame.time())));
                }
            }
        }
        for attempt in found
            .iter_mut()
            .skip(begin)
            .filter(|attempt| !attempt.is_discard())
        {
            attempt.emitted = Emitted { first, count };
        }
        Ok(())
    }
}

/// The last frame for which a test holds that holds for all before it; the first if for none.
fn last_frame_where(log: &Log, test: impl Fn(&Frame) -> bool) -> Result<u64> {
    let (mut low, mut high) = (log.first_frame(), log.last_frame());
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let frame = log.frames(middle).next_frame().map_err(translate)?;
        if frame.is_some_and(|frame| test(&frame)) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(low)
}

pub(crate) fn no_entry(position: u64) -> Error {
    Code::NOT_FOUND.error(format!("there is no event at position {position}"))
}

/// The error of the log under the library's code.
#[must_use]
pub fn translate(error: hence_log::Error) -> Error {
    let code = match error.kind() {
        ErrorKind::Full | ErrorKind::NoRoom { .. } => Code::STORAGE_FULL,
        ErrorKind::Corrupt { .. }
        | ErrorKind::MissingSegment { .. }
        | ErrorKind::ForeignSegment { .. } => Code::CORRUPT,
        ErrorKind::Format { .. } | ErrorKind::Foreign { .. } | ErrorKind::NotRestored { .. } => {
            Code::FORMAT
        }
        ErrorKind::Backup { .. } => Code::BACKUP,
        ErrorKind::NotALog => Code::NOT_FOUND,
        ErrorKind::NotEmpty => Code::NOT_EMPTY,
        ErrorKind::SnapshotNeeded => Code::SNAPSHOT_NEEDED,
        ErrorKind::Locked => Code::LOCKED,
        ErrorKind::NotADirectory => Code::ENGINE_URL,
        ErrorKind::TooLarge { .. } => Code::TOO_LARGE,
        ErrorKind::Expired { .. } => Code::NOT_FOUND,
        _ => Code::STORAGE,
    };
    code.caused(error.to_string(), error)
}
