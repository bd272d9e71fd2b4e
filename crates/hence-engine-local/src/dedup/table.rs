//! `Table`: where in the ring an id stands, found by its hash.
//!
//! ```text
//! slot u32 = 0, or  distance 4 │ mark │ number     number: its low bits, as many as the table has
//!                                                  distance: from its own slot, plus 1, at most 15
//!                                                  mark: of the id, in the bits that are left
//! ```
//!
//! Ids come and go at the same pace for ever. A table that marks the place of what went as unusable
//! fills up with such marks, and then grows or is sorted out under the lock of the engine; at 20
//! million events one of `hashbrown` had doubled. In this one what stands behind moves up, for which
//! the distance says enough, so that it stays as it is: 8 bytes for each id at most.

/// Bits of a distance.
const DISTANCE_BITS: u32 = 4;
/// A distance of this or more has to be worked out.
const FAR: u32 = (1 << DISTANCE_BITS) - 1;
/// The most bits of a number, so that there is room for a distance.
pub(super) const BITS_MAX: u32 = 32 - DISTANCE_BITS;
/// The fewest.
const BITS_MIN: u32 = 4;

/// Numbers by the hashes of their ids; at most half of the slots are taken.
#[derive(Clone, Debug)]
pub(super) struct Table {
    slots: Vec<u32>,
    bits: u32,
}

impl Table {
    /// An empty one with room for so many.
    pub(super) fn for_many(count: usize) -> Self {
        let slots = count.saturating_mul(2).next_power_of_two();
        let bits = slots.trailing_zeros().clamp(BITS_MIN, BITS_MAX);
        Self {
            slots: vec![0; 1 << bits],
            bits,
        }
    }

    /// How many it has room for.
    pub(super) fn room(&self) -> usize {
        self.slots.len() / 2
    }

    /// The bits of a number that it keeps.
    pub(super) fn mask(&self) -> u64 {
        (1 << self.bits) - 1
    }

    #[expect(clippy::cast_possible_truncation, reason = "masked to fewer bits")]
    fn low(&self, number: u64) -> u32 {
        (number & self.mask()) as u32
    }

    fn slot(&self, at: u64) -> u32 {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        self.slots.get(at).copied().unwrap_or(0)
    }

    fn set(&mut self, at: u64, slot: u32) {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        if let Some(held) = self.slots.get_mut(at) {
            *held = slot;
        }
    }

    /// What stands so far from the slot of an id, all but the number. The mark is of the highest
    /// bits of the id, the slot of the lowest.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is shifted has few bits"
    )]
    fn head(&self, id: u64, distance: u64) -> u32 {
        let distance = (distance.saturating_add(1)).min(u64::from(FAR)) as u32;
        let marks = BITS_MAX - self.bits;
        let mark = ((id >> 32) as u32).checked_shr(32 - marks).unwrap_or(0);
        (distance << marks | mark) << self.bits
    }

    /// The number that an id has, of which only the lowest bits are told. `is` says whether a number
    /// is of the id.
    pub(super) fn find(&self, id: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        for distance in 0..self.slots.len() as u64 {
            let slot = self.slot(id.wrapping_add(distance) & self.mask());
            if slot == 0 {
                return None;
            }
            let low = self.low(u64::from(slot));
            if slot - low == self.head(id, distance) && is(low) {
                return Some(low);
            }
        }
        None
    }

    /// Adds the number of an id; there must be room.
    pub(super) fn insert(&mut self, id: u64, number: u64) {
        let mask = self.mask();
        let mut distances = 0..self.slots.len() as u64;
        let free = distances.find(|distance| self.slot(id.wrapping_add(*distance) & mask) == 0);
        if let Some(distance) = free {
            let slot = self.head(id, distance) | self.low(number);
            self.set(id.wrapping_add(distance) & mask, slot);
        }
    }

    /// Removes the number of an id, and lets move up what stands behind; `id_of` tells the id of a
    /// number.
    pub(super) fn remove(&mut self, id: u64, number: u64, id_of: impl Fn(u32) -> u64) {
        let (mask, wanted) = (self.mask(), self.low(number));
        let mut distances = 0..self.slots.len() as u64;
        let found = distances.find_map(|distance| {
            let at = id.wrapping_add(distance) & mask;
            let slot = self.slot(at);
            (slot == 0 || self.low(u64::from(slot)) == wanted).then_some((at, slot))
        });
        let Some((mut free, 1..)) = found else {
            return;
        };
        let mut at = free;
        loop {
            at = (at + 1) & mask;
            let slot = self.slot(at);
            if slot == 0 {
                break;
            }
            let (low, gap) = (self.low(u64::from(slot)), at.wrapping_sub(free) & mask);
            let told = u64::from(slot >> BITS_MAX);
            let (distance, own) = match told < u64::from(FAR) {
                true => (told - 1, None),
                false => {
                    let own = id_of(low);
                    (at.wrapping_sub(own) & mask, Some(own))
                }
            };
            if distance < gap {
                continue;
            }
            let moved = match own {
                None => slot - (self.low(gap) << BITS_MAX),
                Some(own) => self.head(own, distance - gap) | low,
            };
            self.set(free, moved);
            free = at;
        }
        self.set(free, 0);
    }

    /// Memory that it takes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }
}
