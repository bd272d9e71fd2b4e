//! `Shelf`: where lanes are, by number and by key.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::lane::Lane;

/// So many lanes without a key keep their memory for the next ones.
const SPARE_LANES_MAX: usize = 128;

/// Which lane, as long as its key has something.
pub(super) type Number = u32;

/// The lanes of all keys that have something.
#[derive(Default)]
pub(super) struct Shelf {
    lanes: Vec<Lane>,
    /// Numbers of lanes without a key.
    spare: Vec<Number>,
    by_name: HashTable<Number>,
    hasher: RandomState,
}

impl Shelf {
    fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    fn find_hashed(&self, hash: u64, key: &str) -> Option<Number> {
        let is_it = |number: &Number| self.get(*number).is_some_and(|lane| lane.name == key);
        self.by_name.find(hash, is_it).copied()
    }

    /// The lane of a key, if it has one.
    pub(super) fn find(&self, key: &str) -> Option<&Lane> {
        let number = self.find_hashed(self.hash(key), key)?;
        self.get(number)
    }

    pub(super) fn get(&self, number: Number) -> Option<&Lane> {
        self.lanes.get(number as usize)
    }

    pub(super) fn get_mut(&mut self, number: Number) -> Option<&mut Lane> {
        self.lanes.get_mut(number as usize)
    }

    /// The number of the lane of a key, which is made if there is none.
    pub(super) fn open(&mut self, key: &str) -> Number {
        let hash = self.hash(key);
        if let Some(number) = self.find_hashed(hash, key) {
            return number;
        }
        let number = self.spare.pop().unwrap_or_else(|| {
            self.lanes.push(Lane::default());
            // Memory for so many there is none.
            u32::try_from(self.lanes.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(lane) = self.lanes.get_mut(number as usize) {
            lane.name.push_str(key);
        }
        let (lanes, hasher) = (&self.lanes, &self.hasher);
        let hash_of = |number: &Number| {
            let lane = lanes.get(*number as usize);
            lane.map_or(0, |lane| hasher.hash_one(&*lane.name))
        };
        self.by_name.insert_unique(hash, number, hash_of);
        number
    }

    /// Gives up a lane whose key has nothing any more.
    pub(super) fn close(&mut self, number: Number) {
        let Some(lane) = self.lanes.get_mut(number as usize) else {
            return;
        };
        let hash = self.hasher.hash_one(&*lane.name);
        lane.clear(self.spare.len() < SPARE_LANES_MAX);
        if let Ok(found) = self.by_name.find_entry(hash, |other| *other == number) {
            found.remove();
        }
        self.spare.push(number);
        if self.by_name.is_empty() && self.lanes.len() > SPARE_LANES_MAX {
            (self.lanes, self.spare) = Default::default();
        }
    }

    /// Lanes that memory is kept for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.lanes.capacity()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }
}
