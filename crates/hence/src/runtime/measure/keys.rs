//! Which keys are hot: space-saving counters (Metwally, Agrawal, El Abbadi, ICDT 2005), and linear
//! counting of the distinct ones (Whang & al., TODS 15, 1990).

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// Keys with a counter of their own.
const TOP_MAX: usize = 32;
/// Bits for counting distinct keys, in words of 64; good to about a hundred thousand keys.
const WORDS: usize = 512;

/// How events are spread over keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// Events that had a key.
    pub events: u64,
    /// About how many keys there were.
    pub distinct: u64,
    /// Events that the hottest keys had at least, the hottest first.
    pub top: Vec<u64>,
}

/// Counts keys in bounded space. It keeps hashes, never a key.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch {
    events: u64,
    /// Hash, count, and by how much the count may be too high.
    top: Vec<(u64, u64, u64)>,
    seen: Vec<u64>,
}

impl Sketch {
    pub(super) fn count(&mut self, key: &str) {
        let hash = BuildHasherDefault::<DefaultHasher>::new().hash_one(key);
        self.events += 1;
        if self.seen.is_empty() {
            self.seen = vec![0; WORDS];
        }
        let bit = (hash >> 32) as usize % (WORDS * 64);
        if let Some(word) = self.seen.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
        if let Some(entry) = self.top.iter_mut().find(|entry| entry.0 == hash) {
            entry.1 += 1;
        } else if self.top.len() < TOP_MAX {
            self.top.push((hash, 1, 0));
        } else if let Some(least) = self.top.iter_mut().min_by_key(|entry| entry.1) {
            *least = (hash, least.1 + 1, least.1);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.seen.resize(self.seen.len().max(other.seen.len()), 0);
        for (mine, theirs) in self.seen.iter_mut().zip(&other.seen) {
            *mine |= theirs;
        }
        for &(hash, count, error) in &other.top {
            match self.top.iter_mut().find(|entry| entry.0 == hash) {
                Some(entry) => {
                    entry.1 += count;
                    entry.2 += error;
                }
                None => self.top.push((hash, count, error)),
            }
        }
    }

    pub(super) fn counts(&self) -> KeyCounts {
        let mut top: Vec<u64> = self.top.iter().map(|entry| entry.1 - entry.2).collect();
        top.sort_unstable_by(|a, b| b.cmp(a));
        top.truncate(TOP_MAX);
        let bits = (self.seen.len() * 64) as f64;
        let unset: u32 = self.seen.iter().map(|word| word.count_zeros()).sum();
        let distinct = if self.seen.is_empty() {
            0.0
        } else {
            -bits * (f64::from(unset.max(1)) / bits).ln()
        };
        KeyCounts {
            events: self.events,
            distinct: (distinct.round() as u64)
                .clamp(top.len() as u64, self.events.max(top.len() as u64)),
            top,
        }
    }
}
