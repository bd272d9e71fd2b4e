//! `Dedup`: which ids were published, where they stand, and a mark of what they said.
//!
//! ```text
//! ring   id u64, content u32     one for each of the newest events, in order   12 B
//!        in blocks, so that a copy for a snapshot shares all but the one that is being filled
//! table  number in the ring u32  by id, at most 7/8 full, one byte of control   5 B × buckets
//! runs   number → position       one wherever positions have a gap              hardly any
//! ```
//!
//! That is 24 bytes for each id at the default limit, where two hashes and a position would be 40.
//! The hash of an id is keyed and secret. That a new id meets one of a million others has a chance
//! of 1 in 2^44; then it is refused as one with other content, and all but never taken for it.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashTable;

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
    /// The low half of a number, which is enough to tell those in the ring apart.
    table: HashTable<u32>,
    limit: usize,
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
    /// The low half of a number.
    #[expect(clippy::cast_possible_truncation, reason = "that is what is wanted")]
    fn low(number: u64) -> u32 {
        number as u32
    }

    fn next(&self) -> u64 {
        self.first + self.len as u64
    }

    /// What stands behind the low half of a number, and the number.
    fn at(&self, low: u32) -> Option<(u64, Held)> {
        let offset = low.wrapping_sub(Self::low(self.first)) as usize;
        if offset >= self.len {
            return None;
        }
        let block = self.blocks.get((place(self.first) + offset) / BLOCK)?;
        let number = self.first + offset as u64;
        Some((number, *block.get(place(number))?))
    }

    fn id_at(&self, low: u32) -> u64 {
        self.at(low).map_or(0, |(_, held)| joined(held))
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

    fn pop(&mut self) -> Option<(u32, u64)> {
        let number = self.first;
        let (_, held) = self.at(Self::low(number))?;
        self.first += 1;
        self.len -= 1;
        if place(self.first) == 0 {
            self.blocks.pop_front();
        }
        if matches!(self.runs.get(1), Some((begin, _)) if *begin <= self.first) {
            self.runs.pop_front();
        }
        Some((Self::low(number), joined(held)))
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
            table: HashTable::new(),
            // Numbers in the table have 32 bits.
            limit: limit.clamp(1, 1 << 31),
        }
    }

    pub(crate) fn get(&self, id: u64) -> Option<Known> {
        let low = self.table.find(id, |low| self.ids.id_at(*low) == id)?;
        let (number, [_, _, content]) = self.ids.at(*low)?;
        let position = self.ids.position(number);
        Some(Known { position, content })
    }

    /// Remembers an id that is not known.
    pub(crate) fn insert(&mut self, id: u64, known: Known) {
        if self.ids.len() >= self.limit
            && let Some((low, oldest)) = self.ids.pop()
            && let Ok(found) = self.table.find_entry(oldest, |held| *held == low)
        {
            found.remove();
        }
        let low = Ids::low(self.ids.next());
        self.ids.push(id, known);
        let ids = &self.ids;
        self.table.insert_unique(id, low, |low| ids.id_at(*low));
    }

    /// Forgets all that is known.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Whether nothing was forgotten yet.
    pub(crate) fn is_complete(&self) -> bool {
        self.ids.len() < self.limit
    }

    /// What is known, without the table.
    pub(crate) fn ids(&self) -> &Ids {
        &self.ids
    }
}

#[cfg(test)]
mod tests;
