//! `Dedup`: which ids were published, where they stand, and a mark of what they said.
//!
//! ```text
//! ring   id u64, content u32     one for each of the newest events, in order   12 B
//!        in blocks, so that a copy for a snapshot shares all but the one that is being filled
//! table  number in the ring u32  by id, at most half full                        4 B × slots
//! runs   number → position       one wherever positions have a gap              hardly any
//! ```
//!
//! That is 21 bytes for each id at the default limit, where two hashes and a position would be 40.
//! The hash of an id is keyed and secret. That a new id meets one of a million others has a chance
//! of 1 in 2^44; then it is refused as one with other content, and all but never taken for it.

mod table;

use std::collections::VecDeque;
use std::sync::Arc;

use self::table::{BITS_MAX, Table};

/// How many of the newest events are known by their ids.
pub const DEDUP_EVENTS_MAX: usize = 1_000_000;

/// Ids in one block of the ring.
const BLOCK: usize = 4096;

/// The halves of an id, then the content: three words, because no padding is wanted.
type Held = [u32; 3];

/// Where an event stands, and what its content hashes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) position: u64,
    pub(crate) content: u32,
}

/// The newest ids, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    /// Blocks of the ring, each of one length, the last of them filled in part.
    blocks: VecDeque<Arc<[Held]>>,
    /// The number of the first in the ring; the first id ever has number 0, and begins a block.
    first: u64,
    len: usize,
    /// Numbers from which on positions follow one another, and the position of each.
    runs: VecDeque<(u64, u64)>,
}

/// The newest ids, up to a limit; the oldest is forgotten first.
#[derive(Clone, Debug)]
pub(crate) struct Dedup {
    ids: Ids,
    table: Table,
    limit: usize,
    /// Whether there were others.
    forgot: bool,
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
fn split(id: u64) -> [u32; 2] {
    [id as u32, (id >> 32) as u32]
}

fn joined([low, high, _]: Held) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// The place of a number in its block.
#[expect(
    clippy::cast_possible_truncation,
    reason = "only the low bits are kept"
)]
fn place(number: u64) -> usize {
    number as usize % BLOCK
}

impl Ids {
    fn next(&self) -> u64 {
        self.first + self.len as u64
    }

    /// What stands behind a number.
    fn at(&self, number: u64) -> Option<Held> {
        let offset = number.checked_sub(self.first)?;
        if offset >= self.len as u64 {
            return None;
        }
        let block = (place(self.first) + usize::try_from(offset).ok()?) / BLOCK;
        self.blocks.get(block)?.get(place(number)).copied()
    }

    /// The number in the ring of which these are the low bits.
    fn number(&self, low: u32, mask: u64) -> u64 {
        self.first + (u64::from(low).wrapping_sub(self.first) & mask)
    }

    fn id_at(&self, low: u32, mask: u64) -> u64 {
        self.at(self.number(low, mask)).map_or(0, joined)
    }

    fn position(&self, number: u64) -> u64 {
        let behind = self.runs.partition_point(|(begin, _)| *begin <= number);
        let run = behind.checked_sub(1).and_then(|at| self.runs.get(at));
        run.map_or(0, |(begin, position)| position + (number - begin))
    }

    fn push(&mut self, id: u64, known: Known) {
        let number = self.next();
        let follows = self.runs.back();
        let expected = follows.map(|(begin, position)| position + (number - begin));
        if expected != Some(known.position) {
            self.runs.push_back((number, known.position));
        }
        if place(number) == 0 {
            self.blocks.push_back(Arc::new([Held::default(); BLOCK]));
        }
        // A snapshot that is being stored has a share in it: then it goes on with a copy.
        let block = self.blocks.back_mut().map(Arc::make_mut);
        if let Some(held) = block.and_then(|block| block.get_mut(place(number))) {
            let [low, high] = split(id);
            *held = [low, high, known.content];
            self.len += 1;
        }
    }

    /// Drops the oldest id.
    fn pop(&mut self) {
        if self.len == 0 {
            return;
        }
        self.first += 1;
        self.len -= 1;
        if place(self.first) == 0 {
            self.blocks.pop_front();
        }
        if matches!(self.runs.get(1), Some((begin, _)) if *begin <= self.first) {
            self.runs.pop_front();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The ids with what is known of them, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Known)> {
        let held = self.blocks.iter().flat_map(|block| block.iter());
        let held = held.skip(place(self.first)).take(self.len);
        (self.first..).zip(held).map(|(number, held)| {
            let position = self.position(number);
            let [_, _, content] = *held;
            (joined(*held), Known { position, content })
        })
    }
}

impl PartialEq for Ids {
    /// Whether the same is known, in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Ids {}

impl Dedup {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            ids: Ids::default(),
            table: Table::for_many(0),
            // There must be room for them in the table.
            limit: limit.clamp(1, 1 << (BITS_MAX - 1)),
            forgot: false,
        }
    }

    pub(crate) fn get(&self, id: u64) -> Option<Known> {
        let mask = self.table.mask();
        let is = |low| self.ids.id_at(low, mask) == id;
        let number = self.ids.number(self.table.find(id, is)?, mask);
        let [_, _, content] = self.ids.at(number)?;
        let position = self.ids.position(number);
        Some(Known { position, content })
    }

    /// Remembers an id that is not known.
    pub(crate) fn insert(&mut self, id: u64, known: Known) {
        if self.ids.len() >= self.limit {
            self.forget_oldest();
        }
        if self.ids.len() >= self.table.room() {
            self.table = Table::for_many(2 * self.table.room());
            for (number, (id, _)) in (self.ids.first..).zip(self.ids.iter()) {
                self.table.insert(id, number);
            }
        }
        self.table.insert(id, self.ids.next());
        self.ids.push(id, known);
    }

    fn forget_oldest(&mut self) {
        // While it is in the ring, so that those behind it in the table can be told by theirs.
        let (mask, number) = (self.table.mask(), self.ids.first);
        if let Some(held) = self.ids.at(number) {
            let ids = &self.ids;
            self.table
                .remove(joined(held), number, |low| ids.id_at(low, mask));
        }
        self.ids.pop();
        self.forgot = true;
    }

    /// Forgets all that is known.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.limit);
        self.forgot = true;
    }

    /// Notes that there were others, which it was never told: an earlier limit may have been lower.
    pub(crate) fn lacks_some(&mut self) {
        self.forgot = true;
    }

    /// Whether no id of an event is missing.
    pub(crate) fn is_complete(&self) -> bool {
        !self.forgot
    }

    /// Whether one more can be known without another being forgotten.
    pub(crate) fn has_room(&self) -> bool {
        self.ids.len() < self.limit
    }

    /// What is known, without the table.
    pub(crate) fn ids(&self) -> &Ids {
        &self.ids
    }
}

#[cfg(test)]
mod tests;
