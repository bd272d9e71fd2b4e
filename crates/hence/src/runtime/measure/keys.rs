//! Which keys are hot: space-saving counters (Metwally, Agrawal, El Abbadi, ICDT 2005), and linear
//! counting of the distinct ones (Whang & al., TODS 15, 1990).

/// Keys with a counter of their own.
const TOP_MAX: usize = 32;
/// Bits for counting distinct keys, in words of 64; good to about a hundred thousand keys.
const WORDS: usize = 512;
/// Kinds of hashes, of which it is known how many have a counter: most keys without one are told
/// by that alone.
const KINDS: usize = 256;

/// How events are spread over keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// About how many events had a key: one that was measured counts for all that it stands for.
    pub events: u64,
    /// About how many keys there were, of all events.
    pub distinct: u64,
    /// About how many events each of the hottest keys had, the hottest first: at least so many where
    /// every event was measured. A key with no more than two measured events that stand for others is
    /// not told from one that came once, and left out.
    pub top: Vec<u64>,
}

/// Counts keys in bounded space. It keeps hashes, never a key.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch {
    events: u64,
    /// Hash, count, and by how much the count may be too high.
    top: Vec<(u64, u64, u64)>,
    /// Counters by the [`kind`] of their hashes.
    kinds: Vec<u8>,
    /// Of the hashes of all keys, measured or not.
    seen: Vec<u64>,
    /// The most that one event stood for.
    weight: u64,
}

impl Sketch {
    /// Notes that there is a key. Of every arrival: a sample of many keys that come once each would
    /// tell of a part of them.
    pub(super) fn see(&mut self, key: &str) -> u64 {
        let hash = hash(key);
        if self.seen.is_empty() {
            self.seen = vec![0; WORDS];
            self.kinds = vec![0; KINDS];
        }
        let bit = (hash >> 32) as usize % (WORDS * 64);
        if let Some(word) = self.seen.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
        hash
    }

    /// Counts a key that was seen, by its hash, as often as it stands for.
    pub(super) fn count(&mut self, hash: u64, weight: u32) {
        let weight = u64::from(weight);
        self.events += weight;
        self.weight = self.weight.max(weight);
        let known = self.kinds.get(kind(hash)).is_some_and(|n| *n > 0);
        if known && let Some(entry) = self.top.iter_mut().find(|entry| entry.0 == hash) {
            entry.1 += weight;
        } else if self.top.len() < TOP_MAX {
            self.top.push((hash, weight, 0));
            self.of_kind(hash, 1);
        } else {
            self.replace_least(hash, weight);
        }
    }

    /// Gives the counter of the least frequent key to another, which may have come as often.
    fn replace_least(&mut self, hash: u64, weight: u64) {
        let Some(least) = self.top.iter_mut().min_by_key(|entry| entry.1) else {
            return;
        };
        let gone = std::mem::replace(least, (hash, least.1 + weight, least.1));
        self.of_kind(gone.0, -1);
        self.of_kind(hash, 1);
    }

    fn of_kind(&mut self, hash: u64, more: i8) {
        if let Some(count) = self.kinds.get_mut(kind(hash)) {
            *count = count.saturating_add_signed(more);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.weight = self.weight.max(other.weight);
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
        let least = self.top.iter().map(|entry| entry.1 - entry.2);
        let mut top: Vec<u64> = match self.weight {
            0 | 1 => least.collect(),
            weight => least.filter(|count| *count > 2 * weight).collect(),
        };
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

/// Which of [`KINDS`] a hash is.
fn kind(hash: u64) -> usize {
    (hash >> 56) as usize % KINDS
}

/// A hash of a key, eight bytes at a time. Whoever makes keys that collide spoils a statistic of
/// keys and nothing else, so it need not be a strong one.
fn hash(key: &str) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(ODD).rotate_left(29);
    let (words, rest) = key.as_bytes().as_chunks::<8>();
    let start = mix(key.len() as u64, ODD);
    let whole = words
        .iter()
        .fold(start, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let tail = rest
        .iter()
        .fold(0, |word, byte| word << 8 | u64::from(*byte));
    // Every bit of the end must depend on all: high ones choose the kind, low ones the place.
    let end = mix(whole, tail);
    let end = (end ^ end >> 32).wrapping_mul(ODD);
    end ^ end >> 29
}

#[cfg(test)]
mod tests;
